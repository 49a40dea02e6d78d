"""Does a metric follow closeness to the retrained model, or only tell one benchmark from another?"""

from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from vestige.meta.layout import Layout
from vestige.meta.results import Tracking, TrackingVerdict
from vestige.stats.correlation import between_share, correlation_estimate, within_groups
from vestige.stats.estimate import Estimate
from vestige.stats.permutation import Relabelling, relabelling_test

Floats = NDArray[np.float64]

SIGNIFICANCE = 0.05
# A rank correlation that small explains under 4 % of the order: of no use for choosing between models.
NO_USEFUL_ASSOCIATION = 0.2


def track(
    layout: Layout, distance: str, *, collapsed: NDArray[np.bool_] | None = None, seed: int = 0
) -> tuple[Tracking, ...]:
    """How each oriented metric follows closeness (minus the distance) to the retrained model.

    The verdict rests on relabelling models within strata, adjusted over the metrics by max-T; a correlation over all
    rows also counts what only tells one benchmark from another.

    Args:
        layout: the table with its groups and clusters.
        distance: name of the distance column.
        collapsed: rows of collapsed models, shape (n_rows,), bool, or None where that is not known.
        seed: decides the draws.

    Returns:
        One entry a metric, in the order of the table.
    """
    closeness = -layout.table.columns[distance]
    test = _test(layout, closeness, seed)
    defined = int((~np.isnan(test.p)).sum())
    return tuple(_one(layout, i, distance, closeness, test, defined, collapsed) for i in range(len(layout.metrics)))


def _test(layout: Layout, closeness: Floats, seed: int) -> Relabelling:
    cells, strata = layout.cells(np.column_stack([layout.scores, closeness]))
    keep = ~np.isnan(cells[:, -1])
    return relabelling_test(cells[keep, :-1], cells[keep, -1], strata[keep], seed=seed)


def _one(
    layout: Layout,
    i: int,
    distance: str,
    closeness: Floats,
    test: Relabelling,
    family: int,
    collapsed: NDArray[np.bool_] | None,
) -> Tracking:
    scores, metric = layout.scores[:, i], layout.metrics[i]
    clusters = layout.clusters if layout.cluster_columns else None
    rho = correlation_estimate(scores, closeness, "spearman", clusters, over=layout.over)
    sign = float(test.statistic[i] - test.centre[i])
    return Tracking(
        metric=metric,
        distance=distance,
        rho=rho,
        tau=correlation_estimate(scores, closeness, "kendall", clusters, over=layout.over),
        rho_within=within_groups(scores, closeness, _blocks(layout)) if layout.group_columns else nan,
        between_share=between_share(scores, _blocks(layout)) if layout.group_columns else nan,
        p=float(test.p[i]),
        p_adjusted=float(test.p_adjusted[i]),
        n_relabellings=test.n_relabellings,
        exact=test.exact,
        family=family,
        verdict=_verdict(rho, sign, float(test.p_adjusted[i])),
        shares_machinery=_shares_machinery(layout, metric, distance),
        without_collapsed=_without(layout, scores, closeness, collapsed),
    )


def _blocks(layout: Layout) -> NDArray[np.int64]:
    """Benchmarks rather than seeds of benchmarks, where the table tells them apart."""
    return layout.strata if layout.stratum_columns else layout.groups


def _verdict(rho: Estimate, sign: float, p_adjusted: float) -> TrackingVerdict:
    if isnan(rho.value) or isnan(p_adjusted):
        return "undefined"
    if p_adjusted <= SIGNIFICANCE:
        return "tracks" if sign > 0 else "opposes"
    inside = rho.has_interval and rho.low > -NO_USEFUL_ASSOCIATION and rho.high < NO_USEFUL_ASSOCIATION
    return "no useful association" if inside else "no evidence"


def _shares_machinery(layout: Layout, metric: str, distance: str) -> bool:
    machinery = layout.table.machinery
    return bool(machinery.get(metric)) and machinery.get(metric) == machinery.get(distance)


def _without(layout: Layout, scores: Floats, closeness: Floats, collapsed: NDArray[np.bool_] | None) -> Estimate | None:
    if collapsed is None:
        return None
    keep = ~collapsed
    clusters = layout.clusters[keep] if layout.cluster_columns else None
    return correlation_estimate(scores[keep], closeness[keep], "spearman", clusters, over=layout.over)
