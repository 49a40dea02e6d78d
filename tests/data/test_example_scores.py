import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.data.columns import TableError
from vestige.data.example_scores import read_examples
from vestige.metrics.table import ScoreTable

TABLE = ScoreTable(
    models=("a", "b", "a"),
    columns={"FA": np.array([0.1, 0.2, 0.3]), "d": np.array([1.0, 2.0, 3.0])},
    better={"FA": "lower"},
    labels={"seed": ("1", "1", "2")},
)
LONG = {
    "model": ["a", "a", "b", "a"],
    "seed": [1, 1, 1, 2],
    "example": ["x", "y", "x", "y"],
    "cluster": ["u", "v", "u", "v"],
    "FA": [0.0, 1.0, 0.5, None],
}


def test_values_go_to_their_model_and_example():
    table = read_examples(LONG, TABLE)
    np.testing.assert_array_equal(table.examples["FA"], [[0.0, 1.0], [0.5, np.nan], [np.nan, np.nan]])
    assert table.example_clusters.tolist() == [0, 1]
    assert table.columns is TABLE.columns


def test_without_clusters_every_example_is_its_own():
    assert read_examples({k: v for k, v in LONG.items() if k != "cluster"}, TABLE).example_clusters is None


def test_the_examples_of_kept_rows_are_kept():
    kept = read_examples(LONG, TABLE).rows(np.array([False, True, False]))
    np.testing.assert_array_equal(kept.examples["FA"], [[0.5, np.nan]])
    assert kept.example_clusters.tolist() == [0, 1]


@given(st.permutations(range(4)))
def test_the_order_of_the_long_rows_only_orders_the_examples(order):
    shuffled = read_examples({name: [cells[i] for i in order] for name, cells in LONG.items()}, TABLE)
    first = LONG["example"][order[0]] == "x"
    expected = read_examples(LONG, TABLE).examples["FA"][:, :: 1 if first else -1]
    np.testing.assert_array_equal(shuffled.examples["FA"], expected)


@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ({"model": ["a", "a", "c", "a"]}, {}, "row 3 by example is of c, 1, which is no model"),
        ({"example": ["x", "x", "x", "y"]}, {}, "example 'x' of 'a' occurs more than once"),
        ({"cluster": ["u", "v", "w", "v"]}, {}, "example 'x' lies in two clusters"),
        ({"cluster": ["u", "", "u", "v"]}, {}, "'cluster' has empty cells"),
        ({"FA": ["?", 1, 1, 1]}, {}, "row 1 of column 'FA' holds"),
        ({}, {"example": "question"}, "no column 'question'"),
        ({"seed": [1, 1, 1, 1], "example": ["x", "y", "x", "z"]}, {}, "no value by example of 'a'"),
    ],
)
def test_bad_values_by_example_are_refused_in_one_sentence(changes, asked, words):
    with pytest.raises(TableError, match=words):
        read_examples({**LONG, **changes}, TABLE, **asked)


def test_rows_that_cannot_be_told_apart_and_foreign_columns_are_refused():
    without_seed = {name: cells for name, cells in LONG.items() if name != "seed"}
    with pytest.raises(TableError, match=r"rows of the table share a name.*seed"):
        read_examples(without_seed, TABLE)
    with pytest.raises(TableError, match="no column by example is one of the table's: FA, d"):
        read_examples({name: cells for name, cells in LONG.items() if name != "FA"}, TABLE)
