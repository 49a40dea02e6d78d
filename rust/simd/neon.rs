//! Registers of 128 bits, which every 64-bit ARM has.

use std::arch::aarch64::*;

use super::register::Register;
use super::{LANES, Level};

pub(crate) struct Neon;

impl Level for Neon {
    const FUSED: bool = true;
    type Singles = [Four; 4];
}

/// One register.
#[derive(Clone, Copy)]
pub(crate) struct Four(float32x4_t);

/// Calls intrinsics.
macro_rules! intrinsics {
    ($body:expr) => {
        // SAFETY: every 64-bit ARM has the instructions.
        unsafe { $body }
    };
}

impl Register for Four {
    type Mask = uint32x4_t;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self(intrinsics!(vdupq_n_f32(x)))
    }

    #[inline(always)]
    fn load(from: &[f32; LANES], i: usize) -> Self {
        let part = &from.as_chunks::<4>().0[i];
        Self(intrinsics!(vld1q_f32(part.as_ptr())))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], i: usize) {
        let part = &mut to.as_chunks_mut::<4>().0[i];
        intrinsics!(vst1q_f32(part.as_mut_ptr(), self.0));
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(intrinsics!(vaddq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(intrinsics!(vsubq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(intrinsics!(vmulq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(intrinsics!(vdivq_f32(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        Self(intrinsics!(vfmaq_f32(summand.0, self.0, factor.0)))
    }

    #[inline(always)]
    fn neg_mul_add(self, factor: Self, summand: Self) -> Self {
        Self(intrinsics!(vfmsq_f32(summand.0, self.0, factor.0)))
    }

    /// ARM's own maximum is NaN where one is.
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        Self::select(other.below(self), self, other)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(intrinsics!(vabsq_f32(self.0)))
    }

    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        Self(intrinsics!(vbslq_f32(vdupq_n_u32(1 << 31), other.0, self.0)))
    }

    #[inline(always)]
    fn below(self, other: Self) -> uint32x4_t {
        intrinsics!(vcltq_f32(self.0, other.0))
    }

    #[inline(always)]
    fn equals(self, other: Self) -> uint32x4_t {
        intrinsics!(vceqq_f32(self.0, other.0))
    }

    #[inline(always)]
    fn select(mask: uint32x4_t, yes: Self, no: Self) -> Self {
        Self(intrinsics!(vbslq_f32(mask, yes.0, no.0)))
    }

    #[inline(always)]
    fn zero_where(self, mask: uint32x4_t) -> Self {
        Self(intrinsics!(vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(self.0), mask))))
    }

    #[inline(always)]
    fn both(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        intrinsics!(vandq_u32(a, b))
    }

    #[inline(always)]
    fn any(mask: uint32x4_t) -> bool {
        intrinsics!(vmaxvq_u32(mask)) != 0
    }

    #[inline(always)]
    fn times_two_to(self, _n: Self, power: Self) -> Self {
        Self(intrinsics!({
            let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(power.0));
            vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(self.0), exponent))
        }))
    }

    #[inline(always)]
    fn add_to(self, sums: &mut [f64; LANES], i: usize) {
        let (low, high) = sums.as_chunks_mut::<4>().0[i].split_at_mut(2);
        intrinsics!({
            let (first, second) = (vcvt_f64_f32(vget_low_f32(self.0)), vcvt_high_f64_f32(self.0));
            vst1q_f64(low.as_mut_ptr(), vaddq_f64(vld1q_f64(low.as_ptr()), first));
            vst1q_f64(high.as_mut_ptr(), vaddq_f64(vld1q_f64(high.as_ptr()), second));
        });
    }
}
