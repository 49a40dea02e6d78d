"""What a test says, and the choices that tests share."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any, Literal, get_args

Alternative = Literal["two-sided", "less", "greater"]
Method = Literal["auto", "exact", "asymptotic"]


@dataclass(frozen=True)
class Significance:
    """A statistic and the chance of one at least as extreme if there were nothing to find.

    Attributes:
        statistic: the statistic; NaN where it is undefined.
        p_value: its p-value, within [0, 1]; NaN where the statistic is.
        method: "exact" or "asymptotic", how the p-value was found; "undefined" where it is NaN.
    """

    statistic: float
    p_value: float
    method: Literal["exact", "asymptotic", "undefined"]


def undefined(statistic: float = nan) -> Significance:
    """The result where there is no p-value."""
    return Significance(statistic, nan, "undefined")


def check_choices(alternative: str, method: str = "auto") -> None:
    """Refuse names that are not a choice."""
    for name, seen, allowed in (
        ("alternative", alternative, get_args(Alternative)),
        ("method", method, get_args(Method)),
    ):
        if seen not in allowed:
            raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}, but it is {seen!r}")


def tail(statistic: float, below: Callable[[float], Any], alternative: str) -> float:
    """p-value from the distribution function `below`, symmetric around 0."""
    if alternative == "two-sided":
        return min(1.0, 2 * float(below(-abs(statistic))))
    return float(below(statistic if alternative == "less" else -statistic))
