"""What interventions brought back, against a retrained model that was changed, or asked, alike."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vestige.evaluation.changes import REFERENCE, Changed
from vestige.evaluation.measures import Arrays, Measures, Reader
from vestige.evaluation.plan import RunPlan
from vestige.evaluation.probes import asked_about
from vestige.interventions.relearning import anamnesis_index
from vestige.metrics import Metric
from vestige.metrics.accuracy import forget_accuracy_on
from vestige.metrics.diffusion import FORGET_LOSS
from vestige.report.model import RETURN_MARGIN, Return
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate
from vestige.stats.intervals import cluster_estimate


def returns(measures: Measures, verdicts: Mapping[str, Equivalence]) -> tuple[Return, ...]:
    """One entry for each change and each probe of each model, in the order of the configuration.

    Args:
        measures: all numbers of the run.
        verdicts: subject to its equivalence to retraining.
    """
    run, asked = measures.run, _Asked(measures.run)
    alike = {changed.change: changed for changed in run.changed if changed.source == REFERENCE}
    entries: list[Return] = []
    for model in run.config.interventions.models if run.config.interventions else ():
        own = (changed for changed in run.changed if changed.source == model)
        entries += [_changed(asked, verdicts, changed, alike[changed.change]) for changed in own]
        entries += [_probed(asked, verdicts, model, probe) for probe in run.probes]
    return tuple(entries)


def _changed(asked: "_Asked", verdicts: Mapping[str, Equivalence], changed: Changed, reference: Changed) -> Return:
    untaught = ~np.array(changed.taught)
    names = (changed.source, changed.name, REFERENCE, reference.name, "original")
    known = [asked.knows(name)[untaught] for name in names]
    clusters = asked.clusters()[untaught]
    gain = _paired_gain(known, clusters, asked.over)
    original = float(asked.knows("original").mean())
    return Return(
        model=changed.source,
        change=changed.change,
        **_means(known),
        measure=asked.measure,
        gain=gain,
        verdict=_verdict(gain),
        ratio_before=_ratio(verdicts, changed.source),
        ratio_after=_ratio(verdicts, changed.name),
        anamnesis=anamnesis_index(changed.curve, reference.curve, original).value if changed.curve else float("nan"),
    )


def _probed(asked: "_Asked", verdicts: Mapping[str, Equivalence], model: str, probe: str) -> Return:
    split = asked.run.probes[probe]
    plain = asked_about(*(asked.run.scoring.examples[name] for name in ("forget", split)))
    names = ((model, "forget"), (model, split), (REFERENCE, "forget"), (REFERENCE, split), ("original", split))
    known = [asked.knows(name, where)[plain if where == "forget" else ...] for name, where in names]
    gain = _unpaired_gain(known, (asked.clusters()[plain], asked.clusters(split)), asked.over)
    means = _means(known)
    tells = means["original"] - means["retrained_after"] >= RETURN_MARGIN
    return Return(
        model=model,
        change=f"ask: {probe}",
        **means,
        gain=gain,
        verdict=_verdict(gain) if tells else "undefined",
        ratio_before=_ratio(verdicts, model),
        ratio_after=float("nan"),
        anamnesis=float("nan"),
    )


class _Asked:
    """Who still knows what, by example: whole answers right; of image generators, how much better they denoise."""

    def __init__(self, run: RunPlan) -> None:
        self.run, self.over = run, run.config.clusters
        self.measure: Literal["accuracy", "advantage"] = "advantage" if run.config.kind == "diffusion" else "accuracy"
        self._reader, self._subjects = Reader(run), {subject.name: subject for subject in run.subjects}

    def knows(self, name: str, split: str = "forget") -> NDArray[np.float64]:
        """1 or 0 for each example of a split; of an image, the share of the retrained model's loss that is spared."""
        if self.measure == "accuracy":
            return self._values(forget_accuracy_on(split), name, split)
        return 1 - self._values(FORGET_LOSS, name, split) / self._values(FORGET_LOSS, REFERENCE, split)

    def _values(self, metric: Metric, name: str, split: str) -> NDArray[np.float64]:
        """One number an example; NaN where the store has not what it is made of, as of models that predict a number."""
        arrays = self._reader.arrays(metric, self._subjects[name], None)
        if metric.absent(arrays):
            return np.full(len(self.run.scoring.examples[split]), np.nan)
        return next(iter(metric.values(arrays).arrays.values()))

    def clusters(self, split: str = "forget") -> NDArray[np.int64]:
        """The cluster of each example of a split."""
        return self.run.clusters()[split]


def _means(known: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    names = ("before", "after", "retrained_before", "retrained_after", "original")
    return {name: float(values.mean()) for name, values in zip(names, known, strict=True)}


def _verdict(gain: Estimate) -> Literal["comes back", "stays away", "undecided", "undefined"]:
    if isnan(gain.low):
        return "undefined"
    if gain.low > 0:
        return "comes back"
    return "stays away" if gain.high < RETURN_MARGIN else "undecided"


def _ratio(verdicts: Mapping[str, Equivalence], name: str) -> float:
    return verdicts[name].ratio.value if name in verdicts else float("nan")


def _paired_gain(known: Sequence[NDArray[np.float64]], clusters: NDArray[np.int64], over: str) -> Estimate:
    """Growth of the changed model's knowledge beyond the growth of the retrained one's, example by example."""
    before, after, theirs, theirs_after, _ = known
    gain = (after - before) - (theirs_after - theirs)
    if not gain.any():
        return Estimate(0.0, 0.0, 0.0, len(gain), reason="no example gained or lost anything")
    fixed = ("checkpoint", "retrained seed", "intervention's seed")
    return cluster_estimate(_gained, {"after": gain}, {"after": clusters}, scale="identity", over=over, fixed=fixed)


def _unpaired_gain(
    known: Sequence[NDArray[np.float64]], clusters: tuple[NDArray[np.int64], NDArray[np.int64]], over: str
) -> Estimate:
    """The same where the plain questions and the probe's are not the same in number; they share clusters."""
    before, after, theirs, theirs_after, _ = known
    lead = {"before": before - theirs, "after": after - theirs_after}
    ids = dict(zip(lead, clusters, strict=True))
    if not _moved(lead, ids):
        return Estimate(0.0, 0.0, 0.0, len(after), reason=f"none of the {over} gained or lost anything")
    fixed = ("checkpoint", "retrained seed", "wording")
    return cluster_estimate(_gained, lead, ids, scale="identity", over=over, fixed=fixed)


def _moved(lead: Arrays, ids: Mapping[str, NDArray[np.int64]]) -> bool:
    """Whether the lead over the retrained model changes in any cluster that is asked about both ways."""
    both = np.intersect1d(ids["before"], ids["after"])
    means = [[lead[name][ids[name] == cluster].mean() for name in lead] for cluster in both]
    return not len(both) or any(before != after for before, after in means)


def _gained(arrays: Arrays) -> float:
    before = arrays.get("before", np.zeros(1))
    return float(np.mean(arrays["after"]) - np.mean(before)) if len(before) and len(arrays["after"]) else float("nan")
