import itertools
import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import (
    Significance,
    kendall_tau,
    kendall_tau_matrix,
    kendall_tau_rows,
    kendall_test,
    midranks,
    set_num_threads,
    spearman_rho,
    spearman_rho_matrix,
    spearman_rho_rows,
    spearman_test,
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


@pytest.mark.parametrize("n", [2, 3, 15, 16, 17, 33, 100, 128, 129, 1000, 5003, 300_001])
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


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("n_items", [36, 400, 4001])
def test_pandas_gives_the_same_matrices(n_items, missing):
    import pandas

    rng = np.random.default_rng(0)
    columns = rng.normal(size=(n_items, 7)) + rng.normal(size=(n_items, 1))
    columns[:, 3] = np.round(columns[:, 3])
    columns[rng.random(columns.shape) < missing * (np.arange(7) > 1)] = np.nan
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


@pytest.mark.parametrize("spread", ["one octave", "low bits", "one outlier", "few values", "all equal"])
def test_any_kind_of_numbers_is_sorted(spread):
    rng = np.random.default_rng(5)
    x = {
        "one octave": rng.uniform(1, 2, 5000),
        "low bits": 1 + rng.integers(0, 4000, 5000) * 2.0**-52,
        "one outlier": np.append(rng.integers(0, 4000, 4999) * 5e-324, 1e300),
        "few values": rng.integers(0, 3, 5000) - 1.0,
        "all equal": np.full(5000, -3.5),
    }[spread]
    y = rng.permutation(x)
    np.testing.assert_array_equal(midranks(x), scipy.stats.rankdata(x))
    with np.errstate(all="ignore"):
        assert same(kendall_tau(x, y), scipy.stats.kendalltau(x, y).statistic)


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32))
def test_rows_are_what_each_is_alone(n, n_rows, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 5, (2, n_rows, n)).astype(float)
    x[rng.random(x.shape) < 0.02] = np.nan
    np.testing.assert_array_equal(kendall_tau_rows(x, y), [kendall_tau(*pair) for pair in zip(x, y, strict=True)])
    np.testing.assert_array_equal(spearman_rho_rows(x, y), [spearman_rho(*pair) for pair in zip(x, y, strict=True)])
    np.testing.assert_array_equal(midranks(x), [midranks(row) for row in x])


SIDES = ["two-sided", "less", "greater"]


def orders_reference(x, y, alternative):
    """The share of all orders of `y` whose tau is at least as extreme."""
    taus = np.array([tau_reference(x, order) for order in itertools.permutations(y)])
    tau = tau_reference(x, y)
    low, high = (taus <= tau + 1e-12).mean(), (taus >= tau - 1e-12).mean()
    return {"less": low, "greater": high, "two-sided": min(1, 2 * min(low, high))}[alternative]


@given(st.permutations(range(5)), st.sampled_from(SIDES))
def test_exact_p_values_count_the_orders(y, alternative):
    result = kendall_test(range(5), y, alternative=alternative)
    assert result.method == "exact"
    assert result.p_value == pytest.approx(orders_reference(range(5), y, alternative), abs=1e-12)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("method", ["auto", "exact", "asymptotic"])
@pytest.mark.parametrize("n", [3, 9, 33, 34, 90, 250])
@pytest.mark.parametrize("slope", [-20.0, -0.3, 0.0, 0.5, 20.0])
def test_scipy_gives_the_same_p_values_of_tau(n, slope, method, alternative):
    x, noise = np.random.default_rng(n).normal(size=(2, n))
    y = slope * x + noise
    with np.errstate(all="ignore"):
        expected = scipy.stats.kendalltau(x, y, alternative=alternative, method=method)
    result = kendall_test(x, y, alternative=alternative, method=method)
    assert same(result.statistic, expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12, nan_ok=True)


@given(tied, st.sampled_from(SIDES))
def test_scipy_gives_the_same_p_values_with_ties(pairs, alternative):
    x, y = (np.array(v, float) for v in zip(*pairs, strict=True))
    result = kendall_test(x, y, alternative=alternative)
    if len(x) > 2:  # SciPy divides by 0 for 2
        with np.errstate(all="ignore"):
            expected = scipy.stats.kendalltau(x, y, alternative=alternative)
        assert result.p_value == pytest.approx(expected.pvalue, rel=1e-10, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("n", [3, 10, 500])
@pytest.mark.parametrize("levels", [2, None])
def test_scipy_gives_the_same_p_values_of_rho(n, levels, alternative):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n)) if levels is None else rng.integers(0, levels, (2, n)) + 1.0 * np.eye(2, n)
    y = y + 0.2 * x
    expected = scipy.stats.spearmanr(x, y, alternative=alternative)
    result = spearman_test(x, y, alternative=alternative)
    assert same(result.statistic, expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12, nan_ok=True)


def test_two_items_say_nothing():
    assert kendall_test([1, 2], [3, 4]) == Significance(1.0, 1.0, "exact")
    assert kendall_test([1, 2], [3, 4], alternative="greater").p_value == 0.5
    assert kendall_test([1, 2], [4, 3], alternative="greater").p_value == 1.0
    assert kendall_test([1, 2], [3, 4], method="asymptotic").p_value == pytest.approx(math.erfc(math.sqrt(0.5)))


def test_what_is_undefined_has_no_p_value():
    for test in (kendall_test, spearman_test):
        for x in ([1.0, 1.0, 1.0], [1.0, math.nan, 2.0]):
            result = test(x, [1.0, 2.0, 3.0])
            assert math.isnan(result.statistic) and math.isnan(result.p_value) and result.method == "undefined"
    assert spearman_test([1, 2], [1, 2]).method == "undefined"
    assert spearman_test([1, 2, 3], [1, 2, 3]).p_value == 0


def test_wrong_choices_of_a_test_are_named():
    with pytest.raises(ValueError, match=r"`alternative` must be one of 'two-sided', .*, but it is 'more'"):
        kendall_test([1, 2], [1, 2], alternative="more")
    with pytest.raises(ValueError, match="`method` must be one of 'auto', 'exact', 'asymptotic', but it is 'fast'"):
        kendall_test([1, 2], [1, 2], method="fast")
    with pytest.raises(ValueError, match="no exact p-value is known for values with ties"):
        kendall_test([1, 1, 2], [1, 2, 3], method="exact")
    with pytest.raises(ValueError, match=r"`x` and `y` must have one shape, but have \(1, 2\) and \(2, 1\)"):
        kendall_tau_rows([[1, 2]], [[1], [2]])


def test_the_number_of_threads_changes_no_bit():
    columns = np.random.default_rng(3).normal(size=(300, 30))
    x, y = np.random.default_rng(4).normal(size=(2, 200_000))
    results = []
    for n in (1, 3, 4):
        set_num_threads(n)
        matrices = kendall_tau_matrix(columns), spearman_rho_matrix(columns)
        results.append(np.concatenate([*map(np.ravel, matrices), [kendall_tau(x, y), spearman_rho(x, y)]]))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


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
