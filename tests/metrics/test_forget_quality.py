"""Forget quality: D by SciPy, the permutation by every swap, and the paired test where the unpaired one fails."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from vestige.metrics import METRICS, estimate
from vestige.metrics.forget_quality import forget_quality, released_forget_quality
from vestige.metrics.tofu import truth_ratio

BY_NAME = {metric.name: metric for metric in METRICS}


def p_by_every_swap(u, r):
    def distance(x, y):
        return max(abs(np.mean(x <= t) - np.mean(y <= t)) for t in (*u, *r))

    observed = distance(u, r)
    swaps = itertools.product([False, True], repeat=len(u))
    drawn = [distance(np.where(s, r, u), np.where(s, u, r)) for s in swaps]
    return np.mean(np.array(drawn) >= observed - 1e-9)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=5))
def test_with_few_questions_every_swap_is_tried(pairs):
    u, r = np.array(pairs, float).T
    result = forget_quality(u, r)
    assert result.exact
    assert result.p_value == pytest.approx(p_by_every_swap(u, r))
    assert result.statistic == pytest.approx(ks_2samp(u, r, method="asymp").statistic)
    assert result.superiority == pytest.approx(roc_auc_score([1] * len(u) + [0] * len(r), [*u, *r]))


@given(st.integers(0, 2**32 - 1))
def test_monotone_maps_and_the_order_of_questions_change_nothing(seed):
    rng = np.random.default_rng(seed)
    u, r = rng.lognormal(size=(2, 30))
    plain, mapped = forget_quality(u, r, n_resamples=99), forget_quality(np.log(u), np.log(r), n_resamples=99)
    assert plain == mapped
    order = rng.permutation(30)
    shuffled = forget_quality(u[order], r[order], n_resamples=99)
    assert (shuffled.statistic, shuffled.superiority) == (plain.statistic, plain.superiority)
    assert shuffled.upper == plain.upper


def test_the_seed_decides_and_another_seed_differs():
    rng = np.random.default_rng(0)
    u, r = rng.normal(size=(2, 60))
    first, same, other = (forget_quality(u, r, seed=seed).p_value for seed in (1, 1, 2))
    assert first == same != other
    assert first == pytest.approx(other, abs=0.02)


def questions(rng, shift, correlation=0.8, n=60):
    shared = rng.normal(size=n) * math.sqrt(correlation)
    own = rng.normal(size=(2, n)) * math.sqrt(1 - correlation)
    return shared + own[0] + shift, shared + own[1]


def test_the_paired_test_keeps_its_level_and_sees_what_the_unpaired_one_does_not():
    """statistics.md 7: at correlation .8 the unpaired 5 % test has a level of .15 % and loses power."""
    rng = np.random.default_rng(0)
    rejects = {
        shift: np.array(
            [
                (forget_quality(u, r, n_resamples=199).p_value < 0.05, ks_2samp(u, r).pvalue < 0.05)
                for u, r in (questions(rng, shift) for _ in range(200))
            ]
        ).mean(axis=0)
        for shift in (0.0, 0.35)
    }
    assert 0.01 <= rejects[0.0][0] <= 0.1 and rejects[0.0][1] <= 0.02
    assert rejects[0.35][0] > rejects[0.35][1] + 0.2


def test_authors_are_swapped_whole():
    u, r = np.array([1.0, 1, 1, 1, 5, 5, 5, 5]), np.array([2.0, 2, 2, 2, 6, 6, 6, 6])
    alone, by_author = forget_quality(u, r), forget_quality(u, r, clusters=["a"] * 4 + ["b"] * 4)
    assert by_author.p_value in (0.5, 1.0)
    assert alone.p_value < by_author.p_value


def test_the_three_verdicts():
    rng = np.random.default_rng(0)
    r = rng.normal(size=2000)
    assert forget_quality(r + rng.normal(size=2000) * 0.01, r, n_resamples=199).verdict == "equivalent"
    assert forget_quality(r + 2, r, n_resamples=199).verdict == "different"
    assert forget_quality(r[:20] + 0.01, r[:20], n_resamples=199).verdict == "undecided"


def test_the_upper_bound_holds_the_true_distance():
    """Two normals one standard deviation apart: D = 2 Phi(1/2) - 1."""
    rng, true = np.random.default_rng(0), math.erf(0.5 / math.sqrt(2))
    held = [forget_quality(*questions(rng, 1.0, 0.5), n_resamples=9).upper >= true for _ in range(200)]
    assert np.mean(held) >= 0.95


def test_the_released_p_value_is_scipys_exact_and_asymptotic():
    """metrics.md 3.4 and trap 11: in the far tail the asymptotic value is too small."""
    rng = np.random.default_rng(0)
    u, r = rng.normal(0.6, 1, 300), rng.normal(size=300)
    for method, scipys in (("auto", "auto"), ("exact", "exact"), ("asymptotic", "asymp")):
        expected = math.log10(ks_2samp(u, r, method=scipys).pvalue)
        assert released_forget_quality(u, r, method) == pytest.approx(expected, rel=1e-9)
    assert released_forget_quality(u, r, "asymptotic") < released_forget_quality(u, r)
    assert released_forget_quality([1.0], [1.0]) == 0


def test_the_same_shift_has_a_smaller_p_with_more_questions_and_the_same_distance():
    """statistics.md 7: never compare p across forget01, forget05 and forget10."""
    grid = np.linspace(0, 1, 401)[1:]
    p_values = [released_forget_quality(grid[::k] + 0.1, grid[::k]) for k in (10, 2, 1)]
    assert p_values[0] > p_values[1] > p_values[2]


def test_the_catalogue_gives_the_distance_and_never_an_interval_for_p(arrays):
    u, r = (
        truth_ratio(arrays[f"{m}.forget.right_log_prob"], arrays[f"{m}.forget.wrong_log_prob"])
        for m in ("unlearned", "retrained")
    )
    assert estimate(BY_NAME["FQ-D"], arrays).value == pytest.approx(ks_2samp(u, r).statistic)
    released = estimate(BY_NAME["FQ-D"], arrays, variant="released")
    assert released.value == pytest.approx(math.log10(ks_2samp(u, r).pvalue))
    assert (released.has_interval, released.reason) == (False, "a p-value is not a parameter")
    assert estimate(BY_NAME["P(TR_u>TR_r)"], arrays).value == pytest.approx(forget_quality(u, r).superiority)


def test_unpaired_questions_are_refused():
    with pytest.raises(ValueError, match="the same questions"):
        forget_quality([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="leave that question out of both"):
        forget_quality([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match="`margin`"):
        forget_quality([1.0], [1.0], margin=1.5)
