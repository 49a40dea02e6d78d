"""Sections that are there because somebody asked: pairs of models compared, metrics under intervention."""

from collections.abc import Callable, Sequence

from vestige.meta.comparison import Comparison
from vestige.meta.intervention import InterventionQuality
from vestige.report.model import Report
from vestige.report.numbers import DASH, number, p_value, with_interval
from vestige.report.sections import Section, limited


def asked_sections(report: Report) -> tuple[Section, ...]:
    """Tables of what was asked for beside the analysis of the table; none where nothing was.

    Args:
        report: the report.

    Returns:
        A section of the comparisons, and one of the metrics under intervention.
    """
    makers: Sequence[Callable[[Report], Section | None]] = (_comparisons, _interventions)
    return tuple(section for section in (make(report) for make in makers) if section)


def _comparisons(report: Report) -> Section | None:
    found = report.comparisons
    if not found:
        return None
    first = found[0].difference
    lead = (
        f"Mean difference over the examples that both have, positive where the first is better; intervals over "
        f"{first.n_clusters} {first.over}, of each pair by itself. p adj.: by flipping signs, adjusted over the pairs "
        f"of a metric (max-T). Smallest effect: what one test finds with 80 % power."
    )
    heads = ("metric", "first", "second", "verdict", "difference", "p adj.", "margin", "smallest effect")
    return limited("comparisons", "Models in pairs", lead, heads, list(map(_compared, found)), 4)


def _compared(entry: Comparison) -> tuple[str, ...]:
    return (
        entry.metric,
        entry.first,
        entry.second,
        entry.verdict,
        with_interval(entry.difference),
        p_value(entry.p_adjusted),
        number(entry.margin),
        number(entry.smallest_effect),
    )


def _interventions(report: Report) -> Section | None:
    found = report.interventions
    if not found:
        return None
    lead = (
        "What a metric does when models are changed on purpose, each part within 0 to 1: faithfulness (.5 is useless) "
        "tells models with the knowledge from models without it; relearning and quantisation say how little they "
        "mislead it. Overall is the harmonic mean of faithfulness and robustness; the bottleneck holds it down most."
    )
    heads = ("metric", "bottleneck", "overall", "faithfulness", "robustness", "relearning", "quantisation")
    return limited("interventions", "Metrics under intervention", lead, heads, list(map(_changed, found)), 2)


def _changed(entry: InterventionQuality) -> tuple[str, ...]:
    # The two parts of robustness go without their intervals: at 100 columns there is no room for four.
    whole, parts = (entry.faithfulness, entry.robustness), (entry.relearning, entry.quantisation)
    values = (*map(with_interval, whole), *(number(part.value) for part in parts))
    return (entry.metric, entry.bottleneck or DASH, number(entry.overall), *values)
