"""Run by `.ci/run` in an environment that has the wheel and its base dependencies only."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

HEAVY = ("numpy", "scipy", "torch", "rich", "typer")
CODE = "import sys, time; t = time.perf_counter(); import vestige; print(time.perf_counter() - t, *sys.modules)"

times = []
for _ in range(5):
    seconds, *modules = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(HEAVY) & set(modules), f"`import vestige` loads {set(HEAVY) & set(modules)}"
    times.append(float(seconds))
assert min(times) <= 0.05, f"`import vestige` takes {min(times):.3f} s"

vestige = import_module("vestige")
package = Path(vestige.__file__).parent
assert abs(vestige.kendall_tau([1, 2, 3], [1, 3, 2]) - 1 / 3) < 1e-12
assert (package / "py.typed").exists()
assert (package / "report" / "template.html").exists()
print(f"wheel: imported from {package.name}, import takes {min(times) * 1000:.1f} ms")
