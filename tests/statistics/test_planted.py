"""What was planted is found: clusters of metrics, weights, reversals; and on noise there is nothing to find."""

import numpy as np
import pytest

from vestige.meta.agreement import agreement
from vestige.meta.layout import lay_out
from vestige.meta.oracle import track
from vestige.meta.quality import composite
from vestige.metrics.table import ScoreTable

LONG = 2_000
METRICS = ("a", "b", "c", "d", "e")


@pytest.fixture
def n_runs(repetitions):
    """Runs of a cell: each takes 10 to 30 ms, so the short form makes a quarter."""
    return repetitions if repetitions == LONG else repetitions // 4


@pytest.fixture
def n_agreements(repetitions):
    """Runs of a cell that each permute and resample the columns 900 times: a twentieth."""
    return repetitions // 20


def made(columns, closeness, labels=None):
    n = len(closeness)
    return ScoreTable(
        models=tuple(f"m{i}" for i in range(n)),
        columns={**columns, "gap": -closeness},
        better=dict.fromkeys(columns, "higher"),
        labels=labels or {},
    )


def clusters_of(rng, loading, seed):
    """Clusters found among three metrics of one factor and two of another."""
    factors = np.repeat(rng.normal(size=(2, 40)), (3, 2), axis=0)
    columns = loading * factors + np.sqrt(1 - loading**2) * rng.normal(size=(5, 40))
    layout = lay_out(made(dict(zip(METRICS, columns, strict=True)), rng.normal(size=40)))
    return agreement(layout, seed=seed).clusters


def test_planted_clusters_of_metrics_are_found(judge, n_agreements):
    rng = np.random.default_rng(0)
    found = [clusters_of(rng, 0.9, i) for i in range(n_agreements)]
    right = [{frozenset(c) for c in one} == {frozenset("abc"), frozenset("de")} for one in found]
    judge("clusters of metrics, planted 3 + 2 found", "40 models, loading 0.9", right, 0.95, 1.0)


def test_noise_has_few_clusters_of_metrics(judge, n_agreements):
    rng = np.random.default_rng(1)
    found = [clusters_of(rng, 0.0, i) for i in range(n_agreements)]
    judge("clusters of metrics, any on noise", "40 models", [len(one[0]) > 1 for one in found], 0.0, 0.1)


def three_benchmarks(rng, effects, n=12):
    groups = np.repeat(np.arange(3), n)
    closeness = rng.normal(size=3 * n)
    columns = {name: effect * closeness + rng.normal(size=3 * n) for name, effect in effects.items()}
    return made(columns, closeness, {"data": tuple(f"d{g}" for g in groups)})


def test_planted_weights_are_found(judge, n_runs):
    rng, largest, gained = np.random.default_rng(2), [], []
    for i in range(n_runs):
        table = three_benchmarks(rng, {"a": 2.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.0})
        quality = composite(lay_out(table, ("data",), ("data",)), "gap", seed=i)
        largest.append(max(quality.weights, key=quality.weights.__getitem__) == "a")
        gained.append(quality.rho_held_out.value > quality.equal_weights_held_out.value)
    cell = "3 benchmarks × 12, one metric of five tracks"
    judge("composite, the planted metric weighs most", cell, largest, 0.99, 1.0)
    judge("composite, better held out than equal weights", cell, gained, 0.9, 1.0)


def test_on_noise_the_held_out_composite_is_not_better_than_chance(judge, n_runs):
    rng, above = np.random.default_rng(3), []
    for i in range(n_runs):
        table = three_benchmarks(rng, dict.fromkeys(METRICS, 0.0))
        above.append(composite(lay_out(table, ("data",), ("data",)), "gap", seed=i).rho_held_out.low > 0)
    judge("composite, interval above 0 on noise", "3 benchmarks × 12", above, 0.0, 0.06)


@pytest.mark.parametrize("within, verdict", [(1.5, "tracks"), (-1.5, "opposes")])
def test_a_reversal_between_benchmarks_does_not_hide_what_holds_within(judge, n_runs, within, verdict):
    """Benchmarks where models are closer have lower scores, models within each the other way round (and reverse)."""
    rng, found, turned = np.random.default_rng(4), [], []
    shift = np.repeat([-4.0, 0.0, 4.0], 12)
    for i in range(n_runs):
        own = rng.normal(size=36)
        score = within * own + rng.normal(size=36) - np.sign(within) * 2 * shift
        table = made({"a": score}, own + shift, {"data": tuple(f"d{s:g}" for s in shift)})
        entry = track(lay_out(table, ("data",), ("data",)), "gap", seed=i)[0]
        found.append(entry.verdict == verdict)
        turned.append(entry.rho.value * within < 0)
    judge(f"reversal, verdict “{verdict}”", "3 benchmarks × 12", found, 0.97, 1.0)
    judge("reversal, rho over all rows of the other sign", "3 benchmarks × 12", turned, 0.99, 1.0)
