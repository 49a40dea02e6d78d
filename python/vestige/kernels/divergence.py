"""Divergences between matching rows of two tables, in nats."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import table_pair

Space = Literal["log_probs", "logits", "probs"]
Precision = Literal["native", "float64"]
Kind = Literal["kl", "reverse_kl", "js", "tv", "squared_hellinger", "chi_squared", "renyi", "cross_entropy", "entropy"]


def kl_divergence(
    p: ArrayLike, q: ArrayLike, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Kullback-Leibler divergence of each row of `p` from the same row of `q`.

    $\sum p \ln (p / q)$. A class with p = 0 adds nothing; one that only `p` has makes the row infinite.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the reference distributions, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

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
    return divergences(p, q, ("kl",), space, precision=precision)["kl"]


def reverse_kl_divergence(
    p: ArrayLike, q: ArrayLike, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Kullback-Leibler divergence of each row of `q` from the same row of `p`.

    $\sum q \ln (q / p)$: `kl_divergence` with the tables in turn.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the reference distributions, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

    Returns:
        One divergence per row, shape (n_rows,) or (), float64, in nats, within [0, inf].
        Lower is closer; 0 means equal, inf a class that only `q` has. A row with a NaN gives NaN. Not symmetric.

    Raises:
        ValueError: if the shapes differ or a row is not in `space`, as in `kl_divergence`.
        TypeError: if `p` and `q` differ in dtype.

    Source: Kullback and Leibler (1951), On information and sufficiency.

    >>> float(reverse_kl_divergence([0.25, 0.75], [0.5, 0.5], space="probs").round(6))
    0.143841
    """
    return divergences(p, q, ("reverse_kl",), space, precision=precision)["reverse_kl"]


def js_divergence(
    p: ArrayLike, q: ArrayLike, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Jensen-Shannon divergence between matching rows (the divergence, not its square root).

    $\tfrac12 \mathrm{KL}(p \| m) + \tfrac12 \mathrm{KL}(q \| m)$ with $m = \tfrac12 (p + q)$.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: distributions to compare with, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

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
    return divergences(p, q, ("js",), space, precision=precision)["js"]


def total_variation(
    p: ArrayLike, q: ArrayLike, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Total variation distance between matching rows.

    $\tfrac12 \sum |p - q|$: the largest difference in the probability of any set of classes.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: distributions to compare with, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

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
    return divergences(p, q, ("tv",), space, precision=precision)["tv"]


def squared_hellinger(
    p: ArrayLike, q: ArrayLike, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Square of Hellinger's distance between matching rows.

    $\tfrac12 \sum (\sqrt p - \sqrt q)^2 = 1 - \sum \sqrt{p q}$.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: distributions to compare with, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

    Returns:
        One value per row, shape (n_rows,) or (), float64, without unit, within [0, 1].
        Lower is closer; 0 means equal, 1 no class in common. A row with a NaN gives NaN. Symmetric.

    Raises:
        ValueError: if the shapes differ or a row is not in `space`, as in `kl_divergence`.
        TypeError: if `p` and `q` differ in dtype.

    Source: defined here, with the half that keeps it within 1.

    >>> float(squared_hellinger([1.0, 0.0], [0.0, 1.0], space="probs"))
    1.0
    """
    return divergences(p, q, ("squared_hellinger",), space, precision=precision)["squared_hellinger"]


def chi_squared(
    p: ArrayLike, q: ArrayLike, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Pearson's chi-squared divergence of each row of `p` from the same row of `q`.

    $\sum (p - q)^2 / q$. No statistic of a test: there are no counts.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the reference distributions, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

    Returns:
        One divergence per row, shape (n_rows,) or (), float64, without unit, within [0, inf].
        Lower is closer; 0 means equal, inf a class that only `p` has. A row with a NaN gives NaN. Not symmetric.

    Raises:
        ValueError: if the shapes differ or a row is not in `space`, as in `kl_divergence`.
        TypeError: if `p` and `q` differ in dtype.

    Source: defined here; e^renyi - 1 for alpha = 2.

    >>> float(chi_squared([0.5, 0.5], [0.25, 0.75], space="probs").round(6))
    0.333333
    """
    return divergences(p, q, ("chi_squared",), space, precision=precision)["chi_squared"]


def renyi_divergence(
    p: ArrayLike, q: ArrayLike, alpha: float, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Rényi's divergence of order `alpha` of each row of `p` from the same row of `q`.

    $\ln \left(\sum p^\alpha q^{1 - \alpha}\right) / (\alpha - 1)$; Kullback-Leibler in the limit of order 1,
    and taken as such there. It is computed in float64 whatever the dtype, and takes rows to sum to 1 exactly.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the reference distributions, same shape and dtype.
        alpha: the order, above 0 and finite.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

    Returns:
        One divergence per row, shape (n_rows,) or (), float64, in nats, within [0, inf].
        Lower is closer; 0 means equal. Infinite for rows without a class in common, and above order 1 for a class that
        only `p` has. A row with a NaN gives NaN. Not symmetric but for `alpha` 1/2.

    Raises:
        ValueError: if `alpha` is not above 0 and finite, the shapes differ or a row is not in `space`.
        TypeError: if `p` and `q` differ in dtype.

    Source: van Erven and Harremoës (2014), Rényi divergence and Kullback-Leibler divergence, equation 1.

    >>> float(renyi_divergence([0.5, 0.5], [0.25, 0.75], 2.0, space="probs").round(6))
    0.287682
    """
    return divergences(p, q, ("renyi",), space, alpha=alpha, precision=precision)["renyi"]


def cross_entropy(
    p: ArrayLike, q: ArrayLike, space: Space = "log_probs", *, precision: Precision = "native"
) -> NDArray[np.float64]:
    r"""Cross entropy of each row of `q` under the same row of `p`.

    $-\sum p \ln q$: the entropy of `p` and its Kullback-Leibler divergence from `q` together.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the distributions whose logarithms are averaged, same shape and dtype.
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

    Returns:
        One value per row, shape (n_rows,) or (), float64, in nats, within [0, inf].
        Lower is closer for one `p`; inf means a class that only `p` has. A row with a NaN gives NaN. Not symmetric.

    Raises:
        ValueError: if the shapes differ or a row is not in `space`, as in `kl_divergence`.
        TypeError: if `p` and `q` differ in dtype.

    Source: defined here.

    >>> float(cross_entropy([0.5, 0.5], [0.25, 0.75], space="probs").round(6))
    0.836988
    """
    return divergences(p, q, ("cross_entropy",), space, precision=precision)["cross_entropy"]


def divergences(
    p: ArrayLike,
    q: ArrayLike,
    kinds: Sequence[Kind] = ("kl", "js", "tv"),
    space: Space = "log_probs",
    *,
    alpha: float | None = None,
    precision: Precision = "native",
) -> dict[str, NDArray[np.float64]]:
    """Several divergences between matching rows in one pass over memory.

    Rows of logits are normalised on the way: no copy of a table is made.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        q: the reference distributions, same shape and dtype.
        kinds: which: "kl", "reverse_kl", "js", "tv", "squared_hellinger", "chi_squared", "renyi", "cross_entropy" (see
            the functions of these names) and "entropy" (of `p`).
        space: what both hold: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".
        alpha: order of "renyi", above 0 and finite; needed for that kind only.
        precision: "native" takes tables of up to 32 bits in float32 with float64 sums, "float64" all in float64.

    Returns:
        Kind to one value per row, shape (n_rows,) or (), float64; units and ranges as in the functions of one kind.
        Lower is closer.

    Raises:
        ValueError: if the shapes differ, a row is not in `space`, or a kind, `alpha` or `precision` is none of those.
        TypeError: if `p` and `q` differ in dtype, or `kinds` is a string.

    Source: defined here.

    >>> both = divergences([[0.0, 0.0]], [[0.0, 0.0]], kinds=("kl", "tv"), space="logits")
    >>> both["kl"].tolist(), both["tv"].tolist()
    ([0.0], [0.0])
    """
    if isinstance(kinds, str):
        raise TypeError(f'`kinds` must be a sequence such as ("kl", "js"), but it is the string {kinds!r}')
    if precision not in ("native", "float64"):
        raise ValueError(f'`precision` must be "native" or "float64", but it is {precision!r}')
    if "renyi" in kinds and alpha is None:
        raise ValueError('`alpha` must be given for the kind "renyi", but it is None; pass its order, such as 2.0')
    first, second = table_pair(p, q)
    order, double = 1.0 if alpha is None else float(alpha), precision == "float64"
    values = _rust.divergences(first.values, second.values, list(kinds), space, order, double, first.dtype)
    return {kind: first.shaped(rows) for kind, rows in zip(kinds, values, strict=True)}
