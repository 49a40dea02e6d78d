"""Weights in few bits."""

from copy import deepcopy
from typing import TypeVar

import torch

from vestige.interventions.matrices import inner_layers

Model = TypeVar("Model", bound=torch.nn.Module)


@torch.no_grad()
def quantised(model: Model, bits: int = 8) -> Model:
    """A copy of a model whose weights have gone through integers and back, channel by channel.

    Unlearning that moves each weight less than half a step is undone by rounding. Weights only: activations stay as
    they are, and the copy is stored in the model's own precision, so that it is scored like any other.

    Args:
        model: the model; it is not changed.
        bits: 8, or fewer down to 2. Symmetric, one scale a channel, embeddings and output layer left out. At 4 bits
            this is plain rounding and not the NF4 of OpenUnlearning's attack.

    Returns:
        The quantised copy.

    Raises:
        ValueError: if `bits` is out of range, or there is no matrix.

    Source: Zhang et al. (2025), Catastrophic failure of LLM unlearning via quantization, arXiv 2410.16454;
        `torch.fake_quantize_per_channel_affine`.

    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> torch.equal(quantised(layer).weight, layer.weight)
    True
    """
    if isinstance(bits, bool) or bits not in range(2, 9):
        raise ValueError(f"`bits` must be a whole number from 2 to 8, but it is {bits!r}")
    copy, largest = deepcopy(model), 2 ** (bits - 1) - 1
    for layer in inner_layers(copy):
        weight = layer.weight
        assert isinstance(weight, torch.nn.Parameter)
        channel = 1 if type(layer).__name__ == "Conv1D" else 0  # transformers' Conv1D holds its matrix transposed
        weight.copy_(_rounded(weight.float(), channel, largest).to(weight.dtype))
    return copy


def _rounded(weight: torch.Tensor, channel: int, largest: int) -> torch.Tensor:
    others = [axis for axis in range(weight.ndim) if axis != channel]
    scale = weight.abs().amax(dim=others) / largest
    scale = torch.where(scale > 0, scale, 1.0)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, channel, -largest, largest)
