import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.kernels import resample_indices, set_num_threads
from vestige.kernels.joint import joint_bootstrap


def ranks_and_ties(means, higher):
    """Midranks, 1 for the best; means within the documented tolerance tie."""
    sign = 1 if higher else -1
    tolerance = 1e-12 * np.abs(means[np.isfinite(means)]).max(initial=0)
    lead = sign * (means[:, None] - means[None, :])
    better, worse = (lead > tolerance).sum(axis=0), (lead < -tolerance).sum(axis=0)
    return (len(means) + 1 + better - worse) / 2


def reference(values, higher, indices):
    """One resample at a time, from the definition of each field; `indices` is by metric, resample and draw."""
    n_models, n_metrics, n_resamples = len(values[0]), len(values), len(indices[0])
    means = np.array([v[:, rows].mean(axis=2) for v, rows in zip(values, indices, strict=True)]).transpose(2, 1, 0)
    counts = np.zeros((n_models, n_metrics, n_models), int)
    first, tau = np.zeros((n_models, n_metrics)), np.full((n_resamples, n_metrics, n_metrics), np.nan)
    for i, table in enumerate(means):
        ranks = np.array([ranks_and_ties(column, h) for column, h in zip(table.T, higher, strict=True)])
        for k in range(n_metrics):
            if not np.isnan(table[:, k]).any():
                counts[np.arange(n_models), k, ranks[k].astype(int) - 1] += 1
                first[:, k] += (ranks[k] == ranks[k].min()) / (ranks[k] == ranks[k].min()).sum()
        for a, b in np.ndindex(n_metrics, n_metrics):
            if n_models > 1 and not np.isnan(table[:, [a, b]]).any():
                tau[i, a, b] = scipy.stats.kendalltau(ranks[a], ranks[b]).statistic
    return means, counts, first, tau


@st.composite
def tables(draw):
    n_models, n_metrics, n_examples = draw(st.integers(1, 14)), draw(st.integers(1, 4)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([2, 4, 10_000]))
    values = rng.integers(0, levels, (n_models, n_metrics, n_examples)) / levels
    if draw(st.booleans()):
        values[rng.random(values.shape) < 0.05] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return values, [bool(flag) for flag in rng.integers(0, 2, n_metrics)]


def moments(replicates):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of undefined ones everywhere, which are NaN in ours, too
        return np.nanmean(replicates, axis=0), np.nanstd(replicates, axis=0, ddof=1)


@settings(deadline=None)  # the reference is slow
@given(tables(), st.integers(1, 40))
def test_every_field_matches_its_definition_on_the_same_draws(table, n_resamples):
    values, higher = table
    _, n_metrics, n_examples = values.shape
    result = joint_bootstrap(
        values,
        higher_is_better=higher,
        n_resamples=n_resamples,
        seed=5,
        return_replicates=True,
        return_tau_replicates=True,
    )
    indices = [resample_indices(n_examples, n_resamples, 5)] * n_metrics
    with np.errstate(invalid="ignore"):
        means, counts, first, tau = reference(values.transpose(1, 0, 2), higher, indices)
    np.testing.assert_allclose(result.replicates, means, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result.tau_replicates, tau, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(result.rank_counts, counts)
    np.testing.assert_array_equal(result.n_undefined, np.isnan(means).sum(axis=0))
    np.testing.assert_array_equal(result.tau_n_undefined, np.isnan(tau).sum(axis=0))
    unranked = np.isnan(means).any(axis=1).sum(axis=0)
    np.testing.assert_array_equal(result.n_unranked, unranked)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(result.p_best, first / (n_resamples - unranked), rtol=1e-12)
        mean, sd = moments(means)
        tau_mean, tau_sd = moments(tau)
    np.testing.assert_allclose(result.mean, mean, rtol=1e-12, atol=1e-13)
    # Distances are squared from the observed mean; without one, from some replicate, which may be far from the others.
    known = ~np.isnan(result.observed)
    np.testing.assert_allclose(result.sd[known], sd[known], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.sd, sd, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(result.tau_mean, tau_mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.tau_sd, tau_sd, rtol=1e-6, atol=1e-7)


@settings(deadline=None)
@given(tables())
def test_the_observed_table_is_that_of_the_data(table):
    values, higher = table
    result = joint_bootstrap(values, higher_is_better=higher, n_resamples=1)
    once = [np.arange(values.shape[2])[None]] * values.shape[1]
    with np.errstate(invalid="ignore"):
        means, _, _, tau = reference(values.transpose(1, 0, 2), higher, once)
    np.testing.assert_allclose(result.observed, means[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result.tau, tau[0], rtol=1e-12, atol=1e-12)


def test_clusters_are_drawn_as_a_whole_and_large_ones_weigh_more():
    rng = np.random.default_rng(0)
    values, ids = rng.normal(size=(3, 2, 30)), rng.integers(0, 7, 30)
    result = joint_bootstrap(values, clusters=ids, n_resamples=50, seed=2, return_replicates=True)
    unique = np.unique(ids)
    for drawn, means in zip(resample_indices(unique.size, 50, 2), result.replicates, strict=True):
        rows = np.concatenate([np.flatnonzero(ids == unique[unit]) for unit in drawn])
        np.testing.assert_allclose(means, values[:, :, rows].mean(axis=2), rtol=1e-12, atol=1e-13)


def test_each_example_a_cluster_is_no_clusters():
    values = np.random.default_rng(0).normal(size=(4, 2, 9))
    with_ids, without = (joint_bootstrap(values, clusters=ids, n_resamples=100) for ids in (np.arange(9) * 3 - 5, None))
    np.testing.assert_array_equal(with_ids.mean, without.mean)
    np.testing.assert_array_equal(with_ids.rank_counts, without.rank_counts)


def test_metrics_of_one_set_move_together_and_those_of_others_do_not():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 50)), rng.normal(size=(2, 70))
    apart = joint_bootstrap([first, first, second], n_resamples=2000, return_replicates=True).replicates[:, 0]
    assert abs(np.corrcoef(apart[:, 0], apart[:, 1])[0, 1]) < 0.1
    together = joint_bootstrap(
        [first, first, second], samples=["a", "a", "b"], n_resamples=2000, return_replicates=True
    ).replicates[:, 0]
    np.testing.assert_array_equal(together[:, 0], together[:, 1])
    np.testing.assert_array_equal(together[:, 0], apart[:, 0])
    assert abs(np.corrcoef(together[:, 0], together[:, 2])[0, 1]) < 0.1


def test_sets_of_other_sizes_share_the_draws_of_their_clusters():
    ids, more = np.repeat(np.arange(5), 4), np.repeat(np.arange(5), 9)
    values = [np.arange(5.0)[ids][None], np.arange(5.0)[more][None]]
    result = joint_bootstrap(values, clusters=[ids, more], samples=["q", "q"], n_resamples=200, return_replicates=True)
    np.testing.assert_allclose(result.replicates[:, 0, 0], result.replicates[:, 0, 1], rtol=1e-12)


def test_a_cluster_that_a_metric_lacks_leaves_it_undefined_when_drawn_alone():
    result = joint_bootstrap(
        [np.ones((1, 1)), np.ones((1, 1))], clusters=[[0], [1]], samples="aa", n_resamples=400, return_replicates=True
    )
    missing = np.isnan(result.replicates[:, 0])
    assert 50 < missing[:, 0].sum() == result.n_undefined[0, 0] < 150
    assert not missing.all(axis=1).any()


def test_the_seed_decides_and_the_number_of_threads_does_not():
    values = np.random.default_rng(0).normal(size=(9, 3, 40))
    results = []
    for n in (1, 3):
        set_num_threads(n)
        results.append(joint_bootstrap(values, n_resamples=20_001, seed=9))
    for field in ("mean", "sd", "rank_counts", "p_best", "tau_mean", "tau_sd"):
        np.testing.assert_array_equal(getattr(results[0], field), getattr(results[1], field))
    assert (joint_bootstrap(values, n_resamples=100, seed=10).mean != results[0].mean).all()
    assert results[0].replicates is None and results[0].tau_replicates is None


def test_rounding_makes_no_order():
    values = np.array([[[0.1, 0.2, 0.3]], [[0.3, 0.2, 0.1]]])
    result = joint_bootstrap(values, n_resamples=1)
    assert np.isnan(result.tau[0, 0])  # all models tie


def test_standard_errors_are_those_of_the_mean():
    values = np.random.default_rng(0).normal(size=(3, 1, 100))
    result = joint_bootstrap(values, n_resamples=20_000)
    np.testing.assert_allclose(result.sd[:, 0], values[:, 0].std(axis=1) / 10, rtol=0.02)


def test_a_spread_far_from_zero_keeps_its_digits_where_the_observed_mean_is_undefined():
    values = np.random.default_rng(0).normal(size=(2, 2, 30)) + 1e8
    values[0, 1, 3] = np.nan
    result = joint_bootstrap(values, n_resamples=500, return_replicates=True)
    assert np.isnan(result.observed[0, 1]) and 100 < result.n_undefined[0, 1] < 400
    np.testing.assert_allclose(result.sd, np.nanstd(result.replicates, axis=0, ddof=1), rtol=1e-6)


def test_a_tau_interval_is_made_of_percentiles():
    values = np.random.default_rng(0).normal(size=(8, 2, 30))
    result = joint_bootstrap(values, n_resamples=999, return_tau_replicates=True)
    low, high = result.tau_interval(0.9)
    assert (low[0, 1], high[0, 1]) == pytest.approx(np.quantile(result.tau_replicates[:, 0, 1], [0.05, 0.95]))
    with pytest.raises(ValueError, match="return_tau_replicates=True"):
        joint_bootstrap(values, n_resamples=2).tau_interval()


def test_other_formats_and_layouts_are_read():
    import torch

    values = np.random.default_rng(0).normal(size=(3, 2, 10)).astype(np.float32)
    expected = joint_bootstrap(values.astype(np.float64), n_resamples=50).mean
    strided = np.repeat(values, 2, axis=2)[:, :, ::2]
    strided.flags.writeable = False
    for other in (values, torch.tensor(values), strided, values.tolist()):
        np.testing.assert_array_equal(joint_bootstrap(other, n_resamples=50).mean, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"values": np.zeros((2, 3))},
            r"`values` must have shape \(n_models, n_metrics, n_examples\), .* \(2, 3\)",
        ),
        ({"values": 1.0}, r"its shape is \(\)"),
        ({"values": np.zeros((2, 3, 0))}, "`values` must hold at least one element"),
        ({"values": []}, "`values` must hold at least one element"),
        ({"values": [np.zeros((2, 3)), np.zeros((1, 3))]}, r"one row a model in every array, but there are \[2, 1\]"),
        ({"values": np.zeros((2, 3, 4)), "samples": "abc"}, "`samples` is for a list of arrays"),
        ({"values": [np.zeros((2, 3))], "samples": "ab"}, "`samples` must name one set"),
        ({"values": [np.zeros((2, 3)), np.zeros((2, 4))], "samples": "aa"}, "set 'a' must have the same examples"),
        ({"values": np.zeros((2, 3, 4)), "clusters": [1, 2]}, "one id an example, but there are 2 for 4"),
        ({"values": np.zeros((2, 3, 4)), "clusters": [[1] * 4]}, "one array a metric, but there are 1 for 3"),
        ({"values": np.zeros((2, 3, 4)), "higher_is_better": [True]}, "one flag a metric, but there are 1 for 3"),
        ({"values": np.zeros((2, 3, 4)), "n_resamples": 0}, "`n_resamples` must be a positive integer"),
        ({"values": np.zeros((2, 3, 4)), "seed": -1}, "`seed` must lie in"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        joint_bootstrap(**arguments)


def test_cluster_ids_must_be_integers():
    with pytest.raises(TypeError, match="`clusters` must hold integers"):
        joint_bootstrap(np.zeros((2, 3, 4)), clusters=np.zeros(4))
