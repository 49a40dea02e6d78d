"""Columns that are worked out from stored ones when a metric asks for them: no forward pass, nothing kept."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.metrics.text import rouge
from vestige.metrics.tofu import answer_probability, option_probability, truth_ratio, utility_truth
from vestige.scoring.outputs import unpack_text

Parts = Mapping[str, NDArray[Any]]

AMONG_OPTIONS = ("real_authors", "world_facts")
"""Splits on which TOFU takes the answer's probability among the wrong answers; on retain data it stands for itself."""


def _probability(parts: Parts, split: str) -> NDArray[np.float64]:
    alone = answer_probability(parts["token_log_prob"], parts["offsets"])
    return option_probability(alone, np.exp(parts["wrong_log_prob"])) if split in AMONG_OPTIONS else alone


def _rouge(parts: Parts, _: str) -> NDArray[np.float64]:
    return rouge(unpack_text(parts), parts["answer"].tolist())


def _truth(parts: Parts, _: str) -> NDArray[np.float64]:
    return utility_truth(truth_ratio(parts["right_log_prob"], parts["wrong_log_prob"]))


def _arithmetic_truth(parts: Parts, _: str) -> NDArray[np.float64]:
    return utility_truth(truth_ratio(parts["right_log_prob"], parts["wrong_log_prob"], "arithmetic"))


WORKED_OUT: Mapping[str, Callable[[Parts, str], NDArray[np.float64]]] = {
    "probability": _probability,
    "rouge": _rouge,
    "truth_ratio": _truth,
    "arithmetic_truth_ratio": _arithmetic_truth,
}
"""Column to the function that makes it of its parts (`made_of` in `metrics.columns`, and the right answers)."""
