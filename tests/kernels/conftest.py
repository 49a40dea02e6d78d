import pytest

from vestige.kernels import num_threads, set_num_threads


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = num_threads()
    yield
    set_num_threads(before)
