"""A report as plain values: what the terminal, the HTML page and `report.json` all show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vestige.meta.comparison import Comparison
from vestige.meta.intervention import InterventionQuality
from vestige.meta.results import Finding, Reliability
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate

SCHEMA = "vestige.report/1"
Role = Literal["original", "retrained", "unlearned", "control", "changed"]


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


RETURN_MARGIN = 0.1
"""A gain that is surely below a tenth of the answers counts as none."""


@dataclass(frozen=True)
class Return:
    """What one intervention brought back of what a model was to forget.

    Attributes:
        model: the model that was changed, or asked otherwise.
        change: the intervention: "relearn 6" (steps), "4 bits", "ask: role play".
        before: accuracy before it, on the forget examples that the intervention did not teach (relearning teaches every
            second cluster: what returns of the others was there); of a probe, accuracy when asked plainly.
        after: the same after it; of a probe, accuracy when asked by it.
        retrained_before: likewise of a retrained model that was changed, or asked, alike.
        retrained_after: after it.
        gain: what came back beyond what the same intervention gives to the retrained model, in accuracy, with an
            interval over clusters of examples.
        verdict: "comes back" (the interval of the gain lies above 0), "stays away" (it ends below `RETURN_MARGIN`),
            "undecided", or "undefined": there is no interval, or a probe that the original does not answer better than
            the retrained model by `RETURN_MARGIN`, so that nothing could come back by it.
        ratio_before: distance to the retrained models over the distance between them; NaN without retrained seeds.
        ratio_after: the same after the intervention; NaN for probes, which change no model.
        anamnesis: steps of relearning to nine tenths of the original's accuracy over those of the retrained model (AIN,
            1 is ideal, near 0 a trace was left); NaN where it is undefined, infinite where only the retrained gets
            there.
        original: accuracy of the original on the same questions: what could come back. NaN where it is unknown.
        measure: what is said to come back: "accuracy", or of image generators "advantage", the share of the retrained
            model's denoising loss on forget images that the model is spared.
    """

    model: str
    change: str
    before: float
    after: float
    retrained_before: float
    retrained_after: float
    gain: Estimate
    verdict: Literal["comes back", "stays away", "undecided", "undefined"]
    ratio_before: float
    ratio_after: float
    anamnesis: float
    original: float = float("nan")
    measure: Literal["accuracy", "advantage"] = "accuracy"


@dataclass(frozen=True)
class Spending:
    """What a model took to make, beside what came of it.

    Attributes:
        model: the model.
        distance: to the retrained models over the distance between them; NaN without retrained seeds.
        kept: retain accuracy; NaN where there is none.
        seconds: wall time of the method; NaN where it is not known.
        memory: largest memory in use, bytes; likewise.
        storage: what must be kept for it, bytes; likewise.
        unbeaten: whether no other model is at least as good in all of these and better in one. Columns that no model
            has are left out; a model that lacks a value of the others cannot be unbeaten.
    """

    model: str
    distance: float
    kept: float
    seconds: float
    memory: float
    storage: float
    unbeaten: bool


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
        returns: what interventions brought back; empty where there were none.
        comparisons: pairs of models on a metric, where they were asked for.
        interventions: what metrics do when models are changed on purpose, where that was asked for.
        spending: what models took to make, where that is known.
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
    returns: tuple[Return, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    interventions: tuple[InterventionQuality, ...] = ()
    spending: tuple[Spending, ...] = ()
