"""The catalogue: every metric as one value, in the order of the report's columns."""

from vestige.metrics import (
    accuracy,
    activation,
    calibration,
    distribution,
    fade,
    forget_quality,
    muse,
    privacy,
    tofu,
)
from vestige.metrics.base import Better, Metric, Values, Variant
from vestige.metrics.estimate import estimate
from vestige.metrics.table import ScoreTable

METRICS: tuple[Metric, ...] = (
    *accuracy.METRICS,
    *privacy.METRICS,
    *activation.METRICS,
    *distribution.METRICS,
    *fade.METRICS,
    *tofu.METRICS,
    *forget_quality.METRICS,
    *muse.METRICS,
    *calibration.METRICS,
)
"""All metrics; those with `main` are judged for reliability."""

DISTANCES: tuple[Metric, ...] = (distribution.FUNCTIONAL_DISTANCE, activation.PARAMETER_DISTANCE)
"""Definitions of the distance to the retrained model, against which metrics are judged; the first is the default."""

__all__ = ["DISTANCES", "METRICS", "Better", "Metric", "ScoreTable", "Values", "Variant", "estimate"]
