"""How much of a ranking survives other weights."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vestige.meta.layout import Layout
from vestige.meta.quality import block_names, blocks_of, rank_scores
from vestige.meta.results import Robustness
from vestige.meta.weights import Constraints, priorities

Floats = NDArray[np.float64]

Law = Literal["simplex", "dirichlet", "lognormal"]
LAWS: tuple[Law, ...] = ("simplex", "dirichlet", "lognormal")

# Above these, the taus of all draws and the matrix of all pairs are too much for a report.
MOST_KEPT_DRAWS = 100_000
MOST_ITEMS_IN_FLIPS = 60


def robustness(
    layout: Layout,
    weights: Mapping[str, float],
    *,
    constraints: Constraints | None = None,
    n_draws: int = 100,
    seed: int = 0,
) -> tuple[Robustness, ...]:
    """The ranking by a composite against its rankings under drawn weightings, one entry a law.

    Rows that share a name are one item (a method over benchmarks and seeds): their rank scores are averaged.

    Args:
        layout: the table.
        weights: metric to weight; they sum to 1.
        constraints: its priorities of tasks weigh an item's scores; its limits on weights do not hold for the draws.
        n_draws: weightings drawn for each law.
        seed: decides them.

    Returns:
        One entry for each of "simplex" (anywhere), "dirichlet" (around the weights) and "lognormal" (each weight by a
        factor). The spread is over weightings; it is not an uncertainty.
    """
    items, scores = item_scores(layout, constraints)
    vector = np.array([weights[name] for name in layout.metrics])
    return tuple(perturbed(items, scores, vector / vector.sum(), law, n_draws=n_draws, seed=seed) for law in LAWS)


def item_scores(layout: Layout, constraints: Constraints | None = None) -> tuple[tuple[str, ...], Floats]:
    """Names of the ranked items and their mean rank scores, shape (n_items, n_metrics); a missing score is 0.5.

    Rows are weighed by the priority of their task.
    """
    blocks = blocks_of(layout)
    factors = priorities((constraints or Constraints()).task_priority, block_names(layout), "task_priority")[blocks]
    ranked = rank_scores(layout.scores, blocks)
    items, item = np.unique(np.array(layout.table.models), return_inverse=True)
    total = np.zeros((len(items), ranked.shape[1]))
    np.add.at(total, item, factors[:, None] * np.where(np.isnan(ranked), 0.5, ranked))
    means = total / np.bincount(item, weights=factors)[:, None]
    order = np.searchsorted(items, list(dict.fromkeys(layout.table.models)))
    return tuple(str(name) for name in items[order]), means[order]


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
        n_draws: number of weightings; without `draws`, memory does not grow with it.
        seed: decides them.
        draws: weightings to use instead, shape (n_draws, n_metrics).
    """
    from vestige.kernels import perturb_weights

    table = np.ascontiguousarray(scores)
    few = n_draws <= MOST_KEPT_DRAWS or draws is not None
    result = perturb_weights(table, weights, n_draws=n_draws, law=law, draws=draws, return_draws=few, seed=seed)
    # Draw i has a random stream of its own, so the first draws are the same ones again.
    first = result if few else perturb_weights(table, weights, MOST_KEPT_DRAWS, law, return_draws=True, seed=seed)
    return Robustness(
        law=law,
        n_draws=result.n_draws,
        n_items=len(items),
        items=items,
        tau=np.asarray(first.tau, dtype=np.float64),
        tau_mean=float(result.tau_mean),
        tau_sd=float(result.tau_sd),
        selection_frequency={
            item: float(count) / result.n_draws for item, count in zip(items, result.first_counts, strict=True)
        },
        flips=result.flips if len(items) <= MOST_ITEMS_IN_FLIPS else np.empty((0, 0)),
    )
