"""The forward passes of a run: what they will take, all at once, or planned and done by any number of workers."""

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

from pydantic import ValidationError

from vestige.evaluation.binding import open_plan, refuse_changed_weights, write_plan
from vestige.evaluation.changes import change_models
from vestige.evaluation.config import Config, ConfigError, read_config, write_config
from vestige.evaluation.costs import Cost, cost_of, refuse_full_disk
from vestige.evaluation.distributed import EngineName, engine_of
from vestige.evaluation.plan import RunPlan, plan_run
from vestige.evaluation.tasks import Progress, Task, do_one, do_tasks, tasks_of
from vestige.scoring.callables import Logits
from vestige.scoring.sources import given

Costs = tuple[tuple[Task, Cost], ...]
"""Every task of a run with what is left of it."""


def score(
    config: Config | str | Path,
    out: str | Path,
    *,
    jobs: int = 2,
    engine: EngineName = "local",
    functions: Mapping[str, Logits] | None = None,
    progress: Progress | None = None,
) -> tuple[RunPlan, dict[str, float]]:
    """Only the forward passes: everything that `evaluate` reads goes into the store of the run folder.

    Args:
        config: as for `evaluate`.
        out: as for `evaluate`.
        jobs: as for `evaluate`.
        engine: as for `evaluate`.
        functions: as for `evaluate`.
        progress: as for `evaluate`.

    Returns:
        The plan of the run, and the seconds that scoring took.

    Raises:
        ConfigError, DataError, CheckpointError, EvaluationError, StoreError: as `evaluate`.
    """
    began, folder, step = perf_counter(), Path(out), progress or silent
    if functions:
        config = _with_functions(_checked(config), functions, engine)
    with given(functions or {}):
        run = _planned(config, folder, jobs, step)
        tasks = tasks_of(run)
        refuse_full_disk((cost_of(task) for task in tasks), folder)
        do_tasks(tasks, engine_of(engine, jobs), step)
    return run, {"scoring": perf_counter() - began}


def estimate_costs(config: Config | str | Path, out: str | Path) -> Costs:
    """What a run into a folder will take, beyond what its store has already. Writes nothing, loads no weights.

    Models that interventions are yet to make are not counted.

    Raises:
        ConfigError, DataError, CheckpointError: if the input cannot be used.
    """
    run = plan_run(_checked(config), Path(out))
    return tuple((task, cost_of(task)) for task in tasks_of(run))


def prepare(config: Config | str | Path, out: str | Path, *, jobs: int = 1, progress: Progress | None = None) -> Costs:
    """Write the plan of a run, `plan.json`, into its folder, for `work` to be called by any number of processes.

    Interventions of the configuration are made here: a plan is bound to the weights that it is of.

    Args:
        config: as for `evaluate`.
        out: the run folder, on a disk that all workers see.
        jobs: worker processes, for interventions.
        progress: as for `evaluate`, for interventions.

    Returns:
        The tasks by number, with what each will take.

    Raises:
        ConfigError, DataError, CheckpointError: if the input cannot be used.
        EvaluationError: if the disk has not the room.
    """
    folder = Path(out)
    run = _planned(config, folder, jobs, progress or silent)
    costs = tuple((task, cost_of(task)) for task in tasks_of(run))
    refuse_full_disk((cost for _, cost in costs), folder)
    write_plan(run, folder)
    return costs


def work(
    plan: str | Path,
    *,
    task: int | None = None,
    jobs: int = 1,
    engine: EngineName = "local",
    progress: Progress | None = None,
) -> tuple[Task, ...]:
    """Do one task of a plan, or all that is left of it, sharing it with whoever else works on it.

    Args:
        plan: a folder that `prepare` wrote into, or its `plan.json`.
        task: number of the task; None for all.
        jobs: as for `evaluate`, where all are done.
        engine: likewise.
        progress: likewise.

    Returns:
        The tasks that are now done.

    Raises:
        PlanError: if there is no plan, or data, weights or libraries have changed since.
        EvaluationError: if a model cannot be scored, or the task must wait for others or is being worked on.
        StoreError: if the disk is full or a stored shard is damaged.
    """
    run = open_plan(Path(plan))
    tasks = tasks_of(run)
    wanted = [t for t in tasks if (task is None or t.number == task) and not t.is_done]
    references = run.scoring.references if any(t.phase > 1 for t in wanted) else ()
    refuse_changed_weights(dict.fromkeys((*(t.checkpoint for t in wanted), *references)))
    refuse_full_disk((cost_of(t) for t in wanted), run.scoring.store.root)
    if task is not None:
        return (do_one(tasks, task),)
    do_tasks(tasks, engine_of(engine, jobs), progress or silent)
    return tasks


def silent(_stage: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _checked(config: Config | str | Path) -> Config:
    return config if isinstance(config, Config) else read_config(config)


def _with_functions(config: Config, functions: Mapping[str, Logits], engine: EngineName) -> Config:
    """The configuration with these functions among its unlearned models, unless it lists them."""
    if engine != "local":
        raise ConfigError(
            "`functions` stay in this process and those that it forks: use the local engine, or name them in the "
            "configuration, `function: package.module:name`"
        )
    listed = {model.name: model for model in config.models.unlearned}
    for name in functions.keys() & listed.keys():
        if listed[name].function != f":{name}":
            raise ConfigError(f"the configuration has another model called {name!r}; give the function another name")
    new = [{"name": name, "function": f":{name}"} for name in functions if name not in listed]
    said = config.model_dump()
    said["models"]["unlearned"] = [*said["models"]["unlearned"], *new]
    try:
        return Config.model_validate(said)
    except ValidationError as error:
        raise ConfigError("; ".join(e["msg"] for e in error.errors())) from None


def _planned(config: Config | str | Path, folder: Path, jobs: int, progress: Progress) -> RunPlan:
    """The plan of a run whose folder has its own copy of the configuration and the models that interventions make."""
    checked = _checked(config)
    run = plan_run(checked, folder)  # a mistake is found before anything is changed or scored
    folder.mkdir(parents=True, exist_ok=True)
    _keep_config(config, checked, folder)
    if checked.interventions is None:
        return run
    return plan_run(checked, folder, change_models(checked, folder, jobs=jobs, progress=progress))


def _keep_config(given: Config | str | Path, config: Config, folder: Path) -> None:
    """The run's own copy of its configuration, unless the one that was given lies in the folder already."""
    kept = folder / "config.yaml"
    if not isinstance(given, Config) and Path(given).resolve().parent == folder.resolve():
        return
    if kept.exists() and read_config(kept) != config:
        raise ConfigError(f"{kept} is there and says something else; give --out another folder")
    write_config(config, kept)
