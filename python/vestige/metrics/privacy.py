"""Membership inference: can forget examples be told from examples that were never seen?"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values
from vestige.metrics.blind import blind_scores
from vestige.metrics.distribution import mean_by_example
from vestige.metrics.membership import privacy_closeness

Floats = NDArray[np.float64]


def zlib_scores(token_log_probs: ArrayLike, offsets: ArrayLike, texts: Sequence[str]) -> Floats:
    """Log-likelihood a token over compressed size: likely for its redundancy, or likely because it was seen?

    Args:
        token_log_probs: log-probabilities of the tokens that came, shape (n_tokens,), nats.
        offsets: where each example's tokens begin, and the end of the last, shape (n_examples + 1,), int.
        texts: the scored text of each example.

    Returns:
        Shape (n_examples,), float64, nats a token and byte, at most 0. Higher = likelier a member (OpenUnlearning
        turns the sign).

    Raises:
        ValueError: if there is not one text an example.

    Source: Carlini et al. (2021), Extracting training data from large language models; OpenUnlearning's form.

    >>> zlib_scores([-1.0, -3.0], [0, 2], ["ab"]).round(3).tolist()
    [-0.2]
    """
    nll = kernels.sequence_nll(token_log_probs, offsets)
    if len(texts) != len(nll):
        raise ValueError(f"`texts` must hold one an example, but there are {len(texts)} for {len(nll)} examples")
    return 0.0 - nll / blind_scores(texts)["zlib"]


def reference_scores(token_log_probs: ArrayLike, reference: ArrayLike, offsets: ArrayLike) -> Floats:
    """Log-likelihood a token above a reference model's: what is likely for anyone is no trace.

    Args:
        token_log_probs: log-probabilities of the tokens that came, shape (n_tokens,), nats.
        reference: the same under a model that never saw the examples, same shape.
        offsets: where each example's tokens begin, and the end of the last, shape (n_examples + 1,), int.

    Returns:
        Shape (n_examples,), float64, nats a token; higher = likelier a member. 0 against itself.

    Raises:
        ValueError: if lengths differ.

    Source: Carlini et al. (2021), Extracting training data from large language models; OpenUnlearning's form.

    >>> reference_scores([-1.0, -1.0], [-2.0, -3.0], [0, 2]).tolist()
    [1.5]
    """
    return kernels.sequence_nll(reference, offsets) - kernels.sequence_nll(token_log_probs, offsets)


def gradient_norm_scores(norms: ArrayLike) -> Floats:
    """Minus the mean size of the loss's gradient: what was fitted has little left to learn.

    Args:
        norms: p-norm of the gradient of each example's mean negative log-likelihood by each parameter tensor, shape
            (n_examples, n_tensors); p = 2 in OpenUnlearning.

    Returns:
        Shape (n_examples,), float64, at most 0; higher = likelier a member.

    Raises:
        ValueError: if a norm is negative or the shape is another.

    Source: Wang et al. (2024), Pandora's white-box, arXiv 2402.17012; OpenUnlearning's form.

    >>> gradient_norm_scores([[1.0, 3.0]]).tolist()
    [-2.0]
    """
    sizes = np.asarray(norms, np.float64)
    if sizes.ndim != 2 or (sizes < 0).any():
        raise ValueError(f"`norms` must hold sizes >= 0, shape (n_examples, n_tensors), but its shape is {sizes.shape}")
    return 0.0 - sizes.mean(axis=1)


def denoising_scores(losses: ArrayLike) -> Floats:
    """Minus the mean denoising loss of a diffusion model: images that it was trained on are denoised better.

    Args:
        losses: squared error of the predicted noise, shape (n_examples, n_draws), the same time steps and noise for
            every example and model.

    Returns:
        Shape (n_examples,), float64, at most 0; higher = likelier a member.

    Raises:
        ValueError: if a loss is negative or the shape is another.

    Source: Carlini et al. (2023), Extracting training data from diffusion models, arXiv 2301.13188, section 5.2.

    >>> denoising_scores([[1.0, 2.0]]).tolist()
    [-1.5]
    """
    errors = np.asarray(losses, np.float64)
    if errors.ndim != 2 or (errors < 0).any():
        raise ValueError(f"`losses` must be >= 0, shape (n_examples, n_draws), but its shape is {errors.shape}")
    return 0.0 - errors.mean(axis=1)


def membership_auc(arrays: Arrays) -> float:
    """Probability that a member scores above a never-seen example, ties half."""
    return float(kernels.roc_auc(arrays["member"], arrays["holdout"]))


def membership_gap(arrays: Arrays) -> float:
    """Distance of `membership_auc` from chance."""
    return abs(membership_auc(arrays) - 0.5)


def membership_difference(arrays: Arrays) -> float:
    """`membership_auc` of the unlearned model (first column) minus that of the retrained one."""
    ours, theirs = (membership_auc({name: values[:, i] for name, values in arrays.items()}) for i in (0, 1))
    return ours - theirs


def membership_closeness(arrays: Arrays) -> float:
    """`privacy_closeness` of the two areas."""
    ours, theirs = (membership_auc({name: values[:, i] for name, values in arrays.items()}) for i in (0, 1))
    return float(privacy_closeness(ours, theirs))


Score = Callable[[Arrays, str, str], Floats]
"""From arrays, model and split to one score an example, higher = likelier a member."""


def _loss(arrays: Arrays, model: str, split: str) -> Floats:
    return mean_by_example(arrays[f"{model}.{split}.token_log_prob"], arrays[f"{model}.{split}.offsets"])


def _min_k(arrays: Arrays, model: str, split: str) -> Floats:
    return kernels.min_k(arrays[f"{model}.{split}.token_log_prob"], arrays[f"{model}.{split}.offsets"])


def _min_k_plus_plus(arrays: Arrays, model: str, split: str) -> Floats:
    named = {column: arrays[f"{model}.{split}.{column}"] for column in (*_TOKENS, "entropy", "log_prob_variance")}
    expected = 0.0 - np.asarray(named["entropy"])
    return kernels.min_k_plus_plus(named["token_log_prob"], expected, named["log_prob_variance"], named["offsets"])


def _zlib(arrays: Arrays, model: str, split: str) -> Floats:
    named = {column: arrays[f"{model}.{split}.{column}"] for column in _TOKENS}
    return zlib_scores(named["token_log_prob"], named["offsets"], arrays[f"data.{split}.answer"].tolist())


def _reference(arrays: Arrays, model: str, split: str) -> Floats:
    ours, theirs = (arrays[f"{name}.{split}.token_log_prob"] for name in (model, "retrained"))
    return reference_scores(ours, theirs, arrays[f"{model}.{split}.offsets"])


def _gradient(arrays: Arrays, model: str, split: str) -> Floats:
    return gradient_norm_scores(arrays[f"{model}.{split}.gradient_norm"])


def _one(score: Score, members: str = "forget") -> Callable[[Arrays], Values]:
    """Scores of the model in question."""

    def values(arrays: Arrays) -> Values:
        scores = {"member": score(arrays, "unlearned", members), "holdout": score(arrays, "unlearned", "holdout")}
        return Values(scores, _clusters(arrays, members))

    return values


def _both(score: Score, members: str = "forget") -> Callable[[Arrays], Values]:
    """Scores of the model in question and of the retrained one, side by side."""

    def values(arrays: Arrays) -> Values:
        splits = {"member": members, "holdout": "holdout"}
        models = ("unlearned", "retrained")
        scores = {name: np.stack([score(arrays, m, split) for m in models], 1) for name, split in splits.items()}
        return Values(scores, _clusters(arrays, members))

    return values


def attack_values(name: str) -> Callable[[Arrays], Values]:
    """Scores of both models by an attack of `ATTACKS`."""
    return _both(ATTACKS[name])


def _clusters(arrays: Arrays, members: str) -> dict[str, NDArray[np.int64]]:
    return {"member": arrays[f"data.{members}.cluster"], "holdout": arrays["data.holdout.cluster"]}


_TOKENS = ("token_log_prob", "offsets")


def _needs(
    columns: tuple[str, ...] = _TOKENS, models: tuple[str, ...] = ("unlearned",), members: str = "forget"
) -> tuple[str, ...]:
    splits = (members, "holdout")
    scores = (f"{model}.{split}.{column}" for split in splits for model in models for column in columns)
    return (*scores, *(f"data.{split}.cluster" for split in splits))


_TWO = ("unlearned", "retrained")
ATTACKS: Mapping[str, Score] = {"LOSS": _loss, "ZLib": _zlib, "Min-K": _min_k, "Min-K++": _min_k_plus_plus}
"""Attacks on the likelihood of an answer, by their usual names."""
_POPULATIONS = "Forget against never seen, matched; compare with the blind baseline before reading an absolute area."

MIA = Metric(
    name="MIA",
    title="membership inference, LOSS attack, AUC",
    family="privacy",
    asks="Can forget examples be told from never-seen ones by their likelihood?",
    formula="AUC of the mean log-probability a token, forget against matched never-seen examples",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs(),
    values=_one(_loss),
    summary=membership_auc,
    source="Yeom et al. (2018); populations as in arXiv 2406.16201 (forget against never seen, not against retain)",
    pitfalls="1 = clearly members, 0.5 = indistinguishable, below = over-forgotten, which gives membership away as "
    "well. Compare with the retrained model's value and with the blind baseline, never with 0.5 alone.",
    main=True,
)
MIA_GAP = Metric(
    name="|MIA-.5|",
    title="membership inference, distance from chance",
    family="privacy",
    asks="How far from chance is the attack, in either direction?",
    formula="|AUC - 0.5|",
    better="lower",
    bounds=(0, 0.5),
    scale="identity",
    needs=_needs(),
    values=_one(_loss),
    summary=membership_gap,
    source="arXiv 2605.02206's successor (|BA - 0.5|), on the AUC",
    pitfalls="Punishes a retrained model whose own AUC is not 0.5, and its interval is unreliable near 0.",
    main=True,
)

MIA_DIFFERENCE = Metric(
    name="MIA-diff",
    title="membership inference, difference to the retrained model",
    family="privacy",
    asks="Are forget examples easier to tell from never-seen ones than in a model that never saw them?",
    formula="AUC_u - AUC_r of the mean log-probability a token, on the same examples",
    better="reference",
    bounds=(-1, 1),
    scale="fisher",
    needs=_needs(models=_TWO),
    values=_both(_loss),
    summary=membership_difference,
    source="defined here; PrivLeak (arXiv 2407.06460) divides the same difference",
    pitfalls="0 is best, and both signs are bad: above = a trace is left, below = over-forgotten.",
)
MIN_K = Metric(
    name="MinK",
    title="membership inference, Min-40%, AUC",
    family="privacy",
    asks="Can forget examples be told from never-seen ones by their least likely tokens?",
    formula="AUC of the mean log-probability of the 40 % least likely tokens",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs(),
    values=_one(_min_k),
    summary=membership_auc,
    source="Shi et al. (2024), arXiv 2310.16789; k = 0.4 as in TOFU's and MUSE's settings",
    pitfalls=_POPULATIONS,
)
MIN_K_DIFFERENCE = Metric(
    name="MinK-diff",
    title="Min-40%, difference to the retrained model",
    family="privacy",
    asks="The same, above what a model shows that never saw them?",
    formula="AUC_u - AUC_r of the Min-40% score",
    better="reference",
    bounds=(-1, 1),
    scale="fisher",
    needs=_needs(models=_TWO),
    values=_both(_min_k),
    summary=membership_difference,
    source="as MinK; difference: defined here",
    pitfalls="0 is best, and both signs are bad.",
)
MIN_K_PLUS_PLUS = Metric(
    name="MinK++",
    title="membership inference, Min-40%++, AUC",
    family="privacy",
    asks="Can they be told by tokens that are unlikely for their place?",
    formula="AUC of the mean of the 40 % lowest (ln p - mu) / sigma, mu and sigma of ln p under p itself",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs((*_TOKENS, "entropy", "log_prob_variance")),
    values=_one(_min_k_plus_plus),
    summary=membership_auc,
    source="Zhang et al. (2025), arXiv 2404.02936; least variance as in OpenUnlearning",
    pitfalls=_POPULATIONS,
)
ZLIB = Metric(
    name="ZLib",
    title="membership inference, zlib, AUC",
    family="privacy",
    asks="Can they be told by their likelihood for so redundant a text?",
    formula="AUC of the mean log-probability a token over the compressed size of the answer",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=(*_needs(), "data.forget.answer", "data.holdout.answer"),
    values=_one(_zlib),
    summary=membership_auc,
    source="Carlini et al. (2021), arXiv 2012.07805; OpenUnlearning's form",
    pitfalls="Sizes of short answers are mostly the compressor's header. " + _POPULATIONS,
)
REFERENCE = Metric(
    name="MIA-ref",
    title="membership inference, reference model, AUC",
    family="privacy",
    asks="Can they be told by their likelihood above the retrained model's?",
    formula="AUC of the mean of ln p_u - ln p_r a token",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs(models=_TWO),
    values=_one(_reference),
    summary=membership_auc,
    source="Carlini et al. (2021), arXiv 2012.07805; the retrained model as the reference",
    pitfalls="The reference is one retrained seed; with other models that judge, take another seed.",
)
RETAIN_DIFFERENCE = Metric(
    name="MIA-retain",
    title="membership of retain examples, difference to the retrained model",
    family="privacy",
    asks="Did unlearning change how visible the membership of the kept examples is?",
    formula="AUC_u - AUC_r of the mean log-probability a token, retain against never-seen examples",
    better="reference",
    bounds=(-1, 1),
    scale="fisher",
    needs=_needs(models=_TWO, members="retain"),
    values=_both(_loss, "retain"),
    summary=membership_difference,
    source="Hayes et al. (2024), arXiv 2403.01218 (unlearning can worsen the rest)",
    pitfalls="Another population than MIA's: it says nothing about forgetting.",
)
CLOSENESS = Metric(
    name="s_LOSS",
    title="privacy closeness, LOSS attack",
    family="privacy",
    asks="How close is the attack's area to the retrained model's?",
    formula="1 - min(|AUC_u - AUC_r| / AUC_r, 1)",
    better="higher",
    bounds=(0, 1),
    scale="identity",
    needs=_needs(models=_TWO),
    values=_both(_loss),
    summary=membership_closeness,
    source="arXiv 2605.24614 (UDS), release",
    pitfalls="Hides the side; its interval is unreliable near 1, where MIA-diff's is not.",
)

GRADIENT = Metric(
    name="GradNorm",
    title="membership inference, gradient norm, AUC",
    family="privacy",
    asks="Can they be told by how little the model would learn from them?",
    formula="AUC of minus the mean over weight tensors of the 2-norm of the loss's gradient",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_needs(("gradient_norm",)),
    values=_one(_gradient),
    summary=membership_auc,
    source="arXiv 2402.17012; OpenUnlearning's form",
    pitfalls="Norms grow with the length of the answer. " + _POPULATIONS,
)

METRICS = (
    MIA,
    MIA_GAP,
    MIA_DIFFERENCE,
    MIN_K,
    MIN_K_DIFFERENCE,
    MIN_K_PLUS_PLUS,
    ZLIB,
    REFERENCE,
    RETAIN_DIFFERENCE,
    CLOSENESS,
    GRADIENT,
)
