"""Exact-match accuracies on the forget, retain and paraphrased questions."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.metrics.base import Arrays, Metric, Values


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


def mean_correct(arrays: Arrays) -> float:
    """Share of correct examples."""
    return float(np.mean(arrays["correct"]))


def _values(split: str) -> Callable[[Arrays], Values]:
    def values(arrays: Arrays) -> Values:
        correct = exact_match(arrays[f"unlearned.{split}.argmax_hit"], arrays[f"unlearned.{split}.offsets"])
        return Values({"correct": correct}, {"correct": arrays[f"data.{split}.cluster"]})

    return values


def _needs(split: str) -> tuple[str, ...]:
    return (f"unlearned.{split}.argmax_hit", f"unlearned.{split}.offsets", f"data.{split}.cluster")


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

METRICS = (FA, RA, FA_PARAPHRASE)
