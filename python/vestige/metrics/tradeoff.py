"""Forgetting at equal utility, and repair of what bad training data did."""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """A forgetting score at the utility that all methods are compared at.

    Attributes:
        share: share of the original's weights in the mixture that has this utility; NaN if none was tried that does.
        score: the forgetting score there.
        reason: why it is undefined; empty where it is not.
    """

    share: float
    score: float
    reason: str = ""


def utility_matched(
    shares: ArrayLike, utility: ArrayLike, score: ArrayLike, original_utility: float, kept: float = 0.95
) -> Matched:
    """Forgetting score of a method once weights are mixed back until utility is kept: no method wins by destruction.

    Mixtures are (1 - share) unlearned + share original. The smallest share from which on utility stays at or above
    `kept` of the original's is found on straight lines between the shares that were tried.

    Args:
        shares: shares of the original that were tried, shape (n_shares,), rising, within [0, 1].
        utility: utility of each mixture, same shape, higher = better.
        score: forgetting score of each mixture, same shape, any orientation.
        original_utility: of the original, above 0.
        kept: share of it that must be kept.

    Returns:
        The score at the matched utility.

    Raises:
        ValueError: if shapes differ, shares do not rise, or the original's utility is not above 0.

    Source: Wang et al. (2025), Towards effective evaluations and comparisons for LLM unlearning methods, arXiv
        2406.09179 (UWC: calibration by mixing weights); interpolation: defined here.

    >>> utility_matched([0.0, 0.5, 1.0], [0.5, 0.75, 1.0], [0.0, 0.5, 1.0], 1.0, kept=0.875)
    Matched(share=0.75, score=0.75, reason='')
    """
    alpha, useful, values = (np.asarray(part, np.float64) for part in (shares, utility, score))
    if alpha.ndim != 1 or not alpha.shape == useful.shape == values.shape or (np.diff(alpha) <= 0).any():
        raise ValueError(
            f"`shares` must rise and have the shape of `utility` and `score`, but they are {alpha.tolist()}, "
            f"{useful.shape} and {values.shape}"
        )
    if not original_utility > 0:
        raise ValueError(f"`original_utility` must be above 0, but it is {original_utility}")
    target = kept * original_utility
    if np.isnan(useful).any() or not len(alpha) or not useful[-1] >= target:
        return Matched(nan, nan, f"no mixture that was tried keeps a utility of {target:.3g}")
    below = np.flatnonzero(useful < target)
    if not below.size:
        return Matched(float(alpha[0]), float(values[0]))
    i = int(below[-1])
    way = (target - useful[i]) / (useful[i + 1] - useful[i])
    share, matched = (float(part[i] + way * (part[i + 1] - part[i])) for part in (alpha, values))
    return Matched(share, matched)


@dataclass(frozen=True)
class Correction:
    """How much of the damage of bad data is repaired as more of it is found.

    Attributes:
        found: share of the bad data that was given to the method, shape (n_steps,).
        repaired: share of the damage that is repaired at each, shape (n_steps,); 1 = as if retrained without all of
            it, above 1 = better than that, below 0 = worse than before.
        area: mean over the shares tried, by trapezoids; 1 = full repair throughout.
    """

    found: Floats
    repaired: Floats
    area: float


def corrective_curve(found: ArrayLike, accuracy: ArrayLike, damaged: float, retrained: float) -> Correction:
    """Corrective unlearning: accuracy on what bad data spoiled, as a share of the way to the retrained model.

    Args:
        found: shares of the bad data that the method was given, shape (n_steps >= 2,), rising, within [0, 1].
        accuracy: of the unlearned models on the spoiled domain, by true labels, same shape.
        damaged: accuracy of the original there.
        retrained: accuracy there of a model trained without any of the bad data.

    Returns:
        The curve. NaN where the bad data did no damage (`retrained` is not above `damaged`).

    Raises:
        ValueError: if shapes differ or `found` does not rise.

    Source: Goel et al. (2024), Corrective machine unlearning, arXiv 2402.14015 (curves over the share identified);
        normalisation: defined here.

    >>> corrective_curve([0.5, 1.0], [0.6, 0.8], damaged=0.4, retrained=0.8).repaired.round(6).tolist()
    [0.5, 1.0]
    """
    shares, values = np.asarray(found, np.float64), np.asarray(accuracy, np.float64)
    if shares.ndim != 1 or shares.shape != values.shape or len(shares) < 2 or (np.diff(shares) <= 0).any():
        raise ValueError(f"`found` must rise over two shares or more, one an `accuracy`, but is {shares.tolist()}")
    way = retrained - damaged
    repaired = (values - damaged) / way if way > 0 else np.full(len(values), nan)
    area = float(trapezoid(repaired, shares) / (shares[-1] - shares[0]))
    return Correction(shares, repaired, area)
