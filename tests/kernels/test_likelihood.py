import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import entropy, logsumexp, set_num_threads, token_log_probs, token_statistics


def lse_reference(row):
    largest = max(row)
    return largest + math.log(math.fsum(math.exp(x - largest) for x in row))


def entropy_reference(p):
    return -math.fsum(x * math.log(x) for x in p if x > 0)


KINDS = ("token_log_prob", "logsumexp", "entropy", "rank", "argmax_hit", "log_prob_mean", "log_prob_variance")


def statistics_reference(row, token):
    """The definitions, one class at a time."""
    lse = lse_reference(row)
    log_p = [x - lse for x in row]
    mean = math.fsum(math.exp(x) * x for x in log_p if x > -math.inf)
    variance = math.fsum(math.exp(x) * (x - mean) ** 2 for x in log_p if x > -math.inf)
    rank = 1 + sum(x > row[token] for x in row)
    hit = float(list(row).index(max(row)) == token)
    return dict(zip(KINDS, (log_p[token], lse, -mean, rank, hit, mean, variance), strict=True))


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


@given(tables(), st.booleans(), st.integers(0, 2**32))
def test_token_statistics_match_their_definitions(logits, tied, seed):
    logits = np.round(logits) if tied else logits
    rng = np.random.default_rng(seed)
    logits[rng.random(logits.shape) < 0.1] = -np.inf
    logits[:, 0] = np.where(np.isneginf(logits).all(axis=1), 0, logits[:, 0])
    ids = rng.integers(0, logits.shape[1], size=len(logits))
    ours = token_statistics(logits, ids, KINDS)
    for i, (row, token) in enumerate(zip(logits, ids, strict=True)):
        for kind, expected in statistics_reference(row, token).items():
            np.testing.assert_allclose(ours[kind][i], expected, rtol=1e-10, atol=1e-11, err_msg=kind)


@pytest.mark.parametrize("n_classes", [1, 2, 10, 16, 63, 64, 65, 100, 513, 5000])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_narrow_tables_give_what_their_values_give_in_float64(n_classes, dtype):
    import torch

    generator = torch.Generator().manual_seed(n_classes)
    for scale, offset in ((1e-2, 0.0), (1.0, 37.0), (8.0, -100.0), (60.0, 0.0)):
        wide = torch.randn(37, n_classes, generator=generator, dtype=torch.float64) * scale + offset
        wide[::5] += torch.linspace(0, 50, n_classes)  # a new largest value in each block
        wide[1::5, : n_classes // 2] = -math.inf
        logits = wide.to(getattr(torch, dtype))
        ids = torch.randint(0, n_classes, (37,), generator=generator)
        ours, expected = token_statistics(logits, ids, KINDS), token_statistics(logits.double(), ids, KINDS)
        for kind in ("token_log_prob", "logsumexp", "entropy", "log_prob_mean"):
            np.testing.assert_allclose(ours[kind], expected[kind], rtol=2e-7, atol=2e-6, err_msg=kind)
        for kind in ("rank", "argmax_hit"):
            np.testing.assert_array_equal(ours[kind], expected[kind], err_msg=kind)
        one_hot = expected["entropy"] < 1e-2
        for rows, tolerance in ((one_hot, 2e-4), (~one_hot, 1e-5)):
            variance, truth = ours["log_prob_variance"][rows], expected["log_prob_variance"][rows]
            np.testing.assert_allclose(variance, truth, rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("n_classes", [1000, 32_000, 128_256])
@pytest.mark.parametrize("spread", [0.1, 2.0, 8.0, "one-hot"])
def test_float32_statistics_are_as_accurate_as_documented(n_classes, spread):
    rng = np.random.default_rng(n_classes)
    logits = rng.normal(scale=2.0 if spread == "one-hot" else spread, size=(3, n_classes)).astype(np.float32)
    if spread == "one-hot":
        logits[:, 5] = [25, 30, 35]
    ours = token_statistics(logits, [5, 6, 7], KINDS)
    exact = logits.astype(np.longdouble)
    largest = exact.max(axis=1, keepdims=True)
    log_p = exact - (largest + np.log(np.exp(exact - largest).sum(axis=1, keepdims=True)))
    p = np.exp(log_p)
    mean = (p * log_p).sum(axis=1)
    variance = (p * (log_p - mean[:, None]) ** 2).sum(axis=1)
    near = {"rtol": 0, "atol": 2e-6}
    np.testing.assert_allclose(ours["token_log_prob"], log_p[[0, 1, 2], [5, 6, 7]].astype(float), **near)
    np.testing.assert_allclose(ours["logsumexp"], (exact - log_p)[:, 0].astype(float), **near)
    np.testing.assert_allclose(ours["log_prob_mean"], mean.astype(float), **near)
    rtol = 2e-4 if spread == "one-hot" else 1e-5
    np.testing.assert_allclose(ours["log_prob_variance"], variance.astype(float), rtol=rtol)


@pytest.mark.parametrize("n_classes", [7, 64, 100, 3000])
def test_a_row_does_not_depend_on_the_rows_beside_it(n_classes):
    logits = np.random.default_rng(0).normal(scale=5, size=(40, n_classes)).astype(np.float32)
    ids = np.arange(40) % n_classes
    together = token_statistics(logits, ids, KINDS)
    noisy = np.where(np.arange(40)[:, None] % 2, logits, np.nan)
    beside_nan = token_statistics(noisy, ids, KINDS)
    for i in range(1, 40, 2):
        alone = token_statistics(logits[i : i + 1], ids[i : i + 1], KINDS)
        for kind in KINDS:
            assert alone[kind][0] == together[kind][i] == beside_nan[kind][i], kind


def test_a_row_longer_than_a_segment_is_merged_in_order():
    logits = np.random.default_rng(0).normal(scale=3, size=(2, 300_000)).astype(np.float32)
    logits[0, 290_000], logits[1, 7] = 30, 30
    results = []
    for n in (1, 3):
        set_num_threads(n)
        results.append(token_statistics(logits, [290_000, 8], KINDS))
    wide = token_statistics(logits.astype(float), [290_000, 8], KINDS)
    for kind in KINDS:
        np.testing.assert_array_equal(results[0][kind], results[1][kind])
        np.testing.assert_allclose(results[0][kind], wide[kind], rtol=2e-4, atol=2e-6, err_msg=kind)
    assert wide["rank"].tolist() == [1, (logits[1] > logits[1, 8]).sum() + 1]


def test_torch_gives_the_same_statistics():
    import torch

    logits = torch.randn(30, 700, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    ids = torch.arange(30) * 20
    log_p = torch.log_softmax(logits, 1)
    mean = (log_p.exp() * log_p).sum(1)
    ours = token_statistics(logits, ids, KINDS)
    np.testing.assert_allclose(ours["log_prob_mean"], mean.numpy(), rtol=1e-12)
    variance = (log_p.exp() * log_p**2).sum(1) - mean**2
    np.testing.assert_allclose(ours["log_prob_variance"], variance.numpy(), rtol=1e-11)
    np.testing.assert_array_equal(ours["argmax_hit"], (logits.argmax(1) == ids).numpy())
    np.testing.assert_array_equal(ours["entropy"], entropy(logits, space="logits"))


def test_the_first_of_tied_classes_is_the_hit():
    logits = np.zeros((3, 400), np.float32)
    ours = token_statistics(logits, [0, 1, 399], ("rank", "argmax_hit"))
    assert ours["rank"].tolist() == [1, 1, 1] and ours["argmax_hit"].tolist() == [1, 0, 0]


def test_rows_to_leave_out_and_rows_without_probabilities_are_nan():
    inf = np.inf
    logits = np.array([[0.0, 1.0], [np.nan, 0.0], [-inf, -inf], [inf, 0.0], [0.0, -inf], [inf, np.nan], [0.0, 1.0]])
    for dtype in (np.float64, np.float32):
        ours = token_statistics(logits.astype(dtype), [-100, 1, 0, 0, 0, 0, 1], KINDS)
        for kind in KINDS:
            assert np.isnan(ours[kind][[0, 1, 5]]).all(), kind
            assert kind == "logsumexp" or np.isnan(ours[kind][[2, 3]]).all(), kind
            assert not np.isnan(ours[kind][[4, 6]]).any(), kind
        assert ours["logsumexp"][2:4].tolist() == [-inf, inf]
        assert [ours[kind][4] for kind in KINDS] == [0, 0, 0, 1, 1, 0, 0]


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match=r'`kinds` must be among "token_log_prob", .*, but it is "nll"'):
        token_statistics([[0.0]], [0], ("nll",))
    with pytest.raises(TypeError, match="it is the string 'rank'"):
        token_statistics([[0.0]], [0], "rank")


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
