//! The four number formats that tables of scores come in.

use half::{bf16, f16};

/// A floating-point number that a table may hold; all arithmetic is on its `f64` value.
pub trait Real: Copy + Send + Sync + 'static {
    /// How far the probabilities of a row may sum from 1 when rounding in this format is all that is wrong.
    ///
    /// Rounding of log-probabilities shifts a sum by at most entropy times half an ulp: about 0.02 at 128,000 classes in bfloat16.
    const SUM_TOLERANCE: f64;

    /// The same number as `f64`, exactly.
    fn widen(self) -> f64;
}

impl Real for f64 {
    const SUM_TOLERANCE: f64 = 1e-3;

    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

impl Real for f32 {
    const SUM_TOLERANCE: f64 = 1e-3;

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f16 {
    const SUM_TOLERANCE: f64 = 1e-2;

    // Without a branch, so that loops become SIMD on CPUs without an instruction for it.
    #[inline(always)]
    fn widen(self) -> f64 {
        let bits = self.to_bits();
        let magnitude = u32::from(bits & 0x7FFF) << 13;
        let scaled = f32::from_bits(magnitude) * f32::from_bits(239 << 23); // 2^112: half's exponent bias is 112 less
        let special = f32::from_bits(magnitude | 0x7F80_0000); // infinite or NaN
        let size = if magnitude < 0x7C00 << 13 { scaled } else { special };
        f64::from(f32::from_bits(size.to_bits() | (u32::from(bits & 0x8000) << 16)))
    }
}

impl Real for bf16 {
    const SUM_TOLERANCE: f64 = 5e-2;

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(f32::from_bits(u32::from(self.to_bits()) << 16))
    }
}
