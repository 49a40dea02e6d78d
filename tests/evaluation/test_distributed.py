"""A real Ray cluster of two workers on this machine."""

import os

import pytest

from vestige.evaluation import score
from vestige.evaluation.distributed import run_on_ray

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    try:
        start()
    except Exception as error:  # Ray raises nothing narrower, and gives its node 30 s, which a busy machine may not
        if "timed out" not in str(error):
            raise
        ray.shutdown()
        start()
    yield
    ray.shutdown()


def start():
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


def test_two_actors_write_the_same_files_as_one_worker(cluster, small_config, undisturbed, differing, tmp_path, capfd):
    stages = []
    score(small_config, tmp_path, engine="ray", progress=lambda *step: stages.append(step))
    assert differing(tmp_path / "store", undisturbed) == []
    assert stages[-1] == ("scoring models", 4, 4)
    assert capfd.readouterr().out == ""
    assert ray.is_initialized(), "it ended a cluster that it did not start"


def stand(task):
    """Notes who did it; "bad" fails, and "fatal" ends the actor the first time."""
    folder, name = task
    if name == "bad":
        raise ValueError("bad task")
    marker = folder / f"{name}.begun"
    if name == "fatal" and not marker.exists():
        marker.touch()
        os._exit(1)
    (folder / name).write_text(str(os.getpid()))


def test_a_task_whose_actor_dies_is_done_by_another_and_a_failing_one_stops_no_other(cluster, tmp_path):
    done = []
    tasks = [(tmp_path, name) for name in ("a", "bad", "fatal", "b", "c")]
    failed = run_on_ray(stand, tasks, jobs=2, done=lambda task: done.append(task[1]))
    assert sorted(done) == ["a", "b", "c", "fatal"]
    assert [(task[1], type(error), str(error)) for task, error in failed] == [("bad", ValueError, "bad task")]
    assert str(os.getpid()) not in {(tmp_path / name).read_text() for name in done}
    assert run_on_ray(stand, [], jobs=2, done=done.append) == []
