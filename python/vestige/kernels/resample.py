"""Bootstrap replicates and jackknife values of statistics that Rust knows."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import count, integers, seed_of, vector, vector_pair

Statistic = Literal["mean", "roc_auc", "kendall_tau", "spearman_rho"]
_Sample = tuple[list[NDArray[np.float64]], NDArray[np.uint32], int]

_ARGUMENTS = {
    "mean": ("x",),
    "roc_auc": ("positive", "negative"),
    "kendall_tau": ("x", "y"),
    "spearman_rho": ("x", "y"),
}


def bootstrap_replicates(
    data: Sequence[ArrayLike],
    statistic: Statistic,
    *,
    n_resamples: int,
    seed: int,
    clusters: ArrayLike | Sequence[ArrayLike] | None = None,
) -> NDArray[np.float64]:
    """The statistic of samples drawn with replacement: rows, or whole clusters of rows.

    Data are sorted once; a resample only changes how often each row counts. Resample i has a random stream of its
    own, so the result depends on the seed and never on the number of threads.

    Args:
        data: (x,) for "mean"; paired (x, y) for "kendall_tau" and "spearman_rho"; two independent samples
            (positive, negative) for "roc_auc", each resampled on its own. Vectors of any real dtype.
        statistic: "mean", "roc_auc", "kendall_tau" or "spearman_rho".
        n_resamples: number of resamples.
        seed: within [0, 2**64).
        clusters: cluster id of each row, integer, shape (n,); for "roc_auc" a tuple of two such arrays.
            None resamples rows.

    Returns:
        One value per resample, shape (n_resamples,), float64, in the statistic's unit and range.
        NaN where the statistic is undefined (a constant resample), and everywhere if `data` hold a NaN.

    Raises:
        ValueError: if lengths differ, something is empty, or the statistic is unknown.
        TypeError: if cluster ids are not integers.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 6; clusters as in chapter 8.

    >>> bootstrap_replicates(([4.0, 4.0],), "mean", n_resamples=3, seed=0).tolist()
    [4.0, 4.0, 4.0]
    """
    samples = _samples(data, statistic, clusters)
    return _rust.bootstrap_replicates(samples, statistic, count(n_resamples, "n_resamples"), seed_of(seed))


def jackknife_values(
    data: Sequence[ArrayLike], statistic: Statistic, *, clusters: ArrayLike | Sequence[ArrayLike] | None = None
) -> tuple[NDArray[np.float64], ...]:
    """The statistic without each row, or without each cluster of rows, in turn.

    Args:
        data: as in `bootstrap_replicates`.
        statistic: "mean", "roc_auc", "kendall_tau" or "spearman_rho".
        clusters: as in `bootstrap_replicates`; None leaves out single rows.

    Returns:
        For each independent sample (two for "roc_auc", else one) an array with one value per unit left out,
        shape (n_units,), float64, in ascending order of cluster id. NaN where the statistic is undefined.

    Raises:
        ValueError: if lengths differ, something is empty, or the statistic is unknown.
        TypeError: if cluster ids are not integers.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 11.

    >>> [values.tolist() for values in jackknife_values(([1.0, 2.0, 6.0],), "mean")]
    [[4.0, 3.5, 1.5]]
    """
    return tuple(_rust.jackknife_values(_samples(data, statistic, clusters), statistic))


def resample_indices(n_units: int, n_resamples: int, seed: int) -> NDArray[np.int64]:
    """Which units each resample draws, for statistics written in Python.

    The streams are those of `bootstrap_replicates` with the same seed (for "roc_auc", those of its positives).

    Args:
        n_units: number of rows or clusters.
        n_resamples: number of resamples.
        seed: within [0, 2**64).

    Returns:
        Unit indices, shape (n_resamples, n_units), int64, within [0, n_units).

    Raises:
        ValueError: if a number is not positive or the seed out of range.

    Source: Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3 (Philox4x32-10).

    >>> resample_indices(1, 2, seed=0).tolist()
    [[0], [0]]
    """
    n_units, n_resamples = count(n_units, "n_units"), count(n_resamples, "n_resamples")
    return _rust.resample_indices(n_units, n_resamples, seed_of(seed)).reshape(n_resamples, n_units)


def _samples(data: Sequence[ArrayLike], statistic: str, clusters: Any) -> list[_Sample]:
    if statistic not in _ARGUMENTS:
        raise ValueError(f"`statistic` must be one of {', '.join(_ARGUMENTS)}, but it is {statistic!r}")
    names = _ARGUMENTS[statistic]
    if not isinstance(data, tuple | list) or len(data) != len(names):
        seen = len(data) if isinstance(data, tuple | list) else type(data).__name__
        raise ValueError(f"`data` must be a tuple ({', '.join(names)},) for {statistic!r}, but it is {seen}")
    if statistic != "roc_auc":
        columns = [vector(data[0], "x")] if len(data) == 1 else list(vector_pair(*data))
        return [_sample(columns, clusters, "clusters")]
    parts = (None, None) if clusters is None else clusters
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise ValueError("`clusters` must be a tuple of two arrays for 'roc_auc', one for each sample")
    return [_sample([vector(x, n)], c, f"clusters of {n}") for x, n, c in zip(data, names, parts, strict=True)]


def _sample(columns: list[NDArray[np.float64]], clusters: Any, name: str) -> _Sample:
    n_rows = columns[0].size
    if clusters is None:
        return columns, np.arange(n_rows, dtype=np.uint32), n_rows
    ids = integers(clusters, name)
    if ids.size != n_rows:
        raise ValueError(f"`{name}` must hold one id a row, but there are {ids.size} for {n_rows} rows")
    unique, codes = np.unique(ids, return_inverse=True)
    return columns, codes.astype(np.uint32), unique.size
