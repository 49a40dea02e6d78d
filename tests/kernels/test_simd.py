import os
import subprocess
import sys

import pytest

from vestige.kernels import simd_level

LEVELS = ("baseline", "avx2", "avx512", "neon")


def in_python(code, **environment):
    command = [sys.executable, "-c", f"from vestige.kernels import *; {code}"]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)


def test_a_level_of_this_cpu_can_be_forced():
    assert in_python("print(simd_level())", VESTIGE_SIMD="baseline").stdout == "baseline\n"
    assert simd_level() in LEVELS


@pytest.mark.parametrize("name", ["sse9", "AVX2"])
def test_a_wrong_level_is_named_with_the_ones_there_are(name):
    error = in_python("", VESTIGE_SIMD=name).stderr
    assert "ValueError: VESTIGE_SIMD must be a level that this CPU has (baseline" in error
    assert f'but it is "{name}"' in error
