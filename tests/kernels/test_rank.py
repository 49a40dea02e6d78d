import itertools
import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import (
    kendall_tau,
    kendall_tau_matrix,
    midranks,
    set_num_threads,
    spearman_rho,
    spearman_rho_matrix,
)


def tau_reference(x, y):
    """Every pair of items, one at a time."""
    net = untied_x = untied_y = 0
    for i, j in itertools.combinations(range(len(x)), 2):
        a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
        net, untied_x, untied_y = net + a * b, untied_x + abs(a), untied_y + abs(b)
    return net / math.sqrt(untied_x * untied_y) if untied_x and untied_y else math.nan


def midranks_reference(x):
    return [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]


def rho_reference(x, y):
    a, b = (np.array(midranks_reference(v)) for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    return (a @ b) / math.sqrt((a @ a) * (b @ b)) if a.any() and b.any() else math.nan


def same(a, b):
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))


tied = st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 3)), min_size=1, max_size=40)
untied = st.integers(1, 150).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.permutations(range(n))))


@given(tied)
def test_tau_rho_and_ranks_match_their_definitions_with_ties(pairs):
    x, y = (list(map(float, v)) for v in zip(*pairs, strict=True))
    assert same(kendall_tau(x, y), tau_reference(x, y))
    assert same(spearman_rho(x, y), rho_reference(x, y))
    assert midranks(x).tolist() == midranks_reference(x)


@given(untied)
def test_monotone_maps_change_nothing_and_reversal_flips_the_sign(pair):
    x, y = (np.array(v, float) for v in pair)
    for correlation in (kendall_tau, spearman_rho):
        value = correlation(x, y)
        assert np.array_equal(correlation(np.exp(x / 50), y**3), value, equal_nan=True)
        assert np.array_equal(correlation(-x, y), -value, equal_nan=True)
        assert np.array_equal(correlation(y, x), value, equal_nan=True)


@given(untied, st.randoms(use_true_random=False))
def test_permuting_the_items_changes_no_bit(pair, random):
    order = list(range(len(pair[0])))
    random.shuffle(order)
    x, y = (np.array(v, float) for v in pair)
    for correlation in (kendall_tau, spearman_rho):
        assert np.array_equal(correlation(x[order], y[order]), correlation(x, y), equal_nan=True)


@pytest.mark.parametrize("n", [2, 3, 15, 16, 17, 33, 100, 1000, 5003])
@pytest.mark.parametrize("levels", [3, 50, None])
def test_scipy_gives_the_same(n, levels):
    rng = np.random.default_rng(n)
    x, y = (rng.normal(size=n) if levels is None else rng.integers(0, levels, n).astype(float) for _ in "xy")
    y = y + 0.5 * x
    with np.errstate(all="ignore"):
        assert same(kendall_tau(x, y), scipy.stats.kendalltau(x, y).statistic)
        constant = np.ptp(x) == 0 or np.ptp(y) == 0
        assert same(spearman_rho(x, y), math.nan if constant else scipy.stats.spearmanr(x, y).statistic)
    np.testing.assert_array_equal(midranks(x), scipy.stats.rankdata(x))


def test_perfect_agreement_is_exactly_1():
    x = np.arange(1001.0)
    assert kendall_tau(x, x) == spearman_rho(x, x) == 1
    assert kendall_tau(x, -x) == spearman_rho(x, -x) == -1


@pytest.mark.parametrize("correlation", [kendall_tau, spearman_rho])
def test_what_has_no_order_has_no_correlation(correlation):
    assert math.isnan(correlation([1.0], [2.0]))
    assert math.isnan(correlation([1.0, 1.0], [1.0, 2.0]))
    assert math.isnan(correlation([1.0, math.nan, 3.0], [1.0, 2.0, 3.0]))
    assert correlation([0.0, -0.0, 1.0], [1.0, 1.0, 2.0]) == 1
    assert correlation([-math.inf, 0.0, math.inf], [1, 2, 3]) == 1


@given(st.integers(1, 60), st.integers(1, 6), st.sampled_from([0.0, 0.3, 0.9]), st.integers(0, 2**32))
def test_a_matrix_holds_the_pairs_without_the_items_that_either_lacks(n_items, n_columns, missing, seed):
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 8, size=(n_items, n_columns)).astype(float)
    columns[rng.random(columns.shape) < missing] = np.nan
    for matrix, pair in ((kendall_tau_matrix, kendall_tau), (spearman_rho_matrix, spearman_rho)):
        got = matrix(columns)
        for i, j in itertools.product(range(n_columns), repeat=2):
            kept = ~np.isnan(columns[:, [i, j]]).any(axis=1)
            expected = pair(columns[kept, i], columns[kept, j]) if kept.any() else math.nan
            assert same(got[i, j], expected)


@pytest.mark.parametrize("n_items", [36, 400, 2500])
def test_pandas_gives_the_same_matrices(n_items):
    import pandas

    rng = np.random.default_rng(0)
    columns = rng.normal(size=(n_items, 7)) + rng.normal(size=(n_items, 1))
    columns[:, 3] = np.round(columns[:, 3])
    frame = pandas.DataFrame(columns)
    np.testing.assert_allclose(kendall_tau_matrix(columns), frame.corr("kendall"), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(spearman_rho_matrix(columns), frame.corr("spearman"), rtol=1e-12, atol=1e-14)


def test_matrices_are_symmetric_with_1_on_the_diagonal_and_nan_for_constants():
    columns = np.random.default_rng(1).normal(size=(30, 4))
    columns[:, 2] = 7
    for matrix in (kendall_tau_matrix(columns), spearman_rho_matrix(columns)):
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_array_equal(np.diag(matrix), [1, 1, np.nan, 1])
        assert np.isnan(matrix[2]).all()


def test_strided_columns_and_other_dtypes_give_the_same():
    values = np.random.default_rng(2).normal(size=(50, 6))
    x, y = values[::-2, 1], values[::-2, 4]
    assert kendall_tau(x, y) == kendall_tau(x.copy(), y.copy())
    assert kendall_tau(x.astype("float32"), y.astype("float32")) == kendall_tau(x, y)
    assert spearman_rho([1, 2, 4], [True, False, True]) == spearman_rho([1.0, 2.0, 4.0], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(kendall_tau_matrix(np.asfortranarray(values)), kendall_tau_matrix(values))


def test_the_number_of_threads_changes_no_bit():
    columns = np.random.default_rng(3).normal(size=(300, 30))
    x, y = np.random.default_rng(4).normal(size=(2, 200_000))
    results = []
    for n in (1, 4):
        set_num_threads(n)
        matrices = kendall_tau_matrix(columns), spearman_rho_matrix(columns)
        results.append(np.concatenate([*map(np.ravel, matrices), [kendall_tau(x, y), spearman_rho(x, y)]]))
    np.testing.assert_array_equal(*results)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`x` and `y` must have one length, but have 2 and 3 elements"):
        kendall_tau([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"`y` must have shape \(n,\), but its shape is \(1, 2\)"):
        spearman_rho([1, 2], [[1, 2]])
    with pytest.raises(ValueError, match="`x` must hold at least one element"):
        midranks([])
    with pytest.raises(TypeError, match="`x` must hold real numbers, but its dtype is <U1"):
        midranks(["a", "b"])
    with pytest.raises(ValueError, match=r"`columns` must have shape \(n_items, n_columns\)"):
        kendall_tau_matrix([1, 2, 3])
