"""From the JSON of pytest-benchmark to the tables in docs/benchmarks.md and README.md.

    make bench     # or: pytest benches --benchmark-json=1.json, again and again, then python benches/table.py *.json

Each file is one round of the benches that it holds. The ratio is the median over rounds of a peer's time over ours in
the same round. The table goes between the markers of each file that has them; every row is shown, also where a peer is
faster.
"""

import json
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

START, END = "<!-- bench -->", "<!-- /bench -->"
ROOT = Path(__file__).parent.parent
PACKAGES = ("numpy", "scipy", "torch", "pandas", "scikit-learn", "vestige")
OUT_OF_CACHE = 64 << 20  # bytes from which on the share of the read bandwidth says something
HEADLINES = (  # how the pieces of work begin that README shows
    "kl_divergence of logits, 128",
    "js_divergence of log-probs, 128",
    "five divergences of logits, 128 x 128256, float32",
    "token_log_probs, 128",
    "Min-K++",
    "kl_divergence of two mapped files",
    "kendall_tau, n = 36",
    "kendall_tau, n = 1000000",
    "kendall_tau_matrix, 1000 items x 200",
    "bootstrap of kendall_tau, n = 400,",
    "bootstrap of spearman_rho, n = 400,",
    "bootstrap of roc_auc, n = 400,",
    "joint_bootstrap",
    "permutation test, roc_auc, n = 400",
    "perturb_weights, 36 models x 5 metrics, 1000000",
    "roc_auc, n = 10000000",
    "ks_statistic, n = 10000000",
    "klom",
    "log-likelihood of answers",
    "store, write 1 GB",
    "store, js_divergence",
    "catalogue",
    "agreement, rank sets, weightings",
)

Report = dict[str, Any]


def machine(reports: list[Report]) -> str:
    """What the numbers are from."""
    info = reports[0]["machine_info"]
    cpu = info["cpu"]
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    one, two = (median(r["machine_info"]["read_bandwidth"][n] for r in reports) / 1e9 for n in "12")
    level = f"CPU level {info['simd_level']}, one thread reads {one:.3g} GB/s, two read {two:.3g}"
    return f"{cpu['brand_raw']}, {cpu['count']} cores, {level}; Python {info['python_version']}, {versions}"


def groups(report: Report) -> dict[str, dict[str, Report]]:
    """Piece of work to the benches of its implementations in one round."""
    found: dict[str, dict[str, Report]] = {}
    for bench in report["benchmarks"]:
        found.setdefault(bench["group"], {})[bench["extra_info"]["implementation"]] = bench
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


def times_faster(ratio: float) -> str:
    """Two digits of a ratio.

    >>> times_faster(4.26), times_faster(364.4)
    ('4.3×', '360×')
    """
    return f"{float(f'{ratio:.2g}'):g}×"


def share(benches: list[Report], reports: list[Report]) -> str:
    """Of the bandwidth that as many threads read with, where the input is too large for any cache."""
    n_bytes, threads = (benches[0]["extra_info"][name] for name in ("bytes", "threads"))
    if n_bytes < OUT_OF_CACHE:
        return "–"
    bandwidths = [report["machine_info"]["read_bandwidth"][str(threads)] for report in reports]
    pairs = zip(benches, bandwidths, strict=True)
    return f"{100 * median(n_bytes / bench['stats']['min'] / bandwidth for bench, bandwidth in pairs):.0f} %"


def rows(reports: list[Report], *, headlines: bool) -> list[tuple[str, float, str]]:
    """Peer, ratio and line for each peer of each piece of work, or only for the fastest of the main ones."""
    grouped = [groups(report) for report in reports]
    lines = []
    for work in dict.fromkeys(work for found in grouped for work in found):
        if headlines and (not work.startswith(HEADLINES) or work.endswith("2 threads")):
            continue
        where = [i for i, found in enumerate(grouped) if work in found]
        rounds = [grouped[i][work] for i in where]
        ours = next(filter(is_ours, rounds[0]))  # others of ours are its peers
        times = {name: [r[name]["stats"]["min"] for r in rounds] for name in rounds[0]}
        used = share([r[ours] for r in rounds], [reports[i] for i in where])
        peers = sorted((name for name in times if name != ours), key=lambda name: (is_ours(name), median(times[name])))
        for name in peers[:1] if headlines else peers:
            ratio = median(peer / our for peer, our in zip(times[name], times[ours], strict=True))
            cells = [f"{name.replace('_', ' ')}: {duration(median(times[name]))}", duration(median(times[ours]))]
            lines.append((name, ratio, f"| {work} | {' | '.join(cells)} | {times_faster(ratio)} | {used} |"))
    return lines


def is_ours(implementation: str) -> bool:
    """Whether it is this package's."""
    return implementation.startswith("vestige")


def table(reports: list[Report], *, headlines: bool) -> str:
    """The table, its machine, and where we lose."""
    head = ["| work | peer | vestige | ratio | of read bandwidth |", "|---|---|---|---|---|"]
    lines = rows(reports, headlines=headlines)
    all_lines = rows(reports, headlines=False)
    slower = [line.split(" | ")[0].strip("| ") for name, ratio, line in all_lines if ratio < 1 and not is_ours(name)]
    lost = f"Of all rows a peer is faster in: {'; '.join(slower)}." if slower else "No peer is faster in any row."
    note = f"One thread unless a row says two; medians over up to {len(reports)} rounds of the fastest in each. {lost}"
    return "\n".join([*head, *(line for _, _, line in lines), "", f"Machine: {machine(reports)}. {note} {footprint()}"])


def footprint() -> str:
    """What an import costs, and how large the extension module is."""
    modules = list((ROOT / "python" / "vestige").glob("_rust*.so"))
    size = f" The extension module has {modules[0].stat().st_size / 1e6:.2g} MB." if modules else ""
    empty, ours = (median(started(code) for _ in range(9)) for code in ("", "import vestige"))
    return f"`import vestige` takes {1e3 * (ours - empty):.2g} ms.{size}"


def started(code: str) -> float:
    """Seconds that a new interpreter needs for it."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


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


def main(paths: list[str]) -> None:
    """Writes every row into docs/benchmarks.md, and the main pieces of work with their fastest peer into README.md."""
    reports = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    for page, headlines in ((ROOT / "docs" / "benchmarks.md", False), (ROOT / "README.md", True)):
        if not insert(page, table(reports, headlines=headlines)):
            sys.exit(f"{page.name} has no {START} ... {END}")


if __name__ == "__main__":
    main(sys.argv[1:])
