"""A report as text: coloured in a terminal, plain anywhere else, within the width in both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isnan
from typing import TYPE_CHECKING, Literal

from vestige.meta.results import Agreement, Reliability, Tracking
from vestige.report import contents, summary
from vestige.report.model import Card, Report, Row
from vestige.report.numbers import number, p_value, spread, with_interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PLAIN_WIDTH = 100
MAX_ROWS = 45
N_SCORES = 6
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
    _print_controls(page, report)
    _print_ranking(page, report)
    _print_metrics(page, report)
    if report.reliability:
        _print_agreement(page, report.reliability)
        _print_robustness(page, report.reliability)
        _print_published(page, report.reliability)
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
    page.table(
        (_Column("model", folds=True), *map(_Column, ("must be", "verdict", "ratio", "as it must be"))),
        [_control(row) for row in rows],
    )


def _control(row: Row) -> tuple[str, ...]:
    kept = {True: "yes", False: "no", None: "-"}[contents.control_kept(row)]
    return (row.model, row.expected or "-", *_verdict(row), kept)


def _verdict(row: Row) -> tuple[str, str]:
    return (row.verdict.verdict, with_interval(row.verdict.ratio)) if row.verdict else ("-", "-")


def _print_ranking(page: _Page, report: Report) -> None:
    rows = contents.ranked(report)
    shown = rows if len(rows) <= MAX_ROWS else rows[:MAX_ROWS]
    judged = contents.first_verdict(report) is not None
    labels = list(dict.fromkeys(key for row in rows for key in row.labels))
    page.heading("Ranking")
    page.line(f"By {report.ranked_by}.")
    columns = [_Column("#", right=True), _Column("model", folds=True), *(_Column(name, folds=True) for name in labels)]
    columns += [_Column("verdict"), _Column("ratio")] if judged else []
    cells = [_ranking_cells(row, labels, judged) for row in (*shown, *contents.unranked(report))]
    scores = [
        (card.name, *(_score(row, card) for row in (*shown, *contents.unranked(report))))
        for card in _main_cards(report)
    ]
    scores = _fitting(scores, page.width - _width(columns, cells))
    columns += [_Column(name, right=True) for name, *_ in scores]
    page.table(columns, [(*row, *(column[i] for column in scores)) for i, row in enumerate(cells, start=1)])
    if len(shown) < len(rows):
        page.line(f"and {len(rows) - len(shown)} more")
    if any(row.collapsed for row in shown):
        page.line("* collapsed: retain accuracy under 0.7 of the original's")


def _ranking_cells(row: Row, labels: Sequence[str], judged: bool) -> tuple[str, ...]:
    role = "" if row.role in ("unlearned", row.model) else f" ({row.role})"
    name = f"{row.model}{role}{' *' if row.collapsed else ''}"
    rank = "" if row.rank is None else str(row.rank)
    return (rank, name, *(row.labels.get(label, "") for label in labels), *(_verdict(row) if judged else ()))


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
    ends = accumulate(max(map(len, column)) + 2 for column in columns)
    return [column for column, end in zip(columns, ends, strict=True) if end - 2 <= width]


def _score(row: Row, card: Card) -> str:
    return number(row.scores.get(card.name, contents.MISSING).value)


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
        page.line(
            f"p: {tracking[0].n_relabellings:,} relabellings ({kind}) within groups; p adj: over {tracking[0].family} "
            "metrics."
        )
    second = report.reliability.second_tracking if report.reliability else ()
    if second:
        page.line(f"By the second distance ({second[0].distance}): {_by_verdict(second)}.")


def _metric(card: Card, tracking: Sequence[Tracking]) -> tuple[str, ...]:
    controls = {True: "pass", False: "fail", None: "-"}[card.passes_controls]
    cells = (card.name, BETTER.get(card.better, card.better), spread(card.floor), controls)
    if not tracking:
        return cells
    entry = contents.tracking_of(tracking, card.name)
    if entry is None:
        return (*cells, "-", "-", "-", "-")
    return (*cells, with_interval(entry.rho), p_value(entry.p), p_value(entry.p_adjusted), entry.verdict)


def _by_verdict(tracking: Sequence[Tracking]) -> str:
    words = dict.fromkeys(entry.verdict for entry in tracking)
    named = {word: [entry.metric for entry in tracking if entry.verdict == word] for word in words}
    return "; ".join(f"{word}: {', '.join(metrics)}" for word, metrics in named.items())


def _print_agreement(page: _Page, reliability: Reliability) -> None:
    agreement = reliability.agreement
    page.heading("Agreement: Kendall's tau between the metrics")
    for block in _blocks(agreement.metrics, page.width):
        names = [agreement.metrics[j] for j in block]
        rows = [[name, *(_tau(agreement, i, j) for j in block)] for i, name in enumerate(agreement.metrics)]
        page.table([_Column("", folds=True), *(_Column(name, right=True) for name in names)], rows, gap=1)
    mean = f"Mean {number(agreement.mean_tau)} over {agreement.n_items} items; {agreement.method}."
    page.line(f"* the interval excludes 0. {mean}")


def _blocks(metrics: Sequence[str], width: int) -> list[list[int]]:
    """The metrics' columns in the fewest blocks of like size that fit beside their names."""
    n = len(metrics)
    left = width - min(FOLDED, max(map(len, metrics), default=0))
    need = [1 + max(len("-0.50*"), len(name)) for name in metrics]
    for n_blocks in range(1, n + 1):
        blocks = [list(range(k * n // n_blocks, (k + 1) * n // n_blocks)) for k in range(n_blocks)]
        if all(sum(need[i] for i in block) <= left for block in blocks):
            return blocks
    return [[i] for i in range(n)]


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
