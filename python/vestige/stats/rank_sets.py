"""Which ranks of a model the data leave open: confidence sets from studentised differences of all pairs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from vestige.stats.intervals import FEWEST_CLUSTERS_FOR_BOOTSTRAP

Floats = NDArray[np.float64]
Maxima = Callable[[Floats, Floats], Floats]

# Differences that spread by less than this share of the values differ by rounding only.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class RankSets:
    """The ranks that each model may have; 1 is the best.

    Attributes:
        rank: rank by the data, shape (n_models,), midranks for ties; NaN for a model whose value is NaN.
        low: best rank in the set, shape (n_models,), int64.
        high: worst rank in the set, shape (n_models,), int64.
        critical_value: what a studentised difference must exceed in the last step, shape (n_models,); NaN where
            every difference was decided before, and everywhere with a `reason`.
        confidence_level: of all sets together if `simultaneous`, else of each.
        simultaneous: whether the sets hold together.
        n_clusters: number of resampled clusters, 0 where replicates were given.
        n_resamples: number of resamples.
        method: how the sets were made.
        reason: why all sets hold all ranks; empty where the data were asked.
    """

    rank: Floats
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    critical_value: Floats
    confidence_level: float
    simultaneous: bool
    n_clusters: int
    n_resamples: int
    method: str
    reason: str = ""


def rank_sets(
    values: ArrayLike,
    *,
    higher_is_better: bool = True,
    clusters: ArrayLike | None = None,
    simultaneous: bool = True,
    confidence_level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> RankSets:
    """Confidence sets for the ranks of models by their mean over the same examples.

    A model's best rank is 1 + the number of models shown to be better, its worst n_models - the number shown to be
    worse. "Shown" is by the difference of means over its standard error, against the bootstrap distribution of the
    largest such difference, step by step (max-T, step-down). In contrast to percentiles of bootstrapped ranks, which
    almost never hold tied models' ranks together, the sets do. Resamples share the data's standard errors, so the
    bootstrap's quantile is carried over to Student's t with n_clusters - 1 degrees of freedom: without that, all sets
    of five tied models held in 91 % of 1,000 simulations at 40 examples, with it in 95 %, at nominal 95 %.

    Args:
        values: value of each example, shape (n_models, n_examples). Any real dtype. A model with a NaN is not ranked:
            its set holds all ranks, and it may stand anywhere among the others.
        higher_is_better: whether rank 1 has the highest mean.
        clusters: integer cluster id of each example, drawn as a whole; None draws examples.
        simultaneous: whether all sets hold together, or each by itself.
        confidence_level: nominal coverage, within (0, 1).
        n_resamples: number of resamples.
        seed: decides the resamples, whatever the number of threads.

    Returns:
        The sets; all ranks, and the reason, below 20 clusters. A difference that is the same in every cluster and
        not 0 counts as shown.

    Raises:
        ValueError: if shapes do not fit, something is empty, or the level is not within (0, 1).
        TypeError: if cluster ids are not integers.

    Source: Mogstad, Romano, Shaikh and Wilhelm (2024), Inference for ranks with applications to mobility across
        neighbourhoods and academic achievement across countries; Romano and Wolf (2005) for the steps.

    >>> noise = np.tile([0.5, -0.5, 0.25, -0.25], 10)
    >>> sets = rank_sets([noise + 5, -noise, noise[::-1]])
    >>> sets.low.tolist(), sets.high.tolist()  # the first is best, the others cannot be told apart
    ([1, 2, 2], [1, 3, 3])
    """
    from vestige.kernels.joint import difference_maxima

    table, codes, n_clusters = _examples(values, clusters)
    _check_level(confidence_level)
    means = table.mean(axis=1)
    errors = _standard_errors(table, means, codes, n_clusters)

    def maxima(up: Floats, down: Floats) -> Floats:
        return difference_maxima(table, up, down, clusters=codes, n_resamples=n_resamples, seed=seed)

    few = n_clusters < FEWEST_CLUSTERS_FOR_BOOTSTRAP
    reason = f"{n_clusters} clusters, a bootstrap needs {FEWEST_CLUSTERS_FOR_BOOTSTRAP}" if few else ""
    shared = (simultaneous, confidence_level, n_clusters, n_resamples, reason)
    return _sets(means if higher_is_better else -means, errors, maxima, 1 if higher_is_better else -1, *shared)


def rank_sets_from_replicates(
    estimates: ArrayLike,
    replicates: ArrayLike,
    *,
    higher_is_better: bool = True,
    simultaneous: bool = True,
    confidence_level: float = 0.95,
) -> RankSets:
    """Confidence sets for ranks from a joint bootstrap of any statistic, for example `joint_bootstrap`'s replicates.

    Args:
        estimates: value of each model, shape (n_models,).
        replicates: values in each resample, the same examples for all models, shape (n_resamples, n_models). The
            standard error of a difference is its standard deviation over them. A model with a NaN is not ranked.
        higher_is_better: whether rank 1 has the highest value.
        simultaneous: whether all sets hold together, or each by itself.
        confidence_level: nominal coverage, within (0, 1).

    Returns:
        The sets, as in `rank_sets`.

    Raises:
        ValueError: if shapes do not fit, something is empty, or the level is not within (0, 1).

    Source: as `rank_sets`.

    >>> replicates = np.random.default_rng(0).normal([0.0, 9.0], 1.0, (1000, 2))
    >>> rank_sets_from_replicates([0.0, 9.0], replicates).high.tolist()
    [2, 1]
    """
    from vestige.kernels.joint import replicate_maxima

    values, drawn = np.asarray(estimates, dtype=np.float64), np.asarray(replicates, dtype=np.float64)
    if values.ndim != 1 or not values.size or drawn.ndim != 2 or drawn.shape[1] != values.size or len(drawn) < 2:
        raise ValueError(
            f"replicates must have shape (n_resamples, n_models) for estimates of shape (n_models,), at least two "
            f"resamples, got {drawn.shape} and {values.shape}"
        )
    _check_level(confidence_level)
    deviations = drawn - values
    errors = np.array([(drawn[:, [model]] - drawn).std(axis=0, ddof=1) for model in range(values.size)])
    errors[errors <= _ROUNDING * _largest(drawn)] = 0

    def maxima(up: Floats, down: Floats) -> Floats:
        return replicate_maxima(deviations, up, down)

    sign = 1 if higher_is_better else -1
    return _sets(sign * values, errors, maxima, sign, simultaneous, confidence_level, 0, len(drawn), "")


def _examples(values: ArrayLike, clusters: ArrayLike | None) -> tuple[Floats, NDArray[np.int64], int]:
    table = np.ascontiguousarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"values must have shape (n_models, n_examples) and not be empty, got {table.shape}")
    if clusters is None:
        return table, np.arange(table.shape[1]), table.shape[1]
    labels = np.asarray(clusters)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"clusters must hold integers, got {labels.dtype}")
    if labels.shape != table.shape[1:]:
        raise ValueError(f"clusters must hold one id an example, {table.shape[1]} in all, got shape {labels.shape}")
    unique, codes = np.unique(labels, return_inverse=True)
    return table, codes.astype(np.int64), unique.size


def _check_level(confidence_level: float) -> None:
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie within (0, 1), got {confidence_level}")


def _largest(values: Floats) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0))


def _standard_errors(table: Floats, means: Floats, codes: NDArray[np.int64], n_clusters: int) -> Floats:
    """Of the difference of each pair of means, from the clusters' sums of deviations (linearised for unequal ones)."""
    with np.errstate(invalid="ignore"):
        deviations = table - means[:, None]
    sums = np.array([np.bincount(codes, weights=row, minlength=n_clusters) for row in deviations])
    squares = np.array([((sums[model] - sums) ** 2).sum(axis=1) for model in range(len(table))])
    errors: Floats = np.sqrt(squares * n_clusters / max(n_clusters - 1, 1)) / table.shape[1]
    errors[errors <= _ROUNDING * _largest(table)] = 0
    return errors


def _sets(
    values: Floats,
    errors: Floats,
    maxima: Maxima,
    sign: int,
    simultaneous: bool,
    confidence_level: float,
    n_clusters: int,
    n_resamples: int,
    reason: str,
) -> RankSets:
    n_models = values.size
    better, worse = np.zeros((2, n_models, n_models), dtype=bool)
    critical = np.full(n_models, np.nan)
    if not reason:
        better, worse, critical = _shown(values, errors, maxima, sign, simultaneous, confidence_level, n_clusters)
    tails = " with Student's tails" if n_clusters else ""
    return RankSets(
        rank=_ranks(values),
        low=1 + worse.sum(axis=1),
        high=n_models - better.sum(axis=1),
        critical_value=critical,
        confidence_level=confidence_level,
        simultaneous=simultaneous,
        n_clusters=n_clusters,
        n_resamples=n_resamples,
        method="" if reason else f"studentised differences of pairs, bootstrap max-T{tails}, step-down",
        reason=reason,
    )


def _ranks(values: Floats) -> Floats:
    from vestige.kernels import midranks

    ranks, defined = np.full(values.size, np.nan), ~np.isnan(values)
    if defined.any():
        ranks[defined] = midranks(np.ascontiguousarray(-values[defined]))
    return ranks


def _shown(
    values: Floats,
    errors: Floats,
    maxima: Maxima,
    sign: int,
    simultaneous: bool,
    confidence_level: float,
    n_clusters: int,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
    """Whether row is shown to be better, and worse, than column; and the last critical value of each row's family.

    A family holds both directions of each pair, and a direction leaves it once it is shown: the other one is still to
    be guarded against. A row's own family is its pairs; all together hold each direction twice, which changes nothing.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        lead = values[:, None] - values[None, :]
        t = np.where(errors > 0, lead / errors, np.where(lead == 0, 0, np.copysign(np.inf, lead)))
        factors = np.where((errors > 0) & np.isfinite(errors), 1 / errors, 0)
    t[np.isnan(lead)] = np.nan
    better, worse = t == np.inf, t == -np.inf
    critical = np.full(values.size, np.nan)
    while True:
        # In the data's orientation a lead of the lower value is a difference downwards.
        open_up, open_down = factors * ~better, factors * ~worse
        largest = maxima(open_up, open_down) if sign > 0 else maxima(open_down, open_up)
        largest = largest.max(axis=0, keepdims=True) if simultaneous else largest
        step = _student(np.quantile(largest, confidence_level, axis=1, method="higher"), n_clusters)
        step = np.broadcast_to(step, values.shape)
        critical = np.where(np.isfinite(step), step, critical)
        now_better = better | ((t > step[:, None]) & (open_up > 0))
        now_worse = worse | ((-t > step[:, None]) & (open_down > 0))
        if (now_better == better).all() and (now_worse == worse).all():
            return better, worse, critical
        better, worse = now_better, now_worse


def _student(quantile: Floats, n_clusters: int) -> Floats:
    """A quantile of resampled differences as Student's t has it: the data's own standard error is estimated too.

    Resamples of n clusters spread by (n - 1) / n of the variance. Replicates (no clusters) are taken as they are.
    """
    if not n_clusters:
        return quantile
    wide: Floats = quantile * np.sqrt(n_clusters / max(n_clusters - 1, 1))
    student = -stdtrit(max(n_clusters - 1, 1), ndtr(-wide))
    # Beyond 38 standard errors the normal tail is 0 in float64.
    return np.where(np.isfinite(student), student, wide)
