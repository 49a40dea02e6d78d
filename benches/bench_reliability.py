"""The heavy part of judging 150 models by 21 scores, as large as a published table, against the loop for it."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from vestige.kernels import bootstrap_replicates, perturb_weights, resample_indices
from vestige.kernels.joint import difference_maxima

N_MODELS, N_SCORES = 150, 21
PAIRS = list(combinations(range(N_SCORES), 2))
WEIGHTS = np.random.default_rng(2).dirichlet(np.ones(N_SCORES))  # no two models have equal sums but for rounding


def table():
    """Scores with a common part and, as counts of questions have, many ties."""
    rng = np.random.default_rng(0)
    return np.round(rng.normal(size=(N_MODELS, N_SCORES)) + rng.normal(size=(N_MODELS, 1)), 1)


def error_inverse(scores):
    """One over the standard error of the difference of two models' means, 0 where there is none."""
    errors = np.array([(row - scores).std(axis=1, ddof=1) for row in scores]) / np.sqrt(N_SCORES)
    return np.divide(1, errors, out=np.zeros_like(errors), where=errors > 0)


def pandas_scipy_loop(scores, scale, draws):
    """What people write: agreement of every pair of scores, differences of all models, the ranking, again each time."""
    frame, base = pd.DataFrame(scores), scores @ WEIGHTS
    tau, largest = [], []
    for rows in resample_indices(N_MODELS, len(draws), seed=0):
        matrix = frame.iloc[rows].corr(method="kendall").to_numpy()
        tau.append([matrix[pair] for pair in PAIRS])
    for columns in resample_indices(N_SCORES, len(draws), seed=0):
        lead = scores[:, columns].mean(axis=1) - scores.mean(axis=1)
        largest.append(((lead[:, None] - lead) * scale).max())
    under_weights = [scipy.stats.kendalltau(base, scores @ draw).statistic for draw in draws]
    return np.array(tau), np.array(largest), np.mean(under_weights), np.std(under_weights)


def vestige_kernels(scores, scale, draws):
    n = len(draws)
    pairs = [(scores[:, a], scores[:, b]) for a, b in PAIRS]
    tau = [bootstrap_replicates(pair, "kendall_tau", n_resamples=n, seed=0) for pair in pairs]
    largest = difference_maxima(scores, scale, np.zeros_like(scale), n_resamples=n).max(axis=0)
    weighted = perturb_weights(scores, WEIGHTS, draws=draws)
    return np.stack(tau, axis=1), largest, weighted.tau_mean, weighted.tau_sd


@pytest.mark.parametrize(
    ("implementation", "n_resamples"), [(pandas_scipy_loop, 20), (vestige_kernels, 20), (vestige_kernels, 10_000)]
)
def test_table(benchmark, implementation, n_resamples, quick):
    """The same resamples and weightings for all."""
    benchmark.group = f"agreement, rank sets, weightings of 150 models x 21 scores, {n_resamples} resamples"
    scores = table()
    draws = np.random.default_rng(1).dirichlet(np.ones(N_SCORES), size=5 if quick else n_resamples)
    found = benchmark(implementation, scores, error_inverse(scores), draws)
    for part, expected in zip(found, vestige_kernels(scores, error_inverse(scores), draws), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-9, atol=1e-12)
