"""What a metric is: values by unit, a summary over them, and everything that a reader must know about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vestige.stats.intervals import Scale

Better = Literal["higher", "lower", "reference"]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Values:
    """Named value arrays whose first axis counts units, and the cluster that each unit belongs to.

    Attributes:
        arrays: name to values, shape (n_units, ...).
        clusters: the same names to cluster ids, shape (n_units,). Ids are shared between arrays: a cluster that is
            left out is left out of all of them. Empty where nothing can be resampled.
    """

    arrays: Arrays
    clusters: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Metric:
    """One metric of the catalogue.

    Attributes:
        name: column name in tables and reports, for example "FA".
        title: the name spelled out.
        asks: the question that it answers, one sentence.
        formula: its definition in one line.
        better: "higher", "lower", or "reference" (closest to the retrained model's value is best).
        bounds: smallest and largest possible value.
        scale: the scale on which its interval is made.
        needs: names of the arrays that `values` reads, `<model>.<split>.<column>`.
        values: from the needed arrays to values by unit.
        summary: from the named value arrays to the number.
        source: paper, and equation or section.
        machinery: what it shares with a distance ("output divergence", ...); empty where nothing.
        pitfalls: what a reader gets wrong most often.
    """

    name: str
    title: str
    asks: str
    formula: str
    better: Better
    bounds: tuple[float, float]
    scale: Scale
    needs: tuple[str, ...]
    values: Callable[[Arrays], Values]
    summary: Callable[[Arrays], float]
    source: str
    machinery: str = ""
    pitfalls: str = ""

    @property
    def is_relative(self) -> bool:
        """Whether its value is relative to one retrained model."""
        return any(name.startswith(("retrained.", "versus.")) for name in self.needs)
