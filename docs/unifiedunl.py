"""Draw docs/unifiedunl.svg: what the engine says of a published table, and why the published correlations mislead.

python docs/unifiedunl.py multimodal_results.csv docs/unifiedunl.svg
"""

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np

from vestige.data.tables import read_table
from vestige.meta.diagnostics import naive_p
from vestige.meta.reliability import reliability
from vestige.meta.results import Reliability
from vestige.metrics.table import ScoreTable

BETTER = {"FA": "lower", "RA": "higher", "MIA": "lower", "AD": "lower", "JS": "lower"}
DISTANCE, SHOWN = "retrained_distance", "RA"
STYLE = """
svg { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; --ink: #1b1d21;
  --muted: #5a616b; --line: #dfe2e6; --surface: #fff; --a: #00609c; --b: #b24700; --c: #6b8e23; --bar: #6aaee6; }
@media (prefers-color-scheme: dark) { svg { --ink: #e7e9ec; --muted: #9ba3ad; --line: #31363d; --surface: #1a1d21;
  --a: #6cbcf2; --b: #f59a57; --c: #b5d16a; --bar: #1f6bb0; } }
text { fill: var(--ink); } .muted { fill: var(--muted); } .small { font-size: 11.5px; } .bold { font-weight: 650; }
.title { font-size: 16px; font-weight: 650; } .grid { stroke: var(--line); } .zero { stroke: var(--muted); }
.end { text-anchor: end; } .mid { text-anchor: middle; } .bar { fill: var(--bar); } .track { fill: var(--line); }
.p0 { fill: var(--a); } .p1 { fill: var(--b); } .p2 { fill: var(--c); }
.whisker { stroke: var(--a); stroke-width: 1.6; }
"""


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """One line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    """One line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{kind}"/>'


def scatter(table: ScoreTable, x0: float, y0: float, size: float) -> Iterator[str]:
    """The metric against the distance, one colour a benchmark: closer is higher up."""
    values, distance = table.columns[SHOWN], table.columns[DISTANCE]
    low, high = np.log10(distance.min()) - 0.1, np.log10(distance.max()) + 0.1
    for share in (0.0, 0.5, 1.0):
        yield line(x0, y0 + share * size, x0 + size, y0 + share * size)
        yield text(x0 + share * size, y0 + size + 16, f"{share:g}", "small muted mid")
    benchmarks = list(dict.fromkeys(table.labels["dataset"]))
    for label, value, far in zip(table.labels["dataset"], values, distance, strict=True):
        at = y0 + size * (np.log10(far) - low) / (high - low)
        kind = benchmarks.index(label)
        yield f'<circle cx="{x0 + size * value:.1f}" cy="{at:.1f}" r="4.5" fill-opacity=".75" class="p{kind}"/>'
    for i, name in enumerate(benchmarks):
        yield f'<circle cx="{x0 + 8}" cy="{y0 + size + 50 + 18 * i}" r="4.5" class="p{i}"/>'
        within = values[np.array(table.labels["dataset"]) == name]
        said = f"{SHOWN} is {within[0]:g} in all {len(within)} rows" if np.ptp(within) == 0 else f"{SHOWN} varies"
        yield text(x0 + 20, y0 + size + 54 + 18 * i, f"{name}: {said}", "small")
    yield text(x0 + size / 2, y0 + size + 32, f"{SHOWN} (higher is better)", "small muted mid")
    turned = f'transform="translate({x0 - 10:g} {y0 + size / 2:g}) rotate(-90)"'
    yield f'<text {turned} class="small muted mid">closer ↑</text>'


def rows(judged: Reliability, x0: float, y0: float) -> Iterator[str]:
    """One line a metric: rho over all rows, its published p, the exact p, the share between benchmarks, the verdict."""
    heads = ((x0 + 118, "rho over all 36 rows", "mid"), (x0 + 245, "p, rows", "mid"), (x0 + 310, "p, within", "mid"),
             (x0 + 390, "between", "mid"), (x0 + 555, "verdict", "end"))  # fmt: skip
    for x, words, kind in heads:
        yield text(x, y0, words, f"small muted {kind}")
    seconds = ((x0 + 245, "as published", "mid"), (x0 + 310, "exact", "mid"), (x0 + 390, "benchmarks", "mid"))
    for x, words, kind in seconds:
        yield text(x, y0 + 15, words, f"small muted {kind}")
    for i, entry in enumerate(judged.tracking):
        y, at = y0 + 46 + 34 * i, x0 + 118
        published = naive_p(entry.rho.value, entry.rho.n)
        yield text(x0, y + 4, entry.metric, "bold")
        yield line(at, y - 13, at, y + 13, "zero")
        yield line(at - 80, y, at + 80, y)
        yield line(at + 80 * entry.rho.low, y, at + 80 * entry.rho.high, y, "whisker")
        yield f'<circle cx="{at + 80 * entry.rho.value:.1f}" cy="{y}" r="4.5" class="p0"/>'
        yield text(at + 80 * entry.rho.value, y - 8, f"{entry.rho.value:+.3f}", "small mid")
        yield text(x0 + 245, y + 4, f"{published:.3f}", f"mid {'bold p1' if published < 0.05 else ''}")
        yield text(x0 + 310, y + 4, f"{entry.p:.3f}", "mid")
        yield f'<rect x="{x0 + 350}" y="{y - 5}" width="50" height="10" rx="2" class="track"/>'
        share = 50 * entry.between_share
        yield f'<rect x="{x0 + 350}" y="{y - 5}" width="{share:.1f}" height="10" rx="2" class="bar"/>'
        yield text(x0 + 406, y + 4, f"{entry.between_share:.0%}", "small")
        yield text(x0 + 555, y + 4, entry.verdict, "end")


def findings(judged: Reliability, x0: float, y0: float) -> Iterator[str]:
    """The findings that explain the verdicts, by kind, with their columns."""
    meaning = {
        "constant_column": "one value within most groups, so no order of methods",
        "between_group_only": "compares benchmarks, not methods",
        "few_items": "4 methods within a group: no order of 4 can be significant",
        "too_few_clusters": "3 benchmarks are all the independent evidence",
    }
    yield text(x0, y0, "Findings that explain it", "bold")
    for i, (code, words) in enumerate(meaning.items()):
        found = [finding for finding in judged.findings if finding.code == code]
        columns = ", ".join(dict.fromkeys(c for f in found for c in f.columns if c in BETTER))
        yield text(x0, y0 + 20 + 18 * i, f"{found[0].severity}: {columns + ': ' if columns else ''}{words}", "small")


def figure(path: str | Path) -> str:
    """The drawing of one table."""
    table = read_table(path, better=BETTER, distance=(DISTANCE,), labels=("dataset", "seed"))
    judged = reliability(table, distance=DISTANCE, groups=("dataset", "seed"), clusters=("dataset",))
    n_relabellings = judged.tracking[0].n_relabellings
    parts = [
        text(24, 32, "Do these metrics follow the distance to the retrained model?", "title"),
        text(24, 52, "36 published runs, 3 benchmarks × 4 methods × 3 seeds (arXiv 2605.02206). "
             f"p within: all {n_relabellings:,} relabellings within benchmarks.", "small muted"),
        *scatter(table, 44, 76, 230),
        *rows(judged, 330, 84),
        *findings(judged, 330, 322),
    ]  # fmt: skip
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 910 420" width="910" height="420" role="img" '
        'aria-label="Five metrics of a published table: two correlate with the distance over all rows, none within '
        f'benchmarks">\n<style>{STYLE}</style>\n<rect width="910" height="420" rx="8" style="fill: var(--surface)"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(figure(sys.argv[1]), encoding="utf-8")
