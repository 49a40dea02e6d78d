//! Registers of 256 bits, for CPUs with AVX2 and FMA.

use std::arch::x86_64::*;

use super::register::Register;
use super::{Kernel, LANES, Level};

/// Whether this CPU has the instructions.
pub(super) fn is_here() -> bool {
    std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
}

/// Runs a kernel with them.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

pub(crate) struct Avx2;

impl Level for Avx2 {
    const FUSED: bool = true;
    type Singles = [Eight; 2];
}

/// One register. Nobody but [`run`] names [`Avx2`], so its methods run on CPUs with the instructions only.
#[derive(Clone, Copy)]
pub(crate) struct Eight(__m256);

/// Calls intrinsics.
macro_rules! intrinsics {
    ($body:expr) => {
        // SAFETY: `Eight` says why the CPU has the instructions.
        unsafe { $body }
    };
}

impl Register for Eight {
    type Mask = __m256;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self(intrinsics!(_mm256_set1_ps(x)))
    }

    #[inline(always)]
    fn load(from: &[f32; LANES], i: usize) -> Self {
        let part = &from.as_chunks::<8>().0[i];
        Self(intrinsics!(_mm256_loadu_ps(part.as_ptr())))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES], i: usize) {
        let part = &mut to.as_chunks_mut::<8>().0[i];
        intrinsics!(_mm256_storeu_ps(part.as_mut_ptr(), self.0));
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(intrinsics!(_mm256_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(intrinsics!(_mm256_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(intrinsics!(_mm256_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(intrinsics!(_mm256_div_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        Self(intrinsics!(_mm256_fmadd_ps(self.0, factor.0, summand.0)))
    }

    #[inline(always)]
    fn neg_mul_add(self, factor: Self, summand: Self) -> Self {
        Self(intrinsics!(_mm256_fnmadd_ps(self.0, factor.0, summand.0)))
    }

    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        Self(intrinsics!(_mm256_max_ps(self.0, other.0)))
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(intrinsics!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0)))
    }

    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        let sign = intrinsics!(_mm256_and_ps(_mm256_set1_ps(-0.0), other.0));
        Self(intrinsics!(_mm256_or_ps(self.0, sign)))
    }

    #[inline(always)]
    fn below(self, other: Self) -> __m256 {
        intrinsics!(_mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0))
    }

    #[inline(always)]
    fn equals(self, other: Self) -> __m256 {
        intrinsics!(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0))
    }

    #[inline(always)]
    fn select(mask: __m256, yes: Self, no: Self) -> Self {
        Self(intrinsics!(_mm256_blendv_ps(no.0, yes.0, mask)))
    }

    #[inline(always)]
    fn zero_where(self, mask: __m256) -> Self {
        Self(intrinsics!(_mm256_andnot_ps(mask, self.0)))
    }

    #[inline(always)]
    fn both(a: __m256, b: __m256) -> __m256 {
        intrinsics!(_mm256_and_ps(a, b))
    }

    #[inline(always)]
    fn any(mask: __m256) -> bool {
        intrinsics!(_mm256_movemask_ps(mask)) != 0
    }

    #[inline(always)]
    fn times_two_to(self, _n: Self, power: Self) -> Self {
        Self(intrinsics!({
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(power.0));
            let scaled = _mm256_add_epi32(_mm256_castps_si256(self.0), exponent);
            _mm256_castsi256_ps(scaled)
        }))
    }

    #[inline(always)]
    fn add_to(self, sums: &mut [f64; LANES], i: usize) {
        let (low, high) = sums.as_chunks_mut::<8>().0[i].split_at_mut(4);
        intrinsics!({
            let (first, second) = (_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let (first, second) = (_mm256_cvtps_pd(first), _mm256_cvtps_pd(second));
            _mm256_storeu_pd(low.as_mut_ptr(), _mm256_add_pd(_mm256_loadu_pd(low.as_ptr()), first));
            _mm256_storeu_pd(high.as_mut_ptr(), _mm256_add_pd(_mm256_loadu_pd(high.as_ptr()), second));
        });
    }
}
