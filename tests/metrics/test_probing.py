"""Depth, concept traces and candidates against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.metrics.probing import candidate_budgets, concept_traces, patching_drop, success_at, unlearning_depth

seeds = st.integers(0, 1000)


def depth_by_definition(ours, theirs, threshold):
    values = []
    for u, r in zip(ours, theirs, strict=True):
        layers = [layer for layer in range(len(r)) if r[layer] > threshold]
        whole = sum(r[layer] for layer in layers)
        erased = sum(r[layer] * min(max(u[layer] / r[layer], 0), 1) for layer in layers)
        values.append(erased / whole if layers else np.nan)
    return values


@given(seeds, st.sampled_from([0.0, 0.05, 0.5]))
def test_depth_is_its_definition(seed, threshold):
    ours, theirs = np.random.default_rng(seed).normal(0.3, 0.5, (2, 8, 5))
    np.testing.assert_allclose(
        unlearning_depth(ours, theirs, threshold), depth_by_definition(ours, theirs, threshold), rtol=1e-9
    )


def test_the_retrained_model_has_depth_1_and_the_original_0():
    drops = np.random.default_rng(0).uniform(0.1, 2, (6, 4))
    np.testing.assert_array_equal(unlearning_depth(drops, drops), 1)
    np.testing.assert_array_equal(unlearning_depth(np.zeros((6, 4)), drops), 0)
    assert np.isnan(unlearning_depth(drops, np.zeros((6, 4)))).all()


def test_drops_are_means_over_an_example_s_tokens():
    rng = np.random.default_rng(0)
    full, patched = rng.normal(size=5), rng.normal(size=(3, 5))
    found = patching_drop(full, patched, [0, 2, 5])
    for example, tokens in enumerate((slice(0, 2), slice(2, 5))):
        for layer in range(3):
            assert found[example, layer] == pytest.approx(np.mean(full[tokens] - patched[layer, tokens]))


def test_concept_traces_are_their_definitions():
    rng = np.random.default_rng(0)
    before, after, embedding = rng.normal(size=(4, 8)), rng.normal(size=(4, 8)), rng.normal(size=(30, 8))
    found = concept_traces(before, after, embedding, top=6)
    for i in range(4):
        tops = [set(np.argsort(embedding @ v[i])[-6:]) for v in (before, after)]
        assert found["jaccard"][i] == len(tops[0] & tops[1]) / len(tops[0] | tops[1])
        lengths = np.linalg.norm(before[i]) * np.linalg.norm(after[i])
        assert found["cosine"][i] == pytest.approx(before[i] @ after[i] / lengths)
        assert found["distance"][i] == pytest.approx(np.linalg.norm(before[i] - after[i]))
    same = concept_traces(before, before, embedding, top=6)
    np.testing.assert_allclose(same["cosine"], 1)
    np.testing.assert_array_equal(same["jaccard"], 1)


def smallest_budget(lens, answer, attack):
    """Tries k = 1, 2, ... and looks whether the answer must be in the lists; ties go against the attacker."""
    lists = [lens] if attack == "lens" else [np.diff(lens, axis=0), -np.diff(lens, axis=0)]
    for k in range(1, lens.shape[1] + 1):
        for scores in lists:
            for row in scores:
                others = np.delete(row, answer)
                if np.sum(others >= row[answer]) < k:
                    return k * len(lists) * len(scores)
    return None


@given(seeds, st.sampled_from(["lens", "change"]))
def test_budgets_are_found_by_trying(seed, attack):
    rng = np.random.default_rng(seed)
    lens, answers = rng.dirichlet(np.ones(6), (5, 3)).round(1), rng.integers(0, 6, 5)
    expected = [smallest_budget(rows, answer, attack) for rows, answer in zip(lens, answers, strict=True)]
    np.testing.assert_array_equal(candidate_budgets(lens, answers, attack), expected)


def test_a_model_that_says_nothing_gives_nothing_away():
    """Equal probabilities everywhere: a tie that counted as a find would succeed with one candidate."""
    lens = np.full((3, 2, 10), 0.1)
    np.testing.assert_array_equal(candidate_budgets(lens, [0, 4, 9]), 20)
    np.testing.assert_array_equal(candidate_budgets(lens, [0, 4, 9], "change"), 20)


def test_deletion_in_the_last_layer_is_found_by_the_change_and_by_earlier_layers():
    lens = np.array([[[0.1, 0.8, 0.1], [0.1, 0.85, 0.05], [0.6, 0.0, 0.4]]])
    assert candidate_budgets(lens[:, -1:], [1]) == 3
    assert candidate_budgets(lens, [1]) == 3 and candidate_budgets(lens, [1], "change") == 4


def test_success_is_a_share_with_an_interval():
    found = success_at([1, 5, 9, 20, 3, 40], 9, clusters=[0, 0, 1, 1, 2, 2])
    assert found.value == pytest.approx(4 / 6) and found.n_clusters == 3 and found.over == "clusters"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: unlearning_depth([[1.0]], [[1.0, 2.0]]), "must have one shape"),
        (lambda: unlearning_depth([[1.0]], [[1.0]], -1), "`threshold` must be at least 0"),
        (lambda: patching_drop([1.0], [[1.0, 2.0]], [0, 1]), "`patched` must have shape"),
        (lambda: patching_drop([1.0], [[1.0]], [0, 0, 1]), "example 1 has no token"),
        (lambda: concept_traces([[1.0]], [[1.0]], [[1.0]], top=2), "`top` must lie in 1 to the 1"),
        (lambda: concept_traces([[1.0]], [[1.0, 2.0]], [[1.0]]), "must have one shape"),
        (lambda: candidate_budgets(np.ones((1, 1, 2)), [2]), "`answers` must be tokens"),
        (lambda: candidate_budgets(np.ones((1, 1, 2)), [0], "change"), "two layers or more"),
        (lambda: candidate_budgets(np.ones((1, 2)), [0]), "`lens` must have shape"),
        (lambda: success_at([1.0], 1, [0, 1]), "one label an example"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
