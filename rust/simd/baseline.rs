//! What every CPU has, in plain Rust.

use super::register::Register;
use super::{LANES, Level};

/// For every CPU. Every 64-bit ARM multiplies and adds with one rounding.
pub(crate) struct Baseline;

impl Level for Baseline {
    const FUSED: bool = cfg!(target_arch = "aarch64");
    type Singles = [[f32; 4]; 4];
}

/// Numbers of `f32` in a register.
const WIDTH: usize = 4;

/// `f(i)` for each number. An array of closures' results, because it becomes SIMD where a loop over memory does not.
macro_rules! each {
    ($i:ident => $value:expr) => {
        std::array::from_fn(|$i| $value)
    };
}

impl Register for [f32; WIDTH] {
    type Mask = [bool; WIDTH];

    #[inline(always)]
    fn splat(x: f32) -> Self {
        [x; WIDTH]
    }

    #[inline(always)]
    fn load(from: &[f32; LANES], i: usize) -> Self {
        from.as_chunks::<WIDTH>().0[i]
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], i: usize) {
        to.as_chunks_mut::<WIDTH>().0[i] = self;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        each!(i => self[i] + other[i])
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        each!(i => self[i] - other[i])
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        each!(i => self[i] * other[i])
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        each!(i => self[i] / other[i])
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        if Baseline::FUSED {
            each!(i => self[i].mul_add(factor[i], summand[i]))
        } else {
            each!(i => self[i] * factor[i] + summand[i])
        }
    }

    #[inline(always)]
    fn neg_mul_add(self, factor: Self, summand: Self) -> Self {
        if Baseline::FUSED {
            each!(i => (-self[i]).mul_add(factor[i], summand[i]))
        } else {
            each!(i => summand[i] - self[i] * factor[i])
        }
    }

    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        each!(i => if self[i] > other[i] { self[i] } else { other[i] })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        each!(i => self[i].abs())
    }

    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        each!(i => self[i].copysign(other[i]))
    }

    #[inline(always)]
    fn below(self, other: Self) -> [bool; WIDTH] {
        each!(i => self[i] < other[i])
    }

    #[inline(always)]
    fn equals(self, other: Self) -> [bool; WIDTH] {
        each!(i => self[i] == other[i])
    }

    #[inline(always)]
    fn select(mask: [bool; WIDTH], yes: Self, no: Self) -> Self {
        each!(i => if mask[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    fn zero_where(self, mask: [bool; WIDTH]) -> Self {
        each!(i => if mask[i] { 0.0 } else { self[i] })
    }

    #[inline(always)]
    fn both(a: [bool; WIDTH], b: [bool; WIDTH]) -> [bool; WIDTH] {
        each!(i => a[i] & b[i])
    }

    #[inline(always)]
    fn any(mask: [bool; WIDTH]) -> bool {
        mask[0] | mask[1] | mask[2] | mask[3]
    }

    #[inline(always)]
    fn times_two_to(self, _n: Self, power: Self) -> Self {
        each!(i => f32::from_bits(self[i].to_bits().wrapping_add(power[i].to_bits() << 23)))
    }

    #[inline(always)]
    fn add_to(self, sums: &mut [f64; LANES], i: usize) {
        let sums = &mut sums.as_chunks_mut::<WIDTH>().0[i];
        for lane in 0..WIDTH {
            sums[lane] += f64::from(self[lane]);
        }
    }
}
