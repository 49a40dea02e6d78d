import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vestige.kernels import ks_statistic, roc_auc, set_num_threads


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


def test_separated_samples_reach_the_ends():
    assert roc_auc([2.0, 3.0], [0.0, 1.0]) == 1 and roc_auc([0.0], [1.0]) == 0
    assert ks_statistic([2.0, 3.0], [0.0, 1.0]) == 1


def test_nan_gives_nan_and_infinities_are_ordered():
    assert math.isnan(roc_auc([math.nan], [1.0])) and math.isnan(ks_statistic([1.0], [math.nan]))
    assert roc_auc([math.inf], [1.0, -math.inf]) == 1
    assert roc_auc([0.0], [-0.0]) == 0.5


def test_float32_gives_what_its_values_give_in_float64():
    x, y = np.random.default_rng(0).normal(size=(2, 500)).astype("float32").round(1)
    assert roc_auc(x, y) == roc_auc(x.astype(float), y.astype(float))
    assert ks_statistic(x[::3], y) == ks_statistic(x[::3].astype(float), y.astype(float))


def test_the_number_of_threads_changes_no_bit():
    x, y = np.random.default_rng(0).normal(size=(2, 200_000))
    results = []
    for n in (1, 4):
        set_num_threads(n)
        results.append((roc_auc(x, y), ks_statistic(x, y)))
    assert results[0] == results[1]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`negative` must hold at least one element"):
        roc_auc([1.0], [])
    with pytest.raises(ValueError, match=r"`x` must have shape \(n,\)"):
        ks_statistic([[1.0]], [1.0])
