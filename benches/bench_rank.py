import numpy as np
import pandas as pd
import pytest
import scipy.stats

from vestige.kernels import (
    kendall_tau,
    kendall_tau_matrix,
    kendall_tau_rows,
    kendall_test,
    spearman_rho,
    spearman_rho_matrix,
)


def pair(n):
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    return x, x + noise


def scipy_tau(x, y):
    return scipy.stats.kendalltau(x, y).statistic


def pandas_tau(x, y):
    return pd.Series(x).corr(pd.Series(y), method="kendall")


def vestige_tau(x, y):
    return kendall_tau(x, y)


@pytest.mark.parametrize("n", [36, 1_000, 100_000, 1_000_000])
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


@pytest.mark.parametrize("shape", [(36, 20), (36, 200), (1_000, 40), (1_000, 200)])
@pytest.mark.parametrize(("work", "implementation"), [(work, i) for work in MATRICES for i in MATRICES[work]])
def test_matrices(benchmark, work, implementation, shape, quick):
    benchmark.group = f"{work}, {shape[0]} items x {shape[1]} columns"
    n_items, n_columns = (min(n, 60) if quick else n for n in shape)
    columns = np.random.default_rng(0).normal(size=(n_items, n_columns))
    result = benchmark(implementation, columns)
    np.testing.assert_allclose(result, MATRICES[work][-1](columns), rtol=1e-9, atol=1e-12)


def scipy_test(x, y):
    return scipy.stats.kendalltau(x, y).pvalue


def vestige_test(x, y):
    return kendall_test(x, y).p_value


@pytest.mark.parametrize("n", [30, 36])
@pytest.mark.parametrize("implementation", [scipy_test, vestige_test])
def test_kendall_test(benchmark, implementation, n):
    benchmark.group = f"kendall_test, n = {n}, p-value"
    x, y = pair(n)
    assert benchmark(implementation, x, y) == pytest.approx(kendall_test(x, y).p_value, rel=1e-9)


def scipy_tau_rows(x, y):
    return [scipy.stats.kendalltau(*rows).statistic for rows in zip(x, y, strict=True)]


def vestige_tau_rows(x, y):
    return kendall_tau_rows(x, y)


@pytest.mark.parametrize("implementation", [scipy_tau_rows, vestige_tau_rows])
def test_kendall_tau_rows(benchmark, implementation, quick):
    benchmark.group = "kendall_tau_rows, 1000 rows of 36"
    x, y = np.random.default_rng(0).normal(size=(2, 20 if quick else 1000, 36))
    np.testing.assert_allclose(benchmark(implementation, x, y), kendall_tau_rows(x, y), rtol=1e-10)
