"""How much of a ranking survives other weights."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vestige.meta.layout import Layout
from vestige.meta.quality import blocks_of, rank_scores
from vestige.meta.results import Robustness

Floats = NDArray[np.float64]

Law = Literal["simplex", "dirichlet", "lognormal"]
LAWS: tuple[Law, ...] = ("simplex", "dirichlet", "lognormal")


def robustness(
    layout: Layout, weights: Mapping[str, float], *, n_draws: int = 100, seed: int = 0
) -> tuple[Robustness, ...]:
    """The ranking by a composite against its rankings under drawn weightings, one entry a law.

    Rows that share a name are one item (a method over benchmarks and seeds): their rank scores are averaged.

    Args:
        layout: the table.
        weights: metric to weight; they sum to 1.
        n_draws: weightings drawn for each law.
        seed: decides them.

    Returns:
        One entry for each of "simplex" (anywhere), "dirichlet" (around the weights) and "lognormal" (each weight by a
        factor). The spread is over weightings; it is not an uncertainty.
    """
    items, scores = item_scores(layout)
    vector = np.array([weights[name] for name in layout.metrics])
    return tuple(perturbed(items, scores, vector / vector.sum(), law, n_draws=n_draws, seed=seed) for law in LAWS)


def item_scores(layout: Layout) -> tuple[tuple[str, ...], Floats]:
    """Names of the ranked items and their mean rank scores, shape (n_items, n_metrics); a missing score is 0.5."""
    ranked = rank_scores(layout.scores, blocks_of(layout))
    models = np.array(layout.table.models)
    items = tuple(dict.fromkeys(layout.table.models))
    neutral = np.where(np.isnan(ranked), 0.5, ranked)
    return items, np.array([neutral[models == item].mean(axis=0) for item in items])


def perturbed(
    items: tuple[str, ...],
    scores: Floats,
    weights: Floats,
    law: Law,
    *,
    n_draws: int,
    seed: int = 0,
    draws: Floats | None = None,
) -> Robustness:
    """One law's drawn weightings (or given ones) against the ranking by `weights`.

    Args:
        items: names of the ranked items.
        scores: higher is better, shape (n_items, n_metrics).
        weights: shape (n_metrics,), non-negative, sum 1.
        law: "simplex", "dirichlet" or "lognormal".
        n_draws: number of weightings.
        seed: decides them.
        draws: weightings to use instead, shape (n_draws, n_metrics).
    """
    from vestige.kernels import perturb_weights

    result = perturb_weights(
        np.ascontiguousarray(scores), weights, n_draws=n_draws, law=law, draws=draws, return_draws=True, seed=seed
    )
    tau = np.asarray(result.tau, dtype=np.float64)
    return Robustness(
        law=law,
        n_draws=len(tau),
        n_items=len(items),
        items=items,
        tau=tau,
        tau_mean=float(result.tau_mean),
        tau_sd=float(result.tau_sd),
        selection_frequency={
            item: float(count) / len(tau) for item, count in zip(items, result.first_counts, strict=True)
        },
    )
