"""FADE in all its forms against plain definitions and against distributions that are known exactly."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from sklearn.metrics import roc_auc_score

from vestige.metrics import METRICS, estimate
from vestige.metrics.diffusion import fade_diffusion, fade_diffusion_score
from vestige.metrics.fade import (
    fade,
    fade_js,
    fade_rao_blackwell,
    monte_carlo_error,
    privacy_profile,
    prompt_error,
)

BY_NAME = {metric.name: metric for metric in METRICS}


def exact(p, q, n=840):
    """The four matrices when every answer comes as often as it should, n answers of each model."""
    counts_p, counts_q = (np.round(np.asarray(x) * n).astype(int) for x in (p, q))
    assert counts_p.sum() == counts_q.sum() == n
    of_p, of_q = (np.repeat(np.arange(len(p)), counts) for counts in (counts_p, counts_q))
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log(q)
    return log_p[of_p], log_q[of_p], log_q[of_q], log_p[of_q]


@st.composite
def matrices(draw):
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return tuple(-rng.exponential(size=shape) * 3 for _ in range(4))


def test_fade_of_the_toy_model_is_its_exact_value():
    """metrics.md 1.1: vocabulary of 2, p_u = (.5, .5), p_r = (.9, .1), every outcome weighted by its probability."""
    u, r = np.log([0.5, 0.5]), np.log([0.9, 0.1])
    from_u = np.array([0, 1] * 5)
    from_r = np.array([0] * 9 + [1])
    value = fade(u[from_u], r[from_u], r[from_r], u[from_r])
    assert value == pytest.approx(0.8788898309, abs=1e-9)
    assert fade(r[from_r], u[from_r], u[from_u], r[from_u]) == pytest.approx(value, rel=1e-12)


def test_fade_of_a_model_with_itself_is_exactly_zero_and_signed_otherwise():
    scores = -np.random.default_rng(0).exponential(size=(3, 4))
    assert fade(scores, scores, scores, scores) == 0
    assert fade(scores - 1, scores, scores, scores) == pytest.approx(-1)


def test_an_impossible_sample_makes_fade_infinite():
    ones = np.full((1, 2), -1.0)
    assert fade(ones, [[-1.0, -np.inf]], ones, ones) == np.inf


def test_fade_refuses_matrices_of_other_shapes():
    with pytest.raises(ValueError, match="must share one shape"):
        fade([[0.0]], [[0.0, 0.0]], [[0.0]], [[0.0]])


def test_the_two_errors_of_fade_are_apart():
    rng = np.random.default_rng(0)
    repeats = [(0.5 * rng.normal(size=(1, 8)) + 0).mean() for _ in range(2000)]
    assert np.std(repeats) == pytest.approx(
        np.mean([monte_carlo_error(0.5 * rng.normal(size=(1, 8))) for _ in range(2000)]), rel=0.1
    )
    same_within = np.repeat([[0.0], [2.0], [4.0]], 8, axis=1)
    assert monte_carlo_error(same_within) == 0
    assert prompt_error(same_within) == pytest.approx(2 / math.sqrt(3))
    assert math.isnan(monte_carlo_error(np.zeros((3, 1)))) and math.isnan(prompt_error(np.zeros((1, 3))))


P, Q = (0.5, 0.25, 0.25, 0.0), (0.25, 0.25, 0.25, 0.25)


def test_the_bounded_forms_of_known_distributions_are_exact():
    four = exact(P, Q)
    m = (np.array(P) + np.array(Q)) / 2
    js = (rel_entr(P, m).sum() + rel_entr(Q, m).sum()) / 2
    assert fade_js(*four) == pytest.approx(js, rel=1e-12)
    epsilon = [0.0, 0.3, 0.6, 2.0]
    profile = privacy_profile(*four, epsilon=epsilon)
    forward = [sum(max(0, a - math.exp(e) * b) for a, b in zip(P, Q, strict=True)) for e in epsilon]
    backward = [sum(max(0, b - math.exp(e) * a) for a, b in zip(P, Q, strict=True)) for e in epsilon]
    np.testing.assert_allclose(profile.forward, forward, atol=1e-12)
    np.testing.assert_allclose(profile.backward, backward, atol=1e-12)
    assert profile.forward[0] == pytest.approx(np.abs(np.subtract(P, Q)).sum() / 2)


def test_where_supports_differ_fade_is_infinite_and_the_bounded_forms_are_not():
    four = exact(P, Q)
    assert fade(*four) == np.inf
    assert np.isfinite([fade_js(*four), privacy_profile(*four).auc]).all()
    apart = exact((1.0, 0.0), (0.0, 1.0))
    assert fade_js(*apart) == pytest.approx(math.log(2)) and privacy_profile(*apart).auc == 1


@given(matrices())
def test_swapping_the_models_swaps_the_directions(four):
    uu, ru, rr, ur = four
    assert fade(rr, ur, uu, ru) == pytest.approx(fade(*four))
    assert fade(*four, half=True) == fade(*four) / 2
    assert fade_js(rr, ur, uu, ru) == pytest.approx(fade_js(*four))
    assert fade_js(*four) <= math.log(2)
    one, other = privacy_profile(*four), privacy_profile(rr, ur, uu, ru)
    np.testing.assert_allclose(one.forward, other.backward)
    assert np.all(np.diff(one.forward) <= 0) and np.all((one.forward >= 0) & (one.forward <= 1))
    assert one.auc == pytest.approx(roc_auc_score([1] * uu.size + [0] * rr.size, [*(uu - ru).flat, *(ur - rr).flat]))
    assert one.auc == pytest.approx(other.auc)


def step_probabilities(rng):
    """A random law of two tokens of a vocabulary of 3: the first step, and the second given the first."""
    return rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), size=3)


def test_the_rao_blackwell_form_has_the_same_mean_as_fade_and_less_spread():
    rng = np.random.default_rng(0)
    (p1, p2), (q1, q2) = step_probabilities(rng), step_probabilities(rng)
    truth = sum(
        (x := p1[a] * p2[a, b]) * math.log(x / (y := q1[a] * q2[a, b])) + y * math.log(y / x)
        for a, b in itertools.product(range(3), repeat=2)
    )

    def draw(first, second):
        a = rng.choice(3, size=40, p=first)
        return a, np.array([rng.choice(3, p=second[x]) for x in a])

    def one_run():
        (a, b), (c, d) = draw(p1, p2), draw(q1, q2)
        log_p, log_q = np.log(p1[:, None] * p2), np.log(q1[:, None] * q2)
        plain = fade(log_p[a, b], log_q[a, b], log_q[c, d], log_p[c, d])
        ends = np.arange(0, 81, 2)
        first, then = rel_entr(p1, q1).sum(), rel_entr(p2, q2).sum(axis=1)
        back, after = rel_entr(q1, p1).sum(), rel_entr(q2, p2).sum(axis=1)
        forward, backward = (
            np.column_stack([np.full(40, x), y]).ravel() for x, y in ((first, then[a]), (back, after[c]))
        )
        return plain, fade_rao_blackwell(forward, ends, backward, ends)

    runs = np.array([one_run() for _ in range(300)])
    error = runs.std(axis=0) / math.sqrt(300)
    assert np.all(np.abs(runs.mean(axis=0) - truth) < 4 * error)
    assert runs[:, 1].std() < 0.7 * runs[:, 0].std()
    with pytest.raises(ValueError, match="`step_kl_forward` holds -1"):
        fade_rao_blackwell([-1.0], [0, 1], [1.0], [0, 1])


def test_the_score_form_of_diffusion_is_the_likelihood_form_on_average():
    """Images of two models are Gaussian with means a and b; the right denoisers are known exactly."""
    rng = np.random.default_rng(0)
    mean, noise_level, n = {"u": 0.7, "r": -0.4}, 0.8, 200_000

    def predicted(noised, model):
        """E[eps | x_t] for x_t = x_0 + s eps, x_0 ~ N(mean, 1)."""
        return noise_level * (noised - mean[model]) / (1 + noise_level**2)

    loss, gap = {}, {}
    for author in "ur":
        noise = rng.normal(size=n)
        noised = mean[author] + rng.normal(size=n) + noise_level * noise
        loss |= {m + author: (noise - predicted(noised, m)) ** 2 for m in "ur"}
        gap[author] = (predicted(noised, "u") - predicted(noised, "r")) ** 2
    likelihood = fade_diffusion(loss["uu"], loss["ru"], loss["rr"], loss["ur"])
    score = fade_diffusion_score(gap["u"], gap["r"])
    truth = 2 * (noise_level * 1.1 / (1 + noise_level**2)) ** 2
    assert score == pytest.approx(truth, rel=1e-9)
    assert likelihood == pytest.approx(truth, rel=0.03)
    assert fade_diffusion_score(gap["u"], gap["r"], weight=0.5) == pytest.approx(score / 2)
    with pytest.raises(ValueError, match="squared distances"):
        fade_diffusion_score([[-1.0]], [[0.0]])


def test_the_catalogue_reads_the_store_as_the_functions_do(arrays):
    uu, rr = (arrays[f"{model}.samples.log_prob"].reshape(6, 4) for model in ("unlearned", "retrained"))
    ru, ur = (arrays[f"versus.samples.{name}"].reshape(6, 4) for name in ("by_reference", "of_reference"))
    profile = privacy_profile(uu, ru, rr, ur, epsilon=[0.0])
    value = {name: estimate(BY_NAME[name], arrays).value for name in ("FADE-JS", "delta(0)", "AUC-answer", "FADE-RB")}
    assert value["FADE-JS"] == fade_js(uu, ru, rr, ur)
    assert value["delta(0)"] == pytest.approx((profile.forward[0] + profile.backward[0]) / 2)
    assert value["AUC-answer"] == profile.auc
    steps = [arrays[f"versus.samples.step_kl_{name}"] for name in ("forward", "reverse")]
    assert value["FADE-RB"] == pytest.approx(sum(x.sum() / 24 for x in steps))
    half = estimate(BY_NAME["FADE"], arrays, variant="half").value
    assert half == pytest.approx(estimate(BY_NAME["FADE"], arrays).value / 2)


def test_a_negative_epsilon_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match="the reverse is in `backward`"):
        privacy_profile([[0.0]], [[0.0]], [[0.0]], [[0.0]], epsilon=[-1.0])
