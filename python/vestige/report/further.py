"""Metrics that are measured and not judged, a table a family: the best models beside the original and the floor."""

from itertools import groupby

from vestige.report import contents
from vestige.report.model import Card, Report, Row
from vestige.report.numbers import number, spread
from vestige.report.sections import Section

N_BEST = 3
BEST = {"higher": "high", "lower": "low", "reference": "near"}
LEAD = "Measured and not judged: no verdict on models or metrics is by them."


def further_sections(report: Report) -> tuple[Section, ...]:
    """One table a family of further metrics, in the order of the catalogue; none where all metrics are judged."""
    cards = sorted(report.further, key=lambda card: [c.family for c in report.further].index(card.family))
    return tuple(_section(report, family, tuple(some)) for family, some in groupby(cards, key=lambda card: card.family))


def _section(report: Report, family: str, cards: tuple[Card, ...]) -> Section:
    best = contents.ranked(report)[:N_BEST]
    heads = ("metric", "best", "other retrained seeds", "original", *(row.model for row in best))
    rows = tuple(
        (card.name, BEST.get(card.better, card.better), spread(card.floor), number(card.original), *_values(card, best))
        for card in cards
    )
    return Section(f"further-{family}", f"Further metrics: {family.replace('_', ' ')}", LEAD, heads, rows, n_text=2)


def _values(card: Card, rows: tuple[Row, ...]) -> list[str]:
    return [number(row.scores.get(card.name, contents.MISSING).value) for row in rows]
