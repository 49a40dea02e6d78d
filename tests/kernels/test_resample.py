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
    ks_statistic,
    resample_indices,
    roc_auc,
    set_num_threads,
    spearman_rho,
)

MASK = 2**32 - 1
LEVEL = 0.3
OF_TWO_SAMPLES = ("roc_auc", "ks_statistic")


def ratio(numerator, denominator):
    return numerator.sum() / denominator.sum() if denominator.sum() else math.nan


STATISTICS = {
    "mean": np.mean,
    "weighted_mean": lambda x, weights: ratio(x * weights, weights),
    "quantile": lambda x: np.quantile(x, LEVEL),
    "ratio": ratio,
    "roc_auc": roc_auc,
    "ks_statistic": lambda x, y: max(abs(np.mean(x <= v) - np.mean(y <= v)) for v in np.r_[x, y]),
    "kendall_tau": kendall_tau,
    "spearman_rho": spearman_rho,
}


def philox_reference(counter, key):
    """Salmon et al. (2011), ten rounds, as published."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        x, y = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (y >> 32) ^ b ^ k0, y & MASK, (x >> 32) ^ d ^ k1, x & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return a, b, c, d


def indices_reference(strata, resample, seed, stream=0):
    """Units in the order of their strata, as many of each as it has."""
    n, words, key = strata.size, [], (seed & MASK, seed >> 32)
    for block in range(n // 4 + 1):
        words += philox_reference((block, resample & MASK, resample >> 32, stream), key)
    of_stratum = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    groups = [units for units in of_stratum for _ in units]
    return np.array([units[word * units.size >> 32] for word, units in zip(words[:n], groups, strict=True)])


def rows_of(drawn, clusters):
    """All rows of the drawn clusters, a cluster as often as it was drawn."""
    _, sizes = np.unique(clusters, return_counts=True)
    of_cluster = np.split(np.argsort(clusters, kind="stable"), np.cumsum(sizes)[:-1])
    return np.concatenate([of_cluster[k] for k in drawn])


def stratum_of_each(ids, strata):
    return np.array([strata[ids == k][0] for k in np.unique(ids)])


def parts_of(data, statistic):
    return [(x,) for x in data] if statistic in OF_TWO_SAMPLES else [data]


def replicates_reference(data, statistic, n_resamples, seed, clusters, strata):
    """Rows are really repeated and the statistic is really computed anew."""
    out = []
    for resample in range(n_resamples):
        arguments = []
        for stream, (columns, ids, s) in enumerate(zip(parts_of(data, statistic), clusters, strata, strict=True)):
            drawn = indices_reference(stratum_of_each(ids, s), resample, seed, stream)
            arguments += [column[rows_of(drawn, ids)] for column in columns]
        out.append(STATISTICS[statistic](*arguments))
    return np.array(out)


def jackknife_reference(data, statistic, clusters, strata):
    samples, out = parts_of(data, statistic), []
    for left, (ids, of_row) in enumerate(zip(clusters, strata, strict=True)):
        for stratum in np.unique(of_row):
            values = []
            for k in np.unique(ids[of_row == stratum]):
                kept = [[c[ids != k] if s == left else c for c in columns] for s, columns in enumerate(samples)]
                arguments = [column for columns in kept for column in columns]
                empty = any(a.size == 0 for a in arguments)
                values.append(math.nan if empty else STATISTICS[statistic](*arguments))
            out.append(np.array(values))
    return out


@st.composite
def problems(draw):
    """Statistic, data, and for each sample the clusters and strata of its rows; the arguments that say so."""
    statistic = draw(st.sampled_from(sorted(STATISTICS)))
    n, m = draw(st.integers(1, 25)), draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([2, 5, 1000]))
    sizes = [n, m] if statistic in OF_TWO_SAMPLES else [n] if statistic in ("mean", "quantile") else [n, n]
    data = tuple(rng.integers(0, levels, size).astype(float) for size in sizes)
    sample_sizes = sizes if statistic in OF_TWO_SAMPLES else sizes[:1]
    by_row, one_stratum = draw(st.booleans()), draw(st.booleans())
    clusters = [np.arange(s) if by_row else rng.integers(-3, 4, s) for s in sample_sizes]
    strata = [
        np.zeros(s, dtype=int) if one_stratum else ids * 7 % 3 - 1
        for s, ids in zip(sample_sizes, clusters, strict=True)
    ]
    options = {"q": LEVEL} | ({} if by_row else {"clusters": clusters}) | ({} if one_stratum else {"strata": strata})
    if statistic not in OF_TWO_SAMPLES:
        options |= {name: options[name][0] for name in ("clusters", "strata") if name in options}
    return statistic, data, clusters, strata, options


@given(problems(), st.integers(0, 2**64 - 1))
@settings(max_examples=150)
def test_a_replicate_is_the_statistic_of_the_drawn_rows(problem, seed):
    statistic, data, clusters, strata, options = problem
    got = bootstrap_replicates(data, statistic, n_resamples=19, seed=seed, **options)
    expected = replicates_reference(data, statistic, 19, seed, clusters, strata)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@given(problems())
@settings(max_examples=150)
def test_a_jackknife_value_is_the_statistic_without_one_unit(problem):
    statistic, data, clusters, strata, options = problem
    got = jackknife_values(data, statistic, **options)
    expected = jackknife_reference(data, statistic, clusters, strata)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_units", [1, 2, 3, 4, 5, 1000])
def test_indices_are_the_published_generator(n_units):
    got = resample_indices(n_units, 5, seed=2**63 + 12345)
    assert got.shape == (5, n_units) and got.dtype == np.int64
    for resample in range(5):
        one = indices_reference(np.zeros(n_units), resample, 2**63 + 12345)
        np.testing.assert_array_equal(got[resample], one)
    strata = np.arange(n_units) * 5 % 3
    got = resample_indices(n_units, 3, seed=9, sample=1, strata=strata)
    np.testing.assert_array_equal(got[2], indices_reference(strata, 2, 9, stream=1))


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
    data = (x,) if statistic in ("mean", "quantile") else (x, abs(y))
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
            "`statistic` must be one of mean, weighted_mean, quantile, .*, but it is 'median'",
        ),
        (([1.0],), "kendall_tau", {}, r"`data` must be a tuple \(x, y,\)"),
        (np.ones(3), "mean", {}, r"`data` must be a tuple \(x,\) for 'mean', but it is ndarray"),
        (([1.0], [1.0, 2.0]), "spearman_rho", {}, "`x` and `y` must have one length"),
        (([1.0],), "mean", {"n_resamples": 0}, "`n_resamples` must be a positive integer, but it is 0"),
        (([1.0],), "mean", {"seed": -1}, r"`seed` must lie in 0 to 2\*\*64 - 1, but it is -1"),
        (([1.0],), "mean", {"clusters": [1, 2]}, "`clusters` must hold one id a row, but there are 2 for 1 rows"),
        (([1.0], [2.0]), "roc_auc", {"clusters": np.array([1])}, "`clusters` must be a tuple of two arrays"),
        (([1.0], []), "roc_auc", {}, "`negative` must hold at least one element"),
        (([1.0], [-2.0]), "weighted_mean", {}, "`weights` must be finite and not negative, but there is -2"),
        (([1.0], [math.inf]), "weighted_mean", {}, "`weights` must be finite and not negative, but there is inf"),
        (([1.0], [1.0, 2.0]), "ratio", {}, "`numerator` and `denominator` must have one length"),
        (([1.0],), "quantile", {"q": 1.5}, "`q` must lie in 0 to 1, but it is 1.5"),
        (([1.0],), "mean", {"strata": [1, 2]}, "`strata` must hold one id a row, but there are 2 for 1 rows"),
        (([1.0, 2.0],), "mean", {"strata": [1, 2], "clusters": [1, 1]}, "some cluster lies in two"),
        (([1.0], [2.0]), "ks_statistic", {"strata": np.array([1])}, "`strata` must be a tuple of two arrays"),
    ],
)
def test_a_wrong_argument_is_named(data, statistic, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_replicates(data, statistic, **({"n_resamples": 5, "seed": 0} | options))


@pytest.mark.parametrize("n_rows", [1_900, 40_000])
@pytest.mark.parametrize("statistic", ["kendall_tau", "spearman_rho", "roc_auc", "ks_statistic", "quantile"])
def test_a_replicate_of_a_large_sample_is_the_statistic_of_the_drawn_rows(statistic, n_rows):
    """Counts of rows are kept in 16 or 32 bits where they fit, and in float64 else."""
    rng = np.random.default_rng(0)
    data = tuple(rng.normal(size=(2, n_rows)).round(3))[: 1 if statistic == "quantile" else 2]
    drawn = [resample_indices(n_rows, 2, 3, sample=i if statistic in OF_TWO_SAMPLES else 0) for i in range(len(data))]
    got = bootstrap_replicates(data, statistic, n_resamples=2, seed=3, q=LEVEL)
    function = ks_statistic if statistic == "ks_statistic" else STATISTICS[statistic]
    expected = [function(*(x[rows[i]] for x, rows in zip(data, drawn, strict=True))) for i in range(2)]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("statistic", ["kendall_tau", "spearman_rho", "roc_auc", "ks_statistic", "quantile"])
def test_a_huge_cluster_may_be_drawn_again_and_again(statistic):
    """More rows than 32 bits can count may be drawn, so float64 counts them."""
    n_rows = 100_000
    ids = np.where(np.arange(n_rows) < n_rows // 2, 0, np.arange(n_rows))
    rng = np.random.default_rng(0)
    data = tuple(rng.normal(size=(2, n_rows)).round(2))[: 1 if statistic == "quantile" else 2]
    two = statistic in OF_TWO_SAMPLES
    got = bootstrap_replicates(data, statistic, n_resamples=2, seed=1, clusters=(ids, ids) if two else ids, q=LEVEL)
    n_units = np.unique(ids).size
    drawn = [rows_of(resample_indices(n_units, 2, 1, sample=i if two else 0)[1], ids) for i in range(len(data))]
    function = ks_statistic if statistic == "ks_statistic" else STATISTICS[statistic]
    assert got[1] == pytest.approx(function(*(x[rows] for x, rows in zip(data, drawn, strict=True))), rel=1e-12)


def test_an_infinite_value_that_is_not_drawn_does_no_harm():
    x = np.array([1.0, 2.0, math.inf, 4.0])
    got = bootstrap_replicates((x,), "mean", n_resamples=30, seed=0)
    np.testing.assert_array_equal(got, x[resample_indices(4, 30, 0)].mean(axis=1))
    assert 0 < np.isinf(got).sum() < 30


def test_more_than_a_million_units_have_indices_of_64_bits():
    n_units = 2**20 + 5
    x = np.random.default_rng(0).normal(size=n_units)
    got = bootstrap_replicates((x,), "mean", n_resamples=17, seed=0)
    assert got[16] == pytest.approx(x[resample_indices(n_units, 17, 0)[16]].mean(), rel=1e-9)
