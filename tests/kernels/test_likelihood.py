import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import entropy, logsumexp, set_num_threads, token_log_probs


def lse_reference(row):
    largest = max(row)
    return largest + math.log(math.fsum(math.exp(x - largest) for x in row))


def entropy_reference(p):
    return -math.fsum(x * math.log(x) for x in p if x > 0)


@st.composite
def tables(draw):
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.normal(scale=draw(st.sampled_from([1e-3, 1.0, 100.0])), size=(rows, classes))


@given(tables())
def test_all_three_match_their_definitions(logits):
    lse = np.array([lse_reference(row) for row in logits])
    np.testing.assert_allclose(logsumexp(logits), lse, rtol=1e-13, atol=1e-13)
    ids = np.arange(len(logits)) % logits.shape[1]
    expected = logits[np.arange(len(logits)), ids] - lse
    np.testing.assert_allclose(token_log_probs(logits, ids), expected, rtol=1e-12, atol=1e-12)
    p = np.exp(logits - lse[:, None])
    expected = np.array([entropy_reference(row) for row in p])
    np.testing.assert_allclose(entropy(logits, space="logits"), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(entropy(p, space="probs"), expected, rtol=1e-9, atol=1e-12)


@given(tables())
def test_entropy_is_bounded_and_token_log_probs_are_not_positive(logits):
    values = entropy(logits, space="logits")
    assert (values >= 0).all() and (values <= math.log(logits.shape[1]) + 1e-12).all()
    assert (token_log_probs(logits, np.zeros(len(logits), int)) <= 0).all()


def test_scipy_gives_the_same():
    logits = np.random.default_rng(0).normal(scale=5, size=(40, 333))
    np.testing.assert_allclose(logsumexp(logits), scipy.special.logsumexp(logits, axis=1), rtol=1e-14)
    p = scipy.special.softmax(logits, axis=1)
    np.testing.assert_allclose(entropy(logits, space="logits"), scipy.stats.entropy(p, axis=1), rtol=1e-12)
    np.testing.assert_allclose(entropy(np.log(p)), scipy.stats.entropy(p, axis=1), rtol=1e-12)


def test_torch_tensors_of_each_dtype_give_what_their_values_give_in_float64():
    import torch

    base = torch.randn(6, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    ids = torch.tensor([0, 1, 2, 999, -100, 5])
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        logits = base.to(dtype).requires_grad_()
        wide = logits.detach().double()
        expected = torch.nn.functional.cross_entropy(wide, ids, reduction="none", ignore_index=-100).numpy() * -1
        expected[4] = np.nan
        exact = dtype is torch.float64
        np.testing.assert_allclose(token_log_probs(logits, ids), expected, rtol=1e-12 if exact else 3e-7)
        np.testing.assert_allclose(logsumexp(logits), torch.logsumexp(wide, 1).numpy(), rtol=1e-13 if exact else 3e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_16_bit_number_is_widened_exactly(dtype):
    import torch

    bits = torch.arange(2**16, dtype=torch.int32).to(torch.uint16)
    numbers = bits.view(getattr(torch, dtype)).reshape(-1, 1)
    expected = numbers.double().numpy().ravel()
    np.testing.assert_array_equal(logsumexp(numbers), expected)


def test_infinities_and_nan_follow_the_definition():
    logits = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [np.nan, np.inf], [-np.inf, 3.0], [np.nan, -np.inf]])
    np.testing.assert_array_equal(logsumexp(logits), [-np.inf, np.inf, np.nan, 3.0, np.nan])
    np.testing.assert_array_equal(token_log_probs(logits, [0, 0, 0, 0, 0]), [np.nan, np.nan, np.nan, -np.inf, np.nan])
    np.testing.assert_array_equal(entropy(logits, space="logits"), [np.nan, np.nan, np.nan, 0.0, np.nan])
    assert entropy([1.0, 0.0], space="probs") == 0


def test_the_number_of_threads_changes_no_bit():
    logits = np.random.default_rng(0).normal(size=(5000, 60))
    results = []
    for n in (1, 3):
        set_num_threads(n)
        results.append((logsumexp(logits), entropy(logits, space="logits"), token_log_probs(logits, [1] * 5000)))
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 2], ValueError, r"`token_ids` must lie in 0..2 .* row 1 holds 2"),
        ([-1, 0], ValueError, "row 0 holds -1"),
        ([0], ValueError, "one id a row of `logits`, but there are 1 for 2 rows"),
        ([0.0, 1.0], TypeError, "`token_ids` must hold integers, but its dtype is float64"),
        ([[0], [1]], ValueError, r"`token_ids` must have shape \(n,\)"),
    ],
)
def test_a_wrong_token_id_is_named(ids, error, message):
    with pytest.raises(error, match=message):
        token_log_probs(np.zeros((2, 2)), ids)


def test_one_row_gives_a_0d_array():
    assert token_log_probs([0.0, 0.0], 1).shape == logsumexp([0.0, 0.0]).shape == ()


def test_entropy_refuses_what_is_not_in_its_space():
    with pytest.raises(ValueError, match="apply log_softmax first"):
        entropy([1.0, 2.0])
    with pytest.raises(ValueError, match=r"sum to 0\.5"):
        entropy([0.25, 0.25], space="probs")
    with pytest.raises(ValueError, match="smallest value of row 0 is -1"):
        entropy([2.0, -1.0], space="probs")
