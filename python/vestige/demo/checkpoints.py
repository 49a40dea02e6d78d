"""Folders that are there whole or not at all: each is written beside its place, then renamed into it."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import LlamaForCausalLM

from vestige.scoring.loading import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RECORD = "demo.json"


def publish(folder: Path, fingerprint: str, fill: Callable[[Path], None], record: Mapping[str, Any]) -> None:
    """Fills a folder beside `folder` and renames it into place, with a record of what made it.

    Args:
        folder: where it shall be; something unfinished there is replaced.
        fingerprint: of the settings that decide the contents.
        fill: writes the contents into the folder that it is given.
        record: what else to remember of the making, as JSON values.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    fill(part)
    kept = {"fingerprint": fingerprint, "bytes": _sizes(part), **record}
    (part / RECORD).write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)


def record_of(folder: Path) -> dict[str, Any]:
    """The record of a published folder; empty if there is none that can be read."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    return record


def finished(folder: Path, fingerprint: str) -> bool:
    """Whether a folder was published under these settings and still has all its files at their full sizes."""
    record = record_of(folder)
    return record.get("fingerprint") == fingerprint and record["bytes"].items() <= _sizes(folder).items()


def save_checkpoint(
    folder: Path,
    model: LlamaForCausalLM,
    tokenizer: "PreTrainedTokenizerFast",
    fingerprint: str,
    record: Mapping[str, Any],
) -> None:
    """Publishes an ordinary Hugging Face folder: config, safetensors, tokenizer."""

    def fill(part: Path) -> None:
        with quiet_transformers():
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)

    publish(folder, fingerprint, fill, record)


def load_checkpoint(folder: Path) -> LlamaForCausalLM:
    """Loads a model that `save_checkpoint` wrote, without asking any network."""
    with quiet_transformers():
        model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, local_files_only=True)
    return model


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != RECORD)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
