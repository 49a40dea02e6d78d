//! Registers of 512 bits, for CPUs with AVX-512 (F, VL, BW and DQ).

use std::arch::x86_64::*;

use super::register::Register;
use super::{Kernel, LANES, Level};

/// Whether this CPU has the instructions.
pub(super) fn is_here() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
}

/// Runs a kernel with them.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

pub(crate) struct Avx512;

impl Level for Avx512 {
    const FUSED: bool = true;
    type Singles = [Sixteen; 1];
}

/// One register. Nobody but [`run`] names [`Avx512`], so its methods run on CPUs with the instructions only.
#[derive(Clone, Copy)]
pub(crate) struct Sixteen(__m512);

/// Calls intrinsics.
macro_rules! intrinsics {
    ($body:expr) => {
        // SAFETY: `Sixteen` says why the CPU has the instructions.
        unsafe { $body }
    };
}

impl Register for Sixteen {
    type Mask = __mmask16;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self(intrinsics!(_mm512_set1_ps(x)))
    }

    #[inline(always)]
    fn load(from: &[f32; LANES], _: usize) -> Self {
        Self(intrinsics!(_mm512_loadu_ps(from.as_ptr())))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], _: usize) {
        intrinsics!(_mm512_storeu_ps(to.as_mut_ptr(), self.0));
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(intrinsics!(_mm512_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(intrinsics!(_mm512_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(intrinsics!(_mm512_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(intrinsics!(_mm512_div_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        Self(intrinsics!(_mm512_fmadd_ps(self.0, factor.0, summand.0)))
    }

    #[inline(always)]
    fn neg_mul_add(self, factor: Self, summand: Self) -> Self {
        Self(intrinsics!(_mm512_fnmadd_ps(self.0, factor.0, summand.0)))
    }

    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        Self(intrinsics!(_mm512_max_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(intrinsics!(_mm512_abs_ps(self.0)))
    }

    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        let sign = intrinsics!(_mm512_and_ps(_mm512_set1_ps(-0.0), other.0));
        Self(intrinsics!(_mm512_or_ps(self.0, sign)))
    }

    #[inline(always)]
    fn below(self, other: Self) -> __mmask16 {
        intrinsics!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0))
    }

    #[inline(always)]
    fn equals(self, other: Self) -> __mmask16 {
        intrinsics!(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0))
    }

    #[inline(always)]
    fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        Self(intrinsics!(_mm512_mask_blend_ps(mask, no.0, yes.0)))
    }

    #[inline(always)]
    fn zero_where(self, mask: __mmask16) -> Self {
        Self(intrinsics!(_mm512_maskz_mov_ps(!mask, self.0)))
    }

    #[inline(always)]
    fn both(a: __mmask16, b: __mmask16) -> __mmask16 {
        a & b
    }

    #[inline(always)]
    fn any(mask: __mmask16) -> bool {
        mask != 0
    }

    #[inline(always)]
    fn times_two_to(self, n: Self, _power: Self) -> Self {
        Self(intrinsics!(_mm512_scalef_ps(self.0, n.0)))
    }

    #[inline(always)]
    fn add_to(self, sums: &mut [f64; LANES], _: usize) {
        let (low, high) = sums.split_at_mut(8);
        intrinsics!({
            let (first, second) = (_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0));
            let (first, second) = (_mm512_cvtps_pd(first), _mm512_cvtps_pd(second));
            _mm512_storeu_pd(low.as_mut_ptr(), _mm512_add_pd(_mm512_loadu_pd(low.as_ptr()), first));
            _mm512_storeu_pd(high.as_mut_ptr(), _mm512_add_pd(_mm512_loadu_pd(high.as_ptr()), second));
        });
    }
}
