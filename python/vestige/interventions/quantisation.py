"""Weights in few bits."""

from copy import deepcopy
from math import gcd
from typing import TypeVar

import torch

from vestige.interventions.matrices import inner_layers

Model = TypeVar("Model", bound=torch.nn.Module)


# As QLoRA has them: one scale a block of weights, and the scales themselves in 8 bits, by blocks of scales.
_BLOCK, _SCALES = 64, 256


@torch.no_grad()
def quantised(model: Model, bits: int = 8, *, nf4: bool = False) -> Model:
    """A copy of a model whose weights have gone through few bits and back.

    Unlearning that moves each weight less than half a step is undone by rounding. Weights only: activations stay as
    they are, and the copy is stored in the model's own precision, so that it is scored like any other.

    Args:
        model: the model; it is not changed.
        bits: 8, or fewer down to 2. Integers, symmetric, one scale a channel. Embeddings and output layer are left out.
        nf4: whether the 4 bits are the quantiles of a normal law instead (NF4, blocks of 64 weights, scales in 8 bits),
            which language models in 4 bits mostly are stored in; needs torchao (`vestige[quantised]`).

    Returns:
        The quantised copy.

    Raises:
        ValueError: if `bits` is out of range or not NF4's 4, or there is no matrix.
        ModuleNotFoundError: if torchao is not there and NF4 is asked for.

    Source: Zhang et al. (2025), Catastrophic failure of LLM unlearning via quantization, arXiv 2410.16454;
        `torch.fake_quantize_per_channel_affine`. NF4: Dettmers et al. (2023), QLoRA, arXiv 2305.14314 (OpenUnlearning's
        attack), by torchao.

    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> torch.equal(quantised(layer).weight, layer.weight)
    True
    """
    if isinstance(bits, bool) or bits not in range(2, 9):
        raise ValueError(f"`bits` must be a whole number from 2 to 8, but it is {bits!r}")
    if nf4 and bits != 4:
        raise ValueError(f"NF4 has 4 bits, but `bits` is {bits}; leave `nf4` out for integers of {bits} bits")
    copy, largest = deepcopy(model), 2 ** (bits - 1) - 1
    for layer in inner_layers(copy):
        weight = layer.weight
        assert isinstance(weight, torch.nn.Parameter)
        channel = 1 if type(layer).__name__ == "Conv1D" else 0  # transformers' Conv1D holds its matrix transposed
        rounded = _as_nf4(weight.float()) if nf4 else _rounded(weight.float(), channel, largest)
        weight.copy_(rounded.to(weight.dtype))
    return copy


def _as_nf4(weight: torch.Tensor) -> torch.Tensor:
    from torchao.quantization import NF4Tensor

    flat = torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % _BLOCK))
    # Scales are dealt into equal blocks; a matrix that has too few for whole ones gets smaller ones.
    stored = NF4Tensor.from_tensor(flat, _BLOCK, gcd(len(flat) // _BLOCK, _SCALES))
    return stored.get_original_weight()[: weight.numel()].view_as(weight)


def _rounded(weight: torch.Tensor, channel: int, largest: int) -> torch.Tensor:
    others = [axis for axis in range(weight.ndim) if axis != channel]
    scale = weight.abs().amax(dim=others) / largest
    scale = torch.where(scale > 0, scale, 1.0)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, channel, -largest, largest)
