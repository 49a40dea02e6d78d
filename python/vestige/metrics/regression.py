"""Unlearning of regression models: errors, predictions and membership against the retrained model's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels


@dataclass(frozen=True)
class RegressionGap:
    """An unlearned regression model beside the retrained one on the same examples.

    Attributes:
        error: mean absolute error of the unlearned model, in the target's unit.
        retrained: likewise of the retrained model.
        gap: their difference, signed: below 0 the unlearned model still knows the targets better.
        wasserstein: distance of the two sets of predictions, in the target's unit, at least 0.
    """

    error: float
    retrained: float
    gap: float
    wasserstein: float


def regression_gap(predicted: ArrayLike, retrained: ArrayLike, target: ArrayLike) -> RegressionGap:
    """Errors of an unlearned and of the retrained regression model, and the distance of their predictions.

    Args:
        predicted: by the unlearned model, shape (n_examples,).
        retrained: by the retrained model, same shape.
        target: the true values, same shape.

    Returns:
        The gap; 0 and 0 are best.

    Raises:
        ValueError: if the shapes differ.

    Source: Tarun et al. (2023), Deep regression unlearning, arXiv 2210.08196 (error, Wasserstein distance).

    >>> regression_gap([1.0, 2.0], [2.0, 3.0], [1.0, 1.0])
    RegressionGap(error=0.5, retrained=1.5, gap=-1.0, wasserstein=1.0)
    """
    u, r, y = (np.asarray(values, np.float64) for values in (predicted, retrained, target))
    if not u.shape == r.shape == y.shape:
        raise ValueError(
            f"`predicted` {u.shape}, `retrained` {r.shape} and `target` {y.shape} must share one shape: same examples"
        )
    error, reference = _mean_error(u, y), _mean_error(r, y)
    return RegressionGap(error, reference, error - reference, kernels.wasserstein_distance(u, r))


def regression_membership(error_forget: ArrayLike, error_unseen: ArrayLike) -> float:
    """AUC of an attack that calls an example a member when its absolute error is small.

    Args:
        error_forget: prediction minus target on forget examples, shape (n_forget,).
        error_unseen: likewise on examples that were never seen, shape (n_unseen,).

    Returns:
        Within [0, 1]; 1 = forget examples are clearly members, 0.5 = indistinguishable. Compare with the retrained
        model's value.

    Source: Tarun et al. (2023), arXiv 2210.08196, membership attack by the error, as an AUC.

    >>> regression_membership([0.1, -0.2], [0.5, -0.9])
    1.0
    """
    return kernels.roc_auc(-np.abs(np.asarray(error_forget)), -np.abs(np.asarray(error_unseen)))


def _mean_error(predicted: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    return float(np.mean(np.abs(predicted - target)))
