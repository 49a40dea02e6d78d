import numpy as np
import pytest
import scipy.stats

from vestige.kernels import perturb_weights


def problem(n_draws):
    rng = np.random.default_rng(0)
    return rng.random((36, 5)), np.full(5, 0.2), rng.dirichlet(np.ones(5), size=n_draws)


def scipy_loop(scores, weights, draws):
    base = scores @ weights
    tau = [scipy.stats.kendalltau(base, scores @ draw).statistic for draw in draws]
    return float(np.mean(tau)), float(np.std(tau))


def numpy_pairs(scores, weights, draws):
    """Signs of all pairs at once, in pieces that fit the cache."""
    i, j = np.triu_indices(len(scores), 1)
    base = np.sign(scores[i] @ weights - scores[j] @ weights)
    pieces = np.array_split(draws, max(1, len(draws) // 500))
    tau = np.concatenate([(np.sign((scores @ d.T)[i] - (scores @ d.T)[j]).T @ base) / i.size for d in pieces])
    return float(tau.mean()), float(tau.std())


def vestige_perturb(scores, weights, draws):
    result = perturb_weights(scores, weights, draws=draws)
    return result.tau_mean, result.tau_sd


@pytest.mark.parametrize(
    ("implementation", "n_draws"),
    [(i, 100) for i in (scipy_loop, numpy_pairs, vestige_perturb)]
    + [(i, 10_000) for i in (numpy_pairs, vestige_perturb)],
)
def test_perturb_weights(benchmark, implementation, n_draws, quick):
    benchmark.group = f"perturb_weights, 36 models x 5 metrics, {n_draws} draws"
    arguments = problem(50 if quick else n_draws)
    result = benchmark(implementation, *arguments)
    np.testing.assert_allclose(result, vestige_perturb(*arguments), rtol=1e-9)
