//! Rows of a table in blocks of lanes: a long row fills all lanes, and eight short ones take one lane each.

use std::ops::Range;

use crate::lanes::{self, LANES};
use crate::{Real, Rows};

/// Elements that are computed together: a few buffers of this size stay in the first-level cache.
pub(crate) const BLOCK: usize = 256;

/// Classes below which rows share the lanes: a row of its own would leave most of them empty.
const SHORT: usize = 64;

/// The rows that are read together. What is added up in a lane belongs to one row: see [`Tile::over_row`].
pub(crate) struct Tile<'a, T> {
    table: Rows<'a, T>,
    rows: [&'a [T]; LANES],
    /// The block that starts at `staged_at`, if rows are short: their classes in turn.
    staged: [T; BLOCK],
    staged_at: usize,
}

impl<'a, T: Real> Tile<'a, T> {
    #[inline(always)]
    pub(crate) fn new(table: Rows<'a, T>) -> Self {
        let row = table.row(0);
        Self { table, rows: [row; LANES], staged: [row[0]; BLOCK], staged_at: usize::MAX }
    }

    /// Number of rows that a tile of this table holds.
    #[inline(always)]
    pub(crate) fn n_rows(table: &Rows<'a, T>) -> usize {
        if table.n_classes() < SHORT { LANES } else { 1 }
    }

    /// Goes to these rows; lanes without one repeat the last.
    #[inline(always)]
    pub(crate) fn go_to(&mut self, rows: &Range<usize>) {
        for lane in 0..Self::n_rows(&self.table) {
            self.rows[lane] = self.table.row((rows.start + lane).min(rows.end - 1));
        }
        self.staged_at = usize::MAX;
    }

    /// Number of elements in the tile.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.table.n_classes() * Self::n_rows(&self.table)
    }

    /// The elements from `start`, a multiple of [`BLOCK`], to the end or the next multiple.
    #[inline(always)]
    pub(crate) fn block(&mut self, start: usize) -> &[T] {
        let end = self.len().min(start + BLOCK);
        if Self::n_rows(&self.table) == 1 {
            return &self.rows[0][start..end];
        }
        if self.staged_at != start {
            self.stage(start, end);
        }
        &self.staged[..end - start]
    }

    #[inline(always)]
    fn stage(&mut self, start: usize, end: usize) {
        for lane in 0..LANES {
            let classes = &self.rows[lane][start / LANES..end / LANES];
            for (class, value) in classes.iter().enumerate() {
                self.staged[class * LANES + lane] = *value;
            }
        }
        self.staged_at = start;
    }

    /// Sums of lanes as the sums of each lane's row.
    #[inline(always)]
    pub(crate) fn over_row(&self, sums: &[f64; LANES]) -> [f64; LANES] {
        if Self::n_rows(&self.table) == 1 { [lanes::total(sums); LANES] } else { *sums }
    }

    /// Maxima of lanes as the maxima of each lane's row.
    #[inline(always)]
    pub(crate) fn largest_of_row(&self, maxima: &[f64; LANES]) -> [f64; LANES] {
        if Self::n_rows(&self.table) == 1 { [lanes::largest(maxima); LANES] } else { *maxima }
    }

    /// Whether the row of a lane holds a NaN.
    pub(crate) fn has_nan(&self, lane: usize) -> bool {
        self.rows[lane % Self::n_rows(&self.table)].iter().any(|value| value.single().is_nan())
    }
}

/// These rows in groups of `n`.
#[inline(always)]
pub(crate) fn groups(rows: Range<usize>, n: usize) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(n).map(move |first| first..end.min(first + n))
}

/// `f(lane, value)` of each value of a block.
#[inline(always)]
pub(crate) fn by_lane<T: Copy, R>(out: &mut [R], values: &[T], f: impl Fn(usize, T) -> R) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (whole, end) = out.split_at_mut(chunks.len() * LANES);
    for (out, chunk) in whole.as_chunks_mut::<LANES>().0.iter_mut().zip(chunks) {
        for lane in 0..LANES {
            out[lane] = f(lane, chunk[lane]);
        }
    }
    for (lane, (out, value)) in end.iter_mut().zip(rest).enumerate() {
        *out = f(lane, *value);
    }
}
