"""Bytes that one scored row takes in the store, for models of every kind: of a token, a label, or an image."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from vestige.evaluation.sizes import FLOAT_BYTES, Shape
from vestige.scoring.checkpoints import denoiser_folder
from vestige.scoring.diffusion import Grid
from vestige.scoring.units import Plan

TOKEN_BYTES = 33
"""Columns of one number a scored token, together; a label has its margin for the likeliest token."""

DIVERGENCES_BYTES = 4 * 8
"""JS, both KL and TV, or what stands for them."""

_PLACES = Grid().n_places
_TIMESTEPS = Grid().n_timesteps


@dataclass(frozen=True)
class Widths:
    """Bytes of one row.

    Attributes:
        own: of the model's own columns.
        logits: of a whole output.
        versus: of its distances to one retrained model.
        features: of one example's features.
        sample: of one sample; 0 where its length decides.
        cross: of the cross-scores of one sample with one retrained model.
    """

    own: int
    logits: int
    versus: int
    features: int
    sample: int = 0
    cross: int = 16


def widths(plan: Plan, shape: Shape) -> Widths:
    """The widths of a model's columns; what its configuration does not say counts as 0."""
    logits, features = FLOAT_BYTES * shape.n_classes, FLOAT_BYTES * shape.n_features * (1 + len(plan.layers))
    if plan.kind == "diffusion":
        return widths_of_images(shape.folder)
    if plan.kind == "regression":
        return Widths(3 * FLOAT_BYTES, 0, 0, features)
    if plan.kind == "classifier":
        return Widths(TOKEN_BYTES + logits, logits, DIVERGENCES_BYTES, features)
    kept = 8 * plan.top_k + (logits // (1 if plan.full == "float32" else 2) if plan.full else 0)
    return Widths(TOKEN_BYTES + kept, logits, DIVERGENCES_BYTES, features)


def widths_of_images(folder: Path) -> Widths:
    """Those of an image generator: of an image all its noised copies together."""
    config, n_own = _config(denoiser_folder(folder)), n_values(folder)
    decoder = _config(folder / "vae")
    doublings = len(decoder.get("block_out_channels") or [0]) - 1
    shown = 3 * _area(config.get("sample_size") or 0) * 4**doublings if decoder else n_own
    n_features = (config.get("block_out_channels") or [0])[-1] or int(config.get("attention_head_dim") or 0)
    return Widths(
        own=8 * (_PLACES + 2 * _TIMESTEPS + 1),
        logits=FLOAT_BYTES * n_own * _PLACES,
        versus=8 * _PLACES,
        features=FLOAT_BYTES * int(n_features),
        sample=FLOAT_BYTES * n_own + shown,
        cross=6 * 8 * _PLACES,
    )


def n_values(folder: Path) -> int:
    """Values of an image as a denoiser sees it."""
    config = _config(denoiser_folder(folder))
    return int(config.get("in_channels") or 0) * _area(config.get("sample_size") or 0)


def _area(size: Any) -> int:
    return int(prod(size)) if isinstance(size, list) else int(size) ** 2


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
