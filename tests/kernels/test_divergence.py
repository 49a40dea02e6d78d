import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr

from vestige.kernels import divergences, js_divergence, kl_divergence, set_num_threads, total_variation

KINDS = ("kl", "js", "tv")


def kl_row(p, q):
    return sum(a * math.log(a / b) if b > 0 else math.inf for a, b in zip(p, q, strict=True) if a > 0)


def reference(p, q):
    """The definitions, one row and one class at a time, on probabilities."""
    out = {"kl": [], "js": [], "tv": []}
    for p_row, q_row in zip(p, q, strict=True):
        m = (p_row + q_row) / 2
        out["kl"].append(kl_row(p_row, q_row))
        out["js"].append((kl_row(p_row, m) + kl_row(q_row, m)) / 2)
        out["tv"].append(sum(abs(a - b) for a, b in zip(p_row, q_row, strict=True)) / 2)
    return {kind: np.array(values) for kind, values in out.items()}


def log_tables(rows, classes, spread=3.0, seed=0):
    rng = np.random.default_rng(seed)
    return [log_softmax(rng.normal(scale=spread, size=(rows, classes)), axis=1) for _ in "pq"]


@st.composite
def pairs(draw):
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(1, 300))
    spread = draw(st.sampled_from([1e-3, 1.0, 30.0]))
    return log_tables(rows, classes, spread, draw(st.integers(0, 2**32)))


@given(pairs())
def test_every_kind_matches_its_definition_in_every_space(pair):
    p, q = pair
    expected = reference(np.exp(p), np.exp(q))
    shift = np.linspace(-50, 50, len(p))[:, None]
    for space, tables in (("log_probs", (p, q)), ("probs", (np.exp(p), np.exp(q))), ("logits", (p + shift, q - shift))):
        got = divergences(*tables, space=space)
        for kind in KINDS:
            np.testing.assert_allclose(got[kind], expected[kind], rtol=1e-9, atol=1e-12)


@given(pairs())
def test_js_and_tv_are_symmetric_and_bounded_and_kl_is_not_negative(pair):
    p, q = pair
    forth, back = divergences(p, q), divergences(q, p)
    for kind, upper in (("js", math.log(2)), ("tv", 1.0)):
        np.testing.assert_array_equal(forth[kind], back[kind])
        assert (forth[kind] >= 0).all() and (forth[kind] <= upper).all()
    assert (forth["kl"] >= 0).all()


@given(pairs())
def test_equal_rows_are_exactly_0_apart(pair):
    for space in ("log_probs", "logits"):
        for values in divergences(pair[0], pair[0], space=space).values():
            assert (values == 0).all()


def test_scipy_gives_the_same():
    p, q = log_tables(50, 97)
    np.testing.assert_allclose(kl_divergence(p, q), rel_entr(np.exp(p), np.exp(q)).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(js_divergence(p, q), jensenshannon(np.exp(p), np.exp(q), axis=1) ** 2, rtol=1e-10)


def test_nearly_equal_rows_keep_their_digits():
    """Second-order Taylor: JS is a quarter of KL's half sum of p d^2 when q = p (1 + d)."""
    p = np.full(1000, 1e-3)
    d = np.where(np.arange(1000) % 2, 1e-5, -1e-5)
    js = js_divergence(p, p * (1 + d), space="probs")
    np.testing.assert_allclose(js, np.sum(p * d**2) / 8, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone_equals_the_same_kind_among_all(kind):
    p, q = log_tables(20, 333)
    single = {"kl": kl_divergence, "js": js_divergence, "tv": total_variation}[kind]
    np.testing.assert_array_equal(single(p, q), divergences(p, q)[kind])


@pytest.mark.parametrize("classes", [1, 2, 7, 8, 9, 127, 128, 129, 1000])
def test_any_number_of_classes_works(classes):
    p, q = log_tables(3, classes)
    expected = reference(np.exp(p), np.exp(q))
    for kind, values in divergences(p, q).items():
        np.testing.assert_allclose(values, expected[kind], rtol=1e-10, atol=1e-14)


def test_a_class_that_only_p_has_makes_kl_infinite_only_there():
    p, q = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    with np.errstate(divide="ignore"):
        logs = np.log(p), np.log(q)
    for tables, space in (((p, q), "probs"), (logs, "log_probs"), (logs, "logits")):
        assert kl_divergence(*tables, space=space).tolist() == pytest.approx([math.inf, math.log(2)])
        expected = reference(p, q)
        np.testing.assert_allclose(js_divergence(*tables, space=space), expected["js"], rtol=1e-12)
        np.testing.assert_allclose(total_variation(*tables, space=space), [0.5, 0.5], rtol=1e-12)


def test_rows_without_a_class_in_common_are_as_far_apart_as_can_be():
    p, q = [-0.0, -math.inf], [-math.inf, 0.0]
    got = divergences(p, q)
    assert (got["kl"], got["js"], got["tv"]) == (math.inf, math.log(2), 1.0)


@pytest.mark.parametrize("space", ["log_probs", "logits", "probs"])
@pytest.mark.parametrize("broken", ["p", "q"])
def test_a_nan_spoils_its_own_row_only(space, broken):
    p, q = log_tables(3, 40)
    tables = {"p": p, "q": q} if space != "probs" else {"p": np.exp(p), "q": np.exp(q)}
    clean = divergences(tables["p"], tables["q"], space=space)
    tables[broken][1, 17] = np.nan
    for kind, values in divergences(tables["p"], tables["q"], space=space).items():
        assert np.isnan(values[1])
        np.testing.assert_array_equal(values[[0, 2]], clean[kind][[0, 2]])


def test_logits_without_a_distribution_give_nan():
    p = np.array([[-np.inf, -np.inf], [np.inf, 0.0]])
    assert np.isnan(kl_divergence(p, np.zeros((2, 2)), space="logits")).all()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_formats_give_what_their_values_give_in_float64(dtype):
    logits = [np.random.default_rng(seed).normal(size=(5, 1000)).astype(dtype) for seed in (1, 2)]
    wide = divergences(*(x.astype(float) for x in logits), space="logits")
    for kind, values in divergences(*logits, space="logits").items():
        np.testing.assert_allclose(values, wide[kind], rtol=3e-6)


def test_bfloat16_tensors_are_read_without_torch_in_the_kernels():
    import torch

    logits = [torch.randn(4, 500, generator=torch.Generator().manual_seed(s)).to(torch.bfloat16) for s in (1, 2)]
    wide = js_divergence(*(x.double().numpy() for x in logits), space="logits")
    np.testing.assert_allclose(js_divergence(*logits, space="logits"), wide, rtol=3e-6)


def test_strided_read_only_and_shifted_views_give_the_same():
    p, q = log_tables(20, 300)
    wide = np.full((40, 700), np.nan)
    wide[::2, 100:400] = p
    view = wide[::2, 100:400]
    view.flags.writeable = False
    expected = js_divergence(p, q)
    np.testing.assert_array_equal(js_divergence(view, q), expected)
    np.testing.assert_array_equal(js_divergence(np.asfortranarray(p), q), expected)
    np.testing.assert_array_equal(js_divergence(p[::-1], q[::-1]), expected[::-1])
    np.testing.assert_array_equal(js_divergence(p.byteswap().view(p.dtype.newbyteorder()), q), expected)


def test_a_vector_is_one_row_and_gives_a_0d_array():
    value = kl_divergence(np.log([0.5, 0.5]), np.log([0.25, 0.75]))
    assert value.shape == () and value.dtype == np.float64


def test_the_number_of_threads_changes_no_bit():
    p, q = log_tables(3000, 100)
    results = []
    for n in (1, 2, 5):
        set_num_threads(n)
        results.append(divergences(p, q))
    for kind in KINDS:
        np.testing.assert_array_equal(results[0][kind], results[1][kind])
        np.testing.assert_array_equal(results[0][kind], results[2][kind])


@pytest.mark.parametrize(
    ("p", "q", "space", "message"),
    [
        (
            [3.0, 1.0],
            [0.0, 1.0],
            "log_probs",
            r"`p` must hold log-probabilities .* row 0 is 3; apply log_softmax first",
        ),
        (np.log([0.5, 0.5]), [2.0, 1.0], "log_probs", "`q` must hold log-probabilities"),
        ([-3.0, -1.0], [-3.0, -1.0], "log_probs", r"`p` must hold distributions, .* sum to 0.41"),
        ([0.5, 0.6], [0.5, 0.5], "probs", r"`p` must hold distributions, .* row 0 sum to 1.1"),
        ([0.5, 0.5], [1.5, -0.5], "probs", "`q` must hold probabilities .* is -0.5"),
        ([0.5, 0.5], [0.5, 0.5], "nats", "`space` must be"),
        ([[0.5, 0.5]], [[0.5, 0.5]] * 2, "probs", r"one shape, but have \(1, 2\) and \(2, 2\)"),
        ([], [], "probs", r"`p` must hold at least one element, but its shape is \(0,\)"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), "logits", r"reshape\(-1, n_classes\)"),
        (0.5, 0.5, "probs", r"`p` must have shape"),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_seen(p, q, space, message):
    with pytest.raises(ValueError, match=message):
        divergences(p, q, space=space)


def test_the_first_bad_row_is_named_whatever_the_threads():
    p, _ = log_tables(5000, 50)
    p[[1234, 4000], 7] = 5.0
    for n in (1, 4):
        set_num_threads(n)
        with pytest.raises(ValueError, match="row 1234 is 5"):
            kl_divergence(p, p)


def test_mixed_dtypes_and_unknown_kinds_are_refused():
    with pytest.raises(TypeError, match="one dtype, but have float64 and float32"):
        kl_divergence(np.zeros(2), np.zeros(2, "float32"), space="logits")
    with pytest.raises(ValueError, match="`kinds` must be"):
        divergences([0.0], [0.0], kinds=("distance",))
    with pytest.raises(TypeError, match="`kinds` must be a sequence"):
        divergences([0.0], [0.0], kinds="kl")


def test_rounding_of_log_probabilities_in_short_formats_is_no_error():
    logits = np.random.default_rng(0).normal(scale=2, size=(8, 50_000))
    log_probs = log_softmax(logits, axis=1).astype("float16")
    assert (kl_divergence(log_probs, log_probs) == 0).all()
