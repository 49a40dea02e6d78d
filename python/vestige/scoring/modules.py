"""Classifiers that the user's code builds: a module, and weights from safetensors that are put into it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from vestige.scoring.checkpoints import CheckpointError, weight_files
from vestige.scoring.classifier import Classifier, from_module
from vestige.scoring.images import open_image
from vestige.scoring.loading import as_checkpoint_error, refuse_incomplete


def load_module(
    build: Callable[[], Any], weights: Path, *, name: str, dtype: str = "auto", device: str | None = None
) -> Classifier:
    """A module with weights, as a classifier.

    Args:
        build: returns the module, or what `classifier.from_module` makes of it (with `prepare`, `head`, `classes`). A
            bare module gets its images as float32 in [0, 1], shape (n, 3, height, width), so all must be of one size.
        weights: a safetensors file of its state, or a folder with such files.
        name: how messages call it.
        dtype: "auto" (as built), "float32", "bfloat16" or "float16".
        device: default a GPU where there is one, else the CPU.

    Raises:
        CheckpointError: if `build` fails or returns something else, or weights are missing or have no place.
    """
    subject = built(build, name)
    with as_checkpoint_error(name, weights):
        state = {key: tensor for path in weight_files(weights) for key, tensor in load_file(path).items()}
        found = subject.model.load_state_dict(state, strict=False)
    refuse_incomplete(name, {"missing_keys": found.missing_keys, "mismatched_keys": ()})
    if found.unexpected_keys:
        raise CheckpointError(
            f"{name}: {len(found.unexpected_keys)} weights of {weights} have no place in the module, first "
            f"{found.unexpected_keys[0]}; build the module that they were saved from"
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    subject.model.to(device, None if dtype == "auto" else getattr(torch, dtype))
    return replace(subject, name=name, folder=weights)


def built(build: Callable[[], Any], name: str) -> Classifier:
    """What a builder returns, as a classifier with the weights that it was built with.

    Raises:
        CheckpointError: if `build` fails or returns something else.
    """
    try:
        built = build()
    except Exception as error:  # code of the user's own: anything may go wrong in it
        raise CheckpointError(f"{name}: its module cannot be built, {type(error).__name__}: {error}") from error
    if isinstance(built, torch.nn.Module):
        return from_module(built, prepare=_pixels, name=name)
    if not isinstance(built, Classifier):
        raise CheckpointError(
            f"{name}: its builder must return a torch.nn.Module, or what `vestige.scoring.classifier.from_module` "
            f"makes of one, but returned {type(built).__name__}"
        )
    return built


def _pixels(image: Any) -> torch.Tensor:
    array = np.asarray(open_image(image), np.float32) / 255
    return torch.from_numpy(array).permute(2, 0, 1)
