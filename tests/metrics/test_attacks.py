"""Trained attacks: no leakage between folds, scikit-learn by hand as the oracle, chance under no difference."""

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from vestige.metrics.attacks import (
    confidence_features,
    label_features,
    neighbour_attack,
    svc_efficacy,
    trained_attack,
    uqs_released,
)


def test_confidence_features_are_their_definitions_in_every_space():
    logits = np.random.default_rng(0).normal(size=(20, 7))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = [[row.max(), -scipy_entropy(row), np.sort(row)[-1] - np.sort(row)[-2]] for row in probs]
    for values, space in ((logits, "logits"), (np.log(probs), "log_probs"), (probs, "probs")):
        np.testing.assert_allclose(confidence_features(values, space), expected, rtol=1e-9)


def test_label_features_are_their_definitions():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(4), 10), rng.integers(0, 4, 10)
    found = label_features(probs, labels)
    for i, (p, y) in enumerate(zip(probs, labels, strict=True)):
        modified = -(1 - p[y]) * np.log(p[y]) - sum(p[j] * np.log(1 - p[j]) for j in range(4) if j != y)
        assert found["modified_entropy"][i, 0] == pytest.approx(modified)
        assert found["confidence"][i, 0] == p[y] and found["correctness"][i, 0] == (p.argmax() == y)
    certain = label_features([[1.0, 0.0]], [0])
    assert certain["modified_entropy"][0, 0] == pytest.approx(0) and certain["entropy"][0, 0] == 0


@pytest.mark.parametrize("model", ["logistic", "svc", "neighbours"])
def test_an_attack_finds_a_difference_and_nothing_where_there_is_none(model):
    rng = np.random.default_rng(0)
    found = trained_attack(rng.normal(1.5, 1, (80, 3)), rng.normal(size=(80, 3)), model=model)
    assert found.auc.low > 0.8 and found.balanced_accuracy.value > 0.8 and found.recall > 0.75
    nothing = [trained_attack(*rng.normal(size=(2, 40, 2)), model=model, seed=s).auc.value for s in range(12)]
    assert abs(np.mean(nothing) - 0.5) < 4 * np.std(nothing) / np.sqrt(12)


def test_folds_by_entity_do_not_learn_entities_by_heart():
    """Fifteen rows an author, nearly the same: folds by row find authors again, folds by author cannot."""
    rng = np.random.default_rng(0)
    by_row, by_author = [], []
    for _ in range(4):
        members, others = (rng.normal(size=(12, 1, 4)).repeat(15, 1).reshape(180, 4) for _ in "mo")
        jitter = rng.normal(scale=0.01, size=(2, 180, 4))
        members, others, ids = members + jitter[0], others + jitter[1], np.arange(180) // 15
        by_row.append(trained_attack(members, others, model="neighbours").auc.value)
        by_author.append(trained_attack(members, others, ids, ids + 12, model="neighbours").auc.value)
    assert np.mean(by_row) > 0.8
    assert abs(np.mean(by_author) - 0.5) < 0.2


def test_features_of_any_unit_give_the_same_attack():
    rng = np.random.default_rng(0)
    members, others = rng.normal(0.5, 1, (50, 2)), rng.normal(size=(50, 2))
    scaled = trained_attack(members * [1, 1e4], others * [1, 1e4])
    assert scaled.auc.value == pytest.approx(trained_attack(members, others).auc.value, abs=1e-6)


def test_the_seed_decides_the_folds():
    rng = np.random.default_rng(0)
    sets = rng.normal(size=(2, 60, 2))
    first, again, other = (trained_attack(*sets, seed=seed).auc.value for seed in (1, 1, 2))
    assert first == again != other


def test_the_released_uqs_attack_is_that_of_its_code():
    rng = np.random.default_rng(0)
    forget, retain = rng.normal(0.4, 1, (130, 3)), rng.normal(size=(110, 3))
    features = np.concatenate([retain[:100], forget[:100]])
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    kept, predicted = np.arange(200) < 100, np.zeros(200, bool)
    for train, test in StratifiedKFold(5).split(features, kept):
        predicted[test] = LogisticRegression(max_iter=1000).fit(features[train], kept[train]).predict(features[test])
    assert uqs_released(forget, retain) == pytest.approx(1 - predicted[100:].mean())


def test_svc_efficacy_is_the_share_that_looks_unseen_and_not_its_complement():
    rng = np.random.default_rng(0)
    retain, test = rng.normal(2, 1, (60, 1)), rng.normal(-2, 1, (60, 1))
    attack = SVC(C=3, gamma="auto").fit(np.concatenate([retain, test]), np.repeat([1, 0], 60))
    forget = rng.normal(-1, 1.5, (40, 1))
    found = svc_efficacy(retain, test, forget)
    assert found.value == pytest.approx(1 - attack.predict(forget).mean())
    assert found.value > 0.5 and found.low < found.value < found.high
    assert svc_efficacy(retain, test, test).value > 0.9 > 0.1 > svc_efficacy(retain, test, retain).value


def test_neighbours_in_output_space_see_where_the_mass_went():
    rng = np.random.default_rng(0)
    retrained, same = (rng.dirichlet([1, 8, 2, 2], 100) for _ in "rs")
    moved = rng.dirichlet([1, 2, 8, 2], 100)
    assert neighbour_attack(moved, retrained).auc.low > 0.8
    assert 0.3 < neighbour_attack(same, retrained).auc.value < 0.7
    assert neighbour_attack(retrained, retrained).auc.value == 0.5


def test_left_out_classes_are_not_used():
    rng = np.random.default_rng(0)
    rest = rng.dirichlet([4, 4, 4], 60)
    low, high = (np.concatenate([np.full((60, 1), p), (1 - p) * rest], axis=1) for p in (0.01, 0.3))
    assert neighbour_attack(low, high).auc.value > 0.9
    assert neighbour_attack(low, high, forgotten=[0]).auc.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: trained_attack(np.zeros((3, 2)), np.zeros((3, 1))), "the same features"),
        (lambda: trained_attack(np.zeros((3, 2)), np.full((3, 2), np.nan)), "finite features"),
        (lambda: trained_attack(np.zeros((3, 1)), np.zeros((3, 1)), [0, 0, 0], [1, 1, 1]), "at least two entities"),
        (lambda: trained_attack(np.zeros((3, 1)), np.zeros((3, 1)), model="tree"), "`model` must be one of"),
        (lambda: uqs_released(np.zeros((3, 1)), np.zeros((9, 1))), "at least five"),
        (lambda: svc_efficacy(np.zeros((3, 1)), np.zeros((3, 2)), np.zeros((3, 1))), "the same features"),
        (lambda: neighbour_attack(np.ones((3, 2)), np.ones((3, 3))), "must have one shape"),
        (lambda: neighbour_attack(np.eye(2), np.eye(2), forgotten=[0]), "no probability is left"),
        (lambda: confidence_features([[0.0]]), "at least two classes"),
        (lambda: label_features(np.eye(2), [0]), "one a row"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
