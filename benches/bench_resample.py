import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from vestige.kernels import bootstrap_replicates, jackknife_values, resample_indices

N_RESAMPLES = 1_000
OF_TWO_SAMPLES = ("roc_auc", "ks_statistic")


def draw(data, n_resamples):
    """Indices of each sample; both columns of paired data share theirs."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, x.size, (n_resamples, x.size)) for x in data]


def our_draws(data, n_resamples):
    return [resample_indices(x.size, n_resamples, seed=0, sample=i) for i, x in enumerate(data)]


def picked(data, statistic, n_resamples, draw):
    """The values of each resample, shape (n_resamples, n), of each column."""
    indices = draw(data, n_resamples)
    return [x[indices[i if statistic in OF_TWO_SAMPLES else 0]] for i, x in enumerate(data)]


def one_auc(x, y):
    return roc_auc_score(np.r_[np.ones(x.size), np.zeros(y.size)], np.r_[x, y])


ONE = {
    "mean": np.mean,
    "weighted_mean": lambda x, weights: np.average(x, weights=weights),
    "quantile": np.median,
    "roc_auc": one_auc,
    "ks_statistic": lambda x, y: scipy.stats.ks_2samp(x, y, method="asymp").statistic,
    "kendall_tau": lambda x, y: scipy.stats.kendalltau(x, y).statistic,
    "spearman_rho": lambda x, y: scipy.stats.spearmanr(x, y).statistic,
}


def scipy_loop(data, statistic, n_resamples, draw=draw):
    """What people write: the statistic again for each resample."""
    columns = picked(data, statistic, n_resamples, draw)
    return np.array([ONE[statistic](*rows) for rows in zip(*columns, strict=True)])


def numpy_vectorised(data, statistic, n_resamples, draw=draw):
    """What people write after reading about vectorising: all resamples in one array."""
    return vectorised(picked(data, statistic, n_resamples, draw), statistic)


def vectorised(columns, statistic):
    match statistic:
        case "mean":
            return columns[0].mean(axis=1)
        case "weighted_mean":
            return (columns[0] * columns[1]).sum(axis=1) / columns[1].sum(axis=1)
        case "quantile":
            return np.median(columns[0], axis=1)
        case "roc_auc":
            n, m = (x.shape[1] for x in columns)
            ranks = scipy.stats.rankdata(np.concatenate(columns, axis=1), axis=1)[:, :n]
            return (ranks.sum(axis=1) - n * (n + 1) / 2) / (n * m)
    ranks = [scipy.stats.rankdata(x, axis=1) for x in columns]
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def vestige_replicates(data, statistic, n_resamples, *_draw):
    return bootstrap_replicates(data, statistic, n_resamples=n_resamples, seed=0)


PEERS = {
    "mean": [numpy_vectorised],
    "weighted_mean": [numpy_vectorised],
    "quantile": [numpy_vectorised],
    "roc_auc": [scipy_loop, numpy_vectorised],
    "ks_statistic": [scipy_loop],
    "kendall_tau": [scipy_loop],
    "spearman_rho": [scipy_loop, numpy_vectorised],
}
CASES = [(s, i, n) for s in PEERS for i in (*PEERS[s], vestige_replicates) for n in (36, 400, 4000)]


@pytest.mark.parametrize(("statistic", "implementation", "n"), CASES)
def test_bootstrap(benchmark, statistic, implementation, n, quick):
    """Everyone draws for himself; given the same draws all get the same."""
    if quick:
        n = min(n, 400)
    n_resamples = 20 if quick else N_RESAMPLES
    benchmark.group = f"bootstrap of {statistic}, n = {n}, {N_RESAMPLES} resamples"
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    data = (x,) if statistic in ("mean", "quantile") else (x, np.exp(x + noise))
    benchmark(implementation, data, statistic, n_resamples)
    result, expected = implementation(data, statistic, 20, our_draws), vestige_replicates(data, statistic, 20)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


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
