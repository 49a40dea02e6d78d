"""How a ranking by a weighted sum changes when the weights do."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import count, matrix, seed_of, vector

Law = Literal["simplex", "dirichlet", "lognormal"]

# Two square matrices of counts take 1.6 GB at this number.
MOST_MODELS = 10_000


@dataclass(frozen=True)
class WeightPerturbation:
    """What became of a ranking under many weightings.

    Attributes:
        law: "simplex", "dirichlet", "lognormal", or "given" where the weightings were given.
        n_draws: number of weightings.
        n_models: number of ranked models.
        tau_mean: mean of tau-b between the ranking by the given weights and each drawn one.
        tau_sd: its standard deviation over draws (population).
        n_undefined: draws in which tau is undefined because all models are tied; left out of mean and deviation.
        rank_counts: draws in which a model had a rank, shape (n_models, n_models), [model, rank - 1], int64;
            rank 1 is the highest sum, and tied models get their midrank rounded down.
        first_counts: draws in which a model came first, shape (n_models,), float64; tied ones share a draw.
        flips: share of draws in which model i is above model j, shape (n_models, n_models), within [0, 1].
        tau: tau-b of each draw, shape (n_draws,), NaN where undefined; None unless asked for.
        weights: each draw's weights, shape (n_draws, n_metrics); None unless asked for.
    """

    law: str
    n_draws: int
    n_models: int
    tau_mean: float
    tau_sd: float
    n_undefined: int
    rank_counts: NDArray[np.int64]
    first_counts: NDArray[np.float64]
    flips: NDArray[np.float64]
    tau: NDArray[np.float64] | None
    weights: NDArray[np.float64] | None


def perturb_weights(
    scores: ArrayLike,
    weights: ArrayLike,
    n_draws: int = 100,
    law: Law = "simplex",
    draws: ArrayLike | None = None,
    return_draws: bool = False,
    seed: int = 0,
) -> WeightPerturbation:
    """Rank models by a weighted sum of scores, again and again with other weights.

    Sums are added metric by metric in the order of the columns. Neighbours in a ranking whose sums differ by at most
    1e-12 of the largest absolute sum are tied, because such a difference is rounding.

    Args:
        scores: shape (n_models, n_metrics), finite, all on one scale, higher is better.
        weights: shape (n_metrics,), non-negative, sum 1.
        n_draws: number of weightings to draw; with `draws` the number of its rows is used.
        law: "simplex", uniform over all weightings (Dirichlet(1)); "dirichlet", Dirichlet(50 * weights), where a
            weight of 0 stays 0; "lognormal", weights times exp(0.25 z) with z standard normal, normalised.
        draws: weightings to use instead, shape (n_draws, n_metrics), non-negative, each row with a positive sum.
        return_draws: also return each draw's tau and weights; without it memory does not grow with `n_draws`.
        seed: within [0, 2**64); draw i has a random stream of its own.

    Returns:
        The summary; see `WeightPerturbation`.

    Raises:
        ValueError: if a shape does not fit, there are more than 10,000 models (pairs of them are counted), a score is
            not finite, weights are negative or do not sum to 1, or the law is unknown.

    Source: defined here.

    >>> perturb_weights([[1.0, 1.0], [0.0, 0.0]], [0.5, 0.5], n_draws=10).first_counts.tolist()
    [10.0, 0.0]
    """
    table, base = matrix(scores, "scores", "(n_models, n_metrics)"), vector(weights, "weights")
    _check_scores(table, base)
    given = None if draws is None else _given_draws(draws, base.size)
    n_draws = count(n_draws, "n_draws") if given is None else given.shape[0]
    tau_mean, tau_sd, n_undefined, rank_counts, first_counts, wins, tau, drawn = _rust.perturb_weights(
        table, base, n_draws, law, given, bool(return_draws), seed_of(seed)
    )
    n_models = table.shape[0]
    return WeightPerturbation(
        law="given" if given is not None else law,
        n_draws=n_draws,
        n_models=n_models,
        tau_mean=tau_mean,
        tau_sd=tau_sd,
        n_undefined=n_undefined,
        rank_counts=rank_counts.reshape(n_models, n_models),
        first_counts=first_counts,
        flips=wins.reshape(n_models, n_models) / n_draws,
        tau=tau if return_draws else None,
        weights=drawn.reshape(n_draws, -1) if return_draws else None,
    )


def _check_scores(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
    if len(scores) > MOST_MODELS:
        raise ValueError(
            f"`scores` may have {MOST_MODELS:,} models, because every pair of them is counted, but it has "
            f"{len(scores):,}: rank a part of them"
        )
    if scores.shape[1] != weights.size:
        raise ValueError(
            f"`weights` must hold one a column of `scores`, but there are {weights.size} for {scores.shape}"
        )
    if not np.isfinite(scores).all():
        model, metric = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(f"`scores` must be finite, but model {model} has {scores[model, metric]} for metric {metric}")
    if not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
        raise ValueError(
            f"`weights` must be non-negative and sum to 1, but they are {weights.tolist()}; divide them by their sum"
        )


def _given_draws(draws: ArrayLike, n_metrics: int) -> NDArray[np.float64]:
    given = matrix(draws, "draws", "(n_draws, n_metrics)")
    if given.shape[1] != n_metrics:
        raise ValueError(
            f"`draws` must hold one weight for each of {n_metrics} metrics, but its shape is {given.shape}"
        )
    return given
