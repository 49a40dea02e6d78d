from functools import cache

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from vestige.kernels import bootstrap_replicates, jackknife_values, resample_indices

N_RESAMPLES = 1_000
N_DRAWN_ALIKE = 20
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
        case "kendall_tau":
            a, b = (np.sign(x[:, :, None] - x[:, None]) for x in columns)
            return (a * b).sum(axis=(1, 2)) / np.sqrt((a**2).sum(axis=(1, 2)) * (b**2).sum(axis=(1, 2)))
    ranks = [scipy.stats.rankdata(x, axis=1) for x in columns]
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def scipy_bootstrap(data, statistic, n_resamples, draw=draw):
    """SciPy's bootstrap with the statistic of one resample, as most people call it."""
    if draw is our_draws:  # it draws by itself
        return scipy_loop(data, statistic, n_resamples, draw)
    options = {"paired": statistic not in OF_TWO_SAMPLES, "vectorized": False, "method": "percentile"}
    result = scipy.stats.bootstrap(data, ONE[statistic], n_resamples=n_resamples, **options)
    return result.bootstrap_distribution


def numba_compiled(data, statistic, n_resamples, draw=draw):
    """A loop over resamples in compiled Python, each sorted anew; its numbers are drawn beforehand."""
    of_rows = compiled()[statistic]
    return of_rows(*data, draw(data[:1], n_resamples)[0])


@cache
def compiled():
    numba = pytest.importorskip("numba")

    @numba.njit
    def midranks(x):
        order, ranks, start = np.argsort(x), np.empty(x.size), 0
        for i in range(1, x.size + 1):
            if i == x.size or x[order[i]] != x[order[start]]:
                ranks[order[start:i]] = (start + i + 1) / 2
                start = i
        return ranks

    @numba.njit
    def rho(x, y, indices):
        replicates = np.empty(len(indices))
        for i, rows in enumerate(indices):
            a, b = midranks(x[rows]), midranks(y[rows])
            a, b = a - a.mean(), b - b.mean()
            replicates[i] = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
        return replicates

    @numba.njit
    def tau(x, y, indices):
        """Pairs among rows drawn: what is below in a tree of counts by y, x by x (Fenwick)."""
        n, replicates = x.size, np.empty(len(indices))
        by_x, place = np.argsort(x), np.empty(x.size, np.int64)
        place[np.argsort(y)] = np.arange(1, n + 1)
        for i, rows in enumerate(indices):
            times, tree = np.zeros(n, np.int64), np.zeros(n + 1, np.int64)
            for row in rows:
                times[row] += 1
            net, before, tied = 0, 0, 0
            for row in by_x:
                below, node = 0, place[row] - 1
                while node > 0:
                    below += tree[node]
                    node &= node - 1
                net += times[row] * (2 * below - before)
                before += times[row]
                tied += times[row] * (times[row] - 1) // 2
                node = place[row]
                while node <= n:
                    tree[node] += times[row]
                    node += node & -node
            replicates[i] = net / (n * (n - 1) // 2 - tied)
        return replicates

    return {"spearman_rho": rho, "kendall_tau": tau}


def vestige_replicates(data, statistic, n_resamples, *_draw):
    return bootstrap_replicates(data, statistic, n_resamples=n_resamples, seed=0)


ALL, SMALL = (36, 400, 4000), (36,)
PEERS = {
    "mean": {numpy_vectorised: ALL},
    "weighted_mean": {numpy_vectorised: ALL},
    "quantile": {numpy_vectorised: ALL},
    "roc_auc": {scipy_loop: SMALL, numpy_vectorised: ALL},
    "ks_statistic": {scipy_loop: ALL},
    "kendall_tau": {scipy_bootstrap: SMALL, numpy_vectorised: SMALL, numba_compiled: ALL},
    "spearman_rho": {scipy_bootstrap: SMALL, numpy_vectorised: ALL, numba_compiled: ALL},
}
CASES = [(s, i, n) for s in PEERS for i, sizes in (PEERS[s] | {vestige_replicates: ALL}).items() for n in sizes]


@pytest.mark.parametrize(("statistic", "implementation", "n"), CASES)
def test_bootstrap(benchmark, statistic, implementation, n, quick):
    """Everyone draws for himself; given the same draws all get the same."""
    if quick and implementation is numba_compiled:
        pytest.skip("not in the quick round: compiling takes longer than it")
    n = min(n, 400) if quick else n
    n_resamples = N_DRAWN_ALIKE if quick else N_RESAMPLES
    benchmark.group = f"bootstrap of {statistic}, n = {n}, {N_RESAMPLES} resamples"
    x, noise = np.random.default_rng(0).normal(size=(2, n))
    data = (x,) if statistic in ("mean", "quantile") else (x, np.exp(x + noise))
    result = implementation(data, statistic, N_DRAWN_ALIKE, our_draws)
    np.testing.assert_allclose(result, vestige_replicates(data, statistic, N_DRAWN_ALIKE), rtol=1e-9, atol=1e-12)
    benchmark(implementation, data, statistic, n_resamples)


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
