import numpy as np
import pandas as pd
import pytest
import scipy.stats

from vestige.kernels import kendall_tau, kendall_tau_matrix, spearman_rho, spearman_rho_matrix


def pair(n):
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    return x, x + noise


def scipy_tau(x, y):
    return scipy.stats.kendalltau(x, y).statistic


def pandas_tau(x, y):
    return pd.Series(x).corr(pd.Series(y), method="kendall")


def vestige_tau(x, y):
    return kendall_tau(x, y)


@pytest.mark.parametrize("n", [36, 1_000, 100_000])
@pytest.mark.parametrize("implementation", [scipy_tau, pandas_tau, vestige_tau])
def test_kendall_tau(benchmark, implementation, n, quick):
    benchmark.group = f"kendall_tau, n = {n}"
    x, y = pair(min(n, 1000) if quick else n)
    assert benchmark(implementation, x, y) == pytest.approx(kendall_tau(x, y), rel=1e-10)


def scipy_rho(x, y):
    return scipy.stats.spearmanr(x, y).statistic


def vestige_rho(x, y):
    return spearman_rho(x, y)


@pytest.mark.parametrize("n", [36, 100_000])
@pytest.mark.parametrize("implementation", [scipy_rho, vestige_rho])
def test_spearman_rho(benchmark, implementation, n, quick):
    benchmark.group = f"spearman_rho, n = {n}"
    x, y = pair(min(n, 1000) if quick else n)
    assert benchmark(implementation, x, y) == pytest.approx(spearman_rho(x, y), rel=1e-10)


def pandas_tau_matrix(columns):
    return pd.DataFrame(columns).corr("kendall").to_numpy()


def vestige_tau_matrix(columns):
    return kendall_tau_matrix(columns)


def scipy_rho_matrix(columns):
    return scipy.stats.spearmanr(columns).statistic


def pandas_rho_matrix(columns):
    return pd.DataFrame(columns).corr("spearman").to_numpy()


def vestige_rho_matrix(columns):
    return spearman_rho_matrix(columns)


MATRICES = {
    "kendall_tau_matrix": [pandas_tau_matrix, vestige_tau_matrix],
    "spearman_rho_matrix": [scipy_rho_matrix, pandas_rho_matrix, vestige_rho_matrix],
}


@pytest.mark.parametrize("shape", [(36, 20), (1_000, 40)])
@pytest.mark.parametrize(("work", "implementation"), [(work, i) for work in MATRICES for i in MATRICES[work]])
def test_matrices(benchmark, work, implementation, shape, quick):
    benchmark.group = f"{work}, {shape[0]} items x {shape[1]} columns"
    columns = np.random.default_rng(0).normal(size=(min(shape[0], 60) if quick else shape[0], shape[1]))
    result = benchmark(implementation, columns)
    np.testing.assert_allclose(result, MATRICES[work][-1](columns), rtol=1e-9, atol=1e-12)
