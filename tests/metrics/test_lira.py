"""Likelihood ratios against SciPy's normal distribution; no bias without a difference; the competition's score."""

import numpy as np
import pytest
from scipy.stats import norm

from vestige import kernels
from vestige.metrics.lira import forgetting_quality, likelihood_ratios, u_lira


@pytest.mark.parametrize("variance", ["example", "global"])
def test_the_ratio_is_that_of_two_normal_densities(variance):
    rng = np.random.default_rng(0)
    targets, seen, unseen = rng.normal(size=(5, 7)), rng.normal(1, 2, (9, 7)), rng.normal(-1, 1, (11, 7))
    spreads = [part.std(axis=0, ddof=1) for part in (seen, unseen)]
    if variance == "global":
        spreads = [np.sqrt(np.mean(s**2)) for s in spreads]
    expected = norm.logpdf(targets, seen.mean(axis=0), spreads[0]) - norm.logpdf(
        targets, unseen.mean(axis=0), spreads[1]
    )
    np.testing.assert_allclose(likelihood_ratios(targets, seen, unseen, variance), expected, rtol=1e-9)


def test_a_margin_without_spread_is_undefined():
    assert np.isnan(likelihood_ratios([1.0], [[1.0], [1.0]], [[0.0], [1.0]])).all()


def test_models_that_differ_are_told_apart_with_an_interval_over_models():
    rng = np.random.default_rng(0)
    found = u_lira(rng.normal(1, 1, (32, 30)), rng.normal(size=(32, 30)))
    assert found.name == "U-LiRA" and found.auc.over == "models" and found.auc.n_clusters == 64
    assert found.auc.low > 0.6 and found.accuracy.value > 0.6
    assert found.by_example.shape == (30,) and found.by_example.mean() == pytest.approx(found.auc.value, abs=0.05)
    assert np.isnan(found.tpr[0.001].value) and "needs 10000" in found.tpr[0.001].reason


@pytest.mark.parametrize("variance", ["example", "global"])
def test_models_that_do_not_differ_get_one_half_on_average(variance):
    """Ranking a model by fits to all others of its kind would give less than 0.5 here."""
    rng = np.random.default_rng(0)
    areas = [u_lira(*rng.normal(size=(2, 8, 20)), variance).auc.value for _ in range(60)]
    assert abs(np.mean(areas) - 0.5) < 3.5 * np.std(areas) / np.sqrt(60)
    assert np.std(areas) < 0.08


def test_few_models_are_called_what_they_are():
    rng = np.random.default_rng(0)
    assert u_lira(*rng.normal(size=(2, 31, 5))).name == "calibrated by retrained models"
    assert u_lira(*rng.normal(size=(2, 32, 5))).name == "U-LiRA"


def test_over_forgetting_is_found_as_well():
    """Trap 14: a likelihood ratio sees a difference on whichever side."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 32, 20))
    above, below = (u_lira(noise[0] + shift, noise[1]).auc.value for shift in (1.5, -1.5))
    assert above > 0.75 and below > 0.75


def test_models_of_whichever_order_within_folds_and_examples_of_any_order_give_the_same():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.5, 1, (8, 12)), rng.normal(size=(8, 12))
    order = rng.permutation(12)
    assert u_lira(ours[:, order], theirs[:, order]).auc.value == pytest.approx(u_lira(ours, theirs).auc.value)


def test_examples_without_spread_are_left_out_and_counted():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 6, 4))
    ours[:, 2] = 1.0
    found = u_lira(ours, theirs)
    assert found.n_undefined == 1 and np.isnan(found.by_example[2]) and np.isfinite(found.auc.value)
    nothing = u_lira(np.ones((4, 2)), np.ones((4, 2)))
    assert np.isnan(nothing.auc.value) and nothing.auc.reason == "no example with a spread between models"


def test_the_competition_s_score_is_the_product_of_its_parts():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(64, 20)), rng.normal(size=(64, 20))
    found = forgetting_quality(ours, theirs, (0.9, 1.0), (0.8, 0.9))
    forgetting = kernels.forgetting_score(kernels.example_epsilons(ours, theirs), 64)
    assert found.forgetting.value == pytest.approx(forgetting)
    assert found.score == pytest.approx(forgetting * 0.9 * (0.8 / 0.9))
    assert found.forgetting.low <= forgetting <= found.forgetting.high
    assert 0 < found.floor <= 1
    far = forgetting_quality(ours + 20, theirs, (1.0, 1.0), (1.0, 1.0))
    assert far.score == 0 < found.score


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: likelihood_ratios([1.0], [[1.0]], [[1.0], [2.0]]), "n_models >= 2"),
        (lambda: likelihood_ratios([1.0], [[1.0], [2.0]], [[1.0], [2.0]], "pooled"), "`variance` must be"),
        (lambda: u_lira(np.zeros((2, 3)), np.zeros((9, 3))), "n_models >= 3"),
        (lambda: u_lira(np.zeros((4, 3)), np.zeros((4, 2))), "the same examples"),
        (lambda: forgetting_quality([[0.0]] * 4, [[1.0]] * 4, (1.0, 0.0), (1.0, 1.0)), "must be above 0"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
