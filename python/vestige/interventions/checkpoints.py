"""Changed models as ordinary checkpoint folders."""

import shutil
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import save_file

from vestige.scoring.checkpoints import denoiser_folder, processor_folder, tokenizer_folder
from vestige.scoring.loading import quiet_transformers

_WEIGHTS = "model.safetensors"
# What turns texts and images into a model's inputs, and code that the model needs.
_INPUTS = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model"),
    *("chat_template*", "*processor_config.json", "*.py"),
)


class Loaded(Protocol):
    """A loaded model of any kind."""

    @property
    def folder(self) -> Path:
        """Where it was loaded from."""


def save_changed(source: Loaded, changed: Any, folder: str | Path) -> Path:
    """Writes a changed model, with everything else of the checkpoint that it was made from, as a new folder.

    Args:
        source: the model that was changed, of any kind that can be loaded.
        changed: the changed copy: a model of transformers, timm or diffusers.
        folder: where to; must not exist. It is there whole or not at all.

    Returns:
        The folder, which a run's configuration takes like any other.

    Raises:
        FileExistsError: if the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"`folder` ({folder}) exists; choose a new one, no checkpoint is overwritten")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with quiet_transformers():
        _write(source.folder, changed, part)
    return part.rename(folder)


def _write(source: Path, changed: Any, part: Path) -> None:
    if (denoiser := denoiser_folder(source)) != source:
        shutil.copytree(source, part, ignore=shutil.ignore_patterns("*.bin", "*.ckpt", ".cache"))
        inside = part / denoiser.relative_to(source)
        shutil.rmtree(inside)
        changed.save_pretrained(inside)
        return
    part.mkdir(parents=True)
    if hasattr(changed, "save_pretrained"):
        changed.save_pretrained(part)
    else:  # timm's: the weights by name beside a configuration that says which architecture it is
        shutil.copyfile(source / "config.json", part / "config.json")
        save_file({name: weight.contiguous() for name, weight in changed.state_dict().items()}, part / _WEIGHTS)
    for of in dict.fromkeys((source, tokenizer_folder(source), processor_folder(source))):
        for path in (path for pattern in (*_INPUTS, "scheduler*") for path in of.glob(pattern)):
            _copy(path, part / path.name)


def _copy(path: Path, to: Path) -> None:
    if to.exists():
        return
    if path.is_dir():
        shutil.copytree(path, to)
    else:
        shutil.copyfile(path, to)
