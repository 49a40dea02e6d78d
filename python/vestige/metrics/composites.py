"""Several scores in one number: harmonic means of OpenUnlearning and of the depth score's authors, anamnesis index."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values
from vestige.metrics.membership import privacy_closeness
from vestige.metrics.privacy import attack_values
from vestige.metrics.tofu import harmonic_mean, truth_ratio, without_end

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overall:
    """OpenUnlearning's three aspects and their harmonic mean, as the depth score's authors extend them.

    Attributes:
        value: harmonic mean of the three, within [0, 1].
        memorisation: harmonic mean of what is not memorised.
        privacy: harmonic mean of the attacks' closeness and of the unlearning depth score.
        utility: relative to the original model, at most 1.
        bottleneck: name of the smallest of the three.
    """

    value: float
    memorisation: float
    privacy: float
    utility: float
    bottleneck: str


def overall_score(
    memorised: Mapping[str, float],
    closeness: Mapping[str, float],
    depth: float,
    utility: Mapping[str, float],
    original_utility: float,
) -> Overall:
    """The overall score of OpenUnlearning as the depth score's authors extend it.

    Args:
        memorised: name to share memorised, each within [0, 1]: ES, EM, probability of paraphrased answers, truth ratio.
        closeness: attack to privacy closeness (see `membership.privacy_closeness`): LOSS, ZLib, Min-K, Min-K++.
        depth: unlearning depth score, within [0, 1].
        utility: name to utility: model utility and fluency.
        original_utility: harmonic mean of the same of the original model, above 0.

    Returns:
        The score. Higher = better. A method that is perfect in two aspects and 0 in the third gets 0.

    Raises:
        ValueError: if a part is outside [0, 1], there is none, or the original's utility is not above 0.

    Source: arXiv 2605.24614 (UDS), released method_results.json; arXiv 2506.12618 for the three aspects.

    >>> overall_score({"ES": 0.5}, {"LOSS": 1.0}, 1.0, {"MU": 0.5}, 0.5).value.__round__(6)
    0.75
    """
    if not original_utility > 0:
        raise ValueError(f"`original_utility` must be above 0, but it is {original_utility}")
    memorisation = harmonic_mean([1 - share for share in memorised.values()])
    privacy = harmonic_mean([harmonic_mean(list(closeness.values())), depth])
    useful = min(1.0, harmonic_mean(list(utility.values())) / original_utility)
    aspects = {"memorisation": memorisation, "privacy": privacy, "utility": useful}
    bottleneck = min(aspects, key=lambda name: aspects[name])
    return Overall(harmonic_mean(list(aspects.values())), memorisation, privacy, useful, bottleneck)


def anamnesis_index(unlearned_steps: ArrayLike, retrained_steps: ArrayLike) -> float:
    r"""AIN: how much sooner an unlearned model relearns than the retrained one, $\bar t_u / \bar t_r$.

    Args:
        unlearned_steps: mini-batches of training on forget data until the original's accuracy is nearly back (5 % or
            10 % short), one a run, shape (n_runs,), at least 0; the cap where it never came back.
        retrained_steps: likewise of the retrained model, shape (n_other_runs,).

    Returns:
        At least 0: 1 is best, below 1 = a trace is left, far above 1 = the model was kept from learning (Streisand).
        NaN where the retrained model needs no step at all.

    Raises:
        ValueError: if there is no run, or a number of steps is negative.

    Source: Chundawat et al. (2023), Zero-shot machine unlearning, arXiv 2201.05629 (recalled).

    >>> anamnesis_index([2, 4], [6, 6])
    0.5
    """
    ours, theirs = np.asarray(unlearned_steps, np.float64), np.asarray(retrained_steps, np.float64)
    if not ours.size or not theirs.size or min(ours.min(), theirs.min()) < 0:
        raise ValueError("`unlearned_steps` and `retrained_steps` must hold at least one run each, steps >= 0")
    return float(ours.mean() / theirs.mean()) if theirs.mean() > 0 else nan


def _memorised_values(arrays: Arrays) -> Values:
    columns = (arrays[f"unlearned.forget.{column}"] for column in ("argmax_hit", "token_id", "offsets"))
    answer = without_end(*columns)
    right, wrong = (np.asarray(arrays[f"unlearned.forget.{side}_log_prob"], float) for side in ("right", "wrong"))
    parts = {
        "extraction strength": kernels.extraction_strength(*answer),
        "exact memorisation": kernels.exact_memorization(*answer),
        "paraphrase probability": np.exp(right),
        "truth ratio": truth_ratio(right, wrong, "share"),
    }
    return Values(parts, dict.fromkeys(parts, arrays["data.forget.cluster"]))


def _not_memorised(arrays: Arrays) -> float:
    return _mean_of_means([1 - float(np.mean(part)) if len(part) else nan for part in arrays.values()])


def _private_values(arrays: Arrays) -> Values:
    """Scores of four attacks by example: columns attack, then model."""
    found = [attack_values(name)(arrays) for name in _ATTACKS]
    parts = {side: np.stack([part.arrays[side] for part in found], axis=1) for side in ("member", "holdout")}
    return Values(parts, found[0].clusters)


def _private(arrays: Arrays) -> float:
    closeness = []
    for i in range(len(_ATTACKS)):
        ours, theirs = (kernels.roc_auc(arrays["member"][:, i, m], arrays["holdout"][:, i, m]) for m in (0, 1))
        closeness.append(float(privacy_closeness(ours, theirs)) if theirs > 0 else nan)
    return _mean_of_means(closeness)


def _mean_of_means(parts: list[float]) -> float:
    return nan if any(map(isnan, parts)) else harmonic_mean(parts)


def _anamnesis_values(arrays: Arrays) -> Values:
    steps = {model: np.asarray(arrays[f"{model}.relearning.steps"]) for model in ("unlearned", "retrained")}
    first = len(steps["unlearned"])
    ids = {"unlearned": np.arange(first), "retrained": first + np.arange(len(steps["retrained"]))}
    return Values(steps, ids)


def _anamnesis(arrays: Arrays) -> float:
    return anamnesis_index(arrays["unlearned"], arrays["retrained"]) if min(map(len, arrays.values())) else nan


_ATTACKS = ("LOSS", "ZLib", "Min-K", "Min-K++")

MEMORISATION = Metric(
    name="OU-Mem",
    title="OpenUnlearning's memorisation score",
    family="composites",
    asks="By four measures at once, how little of the forget answers does the model hold?",
    formula="harmonic mean of 1 - ES, 1 - EM, 1 - P(paraphrased answer) and 1 - truth ratio (form share)",
    better="reference",
    bounds=(0, 1),
    scale="log",
    needs=(
        *(f"unlearned.forget.{column}" for column in ("argmax_hit", "token_id", "offsets")),
        *("unlearned.forget.right_log_prob", "unlearned.forget.wrong_log_prob", "data.forget.cluster"),
    ),
    values=_memorised_values,
    summary=_not_memorised,
    source="arXiv 2506.12618; arXiv 2605.24614, released data",
    pitfalls="1 is over-forgotten: a retrained model is below it. The smallest of four parts decides it.",
)
PRIVACY = Metric(
    name="OU-privacy",
    title="OpenUnlearning's privacy score",
    family="composites",
    asks="By four attacks at once, how close is the model to the retrained one?",
    formula="harmonic mean of 1 - min(|AUC_u - AUC_r| / AUC_r, 1) over LOSS, ZLib, Min-K and Min-K++",
    better="higher",
    bounds=(0, 1),
    scale="log",
    needs=(
        *(
            f"{model}.{split}.{column}"
            for split in ("forget", "holdout")
            for model in ("unlearned", "retrained")
            for column in ("token_log_prob", "offsets", "entropy", "log_prob_variance")
        ),
        *(f"data.{split}.{column}" for split in ("forget", "holdout") for column in ("answer", "cluster")),
    ),
    values=_private_values,
    summary=_private,
    source="arXiv 2605.24614, released data",
    pitfalls="Hides the side, and four attacks on one likelihood agree: they are not four witnesses.",
)
ANAMNESIS = Metric(
    name="AIN",
    title="anamnesis index",
    family="composites",
    asks="Does the model relearn what it forgot sooner than one that never knew it?",
    formula="mean mini-batches until the original's accuracy is nearly back, unlearned over retrained",
    better="reference",
    bounds=(0, float("inf")),
    scale="log",
    needs=("unlearned.relearning.steps", "retrained.relearning.steps"),
    values=_anamnesis_values,
    summary=_anamnesis,
    source="arXiv 2201.05629 (recalled)",
    pitfalls="1 is best: below, a trace is left; far above, the model was kept from learning; the number of all steps "
    "counts where it never came back. In a run: models of `interventions` with `relearn`. Depends on the learning "
    "rate; the interval is over runs.",
    over="runs",
)

METRICS = (MEMORISATION, PRIVACY, ANAMNESIS)
"""None of them is judged."""
