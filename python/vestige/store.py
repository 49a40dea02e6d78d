"""The score store: what models said, written once, read any number of times without the model.

A store is a folder. Each subject (a model, with everything that its numbers depend on) has a folder of its own in it,
and each split of it is one safetensors file with a JSON file beside it that names the settings and the checksum:

    store/<subject>/<split>.safetensors
    store/<subject>/<split>.json

A shard is written to a temporary name and renamed, tensors first: a shard without its JSON does not exist.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEMA = "vestige.store/1"


class StoreError(RuntimeError):
    """A shard that is missing or damaged, or a store that cannot be written."""


@dataclass(frozen=True)
class ScoreStore:
    """A folder of score shards.

    Attributes:
        root: the folder; made on the first write.
    """

    root: Path

    def has(self, subject: str, split: str, settings: Mapping[str, Any]) -> bool:
        """Whether this shard exists whole and was made with exactly these settings."""
        try:
            record = self._record(subject, split)
        except StoreError:
            return False
        return record["settings"] == _plain(settings) and record["checksum"] == _checksum(self._path(subject, split))

    def write(self, subject: str, split: str, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        """Write one shard so that it is there whole or not at all.

        Raises:
            StoreError: if the disk is full or the folder cannot be written.
        """
        from safetensors.numpy import save

        path = self._path(subject, split)
        blob = save({name: np.ascontiguousarray(values) for name, values in arrays.items()})
        record = {"schema": SCHEMA, "settings": _plain(settings), "checksum": hashlib.blake2b(blob).hexdigest()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                _part(path.parent, blob) as tensors,
                _part(path.parent, json.dumps(record, indent=1).encode()) as facts,
            ):
                path.with_suffix(".json").unlink(missing_ok=True)
                tensors.replace(path)
                facts.replace(path.with_suffix(".json"))
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; what was stored before is untouched") from error

    def read(self, subject: str, split: str) -> "Shard":
        """One shard, checked against its checksum; arrays are read when asked for.

        Raises:
            StoreError: if it is missing, cut short, changed, or of another schema.
        """
        record, path = self._record(subject, split), self._path(subject, split)
        if record["checksum"] != _checksum(path):
            raise StoreError(f"{path} does not match its checksum: it is damaged; run the scoring again to replace it")
        return Shard(path)

    def _record(self, subject: str, split: str) -> dict[str, Any]:
        path = self._path(subject, split).with_suffix(".json")
        try:
            record = json.loads(path.read_text())
        except FileNotFoundError:
            raise StoreError(f"the store has no {split!r} of {subject!r} (looked for {path})") from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise StoreError(f"{path} is damaged; run the scoring again to replace it") from None
        if not isinstance(record, dict) or record.get("schema") != SCHEMA or {"settings", "checksum"} - set(record):
            raise StoreError(f"{path} is not a record of {SCHEMA}")
        return record

    def _path(self, subject: str, split: str) -> Path:
        for name in (subject, split):
            if not re.fullmatch(r"[\w@+.-]+", name) or name.startswith("."):
                raise ValueError(f"a name in the store may hold letters, digits and . _ - @ +, found {name!r}")
        return self.root / subject / f"{split}.safetensors"


@dataclass(frozen=True)
class Shard:
    """The arrays of one split of one subject, each read from disk when it is asked for."""

    path: Path

    @cached_property
    def _file(self) -> Any:
        from safetensors import safe_open

        return safe_open(self.path, framework="numpy")

    def get(self, column: str) -> NDArray[Any] | None:
        """The column, or None where the shard has none of that name."""
        return self._file.get_tensor(column) if column in set(self._file.keys()) else None

    def __getitem__(self, column: str) -> NDArray[Any]:
        values = self.get(column)
        if values is None:
            raise StoreError(f"{self.path} has no {column!r}; it has {', '.join(sorted(self._file.keys()))}")
        return values


def _plain(settings: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(settings, sort_keys=True))


def _checksum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError:
        return "unreadable"


@contextmanager
def _part(folder: Path, blob: bytes) -> Iterator[Path]:
    """A temporary file that is on disk, to be renamed; gone where it was not."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
