import numpy as np
import pytest

from vestige.meta.layout import lay_out
from vestige.metrics.table import ScoreTable


def table():
    """Two benchmarks, two methods, two seeds; one missing score."""
    labels = [(d, m, s) for d in "de" for s in "12" for m in ("GA", "SSD")]
    return ScoreTable(
        models=tuple(m for _, m, _ in labels),
        columns={"RA": np.array([1.0, 2, 3, 4, 5, 6, 7, np.nan]), "FA": np.arange(8.0)},
        better={"RA": "higher", "FA": "lower"},
        labels={
            "dataset": tuple(d for d, _, _ in labels),
            "method": tuple(m for _, m, _ in labels),
            "seed": tuple(s for *_, s in labels),
        },
    )


def test_scores_are_oriented():
    np.testing.assert_array_equal(lay_out(table()).scores[:, 1], -np.arange(8.0))


def test_strata_are_groups_that_are_clusters_and_units_are_models():
    layout = lay_out(table(), groups=("dataset", "seed"), clusters=("dataset",))
    assert layout.stratum_columns == ("dataset",)
    assert layout.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert layout.strata.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert layout.units.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert (layout.n_clusters, layout.over) == (2, "datasets")


def test_cells_average_the_seeds_and_leave_missing_values_out():
    cells, strata = lay_out(table(), groups=("dataset", "seed"), clusters=("dataset",)).cells(
        table().columns["RA"][:, None]
    )
    assert cells.ravel().tolist() == [2.0, 3.0, 6.0, 6.0]
    assert strata.tolist() == [0, 0, 1, 1]


def test_clusters_that_are_no_groups_are_the_exchangeable_units():
    layout = lay_out(table(), clusters=("method",))
    assert layout.stratum_columns == ()
    assert layout.units.tolist() == layout.clusters.tolist() == [0, 1] * 4
    assert not layout.strata.any()


def test_without_clusters_every_row_is_one_and_groups_are_strata():
    layout = lay_out(table(), groups=("dataset",))
    assert layout.stratum_columns == ("dataset",)
    assert layout.n_clusters == 8
    assert layout.over == "rows"


def test_an_unknown_label_is_named_with_its_neighbours():
    with pytest.raises(ValueError, match=r"no label column 'data'.*dataset"):
        lay_out(table(), groups=("data",))
