//! The exponential function of sixteen `f32` at once.

use std::f32::consts::{LN_2, LOG2_E};

use crate::simd::Singles;

/// Natural logarithm of 2 in two parts; the first has 15 trailing zero bits, so whole multiples of it are exact.
pub(crate) const LN_2_HIGH: f32 = 0.693_359_4;
pub(crate) const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `1.5 * 2^23`: adding it rounds to a whole number, which then stands in the lowest bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// Below this the results would not be normal numbers.
pub(crate) const LOWEST: f32 = -87.0;

/// Coefficients of `e^r` for `r` within half of `ln 2` (largest relative error 1e-8 but for rounding), from the highest down.
const POWER: [f32; 7] = [1.384_346_6e-3, 8.374_317e-3, 4.166_801_3e-2, 1.666_643e-1, 4.999_999_4e-1, 1.0, 1.0];

/// The same with fewer (largest relative error 1e-7).
const SHORT_POWER: [f32; 6] = [8.290_306e-3, 4.189_798_2e-2, 1.666_763_7e-1, 4.999_915e-1, 9.999_997e-1, 1.0];

/// `e^x` for `x` from [`LOWEST`] to 88, exactly 1 at 0, NaN of NaN.
///
/// Shorter than [`exp`], for sums that have a 1: far from 0, where one part of `ln 2` is not enough, they need few digits.
#[inline(always)]
pub(crate) fn short_exp<V: Singles>(x: V) -> V {
    let power = x.mul_add(V::splat(LOG2_E), V::splat(ROUND));
    let n = power.sub(V::splat(ROUND));
    let r = n.neg_mul_add(V::splat(LN_2), x);
    let mut sum = V::splat(SHORT_POWER[0]);
    for coefficient in &SHORT_POWER[1..] {
        sum = sum.mul_add(r, V::splat(*coefficient));
    }
    sum.times_two_to(n, power)
}

/// `e^x` for `x <= 88`, exactly 0 below [`LOWEST`], NaN of NaN. Relative error below 2e-7.
#[inline(always)]
pub(crate) fn exp<V: Singles>(x: V) -> V {
    exp_and_zeros(x).0
}

/// The same, and where it is 0.
#[inline(always)]
pub(crate) fn exp_and_zeros<V: Singles>(x: V) -> (V, V::Mask) {
    let power = x.mul_add(V::splat(LOG2_E), V::splat(ROUND));
    let n = power.sub(V::splat(ROUND));
    let r = n.neg_mul_add(V::splat(LN_2_LOW), n.neg_mul_add(V::splat(LN_2_HIGH), x));
    let mut sum = V::splat(POWER[0]);
    for coefficient in &POWER[1..] {
        sum = sum.mul_add(r, V::splat(*coefficient));
    }
    let zeros = x.below(V::splat(LOWEST));
    (sum.times_two_to(n, power).zero_where(zeros), zeros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Kernel, Level};

    #[derive(Clone)]
    struct Checks;

    impl Kernel for Checks {
        type Output = ();

        #[inline(always)]
        fn run<L: Level>(self) {
            let exp = |x: f32| exp(L::Singles::splat(x)).to_array()[0];
            for i in 0..200_000 {
                let x = 175.0 * (i as f32 / 200_000.0) - 87.0;
                let expected = f64::from(x).exp();
                assert!((f64::from(exp(x)) - expected).abs() <= 2e-7 * expected, "{} at {x}", exp(x));
            }
            assert_eq!((exp(0.0), exp(-87.1), exp(f32::MIN), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0, 0.0));
            assert!(exp(f32::NAN).is_nan());
        }
    }

    #[test]
    fn it_is_close_to_double_precision_at_every_level() {
        simd::at_each(Checks);
    }
}
