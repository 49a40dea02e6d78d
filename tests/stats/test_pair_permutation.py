from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import rankdata

from vestige.stats.pair_permutation import pair_permutation_test


def exact_p(x, y, strata):
    """All relabellings of `y` within strata, two-sided around their mean."""
    rank_x, rank_y = (rankdata(v) - rankdata(v).mean() for v in (x, y))
    rows = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    sums = []
    for choice in product(*(permutations(r) for r in rows)):
        moved = np.empty(len(y))
        for r, c in zip(rows, choice, strict=True):
            moved[r] = rank_y[list(c)]
        sums.append(rank_x @ moved)
    centre = np.mean(sums)
    return np.mean(np.abs(np.array(sums) - centre) >= abs(rank_x @ rank_y - centre) - 1e-9)


STRATA = np.repeat([0, 1], 4)


@pytest.mark.parametrize("seed", range(3))
def test_p_is_that_of_all_relabellings(seed):
    values = np.random.default_rng(seed).integers(0, 5, size=(8, 3)).astype(float)
    test = pair_permutation_test(values, STRATA)
    assert (test.exact, test.n_relabellings, test.family) == (True, 576, 3)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert test.p[i, j] == test.p[j, i] == pytest.approx(exact_p(values[:, i], values[:, j], STRATA))
        assert test.p_adjusted[i, j] >= test.p[i, j]


def test_drawn_p_is_near_that_of_the_draws_of_each_pair():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(30, 2)) + 0.35 * rng.normal(size=(30, 1))
    test = pair_permutation_test(values, np.zeros(30, dtype=int))
    ranks = np.apply_along_axis(rankdata, 0, values)
    drawn = [abs(np.corrcoef(rng.permutation(ranks[:, 0]), ranks[:, 1])[0, 1]) for _ in range(4000)]
    assert not test.exact
    assert test.p[0, 1] == pytest.approx(np.mean(np.array(drawn) >= abs(test.statistic[0, 1])), abs=0.03)


def test_a_shift_between_strata_is_no_evidence_and_an_order_within_is():
    rng = np.random.default_rng(2)
    shift = np.repeat([0.0, 50.0], 20)
    order = np.tile(np.arange(20.0), 2)
    values = np.column_stack([shift + rng.normal(size=40), shift + rng.normal(size=40), order, order])
    test = pair_permutation_test(values, np.repeat([0, 1], 20))
    assert test.statistic[0, 1] > 0.7 and test.p_adjusted[0, 1] > 0.1
    assert test.p_adjusted[2, 3] < 0.005


def test_a_constant_column_is_undefined_and_leaves_the_family():
    values = np.column_stack([np.arange(9.0), np.ones(9), np.arange(9.0) ** 2])
    test = pair_permutation_test(values, np.zeros(9, dtype=int))
    assert np.isnan(test.p[1]).all() and np.isnan(test.statistic[1]).all()
    assert test.family == 1 and test.p[0, 2] < 0.001


def test_the_seed_decides_the_draws():
    values = np.random.default_rng(3).normal(size=(40, 3))
    first, again, other = (pair_permutation_test(values, np.zeros(40, dtype=int), seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.p_adjusted, again.p_adjusted)
    assert (first.p_adjusted != other.p_adjusted).any()


def test_the_family_of_pairs_errs_five_percent_of_the_time_on_noise():
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(100):
        test = pair_permutation_test(rng.normal(size=(9, 5)), np.zeros(9, dtype=int))
        wrong += np.nanmin(test.p_adjusted) <= 0.05
    assert wrong <= 12  # binomial(100, .05) exceeds it once in 1,000 runs
