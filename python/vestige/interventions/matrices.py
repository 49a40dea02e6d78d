"""Which weights compression touches."""

from typing import Any

import torch


def inner_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Layers with a weight matrix, but for embeddings and the output layer, which are often the same weights.

    Raises:
        ValueError: if there is none.
    """
    get_output: Any = getattr(model, "get_output_embeddings", lambda: None)
    output = get_output()
    found = [layer for layer in model.modules() if layer is not output and _has_matrix(layer)]
    if not found:
        raise ValueError(f"{type(model).__name__} has no layer with a weight matrix besides embeddings and output")
    return found


def _has_matrix(layer: torch.nn.Module) -> bool:
    weight = getattr(layer, "weight", None)
    return isinstance(weight, torch.nn.Parameter) and weight.ndim >= 2 and not isinstance(layer, torch.nn.Embedding)
