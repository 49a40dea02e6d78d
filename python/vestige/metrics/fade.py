"""FADE: do two models answer with the same distribution of texts? From samples of both, scored by both."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values, Variant
from vestige.metrics.diffusion import same_shape

Floats = NDArray[np.float64]
_INFINITE = float("inf")


def fade(l_uu: ArrayLike, l_ru: ArrayLike, l_rr: ArrayLike, l_ur: ArrayLike, *, half: bool = False) -> float:
    r"""FADE: the two Kullback-Leibler divergences between two models' answers, estimated from samples of both.

    $\frac1{PK}\sum (L_{uu} - L_{ru}) + \frac1{PK}\sum (L_{rr} - L_{ur})$, where $L_{ab}$ is the log-probability under
    model a of a sample of model b; u is the unlearned, r the retrained model.

    Args:
        l_uu: log-probability under u of u's samples, shape (n_prompts, n_samples), nats.
        l_ru: log-probability under r of u's samples, same shape.
        l_rr: log-probability under r of r's samples, same shape.
        l_ur: log-probability under u of r's samples, same shape.
        half: the mean of the two divergences in place of their sum.

    Returns:
        Nats a sequence; at least 0 in expectation, 0 iff the models agree, but an estimate can be negative and is
        not clipped. Lower = closer. Symmetric in the two models. inf if a model gives a sample probability 0.

    Raises:
        ValueError: if the shapes differ.

    Source: FADE, arXiv 2510.12981 (the Jeffreys form; the constant is our reading, docs/metrics.md).

    >>> round(fade([[-0.5]], [[-1.0]], [[-0.25]], [[-0.5]]), 6)
    0.75
    """
    uu, ru, rr, ur = same_shape(l_uu=l_uu, l_ru=l_ru, l_rr=l_rr, l_ur=l_ur)
    whole = float(np.mean(uu - ru) + np.mean(rr - ur))
    return whole / 2 if half else whole


def monte_carlo_error(log_ratio: ArrayLike) -> float:
    """Standard error of a mean over prompts and samples that is due to the samples alone, prompts held fixed.

    Args:
        log_ratio: shape (n_prompts, n_samples), nats.

    Returns:
        Nats; NaN with fewer than two samples a prompt.

    Source: the within-prompt variance of a two-stage sample, Cochran (1977), Sampling Techniques, section 10.

    >>> monte_carlo_error([[0.0, 2.0], [0.0, 2.0]])
    0.7071067811865476
    """
    ratio = np.asarray(log_ratio, np.float64)
    if ratio.shape[1] < 2:
        return float("nan")
    return float(np.sqrt(ratio.var(axis=1, ddof=1).mean() / ratio.size))


def prompt_error(log_ratio: ArrayLike) -> float:
    """Standard error of the same mean when prompts are drawn too, as if prompts were independent.

    Args:
        log_ratio: shape (n_prompts, n_samples), nats.

    Returns:
        Nats; NaN with fewer than two prompts.

    Source: as `monte_carlo_error`.

    >>> prompt_error([[0.0, 2.0], [2.0, 4.0]])
    1.0
    """
    means = np.asarray(log_ratio, np.float64).mean(axis=1)
    return float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("nan")


def fade_rao_blackwell(
    step_kl_forward: ArrayLike, offsets_u: ArrayLike, step_kl_reverse: ArrayLike, offsets_r: ArrayLike
) -> float:
    r"""FADE with each log-ratio replaced by its expectation given the text so far: never negative, and steadier.

    $E_{y \sim u} \sum_t KL(p_u(\cdot|y_{<t}) \| p_r) + E_{y \sim r} \sum_t KL(p_r(\cdot|y_{<t}) \| p_u)$, each inner
    divergence over the whole vocabulary. Unbiased for plain samples; with samples cut at L tokens it is exactly the
    divergence of the laws of the first L tokens.

    Args:
        step_kl_forward: KL of r from u at each step of u's samples, shape (n_tokens_u,), nats.
        offsets_u: where each of u's samples begins, and the end of the last, shape (n_samples_u + 1,), int.
        step_kl_reverse: KL of u from r at each step of r's samples, shape (n_tokens_r,), nats.
        offsets_r: likewise for r's samples.

    Returns:
        Nats a sequence, at least 0. Lower = closer.

    Raises:
        ValueError: if a step's divergence is negative, or offsets do not fit.

    Source: Amini et al. (2025), arXiv 2504.10637 (Rao-Blackwellised KL), applied to both directions.

    >>> fade_rao_blackwell([0.5, 0.25], [0, 2], [0.25], [0, 1])
    1.0
    """
    for name, steps in (("step_kl_forward", step_kl_forward), ("step_kl_reverse", step_kl_reverse)):
        if np.min(steps) < 0:
            raise ValueError(f"`{name}` holds {np.min(steps):.3g}, but a divergence of distributions is at least 0")
    forward = kernels.sequence_sum(step_kl_forward, offsets_u)
    return float(np.mean(forward) + np.mean(kernels.sequence_sum(step_kl_reverse, offsets_r)))


def fade_js(l_uu: ArrayLike, l_ru: ArrayLike, l_rr: ArrayLike, l_ur: ArrayLike) -> float:
    r"""Jensen-Shannon divergence of two models' answers, from the four matrices of `fade`.

    $\ln 2 - \tfrac12 E_u \ln(1 + p_r/p_u) - \tfrac12 E_r \ln(1 + p_u/p_r)$: each term is bounded, so it is finite where
    the supports differ, as after top-k or nucleus sampling, where FADE is infinite.

    Args:
        l_uu: as in `fade`.
        l_ru: as in `fade`.
        l_rr: as in `fade`.
        l_ur: as in `fade`.

    Returns:
        Nats, at most ln 2, in expectation at least 0. Lower = closer.

    Raises:
        ValueError: if the shapes differ.

    Source: Lin (1991), on texts in place of tokens.

    >>> round(fade_js([[0.0]], [[-np.inf]], [[0.0]], [[-np.inf]]), 6)
    0.693147
    """
    uu, ru, rr, ur = same_shape(l_uu=l_uu, l_ru=l_ru, l_rr=l_rr, l_ur=l_ur)
    return float(np.log(2) - (np.logaddexp(0, ru - uu).mean() + np.logaddexp(0, ur - rr).mean()) / 2)


@dataclass(frozen=True)
class PrivacyProfile:
    """How well one answer can tell two models apart, at every price of a false alarm.

    Attributes:
        epsilon: shape (n_epsilons,), nats.
        forward: delta of u's answers over r's, E_u[(1 - e^epsilon p_r / p_u)+], shape (n_epsilons,), within [0, 1].
        backward: delta of r's answers over u's, likewise.
        auc: area under the ROC curve of ln(p_u / p_r), the best test that sees one answer; 0.5 = blind.
    """

    epsilon: Floats
    forward: Floats
    backward: Floats
    auc: float


def privacy_profile(
    l_uu: ArrayLike, l_ru: ArrayLike, l_rr: ArrayLike, l_ur: ArrayLike, epsilon: ArrayLike = (0.0, 0.5, 1.0, 2.0, 4.0)
) -> PrivacyProfile:
    r"""The profile $\delta(\epsilon)$ of two models' answers and the best distinguisher, from the matrices of `fade`.

    $\delta(0)$ is the total variation. It is conditional on the two models at hand: it says what one answer betrays,
    not what training on a record may betray in general. Read it beside the profile of two retrained models.

    Args:
        l_uu: as in `fade`.
        l_ru: as in `fade`.
        l_rr: as in `fade`.
        l_ur: as in `fade`.
        epsilon: at least 0, shape (n_epsilons,).

    Returns:
        The profile. Lower = closer; all 0 and an AUC of 0.5 mean equal.

    Raises:
        ValueError: if the shapes differ or an epsilon is negative.

    Source: Balle, Barthe and Gaboardi (2018), privacy profiles (hockey-stick divergence), estimated from samples.

    >>> two = privacy_profile(*np.log([[[0.5]], [[0.25]], [[1.0]], [[1.0]]]), epsilon=[0.0])
    >>> two.forward.tolist(), two.backward.tolist()
    ([0.5], [0.0])
    """
    uu, ru, rr, ur = (matrix.ravel() for matrix in same_shape(l_uu=l_uu, l_ru=l_ru, l_rr=l_rr, l_ur=l_ur))
    levels = np.atleast_1d(np.asarray(epsilon, np.float64))
    if np.any(levels < 0):
        raise ValueError(f"`epsilon` must be at least 0, but holds {levels.min():g}; the reverse is in `backward`")
    auc = kernels.roc_auc(uu - ru, ur - rr)
    return PrivacyProfile(levels, _hockey_stick(uu - ru, levels), _hockey_stick(rr - ur, levels), auc)


def _hockey_stick(log_ratio: Floats, epsilon: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.maximum(0.0, -np.expm1(epsilon[:, None] - log_ratio)).mean(axis=1))


def fade_arrays(arrays: Arrays) -> dict[str, Floats]:
    """The four matrices of FADE and the numbers of tokens, each of shape (n_prompts, n_samples)."""
    shape = (len(arrays["data.samples.cluster"]), -1)
    named = {
        "l_uu": arrays["unlearned.samples.log_prob"],
        "l_ru": arrays["versus.samples.by_reference"],
        "l_rr": arrays["retrained.samples.log_prob"],
        "l_ur": arrays["versus.samples.of_reference"],
        "tokens_u": np.diff(arrays["unlearned.samples.offsets"]),
        "tokens_r": np.diff(arrays["retrained.samples.offsets"]),
    }
    return {name: np.asarray(values, np.float64).reshape(shape) for name, values in named.items()}


def _fade_values(arrays: Arrays) -> Values:
    matrices = fade_arrays(arrays)
    return Values(matrices, dict.fromkeys(matrices, arrays["data.samples.cluster"]))


def _fade(arrays: Arrays) -> float:
    return fade(*_four(arrays))


def _fade_per_token(arrays: Arrays) -> float:
    forward = np.sum(arrays["l_uu"] - arrays["l_ru"]) / np.sum(arrays["tokens_u"])
    return float(forward + np.sum(arrays["l_rr"] - arrays["l_ur"]) / np.sum(arrays["tokens_r"]))


def _precision(arrays: Arrays) -> float:
    return float(np.sum(arrays["l_ru"]) / np.sum(arrays["tokens_u"]))


def _recall(arrays: Arrays) -> float:
    return float(np.sum(arrays["l_ur"]) / np.sum(arrays["tokens_r"]))


def _four(arrays: Arrays) -> tuple[Floats, Floats, Floats, Floats]:
    return arrays["l_uu"], arrays["l_ru"], arrays["l_rr"], arrays["l_ur"]


def _half(arrays: Arrays) -> float:
    return fade(*_four(arrays), half=True)


def _js(arrays: Arrays) -> float:
    return fade_js(*_four(arrays))


def _total_variation(arrays: Arrays) -> float:
    profile = privacy_profile(*_four(arrays), epsilon=[0.0])
    return float((profile.forward[0] + profile.backward[0]) / 2)


def _best_distinguisher(arrays: Arrays) -> float:
    return privacy_profile(*_four(arrays), epsilon=[0.0]).auc


def _step_values(arrays: Arrays) -> Values:
    """Divergence of each sample summed over its steps, by prompt."""
    cluster = arrays["data.samples.cluster"]
    directions = {
        "forward": ("versus.samples.step_kl_forward", "unlearned.samples.offsets"),
        "backward": ("versus.samples.step_kl_reverse", "retrained.samples.offsets"),
    }
    sums = {
        name: kernels.sequence_sum(arrays[steps], arrays[offsets]).reshape(len(cluster), -1)
        for name, (steps, offsets) in directions.items()
    }
    return Values(sums, dict.fromkeys(sums, cluster))


def _rao_blackwell(arrays: Arrays) -> float:
    return float(np.mean(arrays["forward"]) + np.mean(arrays["backward"]))


_NEEDS = (
    "unlearned.samples.log_prob",
    "unlearned.samples.offsets",
    "retrained.samples.log_prob",
    "retrained.samples.offsets",
    "versus.samples.by_reference",
    "versus.samples.of_reference",
    "data.samples.cluster",
)

FADE = Metric(
    name="FADE",
    title="functional alignment for distributional equivalence",
    family="fade",
    asks="Do the models answer forget questions with the same distribution of texts?",
    formula="mean(L_uu - L_ru) + mean(L_rr - L_ur) over sampled answers, nats a sequence, signed",
    better="lower",
    bounds=(-_INFINITE, _INFINITE),
    scale="identity",
    needs=_NEEDS,
    values=_fade_values,
    summary=_fade,
    source="arXiv 2510.12981 (Jeffreys form, signed sum; normalisation is our reading)",
    machinery="output divergence",
    pitfalls="Heavy-tailed; a collapsed model never ends its answers, so look at the truncated share too.",
    main=True,
    variants={
        "half": Variant(
            "The mean of the two divergences in place of their sum, as in some tables: half the number.", summary=_half
        )
    },
)
FADE_PER_TOKEN = Metric(
    name="FADE/token",
    title="FADE per token",
    family="fade",
    asks="The same, for answers of different lengths?",
    formula="sum of log-ratios over sum of tokens, both directions added, nats a token",
    better="lower",
    bounds=(-_INFINITE, _INFINITE),
    scale="identity",
    needs=_NEEDS,
    values=_fade_values,
    summary=_fade_per_token,
    source="as FADE; ratio of means",
    machinery="output divergence",
    main=True,
)
FADE_PRECISION = Metric(
    name="FADE-P",
    title="FADE, precision form",
    family="fade",
    asks="Would the retrained model have given the unlearned model's answers?",
    formula="log-probability under the retrained model of the unlearned model's samples, nats a token",
    better="higher",
    bounds=(-_INFINITE, 0),
    scale="identity",
    needs=_NEEDS,
    values=_fade_values,
    summary=_precision,
    source="arXiv 2510.12981 (workshop form: probabilistic precision), our reading",
    machinery="output divergence",
    pitfalls="A model that always gives one likely answer does well here: read it with recall.",
    main=True,
)
FADE_RECALL = Metric(
    name="FADE-R",
    title="FADE, recall form",
    family="fade",
    asks="Would the unlearned model have given the retrained model's answers?",
    formula="log-probability under the unlearned model of the retrained model's samples, nats a token",
    better="higher",
    bounds=(-_INFINITE, 0),
    scale="identity",
    needs=_NEEDS,
    values=_fade_values,
    summary=_recall,
    source="arXiv 2510.12981 (workshop form: probabilistic recall), our reading",
    machinery="output divergence",
    pitfalls="A model that spreads its belief over everything does well here: read it with precision.",
    main=True,
)
FADE_RAO_BLACKWELL = Metric(
    name="FADE-RB",
    title="FADE, Rao-Blackwellised",
    family="fade",
    asks="The same as FADE, with less noise?",
    formula="mean over samples of the sum over steps of KL(p_u, p_r) along u's samples, and of the reverse along r's",
    better="lower",
    bounds=(0, _INFINITE),
    scale="log",
    needs=(
        "versus.samples.step_kl_forward",
        "unlearned.samples.offsets",
        "versus.samples.step_kl_reverse",
        "retrained.samples.offsets",
        "data.samples.cluster",
    ),
    values=_step_values,
    summary=_rao_blackwell,
    source="arXiv 2510.12981; arXiv 2504.10637 for the estimator",
    machinery="output divergence",
    pitfalls="Needs both whole distributions at every step of the same samples.",
)
FADE_JS = Metric(
    name="FADE-JS",
    title="Jensen-Shannon divergence of answers",
    family="fade",
    asks="Do the models answer forget questions alike, in a measure that one freak answer cannot carry?",
    formula="ln 2 - E_u ln(1 + p_r/p_u) / 2 - E_r ln(1 + p_u/p_r) / 2, p of whole answers, nats",
    better="lower",
    bounds=(-_INFINITE, float(np.log(2))),
    scale="identity",
    needs=_NEEDS,
    values=_fade_values,
    summary=_js,
    source="Lin (1991), from the samples of arXiv 2510.12981",
    machinery="output divergence",
    pitfalls="An estimate can be negative. Saturates at ln 2 for long answers, where every pair of models differs.",
)
TOTAL_VARIATION = Metric(
    name="delta(0)",
    title="total variation of answers",
    family="fade",
    asks="What share of answers would have to change for the models to answer alike?",
    formula="mean of E_u[(1 - p_r/p_u)+] and E_r[(1 - p_u/p_r)+], p of whole answers",
    better="lower",
    bounds=(0, 1),
    scale="logit",
    needs=_NEEDS,
    values=_fade_values,
    summary=_total_variation,
    source="Balle, Barthe and Gaboardi (2018): the privacy profile at epsilon 0",
    machinery="output divergence",
    pitfalls="Conditional on these two models: not the delta of differential privacy. Saturates at 1.",
)
DISTINGUISHER = Metric(
    name="AUC-answer",
    title="best one-answer distinguisher",
    family="fade",
    asks="How well can the best test tell from one answer which model gave it?",
    formula="AUC of ln(p_u / p_r), u's answers against r's, over all forget prompts together",
    better="lower",
    bounds=(0, 1),
    scale="logit",
    needs=_NEEDS,
    values=_fade_values,
    summary=_best_distinguisher,
    source="Neyman and Pearson (1933): no test of one answer has a better ROC curve",
    machinery="output divergence",
    pitfalls="Answers whose probabilities are equal under both models count half, so 0.5 is the best value.",
)

METRICS = (
    FADE,
    FADE_PER_TOKEN,
    FADE_PRECISION,
    FADE_RECALL,
    FADE_RAO_BLACKWELL,
    FADE_JS,
    TOTAL_VARIATION,
    DISTINGUISHER,
)
"""Metrics of sampled answers; the first four are judged."""
