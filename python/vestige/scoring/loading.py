"""Checkpoints in: safe, whole, and known by what they hold."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vestige.scoring.adapters import load_adapted
from vestige.scoring.checkpoints import (
    CheckpointError,
    base_folder,
    checkpoint_folder,
    fingerprint,
    first_line,
    quantisation,
    tokenizer_folder,
)

__all__ = [
    "CheckpointError",
    "LanguageModel",
    "as_checkpoint_error",
    "checkpoint_folder",
    "fingerprint",
    "load_language_model",
    "load_pretrained",
    "quiet_transformers",
    "refuse_incomplete",
]


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model ready to be scored.

    Attributes:
        model: in eval mode.
        tokenizer: a fast tokenizer (offsets are needed to find the answer).
        name: how messages call it.
        folder: where it was loaded from.
    """

    model: Any
    tokenizer: Any
    name: str
    folder: Path

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.model.parameters()).device


def load_language_model(
    checkpoint: str | Path,
    *,
    name: str = "",
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """A causal language model and its tokenizer from a local folder or a hub id.

    A folder with `adapter_config.json` is an adapter of PEFT: it comes on its base, and the base stays loaded for the
    next adapter (models of both stay usable in turns). Quantised weights are loaded as their configuration says.
    Only safetensors are read, and a checkpoint with missing or mismatched weights is refused (transformers would fill
    them with random numbers and only warn).

    Args:
        checkpoint: folder, or hub id of a model that is cached or can be fetched; `OWNER/NAME@REVISION` pins it.
        name: how messages call it, default the folder's name.
        dtype: "auto" (as stored), "float32", "bfloat16" or "float16".
        device: default a GPU where there is one, else the CPU.
        trust_remote_code: whether code that comes with the checkpoint may run here.

    Raises:
        CheckpointError: if it is missing, incomplete or not a causal language model, or has no fast tokenizer.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint_folder(checkpoint, code=trust_remote_code)
    name = name or folder.name
    model = load_pretrained(
        AutoModelForCausalLM, folder, name=name, dtype=dtype, device=device, trust_remote_code=trust_remote_code
    )
    with quiet_transformers(), as_checkpoint_error(name, folder):
        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer_folder(folder), local_files_only=True, trust_remote_code=trust_remote_code
        )
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"{folder} has only a slow tokenizer; answers are found by offsets, which need a fast one"
        )
    return LanguageModel(model, tokenizer, name, folder)


def load_pretrained(
    auto: Any,
    folder: Path,
    *,
    name: str,
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """A model of transformers of any class, or an adapter on its base, in eval mode on the device.

    Args:
        auto: an auto class, such as `AutoModelForCausalLM`.
        folder: of the checkpoint or adapter.
        name: how messages call it.
        dtype: "auto" (as stored), "float32", "bfloat16" or "float16".
        device: default a GPU where there is one, else the CPU.
        trust_remote_code: whether code that comes with the checkpoint may run here.

    Raises:
        CheckpointError: if it cannot be loaded whole, or needs code or a package that is not allowed or not there.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")

    def load(path: Path) -> Any:
        return _load_whole(auto, path, name, dtype, device, trust_remote_code)

    with quiet_transformers(), as_checkpoint_error(name, folder):
        if base_folder(folder) is None:
            return load(folder)
        return load_adapted(folder, load, key=(auto.__name__, dtype, device, trust_remote_code))


def _load_whole(auto: Any, folder: Path, name: str, dtype: str, device: str, trust_remote_code: bool) -> Any:
    # Quantised weights cannot be moved or cast once they are there, so they are put on the device as they are read.
    placed = {"device_map": {"": device}} if quantisation(folder) else {}
    model, info = auto.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        weights_only=True,
        trust_remote_code=trust_remote_code,
        local_files_only=True,
        output_loading_info=True,
        **placed,
    )
    refuse_incomplete(name, info)
    return (model if placed else model.to(device)).eval()


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and load reports off the terminal; what matters is raised instead."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)


@contextlib.contextmanager
def as_checkpoint_error(name: str, folder: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a checkpoint is read into a `CheckpointError` with its name."""
    from safetensors import SafetensorError

    try:
        yield
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        if "trust_remote_code" in str(error):
            raise CheckpointError(
                f"cannot load {name}: {folder} needs Python code of its own, which runs only if you say so; read it, "
                "then set `trust_remote_code: true` under `models` (in Python, `trust_remote_code=True`)"
            ) from error
        raise CheckpointError(f"cannot load {name} from {folder}: {first_line(error)}") from error


def refuse_incomplete(name: str, info: dict[str, Any]) -> None:
    """Refuse a checkpoint whose loading report (`output_loading_info`) names missing or mismatched weights.

    Raises:
        CheckpointError: if it does.
    """
    for kind in ("missing_keys", "mismatched_keys"):
        if keys := sorted(str(key) for key in info[kind]):
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            raise CheckpointError(
                f"{name}: {len(keys)} weights are {kind.split('_')[0]} ({shown}); transformers would fill them with "
                "random numbers, so no score of this checkpoint would mean anything. Save it whole and try again"
            )
