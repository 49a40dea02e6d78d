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
from vestige.metrics.distribution import fade, monte_carlo_error, prompt_error

BY_NAME = {metric.name: metric for metric in (*METRICS, *DISTANCES)}
METRIC_FAMILIES = {path.stem for path in Path(vestige.metrics.__file__).parent.glob("[a-z]*.py")}
SHARES = {"FA": "forget", "RA": "retain", "FA-para": "paraphrase"}


def split(rng, n_examples, first_cluster):
    """A split of `n_examples` with 1 to 4 tokens each, two examples a cluster."""
    lengths = rng.integers(1, 5, n_examples)
    n_tokens = lengths.sum()
    return {
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "token_log_prob": -rng.exponential(size=n_tokens),
        "argmax_hit": rng.random(n_tokens) < 0.8,
        "hidden": rng.normal(size=(n_examples, 3)),
        "js": rng.uniform(0.01, 0.6, n_tokens),
        "kl": rng.exponential(size=n_tokens),
        "reverse_kl": rng.exponential(size=n_tokens),
        "cluster": first_cluster + np.arange(n_examples) // 2,
    }


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    found = {}
    for i, name in enumerate(("forget", "retain", "paraphrase", "holdout", "distance")):
        columns = split(rng, 20, 100 * i)
        for column, values in columns.items():
            model = {"cluster": "data", "js": "versus", "kl": "versus", "reverse_kl": "versus"}.get(column, "unlearned")
            found[f"{model}.{name}.{column}"] = values
    found["retrained.forget.hidden"] = rng.normal(size=(20, 3))
    found["data.samples.cluster"] = np.arange(6) // 2
    for model in ("unlearned", "retrained"):
        found[f"{model}.samples.log_prob"] = -rng.exponential(size=24)
        found[f"{model}.samples.offsets"] = np.concatenate([[0], np.cumsum(rng.integers(1, 5, 24))])
    found["versus.samples.by_reference"] = -rng.exponential(size=24)
    found["versus.samples.of_reference"] = -rng.exponential(size=24)
    found["versus.parameters.l2"] = np.array([1.0, 3.0])
    return found


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


@pytest.mark.parametrize("name", BY_NAME)
def test_the_value_is_the_definition(arrays, name):
    assert estimate(BY_NAME[name], arrays).value == pytest.approx(by_definition(name, arrays), rel=1e-12)


@pytest.mark.parametrize("name", [n for n in BY_NAME if n != "d_parameters"])
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


def test_a_missing_array_is_named_with_where_to_read_on(arrays):
    del arrays["unlearned.forget.offsets"]
    wanted = r"FA needs `unlearned\.forget\.offsets`: give the split 'forget' and score it; see `vestige metrics FA`"
    with pytest.raises(KeyError, match=wanted):
        estimate(BY_NAME["FA"], arrays)
    del arrays["retrained.samples.log_prob"]
    with pytest.raises(KeyError, match=r"`retrained\.samples\.log_prob`: give a retrained model"):
        estimate(BY_NAME["FADE"], arrays)


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
