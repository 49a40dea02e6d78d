import numpy as np
import pytest
import scipy.stats

from vestige.kernels import resample_indices, set_num_threads
from vestige.kernels.joint import difference_maxima, joint_bootstrap, replicate_maxima
from vestige.stats.rank_sets import rank_sets, rank_sets_from_replicates


def reference(values, clusters, simultaneous, level, n_resamples, seed):
    """One pair, direction and resample at a time; higher is better."""
    n_models, unique = len(values), np.unique(clusters)
    rows = [np.flatnonzero(clusters == c) for c in unique]
    draws = resample_indices(len(unique), n_resamples, seed)
    drawn = np.array([values[:, np.concatenate([rows[u] for u in units])].mean(axis=1) for units in draws])
    means = values.mean(axis=1)
    t, null = {}, {}
    for j in range(n_models):
        for k in range(n_models):
            d = values[j] - values[k]
            sums = np.array([(d[r] - d.mean()).sum() for r in rows])
            se = np.sqrt(len(unique) / (len(unique) - 1) * (sums**2).sum()) / values.shape[1]
            if j != k and se > 1e-12:
                t[j, k] = d.mean() / se
                null[j, k] = (drawn[:, j] - drawn[:, k] - means[j] + means[k]) / se
    families = [set(t)] if simultaneous else [{p for p in t if m in p} for m in range(n_models)]
    shown = []
    for family in families:
        left, found = set(family), set()
        while left:
            largest = np.max([null[p] for p in left], axis=0)
            normal = np.quantile(largest, level, method="higher") * np.sqrt(len(unique) / (len(unique) - 1))
            critical = scipy.stats.t.isf(scipy.stats.norm.sf(normal), len(unique) - 1)
            new = {p for p in left if t[p] > critical}
            if not new:
                break
            found, left = found | new, left - new
        shown.append(found)
    low, high = [], []
    for m in range(n_models):
        found = shown[0] if simultaneous else shown[m]
        low.append(1 + sum((k, m) in found for k in range(n_models)))
        high.append(n_models - sum((m, k) in found for k in range(n_models)))
    return low, high


def examples(seed, n_models=6, n=60, spread=0.3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) + rng.normal(size=(n_models, n)) + spread * np.arange(n_models)[:, None]


@pytest.mark.parametrize("simultaneous", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_sets_match_the_definition(seed, simultaneous):
    values, clusters = examples(seed), np.random.default_rng(seed).integers(0, 30, 60)
    low, high = reference(values, clusters, simultaneous, 0.9, 500, seed)
    arguments = {"clusters": clusters, "confidence_level": 0.9, "n_resamples": 500, "seed": seed}
    sets = rank_sets(values, simultaneous=simultaneous, **arguments)
    assert (sets.low.tolist(), sets.high.tolist()) == (low, high)
    assert 1 < sum(high) - sum(low) < 30  # neither nothing nor everything is shown
    reverse = rank_sets(-values, higher_is_better=False, simultaneous=simultaneous, **arguments)
    assert (reverse.low.tolist(), reverse.high.tolist()) == (low, high)


def test_ranks_are_midranks_within_their_sets():
    values = examples(0).round(1)
    sets = rank_sets(values, n_resamples=200)
    np.testing.assert_array_equal(sets.rank, scipy.stats.rankdata(-values.mean(axis=1)))
    assert (sets.low <= sets.rank).all() and (sets.rank <= sets.high).all()
    assert "max-T with Student's tails, step-down" in sets.method and not sets.reason


def test_sets_of_each_model_alone_lie_within_those_of_all():
    values = examples(1)
    alone, together = (rank_sets(values, simultaneous=s, n_resamples=2000) for s in (False, True))
    assert (together.low <= alone.low).all() and (alone.high <= together.high).all()
    assert (together.critical_value == together.critical_value[0]).all()


def test_a_higher_level_widens_the_sets():
    values = examples(2)
    narrow, wide = (rank_sets(values, confidence_level=level, n_resamples=2000) for level in (0.5, 0.99))
    assert (wide.low <= narrow.low).all() and (narrow.high <= wide.high).all()
    assert (wide.high - wide.low).sum() > (narrow.high - narrow.low).sum()


def test_replicates_of_the_means_give_nearly_the_same_sets():
    values = examples(3, spread=0.6)
    replicates = joint_bootstrap(values[:, None], n_resamples=4000, return_replicates=True).replicates[:, :, 0]
    given = rank_sets_from_replicates(values.mean(axis=1), replicates)
    own = rank_sets(values, n_resamples=4000)
    assert np.abs(given.low - own.low).max() <= 1 and np.abs(given.high - own.high).max() <= 1
    np.testing.assert_allclose(given.critical_value, own.critical_value, rtol=0.05)
    reverse = rank_sets_from_replicates(-values.mean(axis=1), -replicates, higher_is_better=False)
    np.testing.assert_array_equal(reverse.low, given.low)


def test_equal_models_are_never_told_apart_and_a_constant_lead_always_is():
    values = examples(0, n_models=2)[[0, 0, 1]]
    sets = rank_sets(np.vstack([values, values[0] + 50]), n_resamples=500)
    assert (sets.low[3], sets.high[3]) == (1, 1)
    assert sets.low[0] == sets.low[1] and sets.high[0] == sets.high[1] >= sets.low[0] + 1
    constant = rank_sets(np.repeat([[1.0], [0.0], [1.0]], 25, axis=1), n_resamples=50)
    assert (constant.low.tolist(), constant.high.tolist()) == ([1, 3, 1], [2, 3, 2])
    assert rank_sets(np.ones((1, 30)), n_resamples=50).high.tolist() == [1]


def test_a_model_with_nan_may_stand_anywhere_and_shows_nothing_of_the_others():
    values = examples(4, spread=2)
    values[1, 3] = np.nan
    sets = rank_sets(values, n_resamples=500)
    assert np.isnan(sets.rank[1]) and (sets.low[1], sets.high[1]) == (1, 6)
    others = rank_sets(np.delete(values, 1, axis=0), n_resamples=500)
    np.testing.assert_array_equal(np.delete(sets.low, 1), others.low)
    np.testing.assert_array_equal(np.delete(sets.high, 1), others.high + 1)


def test_few_clusters_leave_all_ranks_open():
    sets = rank_sets(examples(0, spread=9), clusters=np.arange(60) % 19)
    assert sets.reason == "19 clusters, a bootstrap needs 20"
    assert (sets.low == 1).all() and (sets.high == 6).all() and np.isnan(sets.critical_value).all()


def test_the_seed_decides_and_the_number_of_threads_does_not():
    values, results = examples(0), []
    for n in (1, 3):
        set_num_threads(n)
        results.append(rank_sets(values, n_resamples=10_001, seed=3).critical_value)
    set_num_threads(2)
    np.testing.assert_array_equal(*results)
    assert rank_sets(values, n_resamples=10_001, seed=4).critical_value[0] != results[0][0]


def test_maxima_match_their_definition():
    rng = np.random.default_rng(0)
    values, clusters = rng.normal(size=(5, 20)), rng.integers(0, 8, 20)
    up, down = np.maximum(0, rng.normal(size=(2, 5, 5)))
    drawn = joint_bootstrap(values[:, None], clusters=clusters, n_resamples=50, return_replicates=True, seed=2)
    deviations = drawn.replicates[:, :, 0] - values.mean(axis=1)
    d = deviations[:, :, None] - deviations[:, None, :]
    both = np.stack([np.where(up > 0, d * up, -np.inf), np.where(down > 0, -d * down, -np.inf)])
    expected = both.max(axis=(0, 3)).T
    np.testing.assert_allclose(replicate_maxima(deviations, up, down), expected, rtol=1e-12)
    ours = difference_maxima(values, up, down, clusters=clusters, n_resamples=50, seed=2)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0.0, 0.1])
def test_sets_hold_all_true_ranks_together_and_percentiles_never_hold_those_of_ties(steps):
    """Ten tied or evenly spaced models; tied models have every rank of their tie as a true one."""
    rng, n_models = np.random.default_rng(0), 10
    true = steps * np.arange(n_models)
    best, worst = 1 + (true[:, None] < true).sum(axis=1), n_models - (true[:, None] > true).sum(axis=1)
    held, naive = [], []
    for i in range(300):
        values = rng.normal(size=(n_models, 100)) + rng.normal(size=100) + true[:, None]
        sets = rank_sets(values, n_resamples=1000, seed=i)
        held.append((sets.low <= best).all() and (worst <= sets.high).all())
        counts = joint_bootstrap(values[:, None], n_resamples=1000, seed=i).rank_counts[:, 0].cumsum(axis=1)
        low, high = 1 + (counts < 25).sum(axis=1), 1 + (counts < 975).sum(axis=1)
        naive.append((low <= best).all() and (worst <= high).all())
    assert np.mean(held) >= 0.9
    assert steps or not any(naive)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rank_sets([1.0, 2.0]), r"values must have shape \(n_models, n_examples\) .* \(2,\)"),
        (lambda: rank_sets(np.zeros((2, 0))), "not be empty"),
        (lambda: rank_sets(np.zeros((2, 3)), clusters=[1, 2]), "clusters must hold one id an example, 3 in all"),
        (lambda: rank_sets(np.zeros((2, 3)), confidence_level=1), "confidence_level must lie within"),
        (lambda: rank_sets(np.zeros((2, 30)), n_resamples=0), "`n_resamples` must be a positive integer"),
        (lambda: rank_sets_from_replicates([1.0], np.zeros((3, 2))), r"got \(3, 2\) and \(1,\)"),
        (lambda: rank_sets_from_replicates([1.0], np.zeros((1, 1))), "at least two resamples"),
        (lambda: difference_maxima(np.zeros((2, 3)), np.zeros((1, 1)), np.zeros((2, 2))), r"`up` must have shape"),
        (lambda: replicate_maxima(np.zeros((2, 3)), np.zeros((3, 3)), np.zeros((2, 3))), r"`down` must have shape"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_cluster_ids_must_be_integers():
    with pytest.raises(TypeError, match="clusters must hold integers"):
        rank_sets(np.zeros((2, 3)), clusters=np.zeros(3))
