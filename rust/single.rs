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
