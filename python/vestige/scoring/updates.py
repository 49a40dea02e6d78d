"""What LoRA adapters do to the weights of their base, module by module, read from disk without loading a model."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from vestige.scoring.checkpoints import ADAPTER, read_json

WEIGHTS = "adapter_model.safetensors"
"""Where PEFT keeps an adapter's weights."""

Factors = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A, shape (rank, n_inputs), and B, shape (n_outputs, rank); a module's weight grows by B A."""

_FACTOR = re.compile(r"\.lora_(?:embedding_)?(?P<which>[AB])(?:\.weight)?$")
_STARTS_FROM_BASE = (True, False, None, "gaussian", "orthogonal")
"""Ways to begin training that leave the base as it is; others put a part of it into the adapter."""

_MORE = ("use_dora", "use_qalora", "target_parameters", "layer_replication")
"""Settings under which an adapter is more than a product for each module."""


class LoraUpdates(Mapping[str, Factors]):
    """Module to the factors of its update, read when they are asked for.

    What is added to an embedding or a convolution is a matrix too, of the same norm and the same distances. B is scaled
    as PEFT does it: by `lora_alpha` (the module's own where it has one) over the rank, or over its root.

    Args:
        folder: an adapter of which `is_lora` holds.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._config = folder / WEIGHTS, read_json(folder / ADAPTER)
        self._names: dict[str, dict[str, str]] = {}
        for name in _tensor_names(self._path):
            if factor := _FACTOR.search(name):
                self._names.setdefault(name[: factor.start()], {})[factor["which"]] = name

    def __getitem__(self, module: str) -> Factors:
        names = self._names[module]
        with safe_open(self._path, framework="pt") as file:
            a, b = (_matrix(file.get_tensor(names[which])) for which in "AB")
        return a, b * self._scale(module, len(a))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)

    @property
    def factors(self) -> frozenset[str]:
        """Names of the tensors that are factors; an adapter may hold others, whole weights and biases."""
        return frozenset(name for names in self._names.values() for name in names.values())

    def _scale(self, module: str, rank: int) -> float:
        own = self._config.get("alpha_pattern") or {}
        found = next((alpha for part, alpha in own.items() if re.match(rf"(.*\.)?({part})$", module)), None)
        alpha = float(self._config["lora_alpha"] if found is None else found)
        return alpha / (math.sqrt(rank) if self._config.get("use_rslora") else rank)


def is_lora(folder: Path) -> bool:
    """Whether a folder is an adapter that adds products B A to its base and does nothing else to these weights."""
    if not (folder / ADAPTER).is_file() or not (folder / WEIGHTS).is_file():
        return False
    config = read_json(folder / ADAPTER)
    plain = config.get("peft_type") == "LORA" and config.get("init_lora_weights") in _STARTS_FROM_BASE
    return plain and not any(config.get(name) for name in _MORE)


def _tensor_names(path: Path) -> list[str]:
    with safe_open(path, framework="pt") as file:
        return list(file.keys())


def _matrix(values: torch.Tensor) -> NDArray[np.float64]:
    return values.double().flatten(1).numpy()
