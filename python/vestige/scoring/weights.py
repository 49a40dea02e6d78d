"""How far apart the weights of two checkpoints are, read tensor by tensor from disk."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open


def parameter_distances(folder: Path, reference: Path) -> NDArray[np.float64] | None:
    """Euclidean distance of every weight tensor to its namesake, in the order of their names.

    Args:
        folder: checkpoint with safetensors weights.
        reference: checkpoint to compare with.

    Returns:
        Shape (n_tensors,), float64; None where the two do not hold the same tensors in the same shapes (an adapter,
        a quantised model, another architecture), so that no distance is defined.

    Source: arXiv 2605.02206, released code (one L2 norm a trainable tensor).
    """
    ours, theirs = _where(folder), _where(reference)
    if ours.keys() != theirs.keys():
        return None
    distances = []
    for name in sorted(ours):
        a, b = _tensor(ours[name], name), _tensor(theirs[name], name)
        if a.shape != b.shape or not a.is_floating_point():
            return None
        distances.append(float(torch.linalg.vector_norm(a.double() - b.double())))
    return np.array(distances)


def _where(folder: Path) -> dict[str, Path]:
    where = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            where.update(dict.fromkeys(file.keys(), path))
    return where


def _tensor(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)
