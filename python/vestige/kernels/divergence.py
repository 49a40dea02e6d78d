"""Divergences between matching rows of two tables, in nats."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import table_pair

Space = Literal["log_probs", "logits", "probs"]
Precision = Literal["table", "float64"]
Kind = Literal[
    "kl", "reverse_kl", "js", "tv", "hellinger", "chi_squared", "renyi", "cross_entropy", "entropy"
]


def kl_divergence(p: ArrayLike, q: ArrayLike, space: Space = "log_probs") -> NDArray[np.float64]:
    r"""Kullback-Leibler divergence of each row of `p` from the same row of `q`.

    $\sum p \ln (p / q)$. A class with p = 0 adds nothing; one that only `p` has makes the row infinite.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the reference distributions, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".

    Returns:
        One divergence per row, shape (n_rows,) or (), float64, in nats, within [0, inf].
        Lower is closer; 0 means equal. A row with a NaN gives NaN. Not symmetric.

    Raises:
        ValueError: if the shapes differ or a row is not in `space` (a log-probability above 1e-4, probabilities
            whose sum is off 1 by more than 1e-3, or by more than their own rounding explains in 16-bit formats).
            Sums of log-probabilities are checked in `p` only: this divergence needs no probability of `q`.
        TypeError: if `p` and `q` differ in dtype.

    Source: Kullback and Leibler (1951), On information and sufficiency.

    >>> float(kl_divergence([0.5, 0.5], [0.25, 0.75], space="probs").round(6))
    0.143841
    """
    return divergences(p, q, ("kl",), space)["kl"]


def js_divergence(p: ArrayLike, q: ArrayLike, space: Space = "log_probs") -> NDArray[np.float64]:
    r"""Jensen-Shannon divergence between matching rows (the divergence, not its square root).

    $\tfrac12 \mathrm{KL}(p \| m) + \tfrac12 \mathrm{KL}(q \| m)$ with $m = \tfrac12 (p + q)$.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: distributions to compare with, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".

    Returns:
        One divergence per row, shape (n_rows,) or (), float64, in nats, within [0, ln 2].
        Lower is closer; 0 means equal, ln 2 no class in common. A row with a NaN gives NaN. Symmetric.

    Raises:
        ValueError: if the shapes differ or a row is not in `space`, as in `kl_divergence`.
        TypeError: if `p` and `q` differ in dtype.

    Source: Lin (1991), Divergence measures based on the Shannon entropy, equation 4.1 with equal weights.

    >>> float(js_divergence([1.0, 0.0], [0.0, 1.0], space="probs").round(6))
    0.693147
    """
    return divergences(p, q, ("js",), space)["js"]


def total_variation(p: ArrayLike, q: ArrayLike, space: Space = "log_probs") -> NDArray[np.float64]:
    r"""Total variation distance between matching rows.

    $\tfrac12 \sum |p - q|$: the largest difference in the probability of any set of classes.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: distributions to compare with, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".

    Returns:
        One distance per row, shape (n_rows,) or (), float64, without unit, within [0, 1].
        Lower is closer; 0 means equal. A row with a NaN gives NaN. Symmetric.

    Raises:
        ValueError: if the shapes differ or a row is not in `space`, as in `kl_divergence`.
        TypeError: if `p` and `q` differ in dtype.

    Source: defined here.

    >>> float(total_variation([0.5, 0.5], [0.25, 0.75], space="probs"))
    0.25
    """
    return divergences(p, q, ("tv",), space)["tv"]


def divergences(
    p: ArrayLike,
    q: ArrayLike,
    kinds: Sequence[Kind] = ("kl", "js", "tv"),
    space: Space = "log_probs",
    *,
    alpha: float = 0.5,
    precision: Precision = "table",
) -> dict[str, NDArray[np.float64]]:
    """Several divergences between matching rows in one pass over memory.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the reference distributions, same shape and dtype.
        kinds: which: "kl", "js", "tv" (see `kl_divergence`, `js_divergence`, `total_variation`).
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".

    Returns:
        Kind to one value per row, shape (n_rows,) or (), float64; units and ranges as in the functions of one kind.
        Lower is closer.

    Raises:
        ValueError: if the shapes differ, a row is not in `space`, or a kind is unknown.
        TypeError: if `p` and `q` differ in dtype.

    Source: defined here.

    >>> both = divergences([[0.0, 0.0]], [[0.0, 0.0]], kinds=("kl", "tv"), space="logits")
    >>> both["kl"].tolist(), both["tv"].tolist()
    ([0.0], [0.0])
    """
    if isinstance(kinds, str):
        raise TypeError(f'`kinds` must be a sequence such as ("kl", "js"), but it is the string {kinds!r}')
    first, second = table_pair(p, q)
    double = precision == "float64"
    values = _rust.divergences(first.values, second.values, list(kinds), space, alpha, double, first.dtype)
    return {kind: first.shaped(rows) for kind, rows in zip(kinds, values, strict=True)}
