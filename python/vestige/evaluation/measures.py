"""From the store to numbers: every metric of every model with its interval, distances, verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.data.examples import Example
from vestige.evaluation import ensembles
from vestige.evaluation.plan import RunPlan, Subject
from vestige.evaluation.relearnt import relearning_steps
from vestige.evaluation.worked_out import WORKED_OUT
from vestige.metrics import DISTANCES, METRICS, Metric, ScoreTable, estimate
from vestige.metrics.accuracy import forget_accuracy_on
from vestige.metrics.columns import BY_NAME as COLUMNS
from vestige.metrics.diffusion import DENOISING_DISTANCE, FADE_SCORE
from vestige.metrics.distribution import FUNCTIONAL_DISTANCE, JS
from vestige.metrics.fade import FADE, fade_arrays, monte_carlo_error, prompt_error
from vestige.metrics.regression import PREDICTION_DISTANCE
from vestige.scoring.sources import Form
from vestige.scoring.units import Checkpoint, kept_in, untrained_split, versus
from vestige.stats.equivalence import Equivalence, equivalence_to_retraining
from vestige.stats.estimate import Estimate
from vestige.store import Split

COLLAPSED_BELOW = 0.7
"""Share of the original's retain accuracy under which a model counts as collapsed (chosen on demo runs)."""

Arrays = Mapping[str, NDArray[Any]]

_KNOWLEDGE = forget_accuracy_on("forget")

_OF: Mapping[Form, str] = {
    "checkpoint": "this model",
    "module": "this model",
    "function": "a function that returns logits",
    "recorded": "recorded outputs",
}


@dataclass(frozen=True)
class Measures:
    """All numbers of a run.

    Attributes:
        run: the run.
        metrics: main metrics whose needs are met, in the catalogue's order; these are judged for reliability.
        further: likewise the other metrics.
        distances: likewise the distances to the retrained model.
        scores: subject to metric or distance to its estimate.
    """

    run: RunPlan
    metrics: tuple[Metric, ...]
    further: tuple[Metric, ...]
    distances: tuple[Metric, ...]
    scores: Mapping[str, Mapping[str, Estimate]]

    @cached_property
    def collapsed(self) -> Mapping[str, bool]:
        """Subject to whether its retain accuracy fell under `COLLAPSED_BELOW` of the original's; False without one."""
        kept = {name: scores["RA"].value for name, scores in self.scores.items() if "RA" in scores}
        return {name: name in kept and kept[name] < COLLAPSED_BELOW * kept["original"] for name in self.scores}

    @cached_property
    def table(self) -> ScoreTable:
        """The unlearned models by metrics and distances, for the reliability engine: recorded outputs have too few."""
        rows = [s for s in self.run.subjects if s.role == "unlearned" and s.checkpoint.form != "recorded"]
        columns = (*self.metrics, *self.distances)
        judged = [m for m in self.metrics if m.better != "reference" or "retrained-0" in self.scores]
        estimates = {m.name: tuple(self.scores[s.name][m.name] for s in rows) for m in columns}
        return ScoreTable(
            models=tuple(s.name for s in rows),
            columns={name: np.array([e.value for e in column]) for name, column in estimates.items()},
            better={m.name: m.better for m in judged},
            labels={"method": tuple(s.method for s in rows), "strength": tuple(s.strength for s in rows)},
            reference={m.name: self.scores["retrained-0"][m.name].value for m in judged if m.better == "reference"},
            estimates=estimates,
            machinery={m.name: m.machinery for m in columns if m.machinery},
        )


def measure(run: RunPlan) -> Measures:
    """Every metric of every subject that has what it needs.

    Metrics compare with retrained seed 0; distances, which judge the metrics, with seed 1 where there is one.
    """
    reader = Reader(run)
    judge, distant = _references(run)
    found = tuple(m for m in METRICS if any(reader.has(m, subject, judge) for subject in run.subjects))
    distances = tuple(m for m in DISTANCES if any(reader.has(m, subject, distant) for subject in run.subjects))
    scores: dict[str, dict[str, Estimate]] = {}
    for subject in run.subjects:
        pairs = [*((m, judge) for m in found), *((m, distant) for m in distances)]
        scores[subject.name] = {m.name: reader.estimate(m, subject, reference) for m, reference in pairs}
    main, further = (tuple(m for m in found if m.main is wanted) for wanted in (True, False))
    return Measures(run, main, further, distances, scores)


def _references(run: RunPlan) -> tuple[Subject | None, Subject | None]:
    retrained = run.of("retrained")
    return (retrained[0] if retrained else None), (retrained[min(1, len(retrained) - 1)] if retrained else None)


class Reader:
    """Arrays by the names that metrics need, each split checked and opened once."""

    def __init__(self, run: RunPlan) -> None:
        self._run = run
        self._clusters = run.clusters()
        self._splits: dict[str, frozenset[str]] = {}
        self._opened: dict[tuple[str, str], Split] = {}
        self._made: dict[tuple[str, str, str], NDArray[Any] | None] = {}

    def estimate(self, metric: Metric, subject: Subject, reference: Subject | None) -> Estimate:
        """One metric of one subject against one retrained model; undefined where the store has not all it needs."""
        arrays = self.arrays(metric, subject, reference)
        if absent := metric.absent(arrays):
            return Estimate(float("nan"), reason=f"not to be had of {_OF[subject.checkpoint.form]}: {absent}")
        return estimate(metric, arrays, over=self._run.config.clusters)

    def has(self, metric: Metric, subject: Subject, reference: Subject | None) -> bool:
        """Whether the store has all that a metric needs."""
        return len(self.arrays(metric, subject, reference)) == len(metric.needs)

    def arrays(self, metric: Metric, subject: Subject, reference: Subject | None) -> Arrays:
        """Those of the metric's needs that there are."""
        found = ((name, self._find(name, subject, reference)) for name in metric.needs)
        return {name: values for name, values in found if values is not None}

    def truncated(self, subject: Subject) -> NDArray[np.bool_]:
        """Which of a subject's samples were cut before they ended."""
        return np.asarray(self._column(subject, "samples", "truncated"), np.bool_)

    def smallest_batch(self, subject: Subject) -> int:
        """Sequences of the smallest forward pass over forget examples, of a run with an automatic batch size."""
        used = self._column(subject, "forget", "batch_size_used")
        return 0 if used is None else int(used.min())

    def _find(self, name: str, subject: Subject, reference: Subject | None) -> NDArray[Any] | None:
        model, split, column = name.split(".", 2)
        if column in ensembles.COLUMNS:
            return self._of_many(model, split, column, subject)
        if model == "data":
            return self._data(split, column)
        if model == "unlearned":
            return self._column(subject, split, column)
        if model == "original":
            return self._column(self._run.of("original")[0], split, column)
        if reference is None:
            return None
        if model == "retrained":
            return self._column(reference, split, column)
        return self._column(subject, versus(reference.checkpoint, split), column)

    def _of_many(self, model: str, split: str, column: str, subject: Subject) -> NDArray[Any] | None:
        """What ensembles and shadow models say of each example, (n_examples, n_models); one model's (n_examples,)."""
        if column == "margin":
            return self._of_one(subject.checkpoint, split, column)
        found = [self._of_one(checkpoint, split, column) for checkpoint in self._many(model, split, column, subject)]
        whole = [values for values in found if values is not None]
        return np.stack(whole, axis=1) if len(whole) == len(found) and len(found) >= ensembles.FEWEST[column] else None

    def _of_one(self, checkpoint: Checkpoint, split: str, column: str) -> NDArray[Any] | None:
        opened = self._open(checkpoint, split)
        return None if opened is None else ensembles.of_model(column, opened.get)

    def _many(self, model: str, split: str, column: str, subject: Subject) -> list[Checkpoint]:
        members = self._run.members
        if model == "data":
            return ensembles.shadows_of(members, split, column)
        if model == "retrained":
            group, own = ensembles.RETRAINED, [s.checkpoint for s in self._run.of("retrained")]
        else:
            group, own = subject.name, [subject.checkpoint]
        return [*own, *(member.checkpoint for member in members if member.group == group)]

    def _data(self, split: str, column: str) -> NDArray[Any] | None:
        if column == "cluster":
            return self._clusters.get(split)
        if column in ("concept", "other_concept"):
            return self._column(self._run.of("original")[0], split, f"asked_{column}")
        if column in ("features", "own_features"):
            return self._column(self._run.of("original")[0], split, column)
        if column == "random_log_prob":
            return self._column(self._run.of("original")[0], untrained_split(split), column)
        examples = self._run.scoring.examples.get(split)
        if not examples:
            return None
        if column == "label":
            return _right_options(examples)
        if column == "forgotten":
            labels = {example.label for example in self._run.scoring.examples["forget"]}
            return np.repeat([example.label in labels for example in examples], self._run.scoring.samples)
        return np.array([e.answer.strip() for e in examples]) if column == "answer" else None

    def _column(self, subject: Subject, split: str, column: str) -> NDArray[Any] | None:
        if split == "relearning":
            return self._relearnt(subject)
        for name in kept_in(split):
            opened = self._open(subject.checkpoint, name)
            if opened is not None and (found := opened.get(column)) is not None:
                return found
        return self._worked_out(subject, split, column)

    def _relearnt(self, subject: Subject) -> NDArray[Any] | None:
        """Steps until the original's accuracy was nearly back; None where the model did not relearn."""
        known = self.arrays(_KNOWLEDGE, self._run.of("original")[0], None)
        if _KNOWLEDGE.absent(known):
            return None
        return relearning_steps(self._run.changed, subject.name, _KNOWLEDGE.summary(_KNOWLEDGE.values(known).arrays))

    def _worked_out(self, subject: Subject, split: str, column: str) -> NDArray[Any] | None:
        """A column that is made of stored ones; None where they are not all there."""
        if column not in WORKED_OUT:
            return None
        if (key := (subject.checkpoint.key, split, column)) not in self._made:
            self._made[key] = self._work_out(subject, split, column)
        return self._made[key]

    def _work_out(self, subject: Subject, split: str, column: str) -> NDArray[Any] | None:
        parts = {name: self._column(subject, split, name) for name in COLUMNS[column].made_of}
        parts["answer"] = self._data(split, "answer")
        there = {name: values for name, values in parts.items() if values is not None}
        return WORKED_OUT[column](there, split) if len(there) == len(parts) else None

    def _open(self, checkpoint: Checkpoint, split: str) -> Split | None:
        if checkpoint.key not in self._splits:
            self._splits[checkpoint.key] = self._run.scoring.splits(checkpoint)
        if split not in self._splits[checkpoint.key]:
            return None
        if (checkpoint.key, split) not in self._opened:
            self._opened[checkpoint.key, split] = self._run.scoring.store.read(checkpoint.key, split)
        return self._opened[checkpoint.key, split]


def _right_options(examples: Sequence[Example]) -> NDArray[np.int64] | None:
    """Which option of each example is its answer; None unless that is so of every one."""
    found = [[option.strip() for option in example.options] for example in examples]
    answers = [example.answer.strip() for example in examples]
    if not all(answer in options for answer, options in zip(answers, found, strict=True)):
        return None
    return np.array([options.index(answer) for answer, options in zip(answers, found, strict=True)])


def unit_values(measures: Measures) -> Iterator[tuple[str, str, NDArray[Any], NDArray[np.int64]]]:
    """Model, name, values (n_units, n_samples) and clusters of every array of values, those that metrics share once."""
    reader, judge = Reader(measures.run), _references(measures.run)[0]
    shared = {metric.values: metric for metric in reversed((*measures.metrics, *measures.further))}
    for subject in measures.run.subjects:
        for values, metric in shared.items():
            if reader.has(metric, subject, judge):
                found = values(reader.arrays(metric, subject, judge))
                for name in found.clusters:
                    array = found.arrays[name]
                    rows = array.reshape(len(array), prod(array.shape[1:]))  # there may be none
                    yield subject.name, f"{metric.name}.{name}", rows, found.clusters[name]


def verdicts(run: RunPlan, metric: Metric, reader: "Reader | None" = None) -> dict[str, Equivalence]:
    """Subject to the verdict of equivalence to retraining by one distance; empty without retrained models."""
    retrained, reader = run.of("retrained"), reader or Reader(run)
    if not retrained or not reader.has(metric, retrained[0], retrained[0]):
        return {}

    def distances(subject: Subject) -> NDArray[np.float64]:
        return np.array([_distance(reader, metric, subject, r) for r in retrained])

    between = np.stack([distances(r) for r in retrained])
    between = (between + between.T) / 2
    return {
        s.name: equivalence_to_retraining(distances(s), between, margin=run.config.margin, distance=metric.name)
        for s in run.subjects
        if s.role != "retrained" and reader.has(metric, s, retrained[0])
    }


def _distance(reader: Reader, metric: Metric, subject: Subject, reference: Subject) -> float:
    """By a metric that is relative to the reference, its shortfall from the best value; by another, the values' gap."""

    def value(of: Subject) -> float:
        return metric.summary(metric.values(reader.arrays(metric, of, reference)).arrays)

    match metric.better:
        case "lower":
            return value(subject)
        case "higher":
            return metric.bounds[1] - value(subject)
        case "reference":
            return abs(value(subject) - value(reference))


def verdict_distances(measures: Measures) -> tuple[Metric, ...]:
    """What verdicts are made by, then the distance in function: JS on forget answers, FADE of image generators, the
    distance of predictions of regressions.
    """
    if measures.run.config.kind == "regression":
        return (PREDICTION_DISTANCE,)
    first = FADE_SCORE if FADE_SCORE in measures.metrics else JS
    return (first, *(m for m in measures.distances if m in (FUNCTIONAL_DISTANCE, DENOISING_DISTANCE)))


def fade_details(run: RunPlan) -> dict[str, dict[str, float]]:
    """Subject to what must be known of its FADE; empty without retrained models, and where nothing is sampled."""
    reader, retrained = Reader(run), run.of("retrained")
    if not retrained or not reader.has(FADE, retrained[0], retrained[0]):
        return {}
    has = [s for s in run.subjects if reader.has(FADE, s, retrained[0])]
    return {s.name: _fade_detail(reader, s, retrained) for s in has}


def _fade_detail(reader: Reader, subject: Subject, retrained: tuple[Subject, ...]) -> dict[str, float]:
    """Both directions, the errors apart, what a single prompt makes of it, and the value by retrained seed."""
    by_seed = [fade_arrays(reader.arrays(FADE, subject, reference)) for reference in retrained]
    forward, backward = by_seed[0]["l_uu"] - by_seed[0]["l_ru"], by_seed[0]["l_rr"] - by_seed[0]["l_ur"]
    # Both directions of one sample share their random numbers, so their errors are not independent.
    both = forward + backward
    per_prompt = np.abs(both.mean(axis=1))
    return {
        "FADE forward (u to r)": float(forward.mean()),
        "FADE backward (r to u)": float(backward.mean()),
        "FADE Monte-Carlo error": monte_carlo_error(both),
        "FADE prompt error": prompt_error(both),
        "FADE largest prompt's share": float(per_prompt.max() / per_prompt.sum()) if per_prompt.any() else float("nan"),
        **{f"FADE against {r.name}": FADE.summary(arrays) for r, arrays in zip(retrained, by_seed, strict=True)},
        "truncated samples": float(np.mean(reader.truncated(subject))),
    }
