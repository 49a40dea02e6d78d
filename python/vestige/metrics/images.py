"""Generated images: concepts that a classifier sees in them (UnlearnCanvas), Frechet distance, restoration."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values, Variant, by_example, mean_of

Floats = NDArray[np.float64]


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


def frechet_distance(features: ArrayLike, reference: ArrayLike) -> float:
    r"""Squared Frechet distance of two sets of features, each taken as a normal distribution.

    $\|\mu - \nu\|^2 + \mathrm{tr}(\Sigma + T) - 2\, \mathrm{tr}\sqrt{\Sigma T}$. With centred rows $X$ and $Y$ the
    last trace is the sum of the singular values of $X Y^\top / \sqrt{(n - 1)(m - 1)}$: no root of a matrix is taken.

    Args:
        features: shape (n, n_features); FID takes 2048 of Inception's.
        reference: shape (m, n_features).

    Returns:
        At least 0, in the features' unit squared. Lower = closer. Biased upwards, the more the fewer images: compare at
        one number of images only.

    Raises:
        ValueError: if the features differ in number, or a set has fewer than two rows.

    Source: Dowson and Landau (1982); Heusel et al. (2017), arXiv 1706.08500 (FID).

    >>> round(frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]), 9)
    9.0
    """
    x, y = np.asarray(features, np.float64), np.asarray(reference, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"both must have shape (n >= 2, n_features), but have {x.shape} and {y.shape}")
    apart = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    # Triangular factors have the same products and at most n_features rows.
    a, b = (np.linalg.qr(part - part.mean(axis=0))[1] / (len(part) - 1) ** 0.5 for part in (x, y))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(0.0, float(apart + (a**2).sum() + (b**2).sum() - 2 * shared))


def restoration_scores(features: ArrayLike, restored: ArrayLike) -> Floats:
    """Minus the mean distance of restored images to the original: a model restores what it knows.

    Args:
        features: features of each image, shape (n_examples, n_features).
        restored: features of what the model makes of degraded copies, shape (n_examples, n_copies, n_features); the
            same degradations for every model.

    Returns:
        Shape (n_examples,), float64, in the features' unit, at most 0; higher = likelier a member.

    Raises:
        ValueError: if the shapes do not fit.

    Source: degrade and restore (TMI) as named in the catalogue; paper not read, the distance is our reading.

    >>> restoration_scores([[0.0, 0.0]], [[[3.0, 4.0], [0.0, 1.0]]]).tolist()
    [-3.0]
    """
    original, copies = np.asarray(features, np.float64), np.asarray(restored, np.float64)
    if original.ndim != 2 or copies.ndim != 3 or copies.shape[::2] != original.shape:
        raise ValueError(
            "`restored` must have shape (n_examples, n_copies, n_features) for `features` of shape (n_examples, "
            f"n_features), but they have {copies.shape} and {original.shape}"
        )
    return 0.0 - np.linalg.norm(copies - original[:, None], axis=2).mean(axis=1)


def _concept_values(column: str, *, forgotten: bool = False) -> Callable[[Arrays], Values]:
    """Whether a classifier sees what was asked for; or, where that was the forgotten concept, whether it does not."""

    def values(arrays: Arrays) -> Values:
        hit = np.asarray(arrays[f"unlearned.images.{column}"]) == np.asarray(arrays[f"data.images.{column}"])
        asked = np.asarray(arrays["data.images.forgotten"], bool)
        return by_example(np.where(asked == forgotten, hit != forgotten, np.nan), arrays, "images")

    return values


def _concept_needs(column: str) -> tuple[str, ...]:
    return (f"unlearned.images.{column}", *(f"data.images.{name}" for name in (column, "forgotten", "cluster")))


def _feature_values(reference: str) -> Callable[[Arrays], Values]:
    def values(arrays: Arrays) -> Values:
        found = {"features": arrays["unlearned.images.features"], "reference": arrays[f"{reference}.features"]}
        return Values(found, {})

    return values


def _frechet(arrays: Arrays) -> float:
    return frechet_distance(arrays["features"], arrays["reference"])


def _restoration_values(arrays: Arrays) -> Values:
    splits = {"member": "forget", "holdout": "holdout"}
    scores = {
        name: restoration_scores(arrays[f"data.{split}.own_features"], arrays[f"unlearned.{split}.restored_features"])
        for name, split in splits.items()
    }
    return Values(scores, {name: arrays[f"data.{split}.cluster"] for name, split in splits.items()})


def _restoration_auc(arrays: Arrays) -> float:
    return kernels.roc_auc(arrays["member"], arrays["holdout"])


def _canvas(name: str, title: str, asks: str, formula: str, column: str, *, forgotten: bool = False) -> Metric:
    return Metric(
        name=name,
        title=title,
        family="images",
        asks=asks,
        formula=formula,
        better="higher",
        bounds=(0, 1),
        scale="logit",
        needs=_concept_needs(column),
        values=_concept_values(column, forgotten=forgotten),
        summary=mean_of,
        source="arXiv 2402.11846, UnlearnCanvas, accuracy.py",
        pitfalls="As good as the classifier: look at its accuracy on the original model's images first.",
    )


UNLEARNING_ACCURACY = _canvas(
    "UA",
    "unlearning accuracy",
    "When the forgotten concept is asked for, how often is it not in the image?",
    "share of images asked for with the forgotten concept in which a classifier sees another one",
    "concept",
    forgotten=True,
)
IN_DOMAIN = _canvas(
    "IRA",
    "in-domain retain accuracy",
    "Are the other concepts of its kind still drawn right?",
    "share of images asked for with other concepts of its domain in which a classifier sees what was asked for",
    "concept",
)
CROSS_DOMAIN = _canvas(
    "CRA",
    "cross-domain retain accuracy",
    "Are the concepts of the other kind still drawn right?",
    "the same of the other domain (objects for a style), over images without the forgotten concept",
    "other_concept",
)
FID = Metric(
    name="FID",
    title="Frechet distance to real images",
    family="images",
    asks="How far are generated images from real ones?",
    formula="|mu_u - mu|^2 + tr(S_u + S - 2 (S_u S)^(1/2)) of image features",
    better="lower",
    bounds=(0, float("inf")),
    scale="log",
    needs=("unlearned.images.features", "data.real.features"),
    values=_feature_values("data.real"),
    summary=_frechet,
    source="Heusel et al. (2017), arXiv 1706.08500; arXiv 2402.11846",
    pitfalls="Falls with the number of images, and depends on the feature extractor: compare like with like only.",
    no_interval="biased by the number of images, so resamples would be too",
    variants={
        "retrained": Variant(
            "Distance to the retrained model's images: forgetting well costs nothing in it.",
            values=_feature_values("retrained.images"),
            needs=("unlearned.images.features", "retrained.images.features"),
            no_interval="biased by the number of images, so resamples would be too",
        )
    },
)
RESTORATION = Metric(
    name="TMI",
    title="membership by degrading and restoring, AUC",
    family="images",
    asks="Does the model restore the images that it was to forget better than others?",
    formula="AUC of minus the mean distance of restored copies to the image, in features, forget against never seen",
    better="reference",
    bounds=(0, 1),
    scale="logit",
    needs=(
        *("data.forget.own_features", "unlearned.forget.restored_features", "data.forget.cluster"),
        *("data.holdout.own_features", "unlearned.holdout.restored_features", "data.holdout.cluster"),
    ),
    values=_restoration_values,
    summary=_restoration_auc,
    source="degrade and restore (TMI) as named in the catalogue; paper not read, the distance is our reading",
    pitfalls="Easy images are restored well by any model: compare with the retrained model's area, never with 0.5.",
)

METRICS = (UNLEARNING_ACCURACY, IN_DOMAIN, CROSS_DOMAIN, FID, RESTORATION)
"""None of them is judged."""
