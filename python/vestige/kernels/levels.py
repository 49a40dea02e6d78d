"""Which of the CPU's instructions kernels use."""

from vestige import _rust


def simd_level() -> str:
    """Name of the instruction level that kernels use, chosen once: the widest that this CPU has, or VESTIGE_SIMD.

    Results of bootstraps and permutations are the same at every level; divergences of float32 tables differ in their
    last digits.

    Returns:
        "baseline", "avx2" (with FMA), "avx512" or "neon".

    Raises:
        ValueError: if VESTIGE_SIMD names a level that this CPU does not have.

    >>> simd_level() in ("baseline", "avx2", "avx512", "neon")
    True
    """
    return _rust.simd_level()


simd_level()  # a wrong VESTIGE_SIMD is an error at the first import, not a surprise later
