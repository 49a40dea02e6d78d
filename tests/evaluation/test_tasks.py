"""Many workers, killed workers: the store is the same, byte for byte."""

import json
import multiprocessing
import os
import random
import shlex
import shutil
import signal
import time
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from vestige.evaluation import EvaluationError, PlanError, estimate_costs, prepare, read_config, score, work
from vestige.evaluation.plan import plan_run
from vestige.evaluation.sizes import lengths, shard_sizes
from vestige.evaluation.tasks import TaskBusyError, tasks_of
from vestige.evaluation.tasks_table import sbatch_lines
from vestige.scoring import subject as scoring_subject
from vestige.scoring.kinds import KINDS
from vestige.scoring.loading import CheckpointError
from vestige.store import ScoreStore
from vestige.store.inventory import inventory, remove_leftovers
from vestige.store.lock import exclusive

Usage = namedtuple("Usage", "total used free")
FORK = multiprocessing.get_context("fork")


def started(function, *arguments, **options):
    process = FORK.Process(target=function, args=arguments, kwargs=options)
    process.start()
    return process


def test_four_workers_write_the_same_files_as_one(small_config, undisturbed, differing, tmp_path):
    score(small_config, tmp_path, jobs=4)
    assert differing(tmp_path / "store", undisturbed) == []


def test_four_processes_share_a_plan_and_write_the_same_files(small_config, undisturbed, differing, tmp_path):
    prepare(small_config, tmp_path)
    processes = [started(work, tmp_path) for _ in range(4)]
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert differing(tmp_path / "store", undisturbed) == []
    assert work(tmp_path) == tasks_of(plan_run(read_config(small_config), tmp_path))


def test_tasks_done_one_by_one_make_the_same_files(small_config, undisturbed, differing, tmp_path):
    tasks = [task for task, _ in prepare(small_config, tmp_path)]
    assert [(t.phase, t.checkpoint.name) for t in tasks] == [
        (1, "retrained-0"), (1, "retrained-1"), (2, "original"), (2, "retrained-0"), (2, "retrained-1"), (2, "GA@3"),
    ]  # fmt: skip
    with pytest.raises(
        EvaluationError, match=r"task 2 \(original\) needs what task 0 .*, task 1 .* makes; do that fir"
    ):
        work(tmp_path, task=2)
    with pytest.raises(EvaluationError, match="no task 6: the plan has tasks 0 to 5"):
        work(tmp_path, task=6)
    for number in (1, 0, 5, 2, 4, 3, 3):
        assert [done.number for done in work(tmp_path / "plan.json", task=number)] == [number]
    assert differing(tmp_path / "store", undisturbed) == []


def test_a_run_that_is_killed_at_any_moment_loses_no_finished_shard_and_ends_the_same(
    small_config, undisturbed, differing, tmp_path
):
    prepare(small_config, tmp_path)
    delays, n_kills, kept = random.Random(0), 0, dict[str, float]()
    while n_kills < 60:
        worker = started(work, tmp_path)
        worker.join(delays.uniform(0.02, 0.6))
        if not worker.is_alive():
            break
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        n_kills += 1
        found = finished(tmp_path / "store")
        assert {path: found[path] for path in kept} == kept, "a finished shard was lost or written again"
        kept = found
    work(tmp_path)
    assert n_kills >= 3 and kept
    remove_leftovers(ScoreStore(tmp_path / "store"))  # locks that nobody holds, files that were not finished
    assert differing(tmp_path / "store", undisturbed) == []


def finished(store):
    """Shards whose record is there: both files, with the time at which the record was written."""
    return {str(path): path.stat().st_mtime_ns for path in store.rglob("[0-9]*.json")}


def test_a_task_that_another_process_is_at_is_refused_and_all_are_waited_for(
    small_config, undisturbed, differing, tmp_path
):
    costs = prepare(small_config, tmp_path)
    task = costs[0][0]
    task.folder.mkdir()
    with exclusive(task.lock, "it"):
        with pytest.raises(
            TaskBusyError, match=rf"task 0 \(retrained-0\) is being written by process {os.getpid()} on"
        ):
            work(tmp_path, task=0)
        other, stages = started(work, tmp_path), []
        time.sleep(1.0)
        assert other.is_alive(), "it did not wait"
    work(tmp_path, progress=lambda stage, *_: stages.append(stage))
    other.join(300)
    assert other.exitcode == 0
    assert differing(tmp_path / "store", undisturbed) == []


def test_checkpoints_are_loaded_once_a_phase_and_nothing_is_scored_twice(small_config, tmp_path, monkeypatch):
    kind, loaded, scored = KINDS["language"], [], []

    def load(*arguments, name, **options):
        loaded.append(name)
        return kind.load(*arguments, name=name, **options)

    def score_and_note(model, items, **options):
        if "layer" in options:
            scored.append((model.name, tuple(items)))
        return kind.score(model, items, **options)

    monkeypatch.setitem(KINDS, "language", replace(kind, load=load, score=score_and_note))
    score(small_config, tmp_path, jobs=1)
    assert sorted(loaded) == ["GA@3", "original", *["retrained-0"] * 2, *["retrained-1"] * 2]
    n_shards = len({path.parent.name + path.name for path in tmp_path.glob("store/GA@3-*/[!sv]*/*.json")})
    assert len(scored) == len(set(scored)) == 4 * n_shards
    score(small_config, tmp_path, jobs=1)
    assert len(loaded) == 6


def test_large_retrained_models_are_not_kept_and_logits_are_compared_in_parts(
    small_config, undisturbed, differing, tmp_path, monkeypatch
):
    monkeypatch.setattr(scoring_subject, "KEPT_WEIGHTS", 0)
    monkeypatch.setattr(scoring_subject, "CHUNK", 7 * 4 * 512)
    score(small_config, tmp_path, jobs=1)
    assert differing(tmp_path / "store", undisturbed) == []


def test_the_cut_into_shards_changes_no_number(small_config, undisturbed, tmp_path):
    whole = read_config(small_config)
    whole = whole.model_copy(update={"scoring": whole.scoring.model_copy(update={"examples_per_shard": None})})
    score(whole, tmp_path, jobs=1)
    for subject in (path.name for path in undisturbed.iterdir()):
        for split in (path.name for path in (undisturbed / subject).iterdir() if path.is_dir()):
            one, many = (ScoreStore(root).read(subject, split) for root in (tmp_path / "store", undisturbed))
            assert len(one.shards) == 1
            assert one.columns == many.columns
            for column in one.columns:
                np.testing.assert_allclose(one[column], many[column], atol=2e-5, err_msg=f"{subject} {split} {column}")


def test_what_a_run_will_take_is_said_before_and_nothing_is_written(small_config, undisturbed, tmp_path):
    costs = [cost for _, cost in estimate_costs(small_config, tmp_path / "new")]
    assert not (tmp_path / "new").exists()
    taken = sum(path.stat().st_size for path in undisturbed.rglob("*") if path.is_file())
    assert sum(cost.disk for cost in costs) == pytest.approx(taken, rel=0.1)
    assert all(cost.seconds > 0 and cost.memory > 0 and cost.passes > 0 for cost in costs)
    assert {cost.disk for _, cost in estimate_costs(small_config, undisturbed.parent)} == {0}


def test_a_store_says_what_its_models_were_scored_with(undisturbed):
    known = [json.loads(path.read_text()) for path in sorted(undisturbed.glob("*/scored-with.json"))]
    assert len(known) == 4
    for facts in known:
        assert (facts["dtype"], facts["upcast"], facts["device"], facts["threads"]) == ("float32", "float32", "cpu", 1)
        assert facts["attention"] and facts["tokenizer"] and facts["code"]["scoring"] and facts["libraries"]["torch"]
        assert facts["batch_plan"]["examples_per_shard"]["distance"] == 24
    assert len({facts["weights"] for facts in known}) == 4
    assert inventory(ScoreStore(undisturbed)).leftovers == ()


def test_a_disk_with_too_little_room_is_refused_with_the_numbers(small_config, tmp_path, monkeypatch):
    monkeypatch.setattr("vestige.evaluation.costs.shutil.disk_usage", lambda _: Usage(10**9, 10**9 - 4096, 4096))
    for attempt in (prepare, score):
        with pytest.raises(
            EvaluationError, match=r"will take about .* MB, and the disk of .* has 4\.1 kB free; make room"
        ):
            attempt(small_config, tmp_path / "run")
    assert not (tmp_path / "run" / "store").exists()


def test_a_plan_holds_for_its_data_weights_and_settings_only(small_config, micro_config, tmp_path):
    folder = shutil.copytree(micro_config.parent, tmp_path / "run", ignore=shutil.ignore_patterns("store", "report*"))
    prepare(folder / "config.yaml", folder)
    weights = folder / "checkpoints" / "GA-3" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(PlanError, match=r"GA@3: the weights, configuration or tokenizer in .* have changed since"):
        work(folder)
    weights.write_bytes(whole)
    forget = folder / "data" / "forget.jsonl"
    forget.write_text("\n".join(forget.read_text().splitlines()[:-1]))
    with pytest.raises(PlanError, match=r"data of forget was '\w+' and is '\w+'.* make the plan again"):
        work(folder, task=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan["settings"]["retain"].update(torch="1.0"), r"torch was '1\.0' and is '"),
        (lambda plan: plan["settings"]["samples"].pop("seed"), "seed was None and is 0"),
        (lambda plan: plan.update(schema="vestige.plan/0"), r"is of schema 'vestige\.plan/0'"),
        (lambda plan: plan.pop("settings"), "is damaged or no plan"),
    ],
)
def test_a_plan_that_does_not_hold_is_refused(small_config, tmp_path, change, message):
    prepare(small_config, tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    change(plan)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PlanError, match=message):
        work(tmp_path)


def test_a_plan_that_is_missing_or_cut_short_is_named(small_config, tmp_path):
    with pytest.raises(PlanError, match=r"no plan at .*plan\.json; make one with: vestige plan CONFIG"):
        work(tmp_path)
    prepare(small_config, tmp_path)
    written = (tmp_path / "plan.json").read_text()
    (tmp_path / "plan.json").write_text(written[:-9])
    with pytest.raises(PlanError, match="is damaged or no plan"):
        work(tmp_path)
    prepare(small_config, tmp_path)
    assert (tmp_path / "plan.json").read_text() == written


def test_another_vocabulary_is_refused_before_anything_is_scored(micro_config, tmp_path):
    folder = shutil.copytree(micro_config.parent, tmp_path / "run", ignore=shutil.ignore_patterns("store", "report*"))
    path = folder / "checkpoints" / "GA-3" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 640}))
    with pytest.raises(CheckpointError, match="GA@3 has 640 outputs and original has 512, so their distributions"):
        score(folder / "config.yaml", folder)


def test_shards_are_cut_by_the_width_of_the_longest_example(micro_config, monkeypatch):
    run = plan_run(read_config(micro_config), micro_config.parent / "nowhere")
    original = run.subjects[0].checkpoint.folder
    known = lengths(original, run.scoring.examples["forget"])
    monkeypatch.setattr("vestige.evaluation.sizes.SHARD_BYTES", 3 * 4 * 512 * int(known.scored.max()) + 1)
    sizes = shard_sizes(run.scoring.examples, original)
    assert sizes["forget"] == 3
    assert sizes["retain"] == len(run.scoring.examples["retain"])


def test_lengths_are_those_that_are_scored(micro_config):
    run = plan_run(read_config(micro_config), micro_config.parent / "nowhere")
    examples, folder = run.scoring.examples["forget"], run.subjects[0].checkpoint.folder
    model = KINDS["language"].load(folder)
    items = [KINDS["language"].encode(model, example) for example in examples]
    known = lengths(folder, examples)
    assert known.tokens.tolist() == [len(item.ids) for item in items]
    assert known.scored.tolist() == [item.n_scored for item in items]


def test_arrays_of_slurm_and_their_order(small_config, undisturbed, tmp_path):
    first, second = sbatch_lines(estimate_costs(small_config, tmp_path), tmp_path / "a run")
    assert first.startswith("first=$(sbatch --parsable --array=0-1 ")
    assert second.startswith("sbatch --parsable --dependency=afterok:$first --array=2-5 ")
    assert shlex.split(second)[-1] == f"vestige work '{tmp_path}/a run' --task $SLURM_ARRAY_TASK_ID"
    assert sbatch_lines(estimate_costs(small_config, undisturbed.parent), tmp_path) == []
