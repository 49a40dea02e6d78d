"""Is an unlearned model as close to the retrained models as these are to one another?"""

from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.stats.estimate import Estimate
from vestige.stats.intervals import FEWEST_CLUSTERS, jackknife_problem, jackknife_t

EquivalenceVerdict = Literal["equivalent", "different", "undecided"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Equivalence:
    """The verdict on a model.

    Attributes:
        verdict: "equivalent" (the interval lies below the margin), "different" (above it) or "undecided".
        ratio: mean distance to the retrained models over the mean distance between them, 1 at equality.
        margin: the largest ratio that counts as equivalent, as declared.
        smallest_margin: the smallest margin at which the verdict would be "equivalent".
        distance: name of the distance.
        n_retrained: number of retrained seeds.
    """

    verdict: EquivalenceVerdict
    ratio: Estimate
    margin: float
    smallest_margin: float
    distance: str
    n_retrained: int


def equivalence_to_retraining(
    to_retrained: ArrayLike,
    between: ArrayLike,
    *,
    margin: float = 1.25,
    distance: str = "",
    confidence_level: float = 0.95,
) -> Equivalence:
    r"""Whether a model is as far from the retrained models as these are from one another, within a margin.

    $\rho = \mathrm{mean}_i\, d(U, R_i) / \mathrm{mean}_{i \ne j}\, d(R_i, R_j)$, log scale, leave-one-seed-out
    jackknife, $t(m - 1)$. Two one-sided tests: "equivalent" where the upper limit lies below `margin`, "different"
    where the lower limit lies above it, each at the nominal level 1 - `confidence_level`. In simulation (3, 5 and 10
    seeds, log-normal seed effects of SD .15 to .5) "equivalent" was wrong in 2 to 5 % at the margin; "different" in 5
    to 11 %, the more the larger the seed effect. A rank test of "U is one of the retrained models" cannot have a
    p-value below 1 / (m + 1), so it says nothing with few seeds.

    Args:
        to_retrained: distance of the model to each retrained one, shape (n_retrained,), any unit.
        between: distances between the retrained models in the same unit and on the same examples, shape
            (n_retrained, n_retrained), symmetric; the diagonal is not read.
        margin: the largest ratio that counts as equivalent, above 1, declared before looking.
        distance: name of the distance, for the reader.
        confidence_level: level of each one-sided limit.

    Returns:
        The verdict. The ratio's interval is made of both one-sided limits, so its own level is
        2 * `confidence_level` - 1. Below 3 retrained models: "undecided", with the reason in `ratio.reason`.

    Raises:
        ValueError: if the shapes do not match, `between` is not symmetric, or `margin` is not above 1.

    Source: Schuirmann (1987) for the two one-sided tests; the ratio is defined here.

    >>> floor = np.array([[0.0, 1.0, 1.1], [1.0, 0.0, 0.9], [1.1, 0.9, 0.0]])
    >>> equivalence_to_retraining([3.0, 3.1, 2.9], floor).verdict
    'different'
    >>> equivalence_to_retraining([3.0, 3.1], floor[:2, :2]).ratio.reason
    '2 retrained models, an interval needs 3'
    """
    to, floor = _checked(to_retrained, between, margin)
    ratio = _ratio_estimate(to, floor, confidence_level)
    return Equivalence(_verdict(ratio, margin), ratio, margin, ratio.high, distance, len(to))


def _checked(to_retrained: ArrayLike, between: ArrayLike, margin: float) -> tuple[Floats, Floats]:
    to = np.asarray(to_retrained, dtype=np.float64)
    floor = np.asarray(between, dtype=np.float64)
    if to.ndim != 1 or floor.shape != (len(to), len(to)):
        raise ValueError(
            f"between must have shape (n_retrained, n_retrained) for to_retrained of shape (n_retrained,), got "
            f"{floor.shape} and {to.shape}"
        )
    if not margin > 1:
        raise ValueError(f"margin must be above 1 (1 is exact equality), got {margin}")
    off_diagonal = ~np.eye(len(to), dtype=bool)
    if not np.allclose(floor[off_diagonal], floor.T[off_diagonal], rtol=1e-6, atol=0, equal_nan=True):
        raise ValueError("between must be symmetric: distance of i to j = distance of j to i")
    return to, floor


def _ratio_estimate(to: Floats, floor: Floats, one_sided_level: float) -> Estimate:
    value = _ratio(to, floor)
    estimate = Estimate(
        value,
        n=len(to),
        over="retrained seeds",
        n_clusters=len(to),
        method="jackknife-t, log scale, one-sided limits",
        confidence_level=round(2 * one_sided_level - 1, 12),
    )
    left_out = np.array([_ratio(*_without(to, floor, seed)) for seed in range(len(to))])
    problem = _problem(value, left_out, len(to))
    if problem:
        return replace(estimate, method="", reason=problem)
    low, high = jackknife_t(value, left_out, scale="log", confidence_level=estimate.confidence_level)
    return replace(estimate, low=low, high=high)


def _ratio(to: Floats, floor: Floats) -> float:
    if len(to) < 2:
        return nan
    mean_floor = floor[~np.eye(len(to), dtype=bool)].mean()
    return float(to.mean() / mean_floor) if mean_floor > 0 else nan


def _without(to: Floats, floor: Floats, seed: int) -> tuple[Floats, Floats]:
    return np.delete(to, seed), np.delete(np.delete(floor, seed, axis=0), seed, axis=1)


def _problem(value: float, left_out: Floats, n_retrained: int) -> str:
    if n_retrained < 2:
        return f"{n_retrained} retrained models, a noise floor needs 2"
    if isnan(value):
        return "the distances between the retrained models are not all defined with a mean above 0"
    if n_retrained < FEWEST_CLUSTERS:
        return f"{n_retrained} retrained models, an interval needs {FEWEST_CLUSTERS}"
    return jackknife_problem(value, left_out, scale="log").replace("clusters", "retrained models")


def _verdict(ratio: Estimate, margin: float) -> EquivalenceVerdict:
    if ratio.high < margin:
        return "equivalent"
    return "different" if ratio.low > margin else "undecided"
