//! The largest gaps between two distribution functions, without sorting what cannot hold them.
//!
//! Values are counted in cells of equal width. At the cells' borders the gap is known; within a cell it can grow by no
//! more than the cell's values, so only the cells that could exceed the largest gap at a border are sorted.

use super::sorted::{END, Sorted};
use crate::rank::key;
use crate::simd::{self, Kernel, Level};
use crate::{radix, threads};

/// Fewer values of both samples are sorted faster than counted.
pub(super) const MANY: usize = 1 << 14;
/// As many as are counted in the first cache.
const CELLS: usize = 1 << 13;
/// Values of each sample that the cells' borders are taken from.
const TASTE: usize = 512;
/// Values that one task counts.
const PIECE: usize = 1 << 18;
/// Nanoseconds that a value takes.
const NANOSECONDS: usize = 1;
/// Values that are put into cells side by side.
const LANES: usize = 16;

/// The largest excess of the first distribution function over the second, and of the second over the first, both times
/// the product of the sizes. Nothing if the samples do not spread over cells.
pub(super) fn largest_gaps(first: &[f64], second: &[f64]) -> Option<(u64, u64)> {
    let grid = Grid::over(first, second)?;
    let cells = Cells::new(&grid.count(first), &grid.count(second), (first.len(), second.len()));
    let (mut highest, mut lowest) = cells.gaps_at_borders();
    let open = cells.could_exceed(highest, lowest);
    let sorted = Sorted { first: grid.sorted_keys(first, &open), second: grid.sorted_keys(second, &open) };
    let (mut i, mut j) = (0, 0);
    for cell in (0..CELLS).filter(|cell| open[*cell]) {
        let (n, m) = cells.counts[cell];
        let gaps = sorted.gaps_within((i..i + n, j..j + m), cells.gap_before[cell], cells.sizes);
        (highest, lowest, i, j) = (highest.max(gaps.0), lowest.min(gaps.1), i + n, j + m);
    }
    Some((highest.unsigned_abs(), lowest.unsigned_abs()))
}

/// Cells of equal width between two values; the outermost also hold what lies beyond.
#[derive(Clone, Copy)]
struct Grid {
    low: f64,
    per_unit: f64,
}

impl Grid {
    /// Cells between values that leave out the outermost twenty-fifths.
    fn over(first: &[f64], second: &[f64]) -> Option<Self> {
        let mut taste: Vec<f64> =
            [first, second].iter().flat_map(|x| x.iter().step_by(x.len().div_ceil(TASTE))).copied().collect();
        taste.sort_unstable_by(f64::total_cmp);
        let margin = taste.len() / 25;
        let (low, high) = (taste[margin], taste[taste.len() - 1 - margin]);
        let per_unit = CELLS as f64 / (high - low);
        (per_unit.is_normal() && per_unit > 0.0 && low.is_finite()).then_some(Self { low, per_unit })
    }

    /// The cells of some values: of a larger one the same or a later one.
    #[inline(always)]
    fn cells(&self, values: &[f64; LANES]) -> [u32; LANES] {
        let mut cells = [0; LANES];
        for lane in 0..LANES {
            let place = (values[lane] - self.low) * self.per_unit;
            let place = if place > 0.0 { place } else { 0.0 };
            cells[lane] = (if place < (CELLS - 1) as f64 { place } else { (CELLS - 1) as f64 }) as i32 as u32;
        }
        cells
    }

    /// How many values each cell has.
    fn count(&self, values: &[f64]) -> Vec<usize> {
        let pieces = threads::blocks(values.len(), PIECE);
        let counts = threads::map(pieces.len(), values.len() * NANOSECONDS, |piece| {
            simd::widest(Count { grid: *self, values: &values[pieces[piece].clone()] })
        });
        let mut total = vec![0; CELLS];
        for piece in counts {
            total.iter_mut().zip(piece).for_each(|(total, count)| *total += count as usize);
        }
        total
    }

    /// The keys of the values of open cells, in order and with their end.
    fn sorted_keys(&self, values: &[f64], open: &[bool]) -> Vec<u64> {
        let pieces = threads::blocks(values.len(), PIECE);
        let picked = threads::map(pieces.len(), values.len() * NANOSECONDS, |piece| {
            simd::widest(Pick { grid: *self, values: &values[pieces[piece].clone()], open })
        });
        let mut keys = picked.concat();
        radix::sort(&mut keys);
        keys.push(END);
        keys
    }
}

struct Count<'a> {
    grid: Grid,
    values: &'a [f64],
}

impl Kernel for Count<'_> {
    type Output = Vec<u32>;

    #[inline(always)]
    fn run<L: Level>(self) -> Vec<u32> {
        let mut counts = vec![0; CELLS];
        let (rows, rest) = self.values.as_chunks::<LANES>();
        for row in rows {
            for cell in self.grid.cells(row) {
                counts[cell as usize % CELLS] += 1;
            }
        }
        for cell in &self.grid.cells(&padded(rest))[..rest.len()] {
            counts[*cell as usize] += 1;
        }
        counts
    }
}

struct Pick<'a> {
    grid: Grid,
    values: &'a [f64],
    open: &'a [bool],
}

impl Kernel for Pick<'_> {
    type Output = Vec<u64>;

    #[inline(always)]
    fn run<L: Level>(self) -> Vec<u64> {
        let mut keys = Vec::new();
        let (rows, rest) = self.values.as_chunks::<LANES>();
        for row in rows {
            self.pick::<L>(row, LANES, &mut keys);
        }
        self.pick::<L>(&padded(rest), rest.len(), &mut keys);
        keys
    }
}

impl Pick<'_> {
    #[inline(always)]
    fn pick<L: Level>(&self, values: &[f64; LANES], n: usize, keys: &mut Vec<u64>) {
        let cells = self.grid.cells(values);
        for (value, cell) in values[..n].iter().zip(cells) {
            if self.open[cell as usize % CELLS] {
                keys.push(key(*value));
            }
        }
    }
}

/// The last values, filled up.
fn padded(values: &[f64]) -> [f64; LANES] {
    let mut padded = [0.0; LANES];
    padded[..values.len()].copy_from_slice(values);
    padded
}

/// Both samples in cells.
struct Cells {
    counts: Vec<(usize, usize)>,
    /// The excess of the first distribution function below each cell, times the product of the sizes.
    gap_before: Vec<i64>,
    sizes: (usize, usize),
}

impl Cells {
    fn new(first: &[usize], second: &[usize], sizes: (usize, usize)) -> Self {
        let counts: Vec<_> = first.iter().copied().zip(second.iter().copied()).collect();
        let mut gap = 0;
        let gap_before = counts.iter().map(|(n, m)| {
            let before = gap;
            gap += *n as i64 * sizes.1 as i64 - *m as i64 * sizes.0 as i64;
            before
        });
        Self { gap_before: gap_before.collect(), counts, sizes }
    }

    fn gaps_at_borders(&self) -> (i64, i64) {
        self.gap_before.iter().fold((0, 0), |(high, low), gap| (high.max(*gap), low.min(*gap)))
    }

    /// The cells in which a gap could be above `highest` or below `lowest`: if all its values of one sample come first.
    fn could_exceed(&self, highest: i64, lowest: i64) -> Vec<bool> {
        let reach = self.counts.iter().zip(&self.gap_before).map(|((n, m), before)| {
            (before + *n as i64 * self.sizes.1 as i64, before - *m as i64 * self.sizes.0 as i64)
        });
        reach.map(|(high, low)| high > highest || low < lowest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, as many as asked for.
    fn scattered(n: u64, seed: u64, shape: impl Fn(f64) -> f64) -> Vec<f64> {
        let unit = |i: u64| ((i + seed) * 2 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / 2f64.powi(64);
        (0..n).map(|i| shape(unit(i * i + 17 * i))).collect()
    }

    fn by_sorting(x: &[f64], y: &[f64]) -> (u64, u64) {
        Sorted::new(x, y).unwrap().largest_gaps()
    }

    #[test]
    fn cells_find_what_sorting_finds() {
        let shapes: [fn(f64) -> f64; 6] = [
            |u| u,
            |u| (u - 0.5).powi(-3),
            |u| (u * 40.0).floor(),
            |u| (30.0 * u).exp(),
            |u| {
                if u < 0.2 {
                    f64::NEG_INFINITY
                } else if u > 0.7 {
                    f64::INFINITY
                } else {
                    u
                }
            },
            |u| if u < 0.985 { 0.0 } else { u },
        ];
        for shape in shapes {
            for (n, m, shift) in [(9000, 9000, 0.0), (20_001, 777, 0.0), (5000, 12_345, 0.02)] {
                let (x, y) = (scattered(n, 1, shape), scattered(m, 99, |u| shape((u + shift).min(1.0))));
                if let Some(gaps) = largest_gaps(&x, &y) {
                    assert_eq!(gaps, by_sorting(&x, &y));
                }
            }
        }
        let (x, y) = (scattered(9000, 1, |u| u), scattered(8000, 5, |u| u * u));
        assert_eq!(largest_gaps(&x, &y), Some(by_sorting(&x, &y)));
    }

    #[test]
    fn constants_have_no_cells() {
        assert_eq!(largest_gaps(&[1.0; 9000], &[1.0; 9000]), None);
    }
}
