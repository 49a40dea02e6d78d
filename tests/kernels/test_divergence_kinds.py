"""Every kind of divergence against its definition, and what holds for all of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from vestige.kernels import (
    chi_squared,
    cross_entropy,
    divergences,
    entropy,
    renyi_divergence,
    reverse_kl_divergence,
    set_num_threads,
    squared_hellinger,
)

KINDS = ("kl", "reverse_kl", "js", "tv", "squared_hellinger", "chi_squared", "renyi", "cross_entropy", "entropy")
SYMMETRIC = ("js", "tv", "squared_hellinger")
ZERO_WITH_ITSELF = tuple(kind for kind in KINDS if not kind.endswith("entropy"))
UPPER = {"js": math.log(2), "tv": 1.0, "squared_hellinger": 1.0}


def kl_term(a, b):
    return 0.0 if a == 0 else math.inf if b == 0 else a * math.log(a / b)


def cross_term(a, b):
    return 0.0 if a == 0 else math.inf if b == 0 else -a * math.log(b)


def chi_squared_term(a, b):
    return 0.0 if a == b else math.inf if b == 0 else (a - b) ** 2 / b


def power(a, b, alpha):
    return 0.0 if a == 0 else (math.inf if alpha > 1 else 0.0) if b == 0 else a**alpha * b ** (1 - alpha)


def renyi(pairs, alpha):
    """By its definition; at order 1 in the limit."""
    if alpha == 1:
        return sum(kl_term(a, b) for a, b in pairs)
    total = sum(power(a, b, alpha) for a, b in pairs)
    return math.log(total) / (alpha - 1) if total else math.inf


def reference(p, q, alpha):
    """The definitions, one class at a time, on the probabilities of one pair of rows."""
    pairs = list(zip(p, q, strict=True))
    return {
        "kl": sum(kl_term(a, b) for a, b in pairs),
        "reverse_kl": sum(kl_term(b, a) for a, b in pairs),
        "js": sum(kl_term(a, (a + b) / 2) + kl_term(b, (a + b) / 2) for a, b in pairs) / 2,
        "tv": sum(abs(a - b) for a, b in pairs) / 2,
        "squared_hellinger": sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in pairs) / 2,
        "chi_squared": sum(chi_squared_term(a, b) for a, b in pairs),
        "renyi": renyi(pairs, alpha),
        "cross_entropy": sum(cross_term(a, b) for a, b in pairs),
        "entropy": sum(cross_term(a, a) for a in p),
    }


@st.composite
def logit_pairs(draw, max_rows=20):
    """Short rows, rows of several chunks, and all about as far apart as checkpoints or strangers are."""
    rows, classes = draw(st.integers(1, max_rows)), draw(st.sampled_from([1, 2, 3, 10, 63, 64, 65, 100, 600]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    p = rng.normal(scale=draw(st.sampled_from([0.1, 2.0, 8.0])), size=(rows, classes))
    return p, p + rng.normal(scale=draw(st.sampled_from([1e-3, 1.0, 4.0])), size=p.shape)


alphas = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0])


@given(logit_pairs(max_rows=3), alphas)
def test_every_kind_matches_its_definition(pair, alpha):
    logs = [log_softmax(x, axis=1) for x in pair]
    got = divergences(*pair, KINDS, "logits", alpha=alpha)
    again = divergences(*logs, KINDS, alpha=alpha)
    for row, (p, q) in enumerate(zip(*(np.exp(x).tolist() for x in logs), strict=True)):
        for kind, expected in reference(p, q, alpha).items():
            for values in (got, again):
                assert values[kind][row] == pytest.approx(expected, rel=1e-7, abs=1e-12), kind


@given(logit_pairs(), alphas)
def test_float32_gives_what_its_numbers_give_in_float64(pair, alpha):
    single = [x.astype(np.float32) for x in pair]
    narrow = divergences(*single, KINDS, "logits", alpha=alpha)
    wide = divergences(*(x.astype(float) for x in single), KINDS, "logits", alpha=alpha)
    audited = divergences(*single, KINDS, "logits", alpha=alpha, precision="float64")
    for kind in KINDS:
        np.testing.assert_allclose(narrow[kind], wide[kind], rtol=1e-4, atol=2e-7, err_msg=kind)
        np.testing.assert_allclose(audited[kind], wide[kind], rtol=1e-12, atol=1e-15, err_msg=kind)


@given(logit_pairs(), alphas, st.sampled_from(["float32", "float64"]))
def test_bounds_hold_and_equal_rows_are_0_apart(pair, alpha, dtype):
    p, q = (x.astype(dtype) for x in pair)
    for kind, values in divergences(p, q, KINDS, "logits", alpha=alpha).items():
        assert (values >= 0).all() and (values <= UPPER.get(kind, math.inf)).all(), kind
    assert (entropy(p, "logits") <= math.log(p.shape[1]) * (1 + 1e-6)).all()
    same = divergences(p, p, ZERO_WITH_ITSELF, "logits", alpha=alpha)
    assert all((values == 0).all() for values in same.values())


@given(logit_pairs(), st.sampled_from(["float32", "float64"]))
def test_kinds_that_are_symmetric_are_so_to_the_bit(pair, dtype):
    p, q = (x.astype(dtype) for x in pair)
    kinds = (*SYMMETRIC, "kl", "reverse_kl")
    forth, back = (divergences(*tables, kinds, "logits") for tables in ((p, q), (q, p)))
    for kind in SYMMETRIC:
        np.testing.assert_array_equal(forth[kind], back[kind], err_msg=kind)
    np.testing.assert_allclose(forth["kl"], back["reverse_kl"], rtol=1e-5, atol=1e-12)
    half, turned = (renyi_divergence(*tables, 0.5, "logits") for tables in ((p, q), (q, p)))
    np.testing.assert_allclose(half, turned, rtol=1e-9, atol=1e-12)


@given(logit_pairs(), alphas, st.integers(0, 2**32), st.floats(-50, 50))
def test_neither_the_order_of_classes_nor_a_constant_matters(pair, alpha, seed, constant):
    p, q = pair
    order = np.random.default_rng(seed).permutation(p.shape[1])
    expected = divergences(p, q, KINDS, "logits", alpha=alpha)
    changed = divergences(p[:, order] + constant, q[:, order] - constant, KINDS, "logits", alpha=alpha)
    for kind in KINDS:
        np.testing.assert_allclose(changed[kind], expected[kind], rtol=1e-6, atol=1e-11, err_msg=kind)


@given(logit_pairs(), st.sampled_from(["float16", "float32", "float64"]))
def test_a_row_does_not_depend_on_its_neighbours_or_its_place_in_memory(pair, dtype):
    p, q = (x.astype(dtype) for x in pair)
    together = divergences(p, q, KINDS, "logits", alpha=2.0)
    padded = np.full((2 * len(p), p.shape[1] + 7), np.nan, dtype)
    padded[::2, 3 : 3 + p.shape[1]] = p
    view = padded[::2, 3 : 3 + p.shape[1]]
    view.flags.writeable = False
    apart = divergences(view, q, KINDS, "logits", alpha=2.0)
    alone = divergences(p[-1], q[-1], KINDS, "logits", alpha=2.0)
    for kind in KINDS:
        np.testing.assert_array_equal(apart[kind], together[kind], err_msg=kind)
        np.testing.assert_array_equal(alone[kind], together[kind][-1], err_msg=kind)


@pytest.mark.parametrize("shape", [(7, 10), (300, 1000), (1, 300_000)])
def test_the_number_of_threads_changes_no_bit_of_any_kind(shape):
    rng = np.random.default_rng(0)
    p, q = (rng.normal(size=shape).astype(np.float32) for _ in "pq")
    results = []
    for n in (1, 2, 5):
        set_num_threads(n)
        results.append(divergences(p, q, KINDS, "logits", alpha=0.5))
    for kind in KINDS:
        assert results[0][kind].tobytes() == results[1][kind].tobytes() == results[2][kind].tobytes()


@pytest.mark.parametrize("n_others", [0, 20, 200])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_a_probability_of_0_is_exact_in_every_kind(n_others, dtype, alpha):
    """Classes that neither has change nothing, one that only `p` has or only `q` has what the definition says."""
    rows = [([0.5, 0.5], [1.0, 0.0]), ([1.0, 0.0], [0.5, 0.5]), ([1.0, 0.0], [0.0, 1.0]), ([0.25, 0.75], [0.25, 0.75])]
    for p, q in rows:
        with np.errstate(divide="ignore"):
            logs = [np.log(np.array([x + [0.0] * n_others], dtype)) for x in (p, q)]
        for space in ("log_probs", "logits"):
            got = divergences(*logs, KINDS, space, alpha=alpha)
            for kind, expected in reference(p, q, alpha).items():
                assert got[kind][0] == pytest.approx(expected, rel=1e-6, abs=1e-12), (kind, space)


@pytest.mark.parametrize("n_classes", [10, 300])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_nan_spoils_its_own_row_of_every_kind(n_classes, dtype):
    rng = np.random.default_rng(0)
    p, q = (rng.normal(size=(20, n_classes)).astype(dtype) for _ in "pq")
    clean = divergences(p, q, KINDS, "logits", alpha=2.0)
    p[3, 7], q[11, 2] = np.nan, np.nan
    spoiled = [3, 11]
    for kind, values in divergences(p, q, KINDS, "logits", alpha=2.0).items():
        rest = np.delete(np.arange(20), spoiled)
        np.testing.assert_array_equal(values[rest], clean[kind][rest], err_msg=kind)
        assert np.isnan(values[3]) and (np.isnan(values[11]) or kind == "entropy"), kind


def test_a_function_of_one_kind_is_that_kind():
    rng = np.random.default_rng(0)
    p, q = (rng.normal(size=(40, 30)) for _ in "pq")
    every = divergences(p, q, KINDS, "logits", alpha=3.0)
    for function in (reverse_kl_divergence, squared_hellinger, chi_squared, cross_entropy):
        kind = function.__name__.removesuffix("_divergence")
        np.testing.assert_allclose(function(p, q, "logits"), every[kind], rtol=1e-14)
    np.testing.assert_allclose(renyi_divergence(p, q, 3.0, "logits"), every["renyi"], rtol=1e-14)
    np.testing.assert_allclose(entropy(p, "logits"), every["entropy"], rtol=1e-12)


def test_orders_of_renyi_rise_through_known_divergences():
    rng = np.random.default_rng(0)
    p, q = (rng.normal(size=(50, 25)) for _ in "pq")
    known = divergences(p, q, ("kl", "squared_hellinger", "chi_squared"), "logits")
    orders = np.array([renyi_divergence(p, q, alpha, "logits") for alpha in (0.25, 0.5, 1.0, 2.0, 4.0)])
    assert (np.diff(orders, axis=0) > 0).all()
    np.testing.assert_allclose(orders[1], -2 * np.log1p(-known["squared_hellinger"]), rtol=1e-10)
    np.testing.assert_array_equal(orders[2], known["kl"])
    np.testing.assert_allclose(orders[3], np.log1p(known["chi_squared"]), rtol=1e-10)


@pytest.mark.parametrize(("alpha", "seen"), [(0.0, "0"), (-1.5, "-1.5"), (math.inf, "inf"), (math.nan, "NaN")])
def test_an_order_that_renyi_does_not_have_is_refused(alpha, seen):
    with pytest.raises(ValueError, match=f"`alpha` must be above 0 and finite, but it is {seen}"):
        renyi_divergence([0.0], [0.0], alpha)


def test_messages_name_the_way_out():
    with pytest.raises(ValueError, match='`alpha` must be given for the kind "renyi", but it is None; pass its order'):
        divergences([0.0], [0.0], ("renyi",))
    with pytest.raises(ValueError, match='`precision` must be "native" or "float64", but it is \'double\''):
        divergences([0.0], [0.0], precision="double")
