"""Noise on the weights of a model."""

from copy import deepcopy
from typing import TypeVar

import torch

Model = TypeVar("Model", bound=torch.nn.Module)


@torch.no_grad()
def noised(model: Model, sigma: float, seed: int) -> Model:
    """A copy of a model with Gaussian noise on every weight matrix.

    Each matrix gets noise of `sigma` times its own standard deviation; vectors (norms, biases) stay. Small noise
    changes every weight and leaves what the model knows, so a forgetting score that it improves is not to be trusted.

    Args:
        model: the model; it is not changed.
        sigma: noise as a share of each matrix's standard deviation, >= 0.
        seed: decides the noise.

    Returns:
        The noised copy.

    Raises:
        ValueError: if `sigma` is negative.

    Source: defined here.

    >>> layer = torch.nn.Linear(2, 2)
    >>> torch.equal(noised(layer, 0.0, seed=0).weight, layer.weight)
    True
    """
    if not sigma >= 0:
        raise ValueError(
            f"`sigma` must be a number >= 0, but is {sigma}; it is a share of each matrix's standard deviation"
        )
    copy = deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for weight in copy.parameters():
        if weight.ndim >= 2:
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
            weight.add_((sigma * weight.float().std(correction=0) * noise.to(weight.device)).to(weight.dtype))
    return copy
