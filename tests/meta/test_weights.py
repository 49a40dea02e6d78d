import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog

from vestige.meta.weights import Constraints, least_sum, priorities, weight_limits, within_limits

METRICS = ("FA", "RA", "MIA")


@st.composite
def limited(draw):
    """Proportions and limits that some weighting satisfies."""
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    inside = rng.dirichlet(np.ones(n))
    loose = rng.random((2, n)) < 0.4
    lower = np.where(loose[0], 0, inside * rng.random(n))
    upper = np.where(loose[1], 1, inside + (1 - inside) * rng.random(n))
    return rng.dirichlet(np.ones(n)) + 1e-3, lower, upper


@given(limited())
def test_weights_within_limits_are_the_clipped_proportions_with_sum_one(case):
    wanted, lower, upper = case
    found = within_limits(wanted, lower, upper)
    if (lower < upper).any():
        level = brentq(lambda c: np.clip(c * wanted, lower, upper).sum() - 1, 0, 1e6, xtol=1e-14)
        np.testing.assert_allclose(found, np.clip(level * wanted, lower, upper), atol=1e-7)
    assert found.sum() == pytest.approx(1)
    assert (found >= lower - 1e-12).all() and (found <= upper + 1e-12).all()


def test_without_limits_only_the_sum_changes():
    np.testing.assert_allclose(within_limits([3.0, 1.0], [0, 0], [1, 1]), [0.75, 0.25])


@given(limited(), st.integers(0, 100))
def test_the_smallest_sum_is_the_linear_programs(case, seed):
    _, lower, upper = case
    values = np.random.default_rng(seed).normal(size=(2, len(lower)))
    for row, least in zip(values, least_sum(values, lower, upper), strict=True):
        program = linprog(row, A_eq=np.ones((1, len(row))), b_eq=[1], bounds=np.column_stack([lower, upper]))
        assert least == pytest.approx(program.fun, abs=1e-9)


def test_limits_and_priorities_are_read_by_name():
    lower, upper = weight_limits(Constraints(least={"RA": 0.2}, most={"FA": 0.5}), METRICS)
    assert lower.tolist() == [0, 0.2, 0]
    assert upper.tolist() == [0.5, 1, 1]
    assert priorities({"MIA": 2.0}, METRICS, "metric_priority").tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    "constraints, message",
    [
        (Constraints(least={"XX": 0.1}), "least names XX, but there are FA, RA, MIA"),
        (Constraints(most={"FA": 1.5}), r"most of FA must lie within \[0, 1\], got 1.5"),
        (Constraints(least={"FA": 0.5}, most={"FA": 0.4}), "the least weight of FA is above the largest"),
        (Constraints(least={"FA": 0.6, "RA": 0.6}), "the least ones sum to 1.2"),
        (Constraints(most=dict.fromkeys(METRICS, 0.3)), "the largest ones to 0.9"),
    ],
)
def test_what_no_weighting_satisfies_is_refused(constraints, message):
    with pytest.raises(ValueError, match=message):
        weight_limits(constraints, METRICS)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_priority_must_be_positive(factor):
    with pytest.raises(ValueError, match="metric_priority of FA must be above 0 and finite"):
        priorities({"FA": factor}, METRICS, "metric_priority")
