"""Permutation test: relabelling within strata, jointly over several columns."""

from dataclasses import dataclass
from itertools import permutations
from math import factorial, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MOST_EXACT = 10**6
N_DRAWS = 20_000
# Sums in another order differ by rounding; equal statistics must count as equal.
_TIE = 1e-9


@dataclass(frozen=True)
class Relabelling:
    """A joint permutation test of several columns against one target.

    Attributes:
        statistic: Spearman over all cells, shape (n_columns,), within [-1, 1]; NaN for a constant column.
        centre: its mean over relabellings, same shape.
        p: two-sided around the centre, same shape; NaN for a constant column.
        p_adjusted: the same adjusted over the columns by max-T, same shape.
        n_relabellings: relabellings behind the p-values.
        exact: whether they are all there are.
    """

    statistic: Floats
    centre: Floats
    p: Floats
    p_adjusted: Floats
    n_relabellings: int
    exact: bool


def relabelling_test(columns: ArrayLike, target: ArrayLike, strata: ArrayLike, *, seed: int = 0) -> Relabelling:
    """Whether columns order the cells of a stratum as the target does, whatever happens between strata.

    The target's values are exchanged within strata, for all columns at once. All relabellings where there are at most
    10^6, else 20,000 draws with the observed labelling counted as one of them. The statistic is studentised by its
    mean and standard deviation over relabellings.

    Args:
        columns: values, shape (n_cells, n_columns); a NaN cell adds nothing to its column's statistic.
        target: values, shape (n_cells,), without NaN.
        strata: label of the stratum of each cell, shape (n_cells,).
        seed: decides the draws.

    Returns:
        The test; a column that never varies within a stratum has p = 1, since no relabelling changes it. Without any
        cell all is NaN.

    Raises:
        ValueError: if the shapes do not match or the target holds NaN.

    Source: Westfall and Young (1993) for max-T; Phipson and Smyth (2010) for counting the observed labelling.

    >>> test = relabelling_test([[1.0], [2.0], [3.0], [4.0]], [1.0, 2.0, 3.0, 4.0], [0, 0, 0, 0])
    >>> float(test.p[0]), test.n_relabellings, test.exact  # two of 24: the order and its reverse
    (0.08333333333333333, 24, True)
    """
    values, aim, labels = _cells(columns, target, strata)
    x, y = _centred_ranks(values), _centred_ranks(aim[:, None])[:, 0]
    members = [np.flatnonzero(labels == stratum) for stratum in np.unique(labels)]
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum())
    scale[scale == 0] = np.nan
    observed, centre = x.T @ y, _permutation_mean(x, y, members)
    spread = _permutation_sd(x, y, members)
    exact = prod(factorial(len(rows)) for rows in members) <= MOST_EXACT
    orders = [_orders(len(rows), exact, seed, i) for i, rows in enumerate(members)]
    gap = _studentised(np.abs(observed - centre), spread)
    n, own, joint = _exceedances(x, y, members, orders, exact, centre, spread, gap)
    extra = 0 if exact else 1
    undefined = np.where(np.isnan(scale), np.nan, 1.0)
    return Relabelling(
        statistic=observed / scale,
        centre=centre / scale,
        p=(own + extra) / (n + extra) * undefined,
        p_adjusted=(joint + extra) / (n + extra) * undefined,
        n_relabellings=n,
        exact=exact,
    )


def _cells(columns: ArrayLike, target: ArrayLike, strata: ArrayLike) -> tuple[Floats, Floats, NDArray[np.int64]]:
    values, aim = np.asarray(columns, dtype=np.float64), np.asarray(target, dtype=np.float64)
    labels = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.int64)
    if values.ndim != 2 or aim.shape != (len(values),) or labels.shape != aim.shape:
        raise ValueError(
            f"columns must have shape (n_cells, n_columns), target and strata (n_cells,), got {values.shape}, "
            f"{aim.shape} and {labels.shape}"
        )
    if np.isnan(aim).any():
        raise ValueError("target must not hold NaN: leave those cells out")
    return values, aim, labels


def _centred_ranks(values: Floats) -> Floats:
    """Midranks of each column minus their mean; 0 where the value is NaN."""
    from vestige.kernels import midranks

    ranks = np.zeros_like(values)
    for column in range(values.shape[1]):
        defined = ~np.isnan(values[:, column])
        if defined.any():
            ranked = midranks(np.ascontiguousarray(values[defined, column]))
            ranks[defined, column] = ranked - ranked.mean()
    return ranks


def _permutation_mean(x: Floats, y: Floats, members: list[NDArray[np.intp]]) -> Floats:
    sums = [len(rows) * x[rows].mean(axis=0) * y[rows].mean() for rows in members]
    mean: Floats = np.sum([np.zeros(x.shape[1]), *sums], axis=0)
    return mean


def _permutation_sd(x: Floats, y: Floats, members: list[NDArray[np.intp]]) -> Floats:
    variances = [
        ((x[rows] - x[rows].mean(axis=0)) ** 2).sum(axis=0) * ((y[rows] - y[rows].mean()) ** 2).sum() / (len(rows) - 1)
        for rows in members
        if len(rows) > 1
    ]
    return np.sqrt(np.sum(variances, axis=0)) if variances else np.zeros(x.shape[1])


def _orders(n: int, exact: bool, seed: int, stratum: int) -> NDArray[np.intp]:
    """Orders of a stratum, one a row: all of them, or one a draw."""
    if exact:
        return np.array(list(permutations(range(n))), dtype=np.intp).reshape(factorial(n), n)
    return np.random.default_rng([seed, stratum]).permuted(np.tile(np.arange(n), (N_DRAWS, 1)), axis=1)


def _exceedances(
    x: Floats,
    y: Floats,
    members: list[NDArray[np.intp]],
    orders: list[NDArray[np.intp]],
    exact: bool,
    centre: Floats,
    spread: Floats,
    gap: Floats,
) -> tuple[int, Floats, Floats]:
    """Number of relabellings, those that reach each column's gap, and those whose largest gap reaches it."""
    largest = np.zeros(1)
    own = np.zeros(len(gap))
    # One column at a time: a million relabellings of all columns at once would take a gigabyte.
    for column in range(x.shape[1]):
        parts = [y[rows][order] @ x[rows, column] for rows, order in zip(members, orders, strict=True)]
        sums = _outer_sum(parts) if exact else np.sum(parts, axis=0)
        reached = _studentised(np.abs(sums - centre[column]), spread[column])
        own[column] = (reached >= gap[column] - _TIE).sum()
        largest = np.maximum(largest, reached)
    return len(largest), own, np.array([(largest >= g - _TIE).sum() for g in gap], dtype=np.float64)


def _outer_sum(parts: list[Floats]) -> Floats:
    """Every sum of one term of each part: all relabellings, since strata are relabelled independently."""
    sums = np.zeros(1)
    for part in parts:
        sums = (sums[:, None] + part).ravel()
    return sums


def _studentised(gap: Floats, spread: Floats) -> Floats:
    """Gap over spread; 0 where nothing spreads, because then no relabelling makes a gap."""
    return np.divide(gap, spread, out=np.zeros_like(gap), where=spread > _TIE)
