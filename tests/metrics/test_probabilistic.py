"""Bounds of leakage: golden values, the libraries', and distributions that try to break them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from vestige.metrics import METRICS, estimate
from vestige.metrics.probabilistic import (
    band_width,
    deviation_bound,
    expectation_bound,
    expected_deviation_score,
    leak_probability_bound,
    tail_bound,
    worst_subset,
)

BY_NAME = {metric.name: metric for metric in METRICS}
DRAWS = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def test_golden_values_of_the_bounds():
    """shared/metrics.md 4.12."""
    x = [0.1, 0.2, 0.2, 0.5]
    assert band_width(4, 0.05) == pytest.approx(0.6119367077, abs=1e-10)
    assert expectation_bound(x, 0.05) == pytest.approx(0.7645493661, abs=1e-10)
    steps = np.arange(100) / 100
    assert band_width(100, 0.05) == pytest.approx(0.1223873415, abs=1e-10)
    # The golden value is the sum of 100 steps, which is exact where every draw is a step.
    assert expectation_bound(steps, 0.05) == pytest.approx(0.6105008606, abs=1e-10)
    assert leak_probability_bound(0, 20, 0.05) == pytest.approx(0.1391083407, abs=1e-10)
    assert leak_probability_bound(3, 20, 0.05) == pytest.approx(0.3436638043, abs=1e-10)
    assert leak_probability_bound(20, 20, 0.05) == 1


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.001, 0.5))
def test_the_binary_bound_is_the_beta_quantile(n, leaks, alpha):
    leaks = min(leaks, n - 1)
    assert leak_probability_bound(leaks, n, alpha) == pytest.approx(beta.ppf(1 - alpha, leaks + 1, n - leaks))


@given(DRAWS, st.floats(0.001, 0.5))
def test_the_expectation_is_bounded_by_the_integral_of_the_upper_survival_curve(draws, alpha):
    grid = (np.arange(20_000) + 0.5) / 20_000
    survival = 1 - np.searchsorted(np.sort(draws), grid, side="right") / len(draws)
    expected = np.minimum(1, survival + band_width(len(draws), alpha)).mean()
    assert expectation_bound(draws, alpha) == pytest.approx(expected, abs=1e-3)
    assert np.mean(draws) <= expectation_bound(draws, alpha) <= 1 + 1e-12


def spread_within_the_band(draws, alpha, rng):
    """Deviation of a random distribution whose distribution function lies within the band, on a fine grid."""
    grid = np.linspace(0, 1, 201)
    height = np.searchsorted(np.sort(draws), grid, side="right") / len(draws)
    band = band_width(len(draws), alpha, sides=2)
    low, high = np.maximum(0, height - band), np.minimum(1, height + band)
    function = np.maximum.accumulate(low + rng.beta(0.2, 0.2) * (high - low))
    function = np.clip(np.where(grid < rng.random(), high, function), low, high)
    function = np.maximum.accumulate(np.minimum(function, rng.choice([1.0, rng.random()])).clip(low, high))
    function[-1] = 1.0
    mass = np.diff(function, prepend=0.0)
    return math.sqrt(max(0.0, mass @ grid**2 - (mass @ grid) ** 2))


@given(st.lists(st.integers(0, 200).map(lambda i: i / 200), min_size=1, max_size=40), st.integers(0, 10_000))
def test_no_distribution_within_the_band_spreads_more_than_the_bound(draws, seed):
    rng = np.random.default_rng(seed)
    bound = deviation_bound(draws, 0.2)
    assert np.std(draws) <= bound + 1e-12 and bound <= 0.5 + 1e-12
    assert all(spread_within_the_band(draws, 0.2, rng) <= bound + 1e-9 for _ in range(20))


@pytest.mark.parametrize("draws", [[0.5] * 200, [0.0] * 300, [0.2, 0.9] * 80, np.linspace(0, 1, 150)])
def test_the_bound_of_the_deviation_is_reached_by_a_flat_stretch(draws):
    """A search over heights of the flat stretch, in small steps, comes to the same deviation and never beyond."""
    x, n = np.sort(draws), len(draws)
    edges, height, band = np.concatenate([[0], x, [1]]), np.arange(n + 1) / n, band_width(n, sides=2)
    low, high = np.maximum(0, height - band), np.minimum(1, height + band)
    found = 0.0
    for c in np.linspace(0, 1, 4001):
        survival = 1 - np.clip(c, low, high)
        found = max(found, survival @ np.diff(edges**2) - (survival @ np.diff(edges)) ** 2)
    assert deviation_bound(draws) == pytest.approx(math.sqrt(found), abs=1e-6)


def test_a_constant_within_the_band_may_lose_both_tails():
    """Half the draws' mass of the band may lie at 0 and as much at 1: variance 2 eps / 4."""
    eps = band_width(10_000, 0.05, sides=2)
    assert deviation_bound([0.5] * 10_000, 0.05) == pytest.approx(math.sqrt(eps / 2), rel=1e-9)


def test_the_tail_bound_holds_for_the_stated_share_of_samples():
    rng = np.random.default_rng(0)
    held = [tail_bound(rng.random(50), 0.7, 0.1) >= 0.3 for _ in range(500)]
    assert np.mean(held) >= 0.9


def test_the_score_is_mean_plus_two_deviations(arrays):
    draws = arrays["unlearned.forget.leakage"]
    expected = [np.mean(row) + 2 * np.std(row) for row in draws]
    assert expected_deviation_score(draws) == pytest.approx(expected)
    assert estimate(BY_NAME["ED"], arrays).value == pytest.approx(np.mean(expected))
    assert estimate(BY_NAME["E-leak"], arrays).value == pytest.approx(np.mean([expectation_bound(r) for r in draws]))
    assert estimate(BY_NAME["SD-leak"], arrays).value == pytest.approx(np.mean([deviation_bound(r) for r in draws]))


def test_questions_that_were_not_sampled_after_are_left_out(arrays):
    draws = arrays["unlearned.forget.leakage"]
    arrays["unlearned.forget.leakage"] = np.where(np.arange(len(draws))[:, None] % 3 == 0, draws, np.nan)
    expected = [np.mean(row) + 2 * np.std(row) for row in draws[::3]]
    assert estimate(BY_NAME["ED"], arrays).value == pytest.approx(np.mean(expected))
    assert estimate(BY_NAME["E-leak"], arrays).value == pytest.approx(np.mean([*map(expectation_bound, draws[::3])]))


def test_the_worst_subset_is_measured_on_draws_that_did_not_choose_it():
    """Without any difference between examples the chosen ones look worse in the draws that chose them only."""
    rng = np.random.default_rng(0)
    found = worst_subset(rng.random((400, 8)), share=0.1)
    assert len(found.chosen) == 40
    assert found.seen > 0.7 and found.leakage == pytest.approx(found.whole, abs=0.05)
    planted = rng.random((400, 8)) / 2
    planted[:40] += 0.5
    assert worst_subset(planted, share=0.1).chosen.tolist() == list(range(40))


def test_entities_are_chosen_as_a_whole():
    leakage = np.array([[0.0, 0.0], [1.0, 1.0], [0.9, 0.9], [0.8, 0.8]])
    found = worst_subset(leakage, share=0.5, clusters=[5, 5, 8, 8])
    assert found.chosen.tolist() == [8] and found.leakage == pytest.approx(0.85)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: expectation_bound([1.5]), r"within \[0, 1\]"),
        (lambda: expectation_bound([]), "its shape is"),
        (lambda: band_width(0), "at least 1"),
        (lambda: leak_probability_bound(3, 2), "`n_leaks`"),
        (lambda: expected_deviation_score([0.5]), "n_examples, n_draws"),
        (lambda: worst_subset([[0.5]]), "n_draws >= 2"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
