"""How far apart the weights of two checkpoints are, read tensor by tensor from disk."""

from math import nan
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from vestige.metrics.activation import by_layer, update_norms
from vestige.scoring.checkpoints import base_folder, denoiser_folder, fingerprint, quantisation
from vestige.scoring.updates import LoraUpdates, is_lora

PARTS = ("tensor", "layer", "update")
"""What weights are compared by; part of what the stored distances are."""


def parameter_distances(folder: Path, reference: Path) -> NDArray[np.float64] | None:
    """Euclidean distance of every weight tensor to its namesake, in the order of their names.

    Of two adapters on one base the adapters' own tensors are compared, as the released code below does; that distance
    depends on how an adapter is written as a product, not only on what it does. Of diffusers pipelines the denoisers'
    weights are compared.

    Args:
        folder: checkpoint with safetensors weights.
        reference: checkpoint to compare with.

    Returns:
        Shape (n_tensors,), float64; None where no distance is defined, `incomparable` says why.

    Source: arXiv 2605.02206, released code (one L2 norm a trainable tensor).
    """
    found = _by_tensor(denoiser_folder(folder), denoiser_folder(reference))
    return np.array(list(found.values())) if found else None


def weight_columns(folder: Path, reference: Path) -> dict[str, NDArray[np.float64]]:
    """Distances of two checkpoints' weights by tensor, by layer and by LoRA module, each as far as it is defined.

    Adapters on one base are compared by layer and by module in what they do, so these distances are the same however an
    adapter is written as a product, and by layer the same as those of the merged models; ranks may differ.

    Args:
        folder: checkpoint with safetensors weights.
        reference: checkpoint to compare with.

    Returns:
        `l2` (n_tensors,), as `parameter_distances`; `weight_distances` (n_layers,), Euclidean, layers in the order of
        their names; of two LoRA adapters on one base `relative_update` (n_modules,), relative to the reference's
        update, NaN where that is 0. float64; columns that are not defined are not there.

    Source: `metrics.activation.weight_distances` and `adapter_distance`.
    """
    folder, reference = denoiser_folder(folder), denoiser_folder(reference)
    tensors = _by_tensor(folder, reference)
    norms = _updates(folder, reference)
    columns = {
        "l2": tensors,
        "weight_distances": _by_layer(folder, reference, tensors, norms) if norms else by_layer(tensors),
        "relative_update": {name: apart / whole if whole > 0 else nan for name, (apart, whole) in norms.items()},
    }
    return {name: np.array(list(values.values())) for name, values in columns.items() if values}


def _by_tensor(folder: Path, reference: Path) -> dict[str, float]:
    """Name of each weight tensor to its distance; empty where none is defined."""
    if incomparable(folder, reference):
        return {}
    ours, theirs = tensor_files(folder), tensor_files(reference)
    return {name: _distance(_tensor(ours[name], name), _tensor(theirs[name], name)) for name in sorted(ours)}


def _by_layer(
    folder: Path, reference: Path, tensors: dict[str, float], norms: dict[str, tuple[float, float]]
) -> dict[str, float]:
    """Of two adapters: what their updates and the weights that they hold as a whole are apart; none if these differ."""
    held = {name for path in (folder, reference) for name in tensor_files(path).keys() - LoraUpdates(path).factors}
    whole = {name for name in held if ".base_layer." not in name}  # a copy of the base's own
    if whole - tensors.keys():
        return {}
    apart = {f"{name}.weight": distance for name, (distance, _) in norms.items()}
    apart |= {name: tensors[name] for name in whole}
    return by_layer(dict(sorted(apart.items())))


def _updates(folder: Path, reference: Path) -> dict[str, tuple[float, float]]:
    """Norms of LoRA updates by module, see `update_norms`; empty unless both adapt the same modules of one base."""
    if not (is_lora(folder) and is_lora(reference)) or _other_bases(folder, reference):
        return {}
    ours, theirs = LoraUpdates(folder), LoraUpdates(reference)
    return update_norms(ours, theirs) if ours.keys() == theirs.keys() else {}


def incomparable(folder: Path, reference: Path) -> str:
    """Why the weights of two checkpoints have no distance; "" where they have one.

    Args:
        folder: checkpoint with safetensors weights.
        reference: checkpoint to compare with.
    """
    for path in (folder, reference):
        if method := quantisation(path).get("quant_method"):
            return f"the weights of {path.name} are quantised ({method}): codes and scales have no distance to weights"
    bases = [base_folder(path) for path in (folder, reference)]
    if (bases[0] is None) != (bases[1] is None):
        adapter = folder if bases[0] else reference
        return f"{adapter.name} is an adapter and the other is not: merge it first"
    if _other_bases(folder, reference):
        return f"{folder.name} and {reference.name} are adapters on different bases"
    return _differing(_shapes(folder), _shapes(reference))


def _other_bases(folder: Path, reference: Path) -> bool:
    """Whether they are adapters on different bases."""
    ours, theirs = base_folder(folder), base_folder(reference)
    return bool(ours and theirs and fingerprint(ours) != fingerprint(theirs))


def _differing(ours: dict[str, str], theirs: dict[str, str]) -> str:
    if lone := sorted(ours.keys() ^ theirs.keys()):
        return f"{len(lone)} weight tensors are in one of them only, first {lone[0]}"
    for name, shape in ours.items():
        if shape != theirs[name]:
            return f"{name} is {shape} in one and {theirs[name]} in the other"
        if not shape.startswith(("F", "BF")):
            return f"{name} holds {shape}, which are no real numbers"
    return ""


def _distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(a.double() - b.double()))


def tensor_files(folder: Path) -> dict[str, Path]:
    """Name of each weight tensor of a folder to the file that holds it."""
    where = {}
    for path in _files(folder):
        with safe_open(path, framework="pt") as file:
            where.update(dict.fromkeys(file.keys(), path))
    return where


def _shapes(folder: Path) -> dict[str, str]:
    """Name of each tensor to its type and shape, without reading it."""
    shapes = {}
    for path in _files(folder):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - a file is no mapping
                tensor = file.get_slice(name)
                shapes[name] = f"{tensor.get_dtype()} {tuple(tensor.get_shape())}"
    return shapes


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) if folder.is_dir() else [folder]


def _tensor(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)
