"""Models changed on purpose before they are scored: does what was forgotten come back?"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vestige.data.examples import Example, digest
from vestige.evaluation.config import Change, Config, ConfigError, Merge, Noise, Prune, Quantise, Relearn, Scoring
from vestige.evaluation.examples import examples_of
from vestige.interventions.checkpoints import save_changed
from vestige.interventions.noise import noised
from vestige.interventions.pruning import pruned
from vestige.interventions.quantisation import quantised
from vestige.interventions.relearning import classifier_relearning_curve, relearning_curve
from vestige.metrics.accuracy import exact_match
from vestige.scoring.checkpoints import base_folder, checkpoint_folder, fingerprint, quantisation
from vestige.scoring.kinds import KINDS
from vestige.scoring.workers import run_tasks

REFERENCE = "retrained-0"
"""The model that never knew: what an intervention does to it is not a return."""
CURVE_EXAMPLES = 64
"""Examples on which accuracy is followed while a model relearns them."""


@dataclass(frozen=True)
class Changed:
    """One model after one intervention.

    Attributes:
        name: unique in tables.
        source: the model that was changed.
        change: the intervention in words.
        folder: its checkpoint.
        curve: accuracy on the answers that it relearnt after 0, 1, ... steps; empty for other interventions.
        taught: which forget examples it relearnt; the others tell what came back by itself.
    """

    name: str
    source: str
    change: str
    folder: Path
    curve: tuple[float, ...]
    taught: tuple[bool, ...]


@dataclass(frozen=True)
class _Task:
    source: str
    checkpoint: str
    change: Change
    forget: tuple[Example, ...]
    folder: Path
    kind: str
    how: Scoring
    trusted: bool


def change_models(
    config: Config, out: Path, *, jobs: int, progress: Callable[[str, int, int], None]
) -> tuple[Changed, ...]:
    """Every intervention of a configuration on the models that it names and on the first retrained one.

    What is there already is kept, so a run that was stopped goes on where it was.

    Args:
        config: the run.
        out: its folder; the models are written under `changed/` in it.
        jobs: worker processes.
        progress: called with a stage, the number of its steps done and the number of its steps.

    Raises:
        ConfigError: if a model cannot be changed.
    """
    if config.interventions is None:
        return ()
    tasks = list(_tasks(config, out))
    todo = list({task.folder: task for task in tasks if not task.folder.exists()}.values())
    done = len(tasks) - len(todo)
    progress("changing models", done, len(tasks))

    def one_more(_: _Task) -> None:
        nonlocal done
        done += 1
        progress("changing models", done, len(tasks))

    if failed := run_tasks(_make, todo, jobs=jobs, done=one_more):
        told = "; ".join(f"{_name(task)}: {str(error) or type(error).__name__}" for task, error in failed)
        raise ConfigError(f"{len(failed)} of {len(tasks)} interventions failed: {told}")
    return tuple(Changed(_name(t), t.source, t.change.words, t.folder, _curve(t.folder), _taught(t)) for t in tasks)


def _tasks(config: Config, out: Path) -> Iterator[_Task]:
    assert config.interventions is not None
    paths = {model.name: model.path for model in config.models.unlearned} | {REFERENCE: config.models.retrained[0]}
    forget, how, trusted = examples_of(config.data)["forget"], config.scoring, config.models.trust_remote_code
    for source in (*config.interventions.models, REFERENCE):
        path = checkpoint_folder(paths[source], code=trusted)
        for change in config.interventions.changes:
            _refuse(source, path, change)
            asked = change.model_dump(exclude_none=True)
            facts = [fingerprint(path), digest(forget), asked, how.seed, "every second cluster"]
            facts += [asdict(how.rule)] if how.rule else []
            key = hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()
            folder = out.resolve() / "changed" / key
            yield _Task(source, paths[source], change, forget, folder, config.kind, how, trusted)


def _refuse(source: str, path: Path, change: Change) -> None:
    if quantisation(path):
        raise ConfigError(f"interventions: {source} ({path}) has quantised weights, which cannot be changed further")
    if isinstance(change, Merge) and source != REFERENCE and base_folder(path) is None:
        raise ConfigError(f"interventions.merge: {source} ({path}) is a whole model; only an adapter can be merged")


def _make(task: _Task) -> None:
    trusted = {"trust_remote_code": True} if task.trusted else {}
    folder = checkpoint_folder(task.checkpoint, code=task.trusted)
    model = KINDS[task.kind].load(folder, name=task.source, dtype=task.how.dtype, **trusted)
    task.folder.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(task.change, Relearn):
        changed, curve = _relearned(task, model, task.change)
        _curve_file(task.folder).write_text(json.dumps(curve), encoding="utf-8")  # first: the folder says all is there
    else:
        changed = _reweighted(model.model, task.change, task.how.seed)
    save_changed(model, changed, task.folder)


def _reweighted(model: Any, change: Change, seed: int) -> Any:
    """A copy with other weights that no data were needed for."""
    match change:
        case Quantise():
            return quantised(model, change.bits, nf4=change.format == "nf4")
        case Noise():
            return noised(model, change.sd, seed)
        case Prune():
            return pruned(model, change.share)
        case _:
            return deepcopy(model)  # an adapter's copy has it merged


def _relearned(task: _Task, model: Any, change: Relearn) -> tuple[Any, list[float]]:
    """The model after the last step, and its accuracy after each."""
    how, rule = KINDS[task.kind], {"rule": task.how.rule} if task.how.rule else {}
    taught = [example for example, chosen in zip(task.forget, _taught(task), strict=True) if chosen]
    items = [how.encode(model, example, **rule) for example in taught]
    followed = [items[i] for i in _spread(len(items))]
    last: Any = None

    def accuracy(trained: Any) -> float:
        nonlocal last
        last = trained
        columns = how.score(replace(model, model=trained), followed, batch_size=32)
        if "argmax_hit" not in columns:  # a model that predicts a number is never simply right
            return float("nan")
        return float(exact_match(columns["argmax_hit"], columns["offsets"]).mean())

    learn = classifier_relearning_curve if task.kind == "classifier" else relearning_curve
    settings: dict[str, Any] = {**change.model_dump(), "seed": task.how.seed}
    curve = learn(model, items, accuracy, **settings)
    return last, curve.tolist()


def _taught(task: _Task) -> tuple[bool, ...]:
    """Every second cluster for relearning: facts of the others are not taught, so if they return they were there."""
    if not isinstance(task.change, Relearn):
        return (False,) * len(task.forget)
    order = {cluster: i for i, cluster in enumerate(dict.fromkeys(example.cluster for example in task.forget))}
    return tuple(order[example.cluster] % 2 == 0 for example in task.forget)


def _spread(n: int) -> Sequence[int]:
    return sorted({int(i) for i in np.linspace(0, n - 1, min(CURVE_EXAMPLES, n)).round()})


def _name(task: _Task) -> str:
    return f"{task.source}, {task.change.words}"


def _curve_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-curve.json")


def _curve(folder: Path) -> tuple[float, ...]:
    path = _curve_file(folder)
    return tuple(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else ()
