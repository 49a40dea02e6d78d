"""Simulations of what the statistics promise: 2,000 repetitions a cell (`make test-statistics`), 100 in the gate."""

import os
from pathlib import Path

import numpy as np
import pytest

LONG = 2_000
NORMAL_QUANTILE = 3.5  # a short simulation may miss its bounds by this many standard errors
MARK, END = "<!-- simulations -->\n", "<!-- /simulations -->"
HEADINGS = ("what", "cell", "measured", "bounds", "mean width")


class Table:
    """The rows of docs/statistics.md; a row that is measured again takes the place of the old one."""

    def __init__(self):
        self.rows = {}

    def add(self, what, cell, *measured):
        self.rows[what, cell] = measured

    def write(self, path):
        before, mark, rest = path.read_text().partition(MARK)
        old, end, after = rest.partition(END)
        cells = [line.strip("| ").split(" | ") for line in old.splitlines()[2:]]
        rows = {(what, cell): tuple(measured) for what, cell, *measured in cells} | self.rows
        lines = [HEADINGS, ("---",) * len(HEADINGS), *(key + measured for key, measured in rows.items())]
        path.write_text(before + mark + "".join(f"| {' | '.join(line)} |\n" for line in lines) + end + after)


@pytest.fixture(scope="session")
def table():
    """What was measured; written between the marks of the file that VESTIGE_STATISTICS_TABLE names, if it does."""
    measured = Table()
    yield measured
    if measured.rows and "VESTIGE_STATISTICS_TABLE" in os.environ:
        measured.write(Path(os.environ["VESTIGE_STATISTICS_TABLE"]))


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
            table.add(what, cell, measured, bounds, "-" if width is None else f"{width:.2f}")
        # The bounds are for the long form; fewer repetitions scatter more around the same level.
        slack = 0.0 if long else NORMAL_QUANTILE * max(0.05 * 0.95 / n, share * (1 - share) / n) ** 0.5
        assert low - slack <= share <= high + slack, f"{what}, {cell}: {share:.3f} in {n} repetitions"

    return hold
