"""What a user asks of the weights of a composite: least and largest weights, and what matters more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Constraints:
    """What the weights of a composite must satisfy.

    Attributes:
        least: metric to its smallest weight, within [0, 1]; a required metric has one above 0.
        most: metric to its largest weight (its cap), within [0, 1].
        metric_priority: metric to a factor on its weight, above 0; 1 where none is given. How much a risk matters.
        task_priority: benchmark or group to a factor, above 0; 1 where none is given. Correlations from which weights
            are learnt, and scores of a model over benchmarks, are averaged with these factors.
    """

    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    metric_priority: Mapping[str, float] = field(default_factory=dict)
    task_priority: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightRule:
    """Constraints resolved for the metrics and tasks of one table.

    Attributes:
        lower: smallest weight of each metric, shape (n_metrics,).
        upper: largest weight of each metric, same shape.
        metric_factors: factor on the weight of each metric, same shape.
        task_factors: factor of each task in averages over tasks, shape (n_tasks,).
    """

    lower: Floats
    upper: Floats
    metric_factors: Floats
    task_factors: Floats

    def applied(self, weights: Floats) -> Floats:
        """Weights with the factors of their metrics, within the limits."""
        return within_limits(weights * self.metric_factors, self.lower, self.upper)


def weight_rule(constraints: Constraints, metrics: Sequence[str], tasks: Sequence[str]) -> WeightRule:
    """The constraints by position, after their names and limits were checked.

    Raises:
        ValueError: if a metric or task is unknown, a factor is not above 0, or no weighting satisfies the limits.

    >>> rule = weight_rule(Constraints(metric_priority={"RA": 3.0}), ("FA", "RA"), ("d",))
    >>> rule.applied(np.array([0.5, 0.5])).tolist()
    [0.25, 0.75]
    """
    return WeightRule(
        *weight_limits(constraints, metrics),
        priorities(constraints.metric_priority, metrics, "metric_priority"),
        priorities(constraints.task_priority, tasks, "task_priority"),
    )


def weight_limits(constraints: Constraints, metrics: Sequence[str]) -> tuple[Floats, Floats]:
    """Smallest and largest weight of each metric, as far as the constraints alone say.

    Args:
        constraints: what the user asks for.
        metrics: names of the metrics.

    Returns:
        Two arrays, shape (n_metrics,), float64, within [0, 1].

    Raises:
        ValueError: if a metric is unknown, a limit lies outside [0, 1], or no weighting satisfies all.

    Source: defined here.

    >>> weight_limits(Constraints(least={"RA": 0.2}), ("FA", "RA"))
    (array([0. , 0.2]), array([1., 1.]))
    """
    for name, limits in (("least", constraints.least), ("most", constraints.most)):
        _refuse_unknown(limits, metrics, name)
        for metric, limit in limits.items():
            if not 0 <= limit <= 1:
                raise ValueError(f"{name} of {metric} must lie within [0, 1], got {limit}")
    lower = np.array([constraints.least.get(metric, 0.0) for metric in metrics])
    upper = np.array([constraints.most.get(metric, 1.0) for metric in metrics])
    crossed = [metric for metric, low, high in zip(metrics, lower, upper, strict=True) if low > high]
    if crossed:
        raise ValueError(f"the least weight of {', '.join(crossed)} is above the largest one allowed; lower `least`")
    if lower.sum() > 1 + 1e-12 or upper.sum() < 1 - 1e-12:
        raise ValueError(
            f"weights sum to 1, but the least ones sum to {lower.sum():.3g} and the largest ones to "
            f"{upper.sum():.3g}; lower `least` or raise `most`"
        )
    return lower, upper


def priorities(factors: Mapping[str, float], names: Sequence[str], what: str) -> Floats:
    """The factor of each name, 1 where none is given, shape (n_names,).

    Raises:
        ValueError: if a name is unknown or a factor is not above 0.

    >>> priorities({"b": 3.0}, ("a", "b"), "task_priority")
    array([1., 3.])
    """
    _refuse_unknown(factors, names, what)
    for name, factor in factors.items():
        if not (factor > 0 and np.isfinite(factor)):
            raise ValueError(f"{what} of {name} must be above 0 and finite, got {factor}; leave a metric out instead")
    return np.array([factors.get(name, 1.0) for name in names], dtype=np.float64)


def _refuse_unknown(given: Mapping[str, float], known: Sequence[str], what: str) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{what} names {', '.join(unknown)}, but there are {', '.join(known)}")


def within_limits(weights: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Floats:
    """Weights in the given proportions as far as limits allow: `clip(c * weights, lower, upper)` with sum 1.

    Args:
        weights: proportions, shape (n_metrics,), above 0.
        lower: smallest weights, same shape, sum at most 1.
        upper: largest weights, same shape, sum at least 1.

    Returns:
        Shape (n_metrics,), float64, sum 1. Weights that no limit holds keep their proportions.

    Source: defined here; the usual filling of water to a common level.

    >>> within_limits([0.6, 0.2, 0.2], [0, 0, 0], [0.5, 1, 1])
    array([0.5 , 0.25, 0.25])
    """
    given, low, high = (np.asarray(part, dtype=np.float64) for part in (weights, lower, upper))
    # The sum grows with the level, linearly between the levels at which some weight meets a limit.
    levels = np.unique(np.concatenate([low / given, high / given]))
    sums = np.clip(levels[:, None] * given, low, high).sum(axis=1)
    filled: Floats = np.clip(np.interp(1.0, sums, levels) * given, low, high)
    return filled / filled.sum()


def least_sum(values: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Floats:
    """The smallest weighted sum of each row over all weightings within the limits: mass goes to the lowest values.

    Args:
        values: shape (..., n_metrics).
        lower: smallest weights, shape (n_metrics,), sum at most 1.
        upper: largest weights, same shape, sum at least 1.

    Returns:
        Shape (...), float64, in the unit of `values`; without limits the smallest value.

    Source: the greedy solution of the fractional knapsack problem, Dantzig (1957).

    >>> least_sum([3.0, 1.0, 2.0], [0, 0, 0], [1, 0.5, 1])
    array(1.5)
    """
    table, low, high = (np.asarray(part, dtype=np.float64) for part in (values, lower, upper))
    order = np.argsort(table, axis=-1)
    ordered, room = np.take_along_axis(table, order, axis=-1), (high - low)[order]
    before = np.cumsum(room, axis=-1) - room
    taken = np.clip(1 - low.sum() - before, 0, room)
    return np.asarray(table @ low + (ordered * taken).sum(axis=-1))
