"""How many threads kernels use; results never depend on it."""

import os

from vestige import _rust
from vestige.kernels._array import count


def set_num_threads(n: int) -> None:
    """Set the number of threads of all kernels from now on; it wins over VESTIGE_NUM_THREADS.

    Args:
        n: number of threads, at least 1.

    Raises:
        ValueError: if `n` is not a positive integer.

    >>> before = num_threads()
    >>> set_num_threads(1)
    >>> num_threads()
    1
    >>> set_num_threads(before)
    """
    _rust.set_num_threads(count(n, "n"))


def num_threads() -> int:
    """Number of threads that kernels use: as set, else VESTIGE_NUM_THREADS, else the CPUs of this process.

    Returns:
        The number, at least 1.

    >>> num_threads() >= 1
    True
    """
    return _rust.num_threads()


def _apply_environment() -> None:
    text = os.environ.get("VESTIGE_NUM_THREADS", "").strip()
    if text and not (text.isdecimal() and int(text)):
        raise ValueError(f"VESTIGE_NUM_THREADS must be a positive integer, but it is {text!r}; change it or unset it")
    if text:
        _rust.set_num_threads(int(text))


_apply_environment()
