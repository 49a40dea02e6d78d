from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.report.numbers import interval, number, p_value, percent, scope, spread, with_interval
from vestige.stats.estimate import Estimate

finite = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)


@given(finite)
def test_a_written_number_is_the_number_to_three_digits(value):
    assert float(number(value)) == pytest.approx(value, rel=5.01e-3, abs=1e-300)


@given(finite)
def test_a_written_number_is_short_and_never_minus_zero(value):
    assert len(number(value)) <= 10 and number(value) != "-0"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9996, "1.00"), (-0.0, "0"), (99999.0, "1.00e5"), (0.001, "0.00100"), (9.996e-4, "0.00100"), (1234.4, "1234")],
)
def test_numbers_at_the_edges_of_the_notation(value, text):
    assert number(value) == text


def test_undefined_and_infinite_values_are_never_nan():
    assert [number(value) for value in (nan, inf, -inf)] == ["-", "inf", "-inf"]
    assert [p_value(nan), percent(nan), spread((nan, nan))] == ["-", "-", "-"]


def test_an_interval_is_in_brackets_and_absent_where_there_is_none():
    assert with_interval(Estimate(1.0, 0.5, 2.0)) == "1.00 [0.500, 2.00]"
    assert with_interval(Estimate(1.0)) == "1.00" and interval(Estimate(1.0)) == ""


def test_the_scope_names_what_was_resampled_and_what_was_held_fixed():
    estimate = Estimate(0.5, 0.4, 0.6, 240, "authors", ("seed",), 12, "jackknife-t", 0.9, 3)
    assert scope(estimate) == (
        "0.500 [0.400, 0.600] (90 % interval, jackknife-t, over 12 authors; n = 240; held fixed: seed; "
        "3 resamples undefined)"
    )


def test_the_scope_of_an_undefined_value_is_its_reason():
    assert scope(Estimate(nan, reason="n < 3")) == "undefined: n < 3"
    assert scope(Estimate(0.5, reason="2 clusters")) == "0.500 (no interval: 2 clusters)"
