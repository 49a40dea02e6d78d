"""Models by metrics: the table that every judgement about metrics starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vestige.metrics.base import Better
from vestige.stats.estimate import Estimate


@dataclass(frozen=True)
class ScoreTable:
    """Scores of models, one column a metric, in any order of rows.

    Attributes:
        models: one name a row; rows of a published table may share a name and differ in their labels.
        columns: metric or distance to its values, shape (n_models,), float64; NaN is a missing cell.
        better: orientation of every metric; columns that are in `columns` only are distances.
        labels: grouping columns ("dataset", "method", "seed", ...) to one label a row.
        reference: the retrained model's value of every metric whose orientation is "reference".
        estimates: metric to one `Estimate` a row, where there are intervals.
        machinery: metric or distance to the machinery it is made of; equal words mark built-in correlation.
        examples: metric or distance to its values by example, shape (n_models, n_examples); NaN is a missing one. All
            have the same examples, in one order.
        example_clusters: integer cluster of each example, shape (n_examples,); None where each is its own.
    """

    models: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]
    better: Mapping[str, Better]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reference: Mapping[str, float] = field(default_factory=dict)
    estimates: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)
    machinery: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    example_clusters: NDArray[np.int64] | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The oriented columns, in order."""
        return tuple(self.better)

    def oriented(self, metric: str) -> NDArray[np.float64]:
        """The column with higher = better: negated for "lower", minus the gap for "reference".

        >>> table = ScoreTable(("a", "b"), {"FA": np.array([0.0, 0.5])}, {"FA": "reference"}, reference={"FA": 0.25})
        >>> table.oriented("FA")
        array([-0.25, -0.25])
        """
        values = self.columns[metric]
        match self.better[metric]:
            case "higher":
                return values
            case "lower":
                return -values
            case "reference":
                return -np.abs(values - self.reference[metric])

    def rows(self, keep: NDArray[np.bool_]) -> "ScoreTable":
        """The table of the rows where `keep` is true."""
        index = np.flatnonzero(keep)
        return ScoreTable(
            models=tuple(self.models[i] for i in index),
            columns={name: values[index] for name, values in self.columns.items()},
            better=self.better,
            labels={name: tuple(column[i] for i in index) for name, column in self.labels.items()},
            reference=self.reference,
            estimates={name: tuple(column[i] for i in index) for name, column in self.estimates.items()},
            machinery=self.machinery,
            examples={name: values[index] for name, values in self.examples.items()},
            example_clusters=self.example_clusters,
        )
