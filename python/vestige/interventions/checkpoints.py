"""Changed models as ordinary checkpoint folders."""

import shutil
from pathlib import Path
from typing import Any

from vestige.scoring.loading import LanguageModel, quiet_transformers


def save_changed(source: LanguageModel, changed: Any, folder: str | Path) -> Path:
    """Writes a changed model, with the tokenizer of the one that it was made from, as a new folder.

    Args:
        source: the model that was changed.
        changed: the changed copy, a transformers model.
        folder: where to; must not exist. It is there whole or not at all.

    Returns:
        The folder, which `load_language_model` and a run's configuration take like any other.

    Raises:
        FileExistsError: if the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"`folder` ({folder}) exists; choose a new one, no checkpoint is overwritten")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with quiet_transformers():
        changed.save_pretrained(part)
        source.tokenizer.save_pretrained(part)
    return part.rename(folder)
