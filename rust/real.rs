//! The four number formats that tables of scores come in.

use half::{bf16, f16};

/// A floating-point number that a table may hold.
pub trait Real: Copy + Send + Sync + 'static {
    /// How far the probabilities of a row may sum from 1 when rounding in this format is all that is wrong.
    ///
    /// Rounding of log-probabilities shifts a sum by at most entropy times half an ulp: about 0.02 at 128,000 classes in bfloat16.
    const SUM_TOLERANCE: f64;

    /// Whether every such number is an `f32`, so that functions of it need no more digits than that has.
    const IS_SINGLE: bool;

    /// The nearest `f32`: the same number if [`Real::IS_SINGLE`].
    fn single(self) -> f32;

    /// The same number as `f64`, exactly.
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self.single())
    }
}

impl Real for f64 {
    const SUM_TOLERANCE: f64 = 1e-3;
    const IS_SINGLE: bool = false;

    #[inline(always)]
    fn single(self) -> f32 {
        self as f32
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

impl Real for f32 {
    const SUM_TOLERANCE: f64 = 1e-3;
    const IS_SINGLE: bool = true;

    #[inline(always)]
    fn single(self) -> f32 {
        self
    }
}

impl Real for f16 {
    const SUM_TOLERANCE: f64 = 1e-2;
    const IS_SINGLE: bool = true;

    // Without a branch, so that loops become SIMD on CPUs without an instruction for it.
    #[inline(always)]
    fn single(self) -> f32 {
        let bits = self.to_bits();
        let magnitude = u32::from(bits & 0x7FFF) << 13;
        let scaled = f32::from_bits(magnitude) * f32::from_bits(239 << 23); // 2^112: half's exponent bias is 112 less
        let special = f32::from_bits(magnitude | 0x7F80_0000); // infinite or NaN
        let size = if magnitude < 0x7C00 << 13 { scaled } else { special };
        f32::from_bits(size.to_bits() | (u32::from(bits & 0x8000) << 16))
    }
}

impl Real for bf16 {
    const SUM_TOLERANCE: f64 = 5e-2;
    const IS_SINGLE: bool = true;

    #[inline(always)]
    fn single(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}
