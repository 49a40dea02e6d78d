import os
import time

import pytest
import torch

from vestige.scoring.workers import run_tasks


def write(task):
    folder, name = task
    if name == "bad":
        raise ValueError("bad task")
    (folder / name).write_text(f"{os.getpid()} {torch.get_num_threads()}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_is_done_and_a_failing_one_stops_no_other(tmp_path, jobs):
    done = []
    tasks = [(tmp_path, name) for name in ("a", "bad", "b", "c")]
    failed = run_tasks(write, tasks, jobs=jobs, done=lambda task: done.append(task[1]))
    assert sorted(done) == ["a", "b", "c"]
    assert [(task[1], str(error)) for task, error in failed] == [("bad", "bad task")]
    texts = [(tmp_path / name).read_text().split() for name in "abc"]
    assert all(threads == "1" for _, threads in texts)
    assert ({int(pid) for pid, _ in texts} == {os.getpid()}) == (jobs == 1)


def test_the_threads_of_the_caller_are_left_as_they_were(tmp_path):
    before = torch.get_num_threads()
    run_tasks(write, [(tmp_path, "a")], jobs=1, done=lambda _: None)
    assert torch.get_num_threads() == before


def test_an_interrupt_ends_the_workers_at_once(tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tasks(quick_then_sleep, [0, 1, 2], jobs=2, done=interrupted)
    assert time.monotonic() - began < 30


def quick_then_sleep(task):
    if task:
        time.sleep(60)
