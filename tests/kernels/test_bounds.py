import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import set_num_threads, top_k_bounds, variational_bounds

KINDS = ("kl", "kl_donsker_varadhan", "reverse_kl", "js", "tv", "hellinger", "chi_squared")


def divergence(kind, p, q):
    """The definition, one class at a time."""
    pairs = list(zip(p, q, strict=True))
    mixed = [(a + b) / 2 for a, b in pairs]
    kl = lambda x, y: sum(a * math.log(a / b) if b > 0 else math.inf for a, b in zip(x, y, strict=True) if a > 0)  # noqa: E731
    return {
        "kl": lambda: kl(p, q),
        "kl_donsker_varadhan": lambda: kl(p, q),
        "reverse_kl": lambda: kl(q, p),
        "js": lambda: (kl(p, mixed) + kl(q, mixed)) / 2,
        "tv": lambda: sum(abs(a - b) for a, b in pairs) / 2,
        "hellinger": lambda: 1 - sum(math.sqrt(a * b) for a, b in pairs),
        "chi_squared": lambda: sum((a - b) ** 2 / b for a, b in pairs),
    }[kind]()


def copies(values, counts):
    return np.repeat(values, counts)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=6))
def test_true_log_ratios_of_all_classes_give_the_divergence_itself(counts):
    """A sample in which every class comes as often as its probability says."""
    n, m = (np.array(c) for c in zip(*counts, strict=True))
    p, q = n / n.sum(), m / m.sum()
    ratios = np.log(p / q)
    bounds = variational_bounds(copies(ratios, n), copies(ratios, m), KINDS)
    for kind, bound in bounds.items():
        assert bound.lower == pytest.approx(divergence(kind, p, q), rel=1e-9, abs=1e-11), kind
        assert bound.plug_in == pytest.approx(divergence(kind, p, q), rel=1e-9, abs=1e-11), kind


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=6), st.integers(0, 2**32))
def test_wrong_log_ratios_give_less(counts, seed):
    n, m = (np.array(c) for c in zip(*counts, strict=True))
    guesses = np.log(n / n.sum() * m.sum() / m) + np.random.default_rng(seed).normal(size=len(n))
    bounds = variational_bounds(copies(guesses, n), copies(guesses, m), KINDS)
    for kind, bound in bounds.items():
        assert bound.lower <= divergence(kind, n / n.sum(), m / m.sum()) + 1e-9, kind
    assert bounds["kl"].lower <= bounds["kl_donsker_varadhan"].lower + 1e-12


def test_standard_errors_are_those_of_repeated_samples():
    rng = np.random.default_rng(0)
    ratio = lambda x: 0.5 - x  # noqa: E731  p = N(0, 1), q = N(1, 1)
    runs = []
    for _ in range(400):
        bounds = variational_bounds(ratio(rng.normal(size=500)), ratio(rng.normal(1, 1, size=500)), KINDS[:6])
        runs.append([[b.lower, b.standard_error] for b in bounds.values()])
    runs = np.array(runs)
    spread, said = runs[:, :, 0].std(axis=0), np.sqrt((runs[:, :, 1] ** 2).mean(axis=0))
    np.testing.assert_allclose(said, spread, rtol=0.25)
    np.testing.assert_allclose(runs[:, :3, 0].mean(axis=0), 0.5, atol=0.02)


def test_log_ratios_at_the_edges():
    nan, inf = math.nan, math.inf
    assert variational_bounds([inf], [0.0], ("kl", "js"))["kl"].lower == inf
    assert variational_bounds([800.0] * 2, [-800.0] * 2, ("js",))["js"].lower == pytest.approx(math.log(2))
    assert variational_bounds([inf] * 2, [-inf] * 2, ("js",))["js"].lower == pytest.approx(math.log(2))
    assert all(math.isnan(b.lower) for b in variational_bounds([nan, 0.0], [0.0], KINDS).values())
    assert math.isnan(variational_bounds([1.0], [0.0], ("kl",))["kl"].standard_error)


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=100_000), rng.normal(size=70_001)[::-1]
    results = []
    for n in (1, 3):
        set_num_threads(n)
        results.append(variational_bounds(p, q, KINDS))
    assert results[0] == results[1]


def top(rows, k):
    """The k likeliest classes of each row, in a shuffled order, and what is left."""
    ids = np.argsort(-rows, axis=1, kind="stable")[:, :k]
    ids = np.random.default_rng(k).permuted(ids, axis=1)
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.take_along_axis(rows, ids, axis=1))
        rest = rows.copy()
        np.put_along_axis(rest, ids, 0, axis=1)
        return ids, log_probs, np.log(rest.sum(axis=1))


@st.composite
def full_rows(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_classes = draw(st.integers(2, 30))
    concentration = draw(st.sampled_from([0.05, 0.3, 1.0, 20.0]))
    p = rng.dirichlet(np.full(n_classes, concentration), size=3) + 1e-12
    q = p if draw(st.booleans()) else rng.dirichlet(np.full(n_classes, concentration), size=3) + 1e-12
    q = q * np.exp(draw(st.sampled_from([0.0, 0.1, 2.0])) * rng.normal(size=p.shape))
    return p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)


@given(full_rows())
def test_bounds_hold_the_truth_and_tighten_with_k(rows):
    p, q = rows
    truth = {
        kind: np.array([divergence(kind, *pair) for pair in zip(p, q, strict=True)]) for kind in ("kl", "js", "tv")
    }
    before = None
    for k in range(1, p.shape[1] + 1):
        bounds = top_k_bounds(*top(p, k), *top(q, k))
        assert (bounds.kl_low <= truth["kl"] * (1 + 1e-9) + 1e-9).all()
        for kind in ("js", "tv"):
            low, high = getattr(bounds, f"{kind}_low"), getattr(bounds, f"{kind}_high")
            assert (low <= truth[kind] + 1e-9).all() and (truth[kind] <= high + 1e-9).all()
            assert (low >= 0).all() and (low <= high).all()
        if before is not None:
            assert (bounds.kl_low >= before.kl_low - 1e-9).all()
            assert (bounds.js_low >= before.js_low - 1e-9).all() and (bounds.tv_low >= before.tv_low - 1e-9).all()
            assert (bounds.js_high <= before.js_high + 1e-9).all() and (bounds.tv_high <= before.tv_high + 1e-9).all()
        before = bounds
    for name, kind in (("kl_low", "kl"), ("js_low", "js"), ("js_high", "js"), ("tv_low", "tv"), ("tv_high", "tv")):
        np.testing.assert_allclose(getattr(before, name), truth[kind], rtol=1e-9, atol=1e-9)


def least_divergence(kind, top_p, top_q):
    """The lower bound by a general optimiser, over the probabilities that are not known; unlisted classes are one."""
    (ids_p, log_p, tail_p), (ids_q, log_q, tail_q) = (
        (ids[0], np.exp(lp[0]), math.exp(t[0])) for ids, lp, t in (top_p, top_q)
    )
    classes = sorted(set(ids_p) | set(ids_q))
    p = dict(zip(ids_p, log_p, strict=True))
    q = dict(zip(ids_q, log_q, strict=True))
    free_p, free_q = [c for c in classes if c not in p], [c for c in classes if c not in q]

    def rows(x):
        guess_p = p | dict(zip(free_p, x[: len(free_p)], strict=True))
        guess_q = q | dict(zip(free_q, x[len(free_p) :], strict=True))
        rest = [max(tail_p - x[: len(free_p)].sum(), 1e-15), max(tail_q - x[len(free_p) :].sum(), 1e-15)]
        return [guess_p[c] for c in classes] + rest[:1], [guess_q[c] for c in classes] + rest[1:]

    if not free_p + free_q:
        return divergence(kind, *rows(np.empty(0)))
    limits = [(0, min(log_p.min(), tail_p))] * len(free_p) + [(1e-15, min(log_q.min(), tail_q))] * len(free_q)
    within = [
        {"type": "ineq", "fun": lambda x: tail_p - x[: len(free_p)].sum()},
        {"type": "ineq", "fun": lambda x: tail_q - x[len(free_p) :].sum()},
    ]
    start = np.array([high / (2 * len(limits)) for _, high in limits])
    found = scipy.optimize.minimize(
        lambda x: divergence(kind, *rows(x)), start, bounds=limits, constraints=within, method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("seed", range(8))
def test_lower_bounds_are_the_least_that_a_general_optimiser_finds(seed):
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(8, 0.7), size=(2, 1)) + 1e-3
    tops = [top(x / x.sum(), 3) for x in (p, q)]
    bounds = top_k_bounds(*tops[0], *tops[1])
    assert bounds.kl_low[0] == pytest.approx(least_divergence("kl", *tops), abs=2e-5)
    assert bounds.js_low[0] == pytest.approx(least_divergence("js", *tops), abs=2e-5)


def test_tops_without_a_class_in_common():
    log = np.log
    bounds = top_k_bounds([[0]], log([[0.9]]), log([0.1]), [[1]], log([[0.9]]), log([0.1]))
    assert bounds.tv_high[0] == pytest.approx(1) and bounds.js_high[0] == pytest.approx(math.log(2))
    # At best q gives its whole tail to class 0 and p to class 1: 0.1 of each meets 0.9.
    assert bounds.tv_low[0] == pytest.approx(0.8)
    assert bounds.kl_low[0] == pytest.approx(0.9 * math.log(9) + 0.1 * math.log(1 / 9))


def test_classes_that_are_impossible_for_the_other():
    zero = -math.inf
    bounds = top_k_bounds([[0]], [[0.0]], [zero], [[1]], [[0.0]], [zero])
    assert bounds.kl_low[0] == math.inf and bounds.tv_low[0] == bounds.tv_high[0] == 1
    assert bounds.js_low[0] == pytest.approx(math.log(2)) and bounds.js_high[0] == pytest.approx(math.log(2))


def test_a_nan_stays_in_its_row():
    log_probs = np.log([[0.5], [0.5]])
    broken = log_probs.copy()
    broken[0] = math.nan
    half = np.log([0.5, 0.5])
    bounds = top_k_bounds([[0], [0]], broken, half, [[0], [0]], log_probs, half)
    assert math.isnan(bounds.js_low[0]) and math.isnan(bounds.tv_high[0]) and bounds.tv_low[1] == 0


HALF = ([[0]], [[math.log(0.5)]], [math.log(0.5)])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[0.5]], *HALF[1:], *HALF), TypeError, "`ids_p` must hold integers"),
        (([[0, 1]], *HALF[1:], *HALF), ValueError, "`ids_p` and `log_probs_p` must have one shape"),
        ((*HALF, *HALF[:2], [-1.0, -1.0]), ValueError, "`tail_log_mass_q` must hold one a row"),
        ((*HALF, *HALF[:2], [-10.0]), ValueError, "`log_probs_q` and `tail_log_mass_q` must hold all probability"),
        (
            ([[3, 3]], [[-0.7, -0.7]], [-10.0], *HALF),
            ValueError,
            "`ids_p` must list a class once a row",
        ),
        ((*HALF, [[0], [0]], [[-0.7], [-0.7]], [-0.7, -0.7]), ValueError, "must have the same rows, but have 1 and 2"),
    ],
)
def test_a_wrong_top_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        top_k_bounds(*arguments)


def test_a_wrong_sample_or_kind_is_named():
    with pytest.raises(ValueError, match="`log_ratios_q` must hold at least one element"):
        variational_bounds([0.0], [])
    with pytest.raises(ValueError, match='`kinds` must be "kl"'):
        variational_bounds([0.0], [0.0], ("renyi",))
    with pytest.raises(TypeError, match="`kinds` must be a sequence"):
        variational_bounds([0.0], [0.0], "kl")
