import itertools
import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from vestige.kernels import (
    energy_distance,
    ks_statistic,
    ks_test,
    mann_whitney_test,
    roc_auc,
    roc_curve,
    set_num_threads,
    tpr_at_fpr,
    wasserstein_distance,
)


def auc_reference(positive, negative):
    return sum((p > n) + 0.5 * (p == n) for p in positive for n in negative) / (len(positive) * len(negative))


def ks_reference(x, y):
    return max(abs(sum(a <= t for a in x) / len(x) - sum(b <= t for b in y) / len(y)) for t in [*x, *y])


samples = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


@given(samples, samples)
def test_both_match_their_definitions(x, y):
    assert roc_auc(x, y) == pytest.approx(auc_reference(x, y), abs=1e-14)
    assert ks_statistic(x, y) == pytest.approx(ks_reference(x, y), abs=1e-14)


@given(samples, samples)
def test_swapping_mirrors_auc_and_keeps_ks_and_monotone_maps_change_neither(x, y):
    assert roc_auc(x, y) == pytest.approx(1 - roc_auc(y, x), abs=1e-15)
    assert ks_statistic(x, y) == ks_statistic(y, x)
    assert roc_auc(np.exp(x), np.exp(y)) == roc_auc(x, y)
    assert ks_statistic(np.exp(x), np.exp(y)) == ks_statistic(x, y)
    assert roc_auc(x, x) == 0.5 and ks_statistic(x, x) == 0


@pytest.mark.parametrize("digits", [0, 2, 16])
def test_sklearn_and_scipy_give_the_same(digits):
    rng = np.random.default_rng(digits)
    x, y = rng.normal(0.3, size=3001).round(digits), rng.normal(size=1999).round(digits)
    labels = np.r_[np.ones(3001), np.zeros(1999)]
    assert roc_auc(x, y) == pytest.approx(roc_auc_score(labels, np.r_[x, y]), abs=1e-12)
    assert ks_statistic(x, y) == pytest.approx(scipy.stats.ks_2samp(x, y, method="asymp").statistic, abs=1e-12)


SIDES = ["two-sided", "less", "greater"]


def shuffles_reference(x, y, statistic):
    """The share of all ways to deal the pooled values whose statistic is at least that of `x` and `y`."""
    pooled, seen = [*x, *y], statistic(x, y)
    deals = []
    for chosen in itertools.combinations(range(len(pooled)), len(x)):
        rest = [v for i, v in enumerate(pooled) if i not in chosen]
        deals.append(statistic([pooled[i] for i in chosen], rest))
    return np.mean(np.array(deals) >= seen - 1e-12)


def excess(x, y):
    return max(sum(a <= t for a in x) / len(x) - sum(b <= t for b in y) / len(y) for t in [*x, *y])


def u_reference(x, y):
    return auc_reference(x, y) * len(x) * len(y)


@given(st.permutations(range(7)), st.integers(1, 6))
def test_exact_p_values_count_the_deals(order, n):
    x, y = map(float, order[:n]), map(float, order[n:])
    x, y = list(x), list(y)
    assert ks_test(x, y).p_value == pytest.approx(shuffles_reference(x, y, ks_reference), abs=1e-12)
    one_sided = ks_test(x, y, alternative="greater")
    assert one_sided.p_value == pytest.approx(shuffles_reference(x, y, excess), abs=1e-12)
    assert one_sided == ks_test(y, x, alternative="less")
    result = mann_whitney_test(x, y, alternative="greater")
    assert result.method == "exact" and result.statistic == pytest.approx(u_reference(x, y))
    assert result.p_value == pytest.approx(shuffles_reference(x, y, u_reference), abs=1e-12)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("method", ["auto", "exact", "asymptotic"])
@pytest.mark.parametrize("sizes", [(1, 2), (3, 8), (9, 9), (40, 25), (60, 60), (150, 100)])
@pytest.mark.parametrize("shift", [0.0, 0.4, 3.0])
@pytest.mark.parametrize("digits", [0, 12])
def test_scipy_gives_the_same_p_values(sizes, shift, digits, method, alternative):
    rng = np.random.default_rng(sizes)
    x, y = rng.normal(shift, size=sizes[0]).round(digits), rng.normal(size=sizes[1]).round(digits)
    name = "asymp" if method == "asymptotic" else method
    expected = scipy.stats.ks_2samp(x, y, alternative=alternative, method=name)
    result = ks_test(x, y, alternative=alternative, method=method)
    assert result.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)
    expected = scipy.stats.mannwhitneyu(x, y, alternative=alternative, method=method)
    result = mann_whitney_test(x, y, alternative=alternative, method=method)
    assert result.statistic == expected.statistic
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12, nan_ok=True)
    bare = scipy.stats.mannwhitneyu(x, y, use_continuity=False, alternative=alternative, method="asymptotic")
    result = mann_whitney_test(x, y, continuity=False, alternative=alternative, method="asymptotic")
    assert result.p_value == pytest.approx(bare.pvalue, rel=1e-9, abs=1e-12, nan_ok=True)


def test_exact_p_values_of_large_samples_are_finite_and_near_the_asymptotic_ones():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.03, size=4000), rng.normal(size=3001)
    for alternative in SIDES:
        exact, rough = (ks_test(x, y, alternative=alternative, method=m) for m in ("exact", "asymptotic"))
        assert exact.method == "exact" and exact.p_value == pytest.approx(rough.p_value, rel=0.05)
    exact, rough = (mann_whitney_test(x[:400], y[:300], method=m) for m in ("exact", "asymptotic"))
    assert exact.p_value == pytest.approx(rough.p_value, rel=0.01)


def test_exact_mann_whitney_chances_agree_with_whole_numbers():
    n, m = 30, 41
    counts = [1]
    for i in range(1, n + 1):  # coefficients of a Gaussian binomial in whole numbers
        counts = [*counts, *[0] * (n * m + 1 - len(counts))]
        for k in range(n * m, m + i - 1, -1):
            counts[k] -= counts[k - m - i]
        for k in range(i, n * m + 1):
            counts[k] += counts[k - i]
    x = np.arange(n) * 2.0
    for shift in (-1, 3, 15, 40):
        y = np.arange(m) * 1.5 + shift + 0.25
        result = mann_whitney_test(x, y, alternative="greater", method="exact")
        expected = sum(counts[int(result.statistic) :]) / math.comb(n + m, n)
        assert result.p_value == pytest.approx(expected, rel=1e-10)


@given(samples, samples)
def test_the_roc_curve_is_that_of_scikit_learn(positive, negative):
    labels, scores = np.r_[np.ones(len(positive)), np.zeros(len(negative))], np.r_[positive, negative]
    for drop in (True, False):
        fpr, tpr, thresholds = sklearn_roc_curve(labels, scores, drop_intermediate=drop)
        curve = roc_curve(positive, negative, drop_collinear=drop)
        np.testing.assert_array_equal(curve.thresholds, thresholds)
        np.testing.assert_allclose(curve.fpr, fpr, rtol=0, atol=1e-15)
        np.testing.assert_allclose(curve.tpr, tpr, rtol=0, atol=1e-15)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(roc_auc(positive, negative), abs=1e-12)


@given(samples, samples, st.sampled_from([0.0, 0.001, 0.1, 1 / 3, 0.5, 0.7, 1.0]))
def test_a_true_positive_rate_is_the_best_point_of_the_curve(positive, negative, fpr):
    curve = roc_curve(positive, negative, drop_collinear=False)
    assert tpr_at_fpr(positive, negative, fpr) == curve.tpr[curve.fpr <= fpr].max()


@given(samples, samples)
def test_distances_match_their_definitions(x, y):
    points = sorted({*x, *y})
    gaps = [sum(a <= t for a in x) / len(x) - sum(b <= t for b in y) / len(y) for t in points[:-1]]
    widths = np.diff(points)
    assert wasserstein_distance(x, y) == pytest.approx(float(np.abs(gaps) @ widths), abs=1e-12)
    assert energy_distance(x, y) == pytest.approx(math.sqrt(2 * float(np.square(gaps) @ widths)), abs=1e-12)


@given(samples, samples, st.integers(0, 2**32))
def test_distances_match_scipy_with_weights_too(x, y, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.exponential(size=len(x)), rng.exponential(size=len(y))
    for ours, theirs in (
        (wasserstein_distance, scipy.stats.wasserstein_distance),
        (energy_distance, scipy.stats.energy_distance),
    ):
        assert ours(x, y) == pytest.approx(theirs(x, y), rel=1e-12, abs=1e-12)
        assert ours(x, y, x_weights=a, y_weights=b) == pytest.approx(theirs(x, y, a, b), rel=1e-12, abs=1e-10)
        assert ours(x, y, y_weights=b) == pytest.approx(theirs(x, y, None, b), rel=1e-12, abs=1e-10)
        assert ours(x, y) == ours(y, x) and ours(x, x) == 0


def test_large_samples_agree_with_scipy():
    x, y = np.random.default_rng(1).normal([[0.0], [0.1]], size=(2, 150_000)).round(4)
    y = y[:100_001]
    assert wasserstein_distance(x, y) == pytest.approx(scipy.stats.wasserstein_distance(x, y), rel=1e-12)
    assert energy_distance(x, y) == pytest.approx(scipy.stats.energy_distance(x, y), rel=1e-12)
    expected = scipy.stats.mannwhitneyu(x, y)
    result = mann_whitney_test(x, y)
    assert result.statistic == expected.statistic and result.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert roc_auc(x, y) == pytest.approx(expected.statistic / (x.size * y.size), abs=1e-15)
    for alternative in SIDES:
        expected = scipy.stats.ks_2samp(x, y, alternative=alternative)
        result = ks_test(x, y, alternative=alternative)
        assert result.method == "asymptotic" and result.statistic == pytest.approx(expected.statistic, abs=1e-12)
        assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)
    assert ks_statistic(x[:20], y) == pytest.approx(
        scipy.stats.ks_2samp(x[:20], y, method="asymp").statistic, abs=1e-12
    )


def test_separated_samples_reach_the_ends():
    assert roc_auc([2.0, 3.0], [0.0, 1.0]) == 1 and roc_auc([0.0], [1.0]) == 0
    assert ks_statistic([2.0, 3.0], [0.0, 1.0]) == 1


def test_nan_gives_nan_and_infinities_are_ordered():
    assert math.isnan(roc_auc([math.nan], [1.0])) and math.isnan(ks_statistic([1.0], [math.nan]))
    for test in (ks_test, mann_whitney_test):
        result = test([math.nan], [1.0])
        assert math.isnan(result.statistic) and math.isnan(result.p_value) and result.method == "undefined"
    assert math.isnan(energy_distance([math.nan], [1.0])) and math.isnan(wasserstein_distance([1.0], [math.nan]))
    assert math.isnan(tpr_at_fpr([math.nan], [1.0], 0.5)) and np.isnan(roc_curve([1.0], [math.nan]).tpr).all()
    assert wasserstein_distance([0.0, math.inf], [1.0, math.inf]) == 0.5
    assert roc_auc([math.inf], [1.0, -math.inf]) == 1
    assert roc_auc([0.0], [-0.0]) == 0.5


def test_float32_gives_what_its_values_give_in_float64():
    x, y = np.random.default_rng(0).normal(size=(2, 500)).astype("float32").round(1)
    assert roc_auc(x, y) == roc_auc(x.astype(float), y.astype(float))
    assert ks_statistic(x[::3], y) == ks_statistic(x[::3].astype(float), y.astype(float))


def test_the_number_of_threads_changes_no_bit():
    x, y = np.random.default_rng(0).normal(size=(2, 200_000))
    results = []
    for n in (1, 3, 4):
        set_num_threads(n)
        results.append((roc_auc(x, y), ks_statistic(x, y), roc_auc(x, y[:500]), mann_whitney_test(x, y[:70_000])))
    assert results[0] == results[1] == results[2]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`negative` must hold at least one element"):
        roc_auc([1.0], [])
    with pytest.raises(ValueError, match=r"`x` must have shape \(n,\)"):
        ks_statistic([[1.0]], [1.0])
    with pytest.raises(ValueError, match="`fpr` must lie in 0 to 1, but it is 5"):
        tpr_at_fpr([1.0], [0.0], 5)
    with pytest.raises(ValueError, match=r"`alternative` must be one of 'two-sided', .*, but it is 'more'"):
        ks_test([1.0], [0.0], alternative="more")
    with pytest.raises(ValueError, match="`x_weights` must hold one weight for each value of `x`, but has 2 elements"):
        wasserstein_distance([1.0], [0.0], x_weights=[1, 2])
    with pytest.raises(ValueError, match="`y_weights` must be at least 0 with a positive, finite sum"):
        energy_distance([1.0], [0.0], y_weights=[-1])
