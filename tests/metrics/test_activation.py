"""Distances of states and weights: written-out definitions, invariances, unbiasedness of CKA."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.metrics import METRICS, estimate
from vestige.metrics.activation import (
    activation_distance,
    adapter_distance,
    linear_cka,
    pool_tokens,
    probability_distance,
    weight_distances,
)
from vestige.stats.equivalence import equivalence_to_retraining

seeds = st.integers(0, 1000)


def test_layers_are_as_far_as_each_is_alone():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 6, 3, 5))
    found = activation_distance(ours, theirs)
    assert found.shape == (6, 3)
    for layer in range(3):
        np.testing.assert_allclose(found[:, layer], activation_distance(ours[:, layer], theirs[:, layer]))
        assert found[2, layer] == pytest.approx(math.dist(ours[2, layer], theirs[2, layer]))


def test_pooling_is_the_mean_or_the_last_token():
    states = np.random.default_rng(0).normal(size=(7, 4))
    offsets = [0, 3, 4, 7]
    pieces = [states[0:3], states[3:4], states[4:7]]
    np.testing.assert_allclose(pool_tokens(states, offsets), [piece.mean(axis=0) for piece in pieces])
    np.testing.assert_array_equal(pool_tokens(states, offsets, "last"), [piece[-1] for piece in pieces])


def test_the_distance_of_probabilities_is_not_that_of_logits():
    logits = np.random.default_rng(0).normal(size=(2, 5, 4))
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = [math.dist(p, q) for p, q in zip(*probs, strict=True)]
    np.testing.assert_allclose(probability_distance(*probs), expected)
    with pytest.raises(ValueError, match="apply softmax"):
        probability_distance(*logits)


def test_weights_are_compared_layer_by_layer():
    rng = np.random.default_rng(0)
    names = ["model.embed.weight", "model.layers.0.q.weight", "model.layers.0.k.weight", "model.layers.11.q.weight"]
    ours, theirs = ({name: rng.normal(size=(3, 2)) for name in names} for _ in "ur")
    found = weight_distances(ours, theirs)
    assert list(found) == ["model.embed", "model.layers.0", "model.layers.11"]
    both = [np.linalg.norm(ours[name] - theirs[name]) for name in names[1:3]]
    assert found["model.layers.0"] == pytest.approx(math.hypot(*both))
    assert set(weight_distances(ours, ours).values()) == {0.0}


def adapter(rng, rank):
    return rng.normal(size=(rank, 6)), rng.normal(size=(5, rank))


@given(seeds)
def test_the_adapter_distance_is_that_of_the_written_out_updates(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = ({name: adapter(rng, rank) for name in "qv"} for rank in (2, 3))
    update = {name: ours[name][1] @ ours[name][0] - theirs[name][1] @ theirs[name][0] for name in "qv"}
    whole = {name: np.linalg.norm(theirs[name][1] @ theirs[name][0]) for name in "qv"}
    expected = np.mean([np.linalg.norm(update[name]) / whole[name] for name in "qv"])
    assert adapter_distance(ours, theirs) == pytest.approx(expected, rel=1e-9)


@given(seeds)
def test_another_parameterisation_of_the_same_adapter_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = {"q": adapter(rng, 3)}, {"q": adapter(rng, 3)}
    a, b = ours["q"]
    turn = rng.normal(size=(3, 3)) + 3 * np.eye(3)
    turned = {"q": (turn @ a, b @ np.linalg.inv(turn))}
    assert adapter_distance(turned, theirs) == pytest.approx(adapter_distance(ours, theirs), rel=1e-6)
    assert adapter_distance(turned, ours) == pytest.approx(0, abs=1e-9)
    # The released distance of the factors themselves calls the two different.
    assert np.linalg.norm(turned["q"][0] - a) > 1


def test_a_module_that_the_reference_leaves_alone_is_undefined():
    assert math.isnan(adapter_distance({"q": ([[1.0]], [[1.0]])}, {"q": ([[1.0]], [[0.0]])}))


def cka_by_definition(x, y):
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, other = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    return np.trace(k @ other) / math.sqrt(np.trace(k @ k) * np.trace(other @ other))


def unbiased_hsic_by_definition(k, other):
    """Song et al. (2012): the mean over four different examples of (k_ij - k_ik) products, term by term."""
    n = len(k)
    pairs = sum(k[i, j] * other[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    triples = sum(
        k[i, j] * other[i, q] for i in range(n) for j in range(n) for q in range(n) if len({i, j, q}) == 3
    ) / (n * (n - 1) * (n - 2))
    quads = sum(
        k[i, j] * other[q, r]
        for i in range(n)
        for j in range(n)
        for q in range(n)
        for r in range(n)
        if len({i, j, q, r}) == 4
    ) / (n * (n - 1) * (n - 2) * (n - 3))
    return pairs - 2 * triples + quads


@pytest.mark.parametrize("n_features", [3, 12])
def test_cka_is_its_definition_in_both_variants(n_features):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, n_features)), rng.normal(size=(7, n_features + 1))
    assert linear_cka(x, y, "plain") == pytest.approx(cka_by_definition(x, y))
    grams = [part @ part.T for part in (x, y)]
    hsic = {(i, j): unbiased_hsic_by_definition(grams[i], grams[j]) for i in (0, 1) for j in (0, 1)}
    assert linear_cka(x, y) == pytest.approx(hsic[0, 1] / math.sqrt(hsic[0, 0] * hsic[1, 1]))


def test_cka_of_unrelated_features_is_0_only_without_bias():
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(20, 50)), rng.normal(size=(20, 50))) for _ in range(60)]
    assert abs(np.mean([linear_cka(x, y) for x, y in pairs])) < 0.02
    assert np.mean([linear_cka(x, y, "plain") for x, y in pairs]) > 0.6


@given(seeds)
def test_cka_sees_neither_rotation_nor_scale_nor_order_of_examples(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 4))
    turn, order = np.linalg.qr(rng.normal(size=(4, 4)))[0], rng.permutation(12)
    assert linear_cka(x, 3 * x @ turn + 7) == pytest.approx(1)
    assert linear_cka(x[order], y[order]) == pytest.approx(linear_cka(x, y), rel=1e-9, abs=1e-9)


def test_a_retrained_seed_is_one_floor_away_from_the_others():
    """The same model at twice the distance of the seeds has a ratio of 2 whatever the unit."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(5, 40, 8))
    between = np.array([[activation_distance(a, b).mean() for b in states] for a in states])
    honest = rng.normal(size=(40, 8))
    for unit in (1, 1000):
        ratio = equivalence_to_retraining(
            [unit * activation_distance(honest, s).mean() for s in states], unit * between
        ).ratio
        assert ratio.value == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: activation_distance([[1.0]], [[1.0, 2.0]]), "same layer and examples"),
        (lambda: pool_tokens([[1.0]], [0, 0, 1]), "one token an example"),
        (lambda: pool_tokens([[1.0]], [0, 1], "first"), "`how` must be"),
        (lambda: weight_distances({"a": [1.0]}, {"b": [1.0]}), "only one of the models has a, b"),
        (lambda: weight_distances({"a": [1.0]}, {"a": [1.0, 2.0]}), "a has shape"),
        (lambda: adapter_distance({}, {}), "at least one"),
        (lambda: adapter_distance({"q": ([[1.0]], [[1.0, 2.0]])}, {"q": ([[1.0]], [[1.0]])}), "q: A must be"),
        (lambda: linear_cka(np.eye(3), np.eye(3)), "n_examples >= 4"),
        (lambda: linear_cka(np.eye(4), np.eye(4), "debiased"), "`variant` must be"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_constant_features_have_no_cka():
    assert math.isnan(linear_cka(np.ones((5, 2)), np.random.default_rng(0).normal(size=(5, 2)), "plain"))


def test_the_catalogue_s_cka_is_the_function_s(arrays):
    metric = next(metric for metric in METRICS if metric.name == "CKA")
    expected = linear_cka(arrays["unlearned.forget.hidden"], arrays["retrained.forget.hidden"])
    assert estimate(metric, arrays).value == pytest.approx(expected)
