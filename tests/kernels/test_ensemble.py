import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import example_epsilons, forgetting_score, klom, logit_margins, set_num_threads


def margins_reference(logits, labels):
    """The definition, one class at a time."""
    rows = []
    for row, label in zip(np.asarray(logits, float), labels, strict=True):
        others = [z for j, z in enumerate(row) if j != label]
        rows.append(row[label] - scipy.special.logsumexp(others))
    return np.array(rows)


def klom_reference(unlearned, retrained, released=False):
    """Bins, counts and scipy's entropy, one example at a time; in the released code the last bin is open."""
    values = []
    for p, q in zip(np.clip(unlearned, -100, 100).T, np.clip(retrained, -100, 100).T, strict=True):
        low, high = min(p.min(), q.min()), max(p.max(), q.max())
        edges = np.linspace(low, high if high > low else low + 1, 21)
        counts = []
        for margins in (p, q):
            bins = np.digitize(margins, edges)
            if not released:
                bins = np.minimum(bins, 20)
            counts.append(np.array([(bins == i).sum() for i in range(1, 21)]))
        p, q = (c / max(c.sum(), 1) for c in counts)
        with np.errstate(invalid="ignore"):
            values.append(scipy.stats.entropy(p, np.where(p > 0, np.maximum(q, 1e-5), q)))
    return np.array(values)


def epsilon_reference(unlearned, retrained, delta=1e-5):
    """Every threshold and every interval between two values, rates counted anew for each."""
    p, n = (retrained, unlearned) if np.median(retrained) > np.median(unlearned) else (unlearned, retrained)
    with np.errstate(invalid="ignore"):
        if min(np.ptp(p), np.ptp(n)) / max(np.ptp(p), np.ptp(n)) < 0.01:
            return 50.0
    values = np.union1d(p, n)
    rates = [((n >= t).mean(), (p < t).mean()) for t in values]
    inner, outer = (n, p) if np.ptp(p) >= np.ptp(n) else (p, n)
    inside = [(lambda x, a=a, b=b: (x >= a) & (x <= b)) for a in values for b in values if a <= b]
    rates += [(rule(outer).mean(), 1 - rule(inner).mean()) for rule in inside]
    found = []
    for fpr, fnr in rates:
        if fpr == 0 and abs(fnr) < 1e-12:
            found.append(50.0)
        elif fpr > 0 and fnr > 1e-12:
            found.append(
                max(
                    math.log(1 - delta - fpr) - math.log(fnr) if fpr < 1 - delta else -math.inf,
                    math.log(1 - delta - fnr) - math.log(fpr) if fnr < 1 - delta else -math.inf,
                    0.0,
                )
            )
    return min(max(found), 50.0) if found else math.nan


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(2, 40), st.sampled_from([0.1, 3.0, 300.0]))
def test_margins_match_their_definition(seed, n_rows, n_classes, spread):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(n_rows, n_classes)) * spread, rng.integers(0, n_classes, n_rows)
    expected = margins_reference(logits, labels)
    np.testing.assert_allclose(logit_margins(logits, labels), expected, rtol=1e-12, atol=1e-12)
    log_probs = scipy.special.log_softmax(logits, axis=1)
    np.testing.assert_allclose(logit_margins(log_probs, labels), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("n_classes", [2, 37, 64, 65, 700, 3001])
def test_margins_of_other_formats_are_those_of_the_same_numbers(n_classes, dtype):
    rows = 5 * torch.randn(50, n_classes, generator=torch.Generator().manual_seed(0)).to(dtype)
    labels = np.arange(50) * 613 % n_classes
    rows[np.arange(25), labels[:25]] += 30  # sure of the label: nothing of it must get into the sum of the others
    expected = margins_reference(rows.double().numpy(), labels)
    np.testing.assert_allclose(logit_margins(rows, labels), expected, rtol=1e-7, atol=1e-6)


def test_margins_at_the_edges():
    inf = math.inf
    rows = [[2.0, -inf], [-inf, 2.0], [-inf, -inf], [1.0, math.nan], [inf, 0.0], [0.0, inf]]
    np.testing.assert_array_equal(logit_margins(rows, [0] * 6), [inf, -inf, math.nan, math.nan, inf, -inf])
    assert logit_margins([800.0, 0.0], 0).tolist() == 800.0
    assert logit_margins(np.asfortranarray([[1.0, 2.0], [3.0, 1.0]]), [0, 1]).tolist() == [-1.0, -2.0]


@st.composite
def ensembles(draw, most=12):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_examples = draw(st.integers(1, 5))
    decimals = draw(st.sampled_from([0, 1, 8]))
    sizes = [draw(st.integers(2, most)) for _ in "ur"]
    return [(rng.normal(size=(n, n_examples)) * draw(st.sampled_from([1.0, 80.0]))).round(decimals) for n in sizes]


@given(ensembles(most=60))
def test_klom_matches_its_definition_and_the_released_code(pair):
    np.testing.assert_allclose(klom(*pair), klom_reference(*pair), rtol=1e-10, atol=1e-12)
    released = klom_reference(*pair, released=True)
    np.testing.assert_allclose(klom(*pair, variant="released"), released, rtol=1e-10, atol=1e-12)
    assert (klom(*pair) >= -1e-12).all()
    np.testing.assert_allclose(klom(pair[0], pair[0]), 0, atol=1e-12)


def test_klom_has_its_known_values():
    unlearned = np.arange(10)[:, None] / 10
    retrained = unlearned + 0.25
    assert klom(unlearned, retrained)[0] == pytest.approx(7.3683522944, abs=1e-9)
    assert klom(unlearned, retrained, variant="released")[0] == pytest.approx(7.3472801913, abs=1e-9)
    ones, threes = np.ones((5, 1)), np.full((5, 1), 3.0)
    assert klom(ones, threes)[0] == pytest.approx(11.51293546, abs=1e-7)
    assert klom(threes, ones)[0] == pytest.approx(11.51293546, abs=1e-7)
    assert klom(ones, threes, variant="released").tolist() == [0.0]
    assert math.isnan(klom(threes, ones, variant="released")[0])
    assert klom(ones, ones).tolist() == [0.0]


@given(ensembles())
def test_epsilons_match_their_definition(pair):
    expected = [epsilon_reference(u, r) for u, r in zip(pair[0].T, pair[1].T, strict=True)]
    np.testing.assert_allclose(example_epsilons(*pair), expected, rtol=1e-12, atol=1e-12)


@given(ensembles())
def test_released_thresholds_find_no_more_than_all(pair):
    exact, released = example_epsilons(*pair), example_epsilons(*pair, variant="released")
    assert (np.nan_to_num(released) <= np.nan_to_num(exact) + 1e-12).all()


def released_epsilon(unlearned, retrained, delta=1e-5):
    """The loop over thresholds of the released code in NumPy."""
    p, n = (retrained, unlearned) if np.median(retrained) > np.median(unlearned) else (unlearned, retrained)
    low, high = min(p.min(), n.min()), max(p.max(), n.max())
    single = np.linspace(low, high, math.ceil((high - low) * 100)).astype(np.float32)
    rates = [((n >= t).mean(), (p < t).mean()) for t in single]
    inner, outer = (n, p) if np.ptp(p) >= np.ptp(n) else (p, n)
    width = np.ptp(inner)
    low, high = inner.min() + width - 2.0, inner.max() + 2.0
    for right in np.linspace(low, high, math.ceil((high - low) * 100)):
        left = np.linspace(right - width - 2.0, right - width + 2.0, 400)[:, None]
        fpr = ((outer >= left) & (outer <= right)).mean(axis=1)
        fnr = 1 - ((inner >= left) & (inner <= right)).mean(axis=1)
        rates += list(zip(fpr, fnr.round(12), strict=True))
    rates = np.array(rates)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.log(1 - delta - rates[:, 0]) - np.log(rates[:, 1])
        b = np.log(1 - delta - rates[:, 1]) - np.log(rates[:, 0])
    kept = np.fmax(np.fmax(a, b), 0)[(rates > 0).all(axis=1)]
    return 50.0 if (rates == 0).all(axis=1).any() else kept.max()


def test_released_epsilons_match_the_released_loop():
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(size=(40, 3)), rng.normal(0.7, 1.3, size=(40, 3))
    expected = [released_epsilon(u, r) for u, r in zip(unlearned.T, retrained.T, strict=True)]
    np.testing.assert_allclose(example_epsilons(unlearned, retrained, variant="released"), expected, rtol=1e-9)


def test_equal_constants_have_no_epsilon():
    ones = np.ones((4, 1))
    assert math.isnan(example_epsilons(ones, ones)[0]) and math.isnan(
        example_epsilons(ones, ones, variant="released")[0]
    )


def test_a_peak_against_a_spread_is_told_apart():
    spread = np.linspace(-1, 1, 20)[:, None]
    assert example_epsilons(spread, spread / 1000).tolist() == [50.0]
    assert math.isnan(example_epsilons([[math.nan], [0.0]], spread)[0])


def test_the_score_of_epsilons_is_the_competitions():
    expected = {0.49: 1.0, 0.5: 0.5, 1.2: 0.25, 3.9: 0.0078125, 6.99: 0.0001220703125, 7.0: 0.0, 50.0: 0.0}
    for epsilon, score in expected.items():
        assert forgetting_score([epsilon], 512) == score
    assert math.isnan(forgetting_score([0.1, math.nan], 512))


def test_neither_layout_nor_threads_change_a_bit():
    rng = np.random.default_rng(1)
    unlearned, retrained = rng.normal(size=(30, 400)), rng.normal(size=(50, 400))
    logits, labels = rng.normal(size=(400, 300)), rng.integers(0, 300, 400)
    results = []
    for n in (1, 3):
        set_num_threads(n)
        layout = np.asfortranarray if n == 3 else np.ascontiguousarray
        results.append(
            (klom(layout(unlearned), layout(retrained)), example_epsilons(unlearned, retrained),
             logit_margins(layout(logits), labels))
        )  # fmt: skip
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logit_margins([[1.0, 2.0]], [2]), r"`labels` must lie in 0..2, but row 0 holds 2"),
        (lambda: logit_margins([[1.0, 2.0]], [0, 1]), "`labels` must hold one a row"),
        (lambda: klom([[1.0]], [[1.0, 2.0]]), "must have the same examples, but have 1 and 2"),
        (lambda: klom([1.0], [[1.0]]), r"`unlearned` must have shape \(n_models, n_examples\)"),
        (lambda: klom([[1.0]], [[1.0]], n_bins=0), "`n_bins` must be a positive integer"),
        (lambda: klom([[1.0]], [[1.0]], floor=0), "`floor` must lie between 0 and 1"),
        (lambda: klom([[1.0]], [[1.0]], variant="open"), '`variant` must be "closed" or "released"'),
        (lambda: klom(np.empty((0, 3)), [[1.0]]), "`unlearned` must hold at least one element"),
        (lambda: example_epsilons([[1.0]], [[1.0]], delta=1), "`delta` must lie in 0 to 1"),
        (lambda: example_epsilons([[1.0]], [[1.0]], variant="all"), "`variant` must be"),
        (lambda: forgetting_score([1.0], 1), "`n_models` must be at least 2"),
    ],
)
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
