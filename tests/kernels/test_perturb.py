import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from vestige.kernels import kendall_tau, perturb_weights, set_num_threads


def ties_reference(sums):
    """Number of each model's set of ties, neighbours within the documented tolerance."""
    order = np.argsort(sums, kind="stable")
    gaps = np.diff(sums[order]) > 1e-12 * np.abs(sums).max()
    ties = np.empty(len(sums), int)
    ties[order] = np.r_[0, np.cumsum(gaps)]
    return ties


def weighted_sums(scores, weights):
    """Added metric by metric, as documented."""
    sums = np.zeros(len(scores))
    for column, weight in zip(scores.T, weights, strict=True):
        sums += column * weight
    return sums


def reference(scores, weights, draws):
    """One draw at a time, from the definition of each field."""
    n = len(scores)
    base = ties_reference(weighted_sums(scores, weights))
    tau, rank_counts, first, above = [], np.zeros((n, n), int), np.zeros(n), np.zeros((n, n))
    for draw in draws:
        ties = ties_reference(weighted_sums(scores, draw))
        tau.append(kendall_tau(base, ties))
        ranks = scipy.stats.rankdata(-ties)
        rank_counts[np.arange(n), ranks.astype(int) - 1] += 1
        first += (ties == ties.max()) / (ties == ties.max()).sum()
        above += ties[:, None] > ties[None, :]
    return np.array(tau), rank_counts, first, above / len(draws)


@st.composite
def problems(draw):
    n_models, n_metrics = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([1, 3, 1000]))
    scores = rng.integers(0, levels, (n_models, n_metrics)) / levels
    weights = rng.dirichlet(np.ones(n_metrics))
    return scores, weights, rng.dirichlet(np.ones(n_metrics), size=draw(st.integers(1, 20)))


@given(problems())
def test_every_field_matches_its_definition_for_given_draws(problem):
    scores, weights, draws = problem
    result = perturb_weights(scores, weights, draws=draws, return_draws=True)
    tau, rank_counts, first, flips = reference(scores, weights, draws)
    np.testing.assert_allclose(result.tau, tau, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(result.rank_counts, rank_counts)
    np.testing.assert_allclose(result.first_counts, first, rtol=1e-12)
    np.testing.assert_allclose(result.flips, flips, rtol=1e-12)
    np.testing.assert_array_equal(result.weights, draws)
    assert (result.law, result.n_draws, result.n_models) == ("given", len(draws), len(scores))
    defined = tau[~np.isnan(tau)]
    assert result.n_undefined == np.isnan(tau).sum()
    np.testing.assert_allclose(result.tau_mean, defined.mean() if defined.size else math.nan, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.tau_sd, defined.std() if defined.size else math.nan, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_draws", [1, 15, 16, 17, 32, 48, 511, 512, 513, 528, 1024, 1040, 5000])
def test_no_number_of_draws_is_special(n_draws):
    """Draws go through in blocks of 16, registers of 32 and tiles of 512."""
    rng = np.random.default_rng(n_draws)
    scores, weights, draws = rng.random((7, 3)), np.full(3, 1 / 3), rng.dirichlet(np.ones(3), size=n_draws)
    result = perturb_weights(scores, weights, draws=draws)
    tau, rank_counts, first, flips = reference(scores, weights, draws)
    assert result.tau_mean == pytest.approx(tau.mean(), rel=1e-12)
    np.testing.assert_array_equal(result.rank_counts, rank_counts)
    np.testing.assert_array_equal(result.first_counts, first)
    np.testing.assert_allclose(result.flips, flips, rtol=1e-12)


@pytest.mark.parametrize("law", ["simplex", "dirichlet", "lognormal"])
def test_drawn_weightings_are_those_that_the_summary_is_of(law):
    rng = np.random.default_rng(0)
    scores, weights = rng.random((9, 4)), rng.dirichlet(np.ones(4))
    drawn = perturb_weights(scores, weights, n_draws=700, law=law, return_draws=True, seed=3)
    again = perturb_weights(scores, weights, draws=drawn.weights)
    np.testing.assert_allclose(drawn.weights.sum(axis=1), 1, rtol=1e-14)
    assert (drawn.tau_mean, drawn.tau_sd) == (again.tau_mean, again.tau_sd)
    np.testing.assert_array_equal(drawn.rank_counts, again.rank_counts)
    assert drawn.law == law and drawn.tau.shape == (700,)


def marginals(law, weights, n_draws=20_000):
    scores = np.zeros((1, len(weights)))
    return perturb_weights(scores, weights, n_draws=n_draws, law=law, return_draws=True, seed=1).weights


def test_the_simplex_law_is_uniform():
    drawn = marginals("simplex", [0.2, 0.3, 0.5])
    for column in drawn.T:
        assert scipy.stats.kstest(column, scipy.stats.beta(1, 2).cdf).pvalue > 1e-4


def test_the_dirichlet_law_has_its_marginals_and_keeps_zeros():
    weights = np.array([0.0, 0.005, 0.3, 0.695])
    drawn = marginals("dirichlet", weights)
    assert (drawn[:, 0] == 0).all()
    for column, weight in zip(drawn.T[1:], weights[1:], strict=True):
        assert scipy.stats.kstest(column, scipy.stats.beta(50 * weight, 50 * (1 - weight)).cdf).pvalue > 1e-4


def test_the_lognormal_law_has_its_spread():
    drawn = marginals("lognormal", [0.25, 0.75])
    z = (np.log(drawn[:, 0] / drawn[:, 1]) - math.log(1 / 3)) / (0.25 * math.sqrt(2))
    assert scipy.stats.kstest(z, "norm").pvalue > 1e-4


def test_rounding_in_a_sum_makes_no_order():
    scores = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.0, 0.0, 0.0]])
    result = perturb_weights(scores, np.full(3, 1 / 3), draws=np.full((1, 3), 1 / 3))
    assert result.flips[0, 1] == result.flips[1, 0] == 0
    assert result.first_counts.tolist() == [0.5, 0.5, 0]
    assert result.rank_counts.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_the_seed_decides_and_the_number_of_threads_does_not():
    rng = np.random.default_rng(0)
    scores, weights = rng.random((20, 5)).round(2), np.full(5, 0.2)
    results = []
    for n in (1, 3):
        set_num_threads(n)
        results.append(perturb_weights(scores, weights, n_draws=70_000, law="dirichlet", seed=9))
    for field in ("tau_mean", "tau_sd", "rank_counts", "first_counts", "flips"):
        np.testing.assert_array_equal(getattr(results[0], field), getattr(results[1], field))
    other = perturb_weights(scores, weights, n_draws=1000, law="dirichlet", seed=10)
    assert other.tau_mean != results[0].tau_mean
    assert results[0].tau is None and results[0].weights is None


def test_counts_add_up():
    scores = np.random.default_rng(0).random((7, 3)).round(1)
    result = perturb_weights(scores, [0.2, 0.3, 0.5], n_draws=1234)
    assert (result.rank_counts.sum(axis=1) == 1234).all()
    assert result.first_counts.sum() == pytest.approx(1234)
    assert (result.flips + result.flips.T <= 1 + 1e-12).all() and (np.diag(result.flips) == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": [0.5, 0.6]}, r"`weights` must be non-negative and sum to 1, but they are \[0.5, 0.6\]"),
        ({"weights": [1.5, -0.5]}, "`weights` must be non-negative"),
        ({"weights": [1.0]}, "`weights` must hold one a column of `scores`"),
        ({"weights": [0.5, math.nan]}, "`weights` must be non-negative"),
        ({"scores": [[0.0, math.nan]]}, "`scores` must be finite, but model 0 has nan for metric 1"),
        ({"scores": [0.0, 1.0]}, r"`scores` must have shape \(n_models, n_metrics\)"),
        ({"law": "uniform"}, "`law` must be"),
        ({"draws": [[1.0]]}, "one weight for each of 2 metrics"),
        ({"draws": [[1.0, 0.0], [0.0, 0.0]]}, "`draws` must be non-negative with a positive sum, but row 1"),
        ({"n_draws": 0}, "`n_draws` must be a positive integer"),
    ],
)
def test_a_wrong_argument_is_named(changes, message):
    arguments = {"scores": [[0.0, 1.0], [1.0, 0.0]], "weights": [0.5, 0.5]} | changes
    with pytest.raises(ValueError, match=message):
        perturb_weights(**arguments)


def test_more_models_than_pairs_can_be_counted_of_are_refused():
    with pytest.raises(ValueError, match=r"10,000 models.* it has 10,001"):
        perturb_weights(np.zeros((10_001, 1)), [1.0])
