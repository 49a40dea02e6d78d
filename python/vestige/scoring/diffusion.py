"""Diffusion models: how well they denoise given images, how far two of them disagree, and what they draw on their own.

Every image is noised at the same timesteps with the same noise for every model, so that differences between models are
differences of models. Errors are those of the noise (whatever the network predicts), summed over all values of an
image, in float32 whatever the weights' precision.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige.data.examples import Example
from vestige.scoring.diffusion_loading import DiffusionModel
from vestige.scoring.images import open_image
from vestige.scoring.language import Reduce, ScoringError
from vestige.scoring.noising import noise_at

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Grid:
    """Where images are noised.

    Attributes:
        n_timesteps: spread evenly over the training schedule.
        n_draws: draws of noise an image and timestep.
        seed: of the noise.
    """

    n_timesteps: int = 8
    n_draws: int = 1
    seed: int = 0

    @property
    def n_places(self) -> int:
        """Noised copies of one image."""
        return self.n_timesteps * self.n_draws


@dataclass(frozen=True, eq=False)
class Item:
    """One image as the denoiser sees it.

    Attributes:
        state: pixels within -1 and 1, or scaled latents, shape (n_channels, height, width), float32.
        prompt: what a text-conditional model is told.
        label: what a class-conditional model is told.
        key: number that decides its noise, within 0 and 2**64.
    """

    state: NDArray[np.float32]
    prompt: str = ""
    label: int = 0
    key: int = 0


@dataclass(frozen=True, eq=False)
class _Batch:
    """Noised copies of images: their places among all of them, the noise in them, and what the noise is mixed with."""

    places: NDArray[np.int64]
    items: list[Item]
    timesteps: torch.Tensor
    noise: torch.Tensor
    noised: torch.Tensor
    levels: tuple[torch.Tensor, torch.Tensor]


def prepare(model: DiffusionModel, image: Any, *, prompt: str = "", label: int = 0, name: str = "") -> Item:
    """An image as the denoiser sees it: cropped to its shape about the middle, resized, scaled, and encoded.

    Args:
        model: the model; models with the same `space` make the same of an image.
        image: PIL image, path, encoded bytes, or array (height, width, n_channels) of uint8.
        prompt: what the image shows, for models that are told so in words.
        label: its class, for models that are told so by number.
        name: decides the noise; images of one name get the same noise from every model.
    """
    from PIL import ImageOps

    channels, height, width = model.shape
    opened = open_image(image, colours="L" if channels == 1 and model.vae is None else "RGB")
    fitted = ImageOps.fit(opened, (width * model.scale, height * model.scale))
    pixels = np.asarray(fitted, np.float32).reshape(height * model.scale, width * model.scale, -1) / 127.5 - 1
    return Item(_encoded(model, pixels.transpose(2, 0, 1)), prompt, label, key_of(name))


def encode(model: DiffusionModel, example: Example) -> Item:
    """An example as the model takes it: its image, its prompt, and its label where the model is told classes.

    Raises:
        ScoringError: if it has no image, or the label that the model needs is no number of a class.
    """
    if not example.image:
        raise ScoringError(f"{model.name} draws images, but example {example.id!r} has none (`image`)")
    return prepare(model, example.image, prompt=example.prompt, label=label_of(model, example), name=example.id)


def label_of(model: DiffusionModel, example: Example) -> int:
    """The class that a model is told, by number; 0 for models that are told none.

    Raises:
        ScoringError: if the label that the model needs is no number of a class.
    """
    if model.condition != "class":
        return 0
    try:
        return int(float(example.label if example.label is not None else "none"))
    except ValueError:
        raise ScoringError(
            f"{model.name} draws images of a class by number, but the label of example {example.id!r} is "
            f"{example.label!r}"
        ) from None


def key_of(name: str) -> int:
    """The number that decides the noise of what has this name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def score(
    model: DiffusionModel,
    items: Sequence[Item],
    *,
    batch_size: int,
    layer: int = -1,
    reduce: Reduce | None = None,
    grid: Grid | None = None,
) -> Columns:
    """Denoising errors of a model on images, and its features of them.

    Args:
        model: the model.
        items: images.
        batch_size: noised copies a forward pass.
        layer: block whose output is kept: of a U-Net the blocks down and then the middle one (-1), of a transformer its
            blocks; mean over positions and noised copies.
        reduce: called with the places of every batch, the number of noised copies in all, and the noise that the model
            sees in them (n_copies_of_batch, n_values), for anything that needs whole predictions; they are not kept.
        grid: where images are noised; the same for all models that are compared.

    Returns:
        Columns by name: `loss` (n_images, n_timesteps, n_draws) float64, squared norm of the noise error; `timestep`
        and `weight` (n_images, n_timesteps) float64, with the latter of which the sum of losses over timesteps is the
        diffusion term of the likelihood bound, nats; `n_values` (n_images,) int64, values an image; `hidden` (n_images,
        n_features) float32. Noised copies are counted image by image, timestep by timestep, draw by draw.

    Raises:
        ScoringError: if a loss is NaN or infinite, or images are of another shape than the model takes.
    """
    grid = grid or Grid()
    losses: list[torch.Tensor] = []
    with _features(model, layer) as features:
        for batch in _batches(model, items, batch_size, grid):
            predicted = _predict(model, batch)
            losses.append(_squared(predicted - batch.noise))
            if reduce is not None:
                reduce(batch.places, len(items) * grid.n_places, predicted.flatten(1).cpu().numpy())
    loss = _by_image(losses, items, grid)
    _refuse_nan(model, loss)
    hidden = torch.cat(features).reshape(len(items), grid.n_places, -1).mean(1).cpu().numpy()
    return {"loss": loss, **axes(model, grid, len(items)), "hidden": hidden}


def compare(
    model: DiffusionModel,
    reference: DiffusionModel,
    items: Sequence[Item],
    *,
    batch_size: int,
    grid: Grid | None = None,
) -> Columns:
    """Denoising errors of two models on the same noised images, and how far their predictions lie apart.

    Args:
        model: one model.
        reference: the other, of the same `space` and noise law.
        items: images.
        batch_size: noised copies a forward pass.
        grid: where images are noised.

    Returns:
        `loss`, `loss_of_reference` and `gap` (squared distance of the predicted noises), each (n_images, n_timesteps,
        n_draws), float64.

    Raises:
        ScoringError: if the models see images otherwise, or a value is NaN or infinite.
    """
    _refuse_another_space(model, reference)
    grid, found = grid or Grid(), dict[str, list[torch.Tensor]]()
    for batch in _batches(model, items, batch_size, grid):
        ours, theirs = _predict(model, batch), _predict(reference, batch).to(model.device)
        errors = {"loss": ours - batch.noise, "loss_of_reference": theirs - batch.noise, "gap": ours - theirs}
        for name, error in errors.items():
            found.setdefault(name, []).append(_squared(error))
    columns = {name: _by_image(squares, items, grid) for name, squares in found.items()}
    _refuse_nan(model, columns["loss"])
    _refuse_nan(reference, columns["loss_of_reference"])
    return columns


def squared_gap(p: NDArray[Any], q: NDArray[Any]) -> Columns:
    """`gap`: squared distance of matching rows of two models' predicted noises, shape (n_rows,), float64."""
    return {"gap": np.square(np.subtract(p, q, dtype=np.float64)).sum(axis=1)}


def axes(model: DiffusionModel, grid: Grid, n_rows: int) -> Columns:
    """`timestep`, `weight` and `n_values`, as `score` returns them: one row an image, so that shards add up."""
    timestep = model.law.timesteps(grid.n_timesteps)
    row = {"timestep": timestep, "weight": model.law.likelihood_weights(timestep), "n_values": np.prod(model.shape)}
    return {name: np.repeat(np.asarray(values)[None], n_rows, axis=0) for name, values in row.items()}


def _batches(model: DiffusionModel, items: Sequence[Item], batch_size: int, grid: Grid) -> Iterator[_Batch]:
    """Noised copies in the order of places; every copy depends on its place alone."""
    for item in items:
        if item.state.shape != model.shape:
            raise ScoringError(f"{model.name} takes images of shape {model.shape}, but one has {item.state.shape}")
    for begin in range(0, len(items) * grid.n_places, batch_size):
        yield _noised(model, items, np.arange(begin, min(begin + batch_size, len(items) * grid.n_places)), grid)


def _noised(model: DiffusionModel, items: Sequence[Item], places: NDArray[np.int64], grid: Grid) -> _Batch:
    steps = model.law.timesteps(grid.n_timesteps)[places // grid.n_draws % grid.n_timesteps]
    own = [items[i] for i in places // grid.n_places]
    draws = (places % grid.n_draws).tolist()
    streams = zip(own, steps, draws, strict=True)
    noise = np.stack([noise_at(grid.seed, item.key, step, draw, model.shape) for item, step, draw in streams])
    levels = (level.astype(np.float32)[:, None, None, None] for level in model.law.levels(steps))
    state, noise_there, signal, level = (
        to_device(values, model.device) for values in (np.stack([item.state for item in own]), noise, *levels)
    )
    timesteps = to_device(steps.astype(np.float32 if model.law.alphas_cumprod is None else np.int64), model.device)
    return _Batch(places, own, timesteps, noise_there, signal * state + level * noise_there, (signal, level))


def to_device(values: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A tensor on the device; towards a GPU from pinned memory, without waiting."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@torch.inference_mode()
def _predict(model: DiffusionModel, batch: _Batch) -> torch.Tensor:
    """The noise that a model sees in noised images, float32."""
    noised, levels = batch.noised.to(model.device), (level.to(model.device) for level in batch.levels)
    told = conditions(model, [item.prompt for item in batch.items], [item.label for item in batch.items])
    return model.law.noise_of(denoise(model, noised, batch.timesteps.to(model.device), told), noised, *levels)


def denoise(
    model: DiffusionModel, noised: torch.Tensor, timesteps: torch.Tensor, told: dict[str, torch.Tensor]
) -> torch.Tensor:
    """What the network itself says, float32; a learned variance is left out."""
    output = model.model(noised.to(model.model.dtype), timestep=timesteps, return_dict=False, **told)[0]
    return output[:, : noised.shape[1]].float()


@torch.inference_mode()
def conditions(model: DiffusionModel, prompts: Sequence[str], labels: Sequence[int]) -> dict[str, torch.Tensor]:
    """What the denoiser is told of each image, by the name of its argument; each text is encoded once."""
    if model.condition == "none":
        return {}
    if model.condition == "class":
        return {"class_labels": torch.tensor(labels, device=model.device)}
    texts = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    rows = torch.tensor([texts[prompt] for prompt in prompts], device=model.device)
    others = {"prompt_2": None, "prompt_3": None} if model.condition == "pooled text" else {}
    embedded = model.pipeline.encode_prompt(
        list(texts), **others, device=model.device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    told = {"encoder_hidden_states": embedded[0][rows]}
    return told | {"pooled_projections": embedded[2][rows]} if model.condition == "pooled text" else told


@torch.inference_mode()
def _encoded(model: DiffusionModel, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels, or the mean of what the autoencoder makes of them, shifted and scaled."""
    if model.vae is None:
        return np.ascontiguousarray(pixels)
    batch = torch.from_numpy(np.ascontiguousarray(pixels))[None].to(model.device, model.vae.dtype)
    latent = model.vae.encode(batch).latent_dist.mode()[0].float()
    shifted = (latent - (model.vae.config.shift_factor or 0)) * model.vae.config.scaling_factor
    return shifted.cpu().numpy()


@contextmanager
def _features(model: DiffusionModel, layer: int) -> Iterator[list[torch.Tensor]]:
    """A list that fills with the output of one block, mean over positions, batch after batch."""
    found: list[torch.Tensor] = []
    blocks = getattr(model.model, "transformer_blocks", None) or [*model.model.down_blocks, model.model.mid_block]
    if not -len(blocks) <= layer < len(blocks):
        raise ScoringError(f"{model.name}: there is no layer {layer}; it has {len(blocks)} blocks")

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        # Blocks down give their output first, then what they pass across; joint blocks give the text's first.
        state = output if isinstance(output, torch.Tensor) else output[-1 if model.condition == "pooled text" else 0]
        positions = (2, 3) if state.ndim == 4 else (1,)
        found.append(state.float().mean(positions))

    handle = blocks[layer].register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def _squared(error: torch.Tensor) -> torch.Tensor:
    return error.flatten(1).square().sum(1, dtype=torch.float64)


def _by_image(squares: list[torch.Tensor], items: Sequence[Item], grid: Grid) -> NDArray[np.float64]:
    return torch.cat(squares).cpu().numpy().reshape(len(items), grid.n_timesteps, grid.n_draws)


def _refuse_nan(model: DiffusionModel, loss: NDArray[np.float64]) -> None:
    bad = np.flatnonzero(np.logical_not(np.isfinite(loss)).any(axis=(1, 2)))
    if len(bad):
        raise ScoringError(
            f"{model.name}: NaN or infinite predictions for {len(bad)} of {len(loss)} images, first for image "
            f"number {int(bad[0]) + 1}; the checkpoint is broken or its precision too low (try dtype: float32)"
        )


def _refuse_another_space(model: DiffusionModel, reference: DiffusionModel) -> None:
    if model.space != reference.space or model.shape != reference.shape:
        raise ScoringError(
            f"{model.name} and {reference.name} see images otherwise (another autoencoder or size), so the noise that "
            "they predict cannot be compared"
        )
    if not model.law.noises_like(reference.law):
        raise ScoringError(f"{model.name} and {reference.name} noise images by different schedules")
