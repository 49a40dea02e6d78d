"""What may differ between the levels of one CPU, and what may not. Run as a program, it saves results at its level."""

import os
import subprocess
import sys

import numpy as np
import pytest

from vestige import kernels

NAMES = ("baseline", "avx2", "avx512", "neon")


def draws():
    """Random choices: the same bits at every level."""
    rng = np.random.default_rng(11)
    table, weights = rng.normal(size=(5, 4)), np.full(4, 0.25)
    perturbed = kernels.perturb_weights(table, weights, n_draws=200, law="dirichlet", return_draws=True, seed=3)
    yield "resample_indices", kernels.resample_indices(1_003, 20, 7)
    yield "perturb_weights", perturbed.weights
    yield "rank_counts", perturbed.rank_counts


def statistics():
    """To 1e-12: float64 with the same draws."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=301).round(1)
    y = (x + rng.normal(size=301)).round(1)
    scores = rng.normal(size=(40, 9)).round(1)
    for statistic in ("mean", "quantile"):
        yield statistic, kernels.bootstrap_replicates((x,), statistic, n_resamples=100, seed=1)
    for statistic in ("ratio", "roc_auc", "ks_statistic", "kendall_tau", "spearman_rho"):
        yield statistic, kernels.bootstrap_replicates((x, y + 9), statistic, n_resamples=100, seed=2)
    joint = kernels.joint_bootstrap(rng.normal(size=(6, 3, 50)), n_resamples=100, return_replicates=True, seed=4)
    yield "joint", joint.replicates
    yield "joint ranks", joint.rank_counts
    yield "tau matrix", kernels.kendall_tau_matrix(scores)
    yield "rho matrix", kernels.spearman_rho_matrix(scores)
    yield "auc", kernels.roc_auc(x, y)
    yield "ks", kernels.ks_statistic(x, y)
    p, q = rng.normal(size=(2, 9, 700))
    for space in ("logits", "probs"):
        pair = [np.exp(t) / np.exp(t).sum(axis=1, keepdims=True) for t in (p, q)] if space == "probs" else (p, q)
        for kind, values in kernels.divergences(*pair, ("kl", "js", "tv"), space=space).items():
            yield f"{kind} of {space}", values


def singles():
    """To 2e-6: float32, whose sums and polynomials have an order of their own at each level."""
    rng = np.random.default_rng(13)
    for n_classes in (3, 50, 1_000, 5_003):
        p = rng.normal(scale=3, size=(17, n_classes)).astype(np.float32)
        q = p + rng.normal(scale=0.3, size=p.shape).astype(np.float32)
        p[3, 0] = q[3, 0] = -np.inf
        q[4, 1] = np.nan
        for kind, values in kernels.divergences(p, q, ("kl", "js", "tv"), space="logits").items():
            yield f"{kind} {n_classes}", values
        yield f"logsumexp {n_classes}", kernels.logsumexp(p)
        yield f"entropy {n_classes}", kernels.entropy(p, space="logits")
        yield f"token {n_classes}", kernels.token_log_probs(p, np.arange(17) % n_classes)


TOLERANCES = {draws: 0.0, statistics: 1e-12, singles: 2e-6}


def results():
    return {f"{family.__name__}: {name}": value for family in TOLERANCES for name, value in family()}


@pytest.fixture(scope="module")
def by_level(tmp_path_factory):
    """The results of each level that this CPU has."""
    saved = {}
    for name in NAMES:
        path = tmp_path_factory.mktemp("levels") / "results.npz"
        command = [sys.executable, __file__, str(path)]
        done = subprocess.run(command, env=os.environ | {"VESTIGE_SIMD": name}, capture_output=True, text=True)
        if "VESTIGE_SIMD must be a level that this CPU has" not in done.stderr:
            assert done.returncode == 0, done.stderr
            saved[name] = dict(np.load(path))
    return saved


def test_each_level_of_this_cpu_has_been_run(by_level):
    assert "baseline" in by_level
    assert kernels.simd_level() in by_level


@pytest.mark.parametrize("family", TOLERANCES, ids=lambda family: family.__name__)
def test_levels_agree(by_level, family):
    expected = {name: value for name, value in by_level["baseline"].items() if name.startswith(family.__name__)}
    assert expected
    for level, ours in by_level.items():
        for name, value in expected.items():
            message = f"{name} at {level}"
            rtol = TOLERANCES[family]
            np.testing.assert_allclose(ours[name], value, rtol=rtol, atol=rtol / 100, err_msg=message)


if __name__ == "__main__":
    np.savez(sys.argv[1], **results())
