"""The work of a run as tasks: what one model needs in one phase. Any number of processes may do them.

A task is safe to repeat and to kill: it does what the store lacks, and a lock, which a killed process lets go, keeps
two workers off the same one. Tasks of phase 2 need those of phase 1.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from vestige.evaluation.plan import RunPlan
from vestige.scoring.subject import release_models, score_model
from vestige.scoring.units import Checkpoint, Plan
from vestige.store import StoreError
from vestige.store.lock import exclusive

Progress = Callable[[str, int, int], None]
"""Called with a stage, the number of its steps done, and the number of its steps."""

STAGES = {1: "scoring retrained models", 2: "scoring models"}


class EvaluationError(RuntimeError):
    """Models that could not be scored; what could be is in the store."""


class TaskBusyError(EvaluationError):
    """A task that another worker is at."""


@dataclass(frozen=True)
class Task:
    """One model in one phase.

    Attributes:
        number: in the plan, from 0.
        phase: 1 for retrained models on their own, 2 for all others and for what needs the retrained models' scores.
        checkpoint: the model.
        plan: what is scored of every model.
        folder: where the locks lie.
        wait: whether to wait for another worker that is at it, rather than to refuse.
    """

    number: int
    phase: int
    checkpoint: Checkpoint
    plan: Plan
    folder: Path
    wait: bool = False

    @property
    def lock(self) -> Path:
        """Held by whoever is at it."""
        return self.folder / f"{self.phase}-{self.checkpoint.key}.lock"

    @property
    def is_done(self) -> bool:
        """Whether the store has all that it makes."""
        return not self.plan.missing(self.checkpoint, self.phase)

    def __str__(self) -> str:
        return f"task {self.number} ({self.checkpoint.name})"


class Engine(Protocol):
    """Runs a function on tasks, calls `done` after each that succeeded, and returns those that failed and why."""

    def __call__(
        self, function: Callable[[Task], None], tasks: Sequence[Task], *, done: Callable[[Task], None]
    ) -> list[tuple[Task, BaseException]]:
        """Any order of the tasks will do."""


def tasks_of(run: RunPlan) -> tuple[Task, ...]:
    """All tasks of a run, each model once in each phase it has work in, those of phase 1 first."""
    checkpoints = {1: run.scoring.references, 2: tuple({m.checkpoint.key: m.checkpoint for m in run.models}.values())}
    pairs = [(phase, c) for phase, found in checkpoints.items() for c in found if run.scoring.units(c, phase)]
    folder = run.scoring.store.root.parent / "locks"
    return tuple(Task(i, phase, checkpoint, run.scoring, folder) for i, (phase, checkpoint) in enumerate(pairs))


def do_task(task: Task) -> None:
    """Do what is left of a task, alone.

    Raises:
        TaskBusyError: if another worker is at it and the task is not to wait.
        CheckpointError, ScoringError, StoreError: as `score_model`.
    """
    with _alone(task):
        score_model(task.plan, task.checkpoint, task.phase)


def do_tasks(tasks: Sequence[Task], engine: Engine, progress: Progress) -> None:
    """Do all tasks, phase after phase; those that another process is at are waited for, and finished if it dies.

    Raises:
        EvaluationError: if a model cannot be scored, after all others of its phase are.
    """
    for phase in sorted({task.phase for task in tasks}):
        chosen = [task for task in tasks if task.phase == phase]
        try:
            errors = _do_phase(STAGES[phase], chosen, engine, progress)
        finally:
            release_models()
        if errors:
            raise EvaluationError(_failures(len(chosen), errors))


def _do_phase(stage: str, tasks: Sequence[Task], engine: Engine, progress: Progress) -> list[BaseException]:
    left = [task for task in tasks if not task.is_done]
    counter = _Counter(progress, stage, len(tasks) - len(left), len(tasks))
    failed = engine(do_task, left, done=counter.step)
    busy = [replace(task, wait=True) for task, error in failed if isinstance(error, TaskBusyError)]
    if busy:
        progress(f"waiting for {len(busy)} tasks of other workers", 0, len(busy))
    again = engine(do_task, busy, done=counter.step) if busy else []
    return [error for _, error in (*failed, *again) if not isinstance(error, TaskBusyError)]


def do_one(tasks: Sequence[Task], number: int) -> Task:
    """Do one task here, and say which one it was.

    Raises:
        EvaluationError: if there is none of that number, tasks that it needs are not done, or another worker is at it.
        CheckpointError, ScoringError, StoreError: as `score_model`.
    """
    if not 0 <= number < len(tasks):
        raise EvaluationError(f"there is no task {number}: the plan has tasks 0 to {len(tasks) - 1}")
    task = tasks[number]
    first = [other for other in tasks if other.phase < task.phase and not other.is_done]
    if first:
        raise EvaluationError(f"{task} needs what {', '.join(map(str, first))} makes; do that first")
    do_task(task)
    return task


@dataclass
class _Counter:
    """Counts tasks that are done."""

    progress: Progress
    stage: str
    done: int
    total: int

    def __post_init__(self) -> None:
        self.progress(self.stage, self.done, self.total)

    def step(self, _task: Task) -> None:
        self.done += 1
        self.progress(self.stage, self.done, self.total)


@contextmanager
def _alone(task: Task) -> Iterator[None]:
    task.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(task.lock, str(task), wait=task.wait))
        except StoreError as error:
            raise TaskBusyError(str(error)) from None
        yield


def _failures(n_models: int, errors: Sequence[BaseException]) -> str:
    reasons = "; ".join(str(error) or type(error).__name__ for error in errors)
    return f"{len(errors)} of {n_models} models could not be scored: {reasons}. Scores of the others are kept"
