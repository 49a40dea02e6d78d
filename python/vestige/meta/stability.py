"""What of a ranking no choice of weights can change: dominance, best and worst ranks, weights that keep the winner."""

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.meta.weights import Constraints, least_sum, weight_limits

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Limits = tuple[Floats, Floats]

# Sums of scores within [0, 1] that differ by less are equal but for rounding.
ROUNDING = 1e-12
# HiGHS keeps constraints to 1e-7 and whole numbers to 1e-6; ties in an integer program are told apart no better.
SOLVER_TOLERANCE = 1e-6
# Above this, the integer programs of all items take minutes.
MOST_EXACT_ITEMS = 60
# Branch-and-bound nodes of all programs of a table, about 25 ms each: a limit in seconds would make the answer depend
# on the machine. Tables of 40 to 60 items and 5 to 12 metrics took 90 to 340 in all.
MOST_NODES = 600
# Weightings tried before an integer program is: most ranks are reached at one of them.
N_TRIED = 2_000


@dataclass(frozen=True)
class Stability:
    """What holds of a ranking by a weighted sum whatever the weights are.

    Attributes:
        items: names of the ranked items.
        n_items: their number.
        metrics: names of the weighted metrics.
        weights: metric to the weight behind `winner`.
        weight_limits: metric to the smallest and largest weight that was allowed.
        winner: the item with the highest sum; empty where several share it.
        dominates: item to the items that it is above under every weighting; never below, and above wherever all
            weights are positive. Items that dominate none are left out.
        best_rank: best rank of each item over all weightings; ties count in its favour, but an item that dominates it
            stays above it.
        worst_rank: worst rank of each item over all weightings; ties count against it likewise.
        exact: whether both ranks of an item are reached by some weighting; else they are bounds that hold, but the
            true ones may lie closer together.
        weight_range: metric to the smallest and largest weight under which the winner is first, the other weights
            being free; NaN without a single winner.
        leave_one_out: metric to tau-b between the ranking by all metrics and the one without it; NaN where undefined.
        method: how ranks and ranges were found.
    """

    items: tuple[str, ...]
    n_items: int
    metrics: tuple[str, ...]
    weights: Mapping[str, float]
    weight_limits: Mapping[str, tuple[float, float]]
    winner: str
    dominates: Mapping[str, tuple[str, ...]]
    best_rank: tuple[int, ...]
    worst_rank: tuple[int, ...]
    exact: tuple[bool, ...]
    weight_range: Mapping[str, tuple[float, float]]
    leave_one_out: Mapping[str, float] = field(default_factory=dict)
    method: str = ""


def stability(
    items: Sequence[str],
    scores: ArrayLike,
    weights: Mapping[str, float],
    *,
    constraints: Constraints | None = None,
    seed: int = 0,
) -> Stability:
    """What no choice of weights can change about a ranking, and what changes it.

    An item is above another one under every weighting if and only if it is at least as good in every metric and better
    in one. Best and worst ranks are the optima of an integer program over the weights (how many others must be above?)
    for up to 60 items, and bounds by dominance above that.

    Args:
        items: names, one a row.
        scores: higher is better, all metrics on one scale within [0, 1], shape (n_items, n_metrics), without NaN.
        weights: metric to weight, in the order of the columns; they sum to 1.
        constraints: least and largest weights; without them every weighting is allowed.
        seed: decides the weightings that are tried first; they change `exact` at most.

    Returns:
        See `Stability`.

    Raises:
        ValueError: if a shape does not fit, a score is NaN, or no weighting satisfies the constraints.

    Source: weight-free dominance and rank intervals of additive value models, Salo and Punkka (2011), Ranking
        intervals and dominance relations for ratio-based efficiency analysis; the programs are written here.

    >>> found = stability(("a", "b", "c"), [[0.9, 0.9], [0.5, 0.1], [0.1, 0.5]], {"FA": 0.5, "RA": 0.5})
    >>> found.best_rank, found.worst_rank, found.dominates
    ((1, 2, 2), (1, 3, 3), {'a': ('b', 'c')})
    """
    names, metrics = tuple(items), tuple(weights)
    vector = np.array(list(weights.values()), dtype=np.float64)
    table = _checked(names, scores, vector)
    limits = weight_limits(constraints or Constraints(), metrics)
    beaten = _dominated(table, limits)
    fewest_above, best_exact = _fewest_above(table, beaten, limits, seed)
    fewest_below, worst_exact = _fewest_above(-table, beaten.T, limits, seed)  # the worst rank, seen from below
    winner = _winner(table, vector)
    return Stability(
        items=names,
        n_items=len(names),
        metrics=metrics,
        weights=dict(weights),
        weight_limits=_pairs(metrics, *limits),
        winner="" if winner is None else names[winner],
        dominates={names[j]: tuple(names[i] for i in np.flatnonzero(beaten[:, j])) for j in _any(beaten)},
        best_rank=tuple((1 + fewest_above).tolist()),
        worst_rank=tuple((len(names) - fewest_below).tolist()),
        exact=tuple((best_exact & worst_exact).tolist()),
        weight_range=_pairs(metrics, *_winning_weights(table, winner, limits)),
        leave_one_out=dict(zip(metrics, _leave_one_out(table, vector).tolist(), strict=True)),
        method=_method(best_exact & worst_exact),
    )


def _checked(items: tuple[str, ...], scores: ArrayLike, weights: Floats) -> Floats:
    table = np.ascontiguousarray(scores, dtype=np.float64)
    if table.shape != (len(items), len(weights)) or not table.size:
        raise ValueError(
            f"scores must have shape (n_items, n_metrics) = ({len(items)}, {len(weights)}) and not be empty, "
            f"got {table.shape}"
        )
    if not np.isfinite(table).all():
        item, metric = np.argwhere(~np.isfinite(table))[0]
        raise ValueError(f"scores must be finite, but {items[item]} has {table[item, metric]} in column {metric}")
    return table


def _pairs(names: Sequence[str], low: Floats, high: Floats) -> dict[str, tuple[float, float]]:
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def _any(beaten: Flags) -> list[int]:
    return [int(j) for j in np.flatnonzero(beaten.any(axis=0))]


def _dominated(table: Floats, limits: Limits) -> Flags:
    """Whether the row's item is dominated by the column's, shape (n_items, n_items)."""
    beaten = np.zeros((len(table), len(table)), dtype=bool)
    for j, scores in enumerate(table):
        lead = scores - table
        beaten[:, j] = (least_sum(lead, *limits) >= -ROUNDING) & (-least_sum(-lead, *limits) > ROUNDING)
    return beaten


def _fewest_above(table: Floats, beaten: Flags, limits: Limits, seed: int) -> tuple[NDArray[np.int64], Flags]:
    """For each item the fewest others that are above it under any weighting, and whether a weighting reaches that."""
    certain = beaten.sum(axis=1)
    reached = _reached(table, beaten, limits, seed)
    exact = reached == certain
    fewest = np.where(exact, reached, certain)
    if len(table) <= MOST_EXACT_ITEMS:
        n_nodes = MOST_NODES
        for i in np.flatnonzero(~exact):
            more, exact[i], used = _fewest_undecided(table[i] - table[~beaten[i]], limits, n_nodes)
            fewest[i], n_nodes = certain[i] + more, n_nodes - used
    return fewest.astype(np.int64), exact


def _reached(table: Floats, beaten: Flags, limits: Limits, seed: int) -> NDArray[np.int64]:
    """The fewest others above each item under the corners of the weightings and some drawn ones."""
    sums = _tried(limits, len(table), seed) @ table.T
    fewest = np.full(len(table), len(table))
    for i in range(len(table)):
        above = (sums > sums[:, [i]] + ROUNDING) | beaten[i]
        fewest[i] = above.sum(axis=1).min(initial=len(table))
    return fewest


def _tried(limits: Limits, n_items: int, seed: int) -> Floats:
    """Weightings within the limits, shape (n_tried, n_metrics): corners, then draws; fewer for many items."""
    lower, upper = limits
    n_drawn = N_TRIED if n_items <= MOST_EXACT_ITEMS else N_TRIED * MOST_EXACT_ITEMS**2 // n_items**2
    drawn = np.random.default_rng(seed).dirichlet(np.ones(len(lower)), n_drawn)
    tried = lower + (1 - lower.sum()) * np.vstack([np.eye(len(lower)), drawn])
    kept: Floats = tried[(tried <= upper + ROUNDING).all(axis=1)]
    return kept


def _fewest_undecided(leads: Floats, limits: Limits, n_nodes: int) -> tuple[int, bool, int]:
    """The fewest rows of `leads` whose weighted sum must be negative, whether that is no mere bound, and nodes used."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    if n_nodes <= 0:
        return 0, False, 0
    deepest = least_sum(leads, *limits)
    leads, deepest = leads[deepest < -ROUNDING], deepest[deepest < -ROUNDING]
    (n_others, n_metrics), (lower, upper) = leads.shape, limits
    # A switch of 1 lifts its constraint just enough for every weighting.
    switched = np.hstack([leads, np.diag(-deepest)])
    whole = np.r_[np.zeros(n_metrics), np.ones(n_others)]
    with _solver_kept_quiet():
        found = milp(
            whole,
            constraints=[LinearConstraint(switched, 0, np.inf), LinearConstraint(1 - whole, 1, 1)],
            integrality=whole,
            bounds=Bounds(np.r_[lower, np.zeros(n_others)], np.r_[upper, np.ones(n_others)]),
            options={"node_limit": n_nodes},
        )
    used = max(1, int(found.mip_node_count or 0))
    if found.success:
        return round(found.fun), True, used
    bound = found.mip_dual_bound
    return (0 if bound is None else max(0, int(np.ceil(bound - SOLVER_TOLERANCE)))), False, used


@contextmanager
def _solver_kept_quiet() -> Iterator[None]:
    """HiGHS (1.12) prints a line for its developers to C's standard output, whatever `disp` says."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed: nothing can be printed to it
        yield
        return
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            if os.name == "posix":
                ctypes.CDLL(None).fflush(None)  # else the line waits in C's buffer until all is over
            os.dup2(kept, 1)
            os.close(kept)


def _winner(table: Floats, weights: Floats) -> int | None:
    sums = table @ weights
    first = np.flatnonzero(sums >= sums.max() - ROUNDING)
    return int(first[0]) if len(first) == 1 else None


def _winning_weights(table: Floats, winner: int | None, limits: Limits) -> tuple[Floats, Floats]:
    """Smallest and largest weight of each metric over the weightings under which no item is above the winner."""
    low, high = np.full((2, table.shape[1]), nan)
    if winner is None:
        return low, high
    leads = table[winner] - table
    leads = leads[least_sum(leads, *limits) < -ROUNDING]
    for metric in range(table.shape[1]):
        low[metric], high[metric] = (_extreme_weight(metric, sign, leads, limits) for sign in (1, -1))
    return low, high


def _extreme_weight(metric: int, sign: int, leads: Floats, limits: Limits) -> float:
    from scipy.optimize import Bounds, LinearConstraint, milp

    n_metrics = leads.shape[1]
    found = milp(
        sign * np.eye(n_metrics)[metric],
        constraints=[LinearConstraint(np.vstack([leads, np.ones(n_metrics)]), *_sides(len(leads)))],
        bounds=Bounds(*limits),
    )
    return float(sign * found.fun) if found.success else nan


def _sides(n_leads: int) -> tuple[Floats, Floats]:
    """No lead below 0, and weights that sum to 1."""
    return np.r_[np.zeros(n_leads), 1.0], np.r_[np.full(n_leads, np.inf), 1.0]


def _leave_one_out(table: Floats, weights: Floats) -> Floats:
    """Tau-b of the ranking without each metric with the full one."""
    from vestige.kernels import perturb_weights

    without = np.tile(weights, (len(weights), 1)) * ~np.eye(len(weights), dtype=bool)
    left = without.sum(axis=1) > 0
    tau = np.full(len(weights), nan)
    if left.any() and len(table) > 1:
        draws = without[left] / without[left].sum(axis=1, keepdims=True)
        tau[left] = perturb_weights(table, weights / weights.sum(), draws=draws, return_draws=True).tau
    return tau


def _method(exact: Flags) -> str:
    how = "each rank is reached by some weighting (corners and drawn weightings, else an integer program)"
    if not exact.all():
        how = (
            f"ranks are reached by some weighting for {exact.sum()} of {len(exact)} items, bounds for the others "
            f"(integer programs for up to {MOST_EXACT_ITEMS} items, {MOST_NODES} nodes in all; else dominance)"
        )
    return f"dominance in every metric; {how}; weight ranges by linear programs"
