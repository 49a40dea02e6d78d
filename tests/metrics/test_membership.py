"""Membership values against scikit-learn and plain definitions; refusals; coverage of the paired difference."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from vestige.metrics.blind import blind_baseline
from vestige.metrics.membership import (
    Population,
    advantage,
    auc,
    auc_difference,
    auc_within_folds,
    balanced_accuracy,
    population,
    privacy_closeness,
    tpr_at_fpr,
    worst_case,
)


def labelled(scores: Population):
    labels = np.repeat([1, 0], [len(scores.members), len(scores.others)])
    return labels, np.concatenate([scores.members, scores.others])


def authors(rng, n_clusters, shift, size=3):
    """Scores of `n_clusters` authors of each kind, with an effect of the author, under two models that share it."""
    effect = rng.normal(size=(2, n_clusters, 1))
    own = rng.normal(size=(2, 2, n_clusters, size))
    scores = (effect + own + np.array([shift, 0])[:, None, None, None] * np.array([1, 0])[None, :, None, None]) / 2
    ids = np.arange(n_clusters).repeat(size)
    return [population(m.ravel(), o.ravel(), ids, ids + n_clusters, over="authors") for m, o in scores]


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    ids = np.arange(60) // 3
    return population(rng.normal(0.5, 1, 60).round(1), rng.normal(size=60).round(1), ids, ids + 20, over="authors")


def test_auc_is_that_of_scikit_learn_with_an_interval_over_authors(scores):
    found = auc(scores)
    assert found.value == pytest.approx(roc_auc_score(*labelled(scores)), rel=1e-12)
    assert found.low < found.value < found.high and found.n_clusters == 40 and found.over == "authors"


def test_balanced_accuracy_is_that_of_scikit_learn(scores):
    labels, values = labelled(scores)
    assert balanced_accuracy(scores, 0.3).value == pytest.approx(balanced_accuracy_score(labels, values > 0.3))


def test_tpr_at_fpr_is_the_highest_point_of_the_curve_that_is_allowed():
    rng = np.random.default_rng(1)
    scores = population(rng.normal(1, 1, 300), rng.normal(size=1000))
    fpr, tpr, _ = roc_curve(*labelled(scores), drop_intermediate=False)
    found = tpr_at_fpr(scores, 0.01)
    assert found.value == pytest.approx(tpr[fpr <= 0.01].max())
    assert found.low < found.value < found.high


@given(st.integers(0, 1000), st.sampled_from([0.02, 0.05, 0.5, 1.0]))
def test_rates_of_a_resample_are_rates_of_the_repeated_rows(seed, fpr):
    from vestige import kernels
    from vestige.metrics.membership import _rates

    rng = np.random.default_rng(seed)
    scores = population(rng.normal(size=30).round(1), rng.normal(size=50).round(1))
    counts = [rng.integers(0, 3, (1, n)).astype(np.int16) for n in (30, 50)]
    repeated = [np.repeat(part, c[0]) for part, c in zip((scores.members, scores.others), counts, strict=True)]
    assert _rates(scores, *counts, fpr)[0] == pytest.approx(kernels.tpr_at_fpr(*repeated, fpr))


@pytest.mark.parametrize("fpr, n_others, needed", [(0.001, 9999, 10000), (0.01, 400, 1000)])
def test_a_rate_is_refused_with_too_few_non_members(fpr, n_others, needed):
    found = tpr_at_fpr(population(np.ones(30), np.zeros(n_others)), fpr)
    assert math.isnan(found.value) and found.reason == f"{n_others} non-members, a rate at {fpr:g} needs {needed}"
    assert tpr_at_fpr(population(np.ones(30), np.zeros(needed)), fpr, n_resamples=10).value == 1.0


def test_a_rate_over_few_authors_has_no_interval():
    ids = np.arange(2000) % 15
    found = tpr_at_fpr(population(np.ones(2000), np.zeros(2000), ids, ids + 15, over="authors"), 0.01)
    assert found.value == 1.0 and found.reason == "15 authors, a bootstrap of a rate needs 20"


def test_the_difference_is_paired_and_narrower_than_the_areas(scores):
    other = population(
        scores.members + 0.2, scores.others, scores.member_clusters, scores.other_clusters, over="authors"
    )
    found, one = auc_difference(other, scores), auc(scores)
    assert found.value == pytest.approx(auc(other).value - one.value, rel=1e-12)
    assert found.high - found.low < (one.high - one.low) / 2


def test_a_model_against_itself_has_no_difference(scores):
    assert auc_difference(scores, scores).value == 0
    assert privacy_closeness(auc(scores).value, auc(scores).value) == 1


def test_over_forgetting_is_not_better_than_a_trace():
    """Traps 12 and 14: the sign says which side, and both sides are as far from the retrained model."""
    base = np.linspace(0, 1, 50)
    retrained, trace, over = (population(base + shift, base) for shift in (0.0, 0.2, -0.2))
    assert auc_difference(trace, retrained).value == pytest.approx(-auc_difference(over, retrained).value)
    assert auc_difference(trace, retrained).value > 0
    np.testing.assert_allclose(*privacy_closeness([0.3, 0.7], 0.5).reshape(2, 1))


def test_an_attack_that_is_always_wrong_leaks_as_much_as_one_that_is_always_right():
    assert advantage(0.0) == advantage(1.0) == 1 and advantage(0.5) == 0


def test_closeness_is_the_release_s_formula():
    areas, reference = np.random.default_rng(0).uniform(size=20), 0.4772
    expected = [1 - min(abs(a - reference) / reference, 1) for a in areas]
    np.testing.assert_allclose(privacy_closeness(areas, reference), expected, rtol=1e-12)
    assert np.isnan(privacy_closeness(0.3, 0.0))


def test_examples_in_another_order_change_nothing(scores):
    order = np.random.default_rng(0).permutation(60)
    shuffled = Population(
        scores.members[order],
        scores.others[order],
        scores.member_clusters[order],
        scores.other_clusters[order],
        scores.over,
    )
    for estimate in (auc, lambda s: balanced_accuracy(s, 0.0)):
        for end in ("value", "low", "high"):
            assert getattr(estimate(shuffled), end) == pytest.approx(getattr(estimate(scores), end), rel=1e-12)


def test_an_attack_chosen_as_the_best_of_many_is_reported_at_chance():
    """The maximum over 20 attacks that know nothing is far from 0.5; on the other half it is not."""
    rng = np.random.default_rng(0)
    chosen, maxima = [], []
    for seed in range(25):
        attacks = {str(i): population(rng.normal(size=30), rng.normal(size=30)) for i in range(20)}
        chosen.append(worst_case(attacks, seed=seed).estimate.value)
        maxima.append(max(auc(scores).value for scores in attacks.values()))
    assert np.mean(maxima) > 0.6
    assert abs(np.mean(chosen) - 0.5) < 0.06


def test_the_worst_case_against_retrained_ignores_what_both_show():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(4, 100))
    sets_differ = population(noise[0] + 3, noise[1])
    trace, none = population(noise[2] + 1, noise[3]), population(noise[2], noise[3])
    found = worst_case({"length": sets_differ, "loss": trace}, {"length": sets_differ, "loss": none})
    assert found.attack == "loss" and found.chosen_by["length"] == 0 and found.estimate.low > 0


def test_no_entity_chooses_and_reports(scores):
    from vestige.metrics.membership import _half, _part

    choosing = _half(scores, seed=3)
    first, second = _part(scores, choosing, True), _part(scores, choosing, False)
    assert not set(first.member_clusters) & set(second.member_clusters)
    assert len(first.members) + len(second.members) == 60 and len(np.unique(first.other_clusters)) == 10


def test_blind_baseline_finds_sets_that_differ_and_only_those():
    rng = np.random.default_rng(0)
    words = np.array(["a", "quick", "brown", "fox", "jumps", "over", "some", "lazy", "dog", "today"])
    texts = [" ".join(rng.choice(words, 8)) for _ in range(160)]
    members, others = texts[:80], texts[80:]
    alike = blind_baseline(members, others)
    assert all(e.low <= 0.5 <= e.high for e in alike.values()), alike
    marked = blind_baseline([f"{text} Ann" for text in members], [f"{text} Bob" for text in others])
    # Every held-out word is told right, so the area is 1 and has no interval on the logit scale.
    assert marked["words"].value == 1.0
    assert blind_baseline([f"{text} x x" for text in members], others)["length"].low > 0.5
    alone = blind_baseline(members[:3], others[:3], [0, 0, 0], [1, 2, 3])["words"]
    assert math.isnan(alone.value) and "two clusters" in alone.reason


def test_within_folds_no_shift_between_folds_counts():
    scores = population([10.0, 0.0], [9.0, -1.0])
    folds = np.array([0, 1])
    assert auc_within_folds(scores, folds, folds).value == 1.0 and auc(scores).value == 0.75


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: population([], [1.0]), "must not be empty"),
        (lambda: population([1.0], [1.0], [0]), "both or neither"),
        (lambda: population([1.0], [1.0], [0, 1], [0]), "one label a score"),
        (lambda: auc_difference(population([1.0], [1.0]), population([1.0, 2.0], [1.0])), "the same examples"),
        (lambda: tpr_at_fpr(population([1.0], [1.0]), 0.0), "`fpr` must be above 0"),
        (lambda: worst_case({}), "at least one attack"),
        (lambda: worst_case({"a": population([1.0], [1.0])}), "too few examples to split"),
        (
            lambda: worst_case({"a": population([1.0], [1.0]), "b": population([1.0, 2.0], [1.0])}),
            "attack 'b' has other examples",
        ),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_nan_scores_are_undefined_and_say_so():
    scores = population([np.nan, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    assert math.isnan(auc(scores).value) and auc(scores).reason == "value undefined"
    assert balanced_accuracy(scores, 0.5).reason == "NaN in the scores"


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [10, 20])
def test_the_interval_of_the_difference_holds_the_truth(n_clusters):
    rng = np.random.default_rng(0)
    big = authors(rng, 20000, 1.0)
    truth = auc_value(big[0]) - auc_value(big[1])
    found = [auc_difference(*authors(rng, n_clusters, 1.0)) for _ in range(500)]
    assert 0.92 <= np.mean([e.low <= truth <= e.high for e in found]) <= 0.985


def auc_value(scores):
    return roc_auc_score(*labelled(scores))
