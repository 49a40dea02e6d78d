import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from vestige.kernels import ks_statistic, roc_auc


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


@pytest.mark.parametrize("n", [1_000, 1_000_000])
@pytest.mark.parametrize("implementation", [sklearn_auc, scipy_auc, vestige_auc])
def test_roc_auc(benchmark, implementation, n, quick):
    benchmark.group = f"roc_auc, n = {n}"
    positive, negative = samples(n, quick)
    assert benchmark(implementation, positive, negative) == pytest.approx(roc_auc(positive, negative), rel=1e-12)


def scipy_ks(x, y):
    return scipy.stats.ks_2samp(x, y, method="asymp").statistic


def vestige_ks(x, y):
    return ks_statistic(x, y)


@pytest.mark.parametrize("n", [1_000, 1_000_000])
@pytest.mark.parametrize("implementation", [scipy_ks, vestige_ks])
def test_ks_statistic(benchmark, implementation, n, quick):
    benchmark.group = f"ks_statistic, n = {n}"
    x, y = samples(n, quick)
    assert benchmark(implementation, x, y) == pytest.approx(ks_statistic(x, y), rel=1e-10)
