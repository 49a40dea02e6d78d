"""Images that are noised halfway and restored by the model itself: who learnt an image finds back to it."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from vestige.scoring.diffusion import Columns, Item, conditions, denoise, to_device
from vestige.scoring.diffusion_loading import DiffusionModel
from vestige.scoring.noising import NoiseLaw, noise_at

N_COPIES = 4
N_STEPS = 10
FROM = 0.5
CONSTANTS = {"copies": N_COPIES, "steps": N_STEPS, "from": FROM}
"""Degraded copies an image, steps of the way back, and the share of the schedule where it begins."""


def restored(model: DiffusionModel, items: Sequence[Item], *, batch_size: int, seed: int = 0) -> Columns:
    """Images as the model restores them after half of the schedule's noise, without any noise on the way back.

    Copy `k` of an image gets the same noise whatever the model, the batch size and the device. The way back goes along
    equal parts of the schedule: the noise that the model sees is taken out and as much of it put back as the next
    timestep has (DDIM with eta 0; the straight step of flow matching).

    Args:
        model: the model.
        items: images.
        batch_size: copies a forward pass.
        seed: of the noise.

    Returns:
        `own_features` (n_images, n_values) float32, each image as the denoiser sees it, and `restored_features`
        (n_images, `N_COPIES`, n_values) float32, its restored copies.

    Source: degrade-and-restore membership (TMI) as named in the catalogue; sampler: Song et al. (2021), arXiv
        2010.02502, eq. 12.
    """
    copies = [(item, draw) for item in items for draw in range(N_COPIES)]
    found = [_restored(model, copies[i : i + batch_size], seed) for i in range(0, len(copies), batch_size)]
    images = np.stack([item.state.ravel() for item in items])
    return {"own_features": images, "restored_features": np.concatenate(found).reshape(len(items), N_COPIES, -1)}


def way_back(law: NoiseLaw) -> NDArray[np.float64]:
    """Timesteps from `FROM` of the schedule down, shape (`N_STEPS`,); whole numbers but for flow matching."""
    steps = np.linspace(FROM * law.n_timesteps, 0, N_STEPS + 1)[:-1]
    return steps if law.alphas_cumprod is None else np.floor(steps)


@torch.inference_mode()
def _restored(model: DiffusionModel, copies: Sequence[tuple[Item, int]], seed: int) -> NDArray[np.float32]:
    items, steps = [item for item, _ in copies], way_back(model.law)
    levels = [(float(signal), float(noise)) for signal, noise in zip(*model.law.levels(steps), strict=True)]
    drawn = np.stack([noise_at(seed, item.key, steps[0], draw, model.shape) for item, draw in copies])
    images = to_device(np.stack([item.state for item in items]), model.device)
    told = conditions(model, [item.prompt for item in items], [item.label for item in items])
    state = levels[0][0] * images + levels[0][1] * to_device(drawn, model.device)
    clean = images
    for timestep, ((signal, noise), after) in zip(steps, pairwise([*levels, (1.0, 0.0)]), strict=True):
        output = denoise(model, state, _at(model, timestep, len(items)), told)
        seen = model.law.noise_of(output, state, signal, noise)
        clean = (state - noise * seen) / signal
        state = after[0] * clean + after[1] * seen
    return clean.flatten(1).cpu().numpy()


def _at(model: DiffusionModel, timestep: float, n: int) -> torch.Tensor:
    dtype = torch.float32 if model.law.alphas_cumprod is None else torch.int64
    return torch.full((n,), timestep, dtype=dtype, device=model.device)
