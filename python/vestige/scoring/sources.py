"""Subjects that a checkpoint alone does not make: code of the user's own, and outputs that were recorded elsewhere.

Code is named by where it is imported from, so that every worker finds it by itself. A function that was given in Python
is known in the process that it was given to, and in workers that are forked from it.
"""

import hashlib
import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from vestige.scoring.checkpoints import CheckpointError, file_digest, fingerprint, first_line, weight_files
from vestige.scoring.facts import tokenizer_digest

Form = Literal["checkpoint", "module", "function", "recorded"]
"""A checkpoint; weights for a module that user's code builds; a function that returns logits; recorded outputs."""

_given: dict[str, Callable[..., Any]] = {}


@dataclass(frozen=True)
class Code:
    """A function of the user's, with the arguments that it is called with beside those of every call.

    Attributes:
        name: `package.module:name`, or `:name` of one that was given in Python.
        settings: keyword arguments, as JSON.
        files: further keyword arguments that are paths; what lies there is part of the fingerprint.
    """

    name: str
    settings: str = "{}"
    files: tuple[tuple[str, Path], ...] = ()

    def imported(self) -> Callable[..., Any]:
        """The function, its arguments bound.

        Raises:
            CheckpointError: if it cannot be imported, or was given to another process.
        """
        paths = {name: str(path) for name, path in self.files}
        return partial(_found(self.name), **json.loads(self.settings), **paths)

    def fingerprint(self) -> str:
        """A digest of the source file that it lies in, its arguments and what lies at its paths; nothing is run.

        Raises:
            CheckpointError: if there is no such file, or it was given in Python (see `fingerprint_of_given`).
        """
        total = hashlib.blake2b(f"{self.name} {self.settings}".encode(), digest_size=16)
        total.update(file_digest(_source(self.name)))
        for name, path in self.files:
            total.update(name.encode() + contents_digest(path))
        return total.hexdigest()


def digest_of(form: Form, folder: Path, code: Code | None, token_ids: Sequence[Sequence[int]] = ()) -> str:
    """A digest of all that a subject is made of, whatever that is; what is not given in Python is not run.

    Args:
        form: what it is.
        folder: its checkpoint, weights or outputs; the tokenizer's folder of a function.
        code: of a module or function.
        token_ids: of some texts, for functions that were given in Python.

    Raises:
        CheckpointError: if something of it is not there.
    """
    if form == "recorded":
        return contents_digest(folder).hex()
    if code is None:
        return fingerprint(folder)
    own = fingerprint_of_given(code, token_ids) if code.name.startswith(":") else code.fingerprint()
    total = hashlib.blake2b(own.encode(), digest_size=16)
    parts = (
        [file_digest(path) for path in weight_files(folder)]
        if form == "module"
        else [tokenizer_digest(folder).encode()]
    )
    for part in parts:
        total.update(part)
    return total.hexdigest()


@contextmanager
def given(functions: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Make functions known by name, as `:NAME`, to this process and to those that it forks meanwhile."""
    _given.update(functions)
    try:
        yield
    finally:
        for name in functions:
            del _given[name]


def fingerprint_of_given(code: Code, token_ids: Sequence[Sequence[int]]) -> str:
    """A digest of a function that was given in Python: its source, and what it says of some texts on one thread.

    Weights that it holds can be had in no other way.

    Args:
        code: named `:NAME`.
        token_ids: of the texts.

    Raises:
        CheckpointError: if it is not known here.
    """
    function, total = code.imported(), hashlib.blake2b(code.name.encode(), digest_size=16)
    total.update(_text_of(_given[code.name[1:]]).encode())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for ids in token_ids:
            said = function(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.int64))
            logits = getattr(said, "logits", said)
            total.update(np.ascontiguousarray(torch.as_tensor(logits).detach().float().cpu().numpy()).tobytes())
    finally:
        torch.set_num_threads(threads)
    return total.hexdigest()


def contents_digest(path: Path) -> bytes:
    """A digest of a file, or of a checkpoint, or of all files in a folder.

    Raises:
        CheckpointError: if it is not there.
    """
    if not path.is_dir():
        return file_digest(path)
    if any(path.glob("*.safetensors")):
        return fingerprint(path).encode()
    total = hashlib.blake2b(digest_size=16)
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        total.update(file.relative_to(path).as_posix().encode() + file_digest(file))
    return total.digest()


def _found(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if not module:
        return _of_this_process(attribute)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # code of the user's own: anything may go wrong in it
        raise _no_import(name, f"{type(error).__name__}: {first_line(error)}") from error
    if not callable(found):
        raise _no_import(name, f"it is no function but {type(found).__name__}")
    return found


def _of_this_process(name: str) -> Callable[..., Any]:
    if name not in _given:
        raise CheckpointError(
            f"the function {name!r} was given in Python to another process, and cannot be sent here: give it again, "
            f"`evaluate(..., functions={{{name!r}: ...}})`, or name it by where it is imported from, "
            "`function: package.module:name`, for other machines, Ray, and systems that do not fork"
        )
    return _given[name]


def _source(name: str) -> Path:
    module = name.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError) as error:
        raise _no_import(name, first_line(error)) from None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise _no_import(name, f"there is no module {module!r}")
    return Path(spec.origin)


def _no_import(name: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"cannot import {name!r} ({why}); it must be `package.module:name`, installed or where PYTHONPATH says"
    )


def _text_of(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt, or an object that is called
        return type(function).__qualname__
