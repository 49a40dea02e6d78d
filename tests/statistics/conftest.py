"""Simulations of what the statistics promise: 2,000 repetitions a cell (`make test-statistics`), 100 in the gate."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

LONG = 2_000
NORMAL_QUANTILE = 3.5  # a short simulation may miss its bounds by this many standard errors
HEADINGS = ("what", "cell", "measured", "bounds", "mean width")


@dataclass
class Table:
    """The rows of docs/statistics.md, in the order in which the simulations ran."""

    rows: list[tuple[str, ...]] = field(default_factory=list)

    def markdown(self):
        lines = [HEADINGS, ("---",) * len(HEADINGS), *self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@pytest.fixture(scope="session")
def table():
    """What was measured; written between the marks of the file that VESTIGE_STATISTICS_TABLE names, if it does."""
    measured = Table()
    yield measured
    target = os.environ.get("VESTIGE_STATISTICS_TABLE")
    if target and measured.rows:
        before, _, rest = Path(target).read_text().partition("<!-- simulations -->\n")
        after = rest.partition("<!-- /simulations -->")[2]
        Path(target).write_text(f"{before}<!-- simulations -->\n{measured.markdown()}<!-- /simulations -->{after}")


@pytest.fixture(params=[pytest.param(100, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)])
def repetitions(request):
    """Repetitions of a cell."""
    return request.param


@pytest.fixture
def judge(table, request):
    """Hold the share of repetitions in which something happened against its bounds, and note it."""

    def hold(what, cell, happened, low=0.0, high=1.0, width=None):
        share, n = float(np.mean(happened)), len(happened)
        bounds = f"{100 * low:.0f}–{100 * high:.0f} %" if low else f"≤ {100 * high:.0f} %"
        long = "long" in request.node.callspec.id
        if long:
            measured = f"{100 * share:.1f} %" + ("" if n == LONG else f" of {n}")
            table.rows.append((what, cell, measured, bounds, "" if width is None else f"{width:.2f}"))
        # The bounds are for the long form; fewer repetitions scatter more around the same level.
        slack = 0.0 if long else NORMAL_QUANTILE * max(0.05 * 0.95 / n, share * (1 - share) / n) ** 0.5
        assert low - slack <= share <= high + slack, f"{what}, {cell}: {share:.3f} in {n} repetitions"

    return hold
