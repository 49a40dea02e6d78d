"""What a number depends on beside the data: the model, its text processing, the code, the machine."""

import hashlib
import importlib.metadata
import sys
from functools import cache
from pathlib import Path
from typing import Any

import vestige
from vestige.scoring.checkpoints import (
    base_folder,
    file_digest,
    fingerprint,
    quantisation,
    revision,
    tokenizer_folder,
)
from vestige.scoring.spans import template_digest

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "peft", "accelerate", "numpy", "torchao", "timm")


def facts(model: Any, *, weights: str = "") -> dict[str, Any]:
    """What the manifest of a store says of a loaded model of any kind.

    Args:
        model: as a kind's `load` gives it: `model`, `folder` and `device`, and a `tokenizer` and `processor` where it
            has them.
        weights: digest of what it is made of, where it is no checkpoint.

    Returns:
        Plain values: digests of `weights`, `tokenizer` and chat `template` ("" where there is none), the hub's
        `revision` ("" for a local folder), the `base` of an adapter, `quantisation`, `dtype`, `attention`, `device`,
        `processor`, `code` (version of this package and digest of its scoring code) and versions of `libraries`.
    """
    folder, tokenizer = Path(model.folder), getattr(model, "tokenizer", None)
    base = base_folder(folder)
    return {
        "weights": weights or fingerprint(folder),
        "revision": revision(folder),
        "base": {"weights": fingerprint(base), "revision": revision(base)} if base else None,
        "quantisation": quantisation(folder),
        "tokenizer": tokenizer_digest(folder) if tokenizer is not None else "",
        "template": template_digest(tokenizer),
        "processor": _class_name(getattr(model, "processor", None)),
        "dtype": str(getattr(model.model, "dtype", "")).removeprefix("torch."),
        "attention": _attention(model.model),
        "device": _device(model.device),
        "code": {"version": vestige.__version__, "scoring": code_digest()},
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
    }


def tokenizer_digest(folder: Path) -> str:
    """A digest of the files that make a checkpoint's tokenizer, the base's where an adapter has none."""
    where, total = tokenizer_folder(folder), hashlib.blake2b(digest_size=8)
    for path in sorted([*where.glob("tokenizer*"), *where.glob("special_tokens_map.json"), *where.glob("vocab*")]):
        total.update(path.name.encode())
        total.update(file_digest(path))
    return total.hexdigest()


@cache
def code_digest() -> str:
    """A digest of the Python files of `vestige.scoring` and `vestige.data`, which all numbers pass through."""
    package, total = Path(vestige.__file__).parent, hashlib.blake2b(digest_size=8)
    for path in sorted([*package.glob("scoring/*.py"), *package.glob("data/*.py")]):
        total.update(path.name.encode())
        total.update(file_digest(path))
    return total.hexdigest()


def _attention(model: Any) -> str:
    """How transformers computes attention, such as sdpa or eager; "" for other modules."""
    return str(getattr(getattr(model, "config", None), "_attn_implementation", None) or "")


def _device(device: Any) -> str:
    """The device with the name of the GPU."""
    if device.type != "cuda":
        return str(device)
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


def _class_name(processor: Any) -> str:
    return processor if isinstance(processor, str) else "" if processor is None else type(processor).__name__


def _version(name: str) -> str:
    """As the library itself says, with its build where it is loaded; "" where it is not installed."""
    if version := getattr(sys.modules.get(name), "__version__", ""):
        return str(version)
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
