"""Every metric against its definition in plain Python, on numbers that no model made."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import vestige.metrics
from vestige.metrics import DISTANCES, METRICS, Variant, estimate

BY_NAME = {metric.name: metric for metric in (*METRICS, *DISTANCES)}
UNBOUNDED = ("FADE", "FADE/token", "FADE-P", "FADE-R")  # signed estimates, or likelihoods: best in expectation only
BEST = {"AUC-answer": 0.5, "P(TR_u>TR_r)": 0.5, "MIA-ref": 0.5}
METRIC_FAMILIES = {path.stem for path in Path(vestige.metrics.__file__).parent.glob("[a-z]*.py")}
SHARES = {"FA": "forget", "RA": "retain", "FA-para": "paraphrase"}


def examples(arrays, name):
    _, split, _ = name.split(".")
    offsets = arrays[f"unlearned.{split}.offsets"]
    return [list(arrays[name][a:b]) for a, b in itertools.pairwise(offsets)]


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values)


def by_definition(name, a):
    if name in SHARES:
        return mean(all(tokens) for tokens in examples(a, f"unlearned.{SHARES[name]}.argmax_hit"))
    if name in ("MIA", "|MIA-.5|"):
        member, other = ([mean(t) for t in examples(a, f"unlearned.{s}.token_log_prob")] for s in ("forget", "holdout"))
        auc = roc_auc_score([1] * len(member) + [0] * len(other), member + other)
        return auc if name == "MIA" else abs(auc - 0.5)
    if name == "AD":
        pairs = zip(a["unlearned.forget.hidden"], a["retrained.forget.hidden"], strict=True)
        return mean(math.dist(p, q) for p, q in pairs)
    if name == "JS":
        return mean(mean(tokens) for tokens in examples(a, "versus.forget.js"))
    if name == "d_function":
        both = (examples(a, f"versus.distance.{kl}") for kl in ("kl", "reverse_kl"))
        return mean(mean([*p, *q]) for p, q in zip(*both, strict=True))
    if name == "d_parameters":
        return 2.0
    uu, rr = a["unlearned.samples.log_prob"], a["retrained.samples.log_prob"]
    ru, ur = a["versus.samples.by_reference"], a["versus.samples.of_reference"]
    tokens_u, tokens_r = a["unlearned.samples.offsets"][-1], a["retrained.samples.offsets"][-1]
    return {
        "FADE": mean(uu - ru) + mean(rr - ur),
        "FADE/token": math.fsum(uu - ru) / tokens_u + math.fsum(rr - ur) / tokens_r,
        "FADE-P": math.fsum(ru) / tokens_u,
        "FADE-R": math.fsum(ur) / tokens_r,
    }[name]


@pytest.mark.parametrize("name", [n for n, metric in BY_NAME.items() if metric.main or metric in DISTANCES])
def test_the_value_is_the_definition(arrays, name):
    assert estimate(BY_NAME[name], arrays).value == pytest.approx(by_definition(name, arrays), rel=1e-12)


@pytest.mark.parametrize("name", [n for n, metric in BY_NAME.items() if not metric.no_interval])
def test_the_interval_holds_the_value_within_the_bounds(arrays, name):
    metric = BY_NAME[name]
    result = estimate(metric, arrays, over="authors")
    assert result.has_interval, result.reason
    assert metric.bounds[0] <= result.low <= result.value <= result.high <= metric.bounds[1]
    assert result.over == "authors"


@pytest.mark.parametrize("name", BY_NAME)
def test_examples_in_another_order_change_nothing(arrays, name):
    values = BY_NAME[name].values({need: arrays[need] for need in BY_NAME[name].needs})
    rng = np.random.default_rng(1)
    shuffled = {}
    lengths = {len(v) for v in values.arrays.values()}
    orders = {n: rng.permutation(n) for n in lengths}
    for key, array in values.arrays.items():
        shuffled[key] = array[orders[len(array)]]
    assert BY_NAME[name].summary(shuffled) == pytest.approx(BY_NAME[name].summary(values.arrays), rel=1e-12)


def against_itself(arrays):
    """The arrays when the model in question is the retrained model that it is compared with."""
    same = {name: arrays[name.replace("unlearned.", "retrained.")] for name in arrays if name.startswith("unlearned.")}
    nothing = {name: np.zeros_like(arrays[name]) for name in arrays if name.startswith("versus.")}
    scores = arrays["retrained.samples.log_prob"]
    nothing["versus.samples.step_kl_forward"] = nothing["versus.samples.step_kl_reverse"]
    cross = {"versus.samples.by_reference": scores, "versus.samples.of_reference": scores}
    return {**arrays, **same, **nothing, **cross}


@pytest.mark.parametrize("name", [n for n, metric in BY_NAME.items() if metric.is_relative and n not in UNBOUNDED])
def test_the_retrained_model_against_itself_has_the_best_value(arrays, name):
    metric, itself = BY_NAME[name], against_itself(arrays)
    value, other = (estimate(metric, a).value for a in (itself, arrays))
    assert value == pytest.approx(BEST.get(name, 1 if metric.better == "higher" else 0), abs=1e-9)
    if name not in BEST:
        assert value > other if metric.better == "higher" else abs(value) < abs(other)


def test_a_missing_array_is_named_with_where_to_read_on(arrays):
    del arrays["unlearned.forget.offsets"]
    wanted = r"FA needs `unlearned\.forget\.offsets`: give the split 'forget' and score it; see `vestige metrics FA`"
    with pytest.raises(KeyError, match=wanted):
        estimate(BY_NAME["FA"], arrays)
    del arrays["retrained.samples.log_prob"]
    with pytest.raises(KeyError, match=r"`retrained\.samples\.log_prob`: give a retrained model"):
        estimate(BY_NAME["FADE"], arrays)
    del arrays["versus.samples.step_kl_forward"]
    with pytest.raises(KeyError, match="does not score it, so hand it in to `estimate`"):
        estimate(BY_NAME["FADE-RB"], arrays)


def test_a_variant_reads_the_metric_otherwise_and_an_unknown_one_is_refused(arrays):
    released = Variant("counts mistakes", summary=lambda a: 1 - np.mean(a["correct"]), no_interval="none")
    metric = replace(BY_NAME["FA"], variants={"released": released})
    other = estimate(metric, arrays, variant="released")
    assert other.value == pytest.approx(1 - estimate(metric, arrays).value)
    assert (other.has_interval, other.reason) == (False, "none")
    with pytest.raises(ValueError, match="FA has no variant 'paper'; it has released"):
        estimate(metric, arrays, variant="paper")


def test_names_are_unique_and_cards_are_complete():
    assert len(BY_NAME) == len(METRICS) + len(DISTANCES)
    for metric in BY_NAME.values():
        assert metric.better in ("higher", "lower", "reference")
        assert all((metric.title, metric.asks.endswith("?"), metric.formula, metric.source, metric.needs))
        assert metric.family in METRIC_FAMILIES
        assert all(variant.differs for variant in metric.variants.values())


def test_the_metrics_that_are_judged_are_a_short_list():
    assert {"FA", "RA", "MIA", "AD", "JS", "FADE"} <= {metric.name for metric in METRICS if metric.main}
    assert sum(metric.main for metric in METRICS) <= 12
