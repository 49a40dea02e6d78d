import numpy as np
import pytest
from scipy import stats

from vestige.meta import robustness as module
from vestige.meta.layout import lay_out
from vestige.meta.robustness import item_scores, perturbed, robustness
from vestige.meta.weights import Constraints
from vestige.metrics.table import ScoreTable


def table():
    columns = {"a": np.array([1.0, 2, 3, 10, 30, 20]), "b": np.array([3.0, 2, 1, 1, 1, np.nan])}
    return ScoreTable(tuple("xyzxyz"), columns, {"a": "higher", "b": "lower"}, {"dataset": tuple("dddeee")})


def test_rows_of_one_name_are_one_item_with_mean_ranks():
    items, scores = item_scores(lay_out(table(), ("dataset",)))
    assert items == ("x", "y", "z")
    np.testing.assert_allclose(scores[:, 0], np.array([1 + 1, 3 + 2, 2 + 3]) / 6 - 1 / 6)
    np.testing.assert_allclose(scores[:, 1], [(1 / 6 + 0.5) / 2, 0.5, (5 / 6 + 0.5) / 2])


def test_every_law_is_reported_and_a_clear_winner_always_comes_first():
    columns = {name: np.arange(8.0) for name in "abc"}
    sure = ScoreTable(tuple("ABCDEFGH"), columns, dict.fromkeys("abc", "higher"))
    results = robustness(lay_out(sure), {"a": 0.2, "b": 0.3, "c": 0.5}, n_draws=50)
    assert [result.law for result in results] == ["simplex", "dirichlet", "lognormal"]
    for result in results:
        assert (result.tau_mean, result.tau_sd) == (1.0, 0.0)
        assert result.selection_frequency["H"] == 1.0
        assert (result.n_draws, result.n_items) == (50, 8)


def test_given_weightings_give_the_taus_of_the_rankings():
    rng = np.random.default_rng(0)
    scores, weights, draws = rng.random((6, 3)), np.array([0.2, 0.3, 0.5]), rng.dirichlet(np.ones(3), 20)
    result = perturbed(tuple("abcdef"), scores, weights, "simplex", n_draws=20, draws=draws)
    expected = [stats.kendalltau(scores @ weights, scores @ draw).statistic for draw in draws]
    np.testing.assert_allclose(result.tau, expected, rtol=1e-12)
    assert result.tau_mean == pytest.approx(np.mean(expected))
    assert result.tau_sd == pytest.approx(np.std(expected))
    winners = np.argmax(scores @ draws.T, axis=0)
    for i, item in enumerate("abcdef"):
        assert result.selection_frequency[item] == pytest.approx(np.mean(winners == i))


def test_the_seed_decides_the_weightings():
    layout, weights = lay_out(table(), ("dataset",)), {"a": 0.4, "b": 0.6}
    one, again, other = (robustness(layout, weights, seed=seed)[2].tau for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert len(other) == len(one)


def test_an_items_scores_are_weighed_by_the_priority_of_their_task():
    layout = lay_out(table(), ("dataset",))
    _, plain = item_scores(layout)
    _, asked = item_scores(layout, Constraints(task_priority={"e": 3.0}))
    by_task = [item_scores(layout.rows(np.array(layout.table.labels["dataset"]) == task))[1] for task in "de"]
    np.testing.assert_allclose(plain, (by_task[0] + by_task[1]) / 2)
    np.testing.assert_allclose(asked, (by_task[0] + 3 * by_task[1]) / 4)


def test_flips_are_shares_of_draws_in_which_one_is_above_the_other():
    rng = np.random.default_rng(0)
    scores, draws = rng.random((5, 3)), rng.dirichlet(np.ones(3), 30)
    result = perturbed(tuple("abcde"), scores, np.full(3, 1 / 3), "simplex", n_draws=30, draws=draws)
    sums = scores @ draws.T
    np.testing.assert_allclose(result.flips, (sums[:, None] > sums[None]).mean(axis=2))


def test_of_many_draws_only_the_first_taus_are_kept_and_the_summary_is_of_all(monkeypatch):
    scores, weights = np.random.default_rng(0).random((6, 3)), np.full(3, 1 / 3)
    whole = perturbed(tuple("abcdef"), scores, weights, "simplex", n_draws=500)
    monkeypatch.setattr(module, "MOST_KEPT_DRAWS", 100)
    short = perturbed(tuple("abcdef"), scores, weights, "simplex", n_draws=500)
    np.testing.assert_array_equal(short.tau, whole.tau[:100])
    assert (short.n_draws, short.tau_mean, short.tau_sd) == (500, whole.tau_mean, whole.tau_sd)
    assert short.selection_frequency == whole.selection_frequency
