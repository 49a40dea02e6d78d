"""A number with its interval and the scope that the interval speaks for."""

from dataclasses import dataclass
from math import isnan, nan


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its interval, and what was resampled to get it.

    Attributes:
        value: the point estimate, NaN where it is undefined.
        low: lower end of the interval, NaN where there is none.
        high: upper end of the interval, NaN where there is none.
        n: number of units behind the value.
        over: what was resampled, for example "authors"; empty where nothing was.
        fixed: what was held fixed, so what the interval does not speak for.
        n_clusters: number of independent units behind the interval.
        method: how the interval was made, for example "jackknife-t, logit scale".
        confidence_level: nominal coverage.
        n_undefined: resamples in which the statistic was undefined.
        reason: why `value`, or else the interval, is NaN; empty where neither is.

    >>> str(Estimate(0.25, 0.125, 0.5))
    '0.25 [0.12, 0.5]'
    >>> str(Estimate(float("nan"), reason="constant column"))
    'undefined (constant column)'
    """

    value: float
    low: float = nan
    high: float = nan
    n: int = 0
    over: str = ""
    fixed: tuple[str, ...] = ()
    n_clusters: int = 0
    method: str = ""
    confidence_level: float = 0.95
    n_undefined: int = 0
    reason: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether both ends are defined."""
        return not (isnan(self.low) or isnan(self.high))

    def __str__(self) -> str:
        if isnan(self.value):
            return f"undefined ({self.reason})"
        if not self.has_interval:
            return f"{self.value:.3g}"
        return f"{self.value:.3g} [{self.low:.2g}, {self.high:.2g}]"
