import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from vestige.stats.correlation import (
    between_and_within,
    between_share,
    correlation_estimate,
    within_estimate,
    within_groups,
)
from vestige.stats.intervals import jackknife_t


def interval_reference(x, y, clusters, function):
    """Leave one cluster out, Fisher's z, Student's t with n_clusters - 1 degrees of freedom."""
    ids = sorted(set(clusters))
    z = [math.atanh(function(x[clusters != k], y[clusters != k]).statistic) for k in ids]
    mean, n = sum(z) / len(ids), len(ids)
    se = math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in z))
    half = stats.t.ppf(0.975, n - 1) * se
    centre = math.atanh(function(x, y).statistic)
    return math.tanh(centre - half), math.tanh(centre + half)


def eta_squared_reference(x, groups):
    """Explained over total sum of squares, one row at a time."""
    mean = sum(x) / len(x)
    means = {g: sum(v for v, h in zip(x, groups, strict=True) if h == g) / groups.count(g) for g in set(groups)}
    return sum((means[g] - mean) ** 2 for g in groups) / sum((v - mean) ** 2 for v in x)


def sample(n=24, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, x + rng.normal(size=n), np.arange(n) // 3


@pytest.mark.parametrize("kind, function", [("spearman", stats.spearmanr), ("kendall", stats.kendalltau)])
def test_value_and_interval_match_the_definition(kind, function):
    x, y, clusters = sample()
    estimate = correlation_estimate(x, y, kind, clusters, over="methods")
    assert estimate.value == pytest.approx(function(x, y).statistic, rel=1e-12)
    assert (estimate.low, estimate.high) == pytest.approx(interval_reference(x, y, clusters, function), rel=1e-9)
    assert (estimate.n, estimate.n_clusters, estimate.over) == (24, 8, "methods")


def test_rows_with_nan_are_left_out_pair_by_pair():
    x, y, clusters = sample()
    x[0], y[5] = math.nan, math.nan
    keep = ~(np.isnan(x) | np.isnan(y))
    assert correlation_estimate(x, y, clusters=clusters) == correlation_estimate(
        x[keep], y[keep], clusters=clusters[keep]
    )


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_monotone_maps_change_nothing_and_reversal_flips_the_sign(seed):
    x, y, clusters = sample(seed=seed)
    one, mapped = (correlation_estimate(v, y, clusters=clusters) for v in (x, np.exp(x)))
    assert one == mapped
    flipped = correlation_estimate(-x, y, clusters=clusters)
    assert (flipped.value, flipped.low, flipped.high) == pytest.approx((-one.value, -one.high, -one.low), abs=1e-12)


@pytest.mark.parametrize(
    "x, y, words",
    [
        ([1, 1, 1, 1], [1, 2, 3, 4], "constant"),
        ([1, 2], [2, 1], "2 rows"),
        ([math.nan] * 4, [1, 2, 3, 4], "0 rows"),
    ],
)
def test_undefined_stays_undefined_with_a_reason(x, y, words):
    estimate = correlation_estimate(x, y)
    assert math.isnan(estimate.value)
    assert words in estimate.reason


def test_two_clusters_give_a_value_without_an_interval():
    x, y, _ = sample()
    estimate = correlation_estimate(x, y, clusters=np.arange(24) % 2, over="datasets")
    assert not math.isnan(estimate.value)
    assert not estimate.has_interval
    assert estimate.reason == "2 datasets, an interval needs 3"


def test_lengths_must_match():
    with pytest.raises(ValueError, match="one length"):
        correlation_estimate([1, 2, 3], [1, 2])


def test_within_groups_averages_over_the_groups_where_it_is_defined():
    x = np.array([1.0, 2, 3, 5, 5, 5, 3, 2, 1, 7, 8])
    y = np.array([1.0, 2, 3, 1, 2, 3, 1, 3, 2, 0, 1])
    groups = list("aaabbbcccdd")  # b is constant, d has two rows
    expected = np.mean([1.0, stats.spearmanr(x[6:9], y[6:9]).statistic])
    assert within_groups(x, y, groups) == pytest.approx(expected)
    assert math.isnan(within_groups(x[3:6], y[3:6], groups[3:6]))


def test_within_groups_ignores_shifts_between_groups():
    x, y, groups = sample()
    assert within_groups(x + 100 * groups, y - 100 * groups, groups) == within_groups(x, y, groups)


@given(st.lists(st.tuples(st.floats(-10, 10), st.sampled_from("abc")), min_size=4, max_size=30))
@settings(max_examples=50, deadline=None)
def test_between_share_matches_the_definition(rows):
    x, groups = [value for value, _ in rows], [group for _, group in rows]
    assume(np.ptp(x) > 1e-3)
    share = between_share(x, groups)
    assert share == pytest.approx(eta_squared_reference(x, groups), rel=1e-9, abs=1e-12)
    assert 0 <= share <= 1


def test_between_share_of_a_constant_column_is_undefined():
    assert math.isnan(between_share([2.0, 2.0], ["a", "b"]))


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters, n_rows", [(3, 12), (9, 4), (25, 3)])
def test_the_interval_of_rho_holds_the_truth_about_as_often_as_it_says(n_clusters, n_rows):
    rng = np.random.default_rng(0)
    truth = 6 / math.pi * math.asin(0.5 / 2)  # Spearman of a normal pair with correlation .5
    held = 0
    for _ in range(1_500):
        shared, own = rng.normal(size=(n_clusters, 1, 2)), rng.normal(size=(n_clusters, n_rows, 2))
        rows = (np.sqrt(0.5) * shared + np.sqrt(0.5) * own).reshape(-1, 2)
        x, y = rows[:, 0], 0.5 * rows[:, 0] + math.sqrt(0.75) * rows[:, 1]
        estimate = correlation_estimate(x, y, clusters=np.repeat(np.arange(n_clusters), n_rows))
        held += estimate.low <= truth <= estimate.high
    assert 0.925 <= held / 1_500 <= 0.985


@pytest.mark.parametrize("unit", [1e-310, 1e-160, 1e160, 1e300])
def test_the_unit_changes_no_share_of_variance(unit):
    x, groups = np.array([1.0, 2, 4, 7, 5, 9]), [0, 0, 0, 1, 1, 1]
    assert between_share(unit * x, groups) == pytest.approx(between_share(x, groups), rel=1e-9)


def test_an_infinite_value_leaves_the_share_of_variance_undefined():
    assert math.isnan(between_share([1.0, 2.0, math.inf, 3.0], [0, 0, 1, 1]))


@given(st.integers(0, 10_000))
def test_between_and_within_add_up_to_rho(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, (2, 15)).astype(float)
    groups = rng.integers(0, 4, 15)
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    rho = stats.spearmanr(x, y).statistic
    ranks = [stats.rankdata(v) for v in (x, y)]
    means = [np.array([r[groups == g].mean() for g in groups]) for r in ranks]  # the definition, row by row
    between = ((means[0] - 8) * (means[1] - 8)).sum() / np.sqrt(np.prod([((r - 8) ** 2).sum() for r in ranks]))
    assert between_and_within(x, y, groups) == pytest.approx((between, rho - between), abs=1e-12)


def test_the_within_interval_leaves_out_clusters():
    rng = np.random.default_rng(0)
    groups, clusters = np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40) + 5 * groups
    estimate = within_estimate(x, y, groups, clusters, over="methods", fixed=("dataset",))
    left_out = [within_groups(x[clusters != c], y[clusters != c], groups[clusters != c]) for c in range(10)]
    assert (estimate.low, estimate.high) == jackknife_t(estimate.value, np.array(left_out), scale="fisher")
    assert (estimate.n_clusters, estimate.over, estimate.fixed) == (10, "methods", ("dataset",))
    assert within_estimate(np.ones(40), y, groups, clusters).reason.startswith("no group has 3 rows")
    assert within_estimate(x, y, groups, groups > 1).reason == "2 clusters, an interval needs 3"
