//! The innermost loops over exponentials: in `f32` for tables of at most 32 bits, else in `f64`.

use std::f32::consts::{LN_2, LOG2_E};

use crate::chunk::BLOCK;
use crate::math;
use crate::simd::{LANES, Level, Singles};
use crate::table::Float;

/// A number format that sums are taken in.
pub(super) trait Terms: Float + PartialOrd {
    /// The nearest such number.
    fn of(x: f64) -> Self;

    /// Largest value of each lane, or in each lane of them all, passing over NaN.
    fn largest<L: Level>(block: &[[Self; LANES]], by_lane: bool) -> [f64; LANES];

    /// Adds the number of values above each lane's target, and of those equal to it.
    fn count<L: Level>(
        block: &[[Self; LANES]],
        targets: &[Self; LANES],
        above: &mut [f64; LANES],
        equal: &mut [f64; LANES],
    );

    /// Adds `e^d`, `e^d d` and `e^d d²` of each value to its lane, as many as `N`; `d <= 0` is the distance from the reference.
    fn add<L: Level, const N: usize>(block: &[[Self; LANES]], reference: &[f64; LANES], sums: &mut [[f64; LANES]; N]);
}

impl Terms for f32 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn largest<L: Level>(block: &[[f32; LANES]], by_lane: bool) -> [f64; LANES] {
        let mut top = [L::Singles::splat(f32::NEG_INFINITY); 2];
        let (pairs, rest) = block.as_chunks::<2>();
        for [a, b] in pairs {
            top = [L::Singles::load(a).maximum(top[0]), L::Singles::load(b).maximum(top[1])];
        }
        if let [last] = rest {
            top[0] = L::Singles::load(last).maximum(top[0]);
        }
        let mut top = top[0].maximum(top[1]).to_array();
        if !by_lane {
            spread(&mut top);
        }
        let mut largest = [0.0; LANES];
        for lane in 0..LANES {
            largest[lane] = f64::from(top[lane]);
        }
        largest
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

    /// Few enough terms of a lane are in a block that their `f32` sum keeps its digits.
    #[inline(always)]
    fn add<L: Level, const N: usize>(block: &[[f32; LANES]], reference: &[f64; LANES], sums: &mut [[f64; LANES]; N]) {
        let mut single = [0.0; LANES];
        for lane in 0..LANES {
            single[lane] = reference[lane] as f32;
        }
        let (reference, lowest) = (L::Singles::load(&single), L::Singles::splat(LOWEST));
        let mut block_sums = [L::Singles::zero(); N];
        for chunk in block {
            let distance = L::Singles::load(chunk).sub(reference);
            let d = lowest.maximum(distance);
            let e = exp(d);
            if N == 3 {
                let e = e.zero_where(distance.below(lowest));
                let weighted = e.mul(d);
                block_sums[0] = block_sums[0].add(e);
                block_sums[1] = block_sums[1].add(weighted);
                block_sums[2] = weighted.mul_add(d, block_sums[2]);
            } else {
                block_sums[0] = block_sums[0].add(e);
            }
        }
        for i in 0..N {
            block_sums[i].add_to(&mut sums[i]);
        }
    }
}

/// The largest of all lanes in each.
#[inline(always)]
fn spread<F: PartialOrd + Copy>(lanes: &mut [F; LANES]) {
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = if lanes[lane + width] > lanes[lane] { lanes[lane + width] } else { lanes[lane] };
        }
    }
    *lanes = [lanes[0]; LANES];
}

/// Where the exponential is next to the smallest normal number: what is left of it is lost in any sum that has a 1.
const LOWEST: f32 = -87.0;

/// `1.5 * 2^23`: adding it rounds to a whole number, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// Coefficients of `e^r` for `r` within half of `ln 2`, from the highest down (largest relative error 1e-7).
const POWER: [f32; 6] = [8.290_306e-3, 4.189_798_2e-2, 1.666_763_7e-1, 4.999_915e-1, 9.999_997e-1, 1.0];

/// `e^d` from [`LOWEST`] to 0, exactly 1 at 0, NaN of NaN.
///
/// Shorter than `exponential::exp`: far from 0, where one part of `ln 2` is not enough, no sum needs all digits.
#[inline(always)]
fn exp<V: Singles>(d: V) -> V {
    let power = d.mul_add(V::splat(LOG2_E), V::splat(ROUND));
    let n = power.sub(V::splat(ROUND));
    let r = n.neg_mul_add(V::splat(LN_2), d);
    let mut sum = V::splat(POWER[0]);
    for coefficient in &POWER[1..] {
        sum = sum.mul_add(r, V::splat(*coefficient));
    }
    sum.times_two_to(n, power)
}

impl Terms for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn largest<L: Level>(block: &[[f64; LANES]], by_lane: bool) -> [f64; LANES] {
        let mut top = [f64::NEG_INFINITY; LANES];
        for chunk in block {
            for lane in 0..LANES {
                top[lane] = if chunk[lane] > top[lane] { chunk[lane] } else { top[lane] };
            }
        }
        if !by_lane {
            spread(&mut top);
        }
        top
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
    fn add<L: Level, const N: usize>(block: &[[f64; LANES]], reference: &[f64; LANES], sums: &mut [[f64; LANES]; N]) {
        let (mut distances, mut terms) = ([[0.0; LANES]; BLOCK], [[0.0; LANES]; BLOCK]);
        for (distances, chunk) in distances.iter_mut().zip(block) {
            for lane in 0..LANES {
                let d = chunk[lane] - reference[lane];
                distances[lane] = if d < f64::MIN { f64::MIN } else { d }; // 0 times infinity would be NaN
            }
        }
        for (term, d) in terms[..block.len()].as_flattened_mut().iter_mut().zip(distances.as_flattened()) {
            *term = math::exp::<L>(*d);
        }
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
    }
}
