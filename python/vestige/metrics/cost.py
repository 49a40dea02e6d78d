"""What unlearning costs, and which methods no other beats in everything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Cost:
    """What it took to unlearn; NaN where it was not measured.

    Attributes:
        seconds: wall time of the method, without scoring.
        memory: largest memory in use, bytes.
        storage: what must be kept for it (checkpoints, gradients, data), bytes.
    """

    seconds: float = nan
    memory: float = nan
    storage: float = nan


def cost_columns(costs: Sequence[Cost]) -> dict[str, NDArray[np.float64]]:
    """Costs as columns of a table; lower is better in all of them.

    Args:
        costs: one a model.

    Returns:
        `seconds`, `memory` and `storage`, each shape (n_models,), float64.

    Source: UnlearnCanvas, arXiv 2402.11846 (run time, memory, storage).

    >>> cost_columns([Cost(2.0), Cost(3.0)])["seconds"].tolist()
    [2.0, 3.0]
    """
    names = [field.name for field in fields(Cost)]
    return {name: np.array([getattr(cost, name) for cost in costs], np.float64) for name in names}


def pareto_front(
    columns: Mapping[str, ArrayLike], better: Mapping[str, Literal["higher", "lower"]]
) -> NDArray[np.bool_]:
    """Which models no other model beats: none is at least as good in every column and better in one.

    Args:
        columns: name to one value a model, shape (n_models,).
        better: orientation of each column; turn "closest to the retrained model" into a distance first.

    Returns:
        Shape (n_models,), bool. Equal models are both on the front. A model with a NaN is not on it and beats none.

    Raises:
        ValueError: if names or lengths differ, or an orientation is unknown.

    Source: defined here.

    >>> pareto_front({"RA": [0.9, 0.8, 0.9], "seconds": [9, 1, 10]}, {"RA": "higher", "seconds": "lower"}).tolist()
    [True, True, False]
    """
    if columns.keys() != better.keys() or not columns:
        raise ValueError(f"`better` must name the columns {sorted(columns)}, at least one, but names {sorted(better)}")
    if unknown := [name for name, way in better.items() if way not in ("higher", "lower")]:
        raise ValueError(f"the orientation of {unknown[0]} must be 'higher' or 'lower', but is {better[unknown[0]]!r}")
    signed = [np.asarray(columns[name], np.float64) * (1 if better[name] == "higher" else -1) for name in columns]
    if len({column.shape for column in signed}) > 1 or signed[0].ndim != 1:
        raise ValueError(f"all columns must have one shape (n_models,), but have {[c.shape for c in signed]}")
    values = np.stack(signed, axis=1)
    as_good = (values[:, None] >= values[None]).all(axis=2)
    beats = as_good & (values[:, None] > values[None]).any(axis=2)
    return np.asarray(~beats.any(axis=0) & ~np.isnan(values).any(axis=1))
