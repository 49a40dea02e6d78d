"""What did it cost? A table of what models took to make, and a picture of distance against time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, isnan

from vestige.report.charts import Axis, Tick, log_axis
from vestige.report.model import Report, Spending
from vestige.report.numbers import number, percent, size
from vestige.report.sections import Section, limited

HEIGHT = 230.0

_SHOWN: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("distance", "ratio", number),
    ("kept", "RA", percent),
    ("seconds", "seconds", number),
    ("memory", "memory", size),
    ("storage", "storage", size),
)
"""Field of `Spending`, heading, and how a value is said."""


@dataclass(frozen=True)
class Dot:
    """One model: closer to retraining is lower, faster is further left."""

    label: str
    x: float
    y: float
    unbeaten: bool
    title: str


@dataclass(frozen=True)
class CostPlot:
    """Distance ratio over seconds, both on log axes; `height - y` is how far up a place is."""

    seconds: Axis
    distance: Axis
    rows: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    height: float
    n_left_out: int


def cost_sections(report: Report) -> tuple[Section, ...]:
    """The table, unbeaten models first; nothing where no cost is known."""
    if not report.spending:
        return ()
    shown = [column for column in _SHOWN if any(isfinite(getattr(entry, column[0])) for entry in report.spending)]
    entries = sorted(report.spending, key=_closest_first)
    rows = [_row(entry, shown) for entry in entries]
    heads = ("model", "unbeaten", *(head for _, head, _ in shown))
    return (limited("costs", "What did it cost?", _lead(report.spending, shown), heads, rows, 2),)


def cost_plot(report: Report, width: float) -> CostPlot | None:
    """Where the models lie between fast and close; None where fewer than two have both numbers."""
    both = [entry for entry in report.spending if _placed(entry)]
    if len(both) < 2:
        return None
    seconds = log_axis([entry.seconds for entry in both], width)
    distance = log_axis([1.0, *(entry.distance for entry in both)], HEIGHT)
    dots = tuple(_dot(entry, seconds, distance) for entry in both)
    rows = tuple(Tick(round(HEIGHT - tick.x, 1), tick.text) for tick in distance.ticks)
    return CostPlot(seconds, distance, rows, dots, HEIGHT, len(report.spending) - len(both))


def _placed(entry: Spending) -> bool:
    return isfinite(entry.seconds) and entry.seconds > 0 and isfinite(entry.distance) and entry.distance > 0


def _dot(entry: Spending, seconds: Axis, distance: Axis) -> Dot:
    title = f"{entry.model}: ratio {number(entry.distance)} after {number(entry.seconds)} s"
    y = round(HEIGHT - distance.x(entry.distance), 1)
    return Dot(entry.model, seconds.x(entry.seconds), y, entry.unbeaten, title)


def _closest_first(entry: Spending) -> tuple[bool, float, str]:
    return (not entry.unbeaten, float("inf") if isnan(entry.distance) else entry.distance, entry.model)


def _lead(spending: Sequence[Spending], shown: Sequence[tuple[str, str, Callable[[float], str]]]) -> str:
    n_unbeaten = sum(entry.unbeaten for entry in spending)
    names = ", ".join(head for _, head, _ in shown)
    return (
        f"{n_unbeaten} of {len(spending)} models are unbeaten: no other is at least as good in all of {names} and "
        "better in one. Ratio: distance to the retrained models over the distance between them. Costs are as their "
        "user gave them."
    )


def _row(entry: Spending, shown: Sequence[tuple[str, str, Callable[[float], str]]]) -> tuple[str, ...]:
    return (entry.model, "yes" if entry.unbeaten else "no", *(say(getattr(entry, name)) for name, _, say in shown))
