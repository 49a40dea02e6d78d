import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from vestige.kernels import ks_statistic, ks_test, mann_whitney_test, roc_auc, roc_curve, wasserstein_distance


def samples(n, quick):
    rng = np.random.default_rng(0)
    n = min(n, 2_000) if quick else n
    return rng.normal(0.3, size=n // 2), rng.normal(size=n // 2)


def sklearn_auc(positive, negative):
    labels = np.r_[np.ones(positive.size), np.zeros(negative.size)]
    return roc_auc_score(labels, np.r_[positive, negative])


def scipy_auc(positive, negative):
    return scipy.stats.mannwhitneyu(positive, negative).statistic / (positive.size * negative.size)


def vestige_auc(positive, negative):
    return roc_auc(positive, negative)


@pytest.mark.parametrize(
    ("implementation", "n"),
    [(i, n) for n in (1_000, 10_000, 100_000, 1_000_000) for i in (sklearn_auc, scipy_auc, vestige_auc)]
    + [(i, 10_000_000) for i in (sklearn_auc, vestige_auc)],
)
def test_roc_auc(benchmark, implementation, n, quick):
    benchmark.group = f"roc_auc, n = {n}"
    positive, negative = samples(n, quick)
    assert benchmark(implementation, positive, negative) == pytest.approx(roc_auc(positive, negative), rel=1e-12)


def scipy_ks(x, y):
    return scipy.stats.ks_2samp(x, y, method="asymp").statistic


def vestige_ks(x, y):
    return ks_statistic(x, y)


@pytest.mark.parametrize("n", [1_000, 10_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("implementation", [scipy_ks, vestige_ks])
def test_ks_statistic(benchmark, implementation, n, quick):
    benchmark.group = f"ks_statistic, n = {n}"
    x, y = samples(n, quick)
    assert benchmark(implementation, x, y) == pytest.approx(ks_statistic(x, y), rel=1e-10)


def sklearn_curve(positive, negative):
    labels = np.r_[np.ones(positive.size), np.zeros(negative.size)]
    return sklearn_roc_curve(labels, np.r_[positive, negative])[1]


def vestige_curve(positive, negative):
    return roc_curve(positive, negative).tpr


@pytest.mark.parametrize("n", [1_000, 1_000_000])
@pytest.mark.parametrize("implementation", [sklearn_curve, vestige_curve])
def test_roc_curve(benchmark, implementation, n, quick):
    benchmark.group = f"roc_curve, n = {n}"
    positive, negative = samples(n, quick)
    np.testing.assert_allclose(benchmark(implementation, positive, negative), roc_curve(positive, negative).tpr)


def scipy_ks_exact(x, y):
    return scipy.stats.ks_2samp(x, y, method="exact").pvalue


def vestige_ks_exact(x, y):
    return ks_test(x, y, method="exact").p_value


@pytest.mark.parametrize("implementation", [scipy_ks_exact, vestige_ks_exact])
def test_ks_test(benchmark, implementation):
    benchmark.group = "ks_test, 400 against 390, exact p-value"
    x, y = samples(800, quick=False)
    assert benchmark(implementation, x, y[:390]) == pytest.approx(ks_test(x, y[:390]).p_value, rel=1e-9)


def scipy_mann_whitney(x, y):
    return scipy.stats.mannwhitneyu(x, y).pvalue


def vestige_mann_whitney(x, y):
    return mann_whitney_test(x, y).p_value


@pytest.mark.parametrize("n", [1_000, 1_000_000])
@pytest.mark.parametrize("implementation", [scipy_mann_whitney, vestige_mann_whitney])
def test_mann_whitney_test(benchmark, implementation, n, quick):
    benchmark.group = f"mann_whitney_test, n = {n}, p-value"
    x, y = samples(n, quick)
    assert benchmark(implementation, x, y) == pytest.approx(mann_whitney_test(x, y).p_value, rel=1e-9)


def scipy_wasserstein(x, y):
    return scipy.stats.wasserstein_distance(x, y)


def vestige_wasserstein(x, y):
    return wasserstein_distance(x, y)


@pytest.mark.parametrize("n", [1_000, 1_000_000])
@pytest.mark.parametrize("implementation", [scipy_wasserstein, vestige_wasserstein])
def test_wasserstein_distance(benchmark, implementation, n, quick):
    benchmark.group = f"wasserstein_distance, n = {n}"
    x, y = samples(n, quick)
    assert benchmark(implementation, x, y) == pytest.approx(wasserstein_distance(x, y), rel=1e-9)
