//! Elementary functions without branches or table look-ups, so that loops over them become SIMD.
//!
//! Each is a fixed sequence of IEEE operations, so results are the same bits on every CPU with the same [`Level::FUSED`].
//! Errors are below 2 units in the last place, and are checked against the standard library.

use std::f64::consts::LOG2_E;

use crate::simd::{self, Kernel, Level, mul_add};

/// Natural logarithm of 2 in two parts; the first has 20 trailing zero bits, so whole multiples of it are exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `1.5 * 2^52`: adding it rounds to a whole number, which then stands in the lowest bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

const EXPONENT_BITS: u32 = 52;
const ONE: u64 = 1023 << EXPONENT_BITS;

/// Coefficients of `e^r` from `r^13` down to 1.
const EXP: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// Coefficients of `(ln(1 + f) - 2 s) / s` in `s^2`, with `s = f / (2 + f)`, from the highest down (FreeBSD's `e_log.c`).
const LN: [f64; 7] = [
    1.479_819_860_511_658_6e-1,
    1.531_383_769_920_937_3e-1,
    1.818_357_216_161_805e-1,
    2.222_219_843_214_978_4e-1,
    2.857_142_874_366_239e-1,
    3.999_999_999_940_942e-1,
    6.666_666_666_666_735e-1,
];

/// Odd and even powers are summed apart: two short chains of dependent operations instead of a long one.
#[inline(always)]
fn polynomial<L: Level, const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let square = x * x;
    let mut sums = [coefficients[0], coefficients[1]];
    for i in 2..N {
        sums[i % 2] = mul_add::<L>(sums[i % 2], square, coefficients[i]);
    }
    mul_add::<L>(sums[N % 2], x, sums[(N + 1) % 2])
}

/// `e^x` for `x <= 709`, and 0 below -708, where numbers stop being normal.
#[inline(always)]
pub(crate) fn exp<L: Level>(x: f64) -> f64 {
    const LOWEST: f64 = -708.0;
    let clamped = if x < LOWEST { LOWEST } else { x };
    let shifted = mul_add::<L>(clamped, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<L>(-n, LN_2_LOW, mul_add::<L>(-n, LN_2_HIGH, clamped));
    let power = f64::from_bits((shifted.to_bits() << EXPONENT_BITS).wrapping_add(ONE));
    if x < LOWEST { 0.0 } else { polynomial::<L, _>(&EXP, r) * power }
}

/// Natural logarithm of a number that is not negative: `-inf` for 0, the number itself if it is infinite or NaN.
#[inline(always)]
pub(crate) fn ln<L: Level>(x: f64) -> f64 {
    const ROOT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
    const TWO_52: u64 = 0x4330_0000_0000_0000;
    let tiny = x < f64::MIN_POSITIVE;
    let bits = (if tiny { x * 18_014_398_509_481_984.0 } else { x }).to_bits(); // 2^54
    let exponent = bits.wrapping_add(ONE - ROOT_HALF) >> EXPONENT_BITS;
    let mantissa = f64::from_bits(bits.wrapping_sub(exponent << EXPONENT_BITS).wrapping_add(ONE));
    let bias = if tiny { 1077.0 } else { 1023.0 };
    let k = f64::from_bits(exponent | TWO_52) - f64::from_bits(TWO_52) - bias;
    let value = ln_of_power_times::<L>(k, mantissa - 1.0);
    let value = if x < f64::INFINITY { value } else { x };
    if x == 0.0 { f64::NEG_INFINITY } else { value }
}

/// [`ln`] of each.
pub(crate) fn logs<const N: usize>(x: &[f64; N]) -> [f64; N] {
    simd::widest(Logs(x))
}

struct Logs<'a, const N: usize>(&'a [f64; N]);

impl<const N: usize> Kernel for Logs<'_, N> {
    type Output = [f64; N];

    #[inline(always)]
    fn run<L: Level>(self) -> [f64; N] {
        let mut logs = *self.0;
        for log in &mut logs {
            *log = ln::<L>(*log);
        }
        logs
    }
}

/// `ln(1 + x)` for `x` within [-1/2, 0].
#[inline(always)]
pub(crate) fn ln_1p<L: Level>(x: f64) -> f64 {
    let halved = x < -0.292_893_218_813_452_4; // below the root of one half less 1
    let f = if halved { 2.0 * x + 1.0 } else { x };
    ln_of_power_times::<L>(if halved { -1.0 } else { 0.0 }, f)
}

/// `ln(2^k (1 + f))` for `1 + f` between the roots of a half and of 2.
#[inline(always)]
fn ln_of_power_times<L: Level>(k: f64, f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let half_square = 0.5 * f * f;
    let rest = s * (half_square + z * polynomial::<L, _>(&LN, z));
    k * LN_2_HIGH - ((half_square - (rest + k * LN_2_LOW)) - f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(ours: f64, expected: f64, x: f64) {
        let error = (ours - expected).abs();
        assert!(ours == expected || error <= 2.0 * f64::EPSILON * expected.abs(), "{ours} is not {expected} at {x}");
    }

    fn assert_agreement_with_the_standard_library<L: Level>() {
        for i in 0..200_000 {
            let t = f64::from(i) / 200_000.0;
            assert_close(exp::<L>(-707.9 * t), (-707.9 * t).exp(), -707.9 * t);
            assert_close(exp::<L>(1e-3 * t), (1e-3 * t).exp(), 1e-3 * t);
            assert_close(ln_1p::<L>(-0.5 * t), (-0.5 * t).ln_1p(), -0.5 * t);
            for scale in [1.0, 1e-300, 1e300, 5e-320] {
                let x = scale * (t + 1e-9);
                assert_close(ln::<L>(x), x.ln(), x);
            }
        }
    }

    fn assert_exact_edges<L: Level>() {
        assert_eq!((exp::<L>(0.0), exp::<L>(f64::NEG_INFINITY), exp::<L>(-1e9)), (1.0, 0.0, 0.0));
        assert_eq!(
            (ln::<L>(1.0), ln::<L>(0.0), ln::<L>(f64::INFINITY), ln_1p::<L>(0.0)),
            (0.0, f64::NEG_INFINITY, f64::INFINITY, 0.0)
        );
        assert_eq!(ln_1p::<L>(-0.5), -std::f64::consts::LN_2);
        assert!(exp::<L>(f64::NAN).is_nan() && ln::<L>(f64::NAN).is_nan());
    }

    #[derive(Clone)]
    struct Checks;

    impl Kernel for Checks {
        type Output = ();

        #[inline(always)]
        fn run<L: Level>(self) {
            assert_agreement_with_the_standard_library::<L>();
            assert_exact_edges::<L>();
        }
    }

    #[test]
    fn all_three_agree_with_the_standard_library_at_every_level() {
        simd::at_each(Checks);
    }
}
