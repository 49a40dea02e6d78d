import numpy as np
import pytest
import scipy.stats

from vestige.kernels import label_permutation_test, sign_flip_test, within_group_permutation_test

N_PERMUTATIONS = 9_999


def mean(x, axis):
    return np.mean(x, axis=axis)


def mean_difference(x, y, axis):
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


def roc_auc(x, y, axis):
    """From midranks, for all relabellings in one call."""
    n, m = x.shape[axis], y.shape[axis]
    ranks = scipy.stats.rankdata(np.concatenate([x, y], axis=axis), axis=axis)
    return (np.take(ranks, np.arange(n), axis=axis).sum(axis=axis) - n * (n + 1) / 2) / (n * m)


def spearman_with(y):
    ranks = scipy.stats.rankdata(y)
    ranks = (ranks - ranks.mean()) / np.sqrt(((ranks - ranks.mean()) ** 2).sum())

    def statistic(x, axis):
        moved = scipy.stats.rankdata(x, axis=axis)
        moved = moved - moved.mean(axis=axis, keepdims=True)
        return np.moveaxis(moved, axis, -1) @ ranks / np.sqrt((moved**2).sum(axis=axis))

    return statistic


KINDS = {"sign_flip": "samples", "mean_difference": "independent", "roc_auc": "independent", "spearman_rho": "pairings"}


def scipy_vectorised(test, x, y, n_permutations):
    """What people write after reading the manual: a statistic for all relabellings at once, in batches."""
    statistic = {"sign_flip": mean, "mean_difference": mean_difference, "roc_auc": roc_auc}.get(test) or spearman_with(
        y
    )
    data = {"sign_flip": (x - y,), "spearman_rho": (x,)}.get(test, (x, y))
    result = scipy.stats.permutation_test(
        data,
        statistic,
        permutation_type=KINDS[test],
        n_resamples=n_permutations,
        vectorized=True,
        batch=500,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return float(result.statistic), float(result.pvalue)


def vestige_test(test, x, y, n_permutations):
    options = {"alternative": "greater", "n_permutations": min(n_permutations, 10**6)}
    if test == "sign_flip":
        result = sign_flip_test(x - y, **options)
    elif test == "spearman_rho":
        result = within_group_permutation_test(x, y, statistic=test, **options)
    else:
        result = label_permutation_test(x, y, test, **options)
    return float(result.statistic), float(result.p_value)


@pytest.mark.parametrize("n", [36, 400])
@pytest.mark.parametrize("test", list(KINDS))
@pytest.mark.parametrize("implementation", [scipy_vectorised, vestige_test])
def test_random_relabellings(benchmark, implementation, test, n, quick):
    """Everyone draws for himself, so p-values agree as far as draws do."""
    n_permutations = 199 if quick else N_PERMUTATIONS
    benchmark.group = f"permutation test, {test}, n = {n}, {N_PERMUTATIONS} relabellings"
    x, y = np.random.default_rng(0).normal(size=(2, n))
    statistic, p = benchmark(implementation, test, x, y, n_permutations)
    other, other_p = vestige_test(test, x, y, n_permutations)
    assert statistic == pytest.approx(other, abs=1e-12)
    assert p == pytest.approx(other_p, abs=0.2 if quick else 0.03)


@pytest.mark.parametrize(
    ("test", "n"), [("sign_flip", 16), ("mean_difference", 9), ("roc_auc", 9), ("spearman_rho", 8)]
)
@pytest.mark.parametrize("implementation", [scipy_vectorised, vestige_test])
def test_all_relabellings(benchmark, implementation, test, n):
    """Exact, so p-values are equal."""
    benchmark.group = f"permutation test, {test}, n = {n}, all relabellings"
    x, y = np.random.default_rng(0).normal(size=(2, n))
    result = benchmark(implementation, test, x, y, np.inf)
    assert result == pytest.approx(vestige_test(test, x, y, np.inf), abs=1e-12)
