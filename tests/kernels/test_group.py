import math

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import group_mean, group_sum, sequence_mean, sequence_sum, set_num_threads


def group_reference(values, groups, weights, mask, n_groups):
    """Sum and mean of each group, one row at a time."""
    sums, means = np.full(n_groups, np.nan), np.full(n_groups, np.nan)
    for group in range(n_groups):
        rows = [i for i in range(len(values)) if groups[i] == group and mask[i]]
        if rows:
            sums[group] = math.fsum(weights[i] * values[i] for i in rows)
            total = math.fsum(weights[i] for i in rows)
            means[group] = sums[group] / total if total else math.nan
    return sums, means


@st.composite
def rows(draw):
    n, n_groups = draw(st.integers(1, 60)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = np.maximum(rng.normal(size=n), 0)
    return rng.normal(size=n), rng.integers(0, n_groups, size=n), weights, rng.random(n) < 0.7, n_groups


@given(rows())
def test_groups_match_the_definition(case):
    values, groups, weights, mask, n_groups = case
    sums, means = group_reference(values, groups, weights, mask, n_groups)
    np.testing.assert_allclose(group_sum(values, groups, weights, mask, n_groups), sums, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(group_mean(values, groups, weights, mask, n_groups), means, rtol=1e-9, atol=1e-13)


@given(rows())
def test_sequences_are_groups_that_lie_together(case):
    values, groups, weights, mask, n_groups = case
    groups = np.sort(groups)
    offsets = np.searchsorted(groups, np.arange(n_groups + 1))
    for sequence, group in ((sequence_mean, group_mean), (sequence_sum, group_sum)):
        expected = group(values, groups, weights, mask, n_groups)
        np.testing.assert_array_equal(sequence(values, offsets, weights, mask), expected)


@given(rows(), st.floats(1e-3, 1e3))
def test_means_do_not_depend_on_order_or_the_scale_of_weights(case, scale):
    values, groups, weights, _, n_groups = case
    order = np.random.default_rng(0).permutation(len(values))
    means = group_mean(values, groups, weights, n_groups=n_groups)
    moved = group_mean(values[order], groups[order], scale * weights[order], n_groups=n_groups)
    np.testing.assert_allclose(moved, means, rtol=1e-9, atol=1e-12)
    full = ~np.isnan(means)
    assert (means[full] <= values.max() + 1e-12).all() and (means[full] >= values.min() - 1e-12).all()


def test_pandas_gives_the_same():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=10_000).astype(np.float32), rng.integers(0, 50, size=10_000)
    grouped = pandas.Series(values.astype(float)).groupby(groups)
    np.testing.assert_allclose(group_mean(values, groups), grouped.mean(), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(group_sum(values, groups), grouped.sum(), rtol=1e-11, atol=1e-12)


def test_nan_and_infinities_stay_in_their_group_and_a_mask_hides_them():
    values = np.array([np.nan, 1, np.inf, 2, 4.0])
    groups = [0, 0, 1, 1, 2]
    np.testing.assert_array_equal(group_mean(values, groups), [np.nan, np.inf, 4])
    np.testing.assert_array_equal(group_mean(values, groups, mask=np.isfinite(values)), [1, 2, 4])
    np.testing.assert_array_equal(group_mean(values, groups, [0, 1, 0, 1, 0]), [np.nan, 2, np.nan])
    np.testing.assert_array_equal(group_sum(values, groups, [0, 1, 0, 1, 0]), [np.nan, 2, 0])
    np.testing.assert_array_equal(group_sum(values, groups, [1, 1, np.nan, 1, 0]), [np.nan, np.nan, 0])


def test_the_number_of_threads_changes_no_bit():
    rng = np.random.default_rng(0)
    n = 300_000
    values, groups, weights = rng.normal(size=n), rng.integers(0, 7, size=n), rng.random(n)
    offsets = np.arange(0, n + 1, 30)
    results = []
    for threads in (1, 3):
        set_num_threads(threads)
        results.append((group_mean(values, groups, weights), sequence_mean(values, offsets, weights)[:7]))
    np.testing.assert_array_equal(results[0], results[1])
    expected = np.bincount(groups, weights * values) / np.bincount(groups, weights)
    np.testing.assert_allclose(results[0][0], expected, rtol=1e-9)


def test_strided_read_only_and_16_bit_values_are_read():
    import torch

    values = np.arange(6.0)
    values.flags.writeable = False
    assert group_mean(values[::2], np.array([0, 9, 0, 9, 1, 9])[::2]).tolist() == [1, 4]
    assert group_mean(torch.tensor([1.0, 3.0], dtype=torch.bfloat16), torch.tensor([0, 0])).tolist() == [2]
    assert sequence_mean(values, torch.tensor([0, 2, 6]), torch.ones(6)).tolist() == [0.5, 3.5]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: group_mean([1.0], [-1]), ValueError, r"`groups` must lie in 0..0, but row 0 holds -1"),
        (lambda: group_mean([1.0, 2.0], [0, 3], n_groups=2), ValueError, "row 1 holds 3"),
        (lambda: group_mean([1.0], [2**60]), ValueError, "no memory for 1152921504606846977 of them"),
        (lambda: group_mean([1.0], [0.0]), TypeError, "`groups` must hold integers"),
        (lambda: group_mean([1.0, 2.0], [0]), ValueError, "`groups` must hold one element a row .* 1 for 2 rows"),
        (lambda: group_sum([1.0], [0], [-1.0]), ValueError, "`weights` must not be below 0, but row 0 holds -1"),
        (lambda: group_sum([1.0], [0], [1.0, 2.0]), ValueError, "`weights` must hold one element a row"),
        (lambda: sequence_sum([1.0], [0, 1], mask=[1]), TypeError, "`mask` must hold booleans"),
        (lambda: sequence_sum([1.0], [0, 2]), ValueError, "must end at the length of `values`"),
        (lambda: sequence_mean([[1.0]], [0, 1]), ValueError, r"`values` must have shape \(n,\)"),
        (lambda: group_mean([], np.arange(0)), ValueError, "`groups` must hold at least one element"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
