"""Membership inference: can forget examples be told from examples that were never seen?"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values
from vestige.metrics.distribution import mean_by_example


def blind_scores(texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Scores that need no model: anything they tell about membership is a difference between the sets.

    Args:
        texts: one text an example.

    Returns:
        `length` in characters and `zlib` in compressed bytes, each shape (n_texts,).

    Source: Das et al. (2024), Blind Baselines Beat Membership Inference Attacks, arXiv 2406.16201.

    >>> blind_scores(["aaaa", "ab"])["length"]
    array([4., 2.])
    """
    return {
        "length": np.array([len(text) for text in texts], np.float64),
        "zlib": np.array([len(zlib.compress(text.encode())) for text in texts], np.float64),
    }


def membership_auc(arrays: Arrays) -> float:
    """Probability that a forget example scores above a never-seen one, ties half."""
    return float(kernels.roc_auc(arrays["forget"], arrays["holdout"]))


def membership_gap(arrays: Arrays) -> float:
    """Distance of `membership_auc` from chance."""
    return abs(membership_auc(arrays) - 0.5)


def _values(arrays: Arrays) -> Values:
    scores = {
        split: mean_by_example(arrays[f"unlearned.{split}.token_log_prob"], arrays[f"unlearned.{split}.offsets"])
        for split in ("forget", "holdout")
    }
    return Values(scores, {split: arrays[f"data.{split}.cluster"] for split in scores})


_NEEDS = tuple(
    name
    for split in ("forget", "holdout")
    for name in (f"unlearned.{split}.token_log_prob", f"unlearned.{split}.offsets", f"data.{split}.cluster")
)

MIA = Metric(
    name="MIA",
    title="membership inference, LOSS attack, AUC",
    family="privacy",
    asks="Can forget examples be told from never-seen ones by their likelihood?",
    formula="AUC of the mean log-probability a token, forget against matched never-seen examples",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=_NEEDS,
    values=_values,
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
    needs=_NEEDS,
    values=_values,
    summary=membership_gap,
    source="arXiv 2605.02206's successor (|BA - 0.5|), on the AUC",
    pitfalls="Punishes a retrained model whose own AUC is not 0.5, and its interval is unreliable near 0.",
    main=True,
)

METRICS = (MIA, MIA_GAP)
