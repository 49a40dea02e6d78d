"""What a diffusion model draws, from the same random numbers for every model."""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige.scoring.diffusion import Columns, Grid, Item, axes, compare, conditions, denoise, key_of, to_device
from vestige.scoring.diffusion_loading import DiffusionModel
from vestige.scoring.language import ScoringError
from vestige.scoring.noising import start_noise
from vestige.scoring.samples import Sampling
from vestige.store import Split

N_STEPS = 50
GUIDANCE = 1.0
_NOISE = {f"noise_{name}": value for name, value in asdict(Grid()).items()}
CONSTANTS: dict[str, float] = {**_NOISE, "n_steps": N_STEPS, "guidance": GUIDANCE}
"""What a run's losses and samples depend on beside its configuration."""


def generate(
    model: DiffusionModel,
    items: Sequence[Item],
    *,
    n_samples: int,
    batch_size: int,
    n_steps: int = N_STEPS,
    guidance: float = GUIDANCE,
    seed: int = 0,
) -> Columns:
    """Images drawn for each prompt with the model's own sampler.

    Sample `k` of item `i` starts from the same noise, and gets the same noise on its way, whatever the model, the batch
    size and the device.

    Args:
        model: the model.
        items: what the images are drawn for: prompt or label, and key.
        n_samples: images an item.
        batch_size: images a forward pass.
        n_steps: steps of the sampler.
        guidance: weight of classifier-free guidance. 1 is the model's own distribution; anything else is another one,
            whose likelihood the denoising losses do not bound, so leave it at 1 for FADE.
        seed: of the random numbers.

    Returns:
        `state` (n_items * n_samples, n_channels, height, width) float32, what the denoiser ended with, and `image`
        (n_items * n_samples, height, width, n_channels) uint8, what that looks like; item after item.

    Raises:
        ScoringError: if the model cannot be guided, or its sampler needs more than a number of steps.
    """
    _refuse_unknown_sampling(model, guidance)
    drawn = [drawn_item(item, sample) for item in items for sample in range(n_samples)]
    states, images = [], []
    for begin in range(0, len(drawn), batch_size):
        state = _draw(model, drawn[begin : begin + batch_size], n_steps, guidance, seed)
        states.append(state.cpu())
        images.append(_looks(model, state).cpu())
    return {"state": torch.cat(states).numpy(), "image": torch.cat(images).numpy()}


def drawn_item(item: Item, sample: int, state: NDArray[np.float32] | None = None) -> Item:
    """Sample number `sample` of an item as an item of its own, with noise of its own."""
    return Item(item.state if state is None else state, item.prompt, item.label, key_of(f"{item.key}:{sample}"))


def sample_images(model: DiffusionModel, items: Sequence[Item], sampling: Sampling) -> Columns:
    """Images drawn for each item, as `generate` returns them, with `weight` and `n_values` of their scores by item."""
    drawn = generate(model, items, n_samples=sampling.n_samples, batch_size=sampling.sequences, seed=sampling.seed)
    return drawn | axes(model, Grid(), len(items))


def cross_images(
    model: DiffusionModel,
    reference: DiffusionModel,
    items: Sequence[Item],
    ours: Split,
    theirs: Split,
    sampling: Sampling,
) -> Columns:
    """Denoising errors of two models on the images of both, handed over as the denoiser ended with them.

    Args:
        model: one model, u.
        reference: the other, r.
        items: what the images were drawn for.
        ours: what `sample_images` stored of u.
        theirs: likewise of r.
        sampling: the settings of both.

    Returns:
        `loss_uu`, `loss_ru`, `gap_on_u` on images of u, `loss_rr`, `loss_ur`, `gap_on_r` on those of r, each (n_items *
        n_samples, n_timesteps, n_draws) float64, as `compare` defines them; `loss_ru` is r's.
    """
    on_u, on_r = (
        compare(model, reference, _drawn(items, samples, sampling.n_samples), batch_size=sampling.sequences)
        for samples in (ours, theirs)
    )
    return {
        "loss_uu": on_u["loss"],
        "loss_ru": on_u["loss_of_reference"],
        "gap_on_u": on_u["gap"],
        "loss_rr": on_r["loss_of_reference"],
        "loss_ur": on_r["loss"],
        "gap_on_r": on_r["gap"],
    }


def _drawn(items: Sequence[Item], samples: Split, n_samples: int) -> list[Item]:
    states = np.asarray(samples["state"])
    return [drawn_item(item, k, states[i * n_samples + k]) for i, item in enumerate(items) for k in range(n_samples)]


@torch.inference_mode()
def _draw(model: DiffusionModel, items: list[Item], n_steps: int, guidance: float, seed: int) -> torch.Tensor:
    starts = [start_noise(seed, item.key, 0, model.shape) for item in items]
    generators = [torch.Generator().manual_seed(own) for _, own in starts]
    scheduler = copy.deepcopy(model.scheduler)
    scheduler.set_timesteps(n_steps, device=model.device)
    state = to_device(np.stack([noise for noise, _ in starts]), model.device)
    state = state * getattr(scheduler, "init_noise_sigma", 1.0)
    takes = inspect.signature(scheduler.step).parameters
    noise: dict[str, Any] = {"generator": generators} if "generator" in takes else {}
    told = _told(model, items, guidance)
    for timestep in scheduler.timesteps:
        seen = scheduler.scale_model_input(state, timestep) if hasattr(scheduler, "scale_model_input") else state
        output = _guided(model, seen, timestep, told, guidance)
        state = scheduler.step(output, timestep, state, **noise).prev_sample
    return state


def _told(model: DiffusionModel, items: list[Item], guidance: float) -> dict[str, torch.Tensor]:
    """What the denoiser is told; with guidance, of nothing first."""
    prompts, labels = [item.prompt for item in items], [item.label for item in items]
    return conditions(model, prompts if guidance == 1 else [*[""] * len(prompts), *prompts], labels)


def _guided(
    model: DiffusionModel, seen: torch.Tensor, timestep: torch.Tensor, told: dict[str, torch.Tensor], guidance: float
) -> torch.Tensor:
    if guidance == 1:
        return denoise(model, seen, timestep.expand(len(seen)), told)
    without, given = denoise(model, torch.cat([seen, seen]), timestep.expand(2 * len(seen)), told).chunk(2)
    return without + guidance * (given - without)


@torch.inference_mode()
def _looks(model: DiffusionModel, state: torch.Tensor) -> torch.Tensor:
    """Bytes of the image that a state stands for, channels last."""
    if model.vae is not None:
        latent = state / model.vae.config.scaling_factor + (model.vae.config.shift_factor or 0)
        state = model.vae.decode(latent.to(model.vae.dtype), return_dict=False)[0].float()
    return ((state / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def _refuse_unknown_sampling(model: DiffusionModel, guidance: float) -> None:
    if guidance != 1 and "text" not in model.condition:
        raise ScoringError(
            f"{model.name} reads no prompt, so it cannot be guided away from an empty one; use guidance 1"
        )
    if model.scheduler.config.get("use_dynamic_shifting"):
        raise ScoringError(
            f"{model.name}: its sampler shifts its steps by image size (use_dynamic_shifting), which is not done here; "
            "save the pipeline with a fixed shift"
        )
