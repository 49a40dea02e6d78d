//! The same Rust code compiled once more for wider registers, chosen when it runs.

/// Work with its arguments. `run` must be `#[inline(always)]`, so that it is compiled with the instructions of its caller.
/// It loops with `for`: a closure that LLVM does not inline would be compiled for the baseline.
pub(crate) trait Kernel {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs a kernel, compiled for AVX2 where this CPU has it. Results are the same bits either way.
#[cfg(target_arch = "x86_64")]
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: this CPU has the instructions.
        unsafe { with_avx2(kernel) }
    } else {
        kernel.run()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// Runs a kernel.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
