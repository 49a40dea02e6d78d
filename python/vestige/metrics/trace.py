"""Which examples, and at least how many, show a trace: conformal p-values, Benjamini-Hochberg, a lower bound."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Traces:
    """Examples that look seen.

    Attributes:
        p_values: conformal p-value of each example, shape (n_examples,).
        found: examples that show a trace, shape (n_examples,), bool; of them a share of at most `level` is expected
            to be wrong.
        at_least: with probability 1 - `level`, at least so many examples are not like the never-seen ones.
        level: of both.
        smallest_p: the smallest p-value that so few never-seen examples can give.
    """

    p_values: Floats
    found: NDArray[np.bool_]
    at_least: int
    level: float
    smallest_p: float


def conformal_p_values(
    scores: ArrayLike, never_seen: ArrayLike, alternative: Literal["higher", "two-sided"] = "higher"
) -> Floats:
    r"""Probability that a never-seen example scores as high as this one, $\frac{1 + \#\{s_j \ge s_i\}}{n + 1}$.

    Args:
        scores: of the examples in question, shape (n_examples,), higher = likelier seen; of entities (means over an
            author's questions) where examples belong together.
        never_seen: scores of n exchangeable examples that were not seen, shape (n,).
        alternative: "higher", or "two-sided": over-forgotten examples stand out below.

    Returns:
        Shape (n_examples,), float64, within [1 / (n + 1), 1]; NaN for a NaN score. Valid for any n, without any
        assumption about the scores but that never-seen examples are exchangeable.

    Raises:
        ValueError: if `never_seen` is empty or holds NaN.

    Source: Vovk et al. (2005), Algorithmic learning in a random world; Bates et al. (2023), Testing for outliers with
        conformal p-values.

    >>> conformal_p_values([5.0, 1.5], [1.0, 2.0, 3.0]).tolist()
    [0.25, 0.75]
    """
    values, calibration = np.asarray(scores, np.float64), np.sort(np.asarray(never_seen, np.float64).ravel())
    if not calibration.size or np.isnan(calibration).any():
        raise ValueError("`never_seen` must hold at least one score and no NaN")
    if alternative not in ("higher", "two-sided"):
        raise ValueError(f"`alternative` must be 'higher' or 'two-sided', but it is {alternative!r}")
    n = len(calibration)
    above = (1 + n - np.searchsorted(calibration, values, side="left")) / (n + 1)
    below = (1 + np.searchsorted(calibration, values, side="right")) / (n + 1)
    p = above if alternative == "higher" else np.minimum(1.0, 2 * np.minimum(above, below))
    return np.where(np.isnan(values), np.nan, p)


def traces(
    scores: ArrayLike,
    never_seen: ArrayLike,
    level: float = 0.1,
    alternative: Literal["higher", "two-sided"] = "higher",
) -> Traces:
    """Examples that show a trace of having been seen, and a lower bound on their number.

    Args:
        scores: of the examples in question, shape (n_examples,), higher = likelier seen.
        never_seen: of exchangeable examples that were not seen, shape (n,), other than those that chose the score.
        level: false discovery rate of `found`, and error probability of `at_least`.
        alternative: as in `conformal_p_values`.

    Returns:
        The traces. With n never-seen examples no p-value is below 1 / (n + 1): with few of them nothing can be found.

    Raises:
        ValueError: if `level` is not within (0, 1), or a score is NaN.

    Source: Benjamini and Hochberg (1995), valid for conformal p-values by Bates et al. (2023), section 2; lower bound:
        Hommel's closed test, Goeman et al. (2019), Simultaneous control of all false discovery proportions.

    >>> traces([9.0] * 5 + [0.0], np.linspace(0, 1, 99)).at_least
    5
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1, but it is {level}")
    p = conformal_p_values(scores, never_seen, alternative)
    if np.isnan(p).any():
        raise ValueError(f"`scores` hold {int(np.isnan(p).sum())} NaN; leave these examples out, and say so")
    ascending = np.sort(p)
    passed = np.flatnonzero(ascending <= level * np.arange(1, len(p) + 1) / len(p))
    found = p <= ascending[passed[-1]] if passed.size else np.zeros(len(p), np.bool_)
    smallest = (2 if alternative == "two-sided" else 1) / (np.size(never_seen) + 1)
    return Traces(p, found, len(p) - _largest_kept(ascending, level), level, min(1.0, smallest))


def _largest_kept(ascending: Floats, level: float) -> int:
    """Hommel's h: the size of the largest set of hypotheses that Simes' test does not reject."""
    n = len(ascending)
    for size in range(n, 0, -1):
        largest = ascending[n - size :]
        if np.all(largest > level * np.arange(1, size + 1) / size):
            return size
    return 0
