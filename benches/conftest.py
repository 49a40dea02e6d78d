import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from vestige.kernels import num_threads, set_num_threads, simd_level

LONG = 0.5  # seconds


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread unless a bench sets two: ours, and through the environment (see the Makefile) its peers."""
    before = num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


@pytest.fixture(autouse=True)
def _described(benchmark, request, monkeypatch):
    """Write down, for the table, whose time it is, on how many threads, and how many bytes of arrays were passed."""
    run = BenchmarkFixture.__call__

    def call(self, function, *args):
        self.extra_info["bytes"] = sum(getattr(argument, "nbytes", 0) for argument in args)
        self.extra_info["threads"] = num_threads()
        return run(self, function, *args) if self.disabled else timed(self, function, args)

    def timed(self, function, args):
        """Once to warm up; what takes longer than `LONG` is then timed once, all else as often as time allows."""
        start = time.perf_counter()
        function(*args)
        long = time.perf_counter() - start > LONG
        return self.pedantic(function, args, rounds=1) if long else run(self, function, *args)

    monkeypatch.setattr(BenchmarkFixture, "__call__", call)
    benchmark.extra_info |= {
        "implementation": request.node.callspec.params["implementation"].__name__,
        "bytes": 0,
        "threads": num_threads(),
    }


@pytest.fixture
def quick(request):
    """Whether only correctness is asked for, so small inputs do."""
    return request.config.getoption("--benchmark-disable")


def pytest_benchmark_update_machine_info(config, machine_info):  # noqa: ARG001 the hook names its arguments
    machine_info["simd_level"] = simd_level()
    machine_info["read_bandwidth"] = {str(n_threads): read_bandwidth(n_threads) for n_threads in (1, 2)}


def read_bandwidth(n_threads, n_bytes=1 << 28, n_rounds=9):
    """Bytes a second that threads read: the fastest of sums and maxima, one array each that no cache holds."""
    arrays = [np.ones(n_bytes // 4, np.float32) for _ in range(n_threads)]
    seconds = []
    with ThreadPoolExecutor(n_threads) as pool:
        for read in (np.max, torch.sum, torch.max) * n_rounds:
            operands = arrays if read is np.max else [torch.from_numpy(values) for values in arrays]
            start = time.perf_counter()
            list(pool.map(read, operands))
            seconds.append(time.perf_counter() - start)
    return n_threads * n_bytes / min(seconds)
