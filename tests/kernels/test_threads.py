import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from vestige.kernels import bootstrap_replicates, kendall_tau_matrix, num_threads, set_num_threads

COLUMNS = np.random.default_rng(0).normal(size=(200, 40))


def in_python(code, **environment):
    command = [sys.executable, "-c", f"from vestige.kernels import *; {code}"]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)


def test_the_environment_sets_the_number_of_threads():
    assert in_python("print(num_threads())", VESTIGE_NUM_THREADS="3").stdout == "3\n"
    assert int(in_python("print(num_threads())", VESTIGE_NUM_THREADS="").stdout) >= 1


@pytest.mark.parametrize("text", ["many", "0", "-2"])
def test_a_wrong_number_of_threads_in_the_environment_is_named(text):
    result = in_python("", VESTIGE_NUM_THREADS=text)
    assert f"VESTIGE_NUM_THREADS must be a positive integer, but it is '{text}'" in result.stderr


def test_a_wrong_number_of_threads_is_refused():
    for n in (0, -1, True):
        with pytest.raises(ValueError, match="`n` must be a positive integer"):
            set_num_threads(n)
    set_num_threads(7)
    assert num_threads() == 7


def child(queue):
    queue.put(kendall_tau_matrix(COLUMNS))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_works_after_the_parent_has_used_its_threads():
    set_num_threads(2)
    expected = kendall_tau_matrix(COLUMNS)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=child, args=(queue,)) for _ in range(2)]
    for process in children:
        process.start()
    for _ in children:
        np.testing.assert_array_equal(queue.get(timeout=30), expected)
    for process in children:
        process.join(timeout=30)
        assert process.exitcode == 0
    np.testing.assert_array_equal(kendall_tau_matrix(COLUMNS), expected)


def test_other_python_threads_run_during_a_long_call():
    done, ticks = threading.Event(), []

    def work():
        bootstrap_replicates(tuple(COLUMNS.T[:2]), "kendall_tau", n_resamples=500_000, seed=0)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    thread.join()
    assert len(ticks) > 10


def test_kernels_may_be_called_from_many_threads_at_once():
    results = [None] * 8

    def work(i):
        results[i] = kendall_tau_matrix(COLUMNS)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


class Columns(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return kendall_tau_matrix(COLUMNS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kernels_work_in_the_workers_of_a_data_loader():
    set_num_threads(2)
    expected = torch.from_numpy(kendall_tau_matrix(COLUMNS))
    loader = torch.utils.data.DataLoader(Columns(), batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert all(torch.equal(matrix, expected) for matrix in loader)
