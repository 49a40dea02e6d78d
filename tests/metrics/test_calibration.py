"""Calibration and selective prediction: plain loops and scikit-learn; no information from the order of ties."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from vestige.metrics import METRICS, estimate
from vestige.metrics.calibration import brier_scores, calibration_error, risk_coverage, worst_group

seeds = st.integers(0, 1000)


def answers(seed, n=40):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=n).round(2), rng.integers(0, 2, n)


@given(seeds, st.integers(1, 20))
def test_calibration_error_is_its_definition(seed, n_bins):
    confidence, correct = answers(seed)
    total = 0.0
    for b in range(n_bins):
        last = b == n_bins - 1
        inside = (confidence * n_bins >= b) & ((confidence * n_bins < b + 1) | last)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence, correct, n_bins) == pytest.approx(total, abs=1e-12)


def test_bins_of_equal_mass_hold_equally_many():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(size=60) ** 5
    correct = (rng.uniform(size=60) < confidence).astype(float)
    order = np.argsort(confidence)
    parts = np.split(order, 6)
    expected = np.mean([abs(correct[p].mean() - confidence[p].mean()) for p in parts])
    assert calibration_error(confidence, correct, 6, "mass") == pytest.approx(expected)


def test_the_order_of_examples_changes_nothing():
    confidence, correct = answers(0)
    order = np.random.default_rng(1).permutation(len(correct))
    for bins in ("width", "mass"):
        ours, shuffled = (
            calibration_error(c, h, 7, bins) for c, h in ((confidence, correct), (confidence[order], correct[order]))
        )
        assert ours == pytest.approx(shuffled, rel=1e-12)
    assert risk_coverage(confidence[order], correct[order]).area == pytest.approx(
        risk_coverage(confidence, correct).area
    )


def test_brier_is_twice_scikit_learn_s_binary_score():
    rng = np.random.default_rng(0)
    p, y = rng.uniform(size=30), rng.integers(0, 2, 30)
    found = brier_scores(np.stack([1 - p, p], 1), y)
    assert found.mean() == pytest.approx(2 * brier_score_loss(y, p))
    assert brier_scores([[0.0, 1.0]], [0]) == 2 and brier_scores([[0.0, 1.0]], [1]) == 0


def area_by_definition(confidence, correct):
    """Mean over all orders that agree with confidence of the mean risk over coverages."""
    areas = []
    for order in itertools.permutations(range(len(correct))):
        if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order)):
            wrong = np.cumsum([1 - correct[i] for i in order])
            areas.append(np.mean(wrong / np.arange(1, len(order) + 1)))
    return np.mean(areas)


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.integers(0, 1)), min_size=1, max_size=6))
def test_ties_are_answered_in_random_order(rows):
    confidence, correct = zip(*rows, strict=True)
    assert risk_coverage(confidence, correct).area == pytest.approx(area_by_definition(confidence, correct))


def test_errors_that_come_last_leave_no_excess():
    found = risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0])
    assert found.excess == 0 and found.area == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert risk_coverage([0.6, 0.7, 0.8, 0.9], [1, 1, 0, 0]).excess > 0.4
    assert found.risk[-1] == 0.5 and found.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]


def test_the_worst_group_s_interval_holds_the_smallest_true_accuracy():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"g{i}" for i in range(8)], 30)
    held, too_low = [], []
    for _ in range(200):
        found = worst_group((rng.uniform(size=240) < 0.7).astype(int), groups)
        held.append(found.low <= 0.7 <= found.high)
        too_low.append(found.accuracy)
    assert np.mean(held) >= 0.95 and np.mean(too_low) < 0.62


def test_the_worst_group_is_named():
    found = worst_group([1, 0, 1, 1], [3, 3, 1, 1])
    assert (found.group, found.accuracy, found.by_group) == ("3", 0.5, {"1": 1.0, "3": 0.5})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: calibration_error([-0.1], [1]), "within \\[0, 1\\]"),
        (lambda: calibration_error([0.5], [2]), "0 and 1 only"),
        (lambda: calibration_error([0.5], [1, 0]), "one shape"),
        (lambda: calibration_error([0.5], [1], 0), "`n_bins` must be at least 1"),
        (lambda: risk_coverage([], []), "one shape"),
        (lambda: brier_scores([[0.5, 0.5]], [0, 1]), "one a row"),
        (lambda: worst_group([0.5], ["a"]), "0 or 1 for each label"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["ECE", "AURC"])
def test_the_catalogue_reads_next_tokens_of_retain_answers(arrays, name):
    confidence = np.exp(arrays["unlearned.retain.max_log_prob"])
    correct = arrays["unlearned.retain.argmax_hit"].astype(float)
    metric = next(metric for metric in METRICS if metric.name == name)
    found = estimate(metric, arrays, over="authors")
    expected = {"ECE": calibration_error(confidence, correct), "AURC": risk_coverage(confidence, correct).area}
    assert found.value == pytest.approx(expected[name]) and found.n_clusters == 10
