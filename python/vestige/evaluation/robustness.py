"""What metrics did when models were changed on purpose, for whoever judges the metrics."""

import json
from math import isfinite
from pathlib import Path
from typing import Any

from vestige.evaluation.changes import REFERENCE
from vestige.evaluation.measures import Measures
from vestige.metrics import Metric


def write_robustness(measures: Measures, path: Path) -> None:
    """Write what each metric did, as `vestige reliability --interventions` takes it.

    A file is written where a run relearnt and quantised; of several such changes the first counts. In it are metrics of
    forget data that look at one model alone, and that the original, which knows all, has more of than the retrained
    model.

    Args:
        measures: all numbers of the run.
        path: a JSON file.
    """
    changed = measures.run.changed
    relearnt = next((model.change for model in changed if model.curve), "")
    rounded = next((model.change for model in changed if model.change == "NF4" or model.change.endswith(" bits")), "")
    if not (relearnt and rounded):
        return
    found = {metric.name: _fields(measures, metric.name, relearnt, rounded) for metric in _of_knowledge(measures)}
    told = {name: fields for name, fields in found.items() if all(map(isfinite, _numbers(fields)))}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _fields(measures: Measures, metric: str, relearnt: str, rounded: str) -> dict[str, Any]:
    """The arguments of `meta.intervention.intervention_quality`."""
    value = {name: scores[metric].value for name, scores in measures.scores.items()}
    after = {(model.source, model.change): value[model.name] for model in measures.run.changed}
    models = [source for source, change in after if change == relearnt and source != REFERENCE]
    subjects = measures.run.subjects
    methods = {subject.name: subject.method for subject in subjects}
    honest = [s for s in subjects if s.role == "retrained" or s.expected == "not different"]
    return {
        "with_knowledge": [value[s.name] for s in subjects if s.expected == "different"],
        "without_knowledge": [value[s.name] for s in honest],
        "unlearned_change": [after[name, relearnt] - value[name] for name in models],
        "retrained_change": after[REFERENCE, relearnt] - value[REFERENCE],
        "before": [value[name] for name in models],
        "after": [after[name, rounded] for name in models],
        "clusters": [sorted(set(methods.values())).index(methods[name]) for name in models],
    }


def _numbers(fields: dict[str, Any]) -> list[float]:
    return [number for values in fields.values() for number in (values if isinstance(values, list) else [values])]


def _of_knowledge(measures: Measures) -> list[Metric]:
    original, retrained = measures.scores["original"], measures.scores[REFERENCE]
    found = (m for m in (*measures.metrics, *measures.further) if _looks_at_one(m))
    return [m for m in found if original[m.name].value > retrained[m.name].value]


def _looks_at_one(metric: Metric) -> bool:
    """Whether it is a number of one model's forget data, at least 0."""
    asked = {tuple(need.split(".")[:2]) for need in metric.needs}
    about = ("unlearned", "forget") in asked or ("unlearned", "paraphrase") in asked
    return about and metric.bounds[0] >= 0 and all(model in ("unlearned", "data") for model, _ in asked)
