"""Divergences between the output distributions of a model and of the retrained model."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.metrics.base import Arrays, Metric, Values


def mean_by_example(token_values: ArrayLike, offsets: ArrayLike) -> NDArray[np.float64]:
    """Mean of each example's token values.

    Args:
        token_values: shape (n_tokens,).
        offsets: where each example's tokens begin, and the end of the last, shape (n_examples + 1,), int.

    Returns:
        Shape (n_examples,), float64, in the unit of the values.

    Source: defined here.

    >>> mean_by_example([1.0, 3.0, 5.0], [0, 2, 3])
    array([2., 5.])
    """
    starts = np.asarray(offsets)
    return np.add.reduceat(np.asarray(token_values, np.float64), starts[:-1]) / np.diff(starts)


def fade(l_uu: ArrayLike, l_ru: ArrayLike, l_rr: ArrayLike, l_ur: ArrayLike) -> float:
    r"""FADE: the two Kullback-Leibler divergences between two models' answers, estimated from samples of both.

    $\frac1{PK}\sum (L_{uu} - L_{ru}) + \frac1{PK}\sum (L_{rr} - L_{ur})$, where $L_{ab}$ is the log-probability under
    model a of a sample of model b; u is the unlearned, r the retrained model.

    Args:
        l_uu: log-probability under u of u's samples, shape (n_prompts, n_samples), nats.
        l_ru: log-probability under r of u's samples, same shape.
        l_rr: log-probability under r of r's samples, same shape.
        l_ur: log-probability under u of r's samples, same shape.

    Returns:
        Nats a sequence; at least 0 in expectation, 0 iff the models agree, but an estimate can be negative and is
        not clipped. Lower = closer. Symmetric in the two models. inf if a model gives a sample probability 0.

    Raises:
        ValueError: if the shapes differ.

    Source: FADE, arXiv 2510.12981 (the Jeffreys form; the constant is our reading, docs/metrics.md).

    >>> round(fade([[-0.5]], [[-1.0]], [[-0.25]], [[-0.5]]), 6)
    0.75
    """
    matrices = [np.atleast_2d(np.asarray(matrix, np.float64)) for matrix in (l_uu, l_ru, l_rr, l_ur)]
    if len({matrix.shape for matrix in matrices}) != 1:
        raise ValueError(f"the four matrices must share one shape, found {[m.shape for m in matrices]}")
    uu, ru, rr, ur = matrices
    return float(np.mean(uu - ru) + np.mean(rr - ur))


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


def _js_values(arrays: Arrays) -> Values:
    js = mean_by_example(arrays["versus.forget.js"], arrays["unlearned.forget.offsets"])
    return Values({"js": js}, {"js": arrays["data.forget.cluster"]})


def _functional_values(arrays: Arrays) -> Values:
    both = np.asarray(arrays["versus.distance.kl"]) + np.asarray(arrays["versus.distance.reverse_kl"])
    kl = mean_by_example(both / 2, arrays["unlearned.distance.offsets"])
    return Values({"kl": kl}, {"kl": arrays["data.distance.cluster"]})


def fade_arrays(arrays: Arrays) -> dict[str, NDArray[np.float64]]:
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
    return fade(*(arrays[name] for name in ("l_uu", "l_ru", "l_rr", "l_ur")))


def _fade_per_token(arrays: Arrays) -> float:
    forward = np.sum(arrays["l_uu"] - arrays["l_ru"]) / np.sum(arrays["tokens_u"])
    return float(forward + np.sum(arrays["l_rr"] - arrays["l_ur"]) / np.sum(arrays["tokens_r"]))


def _precision(arrays: Arrays) -> float:
    return float(np.sum(arrays["l_ru"]) / np.sum(arrays["tokens_u"]))


def _recall(arrays: Arrays) -> float:
    return float(np.sum(arrays["l_ur"]) / np.sum(arrays["tokens_r"]))


def mean_js(arrays: Arrays) -> float:
    """Mean over examples."""
    return float(np.mean(arrays["js"]))


def _mean_kl(arrays: Arrays) -> float:
    return float(np.mean(arrays["kl"]))


_FADE_NEEDS = (
    "unlearned.samples.log_prob",
    "unlearned.samples.offsets",
    "retrained.samples.log_prob",
    "retrained.samples.offsets",
    "versus.samples.by_reference",
    "versus.samples.of_reference",
    "data.samples.cluster",
)
_INFINITE = float("inf")

JS = Metric(
    name="JS",
    title="Jensen-Shannon divergence on forget answers",
    family="distribution",
    asks="How far are next-token distributions along forget answers from the retrained model's?",
    formula="mean over forget examples of the mean over answer tokens of JS(p_u, p_r), aligned full vocabulary, nats",
    better="lower",
    bounds=(0, float(np.log(2))),
    scale="log",
    needs=("versus.forget.js", "unlearned.forget.offsets", "data.forget.cluster"),
    values=_js_values,
    summary=mean_js,
    source="Lin (1991); arXiv 2605.02206, JS, with token identity kept (its release compares sorted spectra)",
    machinery="output divergence",
    pitfalls="Range is [0, ln 2 = 0.693], not [0, 1]; SciPy's jensenshannon is its square root.",
    main=True,
)
FADE = Metric(
    name="FADE",
    title="functional alignment for distributional equivalence",
    family="distribution",
    asks="Do the models answer forget questions with the same distribution of texts?",
    formula="mean(L_uu - L_ru) + mean(L_rr - L_ur) over sampled answers, nats a sequence, signed",
    better="lower",
    bounds=(-_INFINITE, _INFINITE),
    scale="identity",
    needs=_FADE_NEEDS,
    values=_fade_values,
    summary=_fade,
    source="arXiv 2510.12981 (Jeffreys form, signed sum; normalisation is our reading)",
    machinery="output divergence",
    pitfalls="Heavy-tailed; a collapsed model never ends its answers, so look at the truncated share too.",
    main=True,
)
FADE_PER_TOKEN = Metric(
    name="FADE/token",
    title="FADE per token",
    family="distribution",
    asks="The same, for answers of different lengths?",
    formula="sum of log-ratios over sum of tokens, both directions added, nats a token",
    better="lower",
    bounds=(-_INFINITE, _INFINITE),
    scale="identity",
    needs=_FADE_NEEDS,
    values=_fade_values,
    summary=_fade_per_token,
    source="as FADE; ratio of means",
    machinery="output divergence",
    main=True,
)
FADE_PRECISION = Metric(
    name="FADE-P",
    title="FADE, precision form",
    family="distribution",
    asks="Would the retrained model have given the unlearned model's answers?",
    formula="log-probability under the retrained model of the unlearned model's samples, nats a token",
    better="higher",
    bounds=(-_INFINITE, 0),
    scale="identity",
    needs=_FADE_NEEDS,
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
    family="distribution",
    asks="Would the unlearned model have given the retrained model's answers?",
    formula="log-probability under the unlearned model of the retrained model's samples, nats a token",
    better="higher",
    bounds=(-_INFINITE, 0),
    scale="identity",
    needs=_FADE_NEEDS,
    values=_fade_values,
    summary=_recall,
    source="arXiv 2510.12981 (workshop form: probabilistic recall), our reading",
    machinery="output divergence",
    pitfalls="A model that spreads its belief over everything does well here: read it with precision.",
    main=True,
)
FUNCTIONAL_DISTANCE = Metric(
    name="d_function",
    title="distance to the retrained model in function",
    family="distribution",
    asks="How far is the model's behaviour from the retrained model's, on questions that no metric uses?",
    formula="mean over probe examples of the mean over answer tokens of (KL(p_u, p_r) + KL(p_r, p_u)) / 2, nats",
    better="lower",
    bounds=(0, _INFINITE),
    scale="log",
    needs=(
        "versus.distance.kl",
        "versus.distance.reverse_kl",
        "unlearned.distance.offsets",
        "data.distance.cluster",
    ),
    values=_functional_values,
    summary=_mean_kl,
    source="defined here; the oracle distance of arXiv 2605.02206 is in parameters",
    machinery="output divergence",
    pitfalls="An output divergence, like JS and FADE: their correlation with it is partly built in.",
)

METRICS = (JS, FADE, FADE_PER_TOKEN, FADE_PRECISION, FADE_RECALL)
