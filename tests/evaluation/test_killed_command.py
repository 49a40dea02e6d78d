"""The real command, killed with -9 in its own process while it works: what is left ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time

from vestige.evaluation import prepare, work
from vestige.store import ScoreStore
from vestige.store.inventory import remove_leftovers

COMMAND = (sys.executable, "-c", "from vestige.cli import main; main()", "work")


def started(folder, jobs):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*COMMAND, str(folder), "--jobs", str(jobs)], start_new_session=True, **quiet)


def finished(store):
    """Shards whose record is there, with the time at which it was written."""
    return {str(path): path.stat().st_mtime_ns for path in store.rglob("[0-9]*.json")}


def killed_at_work(folder, jobs, after):
    """Whether the command was still at work some time after it had finished its first new shard, when it was killed."""
    before, command = len(finished(folder / "store")), started(folder, jobs)
    while command.poll() is None and len(finished(folder / "store")) == before:
        time.sleep(0.03)
    time.sleep(after)
    was_at_work = command.poll() is None
    os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    return was_at_work


def test_the_command_killed_again_and_again_ends_with_the_same_store(small_config, undisturbed, differing, tmp_path):
    prepare(small_config, tmp_path)
    moments, kept, n_kills = random.Random(1), {}, 0
    for jobs in (1, 2):
        n_kills += killed_at_work(tmp_path, jobs, moments.uniform(0, 0.3))
        found = finished(tmp_path / "store")
        assert {path: found.get(path) for path in kept} == kept, "a finished shard was lost or written again"
        assert len(found) > len(kept)
        kept = found
    assert n_kills == 2
    work(tmp_path)
    remove_leftovers(ScoreStore(tmp_path / "store"))
    assert differing(tmp_path / "store", undisturbed) == []
