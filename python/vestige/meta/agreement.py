"""Do the metrics agree with one another? Kendall's tau-b within groups, with intervals, tests and clusters."""

import numpy as np
from numpy.typing import NDArray

from vestige.meta.layout import Layout
from vestige.meta.results import Agreement
from vestige.stats.intervals import jackknife_t
from vestige.stats.permutation import relabelling_test

Floats = NDArray[np.float64]

# Two rows always agree or disagree perfectly.
FEWEST_ROWS = 3
# Column permutations behind the merge heights: the 5 % quantile is then the 10th smallest.
N_NULL_LINKAGES = 200


def agreement(layout: Layout, *, pooled: bool = False, seed: int = 0) -> Agreement:
    """Kendall's tau-b between the oriented metrics of a table.

    Args:
        layout: the table with its groups and clusters.
        pooled: over all rows at once, instead of within groups and then averaged over groups where it is defined.
        seed: decides the permutations.

    Returns:
        Taus with jackknife intervals over clusters (Fisher scale, t(n_clusters - 1)), p-values by relabelling units
        within strata, and clusters of metrics whose merges beat permuted columns.

    Source: Kendall (1945) for tau-b; the rest is described in `method`.
    """
    groups = np.zeros(layout.n_rows, dtype=np.int64) if pooled else layout.groups
    tau = mean_tau(layout.scores, groups)
    low, high = _intervals(layout, groups, tau)
    upper = tau[np.triu_indices(len(tau), 1)]
    return Agreement(
        metrics=layout.metrics,
        tau=tau,
        low=low,
        high=high,
        p=_p_values(layout, seed),
        n_items=int(np.bincount(groups).min()),
        method=_method(layout, pooled),
        mean_tau=float(np.nanmean(upper)) if not np.isnan(upper).all() else float("nan"),
        clusters=metric_clusters(layout, tau, seed=seed),
    )


def mean_tau(scores: Floats, groups: NDArray[np.int64]) -> Floats:
    """Matrix of tau-b within groups, averaged over the groups where it is defined (3 rows, two columns that vary).

    >>> mean_tau(np.array([[1.0, 1.0], [2.0, 3.0], [3.0, 2.0]]), np.zeros(3, dtype=np.int64)).round(3).tolist()
    [[1.0, 0.333], [0.333, 1.0]]
    """
    total = np.zeros((scores.shape[1], scores.shape[1]))
    count = np.zeros_like(total)
    for group in np.unique(groups):
        tau = _tau_matrix(scores[groups == group])
        defined = ~np.isnan(tau)
        total[defined] += tau[defined]
        count += defined
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _tau_matrix(scores: Floats) -> Floats:
    from vestige.kernels import kendall_tau_matrix

    if len(scores) < FEWEST_ROWS:
        return np.full((scores.shape[1], scores.shape[1]), np.nan)
    present = (~np.isnan(scores)).astype(np.float64)
    return np.where(present.T @ present >= FEWEST_ROWS, kendall_tau_matrix(np.ascontiguousarray(scores)), np.nan)


def _intervals(layout: Layout, groups: NDArray[np.int64], tau: Floats) -> tuple[Floats, Floats]:
    low, high = np.full_like(tau, np.nan), np.full_like(tau, np.nan)
    if layout.n_clusters < FEWEST_ROWS:
        return low, high
    kept = [layout.clusters != cluster for cluster in np.unique(layout.clusters)]
    left_out = np.array([mean_tau(layout.scores[keep], groups[keep]) for keep in kept])
    for i, j in zip(*np.triu_indices(len(tau), 1), strict=True):
        ends = jackknife_t(float(tau[i, j]), left_out[:, i, j], scale="fisher")
        low[i, j], high[i, j] = low[j, i], high[j, i] = ends
    return low, high


def _p_values(layout: Layout, seed: int) -> Floats:
    """Two-sided p of each pair, relabelling one column's units within strata (rank-sum statistic over cells)."""
    cells, strata = layout.cells(layout.scores)
    p = np.full((cells.shape[1], cells.shape[1]), np.nan)
    for j in range(1, cells.shape[1]):
        keep = ~np.isnan(cells[:, j])
        if np.unique(cells[keep, j]).size > 1:
            p[:j, j] = p[j, :j] = relabelling_test(cells[keep, :j], cells[keep, j], strata[keep], seed=seed).p
    return p


def metric_clusters(layout: Layout, tau: Floats, *, seed: int = 0) -> tuple[tuple[str, ...], ...]:
    """Metrics that agree with one another, by average linkage on 1 - tau.

    Linkage always returns clusters, so a merge counts only where its height lies below the 5 % quantile of the
    heights of the same step after every column was permuted within strata (cells are permuted, not rows). Metrics
    without any defined tau stay alone.

    Args:
        layout: the table.
        tau: its tau matrix, shape (n_metrics, n_metrics).
        seed: decides the permutations.

    Returns:
        Groups of metric names, largest first.
    """
    from scipy.cluster.hierarchy import fcluster

    alone = np.eye(len(tau), dtype=bool)
    used = np.flatnonzero((~np.isnan(tau) & ~alone).any(axis=1))
    groups = [[int(i)] for i in range(len(tau)) if i not in used]
    if len(used) > 1:
        tree = _linkage(tau[np.ix_(used, used)])
        limits = _null_heights(layout, used, seed)
        believed = int(np.argmin(np.append(tree[:, 2] < limits, False)))
        height = tree[believed - 1, 2] if believed else -1.0
        flat = fcluster(tree, height, criterion="distance") if believed else np.arange(len(used))
        groups += [used[flat == label].tolist() for label in np.unique(flat)]
    else:
        groups += [[int(i)] for i in used]
    groups.sort(key=lambda group: (-len(group), group[0]))
    return tuple(tuple(layout.metrics[i] for i in group) for group in groups)


def _linkage(tau: Floats) -> Floats:
    from scipy.cluster.hierarchy import linkage

    distances = np.where(np.isnan(tau), 1.0, 1.0 - tau)  # an undefined pair neither agrees nor disagrees
    return linkage(distances[np.triu_indices(len(tau), 1)], method="average")


def _null_heights(layout: Layout, used: NDArray[np.intp], seed: int) -> Floats:
    """5 % quantile of each step's merge height with the columns permuted within strata."""
    cells, strata = layout.cells(layout.scores[:, used])
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    rng = np.random.default_rng(seed)
    heights = []
    for _ in range(N_NULL_LINKAGES):
        for rows in members:
            cells[rows] = rng.permuted(cells[rows], axis=0)
        tau = mean_tau(cells, strata)
        if np.isnan(tau).all():  # too few cells in every stratum: no merge can be believed
            return np.full(len(used) - 1, -1.0)
        heights.append(_linkage(tau)[:, 2])
    return np.quantile(np.array(heights), 0.05, axis=0)


def _method(layout: Layout, pooled: bool) -> str:
    pooling = "all rows pooled"
    if layout.group_columns and not pooled:
        pooling = f"within {' and '.join(layout.group_columns)}, averaged where defined"
    strata = f" within {' and '.join(layout.stratum_columns)}" if layout.stratum_columns else ""
    return (
        f"Kendall's tau-b (ties neither agree nor disagree), {pooling}; leave-one-out jackknife over "
        f"{layout.n_clusters} {layout.over}, Fisher scale, Student's t; p by relabelling{strata}, "
        f"rank-sum statistic over cells"
    )
