from dataclasses import replace

import numpy as np

from vestige.meta import column_findings
from vestige.meta.agreement import agreement
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


def test_columns_of_p_values_are_named():
    layout = layout_of(p_value=[0.1, 0.5], ks_p=[0.2, 1.0], forget_quality=[0.0, 0.3], FQ=[2.0, 0.3], ppl=[0.1, 0.2])
    found = [columns for _, columns in codes(column_findings.p_value_columns(layout))]
    assert found == [("p_value",), ("ks_p",), ("forget_quality",)]  # FQ has a value that no p-value has


def test_distances_between_weights_are_noted():
    layout = layout_of(better={"A": "higher"}, A=[1, 2], lora_distance=[1, 2], gap=[1, 2])
    assert codes(column_findings.parameter_distances(layout)) == [("parameter_distance", ("lora_distance",))]
    marked = replace(layout, table=replace(layout.table, machinery={"gap": "parameters"}))
    assert len(codes(column_findings.parameter_distances(marked))) == 2


def test_tests_that_count_alone_only_are_counted(make_table):
    layout = lay_out(make_table({"a": 2.0, "b": 0.0}), clusters=("method",))
    tracking = track(layout, "gap")
    alone = [
        replace(entry, p=0.04, p_adjusted=adjusted) for entry, adjusted in zip(tracking, (0.01, 0.08), strict=True)
    ]
    family = replace(agreement(layout), p=np.full((2, 2), 0.3), p_adjusted=np.full((2, 2), 0.3))
    (found,) = column_findings.uncorrected_tests(family, alone)
    assert found.evidence == {"alone": 2, "adjusted": 1} and "2 metrics against gap" in found.message
    assert codes(column_findings.uncorrected_tests(family, alone[:1])) == []


def test_a_metric_on_which_the_original_looks_retrained_fails_its_control():
    source = {
        "model": ["u", "v", "full", "r0", "r1", "r2"],
        "FA": [0.3, 0.1, 0.2, 0.19, 0.2, 0.21],
        "JS": [0.3, 0.1, 0.9, 0.01, 0.02, 0.01],
        "RA": [0.7, 0.8, 0.9, 0.9, 0.9, 0.8],
    }
    better = {"FA": "lower", "JS": "lower", "RA": "higher"}
    result = reliability(source, better=better, retrained=("r0", "r1", "r2"), original="full")
    (found,) = [f for f in result.findings if f.code == "failed_control"]
    assert found.columns == ("FA",) and found.severity == "artefact"
    seen = {**source, "FA": [0.3, 0.1, 0.8, 0.19, 0.2, 0.21]}
    judged = reliability(seen, better=better, retrained=("r0", "r1", "r2"), original="full")
    assert "failed_control" not in {f.code for f in judged.findings}
