"""A classifier of the same architecture that has learnt nothing, for what is compared with an untrained model."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch

from vestige.scoring.adapters import AdaptedModel
from vestige.scoring.classifier import Classifier, Inputs
from vestige.scoring.forward import ScoringError
from vestige.scoring.modules import built


def untrained(model: Classifier, seed: int, build: Callable[[], Any] | None = None) -> Classifier:
    """The classifier with random weights, as whoever wrote it initialises them, in the same precision and place.

    Args:
        model: a classifier; it is left as it is. One of transformers or timm is built anew from its configuration.
        seed: of the weights, which are drawn on the CPU.
        build: what built it, of a module of the user's own.

    Raises:
        ScoringError: if it is a module of the user's own, and nothing builds it.
        CheckpointError: if `build` fails.
    """
    first = next(model.model.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = built(build, model.name) if build else _anew(model)
    fresh.model.to(first.device, first.dtype).eval()
    return replace(fresh, name=f"an untrained {model.name}")


def _anew(model: Classifier) -> Classifier:
    net = _module(model)

    def call(inputs: Inputs) -> torch.Tensor:
        said = net(**inputs)
        logits: torch.Tensor = getattr(said, "logits", said)
        return logits

    return replace(model, model=net, call=call)


def _module(model: Classifier) -> Any:
    if model.processor.startswith("timm"):
        import timm

        return timm.create_model(f"local-dir:{model.folder}", pretrained=False)
    if not hasattr(model.model, "config"):
        raise ScoringError(f"{model.name} is a module of your own: nobody knows how its weights are initialised")
    plain: Any = deepcopy(model.model) if isinstance(model.model, AdaptedModel) else model.model  # a copy is merged
    return type(plain)(plain.config)
