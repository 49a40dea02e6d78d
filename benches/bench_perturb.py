import numpy as np
import pytest
import scipy.stats

from vestige.kernels import perturb_weights


def problem(n_draws):
    rng = np.random.default_rng(0)
    return rng.random((36, 5)), np.full(5, 0.2), rng.dirichlet(np.ones(5), size=n_draws)


def scipy_loop(scores, weights, draws):
    """tau alone."""
    base = scores @ weights
    tau = [scipy.stats.kendalltau(base, scores @ draw).statistic for draw in draws]
    return float(np.mean(tau)), float(np.std(tau))


def numpy_tau(scores, weights, draws):
    """tau alone: signs of all pairs at once, in pieces that fit the cache."""
    i, j = np.triu_indices(len(scores), 1)
    base = np.sign(scores[i] @ weights - scores[j] @ weights)
    pieces = np.array_split(draws, max(1, len(draws) // 500))
    tau = np.concatenate([(np.sign((sums := scores @ d.T)[i] - sums[j]).T @ base) / i.size for d in pieces])
    return float(tau.mean()), float(tau.std())


def numpy_all(scores, weights, draws):
    """The whole summary, in pieces: tau, ranks and flips (without ties)."""
    i, j = np.triu_indices(n := len(scores), 1)
    base = np.sign(scores[i] @ weights - scores[j] @ weights)
    tau, counts, flips = [], np.zeros(n * n, int), np.zeros((n, n))
    for d in np.array_split(draws, max(1, len(draws) // 500)):
        sums = scores @ d.T
        signs = np.sign(sums[i] - sums[j])
        tau.append(signs.T @ base / i.size)
        flips[i, j] += (signs > 0).sum(axis=1)
        flips[j, i] += (signs < 0).sum(axis=1)
        ranks = np.argsort(np.argsort(-sums, axis=0), axis=0)
        counts += np.bincount((ranks + n * np.arange(n)[:, None]).ravel(), minlength=n * n)
    tau = np.concatenate(tau)
    return float(tau.mean()), float(tau.std()), counts.reshape(n, n), flips / len(draws)


def vestige_perturb(scores, weights, draws):
    result = perturb_weights(scores, weights, draws=draws)
    return result.tau_mean, result.tau_sd, result.rank_counts, result.flips


@pytest.mark.parametrize(
    ("implementation", "n_draws"),
    [(i, 100) for i in (scipy_loop, numpy_tau, numpy_all, vestige_perturb)]
    + [(i, n) for n in (10_000, 1_000_000) for i in (numpy_tau, numpy_all, vestige_perturb)],
)
def test_perturb_weights(benchmark, implementation, n_draws, quick):
    benchmark.group = f"perturb_weights, 36 models x 5 metrics, {n_draws} draws"
    arguments = problem(50 if quick else n_draws)
    result = benchmark(implementation, *arguments)
    for part, expected in zip(result, vestige_perturb(*arguments), strict=False):
        np.testing.assert_allclose(part, expected, rtol=1e-9)
