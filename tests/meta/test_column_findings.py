from dataclasses import replace

import numpy as np

from vestige.meta import column_findings
from vestige.meta.layout import lay_out
from vestige.meta.oracle import track
from vestige.meta.quality import composite
from vestige.meta.reliability import reliability
from vestige.metrics.table import ScoreTable


def layout_of(labels=None, better=None, **columns):
    n = len(next(iter(columns.values())))
    values = {name: np.array(column, dtype=float) for name, column in columns.items()}
    better = better or dict.fromkeys((name for name in columns if name != "gap"), "higher")
    return lay_out(ScoreTable(tuple(f"m{i}" for i in range(n)), values, better, labels or {}))


def codes(findings):
    return [(finding.code, finding.columns) for finding in findings]


def test_copies_of_columns_and_rows_are_found():
    layout = layout_of(A=[1, 2, np.nan, 4], B=[1, 2, np.nan, 4], C=[4, 3, 2, 1])
    assert codes(column_findings.duplicate_columns(layout)) == [("duplicate_columns", ("A", "B"))]
    (found,) = column_findings.duplicate_rows(layout_of(A=[1, 2, 1], B=[0.0, 2, -0.0]))
    assert "m0 and m2 (rows 1 and 3)" in found.message
    assert list(column_findings.duplicate_rows(layout_of(A=[1, 1, 1]))) == []  # one column of ties is no copy


def test_most_models_at_one_end_are_found_in_both_orientations():
    columns = {"A": [0, 0, 0, 1], "B": [1, 2, 3, 4]}
    assert codes(column_findings.at_one_end(layout_of(**columns))) == [("floored_column", ("A",))]
    lower = layout_of(better={"A": "lower", "B": "higher"}, **columns)
    assert codes(column_findings.at_one_end(lower)) == [("saturated_column", ("A",))]


def test_one_training_seed_is_said():
    assert codes(column_findings.one_training_seed(layout_of({"seed": ("7", "7")}, A=[1, 2])))
    assert not codes(column_findings.one_training_seed(layout_of({"seed": ("7", "8")}, A=[1, 2])))


def test_a_planted_reversal_is_found_and_noise_is_none():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 10)
    method = np.tile([f"u{i}" for i in range(10)], 4)
    within = np.tile(rng.normal(size=10), 4)
    score = within + 10.0 * group + 0.3 * rng.normal(size=40)
    closeness = within - 10.0 * group + 0.3 * rng.normal(size=40)
    labels = {"dataset": tuple(map(str, group)), "method": tuple(method)}

    def found(x):
        table = ScoreTable(tuple(method), {"A": x, "gap": -closeness}, {"A": "higher"}, labels)
        return codes(column_findings.reversals(track(lay_out(table, ("dataset",), ("method",)), "gap")))

    assert found(score) == [("reversal", ("A", "gap"))]
    assert found(rng.normal(size=40)) == []


def test_weights_that_depend_on_a_fold_are_named(make_table):
    quality = composite(lay_out(make_table({"a": 1.0, "b": 0.5}), clusters=("method",)), "gap")
    shaky = replace(quality, weights_by_fold={"x": {"a": 0.9, "b": 0.1}, "y": {"a": 0.5, "b": 0.5}})
    steady = replace(quality, weights_by_fold={"x": {"a": 0.6, "b": 0.4}, "y": {"a": 0.5, "b": 0.5}})
    assert codes(column_findings.unstable_weights(shaky)) == [("unstable_weights", ("a", "b"))]
    assert codes(column_findings.unstable_weights(steady)) == []


def test_forgetting_more_than_retraining_is_a_warning():
    source = {"model": ["u", "v", "r0", "r1", "r2"], "FA": [0.0, 0.2, 0.19, 0.2, 0.21], "RA": [1, 0.9, 0.9, 0.9, 0.8]}
    result = reliability(source, better={"FA": "lower", "RA": "higher"}, retrained=("r0", "r1", "r2"))
    (found,) = [f for f in result.findings if f.code == "over_forgetting"]
    assert found.columns == ("FA",) and "FA of u lies below" in found.message
