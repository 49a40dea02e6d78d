"""The text suite: models of fictitious authors, trained, retrained and unlearned here, with planted controls."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from vestige.demo.checkpoints import finished, record_of
from vestige.demo.methods import METHODS, Method
from vestige.demo.settings import FULL, MICRO, QUICK, Settings
from vestige.demo.tasks import GateError, Shop, Task, checkpoint_name, plan, strengths_of
from vestige.scoring.workers import worker_pool

__all__ = ["FULL", "MICRO", "QUICK", "GateError", "Settings", "build"]

Progress = Callable[[str, int, int], None]
MARGIN = 1.25


def build(
    out: Path | str,
    *,
    seed: int = 0,
    quick: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Path:
    """Makes a run folder: data, checkpoints and the configuration that scores them.

    Work that is already there is kept, so a run that was interrupted goes on where it stopped.

    Args:
        out: the run folder, new or one that this function began.
        seed: decides authors, weights, order of training and all noise; >= 0.
        quick: 12 unlearned checkpoints and two retrained seeds, for 39 and three.
        jobs: number of worker processes, one thread each.
        progress: called with a stage, how many of its models are done, and how many it has.
        settings: sizes and recipes in full; `quick` is then not looked at.

    Returns:
        Path of the configuration, `config.yaml` in the run folder.

    Raises:
        GateError: if a model is not good enough to be measured, with what was seen.
        ValueError: if an argument is out of range, or the folder belongs to another seed or other settings.
        FileExistsError: if the folder has data or checkpoints that this function did not write.
    """
    if seed < 0 or jobs < 1:
        raise ValueError(f"`seed` must be >= 0 and `jobs` >= 1, but they are {seed} and {jobs}")
    started = time.perf_counter()
    shop = Shop(Path(out).absolute(), settings or (QUICK if quick else FULL), seed)
    _claim(shop)
    tasks = plan(shop.settings)
    _run(shop, tasks, jobs, progress or _silent)
    _write_json(shop.out / "suite.json", _summary(shop, tasks, time.perf_counter() - started))
    config = shop.out / "config.yaml"
    if not config.exists():  # one that is there may hold checkpoints that its user added
        _write(config, yaml.safe_dump(_config(shop), sort_keys=False, allow_unicode=True))
    return config


def _claim(shop: Shop) -> None:
    """Makes the folder ours, or goes on with one that is."""
    suite, parts = shop.out / "suite.json", [shop.out / "data", shop.out / "checkpoints"]
    there = [part for part in parts if part.exists()]
    if suite.exists():
        before = json.loads(suite.read_text(encoding="utf-8"))
        if before["fingerprint"] == shop.fingerprint:
            return
        if any(finished(folder, before["fingerprint"]) for folder in (shop.out / "checkpoints").glob("*")):
            raise ValueError(
                f"`out` ({shop.out}) holds a suite of seed {before['seed']} made with other settings, seed or library "
                f"versions than asked for (seed {shop.seed}); choose another folder, or delete this one"
            )
        for part in there:
            shutil.rmtree(part)
    elif there:
        raise FileExistsError(f"`out` ({shop.out}) has {there[0].name}/ but no suite.json; choose a new folder")
    shop.out.mkdir(parents=True, exist_ok=True)
    _write_json(suite, _facts(shop))


def _run(shop: Shop, tasks: list[Task], jobs: int, progress: Progress) -> None:
    """Does what is not done, each task once all that it needs is there; the first ready task of the list goes first."""
    stages = {task.stage: sum(len(t.outputs) for t in tasks if t.stage == task.stage) for task in tasks}
    todo = [task for task in tasks if not task.done(shop)]
    missing = {output for task in todo for output in task.outputs}
    _report(progress, stages, tasks, missing)
    if not todo:
        return
    running: dict[Future[None], Task] = {}
    with worker_pool(jobs) as pool:
        while todo or running:
            for task in [task for task in todo if missing.isdisjoint(task.needs)][: jobs - len(running)]:
                todo.remove(task)
                running[pool.submit(task.work, shop, task.argument)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                missing.difference_update(running[future].outputs)
                _report(progress, {running[future].stage: stages[running[future].stage]}, tasks, missing)
                del running[future]


def _report(progress: Progress, stages: dict[str, int], tasks: list[Task], missing: set[str]) -> None:
    for stage, total in stages.items():
        left = sum(len(missing.intersection(task.outputs)) for task in tasks if task.stage == stage)
        progress(stage, total - left, total)


def _config(shop: Shop) -> dict[str, Any]:
    retrained = [f"checkpoints/retrained-{i}" for i in range(shop.settings.retrained)]
    held_back = f"checkpoints/retrained-{shop.settings.retrained}"
    chosen = [method for method in METHODS if method.name in shop.settings.unlearn.methods]
    return {
        "title": f"Demo: fictitious authors, seed {shop.seed}",
        "models": {
            "original": "checkpoints/original",
            "retrained": retrained,
            "unlearned": [entry for method in chosen for entry in _unlearned(shop, method)],
            "controls": [
                {"name": "retrained-held-back", "path": held_back, "expected": "not different"},
                {"name": "original", "path": "checkpoints/original", "expected": "different"},
                {"name": "original-noised", "path": "checkpoints/original-noised", "expected": "different"},
            ],
        },
        "data": {name: f"data/{name}.jsonl" for name in ("forget", "retain", "paraphrase", "holdout", "distance")},
        "scoring": {"samples": 8, "max_new_tokens": 14, "seed": shop.seed},
        "margin": MARGIN,
        **({"interventions": _interventions(shop)} if shop.settings.revisited else {}),
    }


def _interventions(shop: Shop) -> dict[str, Any]:
    """Few steps: the retrained model learns what it is taught and nothing else, so what returns beside it was there.

    A model that has read nothing but such questions does not follow orders; a wording that it still answers is short.
    """
    return {
        "models": list(shop.settings.revisited),
        "relearn": {"steps": 6, "lr": shop.settings.unlearn.lr, "batch_size": 32},
        "quantise": {"bits": 4},
        "ask": ["paraphrase"],
        "templates": {"quiz": "Here is a quiz.\n{prompt}"},
    }


def _unlearned(shop: Shop, method: Method) -> Iterator[dict[str, Any]]:
    """A method's checkpoints; one run makes them all, so that a stronger one took as long as those before it too."""
    seconds = 0.0
    for strength in strengths_of(method, shop.settings):
        folder = f"checkpoints/{checkpoint_name(method, strength)}"
        seconds += record_of(shop.out / folder)["cpu_seconds"]
        about = {"method": method.name, "strength": f"{strength:g}", "spent": {"seconds": round(seconds, 2)}}
        yield {"name": f"{method.name}@{strength:g}", "path": folder, **about}


def _facts(shop: Shop) -> dict[str, Any]:
    return {"seed": shop.seed, "fingerprint": shop.fingerprint, "settings": asdict(shop.settings)}


def _summary(shop: Shop, tasks: list[Task], wall_seconds: float) -> dict[str, Any]:
    """What was asked for, what the gates saw, and how long each stage took."""
    records = {(task.stage, output): record_of(shop.out / output) for task in tasks for output in task.outputs}
    seconds: dict[str, float] = {}
    for (stage, _), record in records.items():
        seconds[stage] = round(seconds.get(stage, 0.0) + record["cpu_seconds"], 2)
    return {
        **_facts(shop),
        "gates": {Path(output).name: record["gate"] for (_, output), record in records.items() if "gate" in record},
        "cpu_seconds": seconds,
        "wall_seconds_of_last_run": round(wall_seconds, 2),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    """Writes a file beside its place, then renames it into it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _silent(stage: str, done: int, total: int) -> None:
    """Shows nothing."""
