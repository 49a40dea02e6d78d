"""float32 rows are computed in float32 with float64 sums: how far that may be from the same rows in long double."""

import numpy as np
import pytest

from vestige.kernels import divergences, entropy, kl_divergence, token_log_probs

LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 70, 1000)


def log_softmax(logits):
    wide = logits.astype(np.longdouble)
    largest = wide.max(axis=1, keepdims=True)
    return wide - largest - np.log(np.exp(wide - largest).sum(axis=1, keepdims=True))


def definition(p_logits, q_logits):
    log_p, log_q = log_softmax(p_logits), log_softmax(q_logits)
    p, q = np.exp(log_p), np.exp(log_q)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_m = np.log((p + q) / 2)
        kl = np.where(p > 0, p * (log_p - log_q), 0).sum(axis=1)
        js = (np.where(p > 0, p * (log_p - log_m), 0) + np.where(q > 0, q * (log_q - log_m), 0)).sum(axis=1) / 2
    return {"kl": kl.astype(float), "js": js.astype(float), "tv": (np.abs(p - q).sum(axis=1) / 2).astype(float)}


def far(rng, shape):
    """A fifth of the classes lies 120 nats lower, beyond what a float32 exponential can hold."""
    return np.where(rng.random(shape) < 0.2, -120, 0)


CASES = {
    "random": lambda rng, p, q: (p, q),
    "offset": lambda rng, p, q: (p + 37, q - 1000),
    "far in q": lambda rng, p, q: (p, q + far(rng, q.shape)),
    "far in p": lambda rng, p, q: (p + 3 * far(rng, p.shape), q),
    "zero in p": lambda rng, p, q: (np.where(np.arange(p.shape[1]) == p.shape[1] // 2, -np.inf, p), q),
    "zero in q": lambda rng, p, q: (p, np.where(np.arange(p.shape[1]) == p.shape[1] // 2, -np.inf, q)),
}


@pytest.mark.parametrize("n_classes", LENGTHS)
@pytest.mark.parametrize("case", CASES)
def test_float32_divergences_are_within_their_bounds(case, n_classes):
    rng = np.random.default_rng([n_classes, len(case)])
    if n_classes == 1 and case.startswith("zero"):
        return
    p, q = (a.astype(np.float32) for a in CASES[case](rng, *rng.normal(size=(2, 5, n_classes)) * 4))
    expected = definition(p, q)
    for kind, bound in (("kl", 3e-6), ("js", 3e-6), ("tv", 5e-5)):
        got = divergences(p, q, kinds=(kind,), space="logits")[kind]
        np.testing.assert_allclose(got, expected[kind], rtol=bound, atol=1e-8)


@pytest.mark.parametrize("n_classes", LENGTHS)
def test_nearly_equal_float32_rows_keep_their_small_divergence(n_classes):
    rng = np.random.default_rng(n_classes)
    p = rng.normal(size=(5, n_classes)).astype(np.float32)
    q = (p + rng.normal(size=p.shape) * 1e-3).astype(np.float32)
    expected, got = definition(p, q), divergences(p, q, kinds=("kl", "js"), space="logits")
    np.testing.assert_allclose(got["js"], expected["js"], rtol=3e-6, atol=1e-15)
    np.testing.assert_allclose(got["kl"], expected["kl"], rtol=1e-4, atol=1e-15)


@pytest.mark.parametrize("n_classes", LENGTHS)
def test_nearly_equal_float32_log_probs_keep_their_small_divergence(n_classes):
    rng = np.random.default_rng(n_classes)
    logits = rng.normal(size=(11, n_classes))
    p = log_softmax(logits).astype(np.float32)
    q = log_softmax(logits + rng.normal(size=logits.shape) * 1e-3).astype(np.float32)
    wide_p, wide_q = p.astype(np.longdouble), q.astype(np.longdouble)
    expected = (np.exp(wide_p) * (wide_p - wide_q)).sum(axis=1).astype(float)
    # A sum that rounding of the given log-probabilities makes negative is cut at 0.
    np.testing.assert_allclose(kl_divergence(p, q), np.maximum(expected, 0), rtol=1e-4, atol=1e-15)


@pytest.mark.parametrize("n_classes", LENGTHS)
@pytest.mark.parametrize("spoilt", [np.nan, -np.inf])
@pytest.mark.parametrize("space", ["logits", "log_probs"])
def test_what_a_row_gets_does_not_depend_on_the_rows_beside_it(n_classes, spoilt, space):
    rng = np.random.default_rng(n_classes)
    p, q = (log_softmax(rng.normal(size=(13, n_classes))).astype(np.float32) for _ in "pq")
    before = divergences(p, q, space=space), entropy(p, space=space)
    p[5, n_classes // 2] = spoilt
    others = np.arange(13) != 5
    if space == "log_probs" and spoilt == -np.inf:
        p[5] = np.where(np.arange(n_classes) == n_classes // 2, -np.inf, np.float32(-np.log(max(n_classes - 1, 1))))
        if n_classes == 1:
            return
    after = divergences(p, q, space=space), entropy(p, space=space)
    for kind in before[0]:
        np.testing.assert_array_equal(after[0][kind][others], before[0][kind][others], err_msg=kind)
    np.testing.assert_array_equal(after[1][others], before[1][others])


@pytest.mark.parametrize("n_classes", LENGTHS)
def test_equal_float32_rows_have_a_divergence_of_exactly_zero(n_classes):
    p = np.random.default_rng(n_classes).normal(size=(5, n_classes)).astype(np.float32)
    for kind, values in divergences(p, p, space="logits").items():
        np.testing.assert_array_equal(values, 0, err_msg=kind)


@pytest.mark.parametrize("n_classes", LENGTHS)
def test_float32_token_log_probs_and_entropy_are_within_their_bounds(n_classes):
    rng = np.random.default_rng(n_classes)
    logits = (rng.normal(size=(6, n_classes)) * 4).astype(np.float32)
    ids = rng.integers(0, n_classes, 6)
    log_p = log_softmax(logits)
    np.testing.assert_allclose(token_log_probs(logits, ids), log_p[range(6), ids].astype(float), atol=2e-6, rtol=0)
    expected = -(np.exp(log_p) * log_p).sum(axis=1).astype(float)
    np.testing.assert_allclose(entropy(logits, space="logits"), expected, rtol=3e-6, atol=1e-6)
