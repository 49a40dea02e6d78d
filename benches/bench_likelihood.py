import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from vestige.kernels import entropy, token_log_probs, token_statistics

SHAPES = {"vocabulary": (128, 128_256), "classes": (20_000, 10), "more classes": (20_000, 100)}


def inputs(quick, shape=(128, 128_256), dtype=torch.float32):
    rng = np.random.default_rng(0)
    n_rows, n_classes = shape
    n_rows, n_classes = (8, min(n_classes, 3_000)) if quick else (n_rows, n_classes)
    logits = rng.normal(scale=2, size=(n_rows, n_classes)).astype("float32")
    return torch.from_numpy(logits).to(dtype), torch.from_numpy(rng.integers(0, n_classes, n_rows))


def scipy_tokens(logits, ids):
    return np.take_along_axis(log_softmax(logits.float().numpy(), axis=1), ids.numpy()[:, None], 1)[:, 0]


def torch_tokens(logits, ids):
    return -torch.nn.functional.cross_entropy(logits.float(), ids, reduction="none").numpy()


def vestige_tokens(logits, ids):
    return token_log_probs(logits, ids)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("implementation", [scipy_tokens, torch_tokens, vestige_tokens])
def test_token_log_probs(benchmark, implementation, dtype, shape, quick):
    benchmark.group = f"token_log_probs, {shape[0]} x {shape[1]}, {str(dtype)[6:]}"
    logits, ids = inputs(quick, shape, dtype)
    result = benchmark(implementation, logits, ids)
    np.testing.assert_allclose(result, token_log_probs(logits.double(), ids), rtol=1e-5, atol=1e-6)


def torch_min_k_plus_plus(logits, ids):
    log_p = torch.log_softmax(logits.float(), dim=1)
    p = log_p.exp()
    mean = (p * log_p).sum(1)
    variance = (p * log_p.square()).sum(1) - mean.square()
    return log_p.gather(1, ids[:, None])[:, 0].numpy(), mean.numpy(), variance.numpy()


def vestige_min_k_plus_plus(logits, ids):
    return tuple(token_statistics(logits, ids, ("token_log_prob", "log_prob_mean", "log_prob_variance")).values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("implementation", [torch_min_k_plus_plus, vestige_min_k_plus_plus])
def test_min_k_plus_plus(benchmark, implementation, dtype, quick):
    benchmark.group = f"Min-K++ numbers of logits, 128 x 128256, {str(dtype)[6:]}"
    logits, ids = inputs(quick, dtype=dtype)
    expected = vestige_min_k_plus_plus(logits.double(), ids)
    np.testing.assert_allclose(benchmark(implementation, logits, ids), expected, rtol=2e-4)


def torch_rank(logits, ids):
    target = logits.gather(1, ids[:, None])
    return (logits > target).sum(1).numpy() + 1, (logits.argmax(1) == ids).numpy()


def vestige_rank(logits, ids):
    return tuple(token_statistics(logits, ids, ("rank", "argmax_hit")).values())


@pytest.mark.parametrize("implementation", [torch_rank, vestige_rank])
def test_rank(benchmark, implementation, quick):
    benchmark.group = "rank and argmax_hit, 128 x 128256, float32"
    logits, ids = inputs(quick)
    np.testing.assert_array_equal(benchmark(implementation, logits, ids), vestige_rank(logits, ids))


def numpy_entropy(logits):
    log_p = log_softmax(logits.numpy(), axis=1)
    return -(np.exp(log_p) * log_p).sum(axis=1)


def torch_entropy(logits):
    return torch.distributions.Categorical(logits=logits).entropy().numpy()


def vestige_entropy(logits):
    return entropy(logits, space="logits")


@pytest.mark.parametrize("implementation", [numpy_entropy, torch_entropy, vestige_entropy])
def test_entropy(benchmark, implementation, quick):
    benchmark.group = "entropy of logits, 128 x 128256, float32"
    logits, _ = inputs(quick)
    np.testing.assert_allclose(benchmark(implementation, logits), vestige_entropy(logits.double()), rtol=1e-4)
