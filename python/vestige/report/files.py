"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_whole(path: str | Path, text: str) -> Path:
    """Write a text file beside its place, then rename it into it: a failure leaves the old file as it was.

    Args:
        path: the file to write, UTF-8; its folder is made where there is none. A link is followed; what is no regular
            file, such as /dev/stdout, is written to directly.
        text: its content.

    Returns:
        The path, as given.

    Raises:
        OSError: if it cannot be written; nothing of the attempt is left.

    Source: defined here.
    """
    path = Path(path)
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return path
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    finally:
        # After the rename there is nothing to remove; after an error or an interrupt there is.
        part.unlink(missing_ok=True)
    return path
