//! Sums of exponentials over rows, and places of targets in them, in one pass over memory.

use std::marker::PhantomData;
use std::ops::Range;

use crate::chunk::{self, BLOCK, Buffer, SEGMENT, Tile};
use crate::simd::{self, Kernel, LANES, Level};
use crate::table::Table;
use crate::{math, threads};

use super::terms::{BlockSums, Terms};

/// What one row adds up to, in units of the exponential of its largest value.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSums {
    /// Largest value, NaN passed over.
    pub(super) largest: f64,
    /// `Σ e^d`, `Σ e^d d` and `Σ e^d d²` with `d` from the largest value; the first is NaN if a value is.
    pub(super) sums: [f64; 3],
    /// Logarithm of the first sum.
    pub(super) log_sum: f64,
    /// Values above the target, and values equal to it.
    pub(super) above: usize,
    pub(super) equal: usize,
}

impl RowSums {
    /// Of a row that nobody asks for.
    const SKIPPED: Self = Self { largest: f64::NAN, sums: [f64::NAN; 3], log_sum: f64::NAN, above: 0, equal: 0 };

    /// With the rest of the same row.
    fn merge(self, rest: Self) -> Self {
        let largest = self.largest.max(rest.largest);
        let (first, second) = (moved(self.sums, self.largest, largest), moved(rest.sums, rest.largest, largest));
        let sums = std::array::from_fn(|i| first[i] + second[i]);
        let (above, equal) = (self.above + rest.above, self.equal + rest.equal);
        Self { largest, sums, log_sum: sums[0].ln(), above, equal }
    }
}

/// Sums by a larger reference, by the binomial formula.
fn moved(sums: [f64; 3], from: f64, to: f64) -> [f64; 3] {
    if from == to {
        return sums;
    }
    let factor = (from - to).exp();
    let shift = if factor == 0.0 { 0.0 } else { from - to };
    let [zeroth, first, second] = sums;
    [factor * zeroth, factor * (first + shift * zeroth), factor * (second + shift * (2.0 * first + shift * zeroth))]
}

/// The logits of the tokens, one a row. A row whose target is NaN may be left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Targets<'a> {
    pub(super) logits: &'a [f64],
    /// Whether to count what is above them.
    pub(super) places: bool,
}

/// The rest of a row of which one class is left out.
pub(super) fn row_sums_without(table: Table<'_>, classes: &[i64]) -> Vec<RowSums> {
    rows::<1>(table, None, Some(classes))
}

/// [`RowSums`] of each row, only the first of its sums if `N` is 1, all if it is 3.
pub(super) fn row_sums<const N: usize>(table: Table<'_>, targets: Option<Targets<'_>>) -> Vec<RowSums> {
    rows::<N>(table, targets, None)
}

fn rows<const N: usize>(table: Table<'_>, targets: Option<Targets<'_>>, hidden: Option<&[i64]>) -> Vec<RowSums> {
    let (shape, n_chunks) = ((table.n_rows(), table.n_classes()), table.n_classes().div_ceil(LANES));
    if n_chunks <= SEGMENT {
        return threads::map_rows(shape, 1, |rows| Ok(part::<N>(Part { table, rows, chunks: None, targets, hidden })))
            .expect("it has no way to fail");
    }
    let segments = threads::blocks(n_chunks, SEGMENT);
    let parts = threads::map(shape.0 * segments.len(), shape.0 * shape.1, |i| {
        let row = i / segments.len();
        let chunks = Some(segments[i % segments.len()].clone());
        part::<N>(Part { table, rows: row..row + 1, chunks, targets, hidden })[0]
    });
    let whole = |parts: &[RowSums]| parts[1..].iter().fold(parts[0], |row, part| row.merge(*part));
    parts.chunks(segments.len()).map(whole).collect()
}

fn part<const N: usize>(part: Part<'_>) -> Vec<RowSums> {
    if part.table.is_single() {
        simd::widest(Pass::<f32, N>(part, PhantomData))
    } else {
        simd::widest(Pass::<f64, N>(part, PhantomData))
    }
}

/// Some rows, or one segment of a row.
struct Part<'a> {
    table: Table<'a>,
    rows: Range<usize>,
    chunks: Option<Range<usize>>,
    targets: Option<Targets<'a>>,
    /// A class of each row of the table, which is passed over.
    hidden: Option<&'a [i64]>,
}

struct Pass<'a, F, const N: usize>(Part<'a>, PhantomData<F>);

impl<F: Terms, const N: usize> Kernel for Pass<'_, F, N> {
    type Output = Vec<RowSums>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let Part { table, rows, chunks, targets, hidden } = self.0;
        let (mut tile, mut buffer) = (Tile::<F>::new(table), [[F::ZERO; LANES]; BLOCK]);
        let chunks = chunks.unwrap_or(0..tile.n_chunks());
        let (n_rows, mut sums) = (chunk::rows_of_tile(&table), Vec::with_capacity(rows.len()));
        for start in rows.clone().step_by(n_rows) {
            let rows = start..rows.end.min(start + n_rows);
            let targets = targets.map(|targets| Targets { logits: &targets.logits[rows.clone()], ..targets });
            if targets.is_some_and(|targets| targets.logits.iter().all(|logit| logit.is_nan())) {
                sums.extend(rows.map(|_| RowSums::SKIPPED));
                continue;
            }
            tile.go_to(&rows);
            if let Some(hidden) = hidden {
                tile.hide(&hidden[rows.clone()]);
            }
            let targets = targets.filter(|targets| targets.places).map(|targets| lanes_of(targets.logits));
            let state = pass::<F, L, N>(&tile, chunks.clone(), targets, &mut buffer);
            state.append::<F, L>(&tile, rows.len(), &mut sums);
        }
        sums
    }
}

/// One target a lane; lanes without one repeat the last.
fn lanes_of<F: Terms>(targets: &[f64]) -> [F; LANES] {
    std::array::from_fn(|lane| F::of(targets[lane.min(targets.len() - 1)]))
}

#[inline(always)]
fn pass<F: Terms, L: Level, const N: usize>(
    tile: &Tile<'_, F>,
    chunks: Range<usize>,
    targets: Option<[F; LANES]>,
    buffer: &mut Buffer<F>,
) -> State<N> {
    let (mut state, mut seen) = (State::new(), None);
    for chunks in chunk::blocks(chunks) {
        let block = tile.block(chunks, F::NEG_INFINITY, buffer);
        let mut sums = match seen {
            None => BlockSums { sums: [F::lanes::<L>(&[0.0; LANES]); N], top: F::largest::<L>(block) },
            Some((_, reference)) => F::sums::<L, N>(block, reference),
        };
        // Sums by a reference that turns out too low may have overflowed: they are taken again.
        if seen.is_none_or(|(highest, _)| F::is_exceeded::<L>(highest, sums.top)) {
            state.raise::<L, F>(sums.top, tile.is_short());
            let reference = F::lanes::<L>(&state.finite_reference());
            seen = Some((F::lanes::<L>(&state.reference), reference));
            sums = F::sums::<L, N>(block, reference);
        }
        for i in 0..N {
            F::add_to::<L>(sums.sums[i], &mut state.sums[i]);
        }
        if let Some(targets) = &targets {
            F::count::<L>(block, targets, &mut state.above, &mut state.equal);
        }
    }
    state
}

/// Sums of each lane so far.
struct State<const N: usize> {
    reference: [f64; LANES],
    sums: [[f64; LANES]; N],
    above: [f64; LANES],
    equal: [f64; LANES],
}

impl<const N: usize> State<N> {
    #[inline(always)]
    fn new() -> Self {
        let (reference, none) = ([f64::NEG_INFINITY; LANES], [0.0; LANES]);
        Self { reference, sums: [[0.0; LANES]; N], above: none, equal: none }
    }

    /// Goes to the larger reference where there is one. All lanes alike, so that none waits for another.
    #[inline(always)]
    fn raise<L: Level, F: Terms>(&mut self, top: F::Lanes<L>, by_lane: bool) {
        let mut largest = F::widened::<L>(top);
        if !by_lane {
            spread(&mut largest);
        }
        let (mut is_higher, mut is_first) = (false, true);
        for lane in 0..LANES {
            is_higher |= largest[lane] > self.reference[lane];
            is_first &= self.reference[lane] == f64::NEG_INFINITY;
        }
        if !is_higher {
            return;
        }
        if is_first {
            self.reference = largest; // nothing but zeros or NaN has been added up yet
            return;
        }
        let (mut shift, mut factor) = ([0.0; LANES], [1.0; LANES]);
        for lane in 0..LANES {
            let is_higher = largest[lane] > self.reference[lane];
            let higher = if is_higher { largest[lane] } else { self.reference[lane] };
            shift[lane] = if is_higher { self.reference[lane] - higher } else { 0.0 }; // not of infinities
            self.reference[lane] = higher;
        }
        for lane in 0..LANES {
            factor[lane] = math::exp::<L>(shift[lane]);
        }
        for lane in 0..LANES {
            shift[lane] = if factor[lane] == 0.0 { 0.0 } else { shift[lane] };
        }
        self.move_sums(&shift, &factor);
    }

    /// By the binomial formula. NaN stays NaN.
    #[inline(always)]
    fn move_sums(&mut self, shift: &[f64; LANES], factor: &[f64; LANES]) {
        for lane in 0..LANES {
            if N == 3 {
                let twice = 2.0 * self.sums[1][lane] + shift[lane] * self.sums[0][lane];
                self.sums[2][lane] = factor[lane] * (self.sums[2][lane] + shift[lane] * twice);
                self.sums[1][lane] = factor[lane] * (self.sums[1][lane] + shift[lane] * self.sums[0][lane]);
            }
            self.sums[0][lane] *= factor[lane];
        }
    }

    /// An infinite reference would make every difference infinite or NaN.
    #[inline(always)]
    fn finite_reference(&self) -> [f64; LANES] {
        let mut finite = self.reference;
        for lane in 0..LANES {
            finite[lane] = if finite[lane].is_finite() { finite[lane] } else { 0.0 };
        }
        finite
    }

    #[inline(always)]
    fn append<F: Terms, L: Level>(&self, tile: &Tile<'_, F>, n_rows: usize, rows: &mut Vec<RowSums>) {
        if !tile.is_short() {
            rows.push(self.whole::<L>());
            return;
        }
        let mut logs = self.sums[0];
        for log in &mut logs {
            *log = math::ln::<L>(*log);
        }
        for lane in 0..n_rows {
            let mut sums = [0.0; 3];
            for i in 0..N {
                sums[i] = self.sums[i][lane];
            }
            let (above, equal) = (self.above[lane] as usize, self.equal[lane] as usize);
            rows.push(RowSums { largest: self.reference[lane], sums, log_sum: logs[lane], above, equal });
        }
    }

    /// All lanes as those of one row.
    #[inline(always)]
    fn whole<L: Level>(&self) -> RowSums {
        let mut sums = [0.0; 3];
        for i in 0..N {
            sums[i] = chunk::total(&self.sums[i]);
        }
        let (above, equal) = (chunk::total(&self.above) as usize, chunk::total(&self.equal) as usize);
        RowSums { largest: self.reference[0], sums, log_sum: math::ln::<L>(sums[0]), above, equal }
    }
}

/// The largest of all lanes in each.
#[inline(always)]
fn spread(lanes: &mut [f64; LANES]) {
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = if lanes[lane + width] > lanes[lane] { lanes[lane + width] } else { lanes[lane] };
        }
    }
    *lanes = [lanes[0]; LANES];
}
