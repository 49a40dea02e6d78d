//! Two probabilities by the distance of their logarithms, in units of the larger, sixteen pairs at once.
//!
//! Each part is right to a few units in its own last place, however small: nothing here is a difference of near equals.

use std::f32::consts::LOG2_E;

use crate::exponential::{LN_2_HIGH, LN_2_LOW, ROUND};
use crate::simd::Singles;

/// Coefficients of `(e^r - 1 - r) / r^2` for `r` within half of `ln 2` (largest error 7e-8), from the highest down.
const EXCESS: [f32; 5] = [1.392_625e-3, 8.363_233e-3, 4.166_655e-2, 1.666_657_6e-1, 0.5];

/// Coefficients of what [`Gap::js`] says, for `z` within [0, 1] (largest error 1.2e-8).
const JS: [f32; 8] = [
    -3.929_082_3e-4,
    6.140_154e-4,
    -1.114_522_5e-3,
    -6.614_041e-4,
    -3.227_231_6e-3,
    -1.040_345_8e-2,
    -4.166_730_5e-2,
    0.75,
];

/// The distance from which on the smaller probability is no normal number.
pub(super) const FAR: f32 = 87.0;

/// The distance below which half of it is its own remainder of `ln 2`.
const NEAR: f32 = 0.69;

/// Distance `d >= 0` of two logarithms.
#[derive(Clone, Copy)]
pub(super) struct Gap<V> {
    /// `d`, but at most [`FAR`].
    pub(super) distance: V,
    /// `u = e^(-d / 2)`, at most [`FAR`] down.
    pub(super) root: V,
    /// `v = 1 - u`.
    pub(super) root_difference: V,
    /// `d + e^-d - 1`: the larger's part of a divergence of Kullback and Leibler; infinite if `d` is.
    pub(super) of_larger: V,
}

/// Odd and even powers apart: two short chains of dependent operations instead of a long one.
#[inline(always)]
fn polynomial<V: Singles, const N: usize>(coefficients: &[f32; N], x: V) -> V {
    let square = x.mul(x);
    let mut sums = [V::splat(coefficients[0]), V::splat(coefficients[1])];
    for i in 2..N {
        sums[i % 2] = sums[i % 2].mul_add(square, V::splat(coefficients[i]));
    }
    sums[N % 2].mul_add(x, sums[(N + 1) % 2])
}

impl<V: Singles> Gap<V> {
    /// From half the distance, because Hellinger's part needs that.
    #[inline(always)]
    pub(super) fn new(d: V) -> Self {
        let (zero, one) = (V::zero(), V::splat(1.0));
        let x = V::splat(-0.5 * FAR).maximum(V::splat(-0.5).mul(d)); // in this order NaN stays
        let power = x.mul_add(V::splat(LOG2_E), V::splat(ROUND));
        let n = power.sub(V::splat(ROUND));
        let r = n.neg_mul_add(V::splat(LN_2_LOW), n.neg_mul_add(V::splat(LN_2_HIGH), x));
        let excess = r.mul(r).mul(polynomial(&EXCESS, r));
        let (power, tail) = (one.times_two_to(n, power), r.add(excess));
        let root_difference = power.neg_mul_add(tail, one.sub(power));
        let difference = root_difference.mul_add(power.mul_add(tail, power), root_difference);
        let near = root_difference.mul_add(root_difference, excess.add(excess));
        Self {
            distance: zero.sub(x.add(x)),
            root: power.mul_add(tail, power),
            root_difference,
            of_larger: V::select(d.below(V::splat(NEAR)), near, d.sub(difference)),
        }
    }

    /// The smaller, `w = e^-d`.
    #[inline(always)]
    pub(super) fn smaller(self) -> V {
        self.root.mul(self.root)
    }

    /// `z = 1 - e^-d`.
    #[inline(always)]
    pub(super) fn difference(self) -> V {
        self.root_difference.mul_add(self.root, self.root_difference)
    }

    /// `w ln w + 1 - w = z - w d`: the smaller's part of a divergence of Kullback and Leibler.
    #[inline(always)]
    pub(super) fn of_smaller(self) -> V {
        let difference = self.difference();
        let near = difference.mul_add(self.distance, V::zero().sub(self.of_larger));
        let far = self.smaller().neg_mul_add(self.distance, difference);
        V::select(self.distance.below(V::splat(NEAR)), near, far)
    }

    /// `-(1 + w) ln((1 + w) / 2) + w ln w`, both parts of a divergence of Jensen and Shannon, twice.
    ///
    /// It is `z^2 f(z) - w (d - z)` with `f(z) = 1/2 - (2 - z) (ln(1 - z/2) + z/2) / z^2`, which hardly bends.
    #[inline(always)]
    pub(super) fn js(self) -> V {
        let difference = self.difference();
        let far = V::splat(-FAR).maximum(V::zero().sub(self.of_larger)); // finite, and NaN stays
        let square = difference.mul(difference);
        square.mul_add(polynomial(&JS, difference), self.smaller().mul(far))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Kernel, Level};

    fn assert_close(ours: f32, expected: f64, tolerance: f64, x: f64) {
        let error = (f64::from(ours) - expected).abs();
        assert!(error <= tolerance * expected.abs(), "{ours} is not {expected} at {x}: {}", error / expected);
    }

    #[derive(Clone)]
    struct Checks;

    impl Kernel for Checks {
        type Output = ();

        #[inline(always)]
        fn run<L: Level>(self) {
            let first = |x: L::Singles| x.to_array()[0];
            for i in 1..200_000 {
                let x = (80.0 * (f64::from(i) / 200_000.0).powi(4)) as f32;
                let (d, gap) = (f64::from(x), Gap::new(L::Singles::splat(x)));
                let (w, z) = ((-d).exp(), -(-d).exp_m1());
                // By their series where double precision has no digits left.
                let small = d < 1e-3;
                let larger = if small { d * d / 2.0 - d.powi(3) / 6.0 + d.powi(4) / 24.0 } else { d - z };
                let smaller = if small { d * d / 2.0 - d.powi(3) / 3.0 + d.powi(4) / 8.0 } else { z - w * d };
                let js = if small { d * d / 4.0 - d.powi(3) / 8.0 } else { -(1.0 + w) * (-z / 2.0).ln_1p() - w * d };
                assert_close(first(gap.smaller()), w, 4e-7, d);
                assert_close(first(gap.difference()), z, 3e-7, d);
                assert_close(first(gap.root_difference), -(-0.5 * d).exp_m1(), 3e-7, d);
                assert_close(first(gap.of_larger), larger, 1.5e-6, d);
                assert_close(first(gap.of_smaller()), smaller, 1.5e-6, d);
                assert_close(first(gap.js()), js, 2e-6, d);
            }
            let (none, far) = (Gap::new(L::Singles::zero()), Gap::new(L::Singles::splat(f32::INFINITY)));
            for part in [none.difference(), none.of_larger, none.of_smaller(), none.root_difference, none.js()] {
                assert_eq!(first(part), 0.0);
            }
            let parts = [far.difference(), far.of_larger, far.of_smaller(), far.root_difference].map(first);
            assert_eq!(parts, [1.0, f32::INFINITY, 1.0, 1.0]);
            assert!((first(far.js()) - std::f32::consts::LN_2).abs() < 1e-7);
            let undefined = Gap::new(L::Singles::splat(f32::NAN));
            assert!(first(undefined.js()).is_nan() && first(undefined.of_smaller()).is_nan());
        }
    }

    #[test]
    fn errors_are_relative_to_each_part_at_every_level() {
        simd::at_each(Checks);
    }
}
