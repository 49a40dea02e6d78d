//! The same Rust code compiled once more for wider registers, chosen when it runs.

/// Work with its arguments. `run` must be `#[inline(always)]`, so that it is compiled with the instructions of its caller.
/// It loops with `for`: a closure that LLVM does not inline would be compiled for the baseline.
pub(crate) trait Kernel {
    type Output;

    /// `FMA`: whether the CPU multiplies and adds with one rounding. Nothing is fused but by `mul_add` in `math` and
    /// `single`, so a kernel that does not pass `FMA` on gives the same bits on every CPU.
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// Runs a kernel, compiled for AVX2 and FMA where this CPU has them.
#[cfg(target_arch = "x86_64")]
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: this CPU has the instructions.
        unsafe { with_avx2_and_fma(kernel) }
    } else {
        kernel.run::<false>()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2_and_fma<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

/// Runs a kernel. Every 64-bit ARM has fused multiplication.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<{ cfg!(target_arch = "aarch64") }>()
}
