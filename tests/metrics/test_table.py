import numpy as np
import pytest

from vestige.metrics import ScoreTable

TABLE = ScoreTable(
    models=("a", "b", "c"),
    columns={"FA": np.array([0.0, 0.2, 0.6]), "RA": np.array([0.9, 0.8, 0.7]), "d": np.array([1.0, 2.0, 3.0])},
    better={"FA": "reference", "RA": "higher"},
    labels={"method": ("x", "x", "y")},
    reference={"FA": 0.25},
)


def test_orientation_makes_higher_better():
    np.testing.assert_allclose(TABLE.oriented("FA"), [-0.25, -0.05, -0.35])
    np.testing.assert_array_equal(TABLE.oriented("RA"), TABLE.columns["RA"])
    lower = ScoreTable(TABLE.models, TABLE.columns, {"FA": "lower"})
    np.testing.assert_array_equal(lower.oriented("FA"), -TABLE.columns["FA"])


def test_rows_keeps_everything_of_the_kept():
    kept = TABLE.rows(np.array([True, False, True]))
    assert kept.models == ("a", "c") and kept.labels == {"method": ("x", "y")}
    np.testing.assert_array_equal(kept.columns["d"], [1.0, 3.0])
    assert kept.metrics == ("FA", "RA")


def test_a_distance_has_no_orientation():
    with pytest.raises(KeyError):
        TABLE.oriented("d")
