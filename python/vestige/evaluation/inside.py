"""What is read inside models as a multiple of what retrained models are apart, and layer by layer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from vestige.evaluation.measures import Measures, Reader, verdicts
from vestige.metrics import Metric
from vestige.metrics.activation import AD, CKA, at_layer
from vestige.stats.estimate import Estimate

FAMILIES = ("activation", "probing")
"""Families of metrics that look inside models."""


@dataclass(frozen=True)
class Inside:
    """One metric of one model, at one layer where it has one.

    Attributes:
        model: its name.
        metric: its name, with the layer's number where that is not the one of `scoring.layer`.
        value: against retrained seed 0.
        ratio: mean distance to the retrained models over the mean distance between them, by this metric; 1 = as near
            as retraining again.
    """

    model: str
    metric: str
    value: Estimate
    ratio: Estimate


def inside(measures: Measures) -> tuple[Inside, ...]:
    """Every metric that looks inside models, raw and over the floor of the retrained seeds; none without such.

    Of a metric whose best value is the retrained model's own, and of one that is higher for nearer models, the distance
    is the gap to that value, or to the highest possible one.
    """
    retrained, reader = measures.run.of("retrained"), Reader(measures.run)
    return tuple(_all(measures, reader)) if retrained else ()


def _all(measures: Measures, reader: Reader) -> Iterator[Inside]:
    judge = measures.run.of("retrained")[0]
    for metric in _metrics(measures):
        for name, verdict in verdicts(measures.run, metric, reader).items():
            subject = next(s for s in measures.run.subjects if s.name == name)
            scores = measures.scores[name]
            value = scores[metric.name] if metric.name in scores else reader.estimate(metric, subject, judge)
            yield Inside(name, metric.name, value, verdict.ratio)


def _metrics(measures: Measures) -> Iterator[Metric]:
    found = (*measures.metrics, *measures.further, *measures.distances)
    for metric in (m for m in found if m.family in FAMILIES):
        yield metric
        if metric in (AD, CKA):
            yield from (at_layer(metric, layer) for layer in measures.run.scoring.layers)


def details(found: tuple[Inside, ...], model: str) -> dict[str, float]:
    """What of them a report's row of a model shows beside its metrics: other layers, and all multiples."""
    shown: dict[str, float] = {}
    for each in found:
        if each.model == model:
            shown |= {each.metric: each.value.value} if "@layer" in each.metric else {}
            shown |= {} if isnan(each.ratio.value) else {f"{each.metric} over floor": each.ratio.value}
    return shown


def rows(found: tuple[Inside, ...]) -> Iterator[Mapping[str, Any]]:
    """One row each, as a table has them."""
    for each in found:
        value, ratio = each.value, each.ratio
        yield {
            "model": each.model,
            "metric": each.metric,
            "value": value.value,
            "low": value.low,
            "high": value.high,
            "over floor": ratio.value,
            "over floor low": ratio.low,
            "over floor high": ratio.high,
            "reason": value.reason or ratio.reason,
        }
