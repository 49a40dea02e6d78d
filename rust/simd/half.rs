//! Numbers of 16 bits to `f32`, with the CPU's instruction where it has one: AVX2 does not imply it.

use half::f16;

use crate::Real;

/// Each of the values as `f32`; both slices have one length.
pub(crate) fn widen_halves(values: &[f16], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("f16c") {
        // SAFETY: this CPU has the instructions.
        return unsafe { with_f16c(values, out) };
    }
    one_by_one(values, out);
}

#[inline(always)]
fn one_by_one(values: &[f16], out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = value.single();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
fn with_f16c(values: &[f16], out: &mut [f32]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
    let ((chunks, rest), (out, out_rest)) = (values.as_chunks::<8>(), out.as_chunks_mut::<8>());
    for (out, chunk) in out.iter_mut().zip(chunks) {
        // SAFETY: both are arrays of eight.
        unsafe {
            let bits = _mm_loadu_si128(chunk.as_ptr().cast::<__m128i>());
            _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(bits));
        }
    }
    one_by_one(rest, out_rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_widened_as_half_does() {
        let values = (0..=u16::MAX).map(f16::from_bits).chain([f16::ONE; 3]).collect::<Vec<_>>();
        let (mut ours, mut plain) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        widen_halves(&values, &mut ours);
        one_by_one(&values, &mut plain);
        for ((value, ours), plain) in values.iter().zip(ours).zip(plain) {
            let expected = f32::from(*value);
            assert!(ours == expected && plain == expected || expected.is_nan() && ours.is_nan() && plain.is_nan());
        }
    }
}
