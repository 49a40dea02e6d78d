from functools import cache

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, rel_entr, softmax

from vestige.kernels import (
    chi_squared,
    cross_entropy,
    divergences,
    js_divergence,
    kl_divergence,
    renyi_divergence,
    set_num_threads,
    squared_hellinger,
)

SHAPES = {"64 x 32000": (64, 32_000), "5000 x 100": (5_000, 100), "20000 x 10": (20_000, 10), "8 x 10": (8, 10)}
SMALL = {"64 x 32000": (4, 3_000), "5000 x 100": (200, 100), "20000 x 10": (200, 10), "8 x 10": (8, 10)}
FIVE = ("kl", "reverse_kl", "js", "tv", "squared_hellinger")


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


def torch_kl_of_log_probs(p, q):
    return torch.nn.functional.kl_div(*map(torch.from_numpy, (q, p)), reduction="none", log_target=True).sum(1).numpy()


def vestige_kl_of_log_probs(p, q):
    return kl_divergence(p, q)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("implementation", [torch_kl_of_log_probs, vestige_kl_of_log_probs])
def test_kl_divergence_of_log_probs(benchmark, implementation, shape, quick):
    benchmark.group = f"kl_divergence of log-probs, {shape}, float32"
    p, q = tables(shape, quick)
    expected = kl_divergence(p, q, precision="float64")
    np.testing.assert_allclose(benchmark(implementation, p, q), expected, rtol=1e-3, atol=1e-6)


@cache
def vocabulary(quick, normalise=False):
    """Two tables of a language model's size, kept for all benches of it."""
    rng = np.random.default_rng(0)
    shape = (4, 3_000) if quick else (128, 128_256)
    logits = [torch.from_numpy(rng.normal(scale=2, size=shape).astype("float32")) for _ in "pq"]
    return [x.log_softmax(1) if normalise else x for x in logits]


def torch_kl_of_tensors(p, q):
    log_p, log_q = (x.float().log_softmax(1) for x in (p, q))
    return (log_p.exp() * (log_p - log_q)).sum(1)


@cache
def compiled():
    return torch.compile(torch_kl_of_tensors)


def torch_compile(p, q):
    return compiled()(p, q)


@pytest.mark.parametrize("implementation", [torch_kl_of_tensors, torch_compile, vestige_kl])
def test_kl_of_a_vocabulary(benchmark, implementation, quick):
    if quick and implementation is torch_compile:
        pytest.skip("compiling takes longer than all other benches")
    benchmark.group = "kl_divergence of logits, 128 x 128256, float32"
    p, q = vocabulary(quick)
    expected = vestige_kl(p[:4].double(), q[:4].double())
    np.testing.assert_allclose(benchmark(implementation, p, q)[:4], expected, rtol=1e-3)


def vestige_kl_from_float32(p, q):
    return kl_divergence(p, q, space="logits")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("implementation", [torch_kl_of_tensors, vestige_kl, vestige_kl_from_float32])
def test_kl_of_16_bits(benchmark, implementation, dtype, quick):
    """Beside torch on float32 copies that it has to make, and our own time for float32 tables of the same numbers."""
    benchmark.group = f"kl_divergence of logits, 128 x 128256, {str(dtype)[6:]}"
    p, q = (x.to(dtype) for x in vocabulary(quick))
    expected = vestige_kl(p[:4].double(), q[:4].double())
    if implementation is vestige_kl_from_float32:
        p, q = p.float(), q.float()
    np.testing.assert_allclose(benchmark(implementation, p, q)[:4], expected, rtol=1e-3)


def torch_js_of_tensors(p, q):
    a, b = p.exp(), q.exp()
    log_m = ((a + b) / 2).log()
    return ((a * (p - log_m)).sum(1) + (b * (q - log_m)).sum(1)) / 2


def scipy_js_of_tensors(p, q):
    return scipy_js(p.numpy(), q.numpy())


@pytest.mark.parametrize("implementation", [torch_js_of_tensors, scipy_js_of_tensors, vestige_js])
def test_js_of_a_vocabulary(benchmark, implementation, quick):
    benchmark.group = "js_divergence of log-probs, 128 x 128256, float32"
    p, q = vocabulary(quick, normalise=True)
    expected = vestige_js(p[:4].double(), q[:4].double())
    np.testing.assert_allclose(benchmark(implementation, p, q)[:4], expected, rtol=1e-3)


def torch_five(p, q):
    log_p, log_q = (x.log_softmax(1) for x in (p, q))
    a, b = log_p.exp(), log_q.exp()
    return {
        "kl": (a * (log_p - log_q)).sum(1),
        "reverse_kl": (b * (log_q - log_p)).sum(1),
        "js": torch_js_of_tensors(log_p, log_q),
        "tv": (a - b).abs().sum(1) / 2,
        "squared_hellinger": (a.sqrt() - b.sqrt()).square().sum(1) / 2,
    }


def vestige_five(p, q):
    return divergences(p, q, FIVE, space="logits")


def vestige_js_alone(p, q):
    return {"js": js_divergence(p, q, space="logits")}


@pytest.mark.parametrize("implementation", [torch_five, vestige_five, vestige_js_alone])
def test_five_divergences_at_once(benchmark, implementation, quick):
    benchmark.group = "five divergences of logits, 128 x 128256, float32"
    p, q = vocabulary(quick)
    expected = vestige_five(p[:4].double(), q[:4].double())
    for kind, values in benchmark(implementation, p, q).items():
        np.testing.assert_allclose(values[:4], expected[kind], rtol=1e-3)


def vestige_2_threads(p, q):
    set_num_threads(2)
    return divergences(p, q, FIVE, space="logits")


def vestige_1_thread(p, q):
    set_num_threads(1)
    return divergences(p, q, FIVE, space="logits")


@pytest.mark.parametrize("implementation", [vestige_2_threads, vestige_1_thread])
def test_five_divergences_on_two_threads(benchmark, implementation, quick):
    benchmark.group = "five divergences of logits, 128 x 128256, float32, 2 threads"
    p, q = vocabulary(quick)
    expected = vestige_five(p, q)
    for kind, values in benchmark(implementation, p, q).items():
        np.testing.assert_array_equal(values, expected[kind])


def torch_renyi(p, q):
    return torch.logsumexp(2 * p - q, 1)


def vestige_renyi(p, q):
    return renyi_divergence(p, q, 2.0)


def torch_hellinger(p, q):
    return ((p / 2).exp() - (q / 2).exp()).square().sum(1) / 2


def vestige_hellinger(p, q):
    return squared_hellinger(p, q)


def torch_chi_squared(p, q):
    a, b = p.exp(), q.exp()
    return ((a - b).square() / b).sum(1)


def vestige_chi_squared(p, q):
    return chi_squared(p, q)


def torch_cross_entropy(p, q):
    return -(p.exp() * q).sum(1)


def vestige_cross_entropy(p, q):
    return cross_entropy(p, q)


@pytest.mark.parametrize(
    "implementation",
    [
        *(torch_renyi, vestige_renyi),
        *(torch_hellinger, vestige_hellinger),
        *(torch_chi_squared, vestige_chi_squared),
        *(torch_cross_entropy, vestige_cross_entropy),
    ],
)
def test_other_kinds(benchmark, implementation, quick):
    kind = implementation.__name__.partition("_")[2]
    benchmark.group = f"{kind} of log-probs, 128 x 128256, float32" + (" in float64" if kind == "renyi" else "")
    p, q = vocabulary(quick, normalise=True)
    expected = globals()[f"vestige_{kind}"](p[:4].double(), q[:4].double())
    np.testing.assert_allclose(benchmark(implementation, p, q)[:4], expected, rtol=2e-3)
