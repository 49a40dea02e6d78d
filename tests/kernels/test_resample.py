import math

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.kernels import (
    bootstrap_replicates,
    jackknife_values,
    kendall_tau,
    resample_indices,
    roc_auc,
    set_num_threads,
    spearman_rho,
)

MASK = 2**32 - 1
STATISTICS = {"mean": lambda x: float(np.mean(x)), "kendall_tau": kendall_tau, "spearman_rho": spearman_rho}
STATISTICS["roc_auc"] = roc_auc


def philox_reference(counter, key):
    """Salmon et al. (2011), ten rounds, as published."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        x, y = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (y >> 32) ^ b ^ k0, y & MASK, (x >> 32) ^ d ^ k1, x & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return a, b, c, d


def indices_reference(n, resample, seed, stream=0):
    words, key = [], (seed & MASK, seed >> 32)
    for block in range(n // 4 + 1):
        words += philox_reference((block, resample & MASK, resample >> 32, stream), key)
    return np.array([word * n >> 32 for word in words[:n]])


def rows_of(drawn, clusters):
    """All rows of the drawn clusters, a cluster as often as it was drawn."""
    ids = np.unique(clusters)
    return np.concatenate([np.flatnonzero(clusters == ids[k]) for k in drawn])


def replicates_reference(data, statistic, n_resamples, seed, clusters):
    """Rows are really repeated and the statistic is really computed anew."""
    samples = [data] if statistic != "roc_auc" else [(x,) for x in data]
    out = []
    for resample in range(n_resamples):
        arguments = []
        for stream, (columns, ids) in enumerate(zip(samples, clusters, strict=True)):
            drawn = indices_reference(len(np.unique(ids)), resample, seed, stream)
            arguments += [column[rows_of(drawn, ids)] for column in columns]
        out.append(STATISTICS[statistic](*arguments))
    return np.array(out)


def jackknife_reference(data, statistic, clusters):
    samples = [data] if statistic != "roc_auc" else [(x,) for x in data]
    out = []
    for left, ids in enumerate(clusters):
        values = []
        for k in np.unique(ids):
            kept = [[c[ids != k] if s == left else c for c in columns] for s, columns in enumerate(samples)]
            arguments = [column for columns in kept for column in columns]
            empty = any(a.size == 0 for a in arguments)
            values.append(math.nan if empty else STATISTICS[statistic](*arguments))
        out.append(np.array(values))
    return out


@st.composite
def problems(draw):
    statistic = draw(st.sampled_from(sorted(STATISTICS)))
    n, m = draw(st.integers(1, 25)), draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([2, 5, 1000]))
    sizes = {"mean": [n], "roc_auc": [n, m]}.get(statistic, [n, n])
    data = tuple(rng.integers(0, levels, size).astype(float) for size in sizes)
    sample_sizes = sizes if statistic == "roc_auc" else sizes[:1]
    by_row = draw(st.booleans())
    clusters = [np.arange(s) if by_row else rng.integers(-3, 4, s) for s in sample_sizes]
    return statistic, data, clusters, by_row


def clusters_argument(statistic, clusters, by_row):
    return None if by_row else tuple(clusters) if statistic == "roc_auc" else clusters[0]


@given(problems(), st.integers(0, 2**64 - 1))
@settings(max_examples=60)
def test_a_replicate_is_the_statistic_of_the_drawn_rows(problem, seed):
    statistic, data, clusters, by_row = problem
    argument = clusters_argument(statistic, clusters, by_row)
    got = bootstrap_replicates(data, statistic, n_resamples=19, seed=seed, clusters=argument)
    expected = replicates_reference(data, statistic, 19, seed, clusters)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@given(problems())
def test_a_jackknife_value_is_the_statistic_without_one_unit(problem):
    statistic, data, clusters, by_row = problem
    got = jackknife_values(data, statistic, clusters=clusters_argument(statistic, clusters, by_row))
    expected = jackknife_reference(data, statistic, clusters)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_units", [1, 2, 3, 4, 5, 1000])
def test_indices_are_the_published_generator(n_units):
    got = resample_indices(n_units, 5, seed=2**63 + 12345)
    assert got.shape == (5, n_units) and got.dtype == np.int64
    for resample in range(5):
        np.testing.assert_array_equal(got[resample], indices_reference(n_units, resample, 2**63 + 12345))


def test_units_are_drawn_evenly():
    drawn = np.bincount(resample_indices(7, 10_000, seed=0).ravel(), minlength=7)
    assert scipy.stats.chisquare(drawn).pvalue > 1e-4
    large = resample_indices(2**20 + 3, 1, seed=0)[0]
    assert large.min() >= 0 and large.max() < 2**20 + 3
    assert scipy.stats.kstest(large / (2**20 + 3), "uniform").pvalue > 1e-4


def test_the_standard_error_of_a_mean_is_the_known_one():
    x = np.random.default_rng(0).normal(size=200)
    replicates = bootstrap_replicates((x,), "mean", n_resamples=20_000, seed=1)
    assert replicates.std() == pytest.approx(x.std() / math.sqrt(200), rel=0.03)
    assert replicates.mean() == pytest.approx(x.mean(), abs=0.002)


@pytest.mark.parametrize("statistic", sorted(STATISTICS))
def test_the_seed_decides_and_the_number_of_threads_does_not(statistic):
    x, y = np.random.default_rng(0).normal(size=(2, 200))
    data = (x,) if statistic == "mean" else (x, y)
    results = []
    for n in (1, 2, 7):
        set_num_threads(n)
        results.append(bootstrap_replicates(data, statistic, n_resamples=1003, seed=5))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    other = bootstrap_replicates(data, statistic, n_resamples=1003, seed=6)
    assert (other != results[0]).mean() > 0.5
    fewer = bootstrap_replicates(data, statistic, n_resamples=10, seed=5)
    np.testing.assert_array_equal(fewer, results[0][:10])


def test_both_samples_of_an_auc_have_streams_of_their_own():
    x = np.arange(50.0)
    assert np.ptp(bootstrap_replicates((x, x), "roc_auc", n_resamples=50, seed=0)) > 0


def test_undefined_replicates_are_nan():
    tau = bootstrap_replicates(([1.0, 2.0], [1.0, 2.0]), "kendall_tau", n_resamples=200, seed=0)
    assert set(tau[~np.isnan(tau)]) == {1.0}
    assert 60 < np.isnan(tau).sum() < 140
    broken = bootstrap_replicates(([1.0, math.nan],), "mean", n_resamples=3, seed=0)
    assert np.isnan(broken).all()
    (values,) = jackknife_values(([1.0, 2.0], [2.0, 1.0]), "spearman_rho")
    assert np.isnan(values).all()


def test_jackknife_values_come_in_ascending_order_of_cluster_id():
    (values,) = jackknife_values(([1.0, 2.0, 4.0],), "mean", clusters=[30, -10, 20])
    assert values.tolist() == [2.5, 1.5, 3.0]


@pytest.mark.parametrize(
    ("data", "statistic", "options", "message"),
    [
        (
            ([1.0],),
            "median",
            {},
            "`statistic` must be one of mean, roc_auc, kendall_tau, spearman_rho, but it is 'median'",
        ),
        (([1.0],), "kendall_tau", {}, r"`data` must be a tuple \(x, y,\)"),
        (np.ones(3), "mean", {}, r"`data` must be a tuple \(x,\) for 'mean', but it is ndarray"),
        (([1.0], [1.0, 2.0]), "spearman_rho", {}, "`x` and `y` must have one length"),
        (([1.0],), "mean", {"n_resamples": 0}, "`n_resamples` must be a positive integer, but it is 0"),
        (([1.0],), "mean", {"seed": -1}, r"`seed` must lie in 0 to 2\*\*64 - 1, but it is -1"),
        (([1.0],), "mean", {"clusters": [1, 2]}, "`clusters` must hold one id a row, but there are 2 for 1 rows"),
        (([1.0], [2.0]), "roc_auc", {"clusters": np.array([1])}, "`clusters` must be a tuple of two arrays"),
        (([1.0], []), "roc_auc", {}, "`negative` must hold at least one element"),
    ],
)
def test_a_wrong_argument_is_named(data, statistic, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_replicates(data, statistic, **({"n_resamples": 5, "seed": 0} | options))
