import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import (
    exact_memorization,
    extraction_strength,
    min_k,
    min_k_plus_plus,
    perplexity,
    ragged,
    sequence_nll,
    set_num_threads,
)


def by_sequence(definition, offsets, *arrays):
    pairs = list(pairwise(offsets))
    return np.array([definition(*(list(array[a:b]) for array in arrays)) if b > a else math.nan for a, b in pairs])


def mean_reference(tokens):
    return math.fsum(tokens) / len(tokens)


def min_k_reference(tokens, k):
    if any(math.isnan(token) for token in tokens):
        return math.nan
    return mean_reference(sorted(tokens)[: max(1, int(k * len(tokens)))])


def min_k_plus_plus_reference(tokens, means, variances, k):
    standard = [(t - m) / math.sqrt(max(v, 1e-6)) for t, m, v in zip(tokens, means, variances, strict=True)]
    return min_k_reference(standard, k)


def extraction_reference(hits):
    """The smallest k from which on everything is a hit, as a share of what comes after it."""
    n = len(hits)
    return 1 - next(k for k in range(n + 1) if all(hits[k:])) / n


@st.composite
def batches(draw):
    lengths = draw(st.lists(st.integers(0, 40), min_size=1, max_size=12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = -rng.exponential(size=sum(lengths))
    if draw(st.booleans()):
        values = np.round(values)  # ties
    return values, np.concatenate([[0], np.cumsum(lengths)])


shares = st.floats(0.01, 1.0)


@given(batches(), shares)
def test_likelihoods_match_their_definitions(batch, k):
    tokens, offsets = batch
    means = by_sequence(mean_reference, offsets, tokens)
    np.testing.assert_allclose(sequence_nll(tokens, offsets), -means, rtol=1e-13)
    sums = by_sequence(math.fsum, offsets, tokens)
    np.testing.assert_allclose(sequence_nll(tokens, offsets, reduction="sum"), -sums, rtol=1e-13)
    np.testing.assert_allclose(perplexity(tokens, offsets), np.exp(-means), rtol=1e-12)
    lowest = by_sequence(lambda row: min_k_reference(row, k), offsets, tokens)
    np.testing.assert_allclose(min_k(tokens, offsets, k), lowest, rtol=1e-13)


@given(batches(), shares, st.integers(0, 2**32))
def test_min_k_plus_plus_matches_its_definition(batch, k, seed):
    tokens, offsets = batch
    rng = np.random.default_rng(seed)
    means, variances = tokens + rng.normal(size=tokens.size), rng.exponential(size=tokens.size) * rng.integers(0, 2)
    expected = by_sequence(lambda *rows: min_k_plus_plus_reference(*rows, k), offsets, tokens, means, variances)
    np.testing.assert_allclose(min_k_plus_plus(tokens, means, variances, offsets, k), expected, rtol=1e-11)


@given(batches(), st.floats(-3, 0))
def test_memorisation_matches_its_definition(batch, threshold):
    tokens, offsets = batch
    hits = tokens > threshold
    expected = by_sequence(extraction_reference, offsets, hits)
    np.testing.assert_allclose(extraction_strength(hits, offsets), expected, rtol=1e-14)
    np.testing.assert_allclose(exact_memorization(hits, offsets), by_sequence(mean_reference, offsets, hits))
    np.testing.assert_array_equal(extraction_strength(hits.astype(float), offsets), extraction_strength(hits, offsets))
    assert not (extraction_strength(hits, offsets) > exact_memorization(hits, offsets)).any()


@given(batches(), shares)
def test_min_k_is_a_lower_mean_that_order_does_not_change(batch, k):
    tokens, offsets = batch
    lowest, mean = min_k(tokens, offsets, k), -sequence_nll(tokens, offsets)
    full = ~np.isnan(mean)
    assert (np.isnan(lowest) == ~full).all()
    assert (lowest[full] <= mean[full] + 1e-12).all()
    shuffled = tokens.copy()
    for start, end in pairwise(offsets):
        np.random.default_rng(0).shuffle(shuffled[start:end])
    np.testing.assert_allclose(min_k(shuffled, offsets, k), lowest, rtol=1e-13)
    np.testing.assert_allclose(min_k(tokens, offsets, 1.0), mean, rtol=1e-13)


def test_torch_reduces_segments_to_the_same():
    import torch

    rng = np.random.default_rng(0)
    tokens, offsets = -rng.exponential(size=1000), np.array([0, 10, 500, 999, 1000])
    means = torch.segment_reduce(torch.from_numpy(tokens), "mean", offsets=torch.from_numpy(offsets)).numpy()
    np.testing.assert_allclose(sequence_nll(tokens, offsets), -means, rtol=1e-13)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        narrow = torch.from_numpy(tokens).to(dtype)
        for function in (sequence_nll, min_k, perplexity):
            np.testing.assert_array_equal(function(narrow, offsets), function(narrow.double(), offsets))


def test_numpy_partitions_to_the_same():
    rng = np.random.default_rng(0)
    tokens = -rng.exponential(size=(7, 321)).astype(np.float32)
    lowest = np.partition(tokens, 127, axis=1)[:, :128].mean(axis=1, dtype=np.float64)
    np.testing.assert_allclose(min_k(tokens.ravel(), np.arange(8) * 321), lowest, rtol=1e-12)


def test_the_number_of_lowest_tokens_is_that_of_python():
    tokens = -np.arange(1.0, 101.0)
    assert min_k(tokens, [0, 100], k=0.29) == tokens[-28:].mean()  # 0.29 * 100 is a little less than 29


def test_openunlearning_never_gives_less_than_one_token():
    hits, offsets = [True, True, True, False, False], [0, 2, 4, 4, 5]
    zero, published = (extraction_strength(hits, offsets, floor) for floor in ("zero", "openunlearning"))
    np.testing.assert_array_equal(zero, [1, 0, np.nan, 0])
    np.testing.assert_array_equal(published, [1, 0.5, 0, 1])


def test_infinities_and_nan_stay_in_their_sequence():
    tokens, offsets = np.array([-np.inf, -1, np.nan, -1, -2.0]), [0, 2, 4, 5]
    np.testing.assert_array_equal(sequence_nll(tokens, offsets), [np.inf, np.nan, 2])
    np.testing.assert_array_equal(perplexity(tokens, offsets)[:2], [np.inf, np.nan])
    np.testing.assert_array_equal(min_k(tokens, offsets, 0.5), [-np.inf, np.nan, -2])
    standard = min_k_plus_plus(tokens, np.full(5, -1.0), [1, 1, 1, 1, 4.0], offsets)
    np.testing.assert_array_equal(standard, [-np.inf, np.nan, -0.5])
    hits = [np.nan, 1, 0, 1, 1]
    np.testing.assert_array_equal(extraction_strength(hits, offsets), [np.nan, 0.5, 1])
    np.testing.assert_array_equal(exact_memorization(hits, offsets), [np.nan, 0.5, 1])


def test_nothing_but_empty_sequences_gives_nan():
    np.testing.assert_array_equal(sequence_nll([], [0, 0, 0]), [np.nan, np.nan])
    np.testing.assert_array_equal(min_k([], [0, 0]), [np.nan])
    np.testing.assert_array_equal(exact_memorization([], [0, 0]), [np.nan])


def test_the_number_of_threads_changes_no_bit():
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 300, size=3000))])
    tokens = -rng.exponential(size=offsets[-1])
    results = []
    for n in (1, 3):
        set_num_threads(n)
        results.append(
            [sequence_nll(tokens, offsets), min_k(tokens, offsets), extraction_strength(tokens > -1, offsets)]
        )
    np.testing.assert_array_equal(results[0], results[1])


def test_strided_and_read_only_arrays_are_read():
    tokens = -np.arange(12.0)
    tokens.flags.writeable = False
    offsets = np.array([0, 9, 2, 9, 6, 9])[::2]
    np.testing.assert_array_equal(sequence_nll(tokens[::2], offsets), [1, 7])
    np.testing.assert_array_equal(exact_memorization((tokens < -5)[::2], offsets), [0, 0.75])


def test_a_padded_batch_and_its_mask_become_ragged():
    labels = np.array([[3, -100, 4], [-100, -100, -100], [5, 6, -100]])
    values, offsets = ragged(np.arange(9.0).reshape(3, 3), labels != -100)
    assert values.tolist() == [0, 2, 6, 7] and offsets.tolist() == [0, 2, 2, 4]
    np.testing.assert_array_equal(sequence_nll(-values, offsets), [1, np.nan, 6.5])
    with pytest.raises(ValueError, match=r"one shape .* \(2, 1\) and \(1, 2\)"):
        ragged([[1.0], [2.0]], [[True, False]])
    with pytest.raises(TypeError, match="`mask` must hold booleans, but its dtype is int64"):
        ragged([[1.0]], [[1]])


@pytest.mark.parametrize(
    ("offsets", "error", "message"),
    [
        ([1, 3], ValueError, r"rise from 0 to the number of values \(3\), but offsets\[0\] is 1"),
        ([0, 2, 1, 3], ValueError, r"offsets\[2\] is 1"),
        ([0, 4], ValueError, "must end at the length of `token_log_probs`, but end at 4 and not 3"),
        ([0], ValueError, "at least a start and an end"),
        ([0, -(2**62), 3], ValueError, r"offsets\[1\] is -4611686018427387904"),
        ([0.0, 3.0], TypeError, "`offsets` must hold integers, but its dtype is float64"),
        ([[0, 3]], ValueError, r"`offsets` must have shape \(n,\)"),
    ],
)
def test_wrong_offsets_are_named(offsets, error, message):
    with pytest.raises(error, match=message):
        sequence_nll([-1.0, -2.0, -3.0], offsets)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: min_k([-1.0], [0, 1], k=0.0), ValueError, "`k` must be a share above 0 and at most 1, but it is 0"),
        (lambda: min_k([-1.0], [0, 1], k=math.nan), ValueError, "but it is NaN"),
        (
            lambda: sequence_nll([[-1.0]], [0, 1]),
            ValueError,
            r"`token_log_probs` must have shape \(n,\), but .* \(1, 1\)",
        ),
        (lambda: sequence_nll([-1.0], [0, 1], "median"), ValueError, '`reduction` must be "mean" or "sum"'),
        (lambda: sequence_nll(["a"], [0, 1]), TypeError, "`token_log_probs` must hold real numbers"),
        (lambda: extraction_strength([0.5], [0, 1]), ValueError, "0, 1 and NaN only"),
        (lambda: extraction_strength([True], [0, 1], "none"), ValueError, '`floor` must be "zero" or "openunlearning"'),
        (lambda: min_k_plus_plus([-1.0], [0.0, 1.0], [1.0], [0, 1]), ValueError, "must have one length, but have"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
