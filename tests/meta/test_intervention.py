import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vestige.meta.intervention import (
    faithfulness,
    harmonic_mean,
    intervention_quality,
    quantisation_robustness,
    relearning_robustness,
    robustness_estimate,
)

values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def depth_score(published_tables):
    folder = published_tables / "unlearning-depth-score"
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("meta_eval", "method_results")}


def test_published_robustness_is_the_harmonic_mean_of_its_parts(depth_score):
    published = depth_score["meta_eval"]["robustness"]
    assert len(published) == 22
    for parts in published.values():
        mean, bottleneck = harmonic_mean({name: parts[name] for name in ("relearning", "quantization")})
        assert mean == pytest.approx(parts["agg"], abs=2e-4)  # parts are printed with four digits
        assert parts[bottleneck] == min(parts["relearning"], parts["quantization"])


FLOOR = 1e-12
COMPOSITES = {
    "mem": ("one_minus_es", "one_minus_em", "one_minus_paraprob", "one_minus_truth"),
    "privacy_mia": ("s_loss", "s_zlib", "s_mink", "s_minkpp"),
    "privacy": ("privacy_mia", "uds"),
    "utility": ("model_utility", "fluency"),
    "overall": ("mem", "privacy", "utility_rel"),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_published_composites_are_harmonic_means_of_their_parts(depth_score, name):
    models = depth_score["method_results"]["models"]
    assert len(models) == 152
    for model in models:
        parts = {part: max(model[part], FLOOR) for part in COMPOSITES[name]}
        assert harmonic_mean(parts)[0] == pytest.approx(model[name], abs=1e-9)


def test_published_relative_utility_is_that_of_the_full_model_of_the_epoch(depth_score):
    results = depth_score["method_results"]
    for model in results["models"]:
        full = results["full_utility"][model["epoch"]]
        assert min(1.0, model["utility"] / full) == pytest.approx(model["utility_rel"], abs=1e-9)


@given(values, values)
def test_faithfulness_is_the_area_of_scikit_learn(positive, negative):
    labels = [1] * len(positive) + [0] * len(negative)
    assert faithfulness(positive, negative).value == pytest.approx(roc_auc_score(labels, positive + negative))


def test_training_settings_on_one_data_variant_are_one_piece_of_evidence():
    rng = np.random.default_rng(0)
    variant = np.repeat(np.arange(3), 10)
    shift = rng.normal(size=3)[variant]
    with_it, without = 1 + shift + 0.1 * rng.normal(size=30), -shift + 0.1 * rng.normal(size=30)
    clustered = faithfulness(with_it, without, clusters=(variant, variant + 3))
    alone = faithfulness(with_it, without)
    assert clustered.n_clusters == 6 and clustered.value == alone.value
    assert not clustered.has_interval or clustered.high - clustered.low > alone.high - alone.low


@given(st.floats(0, 1), st.floats(0, 1))
def test_robustness_is_bounded_symmetric_and_one_for_no_change(x, y):
    for function in (quantisation_robustness, relearning_robustness):
        for form in ("symmetric", "one-sided"):
            value = function([x], [y], form=form)[0]
            assert 0 <= value <= 1
            assert function([x], [x], form=form)[0] == 1
        assert function([x], [y])[0] == pytest.approx(function([y], [x])[0])


def test_golden_values_of_both_forms():
    assert quantisation_robustness([0.1, 0.15], [0.15, 0.1], form="one-sided") == pytest.approx([2 / 3, 1])
    assert relearning_robustness([0.6, -0.6, 0.2], 0.4, form="one-sided") == pytest.approx([2 / 3, 0, 1])
    assert relearning_robustness([0.0], 0.0)[0] == 1


def test_the_interval_is_on_the_log_scale_and_undefined_at_zero():
    rng = np.random.default_rng(1)
    r, q = rng.uniform(0.2, 0.9, (2, 12))
    estimate = robustness_estimate(r, q, clusters=np.repeat(np.arange(4), 3))
    assert estimate.low < estimate.value < estimate.high and estimate.n_clusters == 4
    assert estimate.value == pytest.approx(2 / (1 / r.mean() + 1 / q.mean()))
    zero = robustness_estimate(np.zeros(4), np.ones(4))
    assert zero.value == 0 and "edge of the log scale" in zero.reason


def test_the_bottleneck_is_named_and_negative_ratios_are_counted():
    quality = intervention_quality(
        "ES",
        with_knowledge=[0.9, 0.8, 0.7],
        without_knowledge=[0.1, 0.2, 0.3],
        unlearned_change=[0.4, -0.1, 0.5],
        retrained_change=0.01,
        before=[0.1, 0.2, 0.3],
        after=[0.1, 0.2, 0.31],
        form="one-sided",
    )
    assert quality.bottleneck == "relearning" and quality.n_clipped == 1
    expected = harmonic_mean({"f": quality.faithfulness.value, "r": quality.robustness.value})[0]
    assert quality.overall == pytest.approx(expected)


def test_negative_parts_and_uneven_shapes_are_refused():
    with pytest.raises(ValueError, match="at least 0"):
        harmonic_mean({"a": -0.1})
    with pytest.raises(ValueError, match="one shape"):
        quantisation_robustness([0.1, 0.2], [0.1])
