import numpy as np
import pytest
import scipy.stats

from vestige.kernels import resample_indices
from vestige.kernels.joint import difference_maxima, joint_bootstrap

N_MODELS, N_METRICS, N_EXAMPLES = 36, 6, 400
PAIRS = [(a, b) for b in range(N_METRICS) for a in range(b)]


def numpy_scipy_loop(values, n_resamples):
    """What people write: the table, its ranks and its correlations again for each resample."""
    means, ranks, tau = [], [], []
    for rows in resample_indices(values.shape[2], n_resamples, seed=0):
        table = values[:, :, rows].mean(axis=2)
        means.append(table)
        ranks.append(scipy.stats.rankdata(-table, axis=0))
        tau.append([scipy.stats.kendalltau(table[:, a], table[:, b]).statistic for a, b in PAIRS])
    return summary(np.array(means), np.array(ranks), np.array(tau))


def numpy_vectorised(values, n_resamples):
    """A matrix product, all ranks in one call, signs of all pairs for tau; in pieces that fit the cache."""
    i, j = np.triu_indices(len(values), 1)
    means, ranks, tau = [], [], []
    for rows in np.array_split(resample_indices(values.shape[2], n_resamples, seed=0), max(1, n_resamples // 50)):
        counts = np.stack([np.bincount(row, minlength=values.shape[2]) for row in rows]).astype(float)
        table = (counts @ values.reshape(-1, values.shape[2]).T / values.shape[2]).reshape(-1, *values.shape[:2])
        signs = np.sign(table[:, i] - table[:, j])
        means.append(table)
        ranks.append(scipy.stats.rankdata(-table, axis=1))
        products = signs.transpose(0, 2, 1) @ signs
        scale = np.sqrt(np.einsum("bkk->bk", products))
        tau.append(np.stack([products[:, a, b] / (scale[:, a] * scale[:, b]) for a, b in PAIRS], axis=1))
    return summary(*(np.concatenate(parts) for parts in (means, ranks, tau)))


def summary(means, ranks, tau):
    histogram = (ranks[..., None].astype(int) == np.arange(1, N_MODELS + 1)).sum(axis=0)
    return means.mean(axis=0), means.std(axis=0, ddof=1), histogram, tau.mean(axis=0), tau.std(axis=0, ddof=1)


def vestige_joint(values, n_resamples):
    result = joint_bootstrap(values, n_resamples=n_resamples)
    tau = [np.array([matrix[pair] for pair in PAIRS]) for matrix in (result.tau_mean, result.tau_sd)]
    return result.mean, result.sd, result.rank_counts, *tau


@pytest.mark.parametrize(
    ("implementation", "n_resamples"),
    [(i, 100) for i in (numpy_scipy_loop, numpy_vectorised, vestige_joint)]
    + [(i, 10_000) for i in (numpy_vectorised, vestige_joint)],
)
def test_joint_bootstrap(benchmark, implementation, n_resamples, quick):
    """The same draws for all: means, ranks and tau of every resample."""
    benchmark.group = (
        f"joint_bootstrap, {N_MODELS} models x {N_METRICS} metrics x 400 examples, {n_resamples} resamples"
    )
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N_MODELS, N_METRICS, N_EXAMPLES)) + rng.normal(size=(N_MODELS, 1, 1))
    n_resamples = 20 if quick else n_resamples
    for ours, theirs in zip(
        vestige_joint(values, n_resamples), benchmark(implementation, values, n_resamples), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def numpy_maxima(values, scale, n_resamples):
    """The largest studentised difference of all pairs, in pieces that fit the cache."""
    largest = []
    for rows in np.array_split(resample_indices(values.shape[1], n_resamples, seed=0), max(1, n_resamples // 50)):
        counts = np.stack([np.bincount(row, minlength=values.shape[1]) for row in rows]).astype(float)
        lead = counts @ values.T / values.shape[1] - values.mean(axis=1)
        largest.append(((lead[:, :, None] - lead[:, None, :]) * scale).max(axis=(1, 2)))
    return np.concatenate(largest)


def vestige_maxima(values, scale, n_resamples):
    return difference_maxima(values, scale, np.zeros_like(scale), n_resamples=n_resamples).max(axis=0)


@pytest.mark.parametrize("implementation", [numpy_maxima, vestige_maxima])
def test_difference_maxima(benchmark, implementation, quick):
    """What rank sets are made of: 630 pairs in every resample, none kept."""
    benchmark.group = "difference_maxima, 36 models x 400 examples, 10000 resamples"
    values = np.random.default_rng(0).normal(size=(N_MODELS, N_EXAMPLES))
    errors = np.array([(row - values).std(axis=1, ddof=1) for row in values]) / np.sqrt(N_EXAMPLES)
    scale = np.divide(1, errors, out=np.zeros_like(errors), where=errors > 0)
    n_resamples = 50 if quick else 10_000
    result = benchmark(implementation, values, scale, n_resamples)
    np.testing.assert_allclose(result, vestige_maxima(values, scale, n_resamples), rtol=1e-9)
