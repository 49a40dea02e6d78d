//! The same in `f32`, where a register holds twice as many numbers and polynomials are half as long.
//!
//! As in `math`: no branches, no tables, a fixed sequence of operations. Relative errors are below 2e-7.

use std::f32::consts::LOG2_E;

use crate::simd::Level;

/// Natural logarithm of 2 in two parts; the first has 15 trailing zero bits, so whole multiples of it are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `1.5 * 2^23`: adding it rounds to a whole number, which then stands in the lowest bits.
const ROUND: f32 = 12_582_912.0;

const EXPONENT_BITS: u32 = 23;
const ONE: u32 = 127 << EXPONENT_BITS;

/// Where numbers stop being normal.
const LOWEST: f32 = -87.0;

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

#[inline(always)]
fn mul_add<L: Level>(a: f32, b: f32, c: f32) -> f32 {
    if L::FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn polynomial<L: Level, const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut sum = coefficients[0];
    for i in 1..N {
        sum = mul_add::<L>(sum, x, coefficients[i]);
    }
    sum
}

/// `e^x` as `2^n (1 + r + excess)`.
struct Parts {
    power: f32,
    r: f32,
    excess: f32,
}

impl Parts {
    #[inline(always)]
    fn new<L: Level>(x: f32) -> Self {
        let shifted = mul_add::<L>(x, LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = mul_add::<L>(-n, LN_2_LOW, mul_add::<L>(-n, LN_2_HIGH, x));
        let power = f32::from_bits((shifted.to_bits() << EXPONENT_BITS).wrapping_add(ONE));
        Self { power, r, excess: r * r * polynomial::<L, _>(&EXCESS, r) }
    }
}

/// `e^x` for `x <= 88`, and 0 below -87.
#[inline(always)]
pub(crate) fn exp<L: Level>(x: f32) -> f32 {
    let Parts { power, r, excess } = Parts::new::<L>(x);
    let value = mul_add::<L>(power, r + excess, power);
    if x < LOWEST { 0.0 } else { value }
}

/// Two probabilities by the distance `d >= 0` of their logarithms, in units of the larger.
///
/// Each part is right to a few units in its own last place, however small: nothing here is a difference of near equals.
#[derive(Clone, Copy)]
pub(crate) struct Gap {
    /// `d`.
    pub(crate) distance: f32,
    /// The smaller, `w = e^-d`.
    pub(crate) smaller: f32,
    /// The difference, `z = 1 - e^-d`.
    pub(crate) difference: f32,
    /// `ln(1 / w) + w - 1 = d - z`: the larger's part of a divergence of Kullback and Leibler.
    pub(crate) of_larger: f32,
    near: bool,
}

impl Gap {
    #[inline(always)]
    pub(crate) fn new<L: Level>(distance: f32) -> Self {
        let x = if -distance < LOWEST { LOWEST } else { -distance };
        let Parts { power, r, excess } = Parts::new::<L>(x);
        let near = power == 1.0; // then r is -d itself, and z needs no difference
        let power = if -distance < LOWEST { 0.0 } else { power };
        let tail = r + excess;
        let difference = mul_add::<L>(-power, tail, 1.0 - power);
        let of_larger = if near { excess } else { distance - difference };
        Self { distance, smaller: mul_add::<L>(power, tail, power), difference, of_larger, near }
    }

    /// `w ln w + 1 - w = z - w d`: the smaller's part.
    #[inline(always)]
    pub(crate) fn of_smaller<L: Level>(self) -> f32 {
        let near = mul_add::<L>(self.difference, self.distance, -self.of_larger);
        let far = mul_add::<L>(-self.smaller, self.distance, self.difference);
        if self.near { near } else { far }
    }

    /// `-(1 + w) ln((1 + w) / 2) + w ln w`, both parts of a divergence of Jensen and Shannon, twice.
    ///
    /// It is `z^2 f(z) - w (d - z)` with `f(z) = 1/2 - (2 - z) (ln(1 - z/2) + z/2) / z^2`, which hardly bends.
    #[inline(always)]
    pub(crate) fn js<L: Level>(self) -> f32 {
        let curve = polynomial::<L, _>(&JS, self.difference);
        mul_add::<L>(self.difference * self.difference, curve, -self.smaller * self.of_larger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Baseline;

    fn assert_close(ours: f32, expected: f64, tolerance: f64, x: f64) {
        let error = (f64::from(ours) - expected).abs();
        assert!(error <= tolerance * expected.abs(), "{ours} is not {expected} at {x}: {}", error / expected);
    }

    fn assert_agreement_with_double_precision<L: Level>() {
        for i in 1..200_000 {
            let x = 80.0 * (f64::from(i) / 200_000.0).powi(4);
            let d = f64::from(x as f32);
            assert_close(exp::<L>(-d as f32), (-d).exp(), 2e-7, d);
            let gap = Gap::new::<L>(d as f32);
            let (w, z) = ((-d).exp(), -(-d).exp_m1());
            // By their series where double precision has no digits left.
            let small = d < 1e-3;
            let larger = if small { d * d / 2.0 - d.powi(3) / 6.0 + d.powi(4) / 24.0 } else { d - z };
            let smaller = if small { d * d / 2.0 - d.powi(3) / 3.0 + d.powi(4) / 8.0 } else { z - w * d };
            let js = if small { d * d / 4.0 - d.powi(3) / 8.0 } else { -(1.0 + w) * (-z / 2.0).ln_1p() - w * d };
            assert_close(gap.smaller, w, 2e-7, d);
            assert_close(gap.difference, z, 3e-7, d);
            assert_close(gap.of_larger, larger, 1.5e-6, d);
            assert_close(gap.of_smaller::<L>(), smaller, 1.5e-6, d);
            assert_close(gap.js::<L>(), js, 2e-6, d);
        }
    }

    #[test]
    fn errors_are_relative_to_each_part() {
        assert_agreement_with_double_precision::<Baseline>();
    }

    #[test]
    fn edges_are_exact() {
        assert_eq!((exp::<Baseline>(0.0), exp::<Baseline>(-1e30), exp::<Baseline>(f32::MIN)), (1.0, 0.0, 0.0));
        assert!(exp::<Baseline>(f32::NAN).is_nan());
        let (none, far) = (Gap::new::<Baseline>(0.0), Gap::new::<Baseline>(1e30));
        assert_eq!(
            (none.difference, none.of_larger, none.of_smaller::<Baseline>(), none.js::<Baseline>()),
            (0.0, 0.0, 0.0, 0.0)
        );
        assert_eq!((far.difference, far.of_larger, far.of_smaller::<Baseline>()), (1.0, 1e30, 1.0));
        assert!((far.js::<Baseline>() - std::f32::consts::LN_2).abs() < 1e-7);
    }
}
