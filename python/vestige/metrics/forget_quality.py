"""TOFU's forget quality, on the same questions under both models: paired tests, and the released p-value."""

from dataclasses import dataclass
from math import log, log10, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values, Variant
from vestige.metrics.tofu import truth_ratio

Floats = NDArray[np.float64]
Verdict = Literal["equivalent", "different", "undecided"]

# Resamples at a time: a cumulative sum holds this many rows of two values a question.
_CHUNK = 500


@dataclass(frozen=True)
class ForgetQuality:
    """Are a model's truth ratios those of the retrained model, on the same questions?

    Attributes:
        statistic: largest distance of the two distribution functions (Kolmogorov-Smirnov's D), within [0, 1].
        p_value: of no difference, from swapping the models within each question (or cluster).
        exact: whether all swaps were tried.
        superiority: chance that a truth ratio of the unlearned model is above one of the retrained, ties half.
        upper: bound of the true D by the band of Dvoretzky, Kiefer and Wolfowitz, at the confidence level.
        verdict: "equivalent" if `upper` is below the margin, else "different" if p is below 1 - confidence level, else
            "undecided".
        margin: of equivalence.
        n: number of questions.
    """

    statistic: float
    p_value: float
    exact: bool
    superiority: float
    upper: float
    verdict: Verdict
    margin: float
    n: int


def forget_quality(
    unlearned: ArrayLike,
    retrained: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    n_resamples: int = 10_000,
    margin: float = 0.2,
    confidence_level: float = 0.95,
    seed: int = 0,
) -> ForgetQuality:
    """Paired forget quality of truth ratios on the same questions.

    The unpaired test of the papers treats the two models' answers to one question as independent; they are not, so it
    rejects too rarely. Here the null is that the two models may be swapped within each question.

    Args:
        unlearned: truth ratios of the unlearned model, shape (n_questions,).
        retrained: of the retrained model on the same questions in the same order.
        clusters: what is swapped together, for example authors, shape (n_questions,); each question alone without it.
        n_resamples: number of random swaps; all of them are tried instead where there are no more.
        margin: largest D that still counts as equal, within (0, 1).
        confidence_level: of the band and of the verdict. The band takes questions as independent.
        seed: decides the swaps.

    Returns:
        The result. Invariant under monotone maps of the ratios. A p-value grows smaller with more questions: never
        compare it between forget01, forget05 and forget10; D and the verdict can be.

    Raises:
        ValueError: if the arrays differ in length, are empty or hold NaN, or the margin is out of range.

    Source: defined here; D as in Maini et al. (2024), arXiv 2401.06121; Massart (1990) for the band's constant.

    >>> same = forget_quality([0.1, 0.5, 0.9], [0.1, 0.5, 0.9])
    >>> same.statistic, same.p_value, same.superiority, same.verdict
    (0.0, 1.0, 0.5, 'undecided')
    """
    u, r = _paired(unlearned, retrained)
    if not 0 < margin < 1:
        raise ValueError(f"`margin` must lie between 0 and 1, but it is {margin}")
    signs, exact = _swaps(len(u) if clusters is None else clusters, n_resamples, seed)
    statistic = _swapped_statistics(u, r, np.ones((1, len(u)), np.int8))[0]
    drawn = _swapped_statistics(u, r, signs)
    # D is a multiple of 1/n.
    reached = int(np.sum(drawn >= statistic - 0.5 / len(u)))
    p_value = reached / len(drawn) if exact else (reached + 1) / (len(drawn) + 1)
    upper = min(1.0, statistic + 2 * sqrt(log(4 / (1 - confidence_level)) / (2 * len(u))))
    verdict: Verdict = "undecided" if p_value >= 1 - confidence_level else "different"
    return ForgetQuality(
        statistic=float(statistic),
        p_value=p_value,
        exact=exact,
        superiority=kernels.roc_auc(u, r),
        upper=upper,
        verdict="equivalent" if upper < margin else verdict,
        margin=margin,
        n=len(u),
    )


def released_forget_quality(
    unlearned: ArrayLike, retrained: ArrayLike, method: Literal["auto", "exact", "asymptotic"] = "auto"
) -> float:
    """log10 of TOFU's forget quality: the p-value of the unpaired two-sided Kolmogorov-Smirnov test.

    A p-value is not a parameter, so it has no interval, and it depends on the number of questions. Use
    `forget_quality` for a verdict.

    Args:
        unlearned: truth ratios of the unlearned model, shape (n_questions,).
        retrained: of the retrained model, shape (n_other,).
        method: "exact", "asymptotic" (half the exact value or less in the far tail), or "auto" as SciPy: exact up to
            10,000 questions.

    Returns:
        log10 of p, at most 0. Higher = closer, up to chance.

    Source: Maini et al. (2024), TOFU, arXiv 2401.06121.

    >>> round(released_forget_quality([1, 2, 3], [4, 5, 6]), 9)
    -1.0
    """
    p_value = kernels.ks_test(unlearned, retrained, method=method).p_value
    return log10(p_value) if p_value > 0 else float("nan" if np.isnan(p_value) else "-inf")


def _paired(unlearned: ArrayLike, retrained: ArrayLike) -> tuple[Floats, Floats]:
    u, r = np.asarray(unlearned, np.float64), np.asarray(retrained, np.float64)
    if u.ndim != 1 or u.shape != r.shape or not u.size:
        raise ValueError(
            f"`unlearned` {u.shape} and `retrained` {r.shape} must hold one value for each of the same questions"
        )
    if np.isnan(u).any() or np.isnan(r).any():
        raise ValueError("a truth ratio is NaN; leave that question out of both models")
    return u, r


def _swaps(clusters: ArrayLike | int, n_resamples: int, seed: int) -> tuple[NDArray[np.int8], bool]:
    """Whether each question keeps (1) or swaps (-1) the models, a row a resample; all swaps where there are few."""
    labels = np.arange(clusters) if isinstance(clusters, int) else np.unique(clusters, return_inverse=True)[1]
    n = int(labels.max()) + 1
    exact = 2**n <= n_resamples
    if exact:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, (n_resamples, n), np.int8)
    return (1 - 2 * bits).astype(np.int8)[:, labels], exact


def _swapped_statistics(u: Floats, r: Floats, signs: NDArray[np.int8]) -> Floats:
    """D of each row of swaps: the largest sum of steps, +1 for one model and -1 for the other, up to any value."""
    n, pooled = len(u), np.concatenate([u, r])
    order = np.argsort(pooled, kind="stable")
    ends = np.append(np.diff(pooled[order]) > 0, True)
    question, step = order % n, np.where(order < n, 1, -1).astype(np.int8)

    def largest(rows: NDArray[np.int8]) -> Floats:
        return np.asarray(np.abs(np.cumsum(rows[:, question] * step, axis=1, dtype=np.int32)[:, ends]).max(axis=1) / n)

    return np.concatenate([largest(signs[i : i + _CHUNK]) for i in range(0, len(signs), _CHUNK)])


def _values(arrays: Arrays) -> Values:
    found = {
        model: truth_ratio(arrays[f"{model}.forget.right_log_prob"], arrays[f"{model}.forget.wrong_log_prob"])
        for model in ("unlearned", "retrained")
    }
    return Values(found, dict.fromkeys(found, arrays["data.forget.cluster"]))


def _distance(arrays: Arrays) -> float:
    return kernels.ks_statistic(arrays["unlearned"], arrays["retrained"])


def _released(arrays: Arrays) -> float:
    return released_forget_quality(arrays["unlearned"], arrays["retrained"])


def _superiority(arrays: Arrays) -> float:
    return kernels.roc_auc(arrays["unlearned"], arrays["retrained"])


_NEEDS = (
    *(f"{m}.forget.{side}_log_prob" for m in ("unlearned", "retrained") for side in ("right", "wrong")),
    "data.forget.cluster",
)

FORGET_QUALITY = Metric(
    name="FQ-D",
    title="forget quality, distance of truth ratios",
    family="forget_quality",
    asks="Are truth ratios on forget questions distributed as the retrained model's?",
    formula="Kolmogorov-Smirnov D of the truth ratios of both models; `forget_quality` has the paired test and verdict",
    better="lower",
    bounds=(0, 1),
    scale="logit",
    needs=_NEEDS,
    values=_values,
    summary=_distance,
    source="arXiv 2401.06121, with D and a paired test for the unpaired p-value",
    machinery="output divergence",
    pitfalls="Above 0 for equal models, by noise. About the shape of one ratio only: two models can agree in it and in "
    "nothing else.",
    variants={
        "released": Variant(
            "log10 of the unpaired two-sample p-value: higher = closer, shrinks with the number of questions, and "
            "rejects too rarely because both models answer the same questions.",
            summary=_released,
            bounds=(-float("inf"), 0),
            no_interval="a p-value is not a parameter",
        )
    },
    no_interval="D is a maximum, which a jackknife cannot judge; see the band and the test of `forget_quality`",
)
SUPERIORITY = Metric(
    name="P(TR_u>TR_r)",
    title="chance that the unlearned model's truth ratio is above the retrained model's",
    family="forget_quality",
    asks="Which way do truth ratios differ from the retrained model's?",
    formula="share of pairs of questions with TR_u > TR_r, ties half",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_NEEDS,
    values=_values,
    summary=_superiority,
    source="Mann and Whitney (1947), on the truth ratios of arXiv 2401.06121",
    pitfalls="0.5 = neither way, which is not equal: spreads can differ. Below: knows more than the retrained model.",
)

METRICS = (FORGET_QUALITY, SUPERIORITY)
"""Neither is judged."""
