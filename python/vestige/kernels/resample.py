"""Bootstrap replicates and jackknife values of statistics that Rust knows."""

from collections.abc import Sequence
from operator import index
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import count, integers, seed_of, vector, vector_pair

Statistic = Literal[
    "mean", "weighted_mean", "quantile", "ratio", "roc_auc", "ks_statistic", "kendall_tau", "spearman_rho"
]
_Sample = tuple[list[NDArray[np.float64]], NDArray[np.uint32], list[int]]

_ARGUMENTS = {
    "mean": ("x",),
    "weighted_mean": ("x", "weights"),
    "quantile": ("x",),
    "ratio": ("numerator", "denominator"),
    "roc_auc": ("positive", "negative"),
    "ks_statistic": ("x", "y"),
    "kendall_tau": ("x", "y"),
    "spearman_rho": ("x", "y"),
}
_OF_TWO_SAMPLES = ("roc_auc", "ks_statistic")


def bootstrap_replicates(
    data: Sequence[ArrayLike],
    statistic: Statistic,
    *,
    n_resamples: int,
    seed: int,
    clusters: ArrayLike | Sequence[ArrayLike] | None = None,
    strata: ArrayLike | Sequence[ArrayLike] | None = None,
    q: float = 0.5,
) -> NDArray[np.float64]:
    """The statistic of samples drawn with replacement: rows, or whole clusters of rows.

    Data are sorted once; a resample only changes how often each row counts. Resample i has a random stream of its
    own, so the result depends on the seed and never on the number of threads. Memory grows with the rows and with
    `n_resamples`, never with their product.

    Args:
        data: (x,) for "mean" and "quantile"; paired (x, weights) for "weighted_mean", (numerator, denominator) for
            "ratio", the ratio of their sums, and (x, y) for "kendall_tau" and "spearman_rho"; two independent samples,
            each resampled on its own, (positive, negative) for "roc_auc" and (x, y) for "ks_statistic".
            Vectors of any real dtype.
        statistic: one of the names above.
        n_resamples: number of resamples.
        seed: within [0, 2**64).
        clusters: cluster id of each row, integer, shape (n,); for two samples a tuple of two such arrays.
            None resamples rows.
        strata: stratum of each row, integer, in the form of `clusters`. From each stratum as many rows (or clusters)
            are drawn as it has. A cluster lies in one stratum. None is one stratum.
        q: level of the quantile, within [0, 1], interpolated as by `numpy.quantile`; for "quantile" only.

    Returns:
        One value per resample, shape (n_resamples,), float64, in the statistic's unit and range.
        NaN where the statistic is undefined (a constant resample, weights or a denominator that sum to 0), and
        everywhere if `data` hold a NaN.

    Raises:
        ValueError: if lengths differ, something is empty, a weight is negative or infinite, a cluster lies in two
            strata, or the statistic is unknown.
        TypeError: if cluster ids or strata are not integers.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapters 6 and 8.

    >>> bootstrap_replicates(([4.0, 4.0],), "mean", n_resamples=3, seed=0).tolist()
    [4.0, 4.0, 4.0]
    >>> bootstrap_replicates(([0.0, 4.0],), "mean", n_resamples=3, seed=0, strata=[0, 1]).tolist()
    [2.0, 2.0, 2.0]
    """
    samples = _samples(data, statistic, clusters, strata)
    n_resamples = count(n_resamples, "n_resamples")
    return _rust.bootstrap_replicates(samples, statistic, _level(q), n_resamples, seed_of(seed))


def jackknife_values(
    data: Sequence[ArrayLike],
    statistic: Statistic,
    *,
    clusters: ArrayLike | Sequence[ArrayLike] | None = None,
    strata: ArrayLike | Sequence[ArrayLike] | None = None,
    q: float = 0.5,
) -> tuple[NDArray[np.float64], ...]:
    """The statistic without each row, or without each cluster of rows, in turn.

    Args:
        data: as in `bootstrap_replicates`.
        statistic: as in `bootstrap_replicates`.
        clusters: as in `bootstrap_replicates`; None leaves out single rows.
        strata: as in `bootstrap_replicates`.
        q: as in `bootstrap_replicates`.

    Returns:
        For each independent sample ("roc_auc" and "ks_statistic" have two), and in it for each stratum in ascending
        order, an array with one value per unit left out, shape (n_units,), float64, in ascending order of cluster id.
        NaN where the statistic is undefined.

    Raises:
        ValueError: as `bootstrap_replicates`.
        TypeError: if cluster ids or strata are not integers.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 11.

    >>> [values.tolist() for values in jackknife_values(([1.0, 2.0, 6.0],), "mean")]
    [[4.0, 3.5, 1.5]]
    """
    samples = _samples(data, statistic, clusters, strata)
    values = _rust.jackknife_values(samples, statistic, _level(q))
    parts = ((v, np.cumsum(sizes)[:-1]) for v, (_, _, sizes) in zip(values, samples, strict=True))
    return tuple(part for v, ends in parts for part in np.split(v, ends))


def resample_indices(
    n_units: int, n_resamples: int, seed: int, *, sample: int = 0, strata: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Which units each resample draws, for statistics written in Python.

    The streams are those of `bootstrap_replicates` with the same seed.

    Args:
        n_units: number of rows or clusters.
        n_resamples: number of resamples.
        seed: within [0, 2**64).
        sample: 0 for the first sample, 1 for the second one of two-sample statistics.
        strata: stratum of each unit, integer, shape (n_units,). None is one stratum.

    Returns:
        Unit indices, shape (n_resamples, n_units), int64, within [0, n_units); those of one stratum side by side.

    Raises:
        ValueError: if a number is not positive or the seed out of range.

    Source: Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3 (Philox4x32-10).

    >>> resample_indices(1, 2, seed=0).tolist()
    [[0], [0]]
    """
    n_units, n_resamples = count(n_units, "n_units"), count(n_resamples, "n_resamples")
    if index(sample) not in (0, 1):
        raise ValueError(f"`sample` must be 0 or 1, but it is {sample!r}")
    order, sizes = _strata(strata, np.arange(n_units), n_units, "strata")
    drawn = _rust.resample_indices(sizes, n_resamples, seed_of(seed), index(sample))
    return (drawn if strata is None else order[drawn]).reshape(n_resamples, n_units)


def _level(q: float) -> float:
    if not 0 <= q <= 1:
        raise ValueError(f"`q` must lie in 0 to 1, but it is {q}")
    return float(q)


def _samples(data: Sequence[ArrayLike], statistic: str, clusters: Any, strata: Any) -> list[_Sample]:
    if statistic not in _ARGUMENTS:
        raise ValueError(f"`statistic` must be one of {', '.join(_ARGUMENTS)}, but it is {statistic!r}")
    names = _ARGUMENTS[statistic]
    if not isinstance(data, tuple | list) or len(data) != len(names):
        seen = len(data) if isinstance(data, tuple | list) else type(data).__name__
        raise ValueError(f"`data` must be a tuple ({', '.join(names)},) for {statistic!r}, but it is {seen}")
    if statistic not in _OF_TWO_SAMPLES:
        one = len(names) == 1
        columns = [vector(data[0], "x")] if one else list(vector_pair(data[0], data[1], (names[0], names[-1])))
        if statistic == "weighted_mean":
            _refuse_negative(columns[1])
        return [_sample(columns, clusters, strata, "")]
    cluster_parts, strata_parts = _two(clusters, "clusters", statistic), _two(strata, "strata", statistic)
    parts = zip(data, names, cluster_parts, strata_parts, strict=True)
    return [_sample([vector(x, n)], c, s, f" of {n}") for x, n, c, s in parts]


def _refuse_negative(weights: NDArray[np.float64]) -> None:
    wrong = (weights < 0) | np.isinf(weights)
    if wrong.any():
        raise ValueError(f"`weights` must be finite and not negative, but there is {weights[wrong][0]}")


def _two(labels: Any, name: str, statistic: str) -> Any:
    if labels is None:
        return None, None
    if not isinstance(labels, tuple | list) or len(labels) != 2:
        raise ValueError(f"`{name}` must be a tuple of two arrays for {statistic!r}, one for each sample")
    return labels


def _sample(columns: list[NDArray[np.float64]], clusters: Any, strata: Any, of: str) -> _Sample:
    n_rows = columns[0].size
    if clusters is None:
        units, n_units = np.arange(n_rows), n_rows
    else:
        unique, units = np.unique(_one_a_row(clusters, n_rows, f"clusters{of}"), return_inverse=True)
        n_units = unique.size
    order, sizes = _strata(strata, units, n_units, f"strata{of}")
    if strata is not None:
        place = np.empty_like(order)
        place[order] = np.arange(n_units)
        units = place[units]
    return columns, units.astype(np.uint32), sizes


def _strata(strata: Any, units: NDArray[np.int64], n_units: int, name: str) -> tuple[NDArray[np.int64], list[int]]:
    """Units so that those of a stratum lie side by side, and the number of units of each stratum."""
    if strata is None:
        return np.arange(n_units), [n_units]
    unique, codes = np.unique(_one_a_row(strata, units.size, name), return_inverse=True)
    of_unit = np.zeros(n_units, dtype=np.int64)
    of_unit[units] = codes
    if (of_unit[units] != codes).any():
        raise ValueError(f"`{name}` must put all rows of a cluster into one stratum, but some cluster lies in two")
    return np.argsort(of_unit, kind="stable"), np.bincount(of_unit, minlength=unique.size).tolist()


def _one_a_row(labels: Any, n_rows: int, name: str) -> NDArray[np.int64]:
    ids = integers(labels, name)
    if ids.size != n_rows:
        raise ValueError(f"`{name}` must hold one id a row, but there are {ids.size} for {n_rows} rows")
    return ids
