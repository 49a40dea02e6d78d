"""Joint bootstrap of a table of models by metrics: the same drawn examples for every model."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import array, count, integers, matrix, seed_of

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
_Metric = tuple[Floats, NDArray[np.uint32], int, bool]


@dataclass(frozen=True)
class JointBootstrap:
    """What became of the means, ranks and correlations of a table over resamples of its examples.

    Attributes:
        n_resamples: number of resamples.
        n_models: number of models.
        n_metrics: number of metrics.
        observed: mean of each model on each metric, shape (n_models, n_metrics).
        mean: its mean over resamples, same shape.
        sd: its standard deviation over resamples (with n - 1), the standard error, same shape.
        n_undefined: resamples in which it is NaN, same shape, int64; left out of mean and deviation.
        rank_counts: resamples in which a model had a rank, shape (n_models, n_metrics, n_models), [..., rank - 1],
            int64; rank 1 is the best, and tied models get their midrank rounded down.
        p_best: share of the ranked resamples in which a model came first, shape (n_models, n_metrics), within [0, 1];
            tied ones share a resample.
        n_unranked: resamples without ranks because some mean is NaN, shape (n_metrics,), int64.
        tau: tau-b between metrics over the models' means, each metric turned so that higher is better, shape
            (n_metrics, n_metrics), within [-1, 1]; NaN for a metric on which all models tie or one is NaN.
        tau_mean: its mean over resamples, same shape.
        tau_sd: its standard deviation over resamples (with n - 1), same shape.
        tau_n_undefined: resamples in which it is NaN, same shape, int64.
        replicates: the means in each resample, shape (n_resamples, n_models, n_metrics); None unless asked for.
        tau_replicates: tau-b in each resample, shape (n_resamples, n_metrics, n_metrics); None unless asked for.
    """

    n_resamples: int
    n_models: int
    n_metrics: int
    observed: Floats
    mean: Floats
    sd: Floats
    n_undefined: Counts
    rank_counts: Counts
    p_best: Floats
    n_unranked: Counts
    tau: Floats
    tau_mean: Floats
    tau_sd: Floats
    tau_n_undefined: Counts
    replicates: Floats | None
    tau_replicates: Floats | None

    def tau_interval(self, confidence_level: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper percentile of tau over the resamples where it is defined, shape (n_metrics, n_metrics) each.

        Raises:
            ValueError: if the replicates were not kept.
        """
        if self.tau_replicates is None:
            raise ValueError("there are no replicates of tau: pass return_tau_replicates=True to joint_bootstrap")
        tail = (1 - confidence_level) / 2
        low, high = np.full((2, *self.tau.shape), np.nan)
        for a, b in np.ndindex(self.tau.shape):
            defined = self.tau_replicates[:, a, b][~np.isnan(self.tau_replicates[:, a, b])]
            if defined.size:
                low[a, b], high[a, b] = np.quantile(defined, [tail, 1 - tail])
        return low, high


def joint_bootstrap(
    values: ArrayLike | Sequence[ArrayLike],
    *,
    higher_is_better: bool | Sequence[bool] = True,
    clusters: ArrayLike | Sequence[ArrayLike | None] | None = None,
    samples: Sequence[Hashable] | None = None,
    n_resamples: int = 10_000,
    return_replicates: bool = False,
    return_tau_replicates: bool = False,
    seed: int = 0,
) -> JointBootstrap:
    """Resample the examples behind a table of models by metrics, the same ones for every model.

    So differences between models are paired, and metrics over the same examples move together. Of each resample the
    means, the ranks of the models by each metric, and tau-b between the metrics are summarised, and none is kept.
    Means that differ by at most 1e-12 of the largest absolute mean of their metric are tied.

    Args:
        values: value of each example, shape (n_models, n_metrics, n_examples); or one array a metric, shape
            (n_models, n_examples of that metric). Any real dtype.
        higher_is_better: whether rank 1 has the highest mean; one for all or one a metric.
        clusters: integer cluster id of each example, drawn as a whole; one array, shape (n_examples,), for all
            metrics, or one array or None a metric. The mean is that of all drawn examples, so large clusters weigh
            more. None draws examples.
        samples: for a list of arrays, the name of the set of examples of each metric; metrics of one set share the
            draws, by cluster id where there are clusters and else by position. None gives each its own draws. The
            metrics of one array all share them.
        n_resamples: number of resamples.
        return_replicates: also return the means of each resample.
        return_tau_replicates: also return tau-b of each resample, for intervals.
        seed: within [0, 2**64); sample s of resample i has a random stream of its own, and the first sample has that
            of `resample_indices`.

    Returns:
        The summary; see `JointBootstrap`. A NaN makes the mean NaN in the resamples that draw it; they are counted.

    Raises:
        ValueError: if shapes or lengths do not fit, or something is empty.
        TypeError: if cluster ids are not integers.

    Source: Efron and Tibshirani (1993), chapters 6 and 8; what is counted is defined here.

    >>> result = joint_bootstrap([[[1.0, 1.0]], [[0.0, 0.0]]], n_resamples=10)  # two models, one metric, two examples
    >>> result.p_best.tolist(), result.rank_counts[:, 0].tolist()
    ([[1.0], [0.0]], [[10, 0], [0, 10]])
    """
    tables, names = _tables(values, samples)
    n_models, n_metrics = tables[0].shape[0], len(tables)
    n_units, metrics = _metrics(tables, names, _clusters(clusters, n_metrics), _flags(higher_is_better, n_metrics))
    n_resamples = count(n_resamples, "n_resamples")
    keep = (bool(return_replicates), bool(return_tau_replicates))
    means, between, (rank_counts, first_counts, n_unranked) = _rust.joint_bootstrap(
        metrics, n_models, n_units, n_resamples, seed_of(seed), keep
    )
    observed, mean, sd, n_undefined, replicates = (field.reshape(-1, n_models, n_metrics) for field in means)
    tau, tau_mean, tau_sd, tau_n_undefined, tau_replicates = (_square(field, n_metrics) for field in between)
    ranked = np.where(n_unranked < n_resamples, n_resamples - n_unranked, np.nan)
    return JointBootstrap(
        n_resamples=n_resamples,
        n_models=n_models,
        n_metrics=n_metrics,
        observed=observed[0],
        mean=mean[0],
        sd=sd[0],
        n_undefined=n_undefined[0],
        rank_counts=rank_counts.reshape(n_models, n_metrics, n_models),
        p_best=first_counts.reshape(n_models, n_metrics) / ranked,
        n_unranked=n_unranked,
        tau=tau[0],
        tau_mean=tau_mean[0],
        tau_sd=tau_sd[0],
        tau_n_undefined=tau_n_undefined[0],
        replicates=replicates if return_replicates else None,
        tau_replicates=tau_replicates if return_tau_replicates else None,
    )


def _tables(values: Any, samples: Sequence[Hashable] | None) -> tuple[list[Floats], list[Hashable]]:
    """The table of each metric and the name of its set of examples."""
    if isinstance(values, list | tuple) and all(np.ndim(table) == 2 for table in values) and not _is_one_array(values):
        return _separate_tables(values, samples)
    whole = array(values, "values")
    if whole.ndim != 3:
        raise ValueError(
            f"`values` must have shape (n_models, n_metrics, n_examples), but its shape is {whole.shape}; "
            "or pass a list with one array of shape (n_models, n_examples) a metric"
        )
    if samples is not None:
        raise ValueError("`samples` is for a list of arrays; the metrics of one array share their examples")
    return [np.ascontiguousarray(whole[:, k]) for k in range(whole.shape[1])], [None] * whole.shape[1]


def _is_one_array(values: Sequence[Any]) -> bool:
    """Nested lists are one array of three axes; a list of arrays is one a metric."""
    return not values or isinstance(values[0], list | tuple)


def _separate_tables(values: Sequence[Any], samples: Sequence[Hashable] | None) -> tuple[list[Floats], list[Hashable]]:
    tables = [matrix(table, f"values[{k}]", "(n_models, n_examples)") for k, table in enumerate(values)]
    n_models = [len(table) for table in tables]
    if len(set(n_models)) > 1:
        raise ValueError(f"`values` must hold one row a model in every array, but there are {n_models} rows")
    names: list[Hashable] = list(range(len(tables)) if samples is None else samples)
    if len(names) != len(tables):
        raise ValueError(
            f"`samples` must name one set of examples a metric, but there are {len(names)} for {len(tables)}"
        )
    return tables, names


def _flags(higher_is_better: bool | Sequence[bool], n_metrics: int) -> list[bool]:
    flags = [higher_is_better] * n_metrics if isinstance(higher_is_better, bool) else list(higher_is_better)
    if len(flags) != n_metrics:
        raise ValueError(f"`higher_is_better` must hold one flag a metric, but there are {len(flags)} for {n_metrics}")
    return [bool(flag) for flag in flags]


def _clusters(clusters: Any, n_metrics: int) -> list[NDArray[np.int64] | None]:
    """Cluster ids of each metric."""
    if clusters is None:
        return [None] * n_metrics
    one_for_all = not isinstance(clusters, list | tuple) or all(
        np.ndim(part) == 0 and part is not None for part in clusters
    )
    if one_for_all:
        return [integers(clusters, "clusters")] * n_metrics
    if len(clusters) != n_metrics:
        raise ValueError(f"`clusters` must hold one array a metric, but there are {len(clusters)} for {n_metrics}")
    return [None if part is None else integers(part, f"clusters[{k}]") for k, part in enumerate(clusters)]


def _metrics(
    tables: list[Floats], names: list[Hashable], clusters: list[NDArray[np.int64] | None], flags: list[bool]
) -> tuple[list[int], list[_Metric]]:
    """Number of units of each set of examples, and each metric as Rust takes it."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    ids = [
        np.arange(t.shape[1]) if c is None else _fitting(c, t, k)
        for k, (t, c) in enumerate(zip(tables, clusters, strict=True))
    ]
    units = {
        name: np.unique(np.concatenate([i for i, n in zip(ids, names, strict=True) if n == name])) for name in numbers
    }
    _same_examples(tables, names, clusters)
    metrics = [
        (table, np.searchsorted(units[name], own).astype(np.uint32), numbers[name], flag)
        for table, name, own, flag in zip(tables, names, ids, flags, strict=True)
    ]
    return [units[name].size for name in numbers], metrics


def _fitting(ids: NDArray[np.int64], table: Floats, metric: int) -> NDArray[np.int64]:
    if ids.size != table.shape[1]:
        raise ValueError(
            f"`clusters` must hold one id an example, but there are {ids.size} for {table.shape[1]} examples "
            f"of metric {metric}"
        )
    return ids


def _same_examples(tables: list[Floats], names: list[Hashable], clusters: list[NDArray[np.int64] | None]) -> None:
    """Without clusters, metrics of one set must have the same examples; with, all must have them."""
    for name in dict.fromkeys(names):
        kinds = {
            None if c is not None else t.shape[1] for t, n, c in zip(tables, names, clusters, strict=True) if n == name
        }
        if len(kinds) > 1:
            raise ValueError(
                f"metrics of the set {name!r} must have the same examples, or all have clusters, but they have "
                f"{', '.join('clusters' if kind is None else f'{kind} examples' for kind in sorted(kinds, key=str))}"
            )


def _square(pairs: NDArray[Any], n_metrics: int) -> NDArray[Any]:
    """Symmetric matrices from rows of pairs (0, 0), (0, 1), (1, 1), (0, 2), ..."""
    rows = pairs.reshape(-1, n_metrics * (n_metrics + 1) // 2)
    b, a = np.tril_indices(n_metrics)
    squares = np.empty((len(rows), n_metrics, n_metrics), dtype=pairs.dtype)
    squares[:, a, b] = squares[:, b, a] = rows
    return squares


def difference_maxima(
    values: ArrayLike,
    up: ArrayLike,
    down: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Floats:
    """The largest scaled difference of each model to the others in each resample, the same examples for all models.

    With d[j, k] how far the difference of the means of j and k is from the one in the data: the largest of
    d[j, k] * up[j, k] and -d[j, k] * down[j, k] over k. With one over the standard errors as factors it is the
    studentised maximum behind simultaneous statements about order.

    Args:
        values: value of each example, shape (n_models, n_examples). Any real dtype.
        up: factors, shape (n_models, n_models), non-negative; 0 leaves a difference out.
        down: factors of the differences the other way round, same shape.
        clusters: integer cluster id of each example, shape (n_examples,); None draws examples.
        n_resamples: number of resamples, with the draws of `joint_bootstrap`.
        seed: within [0, 2**64).

    Returns:
        Shape (n_models, n_resamples), float64; -inf where nothing is compared. A difference to a mean that is NaN
        is left out.

    Raises:
        ValueError: if shapes or lengths do not fit, or something is empty.
        TypeError: if cluster ids are not integers.

    Source: Romano and Wolf (2005), Stepwise multiple testing as formalized data snooping.

    >>> difference_maxima([[1.0, 1.0], [0.0, 0.0]], [[0, 1], [1, 0]], [[0, 0], [0, 0]], n_resamples=2)
    array([[0., 0.],
           [0., 0.]])
    """
    table = matrix(values, "values", "(n_models, n_examples)")
    ids = None if clusters is None else integers(clusters, "clusters")
    n_units, metrics = _metrics([table], [None], [ids], [True])
    factors = (_factors(up, "up", len(table)), _factors(down, "down", len(table)))
    n_resamples = count(n_resamples, "n_resamples")
    maxima = _rust.difference_maxima(metrics[0], n_units[0], *factors, n_resamples, seed_of(seed))
    return maxima.reshape(len(table), n_resamples)


def replicate_maxima(deviations: ArrayLike, up: ArrayLike, down: ArrayLike) -> Floats:
    """`difference_maxima` of replicates that are there already.

    Args:
        deviations: replicate of each model's value less the value, shape (n_resamples, n_models). Any real dtype.
        up: factors as in `difference_maxima`, shape (n_models, n_models).
        down: factors of the differences the other way round, same shape.

    Returns:
        Shape (n_models, n_resamples), float64; -inf where nothing is compared.

    Raises:
        ValueError: if shapes do not fit, or something is empty.

    >>> replicate_maxima([[1.0, 0.0]], [[0, 1], [1, 0]], [[0, 1], [0, 0]])
    array([[ 1.],
           [-1.]])
    """
    table = matrix(deviations, "deviations", "(n_resamples, n_models)")
    factors = (_factors(up, "up", table.shape[1]), _factors(down, "down", table.shape[1]))
    return _rust.replicate_maxima(table, *factors).reshape(table.shape[1], -1)


def _factors(factors: ArrayLike, name: str, n_models: int) -> Floats:
    square = matrix(factors, name, "(n_models, n_models)")
    if square.shape != (n_models, n_models):
        raise ValueError(f"`{name}` must have shape ({n_models}, {n_models}), but its shape is {square.shape}")
    return square
