"""Value vectors and output embeddings, read from a checkpoint's files: no model is loaded."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from vestige.data.concepts import Concept
from vestige.scoring.checkpoints import CheckpointError, base_folder, quantisation, read_json
from vestige.scoring.updates import LoraUpdates, is_lora
from vestige.scoring.weights import tensor_files

# The last matrix of a block's MLP, as Llama and its relatives, GPT-2, GPT-NeoX and BLOOM, Phi, GPT-J and OPT call it.
_DOWN = re.compile(
    r"(?:^|\.)(?:layers|h)\.(?P<layer>\d+)\.(?:mlp\.(?:down_proj|c_proj|dense_4h_to_h|fc2|fc_out)|fc2)\.weight$"
)
_OTHER_PARTS = re.compile(r"vision|visual|audio|qformer|encoder\.")
_HEADS = (r"(?:^|\.)(?:lm_head|embed_out)\.weight$", r"(?:^|\.)(?:embed_tokens|wte|embed_in|word_embeddings)\.weight$")
_STORED_AS_ROWS = ("gpt2", "openai-gpt")
"""Models whose matrices are stored as (n_inputs, n_outputs)."""


def value_vectors(folder: Path, concepts: Sequence[Concept]) -> NDArray[np.float32] | None:
    """What the MLP's inner units of concepts write into the stream of hidden states.

    Args:
        folder: a checkpoint with safetensors weights, or a LoRA adapter, whose update is added to its base's vectors.
        concepts: which of them, in order.

    Returns:
        Shape (n_concepts, n_features), in the weights' unit; None where weights are quantised, or an adapter is of
        another kind and must be merged first.

    Raises:
        CheckpointError: if the model has no such layer or unit.

    Source: arXiv 2406.11614 (ConceptVectors): columns of the MLP's down-projection.
    """
    base = base_folder(folder)
    if quantisation(folder) or (base and not _adds_only_products(folder)):
        return None
    files, updates = tensor_files(base or folder), LoraUpdates(folder) if base else {}
    names = {int(found["layer"]): name for name in files if (found := _of_text(_DOWN, name))}
    rows = []
    for concept in concepts:
        if concept.layer not in names:
            known = f"has layers 0 to {max(names)}" if names else "has no MLP whose weights are known by name"
            raise CheckpointError(f"{concept.concept}: there is no layer {concept.layer}; {folder} {known}")
        name = names[concept.layer]
        vector = _vector(base or folder, files[name], name, concept)
        if (module := f"base_model.model.{name.removesuffix('.weight')}") in updates:
            a, b = updates[module]
            vector = (vector + b @ a[:, concept.index]).astype(np.float32)
        rows.append(vector)
    return np.stack(rows)


def output_embeddings(folder: Path) -> NDArray[np.float32]:
    """The matrix that turns a final hidden state into logits; of an adapter, its base's.

    Args:
        folder: a checkpoint with safetensors weights.

    Returns:
        Shape (n_words, n_features); the input embeddings where the two are one.

    Raises:
        CheckpointError: if it has no weights of a known name.
    """
    files = tensor_files(base_folder(folder) or folder)
    for pattern in _HEADS:
        for name in sorted(files):
            if _of_text(re.compile(pattern), name):
                with safe_open(files[name], framework="pt") as file:
                    matrix: NDArray[np.float32] = file.get_tensor(name).float().numpy()
                return matrix
    raise CheckpointError(f"{folder} has no output embeddings whose weights are known by name")


def _of_text(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """A match in the part of a model that speaks; one that sees has layers of its own."""
    return None if _OTHER_PARTS.search(name) else pattern.search(name)


def _adds_only_products(folder: Path) -> bool:
    """Whether an adapter changes the vectors by LoRA's products alone, and holds no whole matrix of theirs."""
    return is_lora(folder) and not any(_DOWN.search(name) for name in tensor_files(folder))


def _vector(folder: Path, path: Path, name: str, concept: Concept) -> NDArray[np.float32]:
    config: dict[str, Any] = read_json(folder / "config.json")
    with safe_open(path, framework="pt") as file:
        matrix = file.get_slice(name)
        as_rows = config.get("model_type") in _STORED_AS_ROWS
        n_units = matrix.get_shape()[0 if as_rows else 1]
        if concept.index >= n_units:
            raise CheckpointError(
                f"{concept.concept}: there is no unit {concept.index} in layer {concept.layer} of {folder}; "
                f"it has {n_units}"
            )
        vector = matrix[concept.index] if as_rows else matrix[:, concept.index]
    found: NDArray[np.float32] = vector.flatten().float().numpy()
    return found
