import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from vestige.kernels import entropy, token_log_probs


def inputs(quick):
    rng = np.random.default_rng(0)
    shape = (8, 3_000) if quick else (128, 32_000)
    return rng.normal(scale=2, size=shape).astype("float32"), rng.integers(0, shape[1], shape[0])


def scipy_tokens(logits, ids):
    return np.take_along_axis(log_softmax(logits, axis=1), ids[:, None], 1)[:, 0]


def torch_tokens(logits, ids):
    return -torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(ids), reduction="none").numpy()


def vestige_tokens(logits, ids):
    return token_log_probs(logits, ids)


@pytest.mark.parametrize("implementation", [scipy_tokens, torch_tokens, vestige_tokens])
def test_token_log_probs(benchmark, implementation, quick):
    benchmark.group = "token_log_probs, 128 x 32000, float32"
    logits, ids = inputs(quick)
    result = benchmark(implementation, logits, ids)
    np.testing.assert_allclose(result, token_log_probs(logits.astype(float), ids), rtol=1e-5)


def numpy_entropy(logits):
    log_p = log_softmax(logits, axis=1)
    return -(np.exp(log_p) * log_p).sum(axis=1)


def torch_entropy(logits):
    return torch.distributions.Categorical(logits=torch.from_numpy(logits)).entropy().numpy()


def vestige_entropy(logits):
    return entropy(logits, space="logits")


@pytest.mark.parametrize("implementation", [numpy_entropy, torch_entropy, vestige_entropy])
def test_entropy(benchmark, implementation, quick):
    benchmark.group = "entropy of logits, 128 x 32000, float32"
    logits, _ = inputs(quick)
    np.testing.assert_allclose(benchmark(implementation, logits), vestige_entropy(logits.astype(float)), rtol=1e-4)
