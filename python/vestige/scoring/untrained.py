"""A classifier of the same architecture that has learnt nothing, for what is compared with an untrained model."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch

from vestige.scoring.adapters import AdaptedModel
from vestige.scoring.classifier import Classifier, Inputs
from vestige.scoring.forward import ScoringError


def untrained(model: Classifier, seed: int) -> Classifier:
    """The classifier with random weights, as its library initialises them, in the same precision and place.

    Args:
        model: a classifier from a checkpoint of transformers or timm; it is left as it is.
        seed: of the weights, which are drawn on the CPU.

    Raises:
        ScoringError: if it was made in another way.
    """
    first = next(model.model.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = _built(model).to(first.device, first.dtype).eval()

    def call(inputs: Inputs) -> torch.Tensor:
        said = fresh(**inputs)
        logits: torch.Tensor = getattr(said, "logits", said)
        return logits

    return replace(model, model=fresh, name=f"an untrained {model.name}", call=call)


def _built(model: Classifier) -> Any:
    if model.processor.startswith("timm"):
        import timm

        return timm.create_model(f"local-dir:{model.folder}", pretrained=False)
    if not hasattr(model.model, "config"):
        raise ScoringError(f"{model.name} is a module of your own: nobody knows how its weights are initialised")
    plain: Any = deepcopy(model.model) if isinstance(model.model, AdaptedModel) else model.model  # a copy is merged
    return type(plain)(plain.config)
