"""Accuracies on what was to be forgotten, kept and never seen, and their gaps to the retrained model's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values, Variant
from vestige.metrics.text import normalised_match, substring_match


def exact_match(argmax_hit: ArrayLike, offsets: ArrayLike) -> NDArray[np.float64]:
    """Whether the most likely token is right at every scored token of an example, end of sequence included.

    Equals exact match of the greedy answer, barring ties of the argmax, without generating it.

    Args:
        argmax_hit: whether the argmax is the token that came, shape (n_tokens,), bool.
        offsets: where each example's tokens begin, and the end of the last, shape (n_examples + 1,), int.

    Returns:
        1 or 0 an example, shape (n_examples,), float64. On forget data lower = less is left; on retain data higher
        = more useful.

    Raises:
        ValueError: if an example has no token.

    Source: SQuAD's exact match, read off teacher-forced argmaxes.

    >>> exact_match([True, True, True, False], [0, 2, 4])
    array([1., 0.])
    """
    hits, starts = np.asarray(argmax_hit, bool), np.asarray(offsets)
    if np.any(np.diff(starts) < 1):
        raise ValueError(f"`offsets` must increase: example {int(np.argmax(np.diff(starts) < 1)) + 1} has no token")
    return np.logical_and.reduceat(hits, starts[:-1]).astype(np.float64)


def option_accuracy(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Whether the right option (or class) has the highest score, ties shared out.

    Serves multiple choice (scores: log-probabilities of the options, per token where their lengths differ) and
    classifiers of texts or images alike. Chance is 1 / n_options: the target of forgetting in WMDP is 0.25, not 0.

    Args:
        scores: shape (n_examples, n_options).
        labels: the right option of each, shape (n_examples,), integer.

    Returns:
        Shape (n_examples,), float64: 1 if right, 0 if wrong, 1 / k if it ties with k - 1 others. NaN where a score is.

    Raises:
        ValueError: if a label is no option, or there is not one an example.

    Source: Li et al. (2024), WMDP, arXiv 2403.03218; ties as their expectation under a fair draw.

    >>> option_accuracy([[-1.0, -2.0], [-1.0, -1.0]], [0, 1]).tolist()
    [1.0, 0.5]
    """
    table, right = np.asarray(scores, np.float64), np.asarray(labels)
    if right.shape != table.shape[:1]:
        raise ValueError(f"`labels` must hold one an example, shape {table.shape[:1]}, but has shape {right.shape}")
    if right.size and not (right.min() >= 0 and right.max() < table.shape[1]):
        raise ValueError(f"`labels` must lie in 0 to {table.shape[1] - 1}, but spans {right.min()} to {right.max()}")
    best = table == table.max(axis=1, keepdims=True)
    hit = best[np.arange(len(right)), right] / np.maximum(best.sum(axis=1), 1)
    return np.where(np.isnan(table).any(axis=1), np.nan, hit)


def average_gap(unlearned: Mapping[str, float], retrained: Mapping[str, float]) -> float:
    """Mean distance of several rates to the retrained model's, in percentage points.

    Args:
        unlearned: name to rate, within [0, 1]; SalUn takes UA (1 - forget accuracy), RA, TA and MIA.
        retrained: the same names to the retrained model's.

    Returns:
        Percentage points, within [0, 100]. Lower = closer; two errors of opposite sign do not cancel.

    Raises:
        ValueError: if the names differ.

    Source: Fan et al. (2024), SalUn, arXiv 2310.12508 (average gap).

    >>> average_gap({"UA": 0.25, "RA": 0.75}, {"UA": 0.5, "RA": 1.0})
    25.0
    """
    if unlearned.keys() != retrained.keys():
        raise ValueError(f"both models need the same rates, but have {sorted(unlearned)} and {sorted(retrained)}")
    return float(100 * np.mean([abs(value - retrained[name]) for name, value in unlearned.items()]))


def tug_of_war(unlearned: Mapping[str, float], retrained: Mapping[str, float]) -> float:
    r"""ToW: $\prod (1 - |x_u - x_r|)$ over forget, retain and test accuracy.

    ToW-MIA is the same with the success of a membership attack in place of the forget accuracy.

    Args:
        unlearned: name to rate, within [0, 1].
        retrained: the same names to the retrained model's.

    Returns:
        Within [0, 1]. Higher = closer; 1 = all rates are the retrained model's.

    Raises:
        ValueError: if the names differ.

    Source: Zhao et al. (2024), arXiv 2406.01257; RUM, surgical_plugins/analysis.py.

    >>> tug_of_war({"F": 0.5, "R": 0.5, "T": 0.5}, {"F": 0.0, "R": 0.5, "T": 1.0})
    0.25
    """
    if unlearned.keys() != retrained.keys():
        raise ValueError(f"both models need the same rates, but have {sorted(unlearned)} and {sorted(retrained)}")
    return float(np.prod([1 - abs(value - retrained[name]) for name, value in unlearned.items()]))


def nomus(test_accuracy: float, attack_accuracy: float, weight: float = 0.5) -> float:
    """Normalised machine unlearning score: accuracy on test data against a membership attack's distance from chance.

    Args:
        test_accuracy: within [0, 1].
        attack_accuracy: of the membership attack, within [0, 1]; published tables list its distance from 0.5 instead.
        weight: of the accuracy, within [0, 1].

    Returns:
        Within [0, 1]. Higher = better. An attack that is always wrong is as bad as one that is always right.

    Raises:
        ValueError: if an argument is outside [0, 1].

    Source: Choi and Na (2023), MUFAC and MUCAC, arXiv 2311.02240.

    >>> nomus(0.75, 0.5), nomus(0.75, 0.0), nomus(0.75, 1.0)
    (0.875, 0.375, 0.375)
    """
    given = {"test_accuracy": test_accuracy, "attack_accuracy": attack_accuracy, "weight": weight}
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must lie in 0 to 1, but it is {value}")
    return weight * test_accuracy + (1 - weight) * (1 - 2 * abs(attack_accuracy - 0.5))


@dataclass(frozen=True)
class CanvasAccuracy:
    """What a concept classifier sees in generated images, each a share within [0, 1]; NaN without such images.

    Attributes:
        unlearning: images asked for with the forgotten concept that are not of it (UA). Higher = better.
        in_domain: images of other concepts of its domain that are right (IRA). Higher = better.
        cross_domain: images whose concept of the other domain is right (CRA). Higher = better.
    """

    unlearning: float
    in_domain: float
    cross_domain: float


def canvas_accuracy(
    predicted: ArrayLike, wanted: ArrayLike, other_predicted: ArrayLike, other_wanted: ArrayLike, forgotten: str | int
) -> CanvasAccuracy:
    """UnlearnCanvas's accuracies of one forgotten concept (a style or an object).

    Args:
        predicted: concept of the forgotten one's domain that a classifier sees in each image, shape (n_images,).
        wanted: the one that was asked for, same shape.
        other_predicted: concept of the other domain that a classifier sees, same shape.
        other_wanted: the one that was asked for, same shape.
        forgotten: the forgotten concept.

    Returns:
        The three accuracies. UA and IRA split the images by what was asked for; CRA is over those without the
        forgotten concept.

    Raises:
        ValueError: if the shapes differ.

    Source: Zhang et al. (2024), UnlearnCanvas, arXiv 2402.11846, accuracy.py.

    >>> canvas_accuracy(["cat", "dog"], ["cat", "dog"], ["oil", "oil"], ["oil", "ink"], forgotten="cat")
    CanvasAccuracy(unlearning=0.0, in_domain=1.0, cross_domain=0.0)
    """
    seen, asked, other_seen, other_asked = map(np.asarray, (predicted, wanted, other_predicted, other_wanted))
    if len({array.shape for array in (seen, asked, other_seen, other_asked)}) != 1:
        raise ValueError("all four columns must hold one entry an image, but their lengths differ")
    target = asked == forgotten
    return CanvasAccuracy(
        unlearning=_share(seen[target] != forgotten),
        in_domain=_share(seen[~target] == asked[~target]),
        cross_domain=_share(other_seen[~target] == other_asked[~target]),
    )


def _share(hits: NDArray[np.bool_]) -> float:
    return float(np.mean(hits)) if hits.size else float("nan")


def knowledge_recoverability(forget_correct: ArrayLike, probe_correct: ArrayLike) -> float:
    """Share of probes answered right among the forget examples whose plain question is answered wrong.

    Args:
        forget_correct: whether the plain question is answered right, shape (n_examples,), bool.
        probe_correct: whether each probe of it is (rephrased, indirect, negated, ...), shape (n_examples, n_probes),
            bool.

    Returns:
        Within [0, 1]; NaN if no example was forgotten. Lower = less can be had back by asking otherwise; a retrained
        model guesses some too.

    Raises:
        ValueError: if the examples differ.

    Source: arXiv 2605.02206, KR (its release matches substrings: see `text.substring_match`).

    >>> knowledge_recoverability([True, False], [[True, True], [True, False]])
    0.5
    """
    forgotten, probes = ~np.asarray(forget_correct, bool), np.asarray(probe_correct, bool)
    if probes.ndim != 2 or len(probes) != len(forgotten):
        raise ValueError(
            f"`probe_correct` must have one row an example, shape ({len(forgotten)}, n_probes), but has {probes.shape}"
        )
    return _share(probes[forgotten])


def mean_correct(arrays: Arrays) -> float:
    """Share of correct examples."""
    return float(np.mean(arrays["correct"]))


def _values(split: str) -> Callable[[Arrays], Values]:
    def values(arrays: Arrays) -> Values:
        correct = exact_match(arrays[f"unlearned.{split}.argmax_hit"], arrays[f"unlearned.{split}.offsets"])
        return Values({"correct": correct}, {"correct": arrays[f"data.{split}.cluster"]})

    return values


def _token_values(arrays: Arrays) -> Values:
    share = kernels.exact_memorization(arrays["unlearned.forget.argmax_hit"], arrays["unlearned.forget.offsets"])
    return Values({"correct": share}, {"correct": arrays["data.forget.cluster"]})


def _text_values(match: Callable[[list[str], list[str]], NDArray[np.float64]]) -> Callable[[Arrays], Values]:
    def values(arrays: Arrays) -> Values:
        said, right = (arrays[name].tolist() for name in ("unlearned.forget.generated", "data.forget.answer"))
        return Values({"correct": match(said, right)}, {"correct": arrays["data.forget.cluster"]})

    return values


def _rates_values(arrays: Arrays) -> Values:
    """Correct answers of both models on three splits, and their log-probabilities on forget and never-seen examples."""
    found, clusters = {}, {}
    for model in ("unlearned", "retrained"):
        for split in ("forget", "retain", "holdout"):
            hits, offsets = (arrays[f"{model}.{split}.{column}"] for column in ("argmax_hit", "offsets"))
            found[f"{model}.{split}"] = exact_match(hits, offsets)
            clusters[f"{model}.{split}"] = arrays[f"data.{split}.cluster"]
    return Values(found, clusters)


def _gap_values(arrays: Arrays) -> Values:
    rates = _rates_values(arrays)
    scores, clusters = dict(rates.arrays), dict(rates.clusters)
    for model in ("unlearned", "retrained"):
        for split in ("forget", "holdout"):
            tokens, offsets = (arrays[f"{model}.{split}.{column}"] for column in ("token_log_prob", "offsets"))
            scores[f"{model}.{split}.log_prob"] = -kernels.sequence_nll(tokens, offsets)
            clusters[f"{model}.{split}.log_prob"] = arrays[f"data.{split}.cluster"]
    return Values(scores, clusters)


def _rates(arrays: Arrays, model: str) -> dict[str, float]:
    return {split: float(np.mean(arrays[f"{model}.{split}"])) for split in ("forget", "retain", "holdout")}


def _attack(arrays: Arrays, model: str) -> dict[str, float]:
    return {"MIA": kernels.roc_auc(arrays[f"{model}.forget.log_prob"], arrays[f"{model}.holdout.log_prob"])}


def _tug_of_war(arrays: Arrays) -> float:
    return tug_of_war(_rates(arrays, "unlearned"), _rates(arrays, "retrained"))


def _tug_of_war_mia(arrays: Arrays) -> float:
    u, r = ({**_rates(arrays, model), **_attack(arrays, model)} for model in ("unlearned", "retrained"))
    return tug_of_war(*({name: value for name, value in rates.items() if name != "forget"} for rates in (u, r)))


def _average_gap(arrays: Arrays) -> float:
    return average_gap(*({**_rates(arrays, m), **_attack(arrays, m)} for m in ("unlearned", "retrained")))


def _needs(split: str) -> tuple[str, ...]:
    return (f"unlearned.{split}.argmax_hit", f"unlearned.{split}.offsets", f"data.{split}.cluster")


_TEXT_NEEDS = ("unlearned.forget.generated", "data.forget.answer", "data.forget.cluster")
_RATE_NEEDS = (
    *(
        f"{model}.{split}.{column}"
        for model in ("unlearned", "retrained")
        for split in ("forget", "retain", "holdout")
        for column in ("argmax_hit", "offsets")
    ),
    *(f"data.{split}.cluster" for split in ("forget", "retain", "holdout")),
)
_GAP_NEEDS = (
    *_RATE_NEEDS,
    *(f"{model}.{split}.token_log_prob" for model in ("unlearned", "retrained") for split in ("forget", "holdout")),
)

FA = Metric(
    name="FA",
    title="forget accuracy",
    family="accuracy",
    asks="How often does the model still give the answers that it was to forget?",
    formula="share of forget questions whose whole answer is the most likely one, token by token",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs("forget"),
    values=_values("forget"),
    summary=mean_correct,
    source="arXiv 2605.02206, FA, with exact in place of substring matching (any text contains a short gold answer)",
    pitfalls="0 is not best: a retrained model still guesses some answers right, so closest to it is best. "
    "The paper's convention is lower = better.",
    main=True,
    variants={
        "token": Variant("Share of each answer's tokens that are the most likely one.", values=_token_values),
        "normalised": Variant(
            "Generated answers, right if equal but for case, punctuation and articles.",
            values=_text_values(normalised_match),
            needs=_TEXT_NEEDS,
        ),
        "substring": Variant(
            "Generated answers, right if they contain the right one, as UQS's release counts: a short answer is found "
            "in almost any text.",
            values=_text_values(substring_match),
            needs=_TEXT_NEEDS,
        ),
    },
)
RA = Metric(
    name="RA",
    title="retain accuracy",
    family="accuracy",
    asks="How much of what it was to keep does the model still know?",
    formula="share of retain questions whose whole answer is the most likely one, token by token",
    better="higher",
    bounds=(0, 1),
    scale="logit",
    needs=_needs("retain"),
    values=_values("retain"),
    summary=mean_correct,
    source="arXiv 2605.02206, RA, with exact in place of substring matching",
    pitfalls="It measures utility: the original model has the best value of all, so it cannot show forgetting.",
    main=True,
)
FA_PARAPHRASE = Metric(
    name="FA-para",
    title="forget accuracy on paraphrases",
    family="accuracy",
    asks="Does the model give the answers when it is asked in other words?",
    formula="FA on a question template that was never trained on",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs("paraphrase"),
    values=_values("paraphrase"),
    summary=mean_correct,
    source="knowledge recoverability (arXiv 2605.02206), rephrased probe, all forget questions, exact matching",
    pitfalls="Unlearning that fits the training template can leave this untouched.",
    main=True,
)

TA = Metric(
    name="TA",
    title="test accuracy",
    family="accuracy",
    asks="How often is the model right about what it never saw?",
    formula="share of never-seen questions whose whole answer is the most likely one, token by token",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs("holdout"),
    values=_values("holdout"),
    summary=mean_correct,
    source="arXiv 2310.12508, TA, on the holdout",
    pitfalls="Where answers are facts that cannot be inferred, 0 is right for every model.",
)
AVERAGE_GAP = Metric(
    name="avg-gap",
    title="average gap to the retrained model",
    family="accuracy",
    asks="How far are the usual rates from the retrained model's, in points?",
    formula="mean of |x_u - x_r| over FA, RA, TA and the AUC of the LOSS attack, percentage points",
    better="lower",
    bounds=(0, 100),
    scale="log",
    needs=_GAP_NEEDS,
    values=_gap_values,
    summary=_average_gap,
    source="arXiv 2310.12508 (average gap), with the LOSS attack's AUC for its SVC",
    pitfalls="An absolute value of noisy differences is above 0 for equal models: read it beside its floor.",
)
TOW = Metric(
    name="ToW",
    title="tug of war",
    family="accuracy",
    asks="Are forget, retain and test accuracy all the retrained model's?",
    formula="product of 1 - |x_u - x_r| over FA, RA and TA",
    better="higher",
    bounds=(0, 1),
    scale="logit",
    needs=_RATE_NEEDS,
    values=_rates_values,
    summary=_tug_of_war,
    source="arXiv 2406.01257; RUM, surgical_plugins/analysis.py",
    pitfalls="Below 1 for an equal model too, by noise: read it beside its floor.",
    variants={
        "mia": Variant(
            "The AUC of the LOSS attack in place of forget accuracy (ToW-MIA).",
            values=_gap_values,
            summary=_tug_of_war_mia,
            needs=_GAP_NEEDS,
        )
    },
)

METRICS = (FA, RA, FA_PARAPHRASE, TA, AVERAGE_GAP, TOW)
"""The first three are judged."""
