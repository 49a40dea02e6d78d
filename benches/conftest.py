import time

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from vestige.kernels import num_threads, set_num_threads, simd_level


@pytest.fixture(autouse=True)
def _one_thread():
    """Everything is measured on one thread: ours, and through the environment (see the Makefile) its peers."""
    before = num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


@pytest.fixture(autouse=True)
def _described(benchmark, request, monkeypatch):
    """Write down, for the table, whose time it is, on how many threads, and how many bytes of arrays were passed."""
    run = BenchmarkFixture.__call__

    def call(self, function, *args, **options):
        self.extra_info["bytes"] = sum(getattr(argument, "nbytes", 0) for argument in args)
        return run(self, function, *args, **options)

    monkeypatch.setattr(BenchmarkFixture, "__call__", call)
    benchmark.extra_info["implementation"] = request.node.callspec.params["implementation"].__name__
    yield
    benchmark.extra_info["threads"] = num_threads()


@pytest.fixture
def quick(request):
    """Whether only correctness is asked for, so small inputs do."""
    return request.config.getoption("--benchmark-disable")


def pytest_benchmark_update_machine_info(config, machine_info):  # noqa: ARG001 the hook names its arguments
    machine_info["simd_level"] = simd_level()
    machine_info["read_bandwidth"] = read_bandwidth()


def read_bandwidth(n_bytes=1 << 28, n_rounds=9):
    """Bytes a second that one thread reads: the fastest of sums and maxima over an array that no cache holds."""
    values = np.ones(n_bytes // 4, np.float32)
    tensor, seconds = torch.from_numpy(values), []
    for read in (values.max, tensor.sum, tensor.max) * n_rounds:
        start = time.perf_counter()
        read()
        seconds.append(time.perf_counter() - start)
    return n_bytes / min(seconds)
