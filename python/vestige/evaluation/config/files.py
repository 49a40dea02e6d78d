"""Configurations as YAML files, with paths that are relative to the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vestige.evaluation.config.base import ConfigError
from vestige.evaluation.config.models import Unlearned
from vestige.evaluation.config.run import Config
from vestige.metrics.columns import SPLITS


def read_config(path: str | Path) -> Config:
    """The configuration in a YAML file, paths in it made absolute (they are relative to the file).

    Raises:
        ConfigError: if the file is missing or not YAML, a field is missing, unknown or out of range.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration at {path}") from None
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file ({error})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} is no configuration: expected `models:` and `data:` with settings under them")
    try:
        return resolved(Config.model_validate(raw), path.parent)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_mistakes(error)}") from None


def write_config(config: Config, path: Path) -> None:
    """Write a configuration as YAML, paths under the file's folder relative to it."""
    said = relative_to(config, path.parent).model_dump()
    said["models"]["unlearned"] = [_given(model) for model in said["models"]["unlearned"]]
    path.write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _given(model: dict[str, Any]) -> dict[str, Any]:
    """What was said of an unlearned model, without what was left out."""
    spent = {name: cost for name, cost in model["spent"].items() if cost is not None}
    return {name: value for name, value in {**model, "spent": spent}.items() if value not in ("", {}, ())}


def _mistakes(error: ValidationError) -> str:
    rows = (
        f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']} (found {e['input']!r:.60})" for e in error.errors()
    )
    return "; ".join(rows)


def resolved(config: Config, base: Path) -> Config:
    """The configuration with paths made absolute that are relative to a folder."""

    def checkpoint(text: str) -> str:
        """A path if its first folder is there, so that a mistyped folder is not taken for a hub id."""
        local = (base / text).exists() or (base / Path(text).parts[0]).is_dir()
        return str((base / text).resolve()) if local else text

    return _with_paths(config, checkpoint, lambda text: str((base / text).resolve()))


def relative_to(config: Config, base: Path) -> Config:
    """The configuration with paths under a folder made relative to it."""
    base = base.resolve()

    def relative(text: str) -> str:
        return str(Path(text).relative_to(base)) if base in Path(text).parents else text

    return _with_paths(config, relative, relative)


def _with_paths(config: Config, checkpoint: Callable[[str], str], data: Callable[[str], str]) -> Config:
    given = config.models
    models = given.model_copy(
        update={
            "original": checkpoint(given.original),
            "retrained": tuple(map(checkpoint, given.retrained)),
            "unlearned": tuple(_unlearned(model, checkpoint, data) for model in given.unlearned),
            "controls": tuple(m.model_copy(update={"path": checkpoint(m.path)}) for m in given.controls),
            "retrained_ensemble": tuple(map(checkpoint, given.retrained_ensemble)),
            "judge": given.judge.model_copy(update={n: checkpoint(path) for n, path in given.judge.paths.items()}),
            "shadows": tuple(m.model_copy(update={"path": checkpoint(m.path)}) for m in given.shadows),
        }
    )
    names = (*SPLITS, "folder", "concepts")
    files = {name: data(path) for name in names if (path := getattr(config.data, name)) is not None}
    further = {name: data(path) for name, path in config.data.further.items()}
    update: dict[str, Any] = {"models": models, "data": config.data.model_copy(update={**files, "further": further})}
    if asked := config.interventions:
        rewritten = {name: data(path) for name, path in asked.rewritten.items()}
        update["interventions"] = asked.model_copy(update={"rewritten": rewritten})
    return config.model_copy(update=update)


def _unlearned(model: Unlearned, checkpoint: Callable[[str], str], data: Callable[[str], str]) -> Unlearned:
    update: dict[str, Any] = {"files": {name: data(path) for name, path in model.files.items()}}
    update["ensemble"] = tuple(map(checkpoint, model.ensemble))
    if model.path:
        update["path"] = checkpoint(model.path)
    if model.recorded:
        update["recorded"] = data(model.recorded)
    return model.model_copy(update=update)
