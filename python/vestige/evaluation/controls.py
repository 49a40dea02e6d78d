"""Do the metrics, and the verdicts, tell the planted controls apart?"""

from dataclasses import dataclass

import numpy as np

from vestige.evaluation.measures import Measures
from vestige.evaluation.plan import Subject
from vestige.metrics import Metric
from vestige.report.model import Card


@dataclass(frozen=True)
class ControlResult:
    """How one metric treated the controls.

    Attributes:
        passes: whether every honest model came out closer than every model that still remembers; None without controls.
        sentence: the values behind it.
    """

    passes: bool | None
    sentence: str


def judge_metric(measures: Measures, metric: Metric) -> ControlResult:
    """Whether a metric puts every honest retrained model before every model known to remember.

    Honest are the retrained seeds that the metric is not relative to, and controls that must not be "different";
    the original and the controls that must be "different" remember.
    """
    honest = [s for s in measures.run.subjects if s.expected == "not different" or _other_seed(measures, metric, s)]
    remember = [s for s in measures.run.subjects if s.expected == "different"]
    if not honest or not remember:
        return ControlResult(None, "no planted controls")
    worst = np.min([_closeness(measures, metric, s) for s in honest])
    best = np.max([_closeness(measures, metric, s) for s in remember])
    named = "; ".join(f"{s.name} {measures.scores[s.name][metric.name].value:.3g}" for s in (*honest, *remember))
    if np.isnan(worst) or np.isnan(best):
        return ControlResult(None, f"undefined on a planted control: {named}")
    return ControlResult(bool(worst > best), named)


def cards(measures: Measures) -> tuple[Card, ...]:
    """One card a main metric or distance, floors and control results included."""
    return tuple(_card(measures, metric) for metric in (*measures.metrics, *measures.distances))


def further_cards(measures: Measures) -> tuple[Card, ...]:
    """Likewise the cards of the other metrics."""
    return tuple(_card(measures, metric) for metric in measures.further)


def _card(measures: Measures, metric: Metric) -> Card:
    floor = [
        measures.scores[s.name][metric.name].value
        for s in measures.run.of("retrained")
        if _other_seed(measures, metric, s)
    ]
    control = judge_metric(measures, metric)
    nothing = float("nan")
    return Card(
        name=metric.name,
        title=metric.title,
        asks=metric.asks,
        formula=metric.formula,
        better=metric.better,
        source=metric.source,
        floor=(min(floor, default=nothing), max(floor, default=nothing)),
        retrained=nothing
        if metric.is_relative or not measures.run.of("retrained")
        else measures.scores["retrained-0"][metric.name].value,
        original=measures.scores["original"][metric.name].value,
        passes_controls=control.passes,
        controls=control.sentence,
        machinery=metric.machinery,
        family=metric.family,
        is_distance=metric in measures.distances,
    )


def _other_seed(measures: Measures, metric: Metric, subject: Subject) -> bool:
    """Whether this is a retrained seed that the metric's value is not relative to (distances use seed 1)."""
    own = "retrained-1" if metric in measures.distances and len(measures.run.of("retrained")) > 1 else "retrained-0"
    return subject.role == "retrained" and subject.name != own


def _closeness(measures: Measures, metric: Metric, subject: Subject) -> float:
    value = measures.scores[subject.name][metric.name].value
    if metric.better == "reference":
        return -abs(value - measures.scores["retrained-0"][metric.name].value)
    return value if metric.better == "higher" else -value
