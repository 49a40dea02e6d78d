"""float32 rows are computed in float32 with float64 sums: how far that may be from the same rows in long double."""

import numpy as np
import pytest

from vestige.kernels import divergences, entropy, kl_divergence, token_log_probs

LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 70, 1000)
KINDS = ("kl", "reverse_kl", "js", "tv", "squared_hellinger", "chi_squared", "renyi", "cross_entropy", "entropy")
ALPHA = 1.5

# Relative error that float32 rows may have.
BOUNDS = dict.fromkeys(KINDS, 3e-6) | {"tv": 5e-5}
BOUNDS_OF_SMALL = BOUNDS | dict.fromkeys(("kl", "reverse_kl", "chi_squared", "renyi"), 1e-4)


def log_softmax(logits):
    wide = logits.astype(np.longdouble)
    largest = wide.max(axis=1, keepdims=True)
    return wide - largest - np.log(np.exp(wide - largest).sum(axis=1, keepdims=True))


def definition(log_p, log_q):
    """Sums of long doubles; differences of near equals by expm1 and log1p of the distance of logarithms."""
    p, q = np.exp(log_p), np.exp(log_q)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where((p == 0) & (q == 0), 0, log_p - log_q)
        larger, z = np.maximum(p, q), -np.expm1(-np.abs(distance))
        difference = np.copysign(larger * z, distance)
        js = -p * np.log1p(np.expm1(-distance) / 2), -q * np.log1p(np.expm1(distance) / 2)
        power = np.where(p > 0, np.exp(log_p + (ALPHA - 1) * distance), 0) - ALPHA * p - (1 - ALPHA) * q
        terms = {
            "kl": np.where(p > 0, p * distance, 0) - difference,
            "reverse_kl": np.where(q > 0, -q * distance, 0) + difference,
            "js": (np.where(p > 0, js[0], 0) + np.where(q > 0, js[1], 0)) / 2,
            "tv": np.abs(difference) / 2,
            "squared_hellinger": larger * np.expm1(-np.abs(distance) / 2) ** 2 / 2,
            "chi_squared": np.where(difference == 0, 0, difference**2 / q),
            "cross_entropy": np.where(p > 0, -p * log_q, 0),
            "entropy": np.where(p > 0, -p * log_p, 0),
        }
    sums = {kind: term.sum(axis=1) for kind, term in terms.items()}
    sums["renyi"] = np.log1p(power.sum(axis=1)) / (ALPHA - 1)
    return {kind: sums[kind].astype(float) for kind in KINDS}


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
    "zero in both": lambda rng, p, q: tuple(
        np.where(np.arange(p.shape[1]) == p.shape[1] // 2, -np.inf, x) for x in (p, q)
    ),
    "lowest": lambda rng, p, q: tuple(np.where(np.arange(p.shape[1]) == 0, np.finfo("f4").min, x) for x in (p, q)),
}


@pytest.mark.parametrize("n_classes", LENGTHS)
@pytest.mark.parametrize("case", CASES)
def test_float32_divergences_are_within_their_bounds(case, n_classes):
    rng = np.random.default_rng([n_classes, len(case)])
    if n_classes == 1 and ("zero" in case or case == "lowest"):
        return
    p, q = (a.astype(np.float32) for a in CASES[case](rng, *rng.normal(size=(2, 5, n_classes)) * 4))
    expected = definition(log_softmax(p), log_softmax(q))
    together = divergences(p, q, kinds=KINDS, space="logits", alpha=ALPHA)
    for kind in KINDS:
        alone = divergences(p, q, kinds=(kind,), space="logits", alpha=ALPHA)[kind]
        for got in (alone, together[kind]):
            np.testing.assert_allclose(got, expected[kind], rtol=BOUNDS[kind], atol=1e-8, err_msg=kind)


LONG = (10, 1000, 32_000, 128_256)
REGIMES = {
    "narrow": lambda rng, p, q: (p * 0.1, q * 0.1),
    "ordinary": lambda rng, p, q: (p * 2, q * 2),
    "wide": lambda rng, p, q: (p * 8, q * 8),
    "offset": lambda rng, p, q: (p * 2 + 37, q * 2),
    "near": lambda rng, p, q: (p * 2, p * 2 + q * 0.1),
    "nearly equal": lambda rng, p, q: (p * 2, p * 2 + q * 1e-3),
    "nearly equal with an offset": lambda rng, p, q: (p * 2, p * 2 + q * 1e-3 + 37),
    "low tails": lambda rng, p, q: (p + far(rng, p.shape), q + far(rng, p.shape)),
}


@pytest.mark.parametrize("n_classes", LONG)
@pytest.mark.parametrize("regime", REGIMES)
def test_rows_of_every_length_keep_the_digits_that_are_promised(regime, n_classes):
    rng = np.random.default_rng([n_classes, len(regime)])
    p, q = (a.astype(np.float32) for a in REGIMES[regime](rng, *rng.normal(size=(2, 3, n_classes))))
    log_p, log_q = log_softmax(p), log_softmax(q)
    one_hot = np.maximum(log_p, log_q).max(axis=1) > np.log(0.999)
    expected = definition(log_p, log_q)
    got = divergences(p, q, kinds=KINDS, space="logits", alpha=ALPHA)
    alone = divergences(p, q, kinds=("kl",), space="logits")["kl"]
    for kind, values in [*got.items(), ("kl", alone)]:
        small = expected[kind] < 1e-3
        bound = np.where(one_hot, 5e-5, np.where(small, BOUNDS_OF_SMALL[kind], BOUNDS[kind]))
        worst = np.abs(values - expected[kind]) / np.maximum(expected[kind], 1e-300)
        assert (worst <= bound).all(), (kind, worst, expected[kind])


@pytest.mark.parametrize("n_classes", LONG)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_float64_mode_is_right_to_a_trillionth(dtype, n_classes):
    rng = np.random.default_rng(n_classes)
    p, q = (rng.normal(size=(2, 2, n_classes)) * 3).astype(dtype)
    expected = definition(log_softmax(p), log_softmax(q))
    got = divergences(p, q, kinds=KINDS, space="logits", alpha=ALPHA, precision="float64")
    for kind in KINDS:
        np.testing.assert_allclose(got[kind], expected[kind], rtol=1e-12, atol=1e-12, err_msg=kind)


@pytest.mark.parametrize("n_classes", LENGTHS)
def test_nearly_equal_float32_rows_keep_their_small_divergence(n_classes):
    rng = np.random.default_rng(n_classes)
    p = rng.normal(size=(5, n_classes)).astype(np.float32)
    q = (p + rng.normal(size=p.shape) * 1e-3).astype(np.float32)
    expected = definition(log_softmax(p), log_softmax(q))
    got = divergences(p, q, kinds=("kl", "js", "squared_hellinger"), space="logits")
    np.testing.assert_allclose(got["js"], expected["js"], rtol=3e-6, atol=1e-15)
    np.testing.assert_allclose(got["squared_hellinger"], expected["squared_hellinger"], rtol=3e-6, atol=1e-15)
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
    p, q = (log_softmax(rng.normal(size=(23, n_classes))).astype(np.float32) for _ in "pq")
    before = divergences(p, q, KINDS, space, alpha=ALPHA), kl_divergence(p, q, space), entropy(p, space=space)
    p[5, n_classes // 2] = spoilt
    others = np.arange(23) != 5
    if space == "log_probs" and spoilt == -np.inf:
        p[5] = np.where(np.arange(n_classes) == n_classes // 2, -np.inf, np.float32(-np.log(max(n_classes - 1, 1))))
        if n_classes == 1:
            return
    after = divergences(p, q, KINDS, space, alpha=ALPHA), kl_divergence(p, q, space), entropy(p, space=space)
    for kind in before[0]:
        np.testing.assert_array_equal(after[0][kind][others], before[0][kind][others], err_msg=kind)
        assert np.isnan(after[0][kind][5]) == np.isnan(spoilt) or n_classes == 1
    for i in (1, 2):
        np.testing.assert_array_equal(after[i][others], before[i][others])


@pytest.mark.parametrize("n_classes", LENGTHS)
def test_a_late_large_logit_changes_no_bit_of_the_rows_beside_it(n_classes):
    rng = np.random.default_rng(n_classes)
    p, q = (rng.normal(scale=3, size=(23, n_classes)).astype(np.float32) for _ in "pq")
    ids, others = rng.integers(0, n_classes, size=23), np.arange(23) != 5

    def rows():
        parts = divergences(p, q, KINDS, "logits", alpha=ALPHA)
        return [*parts.values(), kl_divergence(p, q, "logits"), entropy(p, space="logits"), token_log_probs(p, ids)]

    before = rows()
    p[5, -1] = 90.0
    for old, new in zip(before, rows(), strict=True):
        np.testing.assert_array_equal(new[others], old[others])


@pytest.mark.parametrize("n_classes", LENGTHS)
@pytest.mark.parametrize("space", ["logits", "log_probs"])
@pytest.mark.parametrize("precision", ["native", "float64"])
def test_equal_float32_rows_have_a_divergence_of_exactly_zero(n_classes, space, precision):
    p = log_softmax(np.random.default_rng(n_classes).normal(size=(5, n_classes))).astype(np.float32)
    for kind, values in divergences(p, p, KINDS[:7], space, alpha=ALPHA, precision=precision).items():
        np.testing.assert_array_equal(values, 0, err_msg=kind)
    np.testing.assert_array_equal(kl_divergence(p, p, space, precision=precision), 0)


@pytest.mark.parametrize("n_classes", LENGTHS)
def test_float32_token_log_probs_and_entropy_are_within_their_bounds(n_classes):
    rng = np.random.default_rng(n_classes)
    logits = (rng.normal(size=(6, n_classes)) * 4).astype(np.float32)
    ids = rng.integers(0, n_classes, 6)
    log_p = log_softmax(logits)
    np.testing.assert_allclose(token_log_probs(logits, ids), log_p[range(6), ids].astype(float), atol=2e-6, rtol=0)
    expected = -(np.exp(log_p) * log_p).sum(axis=1).astype(float)
    np.testing.assert_allclose(entropy(logits, space="logits"), expected, rtol=3e-6, atol=1e-6)
