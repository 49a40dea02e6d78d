"""Pairs of models as a terminal table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vestige.meta.comparison import Comparison


def print_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Print one line a metric and pair."""
    table = Table(title="Paired comparisons (positive: the first is better)", title_justify="left")
    for heading in ("metric", "first", "second", "verdict", "difference [95 %]", "p adj.", "smallest effect"):
        table.add_column(heading, justify="left")
    for entry in comparisons:
        p = "-" if isnan(entry.p_adjusted) else f"{entry.p_adjusted:.3f}"
        effect = "-" if isnan(entry.smallest_effect) else f"{entry.smallest_effect:.2g}"
        names = (entry.metric, entry.first, entry.second)
        table.add_row(*names, entry.verdict, str(entry.difference), p, effect)
    console = Console()
    console.print(table)
    console.print(
        "p adjusted over all pairs of a metric (max-T); smallest effect: found with 80 % power by one test at 5 %."
    )


def write_comparisons(comparisons: Sequence[Comparison], path: Path) -> None:
    """Write them as a list of objects; what is undefined is null."""
    path.write_text(json.dumps([_plain(asdict(entry)) for entry in comparisons], indent=1), encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return None if isinstance(value, float) and isnan(value) else value
