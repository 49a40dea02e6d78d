"""Files that are there whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vestige.store.digest import digest_of
from vestige.store.paths import StoreError

PART = ".part-"
"""How the name of an unfinished file begins; it goes on with that of the file that it was to become."""


_PIECE = 8 << 20
"""Bytes that are handed to the disk at a time."""


@contextmanager
def part(target: Path, pieces: Sequence[bytes | memoryview]) -> Iterator[tuple[Path, str]]:
    """The pieces in a file that is on disk, to be renamed to `target`, and their BLAKE3; gone where it was not."""
    path = target.with_name(f"{PART}{target.name}-{secrets.token_hex(4)}")
    try:
        with ThreadPoolExecutor(1) as beside, path.open("xb") as file:
            digest = beside.submit(digest_of, pieces)  # while the disk is waited for
            for piece in pieces:
                _write(file, memoryview(piece))
            file.flush()
            os.fsync(file.fileno())
        yield path, digest.result()
    finally:
        path.unlink(missing_ok=True)


def _write(file: BinaryIO, content: memoryview) -> None:
    """Asks the disk to begin with each piece while the next is copied, not with all of them at the end."""
    for begin in range(0, len(content), _PIECE):
        piece = content[begin : begin + _PIECE]
        file.write(piece)
        if len(piece) == _PIECE and hasattr(os, "posix_fadvise"):
            # Pages that are still to be written are begun with, not dropped: Linux does what `sync_file_range` does.
            os.posix_fadvise(file.fileno(), file.tell() - _PIECE, _PIECE, os.POSIX_FADV_DONTNEED)


def sync_folder(folder: Path) -> None:
    """Brings new names of a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path, n_bytes: int) -> Iterator[None]:
    """An error of the disk as one sentence with the way out."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {path}: {_reason(error, path, n_bytes)}; {_UNTOUCHED}") from error


_UNTOUCHED = "what was stored before is untouched"


def _reason(error: OSError, path: Path, n_bytes: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(next(folder for folder in path.parents if folder.is_dir())).free
        return f"{error.strerror} (it needs {n_bytes / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free); make room"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.strerror}; choose a folder that you may write to"
    return error.strerror or str(error)
