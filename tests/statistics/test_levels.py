"""Tests reject a true null hypothesis no more often than they say, alone and as a family."""

import numpy as np
import pytest

from vestige.kernels import label_permutation_test, sign_flip_test
from vestige.meta.layout import lay_out
from vestige.meta.oracle import track
from vestige.metrics.table import ScoreTable
from vestige.stats.permutation import relabelling_test

LEVEL, LIMIT = 0.05, 0.06


def family(rng, n, n_metrics):
    """Metrics that share a factor, one of them with three values only."""
    columns = rng.normal(size=(n, n_metrics)) + rng.normal(size=(n, 1))
    columns[:, 0] = np.round(columns[:, 0]).clip(-1, 1)
    return columns


@pytest.mark.parametrize("n_strata, n_cells", [(3, 4), (1, 30)])
def test_relabelling_holds_its_level_alone_and_as_a_family(judge, repetitions, n_strata, n_cells):
    rng, strata = np.random.default_rng([n_strata, n_cells]), np.repeat(np.arange(n_strata), n_cells)
    alone, together = [], []
    for i in range(repetitions):
        # Shifts between strata must not matter.
        columns = family(rng, len(strata), 5) + 3 * rng.normal(size=(n_strata, 5))[strata]
        test = relabelling_test(columns, rng.normal(size=len(strata)) + strata, strata, seed=i)
        alone.append(test.p[1] <= LEVEL)
        together.append(np.nanmin(test.p_adjusted) <= LEVEL)
    cell = f"{n_strata} × {n_cells} cells, 5 metrics"
    judge("relabelling, one metric", cell, alone, 0.0, LIMIT)
    judge("relabelling, family by max-T", cell, together, 0.0, LIMIT)


def test_sign_flips_of_clusters(judge, repetitions):
    rng, clusters, rejected = np.random.default_rng(0), np.repeat(np.arange(25), 4), []
    for i in range(repetitions):
        differences = rng.normal(size=25)[clusters] + rng.normal(size=100)
        rejected.append(
            float(sign_flip_test(differences, clusters=clusters, n_permutations=999, seed=i).p_value) <= LEVEL
        )
    judge("sign flips", "25 clusters × 4", rejected, 0.0, LIMIT)


@pytest.mark.parametrize("statistic", ["roc_auc", "mean_difference", "ks_statistic"])
def test_label_permutation(judge, repetitions, statistic):
    rng, rejected = np.random.default_rng(1), []
    for i in range(repetitions):
        x, y = np.round(rng.normal(size=(2, 20)), 1)
        p = label_permutation_test(x, y[:15], statistic, n_permutations=999, seed=i).p_value
        rejected.append(float(p) <= LEVEL)
    judge(f"label permutation, {statistic}", "20 and 15 values", rejected, 0.0, LIMIT)


def noise_table(rng, n_methods=13, n_strengths=3, n_metrics=6):
    n = n_methods * n_strengths
    effects = np.repeat(rng.normal(size=(n_methods, n_metrics + 1)), n_strengths, axis=0)
    columns = effects + 0.5 * rng.normal(size=(n, n_metrics + 1))
    names = [f"m{i}" for i in range(n_metrics)]
    return ScoreTable(
        models=tuple(f"{i}" for i in range(n)),
        columns={**dict(zip(names, columns.T, strict=False)), "gap": columns[:, -1]},
        better=dict.fromkeys(names, "higher"),
        labels={"method": tuple(str(i // n_strengths) for i in range(n))},
    )


def test_on_noise_no_metric_is_said_to_track(judge, repetitions):
    """Verdicts of the engine: methods in three strengths are 13 pieces of evidence, not 39."""
    rng, wrong = np.random.default_rng(2), []
    for i in range(repetitions):
        tracking = track(lay_out(noise_table(rng), clusters=("method",)), "gap", seed=i)
        wrong.append(any(entry.verdict in ("tracks", "opposes") for entry in tracking))
    judge("tracking, any verdict on noise", "13 methods × 3 strengths, 6 metrics", wrong, 0.0, LIMIT)
