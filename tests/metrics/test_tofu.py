"""TOFU's numbers against one question at a time in plain Python, with the readings that released code has."""

import itertools
import math
from statistics import harmonic_mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hmean

from vestige.metrics import METRICS, estimate
from vestige.metrics.tofu import (
    UTILITY_PARTS,
    answer_probability,
    forget_truth,
    model_utility,
    option_probability,
    truth_ratio,
    utility_truth,
    without_end,
)

BY_NAME = {metric.name: metric for metric in METRICS}


def answers(arrays, column, split="forget"):
    ends = arrays[f"unlearned.{split}.offsets"]
    return [arrays[f"unlearned.{split}.{column}"][a:b].tolist() for a, b in itertools.pairwise(ends)]


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values)


@pytest.mark.parametrize(("name", "split"), [("Prob", "forget"), ("Prob-retain", "retain")])
def test_probability_is_the_geometric_mean_over_tokens(arrays, name, split):
    expected = mean(math.prod(map(math.exp, a)) ** (1 / len(a)) for a in answers(arrays, "token_log_prob", split))
    assert estimate(BY_NAME[name], arrays).value == pytest.approx(expected)


def test_probability_does_not_fall_with_the_length_of_the_answer():
    assert answer_probability(np.log([0.5] * 7), [0, 1, 7]).tolist() == pytest.approx([0.5, 0.5])


def strength(hits):
    """1 - k/T by trying every k; 0 where the last token is a miss."""
    return next((1 - k / len(hits) for k in range(len(hits)) if all(hits[k:])), 0.0)


def test_memorisation_counts_tokens_without_the_end_of_sequence(arrays):
    hits = [h[:-1] for h in answers(arrays, "argmax_hit")]
    assert estimate(BY_NAME["EM"], arrays).value == pytest.approx(mean(map(mean, hits)))
    assert estimate(BY_NAME["ES"], arrays).value == pytest.approx(mean(map(strength, hits)))
    released = estimate(BY_NAME["ES"], arrays, variant="openunlearning").value
    assert released == pytest.approx(mean(max(strength(h), 1 / len(h)) for h in hits))


def test_extraction_strength_is_zero_where_nothing_matches_and_the_released_floor_is_not(arrays):
    """metrics.md 3.5, trap 6: the released metric never reaches 0; its floor at 126 tokens is in the MUSE table."""
    one = {
        "unlearned.forget.argmax_hit": np.zeros(127, bool),
        "unlearned.forget.token_id": np.arange(127),
        "unlearned.forget.offsets": np.array([0, 127]),
        "data.forget.cluster": np.array([0]),
    }
    assert estimate(BY_NAME["ES"], one).value == 0
    floor = estimate(BY_NAME["ES"], one, variant="openunlearning").value
    assert floor == pytest.approx(0.0079365, abs=1e-7)


def test_answers_that_end_in_different_tokens_are_left_whole():
    hits, ends = without_end([True, False, True], [5, 1, 2], [0, 2, 3])
    assert (hits.tolist(), ends.tolist()) == ([True, False, True], [0, 2, 3])


def test_the_three_truth_ratios_differ_and_each_is_its_definition():
    """metrics.md 3.3, trap 7."""
    right, wrong = [0.4, 0.1], [[0.2, 0.05], [0.3, 0.3]]
    found = {form: truth_ratio(np.log(right), np.log(wrong), form) for form in ("ratio", "arithmetic", "share")}
    for i, (p, others) in enumerate(zip(right, wrong, strict=True)):
        geometric = math.prod(others) ** 0.5
        assert found["ratio"][i] == pytest.approx(geometric / p)
        assert found["arithmetic"][i] == pytest.approx(mean(others) / p)
        assert found["share"][i] == pytest.approx(p / (p + geometric))
    assert len({round(float(values[0]), 6) for values in found.values()}) == 3
    with pytest.raises(ValueError, match="'ratio', 'arithmetic' or 'share'"):
        truth_ratio([0.0], [[0.0]], "median")
    with pytest.raises(ValueError, match=r"shape \(n_examples, n_wrong\)"):
        truth_ratio([0.0], [0.0])


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
def test_the_two_aggregations_have_their_best_values_where_they_say(ratios):
    closer, true = forget_truth(ratios), utility_truth(ratios)
    np.testing.assert_allclose(closer, forget_truth(1 / np.array(ratios)))
    assert np.all((closer > 0) & (closer <= 1)) and np.all((true >= 0) & (true < 1))
    assert forget_truth([1.0])[0] == 1 and utility_truth([1.0])[0] == 0


def test_truth_ratio_of_the_catalogue_has_all_readings(arrays):
    right, wrong = (arrays[f"unlearned.forget.{side}_log_prob"] for side in ("right", "wrong"))
    expected = {
        "": forget_truth(truth_ratio(right, wrong)),
        "tofu": forget_truth(truth_ratio(right, wrong, "arithmetic")),
        "share": truth_ratio(right, wrong, "share"),
    }
    for variant, values in expected.items():
        assert estimate(BY_NAME["TruthRatio"], arrays, variant=variant).value == pytest.approx(values.mean())


def test_option_probability_shares_out_one():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=8) * 0.7
    shares = sum(option_probability(p[:, i], np.delete(p, i, axis=1)) for i in range(4))
    np.testing.assert_allclose(shares, 1, rtol=1e-8)


def test_model_utility_is_the_harmonic_mean_and_names_what_it_hangs_on(arrays):
    parts = {part: arrays[f"unlearned.{part}"] for part in UTILITY_PARTS}
    means = [mean(values.tolist()) for values in parts.values()]
    utility = model_utility(parts)
    assert len(means) == 9
    assert utility.value == pytest.approx(harmonic_mean(means)) == pytest.approx(hmean(means))
    assert utility.parts[utility.bottleneck] == pytest.approx(min(means))
    result = estimate(BY_NAME["ModelUtility"], arrays)
    assert result.value == pytest.approx(utility.value) and result.low < utility.value < result.high


def test_model_utility_is_zero_if_a_part_is_and_then_has_no_interval(arrays):
    arrays = {**arrays, "unlearned.retain.rouge": np.zeros(20)}
    result = estimate(BY_NAME["ModelUtility"], arrays)
    assert (result.value, result.has_interval) == (0, False) and result.reason
    with pytest.raises(ValueError, match="part 'x' must hold values within"):
        model_utility({"x": [2.0]})


def test_the_interval_of_a_harmonic_mean_covers_as_it_says():
    """Twelve authors with a level of their own; parts of one split share them."""
    rng, metric, hits, truth = np.random.default_rng(0), BY_NAME["ModelUtility"], 0, 0.5
    for _ in range(60):
        arrays = {}
        for i, split in enumerate(("retain", "real_authors", "world_facts")):
            arrays[f"data.{split}.cluster"] = 100 * i + np.repeat(np.arange(12), 3)
            level = np.repeat(rng.uniform(-0.2, 0.2, 12), 3)
            for part in ("probability", "rouge", "truth_ratio"):
                arrays[f"unlearned.{split}.{part}"] = truth + level + rng.uniform(-0.3, 0.3, 36)
        result = estimate(metric, arrays)
        hits += result.low <= truth <= result.high
    assert 0.88 <= hits / 60 <= 1
