"""Tables in mapped files: the same numbers, in little memory."""

import subprocess
import sys

import numpy as np
import pytest

from vestige.kernels import kl_divergence, logsumexp

SHAPE = (800, 65_536)  # 200 MB of float32

MEASURE = """
import sys
import numpy as np
from vestige.kernels import kl_divergence, logsumexp, set_num_threads

def resident(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field)) // 1024

set_num_threads(int(sys.argv[2]))
table = np.load(sys.argv[1], mmap_mode="r")
kl_divergence(table[:1], table[1:2], space="logits")
before = resident("VmRSS")
kl_divergence(table, table[::-1][::-1], space="logits")
logsumexp(table[5:, :60_000])
print(resident("VmHWM") - before)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "logits.npy"
    table = np.lib.format.open_memmap(path, "w+", np.float32, SHAPE)
    row = np.random.default_rng(0).normal(size=SHAPE[1]).astype(np.float32)
    for i in range(SHAPE[0]):
        table[i] = np.roll(row, i)
    del table
    yield path
    path.unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="pages are given back on Linux only")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_mapped_table_takes_little_memory(file, n_threads):
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, file, str(n_threads)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 64, "MB of peak memory"


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_table_gives_what_the_same_table_in_memory_does(file, mode):
    mapped, here = np.load(file, mmap_mode=mode), np.load(file)
    if mode == "c":
        mapped[3], here[3] = 0, 0  # in this process only
    for part in (slice(None), slice(7, None), slice(None, None, 2)):
        np.testing.assert_array_equal(logsumexp(mapped[part]), logsumexp(here[part]))
    expected = kl_divergence(here, here[::-1].copy(), space="logits")
    np.testing.assert_array_equal(kl_divergence(mapped, mapped[::-1], space="logits"), expected)
    np.testing.assert_array_equal(kl_divergence(np.asarray(mapped), here[::-1], space="logits"), expected)
    np.testing.assert_array_equal(mapped[3], here[3])
