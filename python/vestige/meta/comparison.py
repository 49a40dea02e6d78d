"""Is one model better than another? Paired over the examples that both were scored on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan, nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from vestige.data.columns import TableError
from vestige.metrics.table import ScoreTable
from vestige.stats.bootstrap import bootstrap
from vestige.stats.estimate import Estimate
from vestige.stats.intervals import FEWEST_CLUSTERS, FEWEST_CLUSTERS_FOR_BOOTSTRAP

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
PairVerdict = Literal["better", "worse", "equivalent", "undecided", "undefined"]

SIGNIFICANCE, POWER = 0.05, 0.8
# Above so many pairs each gets the jackknife's interval, which takes no resamples.
MOST_BOOTSTRAPPED = 100


@dataclass(frozen=True)
class Comparison:
    """One model against another on one metric.

    Attributes:
        metric: its name.
        first: the model that the verdict is about.
        second: the model that it is compared with.
        difference: mean over the shared examples of first minus second, in the metric's unit, turned so that positive
            is better; with its interval over clusters of examples.
        p: two-sided, by flipping the signs of whole clusters.
        p_adjusted: the same adjusted over the pairs of the metric by max-T.
        family: number of pairs.
        margin: largest difference that counts as none, as declared; NaN where none was.
        smallest_effect: the true difference that one such test finds with 80 % power at 5 %, from this standard error.
        verdict: "equivalent" where the interval lies within the margin, else "better" or "worse" where `p_adjusted` is
            at most 5 %, else "undecided".
    """

    metric: str
    first: str
    second: str
    difference: Estimate
    p: float
    p_adjusted: float
    family: int
    margin: float
    smallest_effect: float
    verdict: PairVerdict


def compare_models(
    table: ScoreTable,
    *,
    models: Sequence[str] = (),
    metrics: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Compare pairs of models on the examples that both have.

    Args:
        table: models with values by example (`examples`), and the clusters of examples where there are any.
        models: names of the models to compare, two or more; all of them without it.
        metrics: metrics to compare them on; without it, all that have values by example and are better "higher" or
            "lower" (being near a reference is no mean over examples).
        margins: metric to the largest difference that counts as none.
        n_resamples: bootstrap resamples, and sign patterns where they cannot all be made.
        seed: decides them.

    Returns:
        One entry a metric and pair. Intervals: percentile bootstrap over clusters from 20 clusters and up to 100 pairs,
        else the jackknife with t(n_clusters - 1); they hold for one pair at a time.

    Raises:
        TableError: if a model or metric is unknown, names two rows, or has no values by example.

    Source: Fisher (1935) and Westfall and Young (1993) for the test; Efron and Tibshirani (1993) for the interval.

    >>> values = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [0.5, 1.0, 2.5, 3.0, 4.5, 5.0, 6.5]])
    >>> table = ScoreTable(("a", "b"), {"RA": values.mean(axis=1)}, {"RA": "higher"}, examples={"RA": values})
    >>> compare_models(table)[0].verdict
    'better'
    """
    rows = _rows(table, models)
    found: list[Comparison] = []
    for metric in _comparable(table, metrics):
        sign = -1.0 if table.better[metric] == "lower" else 1.0
        margin = float((margins or {}).get(metric, nan))
        found += _of_metric(table, metric, sign * table.examples[metric], rows, margin, n_resamples, seed)
    return tuple(found)


def _rows(table: ScoreTable, models: Sequence[str]) -> list[int]:
    names = list(models or dict.fromkeys(table.models))
    for name in names:
        if table.models.count(name) != 1:
            raise TableError(
                f"{table.models.count(name)} rows are called {name!r}: a comparison needs the name of one row; there "
                f"are {', '.join(dict.fromkeys(table.models))}"
            )
    if len(set(names)) < 2:
        raise TableError(f"a comparison needs two models, got {', '.join(names) or 'none'}")
    return [table.models.index(name) for name in dict.fromkeys(names)]


def _comparable(table: ScoreTable, metrics: Sequence[str]) -> list[str]:
    known = [name for name in table.metrics if name in table.examples and table.better[name] != "reference"]
    for name in metrics:
        if name not in known:
            raise TableError(f"{name!r} has no values by example with an orientation; there are {', '.join(known)}")
    if not known:
        raise TableError("no metric has values by example with orientation higher or lower: nothing can be paired")
    return list(metrics) or known


def _of_metric(
    table: ScoreTable, metric: str, values: Floats, rows: list[int], margin: float, n_resamples: int, seed: int
) -> list[Comparison]:
    from vestige.kernels import sign_flip_test

    ids = table.example_clusters if table.example_clusters is not None else np.arange(values.shape[1])
    pairs = list(combinations(rows, 2))
    differences = np.stack([values[a] - values[b] for a, b in pairs], axis=1)
    # A missing example adds nothing to the sum, whatever its sign.
    test = sign_flip_test(np.nan_to_num(differences), clusters=ids, n_permutations=n_resamples - 1, seed=seed)
    found = []
    for k, (a, b) in enumerate(pairs):
        shared = ~np.isnan(differences[:, k])
        estimate, error = _estimate(differences[shared, k], ids[shared], len(pairs), n_resamples, seed)
        p, adjusted = (float(test.p_value[k]), float(test.p_adjusted[k])) if error > 0 else (nan, nan)
        verdict = _verdict(estimate, adjusted, margin)
        effect = _smallest_effect(error, estimate.n_clusters)
        names = table.models[a], table.models[b]
        found.append(Comparison(metric, *names, estimate, p, adjusted, len(pairs), margin, effect, verdict))
    return found


def _estimate(values: Floats, ids: Ids, n_pairs: int, n_resamples: int, seed: int) -> tuple[Estimate, float]:
    """Mean difference with its interval, and its standard error over clusters (0 where there is none)."""
    n_clusters = len(np.unique(ids))
    if n_clusters < FEWEST_CLUSTERS:
        value = float(values.mean()) if len(values) else nan
        reason = f"{n_clusters} clusters of shared examples, a comparison needs {FEWEST_CLUSTERS}"
        return Estimate(value, n=len(values), over="examples", n_clusters=n_clusters, reason=reason), 0.0
    sums = np.bincount(np.unique(ids, return_inverse=True)[1], weights=values - values.mean())
    error = float(np.sqrt((sums**2).sum() * n_clusters / (n_clusters - 1)) / len(values))
    drawn = n_clusters >= FEWEST_CLUSTERS_FOR_BOOTSTRAP and n_pairs <= MOST_BOOTSTRAPPED
    method: Literal["percentile", "jackknife-t"] = "percentile" if drawn else "jackknife-t"
    estimate = bootstrap((values,), statistic="mean", method=method, clusters=ids, n_resamples=n_resamples, seed=seed)
    return estimate, error


def _verdict(difference: Estimate, p_adjusted: float, margin: float) -> PairVerdict:
    if isnan(difference.value) or (isnan(p_adjusted) and not difference.has_interval):
        return "undefined"
    if difference.has_interval and -margin < difference.low and difference.high < margin:
        return "equivalent"
    if p_adjusted <= SIGNIFICANCE:
        return "better" if difference.value > 0 else "worse"
    return "undecided"


def _smallest_effect(error: float, n_clusters: int) -> float:
    if not error > 0:
        return nan
    return float(error * (stdtrit(n_clusters - 1, 1 - SIGNIFICANCE / 2) + stdtrit(n_clusters - 1, POWER)))
