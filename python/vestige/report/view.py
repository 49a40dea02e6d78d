"""What the page shows, cell by cell, as text: the template decides where it stands, this module what it says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan

from vestige.meta.results import Agreement, Finding, Tracking
from vestige.report import charts, contents
from vestige.report.model import Card, Report, Row
from vestige.report.numbers import DASH, interval, number, p_value, percent, scope, spread, with_interval
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate

ORIENTATION = {"higher": "higher is better", "lower": "lower is better", "reference": "closest to retrained is best"}
BRIEF_ORIENTATION = {"higher": "↑ higher", "lower": "↓ lower", "reference": "→ retrained"}
GLYPH = {"equivalent": "●", "different": "▲", "undecided": "○"}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, a second line, what hovering says, what it sorts by, and how it is marked."""

    text: str
    below: str = ""
    title: str = ""
    sort: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """One column: heading, what hovering says, a line below, how it sorts, a failed control, the noise floor."""

    head: str
    title: str = ""
    below: str = ""
    kind: str = "number"
    flagged: bool = False
    floor: str = ""


@dataclass(frozen=True)
class Line:
    """One model: the report's row and its cells, without rank and name."""

    row: Row
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Board:
    """The leaderboard."""

    columns: tuple[Column, ...]
    ranked: tuple[Line, ...]
    unranked: tuple[Line, ...]
    n_left_out: int


@dataclass(frozen=True)
class Heat:
    """A matrix of tau as coloured cells, empty on the diagonal; `agreeing` has the clusters of two and more."""

    title: str
    metrics: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    agreement: Agreement
    agreeing: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ForestRow:
    """One metric against one distance."""

    tracking: Tracking
    flagged: bool
    mark: charts.Mark | None
    without: charts.Mark | None


@dataclass(frozen=True)
class Forest:
    """All metrics against one distance."""

    distance: str
    axis: charts.Axis
    rows: tuple[ForestRow, ...]


Part = tuple[Column, Callable[[Row], Cell]]


def board(report: Report, limit: int) -> Board:
    """The leaderboard with at most `limit` ranked rows; columns that no row fills are left out."""
    parts = (*_label_parts(report), *_verdict_parts(report), *_card_parts(report))
    rows = contents.ranked(report)

    def lines(rows: Sequence[Row]) -> tuple[Line, ...]:
        return tuple(Line(row, tuple(cell(row) for _, cell in parts)) for row in rows)

    columns = tuple(column for column, _ in parts)
    return Board(columns, lines(rows[:limit]), lines(contents.unranked(report)), max(0, len(rows) - limit))


def _label_parts(report: Report) -> list[Part]:
    def part(key: str, read: Callable[[Row], str]) -> Part:
        kind = _text_kind(report, read)
        return Column(key, kind=kind), lambda row: Cell(read(row), sort=read(row), mark=kind if kind == "text" else "")

    named: dict[str, Callable[[Row], str]] = {"method": lambda row: row.method, "strength": lambda row: row.strength}
    keys = dict.fromkeys(key for row in report.rows for key in row.labels)
    named |= {key: partial(_label, key) for key in keys if key not in named}
    # A column that repeats the name, or is empty, says nothing.
    shown = {key: read for key, read in named.items() if any(read(row) not in ("", row.model) for row in report.rows)}
    return [part(key, read) for key, read in shown.items()]


def _label(key: str, row: Row) -> str:
    return row.labels.get(key, "")


def _text_kind(report: Report, read: Callable[[Row], str]) -> str:
    labels = [read(row) for row in report.rows if read(row)]
    return "number" if all(label.replace(".", "", 1).lstrip("-").isdigit() for label in labels) else "text"


def _verdict_parts(report: Report) -> list[Part]:
    example, second = contents.first_verdict(report), contents.second_distance(report)
    if example is None:
        return []
    asked = f"equivalence to retraining by {example.distance}, margin {number(example.margin)}"
    ratio = "distance to the retrained models over the distance between these; 1 = one of them"
    margin = "the smallest margin at which the model would be called equivalent"
    parts: list[Part] = [
        (Column("verdict", asked, example.distance, "text"), lambda row: _verdict_cell(row.verdict)),
        (Column("ratio", ratio, "1 = retrained"), lambda row: _ratio_cell(row.verdict)),
        (Column("smallest margin", margin), lambda row: _margin_cell(row.verdict)),
    ]
    if any(row.second_verdict for row in report.rows):
        head = Column("second verdict", f"the same by {second}", second, "text")
        parts.append((head, lambda row: _verdict_cell(row.second_verdict, with_ratio=True)))
    return parts


def _verdict_cell(verdict: Equivalence | None, with_ratio: bool = False) -> Cell:
    if verdict is None:
        return Cell(DASH, title="no verdict", mark="text")
    text = f"{GLYPH[verdict.verdict]} {verdict.verdict}"
    below = with_interval(verdict.ratio) if with_ratio else ""
    return Cell(text, below, scope(verdict.ratio), verdict.verdict, verdict.verdict)


def _ratio_cell(verdict: Equivalence | None) -> Cell:
    return Cell(DASH, title="no verdict") if verdict is None else estimate_cell(verdict.ratio)


def _margin_cell(verdict: Equivalence | None) -> Cell:
    if verdict is None or isnan(verdict.smallest_margin):
        return Cell(DASH, title="undefined: " + (verdict.ratio.reason or "no interval") if verdict else "no verdict")
    return Cell(number(verdict.smallest_margin), sort=sort_key(verdict.smallest_margin))


def sort_key(value: float) -> str:
    """What a cell sorts by in the page's script; empty for an undefined value, which stays last.

    >>> sort_key(0.5), sort_key(float("nan"))
    ('0.5', '')
    """
    return "" if isnan(value) else repr(float(value))


def estimate_cell(estimate: Estimate) -> Cell:
    """A value with its interval below it; a dash that says why where the value is undefined."""
    if isnan(estimate.value):
        return Cell(DASH, title=scope(estimate), mark="undefined")
    return Cell(number(estimate.value), interval(estimate), scope(estimate), sort_key(estimate.value))


def _card_parts(report: Report) -> list[Part]:
    cards = (*contents.metric_cards(report), *contents.distance_cards(report))
    return [_card_part(card, contents.reference_row(report, card)) for card in cards]


def _card_part(card: Card, itself: Row | None) -> Part:
    floor = spread(contents.seed_range(card))
    column = Column(
        card.name, f"{card.title}: {ORIENTATION.get(card.better, card.better)}. {card.asks}".strip(),
        BRIEF_ORIENTATION.get(card.better, card.better), "number", card.passes_controls is False,
        floor if floor != DASH else "",
    )  # fmt: skip

    def cell(row: Row) -> Cell:
        if row is itself:
            return Cell(DASH, title="0 by definition: the value compares with this model", mark="undefined")
        estimate = row.scores.get(card.name, contents.MISSING)
        shown = estimate_cell(estimate)
        inside = row.role == "unlearned" and contents.within_floor(card, estimate.value)
        return Cell(shown.text, shown.below, shown.title, shown.sort, "floor") if inside else shown

    return column, cell


def heat(agreement: Agreement, title: str) -> Heat:
    """The tau matrix with agreeing metrics side by side, coloured by sign and strength."""
    order = [name for cluster in agreement.clusters for name in cluster]
    order = order if sorted(order) == sorted(agreement.metrics) else list(agreement.metrics)
    at = [agreement.metrics.index(name) for name in order]
    block = {name: k for k, cluster in enumerate(agreement.clusters) for name in cluster}
    blocks = [block.get(name, -1) for name in order]
    cells = tuple(
        tuple(_heat_cell(agreement, at[i], at[j], _edges(blocks, i, j)) for j in range(len(at))) for i in range(len(at))
    )
    agreeing = tuple(cluster for cluster in agreement.clusters if len(cluster) > 1)
    return Heat(title, tuple(order), cells, agreement, agreeing)


def _edges(blocks: Sequence[int], i: int, j: int) -> str:
    """Sides of a cell that lie on the outline of its cluster's block; none for a pair of two clusters, or one alone."""
    members = [k for k, block in enumerate(blocks) if block == blocks[i]]
    if blocks[i] != blocks[j] or len(members) == 1:
        return ""
    sides = {"top": i == members[0], "bottom": i == members[-1], "left": j == members[0], "right": j == members[-1]}
    return " ".join(side for side, drawn in sides.items() if drawn)


def _heat_cell(agreement: Agreement, i: int, j: int, edges: str) -> Cell:
    if i == j:
        return Cell("", mark=f"self {edges}".strip())
    pair = f"{agreement.metrics[i]} and {agreement.metrics[j]}"
    tau, low, high = (float(matrix[i, j]) for matrix in (agreement.tau, agreement.low, agreement.high))
    if isnan(tau):
        told = f"{pair}: tau is undefined (a constant or missing column)"
        return Cell(DASH, title=told, mark=f"undefined {edges}".strip())
    told = with_interval(Estimate(tau, low, high))
    title = f"{pair}: tau {told}, p {p_value(float(agreement.p[i, j]))}, {agreement.n_items} items"
    marks = ("positive" if tau >= 0 else "negative", "settled" if low > 0 or high < 0 else "", edges)
    return Cell(f"{tau:.2f}".replace("-0.00", "0.00"), title=title, sort=f"{abs(tau):.3f}",
                mark=" ".join(mark for mark in marks if mark))  # fmt: skip


def forests(report: Report, width: float) -> tuple[Forest, ...]:
    """Tracking against the distance and, where there is one, against the second."""
    reliability, failed = report.reliability, contents.failing(report)
    both = (reliability.tracking, reliability.second_tracking) if reliability else ()
    return tuple(_forest(entries, failed, charts.correlation_axis(width)) for entries in both if entries)


def _forest(entries: Sequence[Tracking], failed: Sequence[str], axis: charts.Axis) -> Forest:
    rows = tuple(
        ForestRow(entry, entry.metric in failed, charts.mark(axis, entry.rho), _without(axis, entry))
        for entry in entries
    )
    return Forest(entries[0].distance, axis, rows)


def _without(axis: charts.Axis, entry: Tracking) -> charts.Mark | None:
    """The mark without collapsed models; None where there are none, so that it would only hide the other."""
    other = entry.without_collapsed
    return None if other is None or other.value == entry.rho.value else charts.mark(axis, other)


def grouped_findings(report: Report) -> tuple[tuple[str, str, tuple[Finding, ...]], ...]:
    """Severity, what it means, and its findings; worst first, severities without findings left out."""
    every = contents.findings(report)
    grouped = ((word, tuple(f for f in every if f.severity == word)) for word in contents.SEVERITIES)
    return tuple((word, contents.SEVERITY_MEANING[word], some) for word, some in grouped if some)


def tracking_title(entry: Tracking) -> str:
    """What stands behind one line of the forest, in one string."""
    drawn = "all" if entry.exact else "drawn"
    return (
        f"rho {scope(entry.rho)}; tau {with_interval(entry.tau)}; within groups {number(entry.rho_within)}; "
        f"{percent(entry.between_share)} of the variance between groups; "
        f"{entry.n_relabellings} relabellings ({drawn}), family of {entry.family}"
    )
