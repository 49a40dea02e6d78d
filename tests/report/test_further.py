"""Metrics that are not judged have tables of their own, grouped by family, in the terminal and on the page."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from vestige.report.further import further_sections
from vestige.report.html import render
from vestige.report.json import to_json
from vestige.report.terminal import print_report
from vestige.stats.estimate import Estimate

FURTHER = (("Prob", "tofu"), ("KL", "distribution"), ("ES<1>", "tofu"))


def page_of(report, folder):
    return render(report, folder / "report.html").read_text()


@pytest.fixture
def wide(report):
    """The report with three further metrics; one has no value for the best model."""
    scores = {name: Estimate(0.25 * i) for i, (name, _) in enumerate(FURTHER)}
    rows = [replace(row, scores={**row.scores, **({} if row.rank == 1 else scores)}) for row in report.rows]
    cards = tuple(replace(report.cards[0], name=name, family=family) for name, family in FURTHER)
    return replace(report, rows=tuple(rows), further=cards)


def test_metrics_of_a_family_stand_together_in_the_order_of_the_catalogue(wide):
    tables = further_sections(wide)
    assert [(t.name, [row[0] for row in t.rows]) for t in tables] == [
        ("further-tofu", ["Prob", "ES<1>"]),
        ("further-distribution", ["KL"]),
    ]
    for table in tables:
        assert all(len(row) == len(table.heads) for row in table.rows)
    assert tables[1].rows[0][-1] == "0.250" and tables[1].rows[0][-3] == "-"


def test_a_report_without_further_metrics_has_no_such_section(report, tmp_path):
    assert further_sections(report) == ()
    assert 'id="further"' not in page_of(report, tmp_path)


def test_terminal_page_and_json_all_show_them(wide, tmp_path):
    shown = StringIO()
    print_report(wide, Console(file=shown, width=120))
    assert "Further metrics: tofu" in shown.getvalue() and "ES<1>" in shown.getvalue()
    page = page_of(wide, tmp_path)
    assert "ES&lt;1&gt;" in page and "ES<1>" not in page
    assert [card["family"] for card in to_json(wide)["further"]] == ["tofu", "distribution", "tofu"]
