"""The same call on one thread and on two; what these rows say, two idle cores must be there for."""

from functools import partial

import numpy as np
import pytest

from vestige.kernels import (
    bootstrap_replicates,
    kendall_tau,
    kendall_tau_matrix,
    ks_statistic,
    label_permutation_test,
    perturb_weights,
    roc_auc,
    set_num_threads,
)
from vestige.kernels.joint import joint_bootstrap


def pair(n):
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    return x, x + noise


def columns():
    return np.random.default_rng(0).normal(size=(1_000, 200))


def table():
    rng = np.random.default_rng(0)
    return rng.normal(size=(36, 6, 400)) + rng.normal(size=(36, 1, 1))


def weighted():
    rng = np.random.default_rng(0)
    return rng.random((36, 5)), np.full(5, 0.2)


def bootstrap(statistic):
    return partial(bootstrap_replicates, statistic=statistic, n_resamples=1_000, seed=0), pair(4_000)


def joint_means(values):
    return joint_bootstrap(values, n_resamples=10_000).mean


def auc_p_value(x, y):
    return label_permutation_test(x, y, "roc_auc", n_permutations=9_999).p_value


def flips(scores, weights):
    return perturb_weights(scores, weights, n_draws=1_000_000).flips


WORK = {
    "kendall_tau, n = 1000000": lambda: (kendall_tau, *pair(1_000_000)),
    "kendall_tau_matrix, 1000 items x 200 columns": lambda: (kendall_tau_matrix, columns()),
    "roc_auc, n = 1000000": lambda: (roc_auc, *pair(500_000)),
    "ks_statistic, n = 10000000": lambda: (ks_statistic, *pair(5_000_000)),
    "bootstrap of spearman_rho, n = 4000, 1000 resamples": lambda: bootstrap("spearman_rho"),
    "bootstrap of kendall_tau, n = 4000, 1000 resamples": lambda: bootstrap("kendall_tau"),
    "joint_bootstrap, 36 models x 6 metrics x 400 examples, 10000 resamples": lambda: (joint_means, table()),
    "permutation test, roc_auc, n = 400, 9999 relabellings": lambda: (auc_p_value, *pair(400)),
    "perturb_weights, 36 models x 5 metrics, 1000000 draws": lambda: (flips, *weighted()),
}


def vestige_1_thread(function, *arguments):
    return function(*arguments)


def vestige_2_threads(function, *arguments):
    return function(*arguments)


@pytest.mark.parametrize("work", list(WORK))
@pytest.mark.parametrize("implementation", [vestige_2_threads, vestige_1_thread])
def test_two_threads(benchmark, implementation, work, quick):
    """Not a bit of a result depends on the number of threads."""
    benchmark.group = f"{work}, 2 threads"
    if quick:
        pytest.skip("not in the quick round: tests/kernels compare threads")
    function, *arguments = WORK[work]()
    expected = function(*arguments)
    set_num_threads(2 if implementation is vestige_2_threads else 1)
    np.testing.assert_array_equal(benchmark(implementation, function, *arguments), expected)
