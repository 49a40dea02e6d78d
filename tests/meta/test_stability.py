import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linprog

from vestige.meta import stability as module
from vestige.meta.stability import stability
from vestige.meta.weights import Constraints


def equal(n_metrics):
    return {f"m{k}": 1 / n_metrics for k in range(n_metrics)}


def feasible(leads, lower, upper):
    """Whether some weighting makes every weighted sum of the rows of `leads` non-negative."""
    found = linprog(
        np.zeros(len(lower)),
        A_ub=-leads.reshape(-1, len(lower)),
        b_ub=np.zeros(len(leads)),
        A_eq=np.ones((1, len(lower))),
        b_eq=[1],
        bounds=np.column_stack([lower, upper]),
    )
    return found.status == 0


def best_rank_reference(table, i, lower, upper):
    """Every set of others that could be below or level, largest first, one linear program each."""
    others = [j for j in range(len(table)) if j != i]
    free = [j for j in others if not dominates_reference(table[j], table[i], lower, upper)]
    for size in range(len(free), -1, -1):
        for below in itertools.combinations(free, size):
            if feasible(table[i] - table[np.array(below, dtype=int)], lower, upper):
                return 1 + len(others) - size
    raise AssertionError("no weighting at all")


def dominates_reference(a, b, lower, upper):
    ends = []
    for sign in (1, -1):
        found = linprog(sign * (a - b), A_eq=np.ones((1, len(a))), b_eq=[1], bounds=np.column_stack([lower, upper]))
        ends.append(sign * found.fun)
    return ends[0] >= -1e-9 and ends[1] > 1e-9


@st.composite
def tables(draw):
    """Few items, coarse scores, so that ties and dominance occur."""
    shape = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    levels = draw(st.sampled_from([3, 20]))
    return np.random.default_rng(draw(st.integers(0, 10**6))).integers(0, levels, shape) / levels


@settings(max_examples=12, deadline=None)
@given(tables(), st.booleans())
def test_ranks_and_dominance_match_linear_programs_over_all_subsets(table, limited):
    n, d = table.shape
    lower, upper = (np.full(d, 0.1), np.full(d, max(0.6, 1 / d))) if limited else (np.zeros(d), np.ones(d))
    names = tuple("abcdef"[:n])
    constraints = Constraints(least={f"m{k}": lower[k] for k in range(d)}, most={f"m{k}": upper[k] for k in range(d)})
    found = stability(names, table, equal(d), constraints=constraints)
    assert all(found.exact)
    for i, name in enumerate(names):
        assert found.best_rank[i] == best_rank_reference(table, i, lower, upper)
        assert found.worst_rank[i] == n + 1 - best_rank_reference(-table, i, lower, upper)
        beaten = {names[j] for j in range(n) if dominates_reference(table[i], table[j], lower, upper)}
        assert set(found.dominates.get(name, ())) == beaten


def test_integer_programs_are_asked_where_no_tried_weighting_reaches_the_bound(monkeypatch):
    """d beats each of a, b, c somewhere, but no weighting puts it first: its best rank is not the pairwise bound."""
    table = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.3, 0.3, 0.3]]
    found = stability(tuple("abcd"), table, equal(3))
    assert found.best_rank == (1, 1, 1, 2)
    assert found.worst_rank == (4, 4, 4, 4)
    assert found.exact == (True,) * 4
    monkeypatch.setattr(module, "MOST_EXACT_ITEMS", 3)
    bounds = stability(tuple("abcd"), table, equal(3))
    assert bounds.best_rank == (1, 1, 1, 1)
    assert bounds.exact == (True, True, True, False)
    assert "for 3 of 4 items, bounds for the others" in bounds.method


def test_a_stopped_program_still_gives_a_bound_that_holds(monkeypatch):
    table = np.random.default_rng(1).random((30, 3))
    whole = stability([str(i) for i in range(30)], table, equal(3))
    monkeypatch.setattr(module, "MOST_NODES", 0)
    monkeypatch.setattr(module, "N_TRIED", 0)
    stopped = stability([str(i) for i in range(30)], table, equal(3))
    assert all(whole.exact)
    assert not all(stopped.exact)
    for i in range(30):
        assert stopped.best_rank[i] <= whole.best_rank[i] <= whole.worst_rank[i] <= stopped.worst_rank[i]


@pytest.mark.parametrize("seed", range(2))
def test_every_drawn_ranking_lies_within_the_ranks(seed):
    rng = np.random.default_rng(seed)
    table = rng.random((12, 4))
    found = stability([str(i) for i in range(12)], table, equal(4))
    ranks = np.array([stats.rankdata(-table @ w) for w in rng.dirichlet(np.full(4, 0.5), 3000)])
    assert all(found.exact)
    assert (ranks.min(axis=0) >= found.best_rank).all()
    assert (ranks.max(axis=0) <= found.worst_rank).all()


def test_two_metrics_give_weight_ranges_that_one_can_check_by_hand():
    # a leads while w0 * 0.6 >= w1 * 0.3, that is w0 >= 1/3
    found = stability(("a", "b"), [[0.9, 0.2], [0.3, 0.5]], {"x": 0.5, "y": 0.5})
    assert found.winner == "a"
    assert found.weight_range["x"] == pytest.approx((1 / 3, 1))
    assert found.weight_range["y"] == pytest.approx((0, 2 / 3))
    capped = stability(
        ("a", "b"), [[0.9, 0.2], [0.3, 0.5]], {"x": 0.5, "y": 0.5}, constraints=Constraints({}, {"x": 0.6})
    )
    assert capped.weight_range["x"] == pytest.approx((1 / 3, 0.6))


def test_at_the_ends_of_the_weight_ranges_the_winner_is_about_to_fall():
    rng = np.random.default_rng(5)
    table = rng.random((12, 4))
    found = stability([str(i) for i in range(12)], table, equal(4))
    winner = int(found.winner)
    draws = rng.dirichlet(np.ones(4), 40_000)
    wins = draws[np.argmax(draws @ table.T, axis=1) == winner]
    for k, (low, high) in enumerate(found.weight_range.values()):
        assert low - 1e-9 <= wins[:, k].min() <= low + 0.1
        assert high - 0.1 <= wins[:, k].max() <= high + 1e-9


def test_leave_one_out_is_tau_of_the_ranking_without_the_metric():
    table = np.random.default_rng(2).random((9, 3))
    weights = {"a": 0.5, "b": 0.3, "c": 0.2}
    found = stability(tuple("123456789"), table, weights)
    w = np.array(list(weights.values()))
    for k, name in enumerate(weights):
        kept = np.delete(np.arange(3), k)
        expected = stats.kendalltau(table @ w, table[:, kept] @ w[kept]).statistic
        assert found.leave_one_out[name] == pytest.approx(expected)


def test_one_metric_cannot_be_left_out_and_a_shared_first_place_has_no_weight_range():
    found = stability(("a", "b"), [[0.5], [0.5]], {"x": 1.0})
    assert np.isnan(found.leave_one_out["x"])
    assert found.winner == ""
    assert np.isnan(found.weight_range["x"]).all()
    assert found.best_rank == (1, 1)
    assert found.worst_rank == (2, 2)


def test_the_seed_changes_nothing_where_all_is_exact():
    table = np.random.default_rng(3).random((15, 3))
    one, other = (stability([str(i) for i in range(15)], table, equal(3), seed=seed) for seed in (0, 1))
    assert all(one.exact)
    assert one == other


def test_bad_scores_are_named():
    with pytest.raises(ValueError, match=r"scores must have shape .* = \(2, 1\)"):
        stability(("a", "b"), [[1.0]], {"x": 1.0})
    with pytest.raises(ValueError, match="b has nan in column 0"):
        stability(("a", "b"), [[1.0], [np.nan]], {"x": 1.0})


def test_the_solver_prints_nothing(capfd):
    rng = np.random.default_rng(0)
    stability([str(i) for i in range(39)], rng.normal(size=(39, 9)) + 0.5 * rng.normal(size=(39, 1)), equal(9))
    assert capfd.readouterr().out == ""
