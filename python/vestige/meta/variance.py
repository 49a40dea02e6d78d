"""Where the variance of a score comes from: methods, seeds, benchmarks, examples, or nothing that has a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan, prod, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from vestige.meta.layout import Layout, label_column
from vestige.stats.estimate import Estimate

Floats = NDArray[np.float64]
Effect = tuple[int, ...]

N_DRAWS = 20_000
# A difference counts as resolvable if it is found in this share of repetitions, at the two-sided level .05.
POWER = 0.8
LEVEL = 0.05
RESIDUAL = "residual"
# A component below this share is what rounding left of exactly equal means.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Component:
    """One source of variance.

    Attributes:
        source: the factor, several of them joined by " x " for what only their combination explains, or "residual".
        n_levels: number of levels (combinations), or of observations for the residual.
        df: degrees of freedom.
        variance: by the method of moments, in squared units of the score; can be negative, which means about 0.
        share: share of the sum of all variances (negative ones 0), within [0, 1], with its interval.
    """

    source: str
    n_levels: int
    df: int
    variance: float
    share: Estimate


@dataclass(frozen=True)
class VarianceShares:
    """Variance components of one score.

    Attributes:
        metric: what the values are of.
        factors: names of the crossed factors, the compared one first.
        components: one entry a factor and combination, the residual last; empty with a `reason`.
        signal_to_noise: standard deviation between the levels of the first factor over the standard error of the mean
            of one level, as measured with these seeds, benchmarks and examples.
        smallest_difference: difference between two levels of the first factor that such a table finds in 80 % of
            repetitions (two-sided, level .05), in units of the score.
        method: how components and intervals were made.
        reason: why there are none; empty where there are.
    """

    metric: str
    factors: tuple[str, ...]
    components: tuple[Component, ...]
    signal_to_noise: float
    smallest_difference: float
    method: str
    reason: str = ""


def variance_shares(
    values: ArrayLike,
    factors: Sequence[str],
    *,
    metric: str = "",
    confidence_level: float = 0.95,
    seed: int = 0,
) -> VarianceShares:
    """Variance components of a balanced, fully crossed table of values, all factors and their combinations random.

    Mean squares are set equal to their expectations. Intervals are those of the F distribution, generalised to several
    components: each mean square is divided by a draw of its chi-squared over its degrees of freedom, so for one factor
    they are the exact F intervals. Few levels make them honestly wide.

    Args:
        values: one axis a factor in their order; a further last axis, of at least 2, holds repetitions.
        factors: names of the axes, the compared factor (method) first.
        metric: what the values are of.
        confidence_level: nominal coverage, within (0, 1).
        seed: decides the 20,000 draws behind the intervals.

    Returns:
        See `VarianceShares`; a reason in place of components if a cell is missing (the table is not balanced), a factor
        has one level, there is no residual, or nothing varies.

    Raises:
        ValueError: if the axes do not fit the factors.

    Source: Searle, Casella and McCulloch (1992), Variance Components, chapter 4; Weerahandi (1993), Generalized
        confidence intervals.

    >>> shares = variance_shares([[1.0, 1.2, 0.9], [3.0, 3.1, 2.8]], ("method", "seed"))
    >>> [component.source for component in shares.components]
    ['method', 'seed', 'residual']
    >>> shares.components[0].share.value > 0.9
    True
    """
    table = np.asarray(values, dtype=np.float64)
    if not factors or table.ndim not in (len(factors), len(factors) + 1):
        raise ValueError(
            f"values must have one axis a factor ({', '.join(factors)}) and at most one more, got shape {table.shape}"
        )
    reason = _why_not(table, factors)
    if reason:
        return VarianceShares(metric, tuple(factors), (), nan, nan, "", reason)
    unit = float(np.abs(table - table.mean()).max())  # squares of large or small units would be infinite or 0
    design = _design((table - table.mean()) / unit, len(factors))
    variances: Floats = np.linalg.solve(design.expectation, design.squares / design.df).astype(np.float64)
    variances[np.abs(variances) < ROUNDING * np.abs(variances).sum()] = 0.0
    shares = _share_estimates(design, variances, confidence_level, seed)
    components = tuple(
        Component(_name(effect, factors), prod(design.levels(effect)), int(df), float(variance) * unit * unit, share)
        for effect, df, variance, share in zip(design.effects, design.df, variances, shares, strict=True)
    )
    signal, difference = _resolution(design, variances)
    method = "balanced ANOVA moments, all factors random; intervals by generalised F"
    return VarianceShares(metric, tuple(factors), components, signal, difference * unit, method)


@dataclass(frozen=True)
class _Design:
    """Effects of a crossed table with their sums of squares; the residual is the last effect, an empty tuple."""

    shape: tuple[int, ...]
    n: int
    effects: tuple[Effect, ...]
    squares: Floats
    df: Floats
    expectation: Floats

    def levels(self, effect: Effect) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in effect) if effect else (self.n,)


def _why_not(table: Floats, factors: Sequence[str]) -> str:
    if not table.size or not np.isfinite(table).all():
        return "not balanced: a combination has no finite value"
    single = [name for name, n in zip(factors, table.shape, strict=False) if n < 2]
    if single:
        return f"one level of {', '.join(single)}"
    if (table.ndim == len(factors) and len(factors) == 1) or (table.ndim > len(factors) and table.shape[-1] < 2):
        return "nothing repeats: one value for each level"
    return "nothing varies" if table.min() == table.max() else ""


def _name(effect: Effect, factors: Sequence[str]) -> str:
    return " x ".join(factors[axis] for axis in effect) if effect else RESIDUAL


def _design(table: Floats, n_factors: int) -> _Design:
    repeated = table.ndim > n_factors
    cells = table.mean(axis=-1) if repeated else table
    shape, n = cells.shape, table.size
    axes = range(n_factors)
    largest = n_factors if repeated else n_factors - 1
    effects = tuple(effect for size in range(1, largest + 1) for effect in combinations(axes, size))
    squares = [_sum_of_squares(cells, effect) * n / cells.size for effect in effects]
    df = [prod(shape[axis] - 1 for axis in effect) for effect in effects]
    total = float(((table - table.mean()) ** 2).sum())
    squares, df = [*squares, max(0.0, total - sum(squares))], [*df, n - 1 - sum(df)]
    # A mean square holds every component whose effect includes its own, as often as a level of that effect is seen.
    expectation = np.array(
        [
            [n / prod(shape[axis] for axis in other) if set(effect) <= set(other) else 0.0 for other in effects] + [1.0]
            for effect in effects
        ]
        + [[0.0] * len(effects) + [1.0]]
    )
    return _Design(shape, n, (*effects, ()), np.array(squares), np.array(df, dtype=np.float64), expectation)


def _sum_of_squares(cells: Floats, effect: Effect) -> float:
    """Of what the means over an effect's levels show beyond those of its parts, over all cells."""
    shown = np.zeros(cells.shape)
    for size in range(len(effect) + 1):
        for part in combinations(effect, size):
            rest = tuple(axis for axis in range(cells.ndim) if axis not in part)
            shown = shown + (-1) ** (len(effect) - size) * cells.mean(axis=rest, keepdims=True)
    return float((shown**2).sum())


def _share_estimates(design: _Design, variances: Floats, confidence_level: float, seed: int) -> list[Estimate]:
    positive = np.maximum(variances, 0)
    rng = np.random.default_rng(seed)
    drawn = design.squares / rng.chisquare(design.df, (N_DRAWS, len(design.df)))
    components = np.maximum(np.linalg.solve(design.expectation, drawn.T).T, 0)
    shares = components / components.sum(axis=1, keepdims=True)
    tail = (1 - confidence_level) / 2
    ends = np.quantile(shares, [tail, 1 - tail], axis=0)
    return [
        Estimate(
            float(value),
            float(low),
            float(high),
            n=design.n,
            over="random levels of every factor",
            n_clusters=int(df) + 1,
            method="generalised F interval",
            confidence_level=confidence_level,
        )
        for value, low, high, df in zip(positive / positive.sum(), *ends, design.df, strict=True)
    ]


def _resolution(design: _Design, variances: Floats) -> tuple[float, float]:
    """Signal-to-noise of the first factor's means, and the smallest difference of two of them that can be found."""
    n_levels = design.shape[0]
    # What differs between two means: every effect that involves the first factor, averaged over what it is seen with.
    noise = np.array(
        [n_levels / prod(design.levels(e)) if 0 in e and len(e) > 1 else 0.0 for e in design.effects[:-1]]
        + [n_levels / design.n]
    )
    variance = float(noise @ np.maximum(variances, 0))
    if variance <= 0:
        return nan, nan
    parts = np.linalg.solve(design.expectation.T, noise) * design.squares / design.df
    df = max(1.0, float(parts.sum() ** 2 / (parts**2 / design.df).sum()))
    factor = float(stdtrit(df, 1 - LEVEL / 2) + stdtrit(df, POWER))
    return sqrt(max(0.0, float(variances[0])) / variance), factor * sqrt(2 * variance)


def variance_of_metrics(layout: Layout, *, seed: int = 0) -> tuple[VarianceShares, ...]:
    """Variance components of every metric of a table, on its own scale.

    The first factor is the model's name where names repeat, else the label "method"; further ones are the label columns
    that differ between rows of one level, and the examples where the table has values by example.

    Args:
        layout: the table.
        seed: decides the draws behind the intervals.

    Returns:
        One entry a metric, with a reason where rows are not one for each combination of labels.

    Source: as `variance_shares`.
    """
    names, columns = _factors(layout)
    cells = _cells(columns)
    return tuple(_of_metric(layout, metric, names, cells, seed) for metric in layout.metrics)


def _factors(layout: Layout) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    table = layout.table
    by_label = len(set(table.models)) == len(table.models) and "method" in table.labels
    first = label_column(table, "method") if by_label else table.models
    names, columns = ["method"], [first]
    for name in table.labels:
        labels = label_column(table, name)
        if name != "method" and len(set(zip(first, labels, strict=True))) > len(set(first)):
            names.append(name)
            columns.append(labels)
    return tuple(names), columns


def _cells(columns: Sequence[Sequence[str]]) -> NDArray[np.intp] | None:
    """Rows of each combination of labels, one axis a column and one for repetitions; None unless all are as many."""
    codes = [np.unique(np.array(column), return_inverse=True)[1] for column in columns]
    shape = tuple(int(code.max()) + 1 for code in codes)
    if prod(shape) > len(codes[0]):
        return None
    place = np.ravel_multi_index(codes, shape)
    counts = np.bincount(place, minlength=prod(shape))
    if counts.min() != counts.max():
        return None
    return np.argsort(place, kind="stable").reshape(*shape, counts[0])


def _of_metric(
    layout: Layout, metric: str, names: tuple[str, ...], cells: NDArray[np.intp] | None, seed: int
) -> VarianceShares:
    if cells is None:
        reason = f"not balanced: rows are not equally many for each combination of {', '.join(names)}"
        return VarianceShares(metric, names, (), nan, nan, "", reason)
    examples = layout.table.examples.get(metric)
    if examples is None:
        values = layout.table.columns[metric][cells]
        return variance_shares(values[..., 0] if values.shape[-1] == 1 else values, names, metric=metric, seed=seed)
    whole = examples[:, ~np.isnan(examples).any(axis=0)][cells]
    by_example = np.moveaxis(whole, -1, -2)
    values = by_example[..., 0] if by_example.shape[-1] == 1 else by_example
    return variance_shares(values, (*names, "example"), metric=metric, seed=seed)
