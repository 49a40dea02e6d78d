"""What sampled answers may give away: bounds that hold with a stated confidence, and the worst subset."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, nan, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from vestige import kernels
from vestige.metrics.base import Arrays, Metric, Values, by_example, mean_of

Floats = NDArray[np.float64]
ALPHA = 0.01
"""Error probability of the bounds that the catalogue lists, as in the paper's demo."""
_BISECTIONS = 40


def band_width(n_draws: int, alpha: float = ALPHA, *, sides: Literal[1, 2] = 1) -> float:
    r"""Half width of the band of Dvoretzky, Kiefer and Wolfowitz, $\sqrt{\ln(s / \alpha) / 2n}$.

    Args:
        n_draws: number of independent draws.
        alpha: probability that the distribution function leaves the band, within (0, 1).
        sides: 1 if only one side is used, 2 for both.

    Returns:
        Above 0; a band wider than 1 says nothing.

    Raises:
        ValueError: if a number is out of range.

    Source: Massart (1990); Scholten et al. (2025), arXiv 2410.03523.

    >>> round(band_width(4, 0.05), 10)
    0.6119367077
    """
    if n_draws < 1 or not 0 < alpha < 1:
        raise ValueError(f"`n_draws` must be at least 1 and `alpha` within (0, 1), but are {n_draws} and {alpha}")
    return sqrt(log(sides / alpha) / (2 * n_draws))


def leak_probability_bound(n_leaks: int, n_draws: int, alpha: float = ALPHA) -> float:
    """Upper bound of the probability that an answer leaks, from a count: Clopper and Pearson, one side.

    Args:
        n_leaks: draws that leaked, within [0, n_draws].
        n_draws: independent draws, at least 1.
        alpha: probability that the true one is above the bound.

    Returns:
        Within (0, 1]; 1 if all leaked.

    Raises:
        ValueError: if a number is out of range.

    Source: Scholten et al. (2025), arXiv 2410.03523, binary case.

    >>> round(leak_probability_bound(3, 20, 0.05), 10)
    0.3436638043
    """
    if not 0 <= n_leaks <= n_draws or n_draws < 1 or not 0 < alpha < 1:
        raise ValueError(f"`n_leaks` must lie within 0 to `n_draws`, but are {n_leaks} and {n_draws} (alpha {alpha})")
    return 1.0 if n_leaks == n_draws else float(betaincinv(n_leaks + 1, n_draws - n_leaks, 1 - alpha))


def tail_bound(leakage: ArrayLike, above: float, alpha: float = ALPHA) -> float:
    """Upper bound of the probability that an answer gives away more than a threshold.

    Args:
        leakage: of independent answers, shape (n_draws,), within [0, 1].
        above: the threshold.
        alpha: probability that the bound fails, for all thresholds at once.

    Returns:
        Within [0, 1].

    Raises:
        ValueError: if there is no draw, or one is outside [0, 1].

    Source: Scholten et al. (2025), arXiv 2410.03523, general case.

    >>> round(tail_bound([0.0, 1.0] * 50, 0.5, 0.05), 6)
    0.622387
    """
    x = _draws(leakage)
    return min(1.0, float(np.mean(x > above)) + band_width(len(x), alpha))


def expectation_bound(leakage: ArrayLike, alpha: float = ALPHA) -> float:
    r"""Upper bound of the expected leakage, $\int_0^1 \min(1, 1 - F_n(t) + \epsilon)\, dt$: Anderson's.

    Args:
        leakage: of independent answers, shape (n_draws,), within [0, 1].
        alpha: probability that the expectation is above the bound.

    Returns:
        Within [0, 1], above the mean. Integrated exactly; conbo's sum of 100 steps is a little larger.

    Raises:
        ValueError: if there is no draw, or one is outside [0, 1].

    Source: Anderson (1969); Scholten et al. (2025), arXiv 2410.03523.

    >>> round(expectation_bound([0.1, 0.2, 0.2, 0.5], 0.05), 10)
    0.7645493661
    """
    x = np.sort(_draws(leakage))
    survival = 1 - np.arange(len(x) + 1) / len(x)
    return float(np.minimum(1.0, survival + band_width(len(x), alpha)) @ np.diff(x, prepend=0.0, append=1.0))


def deviation_bound(leakage: ArrayLike, alpha: float = ALPHA) -> float:
    r"""Upper bound of the standard deviation of leakage: the largest of any distribution within the band.

    The distribution function that spreads most follows the upper edge of the band, stays at one height, and follows the
    lower edge. The variance rises with that height as long as the middle of the flat stretch lies below the mean.

    Args:
        leakage: of independent answers, shape (n_draws,), within [0, 1].
        alpha: probability that the true deviation is above the bound; both sides of the band are used.

    Returns:
        Within [0, 0.5].

    Raises:
        ValueError: if there is no draw, or one is outside [0, 1].

    Source: Scholten et al. (2025), arXiv 2410.03523, section 4; form of the extreme distribution: Stoye (2010), Partial
        identification of spread parameters. Theirs bounds the variance interval by interval.

    >>> round(deviation_bound([0.5] * 10_000, 0.05), 3)
    0.082
    """
    x = np.sort(_draws(leakage))
    edges = np.concatenate([[0.0], x, [1.0]])
    share, band = np.arange(len(x) + 1) / len(x), band_width(len(x), alpha, sides=2)
    low, high = np.maximum(0.0, share - band), np.minimum(1.0, share + band)
    bottom, top = 0.0, 1.0
    for _ in range(_BISECTIONS):
        height = (bottom + top) / 2
        survival = 1 - np.clip(height, low, high)
        mean = survival @ np.diff(edges)
        middle = (edges[np.sum(high <= height)] + edges[np.sum(low < height)]) / 2
        bottom, top = (height, top) if middle < mean else (bottom, height)
    return sqrt(max(0.0, float(survival @ np.diff(edges**2) - mean**2)))


def expected_deviation_score(leakage: ArrayLike, weight: float = 2.0) -> Floats:
    """ED score: mean plus twice the standard deviation of sampled leakage. For development; it guarantees nothing.

    Args:
        leakage: of sampled answers, shape (n_examples, n_draws), within [0, 1].
        weight: of the deviation.

    Returns:
        Shape (n_examples,), float64, at least 0. Lower = leaks less, and less often by chance.

    Raises:
        ValueError: if the shape is another, or a value is outside [0, 1].

    Source: Scholten et al. (2025), arXiv 2410.03523 (constants recalled, paper not read).

    >>> expected_deviation_score([[0.0, 1.0], [0.5, 0.5]]).tolist()
    [1.5, 0.5]
    """
    draws = np.asarray(leakage, np.float64)
    if draws.ndim != 2 or not draws.size or not ((draws >= 0) & (draws <= 1)).all():
        raise ValueError(f"`leakage` must lie in 0 to 1, shape (n_examples, n_draws), but its shape is {draws.shape}")
    return np.asarray(draws.mean(axis=1) + weight * draws.std(axis=1))


@dataclass(frozen=True)
class WorstSubset:
    """The part of a forget set that leaks most.

    Attributes:
        chosen: its units (entities, or examples), ascending.
        leakage: mean leakage of it in draws that did not choose it.
        whole: mean leakage of all units in the same draws.
        seen: mean leakage of it in the draws that chose it: too high, by the choice.
    """

    chosen: NDArray[np.int64]
    leakage: float
    whole: float
    seen: float


def worst_subset(leakage: ArrayLike, share: float = 0.1, clusters: ArrayLike | None = None) -> WorstSubset:
    """The share of a forget set that leaks most, found in half of the draws and measured in the other half.

    Args:
        leakage: of sampled answers, shape (n_examples, n_draws >= 2), any range, higher = worse.
        share: size of the subset, within (0, 1], rounded up to whole units.
        clusters: entity of each example, shape (n_examples,), integers: entities are chosen; examples without it.

    Returns:
        The subset. Against `whole` it says how unevenly the model forgot.

    Raises:
        ValueError: if the shape is another, there are fewer than two draws, or the share is out of range.

    Source: worst-case forget sets: Fan et al. (2024), arXiv 2403.07362; search on stored scores with held-out draws:
        defined here.

    >>> worst_subset([[0.0, 0.0], [1.0, 0.5]], share=0.5)
    WorstSubset(chosen=array([1]), leakage=0.5, whole=0.25, seen=1.0)
    """
    draws = np.asarray(leakage, np.float64)
    if draws.ndim != 2 or draws.shape[1] < 2 or not len(draws) or not 0 < share <= 1:
        raise ValueError(
            f"`leakage` must have shape (n_examples, n_draws >= 2) and `share` lie in 0 to 1, but are {draws.shape} "
            f"and {share}"
        )
    ids, codes = np.unique(np.arange(len(draws)) if clusters is None else clusters, return_inverse=True)
    halves = [kernels.group_mean(draws[:, i::2].mean(axis=1), codes) for i in (0, 1)]
    chosen = np.sort(np.argsort(-halves[0], kind="stable")[: ceil(share * len(ids))])
    of_chosen = [float(half[chosen].mean()) for half in halves]
    return WorstSubset(ids[chosen], of_chosen[1], float(halves[1].mean()), of_chosen[0])


def _draws(leakage: ArrayLike) -> Floats:
    x = np.asarray(leakage, np.float64)
    if x.ndim != 1 or not x.size or not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"`leakage` must hold draws within [0, 1], shape (n_draws,), but its shape is {x.shape}")
    return x


def _by_question(measure: Callable[[Floats], float]) -> Callable[[Arrays], Values]:
    def values(arrays: Arrays) -> Values:
        draws = np.asarray(arrays["unlearned.forget.leakage"], np.float64)
        found = [nan if np.isnan(row).any() else measure(row) for row in draws]
        return by_example(np.array(found, np.float64), arrays)

    return values


def _score(draws: Floats) -> float:
    return float(expected_deviation_score(draws[None])[0])


def _probabilistic(
    name: str, title: str, asks: str, formula: str, values: Callable[[Arrays], Values], high: float
) -> Metric:
    return Metric(
        name=name,
        title=title,
        family="probabilistic",
        asks=asks,
        formula=formula,
        better="reference",
        bounds=(0, high),
        scale="log",
        needs=("unlearned.forget.leakage", "data.forget.cluster"),
        values=values,
        summary=mean_of,
        source="arXiv 2410.03523",
        pitfalls="Depends on the number of draws: compare at one number only, and take 100 or more "
        "(`scoring.samples`), for with few the bounds say nothing. A retrained model leaks too. Over the questions "
        "that were sampled after (`scoring.prompts`).",
    )


SCORE = _probabilistic(
    "ED",
    "expectation-deviation score",
    "How much do sampled answers give away, on average and by chance?",
    "mean over forget questions of mean + 2 SD of the leakage of sampled answers",
    _by_question(_score),
    2.0,
)
EXPECTED = _probabilistic(
    "E-leak",
    "bound of the expected leakage",
    "How much may sampled answers give away on average, with 99 % confidence a question?",
    "mean over forget questions of Anderson's upper bound of the expected leakage",
    _by_question(expectation_bound),
    1.0,
)
SPREAD = _probabilistic(
    "SD-leak",
    "bound of the deviation of leakage",
    "How much may leakage vary from answer to answer, with 99 % confidence a question?",
    "mean over forget questions of the largest standard deviation within the band",
    _by_question(deviation_bound),
    0.5,
)

METRICS = (SCORE, EXPECTED, SPREAD)
"""None of them is judged."""
