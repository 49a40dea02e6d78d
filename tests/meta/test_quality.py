import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from vestige.meta.layout import lay_out
from vestige.meta.quality import composite, fold_labels, fold_mean, learn_weights, rank_fisher, rank_scores, weighted
from vestige.meta.weights import Constraints
from vestige.metrics.table import ScoreTable


def weights_reference(scores, closeness, blocks):
    """Mean Spearman within blocks where defined, negatives 0, half learnt and half equal."""
    credit = []
    for column in scores.T:
        rhos = []
        for block in sorted(set(blocks)):
            x, y = column[blocks == block], closeness[blocks == block]
            if np.ptp(x) > 0 and np.ptp(y) > 0 and len(x) > 2:
                rhos.append(stats.spearmanr(x, y).statistic)
        credit.append(max(0.0, np.mean(rhos)) if rhos else 0.0)
    total, n = sum(credit), len(credit)
    return np.array([0.5 / n + 0.5 * (c / total if total else 1 / n) for c in credit])


def benchmarks(effects, *, seed=0, n_sets=4, n_methods=8, shift=5.0):
    """Benchmarks that differ in level; `effects` say how each metric follows closeness inside them."""
    rng = np.random.default_rng(seed)
    dataset = np.repeat(np.arange(n_sets), n_methods)
    closeness = rng.normal(size=len(dataset))
    columns = {
        name: effect * closeness + rng.normal(size=len(dataset)) + shift * dataset for name, effect in effects.items()
    }
    table = ScoreTable(
        tuple(f"m{i}" for _ in range(n_sets) for i in range(n_methods)),
        {**columns, "gap": -closeness - shift * dataset},
        dict.fromkeys(effects, "higher"),
        {"dataset": tuple(f"d{d}" for d in dataset)},
    )
    return lay_out(table, ("dataset",), ("dataset",))


@pytest.mark.parametrize("seed", range(5))
def test_weights_match_the_definition(seed):
    rng = np.random.default_rng(seed)
    scores, closeness, blocks = rng.normal(size=(20, 4)), rng.normal(size=20), np.arange(20) // 7
    scores[blocks == 1, 2] = 0.0
    weights = learn_weights(scores, closeness, blocks)
    np.testing.assert_allclose(weights, weights_reference(scores, closeness, blocks), rtol=1e-12)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0.125


def test_rank_scores_are_midranks_within_blocks():
    scores = np.random.default_rng(0).integers(0, 4, (12, 2)).astype(float)
    blocks = np.arange(12) // 4
    for block in range(3):
        expected = (stats.rankdata(scores[blocks == block], axis=0) - 0.5) / 4
        np.testing.assert_allclose(rank_scores(scores, blocks)[blocks == block], expected)


def test_a_missing_score_leaves_its_weight_to_the_others():
    assert weighted(np.array([[0.2, np.nan], [0.2, 0.8]]), np.array([0.5, 0.5])).tolist() == [0.2, 0.5]
    assert np.isnan(weighted(np.array([[np.nan, np.nan]]), np.array([0.5, 0.5]))[0])


def test_the_fold_interval_is_the_t_interval_of_fishers_z():
    z = np.array([0.2, 0.7, 0.4, 0.9])
    estimate = fold_mean(z, n=40, over="folds")
    exact = stats.ttest_1samp(z, 0).confidence_interval(0.95)
    assert estimate.value == pytest.approx(math.tanh(z.mean()))
    assert (estimate.low, estimate.high) == pytest.approx((math.tanh(exact.low), math.tanh(exact.high)), rel=1e-9)


def test_a_perfect_order_counts_as_half_a_swap_short_of_it():
    x = np.arange(6.0)
    one_swap = np.array([1.0, 0, 2, 3, 4, 5])
    assert math.tanh(rank_fisher(x, x)) == pytest.approx((1 + stats.spearmanr(x, one_swap).statistic) / 2)


def test_good_metrics_get_weight_and_the_composite_holds_on_held_out_benchmarks():
    quality = composite(benchmarks({"good": 4.0, "noise": 0.0, "bad": -4.0}, n_methods=12), "gap")
    assert quality.weights["good"] > 0.5 > quality.weights["noise"] >= quality.weights["bad"]
    assert quality.weights["bad"] == pytest.approx(1 / 6)
    assert sum(quality.weights.values()) == pytest.approx(1)
    assert set(quality.weights_by_fold) == {"d0", "d1", "d2", "d3"}
    assert quality.rho_held_out.low > 0
    assert quality.best_single == "good"
    assert quality.best_single_held_out.value > quality.equal_weights_held_out.value
    assert quality.rho_held_out.n_clusters == 4


def test_on_noise_the_held_out_composite_is_worth_nothing_though_in_sample_it_shines():
    held_out, in_sample, excludes = [], [], 0
    for seed in range(30):
        quality = composite(benchmarks(dict.fromkeys("abcdef", 0.0), seed=seed, n_sets=3), "gap")
        held_out.append(quality.rho_held_out.value)
        in_sample.append(quality.rho_in_sample.value)
        excludes += quality.rho_held_out.low > 0 or quality.rho_held_out.high < 0
    assert abs(np.mean(held_out)) < 0.12
    assert np.mean(in_sample) > 0.15
    assert excludes <= 5


def test_shifts_between_benchmarks_do_not_count():
    near, far = (composite(benchmarks({"a": 1.0, "b": 0.0}, shift=shift), "gap") for shift in (0.0, 1000.0))
    assert near.rho_held_out == far.rho_held_out
    assert near.weights == pytest.approx(far.weights)


def test_without_benchmarks_whole_clusters_are_dealt_into_three_folds(make_table):
    layout = lay_out(make_table({"x": 2.0, "y": 0.0}), clusters=("method",))
    folds, names = fold_labels(layout, seed=0)
    assert sorted(np.unique(folds)) == [0, 1, 2]
    for cluster in np.unique(layout.clusters):
        assert len(set(folds[layout.clusters == cluster])) == 1
    quality = composite(layout, "gap")
    assert "methods dealt by seed" in quality.recipe
    assert names == "methods dealt by seed"
    assert set(quality.weights_by_fold) == {"fold 1", "fold 2", "fold 3"}
    assert len(quality.scores) == 39
    assert quality.rho_held_out.value > 0.5


def test_a_fold_where_nothing_is_defined_is_left_out_with_its_count():
    layout = benchmarks({"a": 1.5}, n_sets=4)
    scores = layout.table.columns["a"].copy()
    scores[:8] = 1.0
    table = replace(layout.table, columns={**layout.table.columns, "a": scores})
    quality = composite(lay_out(table, ("dataset",), ("dataset",)), "gap")
    assert quality.rho_held_out.n_clusters == 3
    constant = replace(table, columns={**table.columns, "a": np.ones(32)})
    none = composite(lay_out(constant, ("dataset",), ("dataset",)), "gap").rho_held_out
    assert math.isnan(none.value)
    assert none.reason == "undefined in every fold"


def test_without_any_correlation_no_metric_is_called_the_best():
    layout = benchmarks({"a": 1.5, "b": 1.0})
    flat = replace(layout.table, columns={**layout.table.columns, "gap": np.ones(32)})
    quality = composite(lay_out(flat, ("dataset",), ("dataset",)), "gap")
    assert quality.best_single == ""
    assert math.isnan(quality.best_single_held_out.value)
    assert "no metric has a defined correlation" in quality.best_single_held_out.reason


def test_a_metric_is_best_by_the_folds_that_could_choose_one():
    layout = benchmarks({"a": 1.5}, n_sets=3)
    scores = layout.table.columns["a"].copy()
    scores[:16] = 1.0  # only the last benchmark varies, so leaving it out leaves nothing to choose by
    table = replace(layout.table, columns={**layout.table.columns, "a": scores})
    quality = composite(lay_out(table, ("dataset",), ("dataset",)), "gap")
    assert quality.best_single == "a"
    assert math.isnan(quality.best_single_held_out.value)  # and the folds that chose it have no correlation
    assert quality.best_single_held_out.reason == "undefined in every fold"


def test_folds_that_agree_exactly_have_no_interval_and_say_so():
    estimate = fold_mean(np.full(4, 0.5), n=40, over="folds")
    assert not estimate.has_interval
    assert (estimate.reason, estimate.method) == ("no spread between folds", "")


def test_constraints_hold_for_the_weights_of_every_fold_and_are_named():
    asked = Constraints(least={"noise": 0.3}, most={"good": 0.4})
    quality = composite(benchmarks({"good": 4.0, "noise": 0.0, "bad": -4.0}), "gap", constraints=asked)
    for weights in (quality.weights, *quality.weights_by_fold.values()):
        assert weights["noise"] >= 0.3 - 1e-12
        assert weights["good"] <= 0.4 + 1e-12
        assert sum(weights.values()) == pytest.approx(1)
    assert "at least noise 0.3, at most good 0.4" in quality.recipe


def test_a_priority_of_a_metric_multiplies_its_weight():
    layout = benchmarks({"a": 1.0, "b": 1.0, "c": 0.0})
    plain, asked = (composite(layout, "gap", constraints=Constraints(metric_priority=p)) for p in ({}, {"c": 3.0}))
    assert asked.weights["c"] / asked.weights["a"] == pytest.approx(3 * plain.weights["c"] / plain.weights["a"])
    assert asked.weights["a"] / asked.weights["b"] == pytest.approx(plain.weights["a"] / plain.weights["b"])


def test_a_priority_of_a_task_weighs_its_correlations():
    rng = np.random.default_rng(0)
    scores, closeness, blocks = rng.normal(size=(16, 3)), rng.normal(size=16), np.arange(16) // 8
    alone = [learn_weights(scores[blocks == b], closeness[blocks == b], blocks[blocks == b]) for b in (0, 1)]
    nearly = learn_weights(scores, closeness, blocks, np.array([1e-9, 1.0]))
    np.testing.assert_allclose(nearly, alone[1], atol=1e-6)
    np.testing.assert_allclose(
        learn_weights(scores, closeness, blocks, np.ones(2)), learn_weights(scores, closeness, blocks)
    )


def test_an_unknown_task_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="task_priority names d9, but there are d0, d1, d2, d3"):
        composite(benchmarks({"a": 1.0}), "gap", constraints=Constraints(task_priority={"d9": 2.0}))


def test_mean_rank_and_borda_are_judged_by_the_same_rule_and_part_only_over_missing_cells():
    layout = benchmarks({"a": 1.0, "b": 0.5, "c": 0.0}, n_methods=12)
    quality = composite(layout, "gap")
    assert set(quality.rivals) == {"mean rank", "Borda"}
    for rival in quality.rivals.values():
        assert rival.value == pytest.approx(quality.equal_weights_held_out.value, abs=0.01)  # rounding decides ties
        assert rival.n_clusters == quality.rho_held_out.n_clusters
    holes = np.where(np.random.default_rng(0).random(layout.scores.shape) < 0.3, np.nan, layout.scores)
    found = composite(replace(layout, scores=holes), "gap").rivals
    assert found["mean rank"].value != found["Borda"].value
