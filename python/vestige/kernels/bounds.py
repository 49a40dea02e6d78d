"""What is known of a divergence from less than both distributions, in nats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import matrix, to_numpy, vector

BoundedKind = Literal["kl", "kl_donsker_varadhan", "reverse_kl", "js", "tv", "hellinger", "chi_squared"]


@dataclass(frozen=True)
class VariationalBound:
    """A lower bound of a divergence, from samples.

    Attributes:
        lower: the bound; its expectation is at most the divergence, whatever log-ratios were used.
        standard_error: of `lower`, over samples; NaN with one sample of a kind.
        plug_in: the divergence if the log-ratios are the true ones, by its own definition; not a bound.
    """

    lower: float
    standard_error: float
    plug_in: float


@dataclass(frozen=True)
class TopKBounds:
    """What divergences between rows lie between, each of shape (n_rows,), float64, in nats (TV without unit).

    Attributes:
        kl_low: KL of p from q is at least this; nothing bounds it above.
        js_low: Jensen-Shannon is at least this.
        js_high: Jensen-Shannon is at most this.
        tv_low: total variation is at least this.
        tv_high: total variation is at most this.
    """

    kl_low: NDArray[np.float64]
    js_low: NDArray[np.float64]
    js_high: NDArray[np.float64]
    tv_low: NDArray[np.float64]
    tv_high: NDArray[np.float64]


def variational_bounds(
    log_ratios_p: ArrayLike, log_ratios_q: ArrayLike, kinds: Sequence[BoundedKind] = ("kl", "js", "tv")
) -> dict[str, VariationalBound]:
    r"""Lower bounds of f-divergences of p from q, from log-ratios of samples of both.

    $D_f \ge E_p T - E_q f^*(T)$ with $T = f'(e^l)$: equal where $l$ is the true $\ln(p/q)$, below where it is a guess.

    Args:
        log_ratios_p: ln(p / q) of samples of p, shape (n_p,).
        log_ratios_q: ln(p / q) of samples of q, shape (n_q,).
        kinds: which: "kl" and "kl_donsker_varadhan" (two bounds of KL, the second never lower on the same samples),
            "reverse_kl" (of q from p), "js", "tv", "hellinger" (1 - sum sqrt(pq)), "chi_squared" (sum (p - q)^2 / q).

    Returns:
        Kind to its bound; see `VariationalBound`. May be negative: samples are finite. NaN if a log-ratio is.

    Raises:
        ValueError: if a sample is empty or a kind is unknown.

    Source: Nguyen, Wainwright and Jordan (2010), Estimating divergence functionals; Donsker and Varadhan (1983).

    >>> variational_bounds([0.0, 0.0], [0.0, 0.0], ("kl",))["kl"].lower
    0.0
    """
    if isinstance(kinds, str):
        raise TypeError(f'`kinds` must be a sequence such as ("kl", "js"), but it is the string {kinds!r}')
    p, q = vector(log_ratios_p, "log_ratios_p"), vector(log_ratios_q, "log_ratios_q")
    bounds = _rust.variational_bounds(p, q, list(kinds))
    return {kind: VariationalBound(*bound) for kind, bound in zip(kinds, bounds, strict=True)}


def top_k_bounds(
    ids_p: ArrayLike,
    log_probs_p: ArrayLike,
    tail_log_mass_p: ArrayLike,
    ids_q: ArrayLike,
    log_probs_q: ArrayLike,
    tail_log_mass_q: ArrayLike,
) -> TopKBounds:
    """Bounds of divergences between rows of which only the likeliest classes are known.

    The two sides may list other classes, and other numbers of them. The lower bounds are the least divergence that any
    two distributions with these tops and tails have; the upper ones are met where the unknown masses share no class.

    Args:
        ids_p: the likeliest classes of each row of p, in any order, shape (n_rows, k), integers.
        log_probs_p: their log-probabilities, same shape; no other class is likelier than the least of them.
        tail_log_mass_p: log of the mass of all other classes, shape (n_rows,); -inf for none.
        ids_q: the same of q, shape (n_rows, other_k).
        log_probs_q: the same of q.
        tail_log_mass_q: the same of q.

    Returns:
        The bounds; see `TopKBounds`. They tighten as k grows, and meet where the tails are empty.

    Raises:
        ValueError: if a shape does not fit, a row lists a class twice, or its probabilities do not sum to 1.
        TypeError: if ids are not integers.

    Source: defined here.

    >>> bounds = top_k_bounds([[0]], np.log([[0.75]]), np.log([0.25]), [[0]], np.log([[0.5]]), np.log([0.5]))
    >>> float(bounds.tv_low[0].round(6)), float(bounds.tv_high[0].round(6))
    (0.25, 0.5)
    """
    p = _top_k(ids_p, log_probs_p, tail_log_mass_p, "p")
    q = _top_k(ids_q, log_probs_q, tail_log_mass_q, "q")
    if p[2].size != q[2].size:
        raise ValueError(f"`ids_p` and `ids_q` must have the same rows, but have {p[2].size} and {q[2].size}")
    return TopKBounds(*_rust.top_k_bounds(p, q))


def _top_k(
    ids: ArrayLike, log_probs: ArrayLike, tail: ArrayLike, name: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    classes = to_numpy(ids, f"ids_{name}")
    if classes.dtype.kind not in "iu":
        raise TypeError(f"`ids_{name}` must hold integers, but its dtype is {classes.dtype}")
    values, mass = matrix(log_probs, f"log_probs_{name}", "(n_rows, k)"), vector(tail, f"tail_log_mass_{name}")
    if classes.shape != values.shape:
        raise ValueError(
            f"`ids_{name}` and `log_probs_{name}` must have one shape, but have {classes.shape} and {values.shape}"
        )
    if mass.size != values.shape[0]:
        raise ValueError(
            f"`tail_log_mass_{name}` must hold one a row, but it holds {mass.size} for {values.shape[0]} rows"
        )
    return np.ascontiguousarray(classes, dtype=np.int64), values, mass
