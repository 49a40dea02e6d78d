"""How soon models relearnt what they were to forget."""

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from vestige.evaluation.changes import REFERENCE, Changed
from vestige.interventions.relearning import anamnesis_index


def relearning_steps(changed: Sequence[Changed], name: str, original: float) -> NDArray[np.float64] | None:
    """Steps of the longest relearning until nine tenths of the original's accuracy were back.

    Args:
        changed: models that interventions made.
        name: the model that relearnt.
        original: accuracy of the original on the forget examples.

    Returns:
        Shape (1,), the number of all steps where it never came back; empty where that is so of the retrained model,
        which then is no measure. None where it did not relearn.
    """
    curves = [model.curve for model in changed if model.source == name and model.curve]
    if not curves:
        return None
    curve = max(curves, key=len)
    steps = anamnesis_index(curve, curve, original).unlearned_steps
    if not isfinite(steps) and name == REFERENCE:
        return np.empty(0)
    return np.array([min(steps, len(curve) - 1)])
