"""What unlearning took, beside what came of it: which models no other beats in everything?"""

from collections.abc import Mapping
from math import nan

import numpy as np
from numpy.typing import NDArray

from vestige.evaluation.config import Unlearned
from vestige.evaluation.measures import Measures
from vestige.metrics.cost import Cost, cost_columns, pareto_front
from vestige.report.model import Spending
from vestige.stats.equivalence import Equivalence

Floats = NDArray[np.float64]


def spending(measures: Measures, verdicts: Mapping[str, Equivalence]) -> tuple[Spending, ...]:
    """Cost, distance and retain accuracy of the unlearned models, if the cost of any is known.

    Args:
        measures: all numbers of the run.
        verdicts: subject to its equivalence to retraining.
    """
    models = measures.run.config.models.unlearned
    columns = _columns(measures, models, verdicts)
    if not any(np.isfinite(columns[name]).any() for name in ("seconds", "memory", "storage")):
        return ()
    known = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    unbeaten = pareto_front(known, {name: "higher" if name == "kept" else "lower" for name in known})
    return tuple(
        Spending(model.name, **{name: float(values[i]) for name, values in columns.items()}, unbeaten=bool(unbeaten[i]))
        for i, model in enumerate(models)
    )


def _columns(
    measures: Measures, models: tuple[Unlearned, ...], verdicts: Mapping[str, Equivalence]
) -> dict[str, Floats]:
    """By the fields of `Spending`."""
    kept = [s["RA"].value if "RA" in (s := measures.scores[model.name]) else nan for model in models]
    ratios = [verdicts[model.name].ratio.value if model.name in verdicts else nan for model in models]
    costs = [Cost(**model.spent.model_dump(exclude_none=True)) for model in models]
    return {"distance": np.array(ratios), "kept": np.array(kept), **cost_columns(costs)}
