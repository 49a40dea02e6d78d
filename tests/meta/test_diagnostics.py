from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from vestige.meta.agreement import agreement
from vestige.meta.diagnostics import Evidence, diagnose, index_order_tau, naive_p
from vestige.meta.layout import lay_out
from vestige.meta.oracle import track
from vestige.meta.quality import composite
from vestige.metrics.table import ScoreTable


def found(table, *, clusters=("method",), groups=(), distance="gap", **evidence):
    layout = lay_out(table, groups, clusters)
    tracking = track(layout, distance) if distance else ()
    findings = diagnose(Evidence(layout, agreement(layout), tracking, **evidence))
    return {(finding.code, finding.columns): finding for finding in findings}


def codes(findings):
    return {code for code, _ in findings}


def with_column(table, **columns):
    return replace(table, columns={**table.columns, **columns})


def test_a_clean_table_has_only_the_note_that_rows_are_dependent(make_table):
    assert codes(found(make_table({"a": 2.0, "b": 2.0}))) == {"dependent_rows"}


def test_a_constant_column_is_an_artefact(make_table):
    findings = found(with_column(make_table({"a": 2.0, "b": 2.0}), b=np.full(39, 0.5)))
    assert findings["constant_column", ("b",)].severity == "artefact"
    assert ("constant_column", ("a",)) not in findings


def test_constant_groups_are_counted():
    rng = np.random.default_rng(0)
    x = rng.random(20)
    x[:5] = 0.0
    table = ScoreTable(
        tuple("abcde" * 4),
        {"x": x, "y": rng.random(20)},
        {"x": "higher", "y": "higher"},
        {"d": tuple("pqrs"[i // 5] for i in range(20))},
    )
    finding = found(table, groups=("d",), clusters=("d",), distance=None)["constant_column", ("x",)]
    assert finding.evidence == {"constant_groups": 1, "groups": 4}
    assert "1 of 4 groups (d)" in finding.message


def test_ties_above_a_tenth_of_the_pairs_are_a_warning(make_table):
    table = make_table({"a": 2.0, "b": 2.0})
    finding = found(with_column(table, b=np.arange(39) % 4 * 1.0))["ties", ("b",)]
    x = np.arange(39) % 4
    pairs = [x[i] == x[j] for i in range(39) for j in range(i)]
    assert finding.evidence["tied_share"] == pytest.approx(np.mean(pairs))


def test_index_order_tau_is_tau_of_argsort_ranks():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (9, 3)).astype(float)
    table = ScoreTable(tuple("abcdefghi"), dict(zip("xyz", scores.T, strict=True)), dict.fromkeys("xyz", "higher"))
    ranks = np.argsort(np.argsort(-scores, axis=0, kind="stable"), axis=0, kind="stable")
    expected = [[stats.kendalltau(ranks[:, i], ranks[:, j]).statistic for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(index_order_tau(lay_out(table)), expected, atol=1e-12)


def test_agreement_invented_by_row_order_is_named_with_both_values():
    table = ScoreTable(tuple("abcdef"), {"x": np.zeros(6), "y": np.zeros(6)}, {"x": "higher", "y": "higher"})
    finding = found(table, clusters=(), distance=None)["index_order_tau", ("x", "y")]
    assert "x-y +1.00 (tau-b undefined)" in finding.message
    assert finding.severity == "artefact"
    assert "invents agreement" in finding.message


def test_agreement_that_row_order_would_invent_is_a_note_until_it_is_printed():
    columns = {"x": np.array([1.0, 0, 0, 0, 0, 0]), "y": np.array([0.0, 1, 0, 0, 0, 0])}
    table = ScoreTable(tuple("abcdef"), columns, {"x": "higher", "y": "higher"})
    note = found(table, clusters=(), distance=None)["index_order_tau", ("x", "y")]
    assert note.severity == "note"
    assert "would invent agreement" in note.message
    printed = found(table, clusters=(), distance=None, by_row_order=True)["index_order_tau", ("x", "y")]
    assert printed.severity == "artefact"
    assert "invents agreement" in printed.message


def test_naive_p_is_what_papers_print():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 25))
    theirs = stats.spearmanr(x, y)
    assert naive_p(theirs.statistic, 25) == pytest.approx(theirs.pvalue, rel=1e-10)
    assert naive_p(1.0, 9) == 0.0
    assert np.isnan(naive_p(0.5, 2))


def test_a_metric_that_only_tells_benchmarks_apart_is_an_artefact():
    rng = np.random.default_rng(0)
    dataset = np.repeat(np.arange(4), 5)
    columns = {"x": 10.0 * dataset + rng.normal(size=20), "gap": -10.0 * dataset + rng.normal(size=20)}
    table = ScoreTable(tuple("abcde" * 4), columns, {"x": "higher"}, {"d": tuple("pqrs"[i] for i in dataset)})
    finding = found(table, groups=("d",), clusters=("d",))["between_group_only", ("x", "gap")]
    assert finding.severity == "artefact"
    assert "compares ds, not models" in finding.message


def test_an_orientation_against_the_evidence_is_a_warning(make_table):
    findings = found(replace(make_table({"a": 3.0, "b": 3.0}), better={"a": "lower", "b": "higher"}))
    finding = findings["orientation_contradicted", ("a", "gap")]
    assert finding.evidence["high"] < 0
    assert "relabelling p" in finding.message
    assert ("orientation_contradicted", ("b", "gap")) not in findings


def test_shared_machinery_is_a_warning(make_table):
    table = make_table({"a": 1.0, "b": 1.0}, machinery={"a": "output divergence", "gap": "output divergence"})
    assert "output divergence" in found(table)["shares_machinery", ("a", "gap")].message


def test_a_diverged_row_is_named(make_table):
    table = make_table({"a": 2.0, "b": 2.0})
    values = table.columns["b"].copy()
    values[4] = 1e9
    finding = found(with_column(table, b=values))["diverged", ("b",)]
    assert "m1@1" in finding.message
    assert finding.evidence["rows"] == 1
    values[30] = -1e10
    assert "up to 1e+10 (m10@0)" in found(with_column(table, b=values))["diverged", ("b",)].message


def test_missing_cells_are_counted(make_table):
    table = make_table({"a": 2.0, "b": 2.0})
    values = table.columns["b"].copy()
    values[[2, 9]] = np.nan
    assert found(with_column(table, b=values))["missing_cells", ("b",)].evidence == {"missing": 2, "rows": 39}


def test_few_models_and_few_clusters_are_warnings():
    table = ScoreTable(tuple("abcd"), {"x": np.arange(4.0), "y": np.arange(4.0) ** 2}, {"x": "higher", "y": "higher"})
    findings = found(table, clusters=(), distance=None)
    assert findings["few_items", ()].evidence["smallest_p"] == pytest.approx(2 / 24)
    assert "too_few_clusters" in codes(findings)


def test_a_single_retrained_model_is_a_warning_when_it_is_known(make_table):
    table = make_table({"a": 1.0, "b": 1.0})
    assert "one_retrained_seed" in codes(found(table, n_retrained=1))
    assert "one_retrained_seed" not in codes(found(table, n_retrained=3))
    assert "one_retrained_seed" not in codes(found(table))


def test_agreement_made_by_collapsed_models_is_named(make_table):
    table = make_table({"a": 0.0, "b": 0.0})
    collapsed = np.arange(39) < 8
    both_low = with_column(table, **{n: np.where(collapsed, -50.0 - np.arange(39), table.columns[n]) for n in "ab"})
    finding = found(both_low, collapsed=collapsed)["collapse_drives_agreement", ("a", "b")]
    assert finding.evidence["a-b all"] > 0.3
    assert abs(finding.evidence["a-b without collapsed"]) < 0.2
    assert "collapse_drives_agreement" not in codes(found(both_low))


def test_a_composite_that_gains_nothing_is_a_warning(make_table):
    table = make_table({"good": 4.0, "noise": 0.0, "more": 0.0})
    layout = lay_out(table, (), ("method",))
    quality = composite(layout, "gap")
    finding = found(table, quality=quality)["composite_not_better", ("good",)]
    assert finding.evidence["best_single"] > finding.evidence["composite"]


def test_the_worst_comes_first(make_table):
    table = with_column(make_table({"a": 2.0, "b": 2.0}), b=np.zeros(39))
    severities = [finding.severity for finding in found(table).values()]
    assert severities == sorted(severities, key=("artefact", "warning", "note").index)
