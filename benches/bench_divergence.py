import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr, softmax

from vestige.kernels import divergences, js_divergence, kl_divergence

SHAPES = {"64 x 32000": (64, 32_000), "20000 x 10": (20_000, 10)}
SMALL = {"64 x 32000": (4, 3_000), "20000 x 10": (200, 10)}


def tables(shape, quick, dtype="float32", normalise=True):
    rng = np.random.default_rng(0)
    logits = [rng.normal(scale=2, size=(SMALL if quick else SHAPES)[shape]) for _ in "pq"]
    return [(log_softmax(x, axis=1) if normalise else x).astype(dtype) for x in logits]


def numpy_js(p, q):
    a, b = np.exp(p), np.exp(q)
    log_m = np.log((a + b) / 2)
    return ((a * (p - log_m)).sum(axis=1) + (b * (q - log_m)).sum(axis=1)) / 2


def scipy_js(p, q):
    return jensenshannon(np.exp(p), np.exp(q), axis=1) ** 2


def torch_js(p, q):
    p, q = torch.from_numpy(p), torch.from_numpy(q)
    a, b = p.exp(), q.exp()
    log_m = ((a + b) / 2).log()
    return (((a * (p - log_m)).sum(1) + (b * (q - log_m)).sum(1)) / 2).numpy()


def vestige_js(p, q):
    return js_divergence(p, q)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("implementation", [scipy_js, numpy_js, torch_js, vestige_js])
def test_js_divergence(benchmark, implementation, shape, dtype, quick):
    benchmark.group = f"js_divergence of log-probs, {shape}, {dtype}"
    p, q = tables(shape, quick, dtype)
    result = benchmark(implementation, p, q)
    np.testing.assert_allclose(result, js_divergence(p.astype(float), q.astype(float)), rtol=2e-4)


def scipy_kl(p, q):
    return rel_entr(softmax(p, axis=1), softmax(q, axis=1)).sum(axis=1)


def numpy_kl(p, q):
    log_p, log_q = (x - x.max(axis=1, keepdims=True) for x in (p, q))
    log_p, log_q = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (log_p, log_q))
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=1)


def torch_kl(p, q):
    log_p, log_q = (torch.from_numpy(x).log_softmax(1) for x in (p, q))
    return (log_p.exp() * (log_p - log_q)).sum(1).numpy()


def vestige_kl(p, q):
    return kl_divergence(p, q, space="logits")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("implementation", [scipy_kl, numpy_kl, torch_kl, vestige_kl])
def test_kl_divergence(benchmark, implementation, shape, dtype, quick):
    benchmark.group = f"kl_divergence of logits, {shape}, {dtype}"
    p, q = tables(shape, quick, dtype, normalise=False)
    result = benchmark(implementation, p, q)
    np.testing.assert_allclose(result, vestige_kl(p.astype(float), q.astype(float)), rtol=1e-3)


def torch_three(p, q):
    log_p, log_q = (torch.from_numpy(x).log_softmax(1) for x in (p, q))
    a, b = log_p.exp(), log_q.exp()
    log_m = ((a + b) / 2).log()
    js = ((a * (log_p - log_m)).sum(1) + (b * (log_q - log_m)).sum(1)) / 2
    return {"kl": (a * (log_p - log_q)).sum(1), "js": js, "tv": (a - b).abs().sum(1) / 2}


def vestige_three(p, q):
    return divergences(p, q, space="logits")


@pytest.mark.parametrize("implementation", [torch_three, vestige_three])
def test_three_divergences_at_once(benchmark, implementation, quick):
    benchmark.group = "kl, js and tv of logits, 64 x 32000, float32"
    p, q = tables("64 x 32000", quick, normalise=False)
    result = benchmark(implementation, p, q)
    for kind, values in vestige_three(p.astype(float), q.astype(float)).items():
        np.testing.assert_allclose(result[kind], values, rtol=1e-3)
