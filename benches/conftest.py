import pytest

from vestige.kernels import num_threads, set_num_threads


@pytest.fixture(autouse=True)
def _one_thread():
    """Everything is measured on one thread: ours, and through the environment (see table.py) its peers."""
    before = num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


@pytest.fixture(autouse=True)
def _named(benchmark, request):
    """Write down whose time it is, for the table."""
    benchmark.extra_info["implementation"] = request.node.callspec.params["implementation"].__name__


@pytest.fixture
def quick(request):
    """Whether only correctness is asked for, so small inputs do."""
    return request.config.getoption("--benchmark-disable")
