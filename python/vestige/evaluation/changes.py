"""Models changed on purpose before they are scored: does what was forgotten come back?"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vestige.data.examples import Example, digest
from vestige.evaluation.config import Change, Config, ConfigError, Quantise, Relearn
from vestige.evaluation.examples import examples_of
from vestige.interventions.checkpoints import save_changed
from vestige.interventions.quantisation import quantised
from vestige.interventions.relearning import relearning_curve
from vestige.metrics.accuracy import exact_match
from vestige.scoring.language import score
from vestige.scoring.loading import LanguageModel, checkpoint_folder, fingerprint, load_language_model
from vestige.scoring.spans import Sequence as Tokens
from vestige.scoring.spans import SpanRule, encode
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
    dtype: str
    seed: int
    rule: SpanRule | None


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
    todo = [task for task in tasks if not task.folder.exists()]
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
    forget = examples_of(config.data)["forget"]
    for source in (*config.interventions.models, REFERENCE):
        for change in config.interventions.changes:
            source_of = fingerprint(checkpoint_folder(paths[source]))
            facts = [source_of, digest(forget), change.model_dump(), config.scoring.seed, "every second cluster"]
            facts += [asdict(config.scoring.rule)] if config.scoring.rule else []
            key = hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()
            folder = out.resolve() / "changed" / key
            how = config.scoring
            yield _Task(source, paths[source], change, forget, folder, how.dtype, how.seed, how.rule)


def _make(task: _Task) -> None:
    model = load_language_model(checkpoint_folder(task.checkpoint), name=task.source, dtype=task.dtype)
    task.folder.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(task.change, Quantise):
        save_changed(model, quantised(model.model, task.change.bits), task.folder)
        return
    taught = [example for example, chosen in zip(task.forget, _taught(task), strict=True) if chosen]
    sequences = [encode(model.tokenizer, example, task.rule) for example in taught]
    last, curve = _relearned(model, sequences, task.change, task.seed)
    _curve_file(task.folder).write_text(json.dumps(curve), encoding="utf-8")  # first: the folder says that all is there
    save_changed(model, last, task.folder)


def _relearned(model: LanguageModel, sequences: list[Tokens], change: Relearn, seed: int) -> tuple[object, list[float]]:
    """The model after the last step, and its accuracy after each."""
    followed = [sequences[i] for i in _spread(len(sequences))]
    last: object = None

    def accuracy(trained: object) -> float:
        nonlocal last
        last = trained
        columns = score(LanguageModel(trained, model.tokenizer, model.name, model.folder), followed, batch_size=32)
        return float(exact_match(columns["argmax_hit"], columns["offsets"]).mean())

    curve = relearning_curve(
        model, sequences, accuracy, steps=change.steps, lr=change.lr, batch_size=change.batch_size, seed=seed
    )
    return last, curve.tolist()


def _taught(task: _Task) -> tuple[bool, ...]:
    """Every second cluster for relearning: facts of the others are not taught, so if they return they were there."""
    if isinstance(task.change, Quantise):
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
