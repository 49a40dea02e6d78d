import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from vestige.kernels import bootstrap_replicates, jackknife_values, resample_indices

N_RESAMPLES = 1_000


def draw(data, n_resamples):
    return np.random.default_rng(0).integers(0, data[0].size, (n_resamples, data[0].size))


def scipy_loop(data, statistic, n_resamples, draw=draw):
    """What people write: the statistic again for each resample."""
    one = {
        "kendall_tau": lambda x, y: scipy.stats.kendalltau(x, y).statistic,
        "spearman_rho": lambda x, y: scipy.stats.spearmanr(x, y).statistic,
    }[statistic]
    return np.array([one(*(x[row] for x in data)) for row in draw(data, n_resamples)])


def numpy_vectorised(data, statistic, n_resamples, draw=draw):
    """What people write after reading about vectorising: all resamples in one array."""
    indices = draw(data, n_resamples)
    if statistic == "mean":
        return data[0][indices].mean(axis=1)
    ranks = [scipy.stats.rankdata(x[indices], axis=1) for x in data]
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def vestige_replicates(data, statistic, n_resamples, *_draw):
    return bootstrap_replicates(data, statistic, n_resamples=n_resamples, seed=0)


def our_draws(data, n_resamples):
    return resample_indices(data[0].size, n_resamples, seed=0)


PEERS = {
    "mean": [numpy_vectorised, vestige_replicates],
    "kendall_tau": [scipy_loop, vestige_replicates],
    "spearman_rho": [scipy_loop, numpy_vectorised, vestige_replicates],
}


@pytest.mark.parametrize("n", [36, 400])
@pytest.mark.parametrize(("statistic", "implementation"), [(s, i) for s in PEERS for i in PEERS[s]])
def test_bootstrap(benchmark, statistic, implementation, n, quick):
    """Everyone draws for himself; given the same draws all get the same."""
    n_resamples = 20 if quick else N_RESAMPLES
    benchmark.group = f"bootstrap of {statistic}, n = {n}, {N_RESAMPLES} resamples"
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    data = (x,) if statistic == "mean" else (x, x + noise)
    benchmark(implementation, data, statistic, n_resamples)
    result, expected = implementation(data, statistic, 20, our_draws), vestige_replicates(data, statistic, 20)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


def sklearn_loop(positive, negative, n_resamples):
    rng = np.random.default_rng(0)
    labels = np.r_[np.ones(positive.size), np.zeros(negative.size)]
    draw = lambda x: x[rng.integers(0, x.size, x.size)]  # noqa: E731
    return np.array([roc_auc_score(labels, np.r_[draw(positive), draw(negative)]) for _ in range(n_resamples)])


def vestige_auc(positive, negative, n_resamples):
    return bootstrap_replicates((positive, negative), "roc_auc", n_resamples=n_resamples, seed=0)


@pytest.mark.parametrize("implementation", [sklearn_loop, vestige_auc])
def test_bootstrap_of_an_auc(benchmark, implementation, quick):
    """Streams differ, so means and spreads are compared."""
    benchmark.group = f"bootstrap of roc_auc, n = 200 + 200, {N_RESAMPLES} resamples"
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(0.5, size=200), rng.normal(size=200)
    n_resamples = 200 if quick else N_RESAMPLES
    result, other = benchmark(implementation, positive, negative, n_resamples), vestige_auc(positive, negative, 4_000)
    assert result.mean() == pytest.approx(other.mean(), abs=0.01)
    assert result.std() == pytest.approx(other.std(), rel=0.25)


def scipy_jackknife(x, y):
    return np.array([scipy.stats.spearmanr(np.delete(x, i), np.delete(y, i)).statistic for i in range(x.size)])


def vestige_jackknife(x, y):
    return jackknife_values((x, y), "spearman_rho")[0]


@pytest.mark.parametrize("implementation", [scipy_jackknife, vestige_jackknife])
def test_jackknife(benchmark, implementation):
    benchmark.group = "jackknife of spearman_rho, n = 400"
    x, noise = np.random.default_rng(0).normal(size=(2, 400))
    result = benchmark(implementation, x, x + noise)
    np.testing.assert_allclose(result, vestige_jackknife(x, x + noise), rtol=1e-10)
