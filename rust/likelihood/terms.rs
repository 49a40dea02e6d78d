//! The innermost loops over exponentials: in `f32` for tables of at most 32 bits, else in `f64`.

use crate::chunk::BLOCK;
use crate::exponential::{LOWEST, short_exp};
use crate::math;
use crate::simd::{LANES, Level, Singles, prefetch};
use crate::table::Float;

/// Sums over one block, few enough terms that `f32` keeps their digits, and the largest value; of each lane.
#[derive(Clone, Copy)]
pub(super) struct BlockSums<V, const N: usize> {
    pub(super) sums: [V; N],
    /// NaN passed over.
    pub(super) top: V,
}

/// A number format that sums are taken in.
pub(super) trait Terms: Float + PartialOrd {
    /// Sixteen such numbers, in registers where there are any for them.
    type Lanes<L: Level>: Copy;

    /// The nearest such number.
    fn of(x: f64) -> Self;

    /// The nearest such numbers.
    fn lanes<L: Level>(x: &[f64; LANES]) -> Self::Lanes<L>;

    /// The same numbers.
    fn widened<L: Level>(lanes: Self::Lanes<L>) -> [f64; LANES];

    /// Largest value of each lane, passing over NaN.
    fn largest<L: Level>(block: &[[Self; LANES]]) -> Self::Lanes<L>;

    /// Whether in any lane `top` is above `highest`.
    fn is_exceeded<L: Level>(highest: Self::Lanes<L>, top: Self::Lanes<L>) -> bool;

    /// Adds the number of values above each lane's target, and of those equal to it.
    fn count<L: Level>(
        block: &[[Self; LANES]],
        targets: &[Self; LANES],
        above: &mut [f64; LANES],
        equal: &mut [f64; LANES],
    );

    /// Sums of `e^d`, `e^d d` and `e^d d²`, as many as `N`; `d` is the distance from the reference, at most 0.
    fn sums<L: Level, const N: usize>(
        block: &[[Self; LANES]],
        reference: Self::Lanes<L>,
    ) -> BlockSums<Self::Lanes<L>, N>;

    /// Adds each to its sum.
    fn add_to<L: Level>(lanes: Self::Lanes<L>, sums: &mut [f64; LANES]);
}

impl Terms for f32 {
    type Lanes<L: Level> = L::Singles;

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn lanes<L: Level>(x: &[f64; LANES]) -> L::Singles {
        let mut single = [0.0; LANES];
        for lane in 0..LANES {
            single[lane] = x[lane] as f32;
        }
        L::Singles::load(&single)
    }

    #[inline(always)]
    fn widened<L: Level>(lanes: L::Singles) -> [f64; LANES] {
        let (single, mut wide) = (lanes.to_array(), [0.0; LANES]);
        for lane in 0..LANES {
            wide[lane] = f64::from(single[lane]);
        }
        wide
    }

    #[inline(always)]
    fn largest<L: Level>(block: &[[f32; LANES]]) -> L::Singles {
        let mut top = L::Singles::splat(f32::NEG_INFINITY);
        for chunk in block {
            top = L::Singles::load(chunk).maximum(top);
        }
        top
    }

    #[inline(always)]
    fn is_exceeded<L: Level>(highest: L::Singles, top: L::Singles) -> bool {
        L::Singles::any(highest.below(top))
    }

    /// A block has few enough values for exact counts in `f32`.
    #[inline(always)]
    fn count<L: Level>(
        block: &[[f32; LANES]],
        targets: &[f32; LANES],
        above: &mut [f64; LANES],
        equal: &mut [f64; LANES],
    ) {
        let (targets, one, zero) = (L::Singles::load(targets), L::Singles::splat(1.0), L::Singles::zero());
        let mut counts = [zero; 2];
        for chunk in block {
            let values = L::Singles::load(chunk);
            counts[0] = counts[0].add(L::Singles::select(targets.below(values), one, zero));
            counts[1] = counts[1].add(L::Singles::select(targets.equals(values), one, zero));
        }
        counts[0].add_to(above);
        counts[1].add_to(equal);
    }

    #[inline(always)]
    fn sums<L: Level, const N: usize>(block: &[[f32; LANES]], reference: L::Singles) -> BlockSums<L::Singles, N> {
        let (lowest, mut sums) = (L::Singles::splat(LOWEST), [L::Singles::zero(); N]);
        let mut top = L::Singles::splat(f32::NEG_INFINITY);
        for chunk in block {
            prefetch(chunk);
            let value = L::Singles::load(chunk);
            top = value.maximum(top);
            let distance = value.sub(reference);
            let d = lowest.maximum(distance); // what is left of the exponential there is lost in any sum that has a 1
            let e = short_exp(d);
            if N == 3 {
                let e = e.zero_where(distance.below(lowest));
                let weighted = e.mul(d);
                sums[0] = sums[0].add(e);
                sums[1] = sums[1].add(weighted);
                sums[2] = weighted.mul_add(d, sums[2]);
            } else {
                sums[0] = sums[0].add(e);
            }
        }
        BlockSums { sums, top }
    }

    #[inline(always)]
    fn add_to<L: Level>(lanes: L::Singles, sums: &mut [f64; LANES]) {
        lanes.add_to(sums);
    }
}

impl Terms for f64 {
    type Lanes<L: Level> = [f64; LANES];

    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn lanes<L: Level>(x: &[f64; LANES]) -> [f64; LANES] {
        *x
    }

    #[inline(always)]
    fn widened<L: Level>(lanes: [f64; LANES]) -> [f64; LANES] {
        lanes
    }

    #[inline(always)]
    fn largest<L: Level>(block: &[[f64; LANES]]) -> [f64; LANES] {
        let mut top = [f64::NEG_INFINITY; LANES];
        for chunk in block {
            for lane in 0..LANES {
                top[lane] = if chunk[lane] > top[lane] { chunk[lane] } else { top[lane] };
            }
        }
        top
    }

    #[inline(always)]
    fn is_exceeded<L: Level>(highest: [f64; LANES], top: [f64; LANES]) -> bool {
        let mut is_above = false;
        for lane in 0..LANES {
            is_above |= top[lane] > highest[lane];
        }
        is_above
    }

    #[inline(always)]
    fn count<L: Level>(
        block: &[[f64; LANES]],
        targets: &[f64; LANES],
        above: &mut [f64; LANES],
        equal: &mut [f64; LANES],
    ) {
        for chunk in block {
            for lane in 0..LANES {
                above[lane] += if chunk[lane] > targets[lane] { 1.0 } else { 0.0 };
                equal[lane] += if chunk[lane] == targets[lane] { 1.0 } else { 0.0 };
            }
        }
    }

    #[inline(always)]
    fn sums<L: Level, const N: usize>(block: &[[f64; LANES]], reference: [f64; LANES]) -> BlockSums<[f64; LANES], N> {
        let (mut distances, mut terms) = ([[0.0; LANES]; BLOCK], [[0.0; LANES]; BLOCK]);
        for (distances, chunk) in distances.iter_mut().zip(block) {
            for lane in 0..LANES {
                let d = chunk[lane] - reference[lane];
                let d = if d < f64::MIN { f64::MIN } else { d }; // 0 times infinity would be NaN
                distances[lane] = if d > 0.0 { 0.0 } else { d }; // above a reference that is too low
            }
        }
        for (term, d) in terms[..block.len()].as_flattened_mut().iter_mut().zip(distances.as_flattened()) {
            *term = math::exp::<L>(*d);
        }
        let mut sums = [[0.0; LANES]; N];
        for (term, d) in terms[..block.len()].iter().zip(&distances) {
            for lane in 0..LANES {
                sums[0][lane] += term[lane];
                if N == 3 {
                    let weighted = term[lane] * d[lane];
                    sums[1][lane] += weighted;
                    sums[2][lane] += weighted * d[lane];
                }
            }
        }
        BlockSums { sums, top: Self::largest::<L>(block) }
    }

    #[inline(always)]
    fn add_to<L: Level>(lanes: [f64; LANES], sums: &mut [f64; LANES]) {
        for lane in 0..LANES {
            sums[lane] += lanes[lane];
        }
    }
}
