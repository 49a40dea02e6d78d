//! Spearman's rho of all pairs of columns: ranked once, then multiplied tile by tile.

use super::{TieGroups, correlation, same_length, square, tie_groups};
use crate::simd::{self, Kernel, Level};
use crate::{Error, threads};

/// Columns of a tile, on its two sides: as many sums as fit the registers.
const TALL: usize = 2;
const WIDE: usize = 4;
/// Products of a sum that are added at once.
const LANES: usize = 4;

/// Spearman's rho of each pair of columns, row-major; a pair leaves out the items that either lacks (NaN).
///
/// # Errors
/// [`Error::LengthMismatch`] if the columns differ in length.
pub fn spearman_rho_matrix(columns: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    columns.iter().try_for_each(|column| same_length(column, &columns[0]))?;
    let (n, n_items) = (columns.len(), columns.first().map_or(0, Vec::len));
    let ordered = threads::map(n, n * n_items * 30, |i| Ordered::new(&columns[i]));
    let complete: Vec<usize> = (0..n).filter(|i| ordered[*i].defined.is_empty()).collect();
    let ranks = threads::map(complete.len(), n * n_items * 5, |k| ordered[complete[k]].ranks(|_| true));
    let products = products(&ranks);
    let mut place = vec![None; n];
    (0..).zip(&complete).for_each(|(k, i)| place[*i] = Some(k));
    let with_gaps = n * n - complete.len() * complete.len();
    Ok(square(n, with_gaps * n_items * 10, |i, j| match (place[i], place[j]) {
        (Some(a), Some(b)) => correlation(products[a][b], products[a][a], products[b][b]),
        _ => rho_of_shared(&ordered[i], &ordered[j]),
    }))
}

/// A column whose order was found once.
struct Ordered {
    groups: TieGroups,
    /// Which items have a value; nothing if all do.
    defined: Vec<bool>,
}

impl Ordered {
    fn new(x: &[f64]) -> Self {
        let complete = !x.iter().any(|x| x.is_nan());
        Self {
            groups: tie_groups(x),
            defined: if complete { Vec::new() } else { x.iter().map(|x| !x.is_nan()).collect() },
        }
    }

    fn has(&self, item: u32) -> bool {
        self.defined.is_empty() || self.defined[item as usize]
    }

    /// Twice the midranks less `n + 1` among the items that this column and `other` hold, whole numbers around 0; and 0
    /// for the others.
    fn ranks(&self, other: impl Fn(u32) -> bool) -> Vec<[f64; LANES]> {
        let shared = |i: &&u32| self.has(**i) && other(**i);
        let n = self.groups.iter().flatten().filter(shared).count();
        let mut ranks = vec![[0.0; LANES]; self.groups.n_items().div_ceil(LANES)];
        let mut below = 0;
        for group in self.groups.iter() {
            let size = group.iter().filter(shared).count();
            let rank = (2 * below + size) as f64 - n as f64;
            group.iter().filter(shared).for_each(|i| ranks.as_flattened_mut()[*i as usize] = rank);
            below += size;
        }
        ranks
    }
}

fn rho_of_shared(x: &Ordered, y: &Ordered) -> f64 {
    let (x, y) = (x.ranks(|i| y.has(i)), y.ranks(|i| x.has(i)));
    let sums = simd::widest(Tile { tall: [&x, &y], wide: [&x, &y, &y, &y] });
    correlation(sums[0][1], sums[0][0], sums[1][1])
}

/// Products of all pairs of columns; symmetric.
fn products(columns: &[Vec<[f64; LANES]>]) -> Vec<Vec<f64>> {
    let n = columns.len();
    let column = |i: usize| &columns[i.min(n - 1)][..];
    let strips = threads::map(n.div_ceil(TALL), n * n * columns.first().map_or(0, Vec::len), |strip| {
        let tall = std::array::from_fn(|k| column(strip * TALL + k));
        let tiles = (0..=strip * TALL + TALL - 1).step_by(WIDE);
        let sums = tiles.map(|j| simd::widest(Tile { tall, wide: std::array::from_fn(|k| column(j + k)) }));
        sums.collect::<Vec<_>>()
    });
    let product = |i: usize, j: usize| strips[i.max(j) / TALL][i.min(j) / WIDE][i.max(j) % TALL][i.min(j) % WIDE];
    (0..n).map(|i| (0..n).map(|j| product(i, j)).collect()).collect()
}

/// Columns on the two sides of a tile of products.
struct Tile<'a> {
    tall: [&'a [[f64; LANES]]; TALL],
    wide: [&'a [[f64; LANES]]; WIDE],
}

impl Kernel for Tile<'_> {
    type Output = [[f64; WIDE]; TALL];

    /// Products of whole numbers below `n`, so the sums are exact, in whatever order, up to some 200,000 items.
    #[inline(always)]
    fn run<L: Level>(self) -> [[f64; WIDE]; TALL] {
        let mut sums = [[[0.0; LANES]; WIDE]; TALL];
        let n = self.tall[0].len();
        let (tall, wide) = (self.tall.map(|column| &column[..n]), self.wide.map(|column| &column[..n]));
        for k in 0..n {
            for i in 0..TALL {
                for j in 0..WIDE {
                    for lane in 0..LANES {
                        sums[i][j][lane] += tall[i][k][lane] * wide[j][k][lane];
                    }
                }
            }
        }
        sums.map(|row| row.map(|[a, b, c, d]| (a + b) + (c + d)))
    }
}
