//! Rows of a table in chunks of sixteen numbers: a long row fills chunks, and sixteen short ones take one lane each.

use std::ops::Range;

use crate::simd::LANES;
use crate::table::{Float, Table};
use crate::threads;

/// Chunks that are computed together: a few buffers of this size stay in the first-level cache.
pub(crate) const BLOCK: usize = 32;

/// Chunks of a row after which sums start anew, to be merged in order: so that threads can share a long row.
pub(crate) const SEGMENT: usize = 256 * BLOCK;

/// Classes up to which rows share chunks: a row of its own would leave most lanes of one empty.
const SHORT: usize = 64;

/// Room for a block.
pub(crate) type Buffer<F> = [[F; LANES]; BLOCK];

/// The rows that are read together. What is added up in a lane belongs to one row: see [`Tile::over_row`].
pub(crate) struct Tile<'a, F> {
    table: Table<'a>,
    first_row: usize,
    /// Short rows, a chunk for each class.
    staged: Vec<[F; LANES]>,
    /// A class of a long row that is read as `-inf`.
    hidden: Option<usize>,
}

impl<'a, F: Float> Tile<'a, F> {
    pub(crate) fn new(table: Table<'a>) -> Self {
        let n_staged = if is_short(&table) { table.n_classes() } else { 0 };
        Self { table, first_row: 0, staged: vec![[F::ZERO; LANES]; n_staged], hidden: None }
    }

    /// Goes to these rows; lanes without one repeat the last.
    #[inline(always)]
    pub(crate) fn go_to(&mut self, rows: &Range<usize>) {
        self.first_row = rows.start;
        if self.is_short() {
            let mut line = [F::ZERO; SHORT];
            let line = &mut line[..self.table.n_classes()];
            for lane in 0..LANES {
                let row = (rows.start + lane).min(rows.end - 1);
                let values = if let Some(values) = F::borrow(&self.table, row) {
                    values
                } else {
                    F::read(&self.table, row, 0, line);
                    &*line
                };
                for (chunk, value) in self.staged.iter_mut().zip(values) {
                    chunk[lane] = *value;
                }
            }
        }
    }

    /// Makes a class of each of the rows that it has just gone to `-inf`.
    pub(crate) fn hide(&mut self, classes: &[i64]) {
        if self.is_short() {
            for (lane, class) in classes.iter().enumerate() {
                self.staged[*class as usize][lane] = F::NEG_INFINITY;
            }
        } else {
            self.hidden = Some(classes[0] as usize);
        }
    }

    /// Whether the tile holds a row for each lane.
    #[inline(always)]
    pub(crate) fn is_short(&self) -> bool {
        is_short(&self.table)
    }

    /// Number of chunks, the last of which may have to be filled up.
    #[inline(always)]
    pub(crate) fn n_chunks(&self) -> usize {
        if self.is_short() { self.staged.len() } else { self.table.n_classes().div_ceil(LANES) }
    }

    /// At most [`BLOCK`] chunks. A row's end is filled up with `padding`.
    #[inline(always)]
    pub(crate) fn block<'b>(&'b self, chunks: Range<usize>, padding: F, buffer: &'b mut Buffer<F>) -> &'b [[F; LANES]] {
        if !self.staged.is_empty() {
            return &self.staged[chunks];
        }
        let (start, end) = (chunks.start * LANES, chunks.end * LANES);
        let hidden = self.hidden.filter(|class| (start..end).contains(class));
        if end <= self.table.n_classes()
            && hidden.is_none()
            && let Some(row) = F::borrow(&self.table, self.first_row)
        {
            return row[start..end].as_chunks::<LANES>().0;
        }
        let n_values = end.min(self.table.n_classes()) - start;
        let (values, rest) = buffer.as_flattened_mut()[..end - start].split_at_mut(n_values);
        F::read(&self.table, self.first_row, start, values);
        rest.fill(padding);
        if let Some(class) = hidden {
            values[class - start] = F::NEG_INFINITY;
        }
        &buffer[..chunks.len()]
    }

    /// Sums of lanes as the sums of each lane's row.
    #[inline(always)]
    pub(crate) fn over_row(&self, sums: &[f64; LANES]) -> [f64; LANES] {
        if self.is_short() { *sums } else { [total(sums); LANES] }
    }

    /// Maxima of lanes as the maxima of each lane's row.
    #[inline(always)]
    pub(crate) fn largest_of_row(&self, maxima: &[f64; LANES]) -> [f64; LANES] {
        if self.is_short() { *maxima } else { [maxima.iter().copied().fold(f64::NEG_INFINITY, f64::max); LANES] }
    }
}

#[inline(always)]
fn is_short(table: &Table<'_>) -> bool {
    table.n_classes() <= SHORT
}

/// Number of rows that a tile of this table holds.
#[inline(always)]
pub(crate) fn rows_of_tile(table: &Table<'_>) -> usize {
    if is_short(table) { LANES } else { 1 }
}

/// Whether a row of this table is long enough for threads to share it.
pub(crate) fn is_divisible(table: &Table<'_>) -> bool {
    table.n_classes() > SEGMENT * LANES
}

/// What `f` makes of a row of so many chunks: of each segment, on all threads if `shared`, merged in order.
#[inline(always)]
pub(crate) fn merged<R: Send>(
    n_chunks: usize,
    shared: bool,
    f: impl Fn(Range<usize>) -> R + Send + Sync,
    merge: impl Fn(&mut R, &R),
) -> R {
    if n_chunks <= SEGMENT {
        return f(0..n_chunks);
    }
    let segments = threads::blocks(n_chunks, SEGMENT);
    let parts = threads::map(segments.len(), if shared { usize::MAX } else { 0 }, |i| f(segments[i].clone()));
    let mut parts = parts.into_iter();
    let mut whole = parts.next().expect("a row has a segment");
    parts.for_each(|part| merge(&mut whole, &part));
    whole
}

/// Blocks of these chunks.
#[inline(always)]
pub(crate) fn blocks(chunks: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = chunks.end;
    chunks.step_by(BLOCK).map(move |start| start..end.min(start + BLOCK))
}

/// Sum of the lanes.
#[inline(always)]
pub(crate) fn total(lanes: &[f64; LANES]) -> f64 {
    let mut sums = *lanes;
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}
