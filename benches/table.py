"""From the JSON of pytest-benchmark to the tables in docs/benchmarks.md and README.md.

    OMP_NUM_THREADS=1 pytest benches --benchmark-json=latest.json && python benches/table.py latest.json

The table goes between the markers of each file that has them; every row is shown, also where a peer is faster.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

START, END = "<!-- bench -->", "<!-- /bench -->"
ROOT = Path(__file__).parent.parent
PACKAGES = ("numpy", "scipy", "torch", "pandas", "scikit-learn", "vestige")


def machine(report: dict[str, Any]) -> str:
    """CPU, cores and Python that the numbers are from."""
    info = report["machine_info"]
    cpu = info["cpu"]
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{cpu['brand_raw']}, {cpu['count']} cores, one thread each, Python {info['python_version']}, {versions}"


def groups(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Piece of work to the seconds that each implementation took (the fastest of its rounds)."""
    found: dict[str, dict[str, float]] = {}
    for bench in report["benchmarks"]:
        found.setdefault(bench["group"], {})[bench["extra_info"]["implementation"]] = bench["stats"]["min"]
    return found


def duration(seconds: float) -> str:
    """Three digits with a unit.

    >>> duration(0.00123)
    '1.23 ms'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def rows(report: dict[str, Any], *, fastest_only: bool) -> list[str]:
    """One line a peer of each piece of work, or only its fastest; the ratio is the peer's time over ours."""
    lines = []
    for work, seconds in groups(report).items():
        ours = next(value for name, value in seconds.items() if name.startswith("vestige"))
        peers = sorted((value, name) for name, value in seconds.items() if not name.startswith("vestige"))
        for value, name in peers[:1] if fastest_only else peers:
            peer = name.replace("_", " ")
            lines.append(f"| {work} | {peer}: {duration(value)} | {duration(ours)} | {value / ours:.2g}× |")
    return lines


def table(report: dict[str, Any], *, fastest_only: bool) -> str:
    """The table with its machine."""
    head = ["| work | peer | vestige | ratio |", "|---|---|---|---|"]
    note = "Fastest of all rounds, on one thread. A ratio below 1 means that the peer is faster."
    lines = rows(report, fastest_only=fastest_only)
    return "\n".join([*head, *lines, "", f"Machine: {machine(report)}. {note}"])


def insert(page: Path, text: str) -> bool:
    """Replaces what is between the markers of a page; False if it has none."""
    if not page.exists():
        return False
    before, start, rest = page.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        return False
    page.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")
    return True


def main(path: str) -> None:
    """Writes every row into docs/benchmarks.md, and the fastest peer of each piece of work into README.md."""
    report = json.loads(Path(path).read_text(encoding="utf-8"))
    print(table(report, fastest_only=False))
    for page, fastest_only in ((ROOT / "docs" / "benchmarks.md", False), (ROOT / "README.md", True)):
        if not insert(page, table(report, fastest_only=fastest_only)):
            sys.exit(f"{page.name} has no {START} ... {END}")


if __name__ == "__main__":
    main(sys.argv[1])
