"""Statistics of two independent samples."""

from dataclasses import dataclass
from math import exp, gcd, inf, isnan, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import vector
from vestige.kernels.significance import Alternative, Method, Significance, check_choices, undefined

# As SciPy: exact up to so many values a sample.
_EXACT_KS = 10_000
_EXACT_MANN_WHITNEY = 8
# Above so many steps of the difference of two distribution functions, an exact p-value takes too long.
_MOST_STEPS = 2**31


def roc_auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive is above a negative, ties counting half.

    Args:
        positive: scores of the positives, shape (n_positive,), any real dtype.
        negative: scores of the negatives, shape (n_negative,), any real dtype.

    Returns:
        The area, without unit, within [0, 1]; 0.5 means that scores tell nothing. NaN if a score is NaN.
        Higher means that positives score higher.

    Raises:
        ValueError: if an argument is empty or not a vector.

    Source: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve; agrees with scikit-learn.

    >>> roc_auc([1, 2], [1, 0])
    0.875
    """
    return _rust.roc_auc(*_samples(positive, negative))


@dataclass(frozen=True)
class RocCurve:
    """A ROC curve, from the highest threshold to the lowest.

    Attributes:
        thresholds: scores, shape (n_points,), descending, the first inf; a score at the threshold counts as positive.
        fpr: share of the negatives at or above the threshold, shape (n_points,), from 0 to 1.
        tpr: share of the positives at or above it, shape (n_points,), from 0 to 1.
    """

    thresholds: NDArray[np.float64]
    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]


def roc_curve(positive: ArrayLike, negative: ArrayLike, *, drop_collinear: bool = True) -> RocCurve:
    """The ROC curve of scores: true against false positive rate at every threshold.

    Args:
        positive: scores of the positives, shape (n_positive,), any real dtype.
        negative: scores of the negatives, shape (n_negative,), any real dtype.
        drop_collinear: leave out points between two equal steps, which do not change the curve.

    Returns:
        The curve, from (0, 0) to (1, 1); one point of NaN if a score is NaN.

    Raises:
        ValueError: if an argument is empty or not a vector.

    Source: Fawcett (2006), An introduction to ROC analysis; agrees with `sklearn.metrics.roc_curve`.

    >>> curve = roc_curve([0.9, 0.8, 0.4], [0.4, 0.1])
    >>> curve.thresholds.tolist(), curve.fpr.tolist()
    ([inf, 0.9, 0.8, 0.4, 0.1], [0.0, 0.0, 0.0, 0.5, 1.0])
    """
    return RocCurve(*_rust.roc_curve(*_samples(positive, negative), not drop_collinear))


def tpr_at_fpr(positive: ArrayLike, negative: ArrayLike, fpr: float) -> float:
    """The largest true positive rate at a false positive rate of at most `fpr`.

    A point of the curve, never one between two: a threshold that no score has cannot be used.

    Args:
        positive: scores of the positives, shape (n_positive,), any real dtype.
        negative: scores of the negatives, shape (n_negative,), any real dtype.
        fpr: the false positive rate that is allowed, within [0, 1].

    Returns:
        The true positive rate, without unit, within [0, 1]; NaN if a score is NaN. Higher means easier to tell apart.

    Raises:
        ValueError: if an argument is empty or not a vector, or `fpr` is outside [0, 1].

    Source: Carlini et al. (2022), Membership inference attacks from first principles, section III.

    >>> tpr_at_fpr([0.9, 0.8, 0.4, 0.3], [0.5, 0.1], 0.01)
    0.5
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"`fpr` must lie in 0 to 1, but it is {fpr}")
    return _rust.tpr_at_fpr(*_samples(positive, negative), fpr)


def _samples(positive: ArrayLike, negative: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    return vector(positive, "positive"), vector(negative, "negative")


def ks_statistic(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sample Kolmogorov-Smirnov statistic: the largest distance between two distribution functions.

    Args:
        x: first sample, shape (n_x,), any real dtype.
        y: second sample, shape (n_y,), any real dtype.

    Returns:
        The statistic, without unit, within [0, 1]; 0 means equal samples. NaN if a value is NaN.
        Lower is closer. Symmetric.

    Raises:
        ValueError: if an argument is empty or not a vector.

    Source: Smirnov (1939), as in `scipy.stats.ks_2samp`, with which it agrees.

    >>> ks_statistic([1, 2], [1, 0])
    0.5
    """
    return _rust.ks_statistic(vector(x, "x"), vector(y, "y"))


def ks_test(
    x: ArrayLike, y: ArrayLike, *, alternative: Alternative = "two-sided", method: Method = "auto"
) -> Significance:
    """Two-sample Kolmogorov-Smirnov test: can both samples come from one continuous distribution?

    Args:
        x: first sample, shape (n_x,), any real dtype.
        y: second sample, shape (n_y,), any real dtype.
        alternative: "two-sided", "greater" (the distribution function of `x` is above that of `y`, so `x` tends to be
            smaller) or "less".
        method: "exact" counts the orders of the two samples; "asymptotic" is the one-sample distribution at the
            effective size, or Hodges' formula for one side; "auto" is exact up to 10,000 values a sample.

    Returns:
        The statistic, within [0, 1], and its p-value; undefined if a value is NaN.
        Exact p-values that would take more than 2^31 steps are asymptotic; `method` tells.

    Raises:
        ValueError: if an argument is empty or not a vector, or a choice is unknown.

    Source: Hodges (1958), The significance probability of the Smirnov two-sample test; agrees with
        `scipy.stats.ks_2samp`, but is still exact where SciPy falls back on the asymptotic value (one-sided, n > 500).

    >>> result = ks_test([1, 2, 3], [4, 5, 6])
    >>> result.statistic, round(result.p_value, 10), result.method
    (1.0, 0.1, 'exact')
    """
    check_choices(alternative, method)
    x, y = vector(x, "x"), vector(y, "y")
    if (gaps := _rust.ks_gaps(x, y)) is None:
        return undefined()
    (n, m), (greater, less) = (x.size, y.size), gaps
    largest = {"two-sided": max(gaps), "greater": greater, "less": less}[alternative]
    exact = method == "exact" or (method == "auto" and max(n, m) <= _EXACT_KS)
    if exact and n * m // gcd(n, m) < _MOST_STEPS:
        above, below = (largest if alternative != side else None for side in ("less", "greater"))
        return Significance(largest / (n * m), min(1.0, _rust.ks_exact(n, m, above, below)), "exact")
    return Significance(largest / (n * m), _ks_asymptotic(largest / (n * m), n, m, alternative), "asymptotic")


def _ks_asymptotic(statistic: float, n: int, m: int, alternative: Alternative) -> float:
    larger, smaller = float(max(n, m)), float(min(n, m))
    size = larger * smaller / (larger + smaller)
    if alternative == "two-sided":
        from scipy.stats import kstwo

        return float(np.clip(kstwo.sf(statistic, max(1.0, np.round(size))), 0, 1))
    z = sqrt(size) * statistic
    skewed = (larger + 2 * smaller) / sqrt(larger * smaller * (larger + smaller)) / 3
    return min(1.0, exp(-2 * z**2 - 2 * z * skewed))


def mann_whitney_test(
    x: ArrayLike,
    y: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    method: Method = "auto",
    continuity: bool = True,
) -> Significance:
    """Mann-Whitney U test: is a value of one sample as likely above as below one of the other?

    Args:
        x: first sample, shape (n_x,), any real dtype.
        y: second sample, shape (n_y,), any real dtype.
        alternative: "two-sided", "greater" (`x` tends to be larger) or "less".
        method: "exact" counts orders, as if there were no ties; "asymptotic" is the normal approximation with its
            variance for ties; "auto" is exact without ties if a sample has at most 8 values.
        continuity: move the statistic by a half towards its mean in the normal approximation.

    Returns:
        U of `x`, the pairs in which `x` is larger, ties counting half, and its p-value; undefined if a value is NaN,
        and without p-value if all values are equal and the method is asymptotic.

    Raises:
        ValueError: if an argument is empty or not a vector, or a choice is unknown.

    Source: Mann and Whitney (1947), On a test of whether one of two random variables is stochastically larger than the
        other; agrees with `scipy.stats.mannwhitneyu`.

    >>> result = mann_whitney_test([1, 2, 3], [4, 5, 6])
    >>> result.statistic, round(result.p_value, 10), result.method
    (0.0, 0.1, 'exact')
    """
    check_choices(alternative, method)
    x, y = vector(x, "x"), vector(y, "y")
    statistic, ties = _rust.mann_whitney(x, y)
    if isnan(statistic):
        return undefined()
    n, m = x.size, y.size
    extreme = {"greater": statistic, "less": n * m - statistic, "two-sided": max(statistic, n * m - statistic)}[
        alternative
    ]
    sides = 2 if alternative == "two-sided" else 1
    if method == "exact" or (method == "auto" and min(n, m) <= _EXACT_MANN_WHITNEY and not ties):
        return Significance(statistic, min(1.0, sides * _at_least(n, m, int(extreme))), "exact")
    variance = n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1)))
    excess = extreme - n * m / 2 - (0.5 if continuity else 0)
    if variance <= 0 and excess == 0:
        return undefined(statistic)
    from scipy.special import ndtr

    z = excess / sqrt(variance) if variance > 0 else excess * inf
    return Significance(statistic, min(1.0, sides * float(ndtr(-z))), "asymptotic")


def _at_least(n: int, m: int, u: int) -> float:
    """Chance of a U of at least `u`."""
    if u < n * m - u:
        at_most, exactly = _rust.mann_whitney_exact(n, m, u)
        return 1 - at_most + exactly
    return _rust.mann_whitney_exact(n, m, n * m - u)[0]


def wasserstein_distance(
    x: ArrayLike, y: ArrayLike, *, x_weights: ArrayLike | None = None, y_weights: ArrayLike | None = None
) -> float:
    r"""1-Wasserstein (earth mover's) distance of two samples, $\int |F - G|$.

    Args:
        x: first sample, shape (n_x,), any real dtype.
        y: second sample, shape (n_y,), any real dtype.
        x_weights: how much each value of `x` counts, shape (n_x,), at least 0; the same for all if left out.
        y_weights: likewise for `y`, shape (n_y,).

    Returns:
        The distance, in the unit of the values, at least 0; NaN if a value is NaN. Lower is closer. Symmetric.

    Raises:
        ValueError: if an argument is empty or not a vector, or weights are negative, infinite, all 0 or miscounted.

    Source: Vallender (1974), Calculation of the Wasserstein distance; agrees with `scipy.stats.wasserstein_distance`.

    >>> wasserstein_distance([0, 1, 3], [5, 6, 8])
    5.0
    """
    return _rust.wasserstein_distance(*_weighted(x, y, x_weights, y_weights))


def energy_distance(
    x: ArrayLike, y: ArrayLike, *, x_weights: ArrayLike | None = None, y_weights: ArrayLike | None = None
) -> float:
    r"""Energy distance of two samples, $\sqrt{2 \int (F - G)^2}$.

    Args:
        x: first sample, shape (n_x,), any real dtype.
        y: second sample, shape (n_y,), any real dtype.
        x_weights: how much each value of `x` counts, shape (n_x,), at least 0; the same for all if left out.
        y_weights: likewise for `y`, shape (n_y,).

    Returns:
        The distance, in the root of the values' unit, at least 0; NaN if a value is NaN. Lower is closer. Symmetric.

    Raises:
        ValueError: if an argument is empty or not a vector, or weights are negative, infinite, all 0 or miscounted.

    Source: Szekely (2003), E-statistics: the energy of statistical samples; agrees with `scipy.stats.energy_distance`.

    >>> round(energy_distance([0], [2]), 10)
    2.0
    """
    return _rust.energy_distance(*_weighted(x, y, x_weights, y_weights))


def _weighted(x: ArrayLike, y: ArrayLike, x_weights: ArrayLike | None, y_weights: ArrayLike | None) -> tuple[Any, ...]:
    first, second = vector(x, "x"), vector(y, "y")
    return first, second, _weights(x_weights, "x", first.size), _weights(y_weights, "y", second.size)


def _weights(weights: ArrayLike | None, of: str, size: int) -> NDArray[np.float64] | None:
    if weights is None:
        return None
    values = vector(weights, f"{of}_weights")
    if values.size != size:
        raise ValueError(
            f"`{of}_weights` must hold one weight for each value of `{of}`, but has {values.size} elements "
            f"and `{of}` has {size}"
        )
    if not values.min() >= 0 or not 0 < values.sum() < inf:
        raise ValueError(
            f"`{of}_weights` must be at least 0 with a positive, finite sum; leave it out for equal weights"
        )
    return values
