//! `ln Σ exp` of rows, in one pass over memory.

use std::ops::Range;

use crate::chunk::{self, Buffer, Tile};
use crate::exponential::exp;
use crate::math;
use crate::simd::{self, Kernel, LANES, Level, Singles, prefetch};
use crate::table::Float;

/// How far above its reference a number may be before sums of exponentials need a higher one: `e^40` leaves them room.
const HEAD_ROOM: f32 = 40.0;

/// Sums of exponentials, each relative to its lane's reference, which need not be the largest number but is near it.
#[derive(Clone)]
pub(crate) struct LogSums {
    pub(crate) reference: [f64; LANES],
    pub(crate) sum: [f64; LANES],
}

impl LogSums {
    /// Of no numbers.
    pub(crate) const EMPTY: Self = Self { reference: [f64::MIN; LANES], sum: [0.0; LANES] };

    /// Adds the numbers of a later part of the same rows.
    pub(crate) fn merge(&mut self, other: &Self) {
        for lane in 0..LANES {
            let reference = self.reference[lane].max(other.reference[lane]);
            let share = |sums: &Self| sums.sum[lane] * (sums.reference[lane] - reference).exp();
            self.sum[lane] = share(self) + share(other);
            self.reference[lane] = reference;
        }
    }

    /// The logarithm of each lane's row. NaN if it holds NaN or infinity, `-inf` if all its numbers are.
    pub(crate) fn logs<F: Float>(&self, tile: &Tile<'_, F>) -> [f64; LANES] {
        if tile.is_short() {
            let logs = math::logs(&self.sum);
            return std::array::from_fn(|lane| self.reference[lane] + logs[lane]);
        }
        [self.reference[0] + chunk::total(&self.sum).ln(); LANES]
    }
}

/// `ln Σ exp` of each lane's row; threads share it if `shared`, to the same result.
pub(crate) fn log_sums<'t, F: Float>(tile: &'t Tile<'t, F>, shared: bool) -> [f64; LANES]
where
    for<'b> Sum<'t, 'b, F>: Kernel<Output = LogSums>,
{
    let sum = |chunks| F::with_buffers(|[buffer, _]| simd::widest(Sum { tile, chunks, buffer }));
    chunk::merged(tile.n_chunks(), shared, sum, LogSums::merge).logs(tile)
}

/// Exponentials of these chunks, summed.
pub(crate) struct Sum<'a, 'b, F> {
    tile: &'a Tile<'a, F>,
    chunks: Range<usize>,
    buffer: &'b mut Buffer<F>,
}

impl Kernel for Sum<'_, '_, f32> {
    type Output = LogSums;

    #[inline(always)]
    fn run<L: Level>(self) -> LogSums {
        let (buffer, mut sums) = (self.buffer, LogSums::EMPTY);
        let mut reference = Reference::<L::Singles>::unset();
        for chunks in chunk::blocks(self.chunks) {
            let block = self.tile.block(chunks, f32::NEG_INFINITY, buffer);
            if reference.is_unset() {
                reference.raise(largest(block), self.tile.is_short());
            }
            let before = sums.sum;
            let top = add_exponentials(&mut sums.sum, block, reference.value);
            if reference.is_exceeded(top) {
                sums.sum = before;
                lower(&mut sums.sum, &reference.raise(top, self.tile.is_short()));
                add_exponentials(&mut sums.sum, block, reference.value);
            }
        }
        sums.reference = reference.value.to_array().map(f64::from);
        sums
    }
}

/// Adds in `f64`: where one class has nearly all the mass, what the others have would be lost beside it. The largest number.
#[inline(always)]
fn add_exponentials<V: Singles>(sums: &mut [f64; LANES], block: &[[f32; LANES]], reference: V) -> V {
    let (mut sum, mut top) = (*sums, V::splat(f32::MIN));
    for chunk in block {
        prefetch(chunk);
        let x = V::load(chunk);
        top = x.maximum(top);
        exp(x.sub(reference)).add_to(&mut sum);
    }
    *sums = sum;
    top
}

/// Largest number of each lane, but for NaN.
#[inline(always)]
pub(crate) fn largest<V: Singles>(block: &[[f32; LANES]]) -> V {
    let mut top = V::splat(f32::MIN);
    for chunk in block {
        top = V::load(chunk).maximum(top);
    }
    top
}

/// What exponentials are taken relative to.
#[derive(Clone, Copy)]
pub(crate) struct Reference<V> {
    pub(crate) value: V,
    is_set: bool,
}

impl<V: Singles> Reference<V> {
    #[inline(always)]
    pub(crate) fn unset() -> Self {
        Self { value: V::splat(f32::MIN), is_set: false }
    }

    /// One that stays.
    #[inline(always)]
    pub(crate) fn zero() -> Self {
        Self { value: V::zero(), is_set: true }
    }

    #[inline(always)]
    pub(crate) fn is_unset(&self) -> bool {
        !self.is_set
    }

    /// Whether a largest number is too far above it.
    #[inline(always)]
    pub(crate) fn is_exceeded(&self, top: V) -> bool {
        V::any(self.exceeded(top))
    }

    #[inline(always)]
    fn exceeded(&self, top: V) -> V::Mask {
        self.value.add(V::splat(HEAD_ROOM)).below(top)
    }

    /// Raises it to the largest number of its row where that is too far above, so that no row's sums depend on the rows
    /// beside it; by how much that was.
    #[inline(always)]
    pub(crate) fn raise(&mut self, top: V, each_lane: bool) -> [f64; LANES] {
        let (before, mut after) = (self.value.to_array(), V::select(self.exceeded(top), top, self.value).to_array());
        if !each_lane {
            after = [after.iter().copied().fold(f32::MIN, f32::max); LANES];
        }
        *self = Self { value: V::load(&after), is_set: true };
        let mut raised = [0.0; LANES];
        for lane in 0..LANES {
            raised[lane] = f64::from(after[lane]) - f64::from(before[lane]);
        }
        raised
    }
}

/// Makes sums of exponentials relative to a raised reference.
#[cold]
pub(crate) fn lower(sums: &mut [f64; LANES], raised: &[f64; LANES]) {
    for lane in 0..LANES {
        if sums[lane] != 0.0 {
            sums[lane] *= (-raised[lane]).exp();
        }
    }
}

impl Kernel for Sum<'_, '_, f64> {
    type Output = LogSums;

    #[inline(always)]
    fn run<L: Level>(self) -> LogSums {
        let (buffer, mut sums) = (self.buffer, LogSums::EMPTY);
        for chunks in chunk::blocks(self.chunks.clone()) {
            for chunk in self.tile.block(chunks, f64::NEG_INFINITY, buffer) {
                for lane in 0..LANES {
                    let (x, top) = (chunk[lane], sums.reference[lane]);
                    sums.reference[lane] = if x > top { x } else { top };
                }
            }
        }
        sums.reference = self.tile.largest_of_row(&sums.reference);
        for chunks in chunk::blocks(self.chunks) {
            for chunk in self.tile.block(chunks, f64::NEG_INFINITY, buffer) {
                for lane in 0..LANES {
                    sums.sum[lane] += math::exp::<L>(chunk[lane] - sums.reference[lane]);
                }
            }
        }
        sums
    }
}
