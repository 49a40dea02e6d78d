"""One HTML file that holds everything a report has to say: no network, no other file, sortable tables."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vestige.report import charts, contents, numbers, spans, summary, view
from vestige.report.asked import asked_sections
from vestige.report.costs import cost_plot, cost_sections
from vestige.report.files import write_whole
from vestige.report.further import further_sections
from vestige.report.model import Report
from vestige.report.returns import returns_sections
from vestige.report.sections import Section, sections

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
MAX_ROWS = 1000  # a row is about 4 kB, and the page is to stay under 5 MB
RATIO_WIDTH, FOREST_WIDTH, HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT = 560.0, 180.0, 320.0, 110.0
SPAN_WIDTH = 330.0
MAX_FLIPS = 12  # items of a readable matrix of flips


def render(report: Report, path: str | Path) -> Path:
    """Write a report as one self-contained HTML page.

    Args:
        report: the report.
        path: the file to write; its folder is made where there is none.

    Returns:
        The path. The page loads nothing (its own Content-Security-Policy forbids it), every value is escaped, and it
        follows the reader's light or dark setting. A file that was there stays whole until the new one is.

    Raises:
        ModuleNotFoundError: if jinja2 is not installed.

    Source: defined here.
    """
    page = _environment().get_template("template.html").render(**_content(report))
    return write_whole(path, page)


def _environment() -> "Environment":
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("vestige.render needs jinja2: pip install 'vestige[report]'") from error
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "number": numbers.number, "with_interval": numbers.with_interval, "p_value": numbers.p_value,
        "percent": numbers.percent, "scope": numbers.scope, "spread": numbers.spread, "listed": summary.listed,
        "sort_key": view.sort_key,
    }  # fmt: skip
    return environment


def _content(report: Report) -> dict[str, Any]:
    """Everything that the template names; it computes nothing itself."""
    return {
        "report": report,
        "reliability": report.reliability,
        "created": _spoken_time(report.created),
        "about": _spoken(report.about),
        "is_mapping": lambda value: isinstance(value, Mapping),
        "findings": view.grouped_findings(report),
        "further": further_sections(report),
        **_page_parts(),
        **_found(report),
        **_leaderboard(report),
        **_correlations(report),
        **_weightings(report),
        "tables": {section.name: section for section in _tables(report)},
    }


def _tables(report: Report) -> tuple[Section, ...]:
    """What is a table and a sentence, by the names at which the template places them."""
    return (*sections(report.reliability), *returns_sections(report), *cost_sections(report), *asked_sections(report))


def _page_parts() -> dict[str, Any]:
    """The page's own style and script."""
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    return {
        "style": (FOLDER / "page.css").read_text(encoding="utf-8"),
        "script": script,
        "script_hash": b64encode(sha256(script.encode()).digest()).decode(),
    }


def _found(report: Report) -> dict[str, Any]:
    """The summary and the planted controls."""
    return {
        "sentences": summary.sentences(report),
        "verdicts": contents.verdicts(report),
        "judged": contents.first_verdict(report) is not None,
        "failing": contents.failing(report),
        "distances": [card.name for card in contents.distance_cards(report)],
        "controls": contents.planted(report),
        "control_kept": contents.control_kept,
        "second_distance": contents.second_distance(report),
        "second_verdicts": summary.second_verdict_sentence(report),
        "collapsed": [row for row in contents.ranked(report) if row.collapsed],
    }


def _leaderboard(report: Report) -> dict[str, Any]:
    """The leaderboard as a table and as a picture."""
    return {
        "board": view.board(report, MAX_ROWS),
        "with_intervals": any(estimate.has_interval for row in report.rows for estimate in row.scores.values()),
        "with_floors": any(not isnan(card.floor[1]) for card in report.cards),
        "glyph": view.GLYPH,
        "orientation": view.ORIENTATION,
        "ratio_plot": charts.ratio_plot(report, RATIO_WIDTH),
        "cost_plot": cost_plot(report, RATIO_WIDTH),
        "detailed": [row for row in report.rows if row.details],
        "detail_names": list(dict.fromkeys(name for row in report.rows for name in row.details)),
    }


def _correlations(report: Report) -> dict[str, Any]:
    """Agreement, tracking and the composite."""
    return {
        "heats": _heats(report),
        "forests": view.forests(report, FOREST_WIDTH),
        "tracking_title": view.tracking_title,
        "tracking_colour": {"tracks": "c-equivalent", "opposes": "c-different"},
        "composite": _composite(report),
        "composite_axis": charts.correlation_axis(FOREST_WIDTH),
    }


def _weightings(report: Report) -> dict[str, Any]:
    """What other weights do to the ranking: drawn ones, and all there are."""
    robustness = report.reliability.robustness if report.reliability else ()
    stability = report.reliability.stability if report.reliability else None
    return {
        "histograms": charts.histograms(robustness, HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT),
        "histogram_height": HISTOGRAM_HEIGHT,
        "flips": next((entry for entry in robustness if 1 < len(entry.flips) <= MAX_FLIPS), None),
        "rank_sets": _rank_sets(report),
        "stability": stability,
        "rank_range": stability
        and spans.rank_spans(stability.items, stability.best_rank, stability.worst_rank, SPAN_WIDTH),
        "weight_range": stability and spans.weight_spans(stability, SPAN_WIDTH),
        "dominance": stability and spans.dominance_words(stability),
    }


def _rank_sets(report: Report) -> list[tuple[Any, spans.Spans]]:
    """The ranks that the data leave open, one drawing a score; scores without data are left out."""
    entries = report.reliability.ranks if report.reliability else ()
    return [
        (entry, spans.rank_spans(entry.items, entry.low, entry.high, SPAN_WIDTH, ranks=entry.rank,
                                 inner=(entry.low_alone, entry.high_alone)))
        for entry in entries
        if not entry.reason
    ]  # fmt: skip


def _heats(report: Report) -> tuple[view.Heat, ...]:
    reliability = report.reliability
    if reliability is None:
        return ()
    within = f"within {summary.listed(reliability.groups)}" if reliability.groups else "over all rows"
    shown = [view.heat(reliability.agreement, f"Agreement {within}")]
    if reliability.agreement_pooled is not None:
        shown.append(view.heat(reliability.agreement_pooled, "Agreement over all rows at once"))
    if reliability.agreement_rank_normalised is not None:
        shown.append(view.heat(reliability.agreement_rank_normalised, "Agreement of ranks within groups, all rows"))
    if reliability.comparison is not None:
        shown.append(view.heat(reliability.comparison, "Agreement in the compared table"))
    return tuple(shown)


def _composite(report: Report) -> list[tuple[str, Any, charts.Mark | None]]:
    """The correlations that say what the composite is worth: name, estimate, marks."""
    quality = report.reliability.quality if report.reliability else None
    if quality is None:
        return []
    axis = charts.correlation_axis(FOREST_WIDTH)
    return [(name, estimate, charts.mark(axis, estimate)) for name, estimate in contents.composite_rows(quality)]


def _spoken_time(created: str) -> str:
    """A time to the minute, UTC; as it was given where it is no ISO time with an offset."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if time.tzinfo else created


def _spoken(value: Any) -> Any:
    """Settings as people read them: numbers in three digits, None as "not set", lists in one line."""
    if isinstance(value, Mapping):
        return {str(key).replace("_", " "): _spoken(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        spoken = [_spoken(item) for item in value]
        return spoken if any(isinstance(item, dict) for item in spoken) else ", ".join(spoken)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "not set"
    return numbers.number(value) if isinstance(value, float) else str(value)
