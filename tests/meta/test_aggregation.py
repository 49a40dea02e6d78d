import builtins
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vestige.meta import aggregation as module
from vestige.meta.aggregation import aggregate, ballots_of, borda, examples_of, kemeny, plackett_luce, survival
from vestige.meta.layout import lay_out
from vestige.metrics.table import ScoreTable


def borda_reference(scores):
    """One ballot and one opponent at a time."""
    shares = [[] for _ in scores]
    for b in range(scores.shape[1]):
        present = [i for i in range(len(scores)) if not np.isnan(scores[i, b])]
        for i in present:
            points = [(scores[i, b] > scores[j, b]) + 0.5 * (scores[i, b] == scores[j, b]) for j in present if j != i]
            if points:
                shares[i].append(np.mean(points))
    return [np.mean(share) if share else np.nan for share in shares]


def copeland_reference(scores):
    points = []
    for i, x in enumerate(scores):
        won = []
        for j, y in enumerate(scores):
            both = ~np.isnan(x) & ~np.isnan(y)
            if i != j and both.any():
                won.append((1 + np.sign((x[both] > y[both]).sum() - (x[both] < y[both]).sum())) / 2)
        points.append(np.mean(won) if won else np.nan)
    return points


def log_likelihood(strength, scores):
    """Each ballot from the best item down; every tied item is chosen from all that are not above it."""
    total = 0.0
    for ballot in scores.T:
        for i in np.flatnonzero(~np.isnan(ballot)):
            total += strength[i] - np.log(np.exp(strength[ballot <= ballot[i]]).sum())
    return total


@st.composite
def ballots(draw, most_items=6):
    shape = draw(st.integers(2, most_items)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    scores = rng.integers(0, draw(st.sampled_from([3, 50])), shape).astype(float)
    scores[rng.random(shape) < draw(st.sampled_from([0, 0.3]))] = np.nan
    return scores


@given(ballots())
def test_borda_and_copeland_match_their_definitions(scores):
    names = [str(i) for i in range(len(scores))]
    np.testing.assert_allclose(borda(scores), borda_reference(scores))
    found = aggregate(names, scores)
    np.testing.assert_allclose(found.copeland, copeland_reference(scores))
    assert found.missing == pytest.approx(np.isnan(scores).mean())


@settings(max_examples=30, deadline=None)
@given(ballots(5))
def test_kemeny_is_the_best_of_all_orders_and_knows_whether_it_is_alone(scores):
    wins = np.array([[(x > y).sum() + (x == y).sum() / 2 for y in scores] for x in scores])
    value = {
        order: sum(wins[a, b] for a, b in itertools.combinations(order, 2))
        for order in itertools.permutations(range(len(scores)))
    }
    order, exact, unique = kemeny(wins)
    assert exact
    assert value[tuple(order)] == max(value.values())
    assert unique == (sum(v == max(value.values()) for v in value.values()) == 1)


def test_the_local_search_leaves_no_item_to_be_moved_and_is_near_the_best(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(12, 7)) + 0.3 * np.arange(12)[:, None]
    wins = np.array([[(x > y).sum() for y in scores] for x in scores]).astype(float)

    def agreed(order):
        return sum(wins[a, b] for a, b in itertools.combinations(order, 2))

    best = agreed(kemeny(wins)[0])
    monkeypatch.setattr(module, "MOST_EXACT_KEMENY", 5)
    order, exact, _ = kemeny(wins)
    assert not exact
    assert sorted(order) == list(range(12))
    assert 0.98 * best <= agreed(order) <= best
    for item in order:
        rest = [i for i in order if i != item]
        assert max(agreed([*rest[:k], item, *rest[k:]]) for k in range(12)) == agreed(order)


@settings(max_examples=30, deadline=None)
@given(ballots())
def test_plackett_luce_is_a_maximum_of_the_likelihood(scores):
    strength = plackett_luce(scores)
    wins, ties = module._pairwise(scores)
    penalty = 0 if module._connected(wins + ties) else 1 / 9

    def objective(t):
        return log_likelihood(t, scores) - penalty * t @ t / 2

    assert strength.mean() == pytest.approx(0, abs=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(10):
        step = 0.05 * rng.normal(size=len(strength))
        assert objective(strength + step - step.mean()) <= objective(strength) + 1e-6


def test_strengths_are_found_again_from_sparse_ballots():
    rng = np.random.default_rng(0)
    truth = np.linspace(-2, 2, 12)
    scores = truth[:, None] + rng.gumbel(size=(12, 6000))
    scores[rng.random(scores.shape) < 0.75] = np.nan
    np.testing.assert_allclose(plackett_luce(scores), truth, atol=0.15)


def test_ballots_of_two_are_bradley_terrys():
    pytest.importorskip("evalica")
    rng = np.random.default_rng(0)
    scores = np.full((5, 400), np.nan)
    for b in range(400):
        pair = rng.choice(5, 2, replace=False)
        scores[pair, b] = 0.5 * pair + rng.gumbel(size=2)
    found = aggregate(tuple("abcde"), scores)
    np.testing.assert_allclose(np.log(found.bradley_terry), found.plackett_luce, atol=1e-3)
    assert np.argsort(found.elo)[-1] == 4
    assert found.elo == aggregate(tuple("abcde"), scores).elo
    assert found.elo != aggregate(tuple("abcde"), scores, seed=1).elo


def test_without_evalica_the_rest_is_there_and_the_way_out_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "evalica":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    found = aggregate(("a", "b"), [[1.0, 2.0], [2.0, 1.0]])
    assert (found.bradley_terry, found.elo) == ((), ())
    assert any("vestige[metrics]" in note for note in found.notes)


def test_an_item_that_always_wins_has_a_finite_strength_and_a_note():
    found = aggregate(("a", "b"), [[2.0, 2.0], [1.0, 1.0]])
    assert np.isfinite(found.plackett_luce).all()
    assert found.plackett_luce[0] > found.plackett_luce[1]
    assert any("wins do not connect" in note for note in found.notes)


def test_clear_rankings_survive_and_more_dropped_cells_leave_less():
    rng = np.random.default_rng(0)
    clear, noisy = (np.arange(15.0)[:, None] + sd * rng.normal(size=(15, 30)) for sd in (0.01, 20))
    taus = {name: [entry.tau_mean for entry in survival(scores)] for name, scores in (("c", clear), ("n", noisy))}
    assert taus["c"][0] > 0.9
    assert taus["n"] == sorted(taus["n"], reverse=True)
    assert taus["n"][2] < taus["c"][2]
    one = survival(noisy)[0]
    kept = np.random.default_rng(0)
    full = borda(noisy)
    drops = [np.where(kept.random(noisy.shape) < 0.1, np.nan, noisy) for _ in range(50)]
    assert one.tau_mean == pytest.approx(np.mean([stats.kendalltau(borda(d), full).statistic for d in drops]))


def test_only_the_order_within_a_ballot_counts():
    scores = np.random.default_rng(0).random((6, 5))
    assert aggregate(tuple("abcdef"), scores) == aggregate(tuple("abcdef"), np.exp(3 * scores) - 7)


BAD = [([[1.0]], "for 2 items, got"), ([[np.inf], [1.0]], "must not be infinite")]


@pytest.mark.parametrize("scores, message", BAD)
def test_bad_scores_are_named(scores, message):
    with pytest.raises(ValueError, match=message):
        aggregate(("a", "b"), scores)


def test_a_table_is_one_ballot_for_each_metric_and_block_with_its_orientation():
    columns = {"x": np.array([1.0, 2, 3, 5, np.nan]), "y": np.array([4.0, 3, 2, 1, 0])}
    labels = {"dataset": ("d", "d", "e", "e", "e")}
    table = ScoreTable(("a", "b", "a", "a", "b"), columns, {"x": "higher", "y": "lower"}, labels)
    layout = lay_out(table, ("dataset",))
    items, scores = ballots_of(layout, layout.groups)
    assert items == ("a", "b")
    np.testing.assert_array_equal(scores, [[1, -4, 4, -1.5], [2, -3, np.nan, 0]])
    assert examples_of(layout) is None


def test_examples_are_ballots_with_the_orientation_of_their_metric():
    examples = {"x": np.ones((2, 3)), "y": np.full((2, 3), 2.0), "z": np.zeros((2, 3))}
    better = {"x": "higher", "y": "lower", "z": "reference"}
    columns = {name: values.mean(axis=1) for name, values in examples.items()}
    table = ScoreTable(("a", "b"), columns, better, reference={"z": 0.5}, examples=examples)
    np.testing.assert_array_equal(examples_of(lay_out(table)), np.tile([1.0, 1, 1, -2, -2, -2], (2, 1)))
