"""Ranges on one axis, a line each: ranks that weights leave open, ranks that data leave open, weights of a winner."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from vestige.meta.stability import Stability
from vestige.report.charts import Axis, Tick
from vestige.report.numbers import number

ROW_HEIGHT = 19
MAX_DRAWN = 60  # more lines than that are read in report.json
N_TICKS = 6


@dataclass(frozen=True)
class Span:
    """One line: from `x_low` to `x_high`, with a mark at `x` unless that is None; a narrower range on top of it."""

    label: str
    y: float
    x_low: float
    x_high: float
    x: float | None
    title: str
    inner: tuple[float, float] | None = None


@dataclass(frozen=True)
class Spans:
    """Lines on one axis; `n_more` were left out."""

    axis: Axis
    rows: tuple[Span, ...]
    height: float
    n_more: int = 0


def rank_axis(n_items: int, width: float) -> Axis:
    """The axis of ranks from 1, the best, to the last.

    >>> [tick.text for tick in rank_axis(4, 90.0).ticks]
    ['1', '2', '3', '4']
    """
    axis = Axis(1.0, float(max(n_items, 2)), width)
    places = sorted({round(place) for place in np.linspace(1, max(n_items, 2), min(n_items, N_TICKS))})
    return Axis(axis.low, axis.high, width, ticks=tuple(Tick(axis.x(place), str(place)) for place in places))


def rank_spans(
    items: Sequence[str],
    low: Sequence[int],
    high: Sequence[int],
    width: float,
    *,
    ranks: Sequence[float] = (),
    inner: tuple[Sequence[int], Sequence[int]] | None = None,
) -> Spans:
    """Best and worst rank of each item, the best items first.

    Args:
        items: names.
        low: best rank of each.
        high: worst rank of each.
        width: width of the axis in pixels.
        ranks: rank of each by the data, where there is one.
        inner: best and worst ranks of a narrower range.

    Returns:
        At most 60 lines, sorted by the middle of the range.
    """
    axis = rank_axis(len(items), width)
    order = sorted(range(len(items)), key=lambda i: (ranks[i] if len(ranks) else 0, low[i] + high[i], items[i]))
    rows = tuple(
        Span(
            items[i], ROW_HEIGHT * (line + 0.5), axis.x(low[i]), axis.x(high[i]),
            axis.x(ranks[i]) if len(ranks) and not isnan(ranks[i]) else None, rank_words(int(low[i]), int(high[i])),
            (axis.x(inner[0][i]), axis.x(inner[1][i])) if inner else None,
        )
        for line, i in enumerate(order[:MAX_DRAWN])
    )  # fmt: skip
    return Spans(axis, rows, ROW_HEIGHT * len(rows), max(0, len(items) - MAX_DRAWN))


def rank_words(low: int, high: int) -> str:
    """A range of ranks in words.

    >>> rank_words(1, 1), rank_words(2, 5)
    ('rank 1', 'ranks 2 to 5')
    """
    return f"rank {low}" if low == high else f"ranks {low} to {high}"


def weight_spans(stability: Stability, width: float) -> Spans | None:
    """The range of each metric's weight under which the winner stays first; None without a single winner."""
    defined = [name for name in stability.metrics if not isnan(stability.weight_range[name][0])]
    if not stability.winner or not defined:
        return None
    axis = Axis(0.0, 1.0, width, ticks=tuple(Tick(width * share, f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)))
    rows = []
    for line, name in enumerate(defined):
        low, high = stability.weight_range[name]
        title = f"{number(stability.weights[name])}; first from {number(low)} to {number(high)}"
        at = axis.x(stability.weights[name])
        rows.append(Span(name, ROW_HEIGHT * (line + 0.5), axis.x(low), axis.x(high), at, title))
    return Spans(axis, tuple(rows), ROW_HEIGHT * len(rows))


def dominance_words(stability: Stability) -> str:
    """How many pairs of items no weighting can turn round, in one sentence."""
    n_pairs = len(stability.items) * (len(stability.items) - 1) // 2
    settled = sum(len(below) for below in stability.dominates.values())
    if not settled:
        return f"In none of the {n_pairs} pairs is one item above the other under every weighting."
    return f"In {settled} of {n_pairs} pairs one item is above the other under every weighting."
