"""A report as text: coloured in a terminal, plain anywhere else, within the width in both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isnan
from typing import TYPE_CHECKING, Literal

from vestige.meta.results import Agreement, Reliability, Tracking
from vestige.report import contents, summary
from vestige.report.asked import asked_sections
from vestige.report.costs import cost_sections
from vestige.report.further import further_sections
from vestige.report.model import Card, Report, Row
from vestige.report.numbers import DASH, brief_spread, number, p_value, spread, with_interval
from vestige.report.returns import returns_sections
from vestige.report.sections import Section, sections

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PLAIN_WIDTH = 100
MAX_ROWS = 45
N_SCORES = 6
N_BEST = 5
FLOOR = "floor (other retrained seeds)"
FOLDED = 17  # the narrowest that a column of names may become
# Blue, orange and grey differ for every kind of colour vision; the word always stands beside the colour.
COLOURS = {
    "equivalent": "bright_blue", "different": "dark_orange", "undecided": "bright_black", "tracks": "bright_blue",
    "opposes": "dark_orange", "fails": "dark_orange",
}  # fmt: skip
BETTER = {"higher": "high", "lower": "low", "reference": "near"}  # near the retrained model


def print_report(report: Report, console: "Console | None" = None, width: int | None = None) -> None:
    """Print a report: what was found, the controls, the ranking, the metrics, their agreement, the findings.

    Args:
        report: the report.
        console: where to print; standard output where it is None.
        width: columns to fill at most; where it is None the console's, or 100 without console and terminal.

    Source: defined here.
    """
    from rich.console import Console

    if console is None:
        console = Console(highlight=False)
        if width or not console.is_terminal:
            console = Console(highlight=False, width=width or PLAIN_WIDTH)
    page = _Page(console, min(width or console.width, console.width))
    _print_summary(page, report)
    _print_sections(page, asked_sections(report))
    _print_controls(page, report)
    _print_ranking(page, report)
    _print_sections(page, (*returns_sections(report), *cost_sections(report)))
    _print_metrics(page, report)
    if report.reliability:
        _print_agreement(page, report.reliability)
        _print_robustness(page, report.reliability)
        _print_sections(page, sections(report.reliability))
        _print_published(page, report.reliability)
    _print_sections(page, further_sections(report))
    _print_findings(page, report)


@dataclass(frozen=True)
class _Page:
    """Where to print, and how wide; all text goes in as `Text`, so a model named "[red]" is printed as it is called."""

    console: "Console"
    width: int

    def heading(self, words: str) -> None:
        self.console.print()
        self.console.print(_text(words, "bold"), width=self.width)

    def line(self, words: str) -> None:
        self.console.print(_text(words), width=self.width)

    def items(self, lines: Iterable[str]) -> None:
        from rich.table import Table

        grid = Table.grid(padding=(0, 1, 0, 0))
        for words in lines:
            grid.add_row("-", _text(words))
        self.console.print(grid, width=self.width)

    def table(self, columns: Sequence["_Column"], rows: Iterable[Sequence[str]], gap: int = 2) -> None:
        from rich.box import Box
        from rich.table import Table

        # Rules of ASCII: the output may go to a log that knows nothing else.
        rule = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)
        table = Table(box=rule, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))
        for column in columns:
            side: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(_text(column.name), justify=side, overflow="fold", no_wrap=not column.folds,
                             min_width=column.least or None)  # fmt: skip
        for row in rows:
            table.add_row(*(_word(cell) for cell in row))
        self.console.print(table, width=self.width)


@dataclass(frozen=True)
class _Column:
    name: str
    right: bool = False
    folds: bool = False
    least: int = 0


def _text(words: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(words, style=style)


def _word(word: str) -> "Text":
    return _text(word, COLOURS.get(word, ""))


def _print_summary(page: _Page, report: Report) -> None:
    page.console.print(_text(report.title, "bold"), width=page.width)
    page.items(summary.sentences(report))


def _print_controls(page: _Page, report: Report) -> None:
    rows = [row for row in contents.planted(report) if row.verdict]
    if not rows:
        return
    page.heading("Planted controls")
    columns = [_Column("model", folds=True), *map(_Column, ("must be", "verdict", "ratio", "as it must be"))]
    cells = [_control(row) for row in rows]
    if any(row.second_verdict for row in rows):
        columns.append(_Column(f"by {contents.second_distance(report)}", folds=True, least=len("undecided")))
        cells = [(*cell, _second_control(row)) for cell, row in zip(cells, rows, strict=True)]
    page.table(columns, cells)


def _control(row: Row) -> tuple[str, ...]:
    kept = {True: "yes", False: "no", None: "-"}[contents.control_kept(row.expected, row.verdict)]
    return (row.model, row.expected or "-", *_verdict(row), kept)


def _second_control(row: Row) -> str:
    if row.second_verdict is None:
        return "-"
    missed = contents.control_kept(row.expected, row.second_verdict) is False
    return f"{row.second_verdict.verdict}{' (not so)' if missed else ''}"


def _verdict(row: Row) -> tuple[str, str]:
    return (row.verdict.verdict, with_interval(row.verdict.ratio)) if row.verdict else ("-", "-")


def _print_ranking(page: _Page, report: Report) -> None:
    rows = contents.ranked(report)
    shown = rows[:MAX_ROWS]
    page.heading("Ranking")
    page.line(f"By {report.ranked_by}.")
    page.table(*_ranking_table(report, shown, page.width))
    if len(shown) < len(rows):
        page.line(f"and {len(rows) - len(shown)} more")
    if any(row.collapsed for row in shown):
        page.line("* collapsed: retain accuracy under 0.7 of the original's")
    near = [card.name for card in _main_cards(report) if card.better == "reference" and not isnan(card.floor[0])]
    if near:
        page.line(f"floor of {summary.listed(near)}: all retrained seeds, as nearest to these is best")
    if second := summary.second_verdict_sentence(report):
        page.line(second)
    _print_intervals(page, report)


def _ranking_table(report: Report, shown: Sequence[Row], width: int) -> tuple[list[_Column], list[tuple[str, ...]]]:
    """The ranked rows, then the others; what retrained seeds reach stands above them, where that is known."""
    rows = (*shown, *contents.unranked(report))
    judged = contents.first_verdict(report) is not None
    labels = list(dict.fromkeys(key for row in shown for key in row.labels))
    columns = [_Column("#", right=True), _Column("model", folds=True), *(_Column(name, folds=True) for name in labels)]
    columns += [_Column("verdict"), _Column("ratio")] if judged else []
    cells = [_ranking_cells(row, labels, judged) for row in rows]
    cards = _main_cards(report)
    floored = any(not isnan(contents.seed_range(card)[0]) for card in cards)
    if floored:
        cells.insert(0, ("", FLOOR, *[""] * (len(columns) - 2)))
    scores = _score_columns(report, rows, floored, width - _width(columns, cells))
    columns += [_Column(name, right=True) for name, *_ in scores]
    return columns, [(*row, *(column[i] for column in scores)) for i, row in enumerate(cells, start=1)]


def _ranking_cells(row: Row, labels: Sequence[str], judged: bool) -> tuple[str, ...]:
    role = "" if row.role == "unlearned" or row.model.startswith(row.role) else f" ({row.role})"
    name = f"{row.model}{role}{' *' if row.collapsed else ''}"
    unranked = "-" if row.role == "unlearned" else ""
    rank = unranked if row.rank is None else str(row.rank)
    return (rank, name, *(row.labels.get(label, "") for label in labels), *(_verdict(row) if judged else ()))


def _score_columns(report: Report, rows: Sequence[Row], floored: bool, width: int) -> list[tuple[str, ...]]:
    """Name, floor and scores of as many of the main metrics as fit; floors fold where that lets more of them fit."""
    scores = [(card, _scores(report, rows, card)) for card in _main_cards(report)]

    def columns(on_two_lines: bool) -> list[tuple[str, ...]]:
        floors = [(brief_spread(contents.seed_range(card), on_two_lines),) if floored else () for card, _ in scores]
        named = [(card.name, *floor, *cells) for (card, cells), floor in zip(scores, floors, strict=True)]
        return _fitting(named, width)

    wide, narrow = columns(False), columns(True)
    return wide if len(wide) == len(narrow) else narrow


def _scores(report: Report, rows: Sequence[Row], card: Card) -> list[str]:
    """One number a row; a dash for the retrained model that the metric compares with, which is 0 from itself."""
    itself = contents.reference_row(report, card)
    return [DASH if row is itself else number(row.scores.get(card.name, contents.MISSING).value) for row in rows]


def _width(columns: Sequence[_Column], rows: Sequence[Sequence[str]]) -> int:
    """Columns of text that the table takes at least, when those that may fold do."""
    widths = [
        max(len(column.name), *(min(len(row[i]), FOLDED if column.folds else len(row[i])) for row in rows), 0)
        for i, column in enumerate(columns)
    ]
    return sum(widths) + 2 * len(widths)


def _main_cards(report: Report) -> list[Card]:
    cards = contents.metric_cards(report)
    main = [card for name in contents.MAIN_METRICS for card in cards if card.name == name]
    return (main or list(cards))[:N_SCORES]


def _fitting(columns: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """The first of the columns, as many as fit; the last needs no gap after it."""
    ends = accumulate(_needed(column) + 2 for column in columns)
    return [column for column, end in zip(columns, ends, strict=True) if end - 2 <= width]


def _needed(cells: Sequence[str]) -> int:
    return max(len(line) for cell in cells for line in cell.split("\n"))


def _print_intervals(page: _Page, report: Report) -> None:
    """The main metrics of the best models, each with its interval, in as many tables as the width asks for."""
    best = contents.ranked(report)[:N_BEST]
    cards = _main_cards(report)
    scores = [[row.scores.get(card.name, contents.MISSING) for row in best] for card in cards]
    if not any(estimate.has_interval for column in scores for estimate in column):
        return
    page.console.print()
    page.line(f"The first {len(best)} with intervals:" if len(best) > 1 else "The first with intervals:")
    columns = [(card.name, *map(with_interval, column)) for card, column in zip(cards, scores, strict=True)]
    names = [summary.name_with_labels(row) for row in best]
    for block in _blocks([_needed(column) + 2 for column in columns], page.width - _folded(names)):
        heads = [_Column("model", folds=True), *(_Column(columns[j][0]) for j in block)]
        page.table(heads, [(name, *(columns[j][i] for j in block)) for i, name in enumerate(names, start=1)])
        page.console.print()


def _print_metrics(page: _Page, report: Report) -> None:
    tracking = report.reliability.tracking if report.reliability else ()
    page.heading(f"Metrics, and whether they track closeness by {tracking[0].distance}" if tracking else "Metrics")
    columns = [_Column("metric", folds=True), *map(_Column, ("best", "floor", "control"))]
    columns += (
        [_Column("rho"), _Column("p"), _Column("p adj"), _Column("verdict", folds=True, least=11)] if tracking else []
    )
    page.table(columns, [_metric(card, tracking) for card in report.cards])
    if any(card.better == "reference" for card in report.cards):
        page.line("near: closest to the retrained model is best. floor: values of the other retrained seeds.")
    if tracking:
        kind = "all" if tracking[0].exact else "drawn"
        if without := _without_collapsed(tracking):
            page.line(f"Rho without collapsed models: {without}.")
        page.line(
            f"p: {tracking[0].n_relabellings:,} relabellings ({kind}) within groups; p adj: over {tracking[0].family} "
            "metrics."
        )
    second = report.reliability.second_tracking if report.reliability else ()
    if second:
        page.line(f"By the second distance ({second[0].distance}): {_by_verdict(second)}.")
        if without := _without_collapsed(second):
            page.line(f"Rho by {second[0].distance} without collapsed models: {without}.")


def _metric(card: Card, tracking: Sequence[Tracking]) -> tuple[str, ...]:
    controls = {True: "pass", False: "fail", None: "-"}[card.passes_controls]
    cells = (card.name, BETTER.get(card.better, card.better), spread(card.floor), controls)
    if not tracking:
        return cells
    entry = contents.tracking_of(tracking, card.name)
    if entry is None:
        return (*cells, "-", "-", "-", "-")
    return (*cells, with_interval(entry.rho), p_value(entry.p), p_value(entry.p_adjusted), entry.verdict)


def _without_collapsed(tracking: Sequence[Tracking]) -> str:
    """Rho without collapsed models, metric by metric; empty where it is the same because there are none."""
    pairs = [(entry, entry.without_collapsed) for entry in tracking if entry.without_collapsed is not None]
    if all(repr(other.value) == repr(entry.rho.value) for entry, other in pairs):
        return ""
    return ", ".join(f"{entry.metric} {number(other.value)}" for entry, other in pairs)


def _by_verdict(tracking: Sequence[Tracking]) -> str:
    words = dict.fromkeys(entry.verdict for entry in tracking)
    named = {word: [entry.metric for entry in tracking if entry.verdict == word] for word in words}
    return "; ".join(f"{word}: {', '.join(metrics)}" for word, metrics in named.items())


def _print_agreement(page: _Page, reliability: Reliability) -> None:
    agreement = reliability.agreement
    page.heading("Agreement: Kendall's tau between the metrics")
    need = [1 + max(len("-0.50*"), len(name)) for name in agreement.metrics]
    for block in _blocks(need, page.width - _folded(agreement.metrics)):
        names = [agreement.metrics[j] for j in block]
        rows = [[name, *(_tau(agreement, i, j) for j in block)] for i, name in enumerate(agreement.metrics)]
        page.table([_Column("", folds=True), *(_Column(name, right=True) for name in names)], rows, gap=1)
    mean = f"Mean {number(agreement.mean_tau)} over {agreement.n_items} items; {agreement.method}."
    page.line(f"* the interval excludes 0. {mean}")


def _blocks(need: Sequence[int], width: int) -> list[list[int]]:
    """Columns, each with the width that it needs, in the fewest blocks of like size that fit."""
    n = len(need)
    for n_blocks in range(1, n + 1):
        blocks = [list(range(k * n // n_blocks, (k + 1) * n // n_blocks)) for k in range(n_blocks)]
        if all(sum(need[i] for i in block) <= width for block in blocks):
            return blocks
    return [[i] for i in range(n)]


def _folded(names: Iterable[str]) -> int:
    """Width of a column of names, folded where they are long."""
    return min(FOLDED, max(map(len, names), default=0))


def _tau(agreement: Agreement, i: int, j: int) -> str:
    tau = float(agreement.tau[i, j])
    if i == j:
        return ""
    if isnan(tau):
        return "- "
    settled = agreement.low[i, j] > 0 or agreement.high[i, j] < 0
    return f"{tau:.2f}{'*' if settled else ' '}".replace("-0.00", "0.00")


def _print_robustness(page: _Page, reliability: Reliability) -> None:
    if not reliability.robustness:
        return
    drawn = [f"{entry.law} {number(entry.tau_mean)} (SD {number(entry.tau_sd)})" for entry in reliability.robustness]
    n_draws, n_items = reliability.robustness[0].n_draws, reliability.robustness[0].n_items
    page.heading("Stability of the ranking under other weights")
    page.line(f"Mean tau over {n_draws} weightings of {n_items} items: {', '.join(drawn)}.")


def _print_sections(page: _Page, tables: Sequence[Section]) -> None:
    for section in tables:
        page.heading(section.title)
        page.line(section.lead)
        columns = [
            _Column(head, right=i >= section.n_text, folds=i < section.n_text, least=_longest_verdict(section, i))
            for i, head in enumerate(section.heads)
        ]
        page.table(columns, section.rows)
        if section.n_more:
            page.line(f"and {section.n_more} more")


def _longest_verdict(section: Section, i: int) -> int:
    """A verdict is read as a word: its column is as wide as the longest of them, at most "undecided"."""
    words = [word for row in section.rows for word in row[i].split()] if section.heads[i] == "verdict" else []
    return min(max(map(len, words), default=0), len("undecided"))


def _print_published(page: _Page, reliability: Reliability) -> None:
    if reliability.published:
        page.heading(f"Figures by the convention {reliability.convention}")
        figures = [(name, number(value)) for name, value in reliability.published.items()]
        page.table((_Column("figure", folds=True), _Column("value", right=True)), figures)


def _print_findings(page: _Page, report: Report) -> None:
    missing = report.reliability.missing if report.reliability else ()
    found = contents.findings(report)
    if found or missing:
        page.heading("Findings")
        page.items([*(f"{finding.severity}: {finding.message}" for finding in found), *missing])
