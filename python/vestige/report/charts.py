"""Where the marks of every plot lie, in pixels; the templates only draw them, so they follow the page's colours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, isnan, log10

import numpy as np

from vestige.meta.results import Robustness
from vestige.report import contents
from vestige.report.model import Report, Row
from vestige.report.numbers import number, percent, scope
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate

ROW_HEIGHT = 19
N_BINS = 40
MAX_PLOTTED = 100  # ranked models; more than that is read in the table
NICE_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A horizontal axis of `width` pixels from `low` to `high`, linear or logarithmic.

    >>> Axis(0.1, 10.0, 200.0, log=True).x(1.0)
    100.0
    """

    low: float
    high: float
    width: float
    log: bool = False
    ticks: tuple[Tick, ...] = ()

    def x(self, value: float) -> float:
        """The place of a value; what lies outside is put on the edge."""
        value = min(max(value, self.low), self.high)
        low, high, at = (log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return round(self.width * (at - low) / (high - low), 1)


@dataclass(frozen=True)
class Mark:
    """A point with its interval.

    Attributes:
        x: place of the value.
        x_low: left end of the interval; equal to `x` where there is none.
        x_high: right end.
        cut_low: whether the left end lies off the axis.
        cut_high: whether the right end does.
        title: the numbers in words.
    """

    x: float
    x_low: float
    x_high: float
    cut_low: bool
    cut_high: bool
    title: str


@dataclass(frozen=True)
class RatioRow:
    """One model of the ratio plot."""

    label: str
    y: float
    verdict: str
    mark: Mark
    second: Mark | None
    second_verdict: str
    planted: bool


@dataclass(frozen=True)
class RatioPlot:
    """Every model's distance to the retrained models over the distance between these, on a log axis."""

    axis: Axis
    rows: tuple[RatioRow, ...]
    height: float
    x_one: float
    x_margin: float
    margin: str
    left_out: tuple[str, ...]
    n_more: int


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Histogram:
    """Tau of the drawn rankings with the composite's own, under one law."""

    law: str
    axis: Axis
    bars: tuple[Bar, ...]
    height: float
    top: str
    x_mean: float
    n_undefined: int
    first: tuple[tuple[str, str], ...]


def correlation_axis(width: float, low: float = -1.0) -> Axis:
    """The axis of a correlation: from `low`, -1 or 0, to 1."""
    axis = Axis(low, 1.0, width)
    ticks = tuple(Tick(axis.x(v), f"{v:g}") for v in np.linspace(low, 1.0, 5))
    return Axis(low, 1.0, width, ticks=ticks)


def log_axis(values: Iterable[float], width: float) -> Axis:
    """A log axis that holds all finite positive values, with ticks at 1, 2 and 5 times powers of ten."""
    usable = [value for value in values if isfinite(value) and value > 0] or [1.0]
    low, high = 0.9 * min(usable), 1.1 * max(usable)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    steps = NICE_STEPS if len(powers) <= 4 else (1,)
    places = [step * 10.0**power for power in powers for step in steps]
    axis = Axis(low, high, width, log=True)
    ticks = tuple(Tick(axis.x(place), f"{place:g}") for place in places if low <= place <= high)
    return Axis(low, high, width, log=True, ticks=ticks)


def mark(axis: Axis, estimate: Estimate) -> Mark | None:
    """The point and interval of an estimate on an axis; None where the value is undefined."""
    if isnan(estimate.value):
        return None
    low, high = (estimate.low, estimate.high) if estimate.has_interval else (estimate.value, estimate.value)
    return Mark(
        axis.x(estimate.value), axis.x(low), axis.x(high), low < axis.low, high > axis.high, scope(estimate)
    )  # fmt: skip


def ratio_plot(report: Report, width: float) -> RatioPlot | None:
    """The leaderboard as a picture; None where no model has a verdict.

    Args:
        report: the report; its unlearned rows come in the order of ranks, planted controls after them.
        width: width of the axis in pixels.

    Returns:
        Places of all marks, or None, also where no ratio is finite. The axis holds all values and the middle of all
        intervals: an interval that runs further is cut at the edge and marked so.

    Source: defined here.
    """
    example = contents.first_verdict(report)
    if example is None:
        return None
    ranked = contents.ranked(report)
    rows = [*ranked[:MAX_PLOTTED], *contents.unranked(report)]
    judged = [(row, row.verdict) for row in rows if row.verdict]
    drawn = [(row, verdict) for row, verdict in judged if isfinite(verdict.ratio.value)]
    if not drawn:
        return None
    axis = log_axis([1.0, example.margin, *_reach([verdict for _, verdict in drawn], [row for row, _ in drawn])], width)
    places = tuple(_ratio_row(axis, row, verdict, i) for i, (row, verdict) in enumerate(drawn))
    left_out = tuple(row.model for row, verdict in judged if not isfinite(verdict.ratio.value))
    height = ROW_HEIGHT * len(drawn)
    return RatioPlot(
        axis,
        places,
        height,
        axis.x(1.0),
        axis.x(example.margin),
        number(example.margin),
        left_out,
        max(0, len(ranked) - MAX_PLOTTED),
    )


def _reach(verdicts: Sequence[Equivalence], rows: Sequence[Row]) -> list[float]:
    values = [verdict.ratio.value for verdict in verdicts]
    seconds = [row.second_verdict.ratio.value for row in rows if row.second_verdict]
    # One endless interval must not squeeze all others: ends count up to twice the outermost value.
    lowest, highest = min(values, default=1.0) / 2, max(values, default=1.0) * 2
    ends = [end for verdict in verdicts for end in (verdict.ratio.low, verdict.ratio.high)]
    return [*values, *(v for v in (*ends, *seconds) if lowest <= v <= highest)]


def _ratio_row(axis: Axis, row: Row, verdict: Equivalence, i: int) -> RatioRow:
    placed = mark(axis, verdict.ratio)
    assert placed is not None  # the caller draws finite ratios only
    second = row.second_verdict
    return RatioRow(
        label=row.model, y=ROW_HEIGHT * (i + 0.5), verdict=verdict.verdict, mark=placed,
        second=mark(axis, second.ratio) if second else None, second_verdict=second.verdict if second else "",
        planted=row.role != "unlearned",
    )  # fmt: skip


def histograms(robustness: Sequence[Robustness], width: float, height: float) -> tuple[Histogram, ...]:
    """One histogram a law, all on the same axes, so that their spreads can be compared by eye."""
    lowest = min((float(np.nanmin(entry.tau, initial=1.0)) for entry in robustness), default=1.0)
    axis = correlation_axis(width, -1.0 if lowest < 0 else 0.0)
    counts = [np.histogram(_defined(entry.tau), bins=N_BINS, range=(axis.low, 1))[0] for entry in robustness]
    shares = [count / max(1, count.sum()) for count in counts]
    top = max((float(share.max()) for share in shares), default=1.0) or 1.0
    return tuple(_histogram(entry, share, top, axis, height) for entry, share in zip(robustness, shares, strict=True))


def _defined(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def _histogram(entry: Robustness, shares: np.ndarray, top: float, axis: Axis, height: float) -> Histogram:
    step = (1 - axis.low) / len(shares)
    bars = tuple(
        _bar(axis, axis.low + i * step, step, float(share), height / top) for i, share in enumerate(shares) if share > 0
    )
    first = sorted(entry.selection_frequency.items(), key=lambda item: -item[1])[:3]
    return Histogram(
        entry.law, axis, bars, height, percent(top), axis.x(0.0 if isnan(entry.tau_mean) else entry.tau_mean),
        int(np.isnan(entry.tau).sum()), tuple((name, percent(share)) for name, share in first if share > 0),
    )  # fmt: skip


def _bar(axis: Axis, low: float, step: float, share: float, scale: float) -> Bar:
    x, high = axis.x(low), share * scale
    title = f"{percent(share)} of draws with tau from {low:.2f} to {low + step:.2f}"
    return Bar(x, round(-high, 1), round(axis.x(low + step) - x - 0.8, 1), round(high, 1), title)
