"""Extraction likelihood, costs, utility matching and repair curves, each by its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.metrics.cost import Cost, cost_columns, pareto_front
from vestige.metrics.extraction import extraction_likelihood
from vestige.metrics.tradeoff import corrective_curve, utility_matched


@given(st.integers(0, 1000), st.integers(1, 3))
def test_extraction_likelihood_is_its_definition(seed, n):
    rng = np.random.default_rng(seed)
    text = rng.integers(0, 3, 8).tolist()
    written = [rng.integers(0, 3, rng.integers(0, 6)).tolist() for _ in range(8 - n)]
    overlaps = []
    for t, continuation in enumerate(written, start=1):
        grams = [continuation[i : i + n] for i in range(len(continuation) - n + 1)]
        rest = [text[t:][i : i + n] for i in range(len(text[t:]) - n + 1)]
        overlaps.append(sum(g in rest for g in grams) / len(grams) if grams else 0)
    assert extraction_likelihood(text, written, n) == pytest.approx(np.mean(overlaps))


def test_a_text_known_by_heart_is_extracted_whole():
    text = list(range(12))
    assert extraction_likelihood(text, [text[t:] for t in range(1, 3)], n=10) == 1
    assert extraction_likelihood(text, [[99] * 11, [99] * 10], n=10) == 0


def test_costs_that_were_not_measured_are_nan():
    columns = cost_columns([Cost(seconds=3.0), Cost(memory=5.0)])
    assert columns["seconds"][0] == 3 and math.isnan(columns["seconds"][1]) and math.isnan(columns["storage"][0])


@given(st.integers(0, 1000))
def test_the_front_is_who_nobody_beats(seed):
    values = np.random.default_rng(seed).integers(0, 4, (7, 2)).astype(float)
    better = {"a": "higher", "b": "lower"}
    found = pareto_front({"a": values[:, 0], "b": values[:, 1]}, better)
    signed = values * [1, -1]
    for i in range(7):
        beaten = any((signed[j] >= signed[i]).all() and (signed[j] > signed[i]).any() for j in range(7))
        assert found[i] == (not beaten)


def test_a_model_with_an_unknown_cost_is_not_on_the_front_and_beats_nobody():
    assert pareto_front({"a": [1.0, np.nan, 0.5]}, {"a": "higher"}).tolist() == [True, False, False]


def test_utility_is_matched_where_it_is_kept_for_good():
    """Utility dips again after the first share that reaches the target: only the last crossing counts."""
    found = utility_matched([0, 0.25, 0.5, 0.75, 1], [0.0, 0.9, 0.4, 0.8, 1.0], [0, 1, 2, 3, 4], 1.0, kept=0.6)
    assert found.share == pytest.approx(0.625) and found.score == pytest.approx(2.5)


def test_a_method_that_keeps_utility_is_read_unmixed_and_one_that_never_does_is_undefined():
    assert utility_matched([0, 1], [0.99, 1], [0.1, 0.9], 1.0).share == 0
    found = utility_matched([0, 0.5], [0.1, 0.2], [0.1, 0.9], 1.0)
    assert math.isnan(found.score) and found.reason == "no mixture that was tried keeps a utility of 0.95"


def test_repair_is_a_share_of_the_way_to_retrained():
    found = corrective_curve([0.0, 0.5, 1.0], [0.4, 0.7, 0.8], damaged=0.4, retrained=0.8)
    np.testing.assert_allclose(found.repaired, [0, 0.75, 1])
    assert found.area == pytest.approx((0.375 + 0.875) / 2)
    assert np.isnan(corrective_curve([0, 1], [0.5, 0.5], damaged=0.5, retrained=0.5).repaired).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: extraction_likelihood([1, 2], [[1]], n=2), "more than `n` tokens"),
        (lambda: extraction_likelihood([1, 2, 3], [[1]], n=1), "one for each of 2 prefixes"),
        (lambda: pareto_front({"a": [1.0]}, {"b": "higher"}), "must name the columns"),
        (lambda: pareto_front({"a": [1.0]}, {"a": "reference"}), "'higher' or 'lower'"),
        (lambda: pareto_front({"a": [1.0], "b": [1.0, 2.0]}, {"a": "lower", "b": "lower"}), "one shape"),
        (lambda: utility_matched([1, 0], [1, 1], [0, 0], 1.0), "`shares` must rise"),
        (lambda: utility_matched([0, 1], [1, 1], [0, 0], 0.0), "must be above 0"),
        (lambda: corrective_curve([0.5], [0.5], 0.1, 0.9), "`found` must rise"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
