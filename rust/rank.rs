//! Ranks and rank correlations.

use crate::lanes::{self, LANES};
use crate::simd::{self, Kernel, Level};
use crate::{Error, threads};

/// Mean ranks, 1 for the smallest; equal values share the mean of their ranks. All NaN if a value is.
pub fn midranks(x: &[f64]) -> Vec<f64> {
    if x.iter().any(|x| x.is_nan()) {
        return vec![f64::NAN; x.len()];
    }
    let mut ranks = vec![0.0; x.len()];
    let mut below = 0;
    for group in tie_groups(x).iter() {
        let rank = below as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|i| ranks[*i as usize] = rank);
        below += group.len();
    }
    ranks
}

/// Kendall's tau-b, `(C - D) / sqrt((n0 - n1)(n0 - n2))`: -1 to 1, NaN if a vector is constant or a value is NaN.
///
/// Kendall (1945); discordant pairs are counted by merging (Knight 1966), all counts are exact.
///
/// # Errors
/// [`Error::LengthMismatch`] if the vectors differ in length.
pub fn kendall_tau(x: &[f64], y: &[f64]) -> Result<f64, Error> {
    same_length(x, y)?;
    if x.iter().chain(y).any(|v| v.is_nan()) {
        return Ok(f64::NAN);
    }
    Ok(tau_of(x.iter().map(|v| key(*v)).zip(y.iter().map(|v| key(*v))).collect()))
}

/// Spearman's rho, the Pearson correlation of midranks: -1 to 1, NaN if a vector is constant or a value is NaN.
///
/// # Errors
/// [`Error::LengthMismatch`] if the vectors differ in length.
pub fn spearman_rho(x: &[f64], y: &[f64]) -> Result<f64, Error> {
    same_length(x, y)?;
    if x.iter().chain(y).any(|v| v.is_nan()) {
        return Ok(f64::NAN);
    }
    Ok(rho_of(&centred_ranks(x), &centred_ranks(y)))
}

/// Kendall's tau-b of each pair of columns, row-major; a pair leaves out the items that either lacks (NaN).
///
/// # Errors
/// [`Error::LengthMismatch`] if the columns differ in length.
pub fn kendall_tau_matrix(columns: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    matrix(columns, 30, Ranked::new, tau_of_ranked, kendall_tau)
}

/// Spearman's rho of each pair of columns, row-major; a pair leaves out the items that either lacks (NaN).
///
/// # Errors
/// [`Error::LengthMismatch`] if the columns differ in length.
pub fn spearman_rho_matrix(columns: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    let centred = |x: &[f64]| centred_ranks(x).into_iter().map(|rank| rank as f64).collect::<Vec<_>>();
    matrix(columns, 2, centred, |x, y| simd::widest(RankProduct { x, y }), spearman_rho)
}

/// Correlates all pairs: from what `prepare` makes of each column once if both are complete, else from what they share.
fn matrix<P: Send + Sync>(
    columns: &[Vec<f64>],
    nanoseconds_an_item: usize,
    prepare: impl Fn(&[f64]) -> P + Send + Sync,
    of_prepared: impl Fn(&P, &P) -> f64 + Send + Sync,
    of_vectors: impl Fn(&[f64], &[f64]) -> Result<f64, Error> + Send + Sync,
) -> Result<Vec<f64>, Error> {
    let (n, n_items) = (columns.len(), columns.first().map_or(0, Vec::len));
    columns.iter().try_for_each(|column| same_length(column, &columns[0]))?;
    let prepared = threads::map(n, n * n_items * 50, |i| {
        let complete = !columns[i].iter().any(|x| x.is_nan());
        complete.then(|| prepare(&columns[i]))
    });
    let row = |i: usize| {
        let pair = |j: usize| match (&prepared[i], &prepared[j]) {
            (Some(x), Some(y)) => Ok(of_prepared(x, y)),
            _ => both_defined(&columns[i], &columns[j]).and_then(|(x, y)| of_vectors(&x, &y)),
        };
        (0..=i).map(pair).collect::<Result<Vec<f64>, Error>>()
    };
    let rows = threads::map(n, n * n * n_items * nanoseconds_an_item / 2, row);
    let mut square = vec![f64::NAN; n * n];
    for (i, row) in rows.into_iter().enumerate() {
        for (j, value) in row?.into_iter().enumerate() {
            (square[i * n + j], square[j * n + i]) = (value, value);
        }
    }
    Ok(square)
}

fn both_defined(x: &[f64], y: &[f64]) -> Result<(Vec<f64>, Vec<f64>), Error> {
    same_length(x, y)?;
    Ok(x.iter().zip(y).filter(|(x, y)| !x.is_nan() && !y.is_nan()).unzip())
}

pub(crate) fn same_length<T>(x: &[T], y: &[T]) -> Result<(), Error> {
    let (left, right) = (x.len(), y.len());
    if left == right { Ok(()) } else { Err(Error::LengthMismatch { left, right }) }
}

/// A number that sorts as `x` does, with one key for both zeros.
#[inline(always)]
pub(crate) fn key(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    bits ^ ((bits as i64 >> 63) as u64 | (1 << 63))
}

/// Indices in ascending order of their values, cut into sets of equal values.
pub(crate) struct TieGroups {
    order: Vec<u32>,
    sizes: Vec<u32>,
}

pub(crate) fn tie_groups(x: &[f64]) -> TieGroups {
    let mut sorted: Vec<(u64, u32)> = x.iter().zip(0..).map(|(x, i)| (key(*x), i)).collect();
    sorted.sort_unstable();
    let sizes = sorted.chunk_by(|a, b| a.0 == b.0).map(|group| group.len() as u32).collect();
    TieGroups { order: sorted.into_iter().map(|(_, i)| i).collect(), sizes }
}

impl TieGroups {
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let mut rest = &self.order[..];
        self.sizes.iter().map(move |size| {
            let (group, after) = rest.split_at(*size as usize);
            rest = after;
            group
        })
    }
}

/// Twice the midranks less `n + 1`: whole numbers around 0.
fn centred_ranks(x: &[f64]) -> Vec<i64> {
    let mut ranks = vec![0; x.len()];
    let mut below = 0;
    for group in tie_groups(x).iter() {
        let rank = (2 * below + group.len()) as i64 - x.len() as i64;
        group.iter().for_each(|i| ranks[*i as usize] = rank);
        below += group.len();
    }
    ranks
}

fn rho_of(x: &[i64], y: &[i64]) -> f64 {
    let product = |x: &[i64], y: &[i64]| x.iter().zip(y).map(|(x, y)| i128::from(*x) * i128::from(*y)).sum::<i128>();
    let (xx, yy) = (product(x, x) as f64, product(y, y) as f64);
    correlation(product(x, y) as f64, xx, yy)
}

/// Spearman's rho of vectors of centred ranks.
struct RankProduct<'a> {
    x: &'a [f64],
    y: &'a [f64],
}

impl Kernel for RankProduct<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<L: Level>(self) -> f64 {
        let (mut xy, mut xx, mut yy) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let ((x, x_rest), (y, y_rest)) = (self.x.as_chunks::<LANES>(), self.y.as_chunks::<LANES>());
        for (x, y) in x.iter().zip(y) {
            for lane in 0..LANES {
                xy[lane] += x[lane] * y[lane];
                xx[lane] += x[lane] * x[lane];
                yy[lane] += y[lane] * y[lane];
            }
        }
        for (lane, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
            xy[lane] += x * y;
            xx[lane] += x * x;
            yy[lane] += y * y;
        }
        correlation(lanes::total(&xy), lanes::total(&xx), lanes::total(&yy))
    }
}

/// A column with its order and ties found once.
struct Ranked {
    order: Vec<u32>,
    dense: Vec<u32>,
    tie_runs: Vec<std::ops::Range<usize>>,
    tied: u64,
}

impl Ranked {
    fn new(x: &[f64]) -> Self {
        let (groups, mut dense) = (tie_groups(x), vec![0; x.len()]);
        let (mut start, mut tie_runs) = (0, Vec::new());
        for (rank, group) in (0..).zip(groups.iter()) {
            group.iter().for_each(|i| dense[*i as usize] = rank);
            if group.len() > 1 {
                tie_runs.push(start..start + group.len());
            }
            start += group.len();
        }
        let tied = tie_runs.iter().map(|run| pairs(run.len())).sum();
        Self { order: groups.order, dense, tie_runs, tied }
    }
}

fn tau_of_ranked(x: &Ranked, y: &Ranked) -> f64 {
    let mut in_x_order: Vec<u32> = x.order.iter().map(|i| y.dense[*i as usize]).collect();
    let mut tied_both = 0;
    for run in &x.tie_runs {
        in_x_order[run.clone()].sort_unstable();
        tied_both += tied_pairs(&in_x_order[run.clone()], |a, b| a == b);
    }
    let all = pairs(in_x_order.len());
    tau_of_counts(all, x.tied, y.tied, tied_both, count_inversions(&mut in_x_order))
}

fn tau_of(mut pairs: Vec<(u64, u64)>) -> f64 {
    pairs.sort_unstable();
    let tied_x = tied_pairs(&pairs, |a, b| a.0 == b.0);
    let tied_both = tied_pairs(&pairs, |a, b| a == b);
    let mut y: Vec<u64> = pairs.iter().map(|(_, y)| *y).collect();
    let discordant = count_inversions(&mut y);
    let tied_y = tied_pairs(&y, |a, b| a == b);
    tau_of_counts(self::pairs(y.len()), tied_x, tied_y, tied_both, discordant)
}

fn tau_of_counts(all: u64, tied_x: u64, tied_y: u64, tied_both: u64, discordant: u64) -> f64 {
    let concordant_less_discordant = (all + tied_both) as i64 - (tied_x + tied_y) as i64 - 2 * discordant as i64;
    tau_b(concordant_less_discordant, all - tied_x, all - tied_y)
}

/// tau-b from its counts; the untied pairs of each vector are its denominator.
pub(crate) fn tau_b(concordant_less_discordant: i64, untied_x: u64, untied_y: u64) -> f64 {
    correlation(concordant_less_discordant as f64, untied_x as f64, untied_y as f64)
}

/// `xy / sqrt(xx yy)`, NaN if a vector is constant; the root of the product makes a perfect correlation exactly 1.
#[inline(always)]
pub(crate) fn correlation(xy: f64, xx: f64, yy: f64) -> f64 {
    let product = xx * yy;
    if product > 0.0 { (xy / product.sqrt()).clamp(-1.0, 1.0) } else { f64::NAN }
}

fn tied_pairs<T>(sorted: &[T], same: impl FnMut(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(same).map(|group| pairs(group.len())).sum()
}

/// Number of pairs of `n` things.
fn pairs(n: usize) -> u64 {
    n as u64 * (n as u64).saturating_sub(1) / 2
}

/// Number of pairs out of order; sorts `values`.
fn count_inversions<T: Ord + Copy>(values: &mut [T]) -> u64 {
    const INSERTION: usize = 16;
    let mut inversions = values.chunks_mut(INSERTION).map(insertion_sort::<T>).sum();
    let mut scratch = values.to_vec();
    let mut width = INSERTION;
    while width < values.len() {
        for (from, to) in values.chunks(2 * width).zip(scratch.chunks_mut(2 * width)) {
            let (left, right) = from.split_at(width.min(from.len()));
            inversions += merge(left, right, to);
        }
        values.copy_from_slice(&scratch);
        width *= 2;
    }
    inversions
}

fn insertion_sort<T: Ord>(values: &mut [T]) -> u64 {
    let mut inversions = 0;
    for i in 1..values.len() {
        let mut j = i;
        while j > 0 && values[j - 1] > values[j] {
            values.swap(j - 1, j);
            j -= 1;
        }
        inversions += (i - j) as u64;
    }
    inversions
}

fn merge<T: Ord + Copy>(left: &[T], right: &[T], to: &mut [T]) -> u64 {
    let (mut i, mut j, mut inversions) = (0, 0, 0);
    for slot in to {
        let take_right = j < right.len() && (i == left.len() || right[j] < left[i]);
        *slot = if take_right { right[j] } else { left[i] };
        inversions += if take_right { (left.len() - i) as u64 } else { 0 };
        i += usize::from(!take_right);
        j += usize::from(take_right);
    }
    inversions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_and_rho_of_a_known_example() {
        let (x, y) = ([1.0, 2.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 3.0, 3.0, 5.0, 4.0]);
        assert!((kendall_tau(&x, &y).unwrap() - 0.642_857_142_9).abs() < 1e-10);
        assert!((spearman_rho(&x, &y).unwrap() - 0.808_823_529_4).abs() < 1e-10);
    }

    #[test]
    fn constants_and_single_items_have_no_correlation() {
        assert!(kendall_tau(&[1.0, 1.0], &[1.0, 2.0]).unwrap().is_nan());
        assert!(spearman_rho(&[1.0], &[1.0]).unwrap().is_nan());
        assert!(kendall_tau(&[], &[]).unwrap().is_nan());
    }

    #[test]
    fn zeros_are_equal_and_infinities_are_ordered() {
        assert_eq!(midranks(&[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY]), [2.5, 2.5, 4.0, 1.0]);
    }

    #[test]
    fn inversions_are_counted_as_by_hand() {
        let mut values: Vec<u64> = (0..100).rev().collect();
        assert_eq!(count_inversions(&mut values), 4950);
        assert!(values.is_sorted());
    }
}
