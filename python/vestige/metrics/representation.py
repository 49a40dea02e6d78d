"""Distances between hidden states and between weights."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.metrics.base import Arrays, Metric, Values


def activation_distance(hidden: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Euclidean distance between two models' features of each example.

    Args:
        hidden: features, shape (n_examples, n_features).
        reference: the other model's, same shape.

    Returns:
        Shape (n_examples,), float64, in the features' own unit, at least 0. Lower = closer.

    Raises:
        ValueError: if the shapes differ.

    Source: arXiv 2605.02206, AD; released models/llava_model.py (mean-pooled output of block -2).

    >>> activation_distance([[0.0, 0.0]], [[3.0, 4.0]])
    array([5.])
    """
    p, q = np.asarray(hidden, np.float64), np.asarray(reference, np.float64)
    if p.shape != q.shape:
        raise ValueError(f"`hidden` has shape {p.shape} but `reference` {q.shape}; compare the same layer and examples")
    return np.asarray(np.linalg.norm(p - q, axis=1))


def _activation_values(arrays: Arrays) -> Values:
    distance = activation_distance(arrays["unlearned.forget.hidden"], arrays["retrained.forget.hidden"])
    return Values({"distance": distance}, {"distance": arrays["data.forget.cluster"]})


def _parameter_values(arrays: Arrays) -> Values:
    return Values({"distance": arrays["versus.parameters.l2"]}, {})


def mean_distance(arrays: Arrays) -> float:
    """Mean over examples (or weight tensors)."""
    return float(np.mean(arrays["distance"]))


AD = Metric(
    name="AD",
    title="activation distance",
    family="representation",
    asks="How far are the hidden states on forget questions from the retrained model's?",
    formula="mean over forget questions of ||h_u - h_r||, h = block -2, mean over the prompt's tokens",
    better="lower",
    bounds=(0, float("inf")),
    scale="log",
    needs=("unlearned.forget.hidden", "retrained.forget.hidden", "data.forget.cluster"),
    values=_activation_values,
    summary=mean_distance,
    source="arXiv 2605.02206, AD",
    pitfalls="Two honest retrained seeds can be as far apart as the original is from them: read it beside its floor.",
    main=True,
)
PARAMETER_DISTANCE = Metric(
    name="d_parameters",
    title="distance to the retrained model in parameters",
    family="representation",
    asks="How far are the weights from the retrained model's?",
    formula="mean over weight tensors of ||theta_u - theta_r||",
    better="lower",
    bounds=(0, float("inf")),
    scale="log",
    needs=("versus.parameters.l2",),
    values=_parameter_values,
    summary=mean_distance,
    source="arXiv 2605.02206, oracle distance (released code: mean of per-tensor L2 norms)",
    machinery="parameters",
    no_interval="one number a model, nothing to resample",
    pitfalls="Depends on parameterisation and says little about behaviour; most unlearned models lie at about the "
    "same distance.",
)

METRICS = (AD,)
