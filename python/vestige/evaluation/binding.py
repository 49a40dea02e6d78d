"""A plan on disk: what is to be scored, bound to the data, the weights and the library versions it was made of."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vestige.evaluation.changes import change_models
from vestige.evaluation.config import Config, relative_to, resolved
from vestige.evaluation.plan import RunPlan, plan_run
from vestige.evaluation.tasks import tasks_of
from vestige.scoring.sources import digest_of
from vestige.scoring.units import Checkpoint

SCHEMA = "vestige.plan/1"
NAME = "plan.json"


class PlanError(ValueError):
    """A plan that cannot be worked on, and why."""


def write_plan(run: RunPlan, folder: Path) -> Path:
    """Write `plan.json` into a run folder: there whole or as it was."""
    folder = folder.resolve()
    content = {
        "schema": SCHEMA,
        "config": relative_to(run.config, folder).model_dump(),
        "fingerprints": {model.name: model.checkpoint.fingerprint for model in run.models},
        "settings": run.scoring.settings,
        "tasks": [
            {"task": t.number, "phase": t.phase, "model": t.checkpoint.name, "key": t.checkpoint.key}
            for t in tasks_of(run)
        ],
    }
    part = folder / f".{NAME}.part"
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return part.replace(folder / NAME)


def open_plan(path: Path) -> RunPlan:
    """The run that a plan is of, from its folder or its file.

    Weights are not read: `refuse_changed_weights` does that for those that are about to be used.

    Raises:
        PlanError: if there is no plan, or it is damaged, or the data or the libraries have changed since.
        DataError, CheckpointError: as `plan_run`.
    """
    path = (path / NAME if path.is_dir() else path).resolve()
    content = _content(path)
    config, folder = resolved(Config.model_validate(content["config"]), path.parent), path.parent
    changed = change_models(config, folder, jobs=1, progress=lambda *_: None)  # they are there
    run = plan_run(config, folder, changed, content["fingerprints"])
    now = json.loads(json.dumps(run.scoring.settings))
    if differences := sorted(_differences(content["settings"], now)):
        raise PlanError(
            f"{'; '.join(differences)}: what {path} says no longer holds; make the plan again (vestige plan)"
        )
    return run


def refuse_changed_weights(checkpoints: Iterable[Checkpoint]) -> None:
    """Read the weights, which the plan knows by their digest.

    Raises:
        PlanError: if a checkpoint is not what it was.
        CheckpointError: if it is no longer there.
    """
    for checkpoint in checkpoints:
        if digest_of(checkpoint.form, checkpoint.folder, checkpoint.code) != checkpoint.fingerprint:
            raise PlanError(
                f"{checkpoint.name}: the weights, configuration or tokenizer in {checkpoint.folder}"
                f"{_and_code(checkpoint)} have changed since the plan was made; make it again (vestige plan)"
            )


def _and_code(checkpoint: Checkpoint) -> str:
    return f", or {checkpoint.code.name}," if checkpoint.code else ""


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PlanError(f"no plan at {path}; make one with: vestige plan CONFIG -o {path.parent}") from None
    except ValueError:
        content = None
    if not isinstance(content, dict) or {"config", "fingerprints", "settings"} - set(content):
        raise PlanError(f"{path} is damaged or no plan; make it again (vestige plan)")
    if content["schema"] != SCHEMA:
        raise PlanError(
            f"{path} is of schema {content['schema']!r}, and this is {SCHEMA}; make it again (vestige plan)"
        )
    return content


def _differences(then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """What differs between two settings by split, in words."""
    return {
        f"{name} {'of ' + split + ' ' if name == 'data' else ''}was {old.get(name)!r} and is {new.get(name)!r}"
        for split in {*then, *now}
        for old, new in [(then.get(split, {}), now.get(split, {}))]
        for name in {*old, *new}
        if old.get(name) != new.get(name)
    }
