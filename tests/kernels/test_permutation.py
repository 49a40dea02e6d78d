from itertools import combinations, permutations, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.kernels import permutation, set_num_threads
from vestige.kernels.permutation import (
    label_permutation_test,
    sign_flip_test,
    within_group_permutation_test,
)

ALTERNATIVES = ["two-sided", "less", "greater"]
TIE = 1e-9


def mean_difference(x, y):
    return np.mean(x) - np.mean(y)


def roc_auc(x, y):
    return (np.greater.outer(x, y) + 0.5 * np.equal.outer(x, y)).mean()


def ks_statistic(x, y):
    return scipy.stats.ks_2samp(x, y, method="asymp").statistic


TWO_SAMPLE = {"mean_difference": mean_difference, "roc_auc": roc_auc, "ks_statistic": ks_statistic}
ASSOCIATION = {
    "spearman_rho": lambda x, y: scipy.stats.spearmanr(x, y).statistic,
    "kendall_tau": lambda x, y: scipy.stats.kendalltau(x, y).statistic,
    "pearson_r": lambda x, y: scipy.stats.pearsonr(x, y).statistic,
}


def p_reference(null, observed, alternative):
    """Shares of relabellings as far as the data: of each member's own, and of the farthest studentised one."""
    centre, sd = null.mean(axis=0), null.std(axis=0)
    fold = {"two-sided": np.abs, "less": np.negative, "greater": np.positive}[alternative]
    flat = sd < 1e-9
    far, own = (fold((values - centre) / np.where(flat, 1, sd)) * ~flat for values in (null, observed))
    p = (far >= own - TIE).mean(axis=0)
    return p, (far.max(axis=1)[:, None] >= own - TIE).mean(axis=0)


def sign_flip_reference(differences, clusters):
    unique, codes = np.unique(clusters, return_inverse=True)
    signs = np.array(list(product([1, -1], repeat=len(unique))))[:, codes]
    return signs @ differences / len(differences)


def label_reference(x, y, statistic, cx, cy):
    """Every choice of as many clusters as the first sample has."""
    rows, ids = np.concatenate([x, y]), np.concatenate([cx, cy])
    unique, k = np.unique(ids), len(np.unique(cx))
    null = []
    for chosen in combinations(unique, k):
        first = np.isin(ids, chosen)
        null.append([TWO_SAMPLE[statistic](a, b) for a, b in zip(rows[first].T, rows[~first].T, strict=True)])
    return np.array(null)


def swap_reference(x, y, statistic, clusters):
    unique, codes = np.unique(clusters, return_inverse=True)
    null = []
    for swaps in product([False, True], repeat=len(unique)):
        swap = np.array(swaps)[codes][:, None]
        a, b = np.where(swap, y, x), np.where(swap, x, y)
        null.append([TWO_SAMPLE[statistic](p, q) for p, q in zip(a.T, b.T, strict=True)])
    return np.array(null)


def within_reference(x, y, groups, statistic):
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    null = []
    for orders in product(*(permutations(rows) for rows in members)):
        moved = y.copy()
        for rows, order in zip(members, orders, strict=True):
            moved[rows] = y[list(order)]
        null.append([ASSOCIATION[statistic](column, moved) for column in x.T])
    return np.array(null)


def numbers(rng, shape, levels):
    return rng.integers(0, levels, shape) / 4 if levels < 10 else rng.normal(size=shape)


@st.composite
def designs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng, draw(st.sampled_from([3, 100])), draw(st.integers(1, 3)), draw(st.sampled_from(ALTERNATIVES))


def check(test, null, observed, alternative):
    p, adjusted = p_reference(null, observed, alternative)
    np.testing.assert_allclose(test.statistic, observed, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(test.p_value, p, rtol=1e-12)
    np.testing.assert_allclose(test.p_adjusted, adjusted, rtol=1e-12)
    assert (test.n_relabellings, test.exact) == (len(null), True)
    assert (test.n_undefined == 0).all()


@settings(deadline=None, max_examples=40)
@given(designs())
def test_sign_flips_match_every_pattern(design):
    rng, levels, n_members, alternative = design
    differences = numbers(rng, (rng.integers(1, 9), n_members), levels) - 0.25
    clusters = rng.integers(0, 7, len(differences))
    test = sign_flip_test(differences, alternative=alternative, clusters=clusters)
    check(test, sign_flip_reference(differences, clusters), differences.mean(axis=0), alternative)


@settings(deadline=None, max_examples=40)
@given(designs(), st.sampled_from(list(TWO_SAMPLE)), st.booleans())
def test_labels_match_every_choice_of_clusters(design, statistic, clustered):
    rng, levels, n_members, alternative = design
    alternative = "two-sided" if statistic == "ks_statistic" else alternative
    x, y = (numbers(rng, (rng.integers(1, 6), n_members), levels) for _ in "xy")
    cx, cy = (rng.integers(0, 4, len(x)), 9 + rng.integers(0, 4, len(y)))
    if not clustered:
        cx, cy = np.arange(len(x)), 9 + np.arange(len(y))
    test = label_permutation_test(x, y, statistic, alternative=alternative, clusters=(cx, cy) if clustered else None)
    observed = np.array([TWO_SAMPLE[statistic](a, b) for a, b in zip(x.T, y.T, strict=True)])
    null = label_reference(x, y, statistic, cx, cy)
    check(test, null, observed, "greater" if statistic == "ks_statistic" else alternative)


@settings(deadline=None, max_examples=40)
@given(designs(), st.sampled_from(list(TWO_SAMPLE)))
def test_swaps_match_every_pattern(design, statistic):
    rng, levels, n_members, alternative = design
    alternative = "two-sided" if statistic == "ks_statistic" else alternative
    x, y = numbers(rng, (2, rng.integers(1, 7), n_members), levels)
    clusters = rng.integers(0, 5, len(x))
    test = label_permutation_test(x, y, statistic, paired=True, alternative=alternative, clusters=clusters)
    observed = np.array([TWO_SAMPLE[statistic](a, b) for a, b in zip(x.T, y.T, strict=True)])
    null = swap_reference(x, y, statistic, clusters)
    check(test, null, observed, "greater" if statistic == "ks_statistic" else alternative)


@settings(deadline=None, max_examples=25)
@given(designs(), st.sampled_from(list(ASSOCIATION)))
def test_relabelling_within_groups_matches_every_order(design, statistic):
    rng, _, n_members, alternative = design
    groups = rng.permutation(np.repeat([5, 1, 9], [3, 2, 1 + rng.integers(0, 2)]))
    x, y = rng.normal(size=(len(groups), n_members)).round(1), rng.normal(size=len(groups)).round(1)
    test = within_group_permutation_test(x, y, groups, statistic, alternative=alternative)
    observed = np.array([ASSOCIATION[statistic](column, y) for column in x.T])
    check(test, within_reference(x, y, groups, statistic), observed, alternative)


def scipy_null(data, statistic, kind, alternative):
    result = scipy.stats.permutation_test(
        data, statistic, permutation_type=kind, alternative=alternative, n_resamples=np.inf, vectorized=False
    )
    return result.statistic, result.pvalue, result.null_distribution


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_exact_tests_are_scipys(alternative):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 7))
    cases = [
        (sign_flip_test(x - y, alternative=alternative), ((x - y,), np.mean, "samples")),
        (label_permutation_test(x, y[:5], alternative=alternative), ((x, y[:5]), mean_difference, "independent")),
        (
            label_permutation_test(x, y[:4], "roc_auc", alternative=alternative),
            ((x, y[:4]), roc_auc, "independent"),
        ),
        (
            within_group_permutation_test(x[:6], y[:6], alternative=alternative),
            ((x[:6],), lambda moved: ASSOCIATION["spearman_rho"](moved, y[:6]), "pairings"),
        ),
        (
            within_group_permutation_test(x[:6], y[:6], statistic="kendall_tau", alternative=alternative),
            ((x[:6],), lambda moved: ASSOCIATION["kendall_tau"](moved, y[:6]), "pairings"),
        ),
    ]
    for ours, (data, statistic, kind) in cases:
        theirs, p, null = scipy_null(data, statistic, kind, alternative)
        assert float(ours.statistic) == pytest.approx(float(theirs), abs=1e-12)
        if alternative == "two-sided":  # SciPy doubles the smaller tail; the same where the null is symmetric
            p = (np.abs(null - null.mean()) >= abs(theirs - null.mean()) - TIE).mean()
        assert float(ours.p_value) == pytest.approx(p, abs=1e-12)
        assert ours.n_relabellings == null.size and ours.exact


DRAWN = {
    "flips": lambda **k: sign_flip_test(np.random.default_rng(0).normal(0.4, 1, (30, 2)), **k),
    "labels": lambda **k: label_permutation_test(*np.random.default_rng(1).normal([[0.7]], 1, (2, 20)), **k),
    "auc": lambda **k: label_permutation_test(*np.random.default_rng(1).normal([[0.7]], 1, (2, 20)), "roc_auc", **k),
    "swaps": lambda **k: label_permutation_test(
        *np.random.default_rng(1).normal(size=(2, 24)), "ks_statistic", paired=True, **k
    ),
    "orders": lambda **k: within_group_permutation_test(*np.random.default_rng(2).normal(size=(2, 30)), **k),
    "tau": lambda **k: within_group_permutation_test(
        *np.random.default_rng(2).normal(size=(2, 30)), np.repeat([0, 1, 2], 10), "kendall_tau", **k
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_the_seed_decides_random_relabellings_and_the_number_of_threads_does_not(name):
    results = []
    for n in (1, 3):
        set_num_threads(n)
        results.append(DRAWN[name](seed=4, n_permutations=20_000))
    first, second = results
    np.testing.assert_array_equal(first.p_value, second.p_value)
    np.testing.assert_array_equal(first.p_adjusted, second.p_adjusted)
    assert not first.exact and first.n_relabellings == 20_000
    other = DRAWN[name](seed=5, n_permutations=20_000)
    assert (other.p_value != first.p_value).any()
    np.testing.assert_allclose(other.p_value, first.p_value, atol=0.02)


def test_random_relabellings_approach_all_of_them(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 8, 2))
    halves, clusters = np.repeat([0, 1], 4), (np.arange(8) // 2, 9 + np.arange(5) // 2)
    calls = [
        lambda n: sign_flip_test(x - y, n_permutations=n),
        lambda n: label_permutation_test(x, y, n_permutations=n),
        lambda n: label_permutation_test(x, y[:5], "roc_auc", clusters=clusters, n_permutations=n),
        lambda n: label_permutation_test(x, y, "ks_statistic", n_permutations=n),
        lambda n: within_group_permutation_test(x, y[:, 0], halves, n_permutations=n),
        lambda n: within_group_permutation_test(x, y[:, 0], halves, "kendall_tau", n_permutations=n),
    ]
    exact = [call(1) for call in calls]
    monkeypatch.setattr(permutation, "MOST_EXACT", 10)
    for call, all_of_them in zip(calls, exact, strict=True):
        drawn = call(30_000)
        assert all_of_them.exact and not drawn.exact
        np.testing.assert_allclose(drawn.p_value, all_of_them.p_value, atol=0.015)
        np.testing.assert_allclose(drawn.p_adjusted, all_of_them.p_adjusted, atol=0.015)


def test_a_drawn_p_value_is_never_zero():
    assert sign_flip_test(np.ones(40)).p_value == pytest.approx(1 / 10_000, rel=1e-12)


def test_family_members_share_relabellings_and_adjustment_never_lowers_p():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1, (25, 4))
    family = sign_flip_test(differences, n_permutations=5000)
    assert (family.p_adjusted >= family.p_value).all()
    for member, p in enumerate(family.p_value):
        assert sign_flip_test(differences[:, member], n_permutations=5000).p_value == pytest.approx(p, abs=1e-12)
    twins = sign_flip_test(differences[:, [0, 0]], n_permutations=5000)
    np.testing.assert_array_equal(twins.p_adjusted, twins.p_value)


def test_undefined_members_are_nan_and_leave_the_others_alone():
    x = np.random.default_rng(0).normal(size=(8, 3))
    y = np.random.default_rng(1).normal(size=8)
    x[:, 1] = 0.1
    spoiled = x.copy()
    spoiled[2, 0] = np.nan
    for test, clean in (
        (within_group_permutation_test(spoiled, y), within_group_permutation_test(x, y)),
        (within_group_permutation_test(spoiled, y, None, "kendall_tau"),) * 2,
        (within_group_permutation_test(spoiled, y, None, "pearson_r"),) * 2,
    ):
        assert np.isnan([test.statistic[:2], test.p_value[:2], test.p_adjusted[:2]]).all()
        assert (test.n_undefined == [40320, 40320, 0]).all()
        assert test.p_value[2] == clean.p_value[2]
    for statistic in TWO_SAMPLE:
        assert np.isnan(label_permutation_test(spoiled[:4], x[:4], statistic).p_value[0])
        assert np.isfinite(label_permutation_test(spoiled[:4], x[:4], statistic).p_value[2])


def test_what_nothing_moves_has_p_one():
    assert sign_flip_test(np.zeros(5)).p_value == 1
    assert label_permutation_test(np.ones(4), np.ones(3)).p_value == 1
    assert label_permutation_test(np.ones(4), np.ones(3), "ks_statistic").p_value == 1
    assert within_group_permutation_test([1.0, 2.0], [1.0, 2.0], [0, 1]).p_value == 1


def test_ranks_take_infinities_and_means_do_not():
    x, y = np.array([np.inf, 1.0, 2.0]), np.array([-np.inf, 0.0])
    assert label_permutation_test(x, y, "roc_auc").statistic == 1
    assert label_permutation_test(x, y, "ks_statistic").statistic == 1
    assert np.isnan(label_permutation_test(x, y).statistic) and np.isnan(sign_flip_test(x).p_value)


def test_monotone_maps_change_no_rank_test():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12))
    for statistic in ("roc_auc", "ks_statistic"):
        a, b = (label_permutation_test(f(x), f(y), statistic) for f in (np.exp, lambda v: v))
        assert (a.statistic, a.p_value) == (b.statistic, b.p_value)


def test_reversing_the_samples_mirrors_the_tails():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=7), rng.normal(size=4)
    for statistic in ("mean_difference", "roc_auc"):
        less = label_permutation_test(x, y, statistic, alternative="less").p_value
        assert less == label_permutation_test(y, x, statistic, alternative="greater").p_value


@pytest.mark.slow
def test_random_tests_hold_their_level_under_clusters():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(25), 4)
    p = [
        float(sign_flip_test(rng.normal(size=25)[clusters] + rng.normal(size=100), clusters=clusters).p_value)
        for _ in range(1000)
    ]
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.07


def test_other_formats_and_layouts_are_read():
    import torch

    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    expected = sign_flip_test(x.astype(np.float64)).p_value
    strided = np.asfortranarray(np.repeat(x, 2, axis=0))[::2]
    strided.flags.writeable = False
    for other in (x, torch.tensor(x), strided, x.tolist()):
        np.testing.assert_array_equal(sign_flip_test(other).p_value, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sign_flip_test([]), "`differences` must hold at least one element"),
        (lambda: sign_flip_test(1.0), r"`differences` must have shape \(n,\) or \(n, n_members\), .* \(\)"),
        (lambda: sign_flip_test([1.0], alternative="both"), "`alternative` must be"),
        (lambda: sign_flip_test([1.0], clusters=[1, 2]), "`clusters` must hold one id a row, but there are 2 for 1"),
        (lambda: sign_flip_test([1.0], n_permutations=0), "`n_permutations` must be a positive integer"),
        (lambda: sign_flip_test([1.0], seed=-1), "`seed` must lie in"),
        (lambda: label_permutation_test([1.0], []), "`y` must hold at least one element"),
        (
            lambda: label_permutation_test([1.0], [[1.0, 2.0]]),
            r"same columns, .* are \(1,\) and \(1, 2\)",
        ),
        (lambda: label_permutation_test([1.0], [2.0], "t"), "`statistic` must be"),
        (lambda: label_permutation_test([1.0], [2.0], "ks_statistic", alternative="less"), "two-sided"),
        (lambda: label_permutation_test([1.0], [2.0, 3.0], paired=True), "one length if paired, but have 1 and 2"),
        (lambda: label_permutation_test([1.0], [2.0], clusters=([1], [1])), "but 1 lies in both"),
        (lambda: label_permutation_test([1.0], [2.0], clusters=[1]), "a tuple of two arrays"),
        (lambda: within_group_permutation_test([1.0], [2.0, 3.0]), "one length, but have 1 and 2 rows"),
        (lambda: within_group_permutation_test([1.0], [2.0], [1, 2]), "`groups` must hold one id a row"),
        (lambda: within_group_permutation_test([1.0], [2.0], statistic="r"), "`statistic` must be"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_ids_must_be_integers():
    with pytest.raises(TypeError, match="`groups` must hold integers"):
        within_group_permutation_test([1.0], [2.0], [0.5])
