"""The bootstrap as one call: a statistic with its interval, over rows or clusters."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.stats.estimate import Estimate
from vestige.stats.intervals import Scale, bca, bca_problem, jackknife_problem, jackknife_t, percentile

Statistic = Literal["mean", "roc_auc", "kendall_tau", "spearman_rho"]
Method = Literal["percentile", "bca", "basic", "jackknife-t"]
Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

_N_ARRAYS: Mapping[Statistic, int] = {"mean": 1, "roc_auc": 2, "kendall_tau": 2, "spearman_rho": 2}
_SCALES: Mapping[Statistic, Scale] = {
    "mean": "identity",
    "roc_auc": "logit",
    "kendall_tau": "fisher",
    "spearman_rho": "fisher",
}
_METHODS = ("percentile", "bca", "basic", "jackknife-t")


def bootstrap(
    data: ArrayLike | Sequence[ArrayLike],
    statistic: Statistic = "mean",
    n_resamples: int = 10_000,
    method: Method = "percentile",
    clusters: ArrayLike | Sequence[ArrayLike] | None = None,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """A statistic with its interval, resampling rows or whole clusters.

    Args:
        data: one array for "mean"; a tuple of two otherwise: paired columns for "kendall_tau" and "spearman_rho",
            shape (n_rows,) each; two independent samples, positives first, for "roc_auc".
        statistic: "mean", "roc_auc", "kendall_tau" (tau-b) or "spearman_rho".
        n_resamples: number of resamples; "jackknife-t" needs none.
        method: "percentile", "bca", "basic" as in `scipy.stats.bootstrap`; "jackknife-t" for few clusters.
        clusters: labels of what is drawn as a whole, one a row; a tuple of two for "roc_auc". Without it, rows.
        confidence_level: nominal coverage.
        seed: decides the resamples, whatever the number of threads.

    Returns:
        The estimate. Replicates in which the statistic is undefined are left out and counted in `n_undefined`. BCa is
        refused below 20 clusters (or rows); where it is degenerate the interval is the percentile one, and says so.

    Raises:
        ValueError: if an argument is not one of those named above, or lengths differ.

    Source: Efron and Tibshirani (1993), chapters 11 to 14.

    >>> estimate = bootstrap([1.0, 2.0, 3.0, 4.0], method="jackknife-t")
    >>> str(estimate)
    '2.5 [0.45, 4.6]'
    """
    samples = _samples(data, statistic)
    ids = _ids(clusters, samples, statistic)
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    value = _value(samples, statistic)
    n_clusters = sum(len(np.unique(labels)) for labels in ids) if ids else sum(_lengths(samples, statistic))
    common: dict[str, Any] = {
        "value": value,
        "n": sum(_lengths(samples, statistic)),
        "over": "clusters" if ids else "rows",
        "n_clusters": n_clusters,
        "confidence_level": confidence_level,
    }
    if isnan(value):
        return Estimate(**common, reason=_why_undefined(samples))
    left_out = _jackknife(samples, statistic, ids) if method in ("bca", "jackknife-t") else ()
    if method == "jackknife-t":
        scale = _SCALES[statistic]
        low, high = jackknife_t(value, left_out, scale=scale, confidence_level=confidence_level)
        reason = jackknife_problem(value, left_out, scale=scale)
        method_used = "" if reason else f"jackknife-t, {scale} scale"
        return Estimate(**common, low=low, high=high, method=method_used, reason=reason)
    replicates = _replicates(samples, statistic, n_resamples, seed, ids)
    low, high, made_by, reason = _quantile_interval(value, replicates, left_out, method, confidence_level)
    n_undefined = int(np.isnan(replicates).sum())
    return Estimate(**common, low=low, high=high, method=made_by, n_undefined=n_undefined, reason=reason)


def _samples(data: ArrayLike | Sequence[ArrayLike], statistic: Statistic) -> tuple[Floats, ...]:
    if statistic not in _N_ARRAYS:
        raise ValueError(f"statistic must be one of {', '.join(_N_ARRAYS)}, got {statistic!r}")
    expected = _N_ARRAYS[statistic]
    arrays: Sequence[Any] = data if isinstance(data, tuple) else (data,)
    if len(arrays) != expected:
        raise ValueError(f"data must be a tuple of {expected} arrays for {statistic!r}, got {len(arrays)}")
    samples = tuple(np.ascontiguousarray(array, dtype=np.float64) for array in arrays)
    if any(sample.ndim != 1 or not len(sample) for sample in samples):
        raise ValueError(f"data must hold non-empty arrays of shape (n_rows,), got {[s.shape for s in samples]}")
    if statistic != "roc_auc" and len({len(sample) for sample in samples}) > 1:
        raise ValueError(f"data must hold paired arrays of one length, got {[len(s) for s in samples]}")
    return samples


def _ids(clusters: Any, samples: tuple[Floats, ...], statistic: Statistic) -> tuple[Ids, ...]:
    if clusters is None:
        return ()
    lengths = _lengths(samples, statistic)
    given = clusters if isinstance(clusters, tuple) and len(lengths) > 1 else (clusters,)
    ids = tuple(np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64) for labels in given)
    if tuple(len(labels) for labels in ids) != lengths:
        raise ValueError(f"clusters must hold one label a row, {lengths} in all, got {tuple(len(i) for i in ids)}")
    return ids


def _lengths(samples: tuple[Floats, ...], statistic: Statistic) -> tuple[int, ...]:
    """Rows of each independent sample."""
    return tuple(len(sample) for sample in (samples if statistic == "roc_auc" else samples[:1]))


def _kernel_clusters(ids: tuple[Ids, ...]) -> Any:
    return (ids if len(ids) > 1 else ids[0]) if ids else None


def _value(samples: tuple[Floats, ...], statistic: Statistic) -> float:
    from vestige import kernels

    by_name: Mapping[Statistic, Callable[..., Any]] = {
        "mean": np.mean,
        "roc_auc": kernels.roc_auc,
        "kendall_tau": kernels.kendall_tau,
        "spearman_rho": kernels.spearman_rho,
    }
    return float(by_name[statistic](*samples))


def _why_undefined(samples: tuple[Floats, ...]) -> str:
    if any(np.isnan(sample).any() for sample in samples):
        return "NaN in the data"
    return "constant column or fewer than 2 rows"


def _jackknife(samples: tuple[Floats, ...], statistic: Statistic, ids: tuple[Ids, ...]) -> tuple[Floats, ...]:
    from vestige.kernels import jackknife_values

    return tuple(jackknife_values(samples, statistic, clusters=_kernel_clusters(ids)))


def _replicates(
    samples: tuple[Floats, ...], statistic: Statistic, n_resamples: int, seed: int, ids: tuple[Ids, ...]
) -> Floats:
    from vestige.kernels import bootstrap_replicates

    return bootstrap_replicates(samples, statistic, n_resamples=n_resamples, seed=seed, clusters=_kernel_clusters(ids))


def _quantile_interval(
    value: float, replicates: Floats, left_out: tuple[Floats, ...], method: Method, confidence_level: float
) -> tuple[float, float, str, str]:
    """Low, high, how it was made, and why there is none."""
    low, high = percentile(replicates, confidence_level)
    if isnan(low):
        return nan, nan, "", "undefined in every resample"
    if method == "basic":
        return 2 * value - high, 2 * value - low, "basic bootstrap", ""
    if method == "percentile":
        return low, high, "percentile bootstrap", ""
    problem = bca_problem(value, replicates, left_out)
    if "degenerate" in problem:
        return low, high, f"percentile bootstrap ({problem})", ""
    if problem:
        return nan, nan, "", problem
    return *bca(value, replicates, left_out, confidence_level), "BCa bootstrap", ""
