"""Planted situations: each finding comes when it must, and not otherwise."""

from dataclasses import replace

import pytest

from vestige.evaluation.config import read_config
from vestige.evaluation.controls import cards, judge_metric
from vestige.evaluation.findings import blind_baseline, run_findings
from vestige.evaluation.measures import measure
from vestige.evaluation.plan import plan_run
from vestige.metrics.accuracy import RA
from vestige.metrics.distribution import JS
from vestige.metrics.fade import FADE
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate


@pytest.fixture(scope="module")
def measures(micro_run):
    return measure(plan_run(read_config(micro_run.folder / "config.yaml"), micro_run.folder))


def with_values(measures, metric, **values):
    """The same measures with other values of one metric; `_` stands for - in names."""
    scores = {name: dict(by_metric) for name, by_metric in measures.scores.items()}
    for name, value in values.items():
        scores[name.replace("_", "-").replace("-at-", "@")][metric] = Estimate(value, value - 0.01, value + 0.01)
    return replace(measures, scores=scores)


def codes(measures, verdicts=None, details=None):
    blind = blind_baseline(measures.run)
    return [f.code for f in run_findings(measures, cards(measures), [verdicts or {}], details or {}, blind)]


def test_a_metric_passes_if_every_honest_model_is_closer_than_every_one_that_remembers(measures):
    honest = {"retrained_1": 0.1, "retrained_2": 0.2, "retrained_held_back": 0.15}
    apart = with_values(measures, "JS", **honest, original=0.5, original_noised=0.4)
    assert judge_metric(apart, JS).passes is True
    assert judge_metric(with_values(apart, "JS", retrained_2=0.45), JS).passes is False
    assert judge_metric(with_values(apart, "JS", original_noised=0.19), JS).passes is False


def test_orientation_decides_what_closer_means(measures):
    values = {
        "retrained_1": 0.9,
        "retrained_2": 0.8,
        "retrained_held_back": 0.85,
        "original": 0.5,
        "original_noised": 0.6,
    }
    assert judge_metric(with_values(measures, "RA", **values), RA).passes is True
    assert judge_metric(with_values(measures, "FADE", **values), FADE).passes is False


def verdict(kind, value=2.0):
    return Equivalence(kind, Estimate(value, value / 2, value * 2), 1.25, value * 2, "JS", 3)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("retrained-held-back", "different", "control_verdict"),
        ("original", "equivalent", "control_verdict"),
        ("original-noised", "undecided", "control_undecided"),
    ],
)
def test_a_control_with_the_wrong_verdict_is_said_first(measures, name, kind, code):
    right = {"retrained-held-back": verdict("undecided"), "original": verdict("different")}
    assert not {"control_verdict", "control_undecided"} & set(codes(measures, right))
    found = codes(measures, {**right, name: verdict(kind)})
    assert found[0] == code if code == "control_verdict" else code in found


def test_models_that_two_distances_judge_apart_are_named(measures):
    by_js, by_function = {"GA@3": verdict("equivalent")}, {"GA@3": verdict("different")}
    found = run_findings(measures, cards(measures), [by_js, by_function], {}, {})
    assert "GA@3" in next(f.message for f in found if f.code == "verdicts_disagree")
    agreeing = run_findings(measures, cards(measures), [by_js, {"GA@3": verdict("undecided")}], {}, {})
    assert "verdicts_disagree" not in [f.code for f in agreeing]


def test_a_control_by_the_second_distance_counts_as_well(measures):
    wrong = {"retrained-held-back": verdict("different")}
    assert "control_verdict" in [f.code for f in run_findings(measures, cards(measures), [{}, wrong], {}, {})]


def test_a_metric_that_is_undefined_on_a_control_is_not_judged(measures):
    result = judge_metric(with_values(measures, "JS", retrained_1=float("nan")), JS)
    assert result.passes is None
    assert "undefined" in result.sentence


def test_no_classifier_is_trained_where_folds_would_share_clusters(measures):
    plan = measures.run.scoring
    alone = tuple(replace(e, cluster="one") for e in plan.examples["holdout"])
    run = replace(measures.run, scoring=replace(plan, examples={**plan.examples, "holdout": alone}))
    assert "two clusters" in blind_baseline(run)["words"].reason


def hidden_damage(measures):
    found = run_findings(measures, cards(measures), [], {}, {})
    return " ".join(f.message for f in found if f.code == "hidden_damage")


def test_damage_that_accuracy_hides_is_named(measures):
    hidden = with_values(measures, "FA", GA_at_3=0.2, retrained_0=0.25)
    hidden = with_values(hidden, "RA", GA_at_3=0.9, original=1.0)
    hidden = with_values(hidden, "FADE", GA_at_3=9.0, original=3.0)
    assert "GA@3" in hidden_damage(hidden)
    assert "GA@3" not in hidden_damage(with_values(hidden, "FADE", GA_at_3=2.0))
    assert "GA@3" not in hidden_damage(with_values(hidden, "FA", GA_at_3=0.9))
    assert "GA@3" not in hidden_damage(with_values(hidden, "RA", GA_at_3=0.7))


def test_collapsed_models_are_those_under_seven_tenths_of_the_original(measures):
    fallen = with_values(measures, "RA", original=1.0, GA_at_3=0.69, GA_at_12=0.71)
    assert fallen.collapsed["GA@3"] and not fallen.collapsed["GA@12"]
    assert "collapsed_models" in codes(fallen)


def test_models_that_do_not_end_their_answers_are_named(measures):
    assert "truncated_samples" in codes(measures, details={"GA@3": {"truncated samples": 0.5}})
    assert "truncated_samples" not in codes(measures, details={"GA@3": {"truncated samples": 0.1}})


def test_the_blind_baseline_sees_sets_that_differ_and_only_those(measures):
    assert set(blind_baseline(measures.run)) == {"length", "zlib", "words"}
    assert "blind_baseline" not in codes(measures)
    plan = measures.run.scoring
    longer = tuple(replace(e, prompt=e.prompt + " Please answer at length." * 3) for e in plan.examples["holdout"])
    shifted = replace(measures.run, scoring=replace(plan, examples={**plan.examples, "holdout": longer}))
    assert blind_baseline(shifted)["length"].value < 0.1
    assert "blind_baseline" in codes(replace(measures, run=shifted))
