"""Conformal p-values by counting, Benjamini-Hochberg by SciPy, the lower bound by brute force over all sets."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from vestige.metrics.trace import _largest_kept, conformal_p_values, traces

few = st.lists(st.integers(0, 9), min_size=1, max_size=7)


@given(few, few)
def test_p_values_count(scores, never_seen):
    expected = [(1 + sum(s >= score for s in never_seen)) / (len(never_seen) + 1) for score in scores]
    np.testing.assert_allclose(conformal_p_values(scores, never_seen), expected)
    mirrored = conformal_p_values([-s for s in scores], [-s for s in never_seen])
    both = conformal_p_values(scores, never_seen, "two-sided")
    np.testing.assert_allclose(both, np.minimum(1, 2 * np.minimum(expected, mirrored)))


@given(st.integers(0, 1000), st.sampled_from([0.05, 0.1, 0.3]))
def test_what_is_found_is_benjamini_hochberg_s(seed, level):
    rng = np.random.default_rng(seed)
    scores, never_seen = rng.normal(1, 1.5, 30), rng.normal(size=60)
    found = traces(scores, never_seen, level)
    np.testing.assert_array_equal(found.found, false_discovery_control(found.p_values) <= level)


def kept_by_brute_force(p, level):
    """The size of the largest of all sets of hypotheses that Simes' test does not reject."""
    sizes = [0]
    for size in range(1, len(p) + 1):
        for subset in itertools.combinations(sorted(p), size):
            if all(value > level * (i + 1) / size for i, value in enumerate(subset)):
                sizes.append(size)
    return max(sizes)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), st.sampled_from([0.05, 0.2]))
def test_the_bound_is_that_of_the_closed_test(p, level):
    assert _largest_kept(np.sort(p), level) == kept_by_brute_force(p, level)


def test_without_a_trace_the_bound_is_rarely_above_zero_and_few_are_found():
    rng = np.random.default_rng(0)
    runs = [traces(rng.normal(size=20), rng.normal(size=60), 0.1) for _ in range(500)]
    assert np.mean([run.at_least > 0 for run in runs]) < 0.1 + 3 * np.sqrt(0.09 / 500)
    assert np.mean([run.found.any() for run in runs]) < 0.1 + 3 * np.sqrt(0.09 / 500)


def test_the_bound_is_rarely_above_the_truth_and_the_share_of_false_finds_is_kept():
    rng = np.random.default_rng(0)
    too_high, false_share = [], []
    for _ in range(300):
        scores = np.concatenate([rng.normal(4, 1, 15), rng.normal(size=15)])
        run = traces(scores, rng.normal(size=200), 0.1)
        too_high.append(run.at_least > 15)
        false_share.append(run.found[15:].sum() / max(run.found.sum(), 1))
    assert np.mean(too_high) < 0.1 and np.mean(false_share) < 0.1
    assert run.at_least > 5


def test_with_few_never_seen_examples_nothing_can_be_found_and_the_result_shows_why():
    run = traces([99.0], np.zeros(8), 0.1)
    assert run.at_least == 0 and not run.found.any() and run.smallest_p == pytest.approx(1 / 9)


def test_over_forgotten_examples_are_found_two_sided_only():
    never_seen = np.linspace(0, 1, 99)
    assert traces([-5.0] * 4, never_seen).at_least == 0
    assert traces([-5.0] * 4, never_seen, alternative="two-sided").at_least == 4


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: conformal_p_values([1.0], []), "at least one score"),
        (lambda: conformal_p_values([1.0], [np.nan]), "no NaN"),
        (lambda: conformal_p_values([1.0], [1.0], "lower"), "`alternative` must be"),
        (lambda: traces([1.0], [1.0], 1.0), "`level` must lie"),
        (lambda: traces([np.nan], [1.0]), "hold 1 NaN"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
