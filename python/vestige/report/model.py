"""A report as plain values: what the terminal, the HTML page and `report.json` all show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vestige.meta.results import Finding, Reliability
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate

SCHEMA = "vestige.report/1"
Role = Literal["original", "retrained", "unlearned", "control"]


@dataclass(frozen=True)
class Row:
    """One model of the leaderboard.

    Attributes:
        model: its name.
        role: what it is; only "unlearned" rows are ranked.
        method: unlearning method, empty where there is none.
        strength: strength or snapshot of the method, as text.
        rank: 1 is best; None where the row is not ranked.
        scores: metric or distance to its value with interval.
        verdict: equivalence to retraining; None for retrained models and without retrained seeds.
        second_verdict: the same by a second distance.
        collapsed: whether its retain accuracy fell under 0.7 of the original's.
        expected: for a planted control, the verdict that it must ("different") or must never ("not different") get.
        labels: further grouping columns ("dataset", "seed", ...) to this row's label; tells rows of one name apart.
        details: further numbers by name (errors of FADE, truncated share); for a tooltip or a fold-out.
    """

    model: str
    role: Role
    method: str
    strength: str
    rank: int | None
    scores: Mapping[str, Estimate]
    verdict: Equivalence | None = None
    second_verdict: Equivalence | None = None
    collapsed: bool = False
    expected: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """One metric or distance: what it means, its noise floor, and whether it passed the planted controls.

    Attributes:
        name: column name.
        title: spelled out.
        asks: the question that it answers.
        formula: its definition.
        better: orientation; distances are "lower".
        source: where the definition is from.
        floor: values of the other retrained seeds, smallest and largest; NaN where there are none.
        retrained: the value on the retrained model that the table is relative to; NaN where that is 0 by definition.
        original: the value on the original model.
        passes_controls: whether it tells the planted controls apart; None where there are none.
        controls: one sentence on how it treated each control.
        machinery: what it shares with the distance, if anything.
        is_distance: whether it is a distance to the retrained model that verdicts or tracking are by, not a metric.
        family: group of metrics that it belongs to.
    """

    name: str
    title: str
    asks: str
    formula: str
    better: str
    source: str
    floor: tuple[float, float]
    retrained: float
    original: float
    passes_controls: bool | None
    controls: str = ""
    machinery: str = ""
    is_distance: bool = False
    family: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that one run or one table has to say.

    Attributes:
        title: headline.
        created: ISO time, UTC.
        about: how it was run: settings, versions, machine, seconds by stage; nested plain values.
        rows: the leaderboard, ranked rows first.
        ranked_by: what the ranking is by, in one sentence.
        cards: one a metric or distance, in the order of columns.
        reliability: verdicts on the metrics; None where there are too few models.
        findings: findings of the run itself; those of the table are in `reliability`.
        schema: version of the JSON form.
        further: cards of metrics that are measured and not judged, in the order of columns; shown grouped by family.
    """

    title: str
    created: str
    about: Mapping[str, Any]
    rows: tuple[Row, ...]
    ranked_by: str
    cards: tuple[Card, ...]
    reliability: Reliability | None
    findings: tuple[Finding, ...] = field(default=())
    schema: str = SCHEMA
    further: tuple[Card, ...] = ()
