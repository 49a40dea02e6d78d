"""What a reader of this run must know: failed controls, unmatched sets, cut samples, damage that accuracy hides."""

from collections.abc import Iterator, Mapping, Sequence

from vestige.data.examples import Example
from vestige.evaluation import ensembles
from vestige.evaluation.measures import Measures, Reader
from vestige.evaluation.plan import RunPlan
from vestige.meta.results import Finding
from vestige.metrics import METRICS, Metric, blind
from vestige.metrics.lira import FEWEST_MODELS
from vestige.report.model import Card
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate

TRUNCATED_SHARE = 0.2
"""From this share of cut samples on, FADE is mostly about the cut."""

_NOTHING_TO_SAMPLE = (
    " A classifier says all it can in one distribution, which JS and KL compare whole; there is nothing to sample, so "
    "nothing that needs samples."
)

_WITHOUT = {
    "classifier": _NOTHING_TO_SAMPLE,
    "regression": " A regression gives a number and no distribution: R-gap, R-W1 and R-MIA stand in place of "
    "accuracies, likelihoods and divergences.",
}


def run_findings(
    measures: Measures,
    metric_cards: tuple[Card, ...],
    verdicts: Sequence[Mapping[str, Equivalence]],
    details: Mapping[str, Mapping[str, float]],
    blind: Mapping[str, Estimate],
) -> tuple[Finding, ...]:
    """The findings of a run itself, worst first; those of its table come from the reliability engine.

    Args:
        measures: all numbers of the run.
        metric_cards: how each metric treated the planted controls.
        verdicts: subject to verdict, for each distance that verdicts were made by.
        details: subject to further numbers of its FADE.
        blind: the blind baseline of membership inference.
    """
    found = (
        *(finding for by_subject in verdicts for finding in _failed_verdicts(measures, by_subject)),
        *_disagreeing_verdicts(measures, verdicts),
        *_failed_controls(metric_cards),
        *_unmatched(blind),
        *_hidden_damage(measures),
        *_truncated(
            {s.name: details[s.name] for s in measures.run.subjects if s.role != "changed" and s.name in details}
        ),
        *_collapsed(measures),
        *_small_ensembles(measures),
        *_missing(measures),
        *_automatic_batches(measures),
    )
    order = {"artefact": 0, "warning": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.severity]))


def _failed_verdicts(measures: Measures, verdicts: Mapping[str, Equivalence]) -> Iterator[Finding]:
    for subject in measures.run.subjects:
        verdict = verdicts.get(subject.name)
        if verdict is None or not subject.expected:
            continue
        wrong = "different" if subject.expected == "not different" else "equivalent"
        if verdict.verdict == wrong:
            yield Finding(
                "control_verdict",
                "artefact",
                (verdict.distance,),
                f"The planted control {subject.name} came out {verdict.verdict!r} by {verdict.distance} but must be "
                f"{subject.expected!r}: no verdict by this distance can be believed.",
                {"ratio": verdict.ratio.value},
            )
        elif subject.expected == "different" and verdict.verdict == "undecided":
            yield Finding(
                "control_undecided",
                "warning",
                (verdict.distance,),
                f"{subject.name} is known to remember but came out 'undecided' by {verdict.distance} (ratio "
                f"{verdict.ratio}): the data, or {verdict.n_retrained} retrained seeds, are too few to tell. Add "
                "retrained seeds.",
                {"ratio": verdict.ratio.value, "n_retrained": verdict.n_retrained},
            )


def _disagreeing_verdicts(measures: Measures, verdicts: Sequence[Mapping[str, Equivalence]]) -> Iterator[Finding]:
    """Models that one distance calls equivalent and another different."""
    names = [s.name for s in measures.run.of("unlearned")]
    by_name = {name: {v[name].verdict: v[name].distance for v in verdicts if name in v} for name in names}
    if opposed := [name for name, found in by_name.items() if {"equivalent", "different"} <= found.keys()]:
        yield Finding(
            "verdicts_disagree",
            "warning",
            tuple(sorted({distance for name in opposed for distance in by_name[name].values()})),
            f"{', '.join(opposed)}: equivalent to retraining by one distance and different by the other. What is "
            "equal on one set of questions is not equal on another; do not sign on one of them.",
            {"n_models": len(opposed)},
        )


def _failed_controls(metric_cards: tuple[Card, ...]) -> Iterator[Finding]:
    for card in metric_cards:
        if card.passes_controls is False:
            why = " (a measure of utility cannot)" if card.better == "higher" and card.name == "RA" else ""
            yield Finding(
                "control_failed",
                "warning",
                (card.name,),
                f"{card.name} does not put every honestly retrained model before the models that remember{why}: "
                f"{card.controls}. Do not read forgetting off it.",
            )


def _unmatched(blind: Mapping[str, Estimate]) -> Iterator[Finding]:
    for name, auc in blind.items():
        if _differs(name, auc):
            yield Finding(
                "blind_baseline",
                "artefact",
                ("MIA", "|MIA-.5|"),
                f"Without any model, {name} alone tells forget from holdout examples (AUC {auc}): the sets differ, so "
                "only the difference to the retrained model's MIA can be read.",
                {"auc": auc.value, "low": auc.low, "high": auc.high},
            )


def _differs(name: str, auc: Estimate) -> bool:
    """Whether a blind score tells the sets apart, in either direction.

    A classifier on held-out folds of matched sets falls below 0.5 on its own (what is left out is missing from its
    training folds), so only the upper side counts for it. Sets that are wholly apart have no interval.
    """
    above = auc.value == 1 or auc.low > 0.5
    return above or (name != "words" and (auc.value == 0 or auc.high < 0.5))


def blind_baseline(run: RunPlan) -> dict[str, Estimate]:
    """Areas of forget against holdout for scores that need no model; empty without a holdout, or without any text."""
    examples, clusters = run.scoring.examples, run.clusters()
    if "holdout" not in examples:
        return {}
    sides = ("forget", "holdout")
    texts = [[_text(example) for example in examples[side]] for side in sides]
    if not any(text for side in texts for text in side):
        return {}
    return blind.blind_baseline(*texts, *(clusters[side] for side in sides), over=run.config.clusters)


def _text(example: Example) -> str:
    """What is written of an example; its label is, since a class may be all that is forgotten."""
    return example.prompt + (example.answer or ("" if example.label is None else f" {example.label}"))


def _hidden_damage(measures: Measures) -> Iterator[Finding]:
    """Models that accuracy calls good and the whole distribution calls worse than before unlearning."""
    if "FADE" not in {metric.name for metric in measures.metrics}:
        return
    original, retrained = measures.scores["original"], measures.scores["retrained-0"]

    def hidden(name: str) -> bool:
        scores = measures.scores[name]
        near = abs(scores["FA"].value - retrained["FA"].value) <= 0.1
        return near and scores["RA"].value >= 0.8 * original["RA"].value and scores["FADE"].low > original["FADE"].value

    if models := [s.name for s in measures.run.of("unlearned") if hidden(s.name)]:
        yield Finding(
            "hidden_damage",
            "warning",
            ("FA", "RA", "FADE"),
            f"{', '.join(models)}: forget accuracy within 0.1 of the retrained model's and at least 80 % of the retain "
            "accuracy kept, yet farther from the retrained model's answers than before unlearning (FADE). Accuracies "
            "tied to reference answers hide this.",
            {"n_models": len(models), "FADE of the original": original["FADE"].value},
        )


def _truncated(details: Mapping[str, Mapping[str, float]]) -> Iterator[Finding]:
    cut = {name: d["truncated samples"] for name, d in details.items() if d["truncated samples"] > TRUNCATED_SHARE}
    if cut:
        worst = max(cut, key=lambda name: cut[name])
        yield Finding(
            "truncated_samples",
            "warning",
            ("FADE", "FADE/token", "FADE-P", "FADE-R"),
            f"{', '.join(cut)}: more than {TRUNCATED_SHARE:.0%} of the answers do not end within the length cap (most: "
            f"{worst}, {cut[worst]:.0%}); their FADE is about the first tokens only.",
            {"n_models": len(cut), "largest share": cut[worst]},
        )


def _collapsed(measures: Measures) -> Iterator[Finding]:
    if names := [s.name for s in measures.run.of("unlearned") if measures.collapsed[s.name]]:
        yield Finding(
            "collapsed_models",
            "note",
            ("RA",),
            f"{', '.join(names)}: less than 70 % of the original's retain accuracy is left. Figures without them are "
            "shown beside those of all rows.",
            {"n_models": len(names)},
        )


def _small_ensembles(measures: Measures) -> Iterator[Finding]:
    names = [m.name for m in measures.further if m.name in ("U-LiRA", "KLoM", "NeurIPS23")]
    n_models = ensembles.smallest(measures.run.members, len(measures.run.of("retrained")))
    if names and n_models < FEWEST_MODELS:
        yield Finding(
            "small_ensembles",
            "warning",
            tuple(names),
            f"The smallest ensemble has {n_models} models, and {FEWEST_MODELS} of each kind are the fewest for these "
            "to be what their papers mean by them. With fewer, U-LiRA is an attack calibrated by retrained models, and "
            "KLoM and the epsilons of NeurIPS23 are biased upwards: compare unlearning methods with one another only.",
            {"n_models": n_models},
        )


def _applicable(run: RunPlan) -> tuple[Metric, ...]:
    """Metrics that models of the run's kind could have: image generators have their own, and AD."""
    drawing = run.config.kind == "diffusion"
    return tuple(m for m in METRICS if (m.family == "diffusion") == drawing or (drawing and m.family == "activation"))


def _of_sampling(run: RunPlan) -> str:
    how = run.config.scoring.sampling
    if run.scoring.sampling.is_own or run.scoring.how.rescore is None:
        return ""
    return (
        f" Samples were drawn with temperature {how.temperature:g}, top_p {how.top_p:g} and top_k {how.top_k}, so not "
        "from the models' own distributions, which FADE and its variants are about."
    )


def _automatic_batches(measures: Measures) -> Iterator[Finding]:
    if measures.run.config.scoring.batch_size != "auto":
        return
    reader = Reader(measures.run)
    smallest = min(size for s in measures.run.subjects if (size := reader.smallest_batch(s)))
    yield Finding(
        "automatic_batch_size",
        "note",
        (),
        "The batch size was found on this machine (`batch_size: auto`): on another one the last digits of scores may "
        f"differ, and so may the files of the store. The smallest forward pass over forget examples had {smallest} "
        "sequences.",
        {"smallest": smallest},
    )


def _missing(measures: Measures) -> Iterator[Finding]:
    computed = {metric.name for metric in measures.metrics}
    if absent := [metric for metric in _applicable(measures.run) if metric.main and metric.name not in computed]:
        why = _WITHOUT.get(measures.run.config.kind, "") + _of_sampling(measures.run)
        yield Finding(
            "metrics_missing",
            "note",
            tuple(metric.name for metric in absent),
            "Not computed for want of data or of a retrained model: "
            + "; ".join(f"{metric.name} needs {', '.join(metric.needs)}" for metric in absent)
            + f".{why}",
        )
    if len(measures.run.of("retrained")) < 3:
        yield Finding(
            "few_retrained_seeds",
            "warning",
            (),
            f"{len(measures.run.of('retrained'))} retrained models: a verdict of equivalence needs at least 3, because "
            "the distance between honest retrained models is what an unlearned model is held against.",
        )
