"""Checkpoint folders: where they are, what they hold, and what they are put on; read without loading a model."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

ADAPTER = "adapter_config.json"

# What decides how text and images become the model's inputs, and how an image is noised.
_INPUTS = ("tokenizer*.json", "*processor_config.json", "chat_template*", "scheduler_config.json", "*.py")


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be scored, and why."""


def checkpoint_folder(checkpoint: str | Path, *, code: bool = False) -> Path:
    """The local folder of a checkpoint; a hub id is looked up in the cache, then fetched.

    Args:
        checkpoint: folder, or hub id; `OWNER/NAME@REVISION` pins a branch, tag or commit of it.
        code: whether Python files are fetched too, for a model that needs code of its own.

    Raises:
        CheckpointError: if there is no such folder and the id cannot be fetched.
    """
    folder = Path(checkpoint)
    if folder.is_dir():
        return folder
    name, _, revision = str(checkpoint).partition("@")
    if folder.is_absolute() or name.startswith(".") or name.count("/") != 1:
        raise CheckpointError(f"no checkpoint folder at {checkpoint}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", *(["*.py"] if code else [])]
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"{str(checkpoint)!r} is neither a folder nor a hub model that can be fetched: {first_line(error)}"
        ) from None


def revision(folder: Path) -> str:
    """The commit that a folder in the hub's cache was fetched at; "" for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else ""


def base_folder(adapter: Path) -> Path | None:
    """The checkpoint that an adapter is put on, as its `adapter_config.json` names it; None if it is no adapter.

    A path is relative to the adapter's folder, or to the working directory.

    Raises:
        CheckpointError: if it names no base or a base that is not there, or is itself put on an adapter.
    """
    if not (adapter / ADAPTER).is_file():
        return None
    config = read_json(adapter / ADAPTER)
    base = config.get("base_model_name_or_path")
    if not base:
        raise CheckpointError(f"{adapter / ADAPTER} names no base model (base_model_name_or_path)")
    pinned = f"{base}@{config['revision']}" if config.get("revision") else base
    beside = adapter / base
    try:
        folder = beside.resolve() if beside.is_dir() else checkpoint_folder(base if Path(base).is_dir() else pinned)
    except CheckpointError as error:
        raise CheckpointError(f"the base of the adapter {adapter}: {error}") from None
    if (folder / ADAPTER).is_file():
        raise CheckpointError(f"the adapter {adapter} is put on another adapter ({folder}); merge that one first")
    return folder


def tokenizer_folder(folder: Path) -> Path:
    """The folder that holds a checkpoint's tokenizer: its own, or the base's where an adapter has none."""
    base = None if (folder / "tokenizer_config.json").is_file() else base_folder(folder)
    return base or folder


def chat_template(folder: Path) -> Any:
    """A checkpoint's chat template, the processor's in front of the tokenizer's; None where it has none."""
    for place in (processor_folder(folder), tokenizer_folder(folder)):
        if (place / "chat_template.jinja").is_file():
            return (place / "chat_template.jinja").read_text(encoding="utf-8")
        for name in ("chat_template.json", "tokenizer_config.json"):
            said = read_json(place / name).get("chat_template") if (place / name).is_file() else None
            if said:
                return said
    return None


def processor_folder(folder: Path) -> Path:
    """The folder that says how images become pixels: the checkpoint's own, or the base's where an adapter says not."""
    base = None if any(folder.glob("*processor_config.json")) else base_folder(folder)
    return base or folder


def quantisation(folder: Path) -> dict[str, Any]:
    """How a checkpoint's weights (or its base's) are quantised, as its `config.json` says; {} where they are not."""
    path = (base_folder(folder) or folder) / "config.json"
    return dict(read_json(path).get("quantization_config") or {}) if path.is_file() else {}


def fingerprint(folder: Path) -> str:
    """A digest of weights, configuration, tokenizer and processor: two checkpoints share it only if they are the same.

    An adapter's covers its base.

    Raises:
        CheckpointError: if the folder has no safetensors weights.
    """
    base, total = base_folder(folder), hashlib.blake2b(digest_size=16)
    for path in _files(folder, "config.json" if base is None else ADAPTER):
        total.update(path.relative_to(folder).as_posix().encode())
        total.update(file_digest(path))
    if base:
        total.update(_fingerprint_of(base, stamps(base)).encode())
    return total.hexdigest()


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of plain weights: the file itself, or those in a folder.

    Raises:
        CheckpointError: if there is none.
    """
    found = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not found or any(file.suffix != ".safetensors" or not file.is_file() for file in found):
        raise CheckpointError(
            f"no .safetensors weights at {path}; save the module's state with safetensors.torch.save_model first"
        )
    return found


def denoiser_folder(folder: Path) -> Path:
    """Where the weights that are trained lie: the denoiser's part of a diffusers pipeline, else the folder itself."""
    parts = (folder / part for part in ("unet", "transformer"))
    return next((part for part in parts if (part / "config.json").is_file()), folder)


def _files(folder: Path, config: str) -> list[Path]:
    """Weights, then whatever else decides what a model says; of a pipeline, those of every part."""
    weights = sorted(folder.glob("*.safetensors"))
    if weights:
        inputs = [path for pattern in _INPUTS for path in sorted(folder.glob(pattern))]
        return [*weights, folder / config, *inputs]
    if denoiser_folder(folder) == folder or not list(denoiser_folder(folder).glob("*.safetensors")):
        raise CheckpointError(
            f"{folder} has no .safetensors weights; convert the checkpoint with save_pretrained first"
        )
    patterns = (f"{part}{kind}" for part in ("", "*/") for kind in ("*.safetensors", "*.json", "*.txt", "*.model"))
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of change of the files that a model is loaded from."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


@lru_cache(maxsize=8)
def _fingerprint_of(base: Path, _: tuple[tuple[str, int, int], ...]) -> str:
    """The fingerprint of a base, which many adapters share, computed again only when its files have changed."""
    return fingerprint(base)


def file_digest(path: Path) -> bytes:
    """BLAKE2b of a file.

    Raises:
        CheckpointError: if it is not there.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except FileNotFoundError:
        raise CheckpointError(f"the checkpoint has no {path.name} (looked in {path.parent})") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint.

    Raises:
        CheckpointError: if it is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {first_line(error)}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must hold a JSON object, found {type(content).__name__}")
    return content


def first_line(error: BaseException) -> str:
    """The first line of what an error says, with the next where that is only a headline; else the error's type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
