"""What models took to make: the table in every form, and where the dots of the picture lie."""

from dataclasses import replace
from math import nan

import pytest
from rich.console import Console

from vestige.report import print_report, render, to_markdown
from vestige.report.costs import cost_plot, cost_sections
from vestige.report.model import Spending

HOSTILE = "<script>"


@pytest.fixture
def spent(report):
    entries = (
        Spending("slow", 2.0, 0.9, 100.0, nan, 3e6, unbeaten=True),
        Spending(HOSTILE, 8.0, 0.8, 1.0, nan, 1e6, unbeaten=True),
        Spending("beaten", 8.0, 0.7, 10.0, nan, 3e6, unbeaten=False),
        Spending("unknown", nan, 0.7, nan, nan, nan, unbeaten=False),
    )
    return replace(report, spending=entries)


def test_the_unbeaten_come_first_and_what_nobody_measured_has_no_column(spent):
    (section,) = cost_sections(spent)
    assert section.heads == ("model", "unbeaten", "ratio", "RA", "seconds", "storage")
    assert [row[0] for row in section.rows] == ["slow", HOSTILE, "beaten", "unknown"]
    assert section.rows[0] == ("slow", "yes", "2.00", "90 %", "100", "3.0 MB")
    assert section.rows[3] == ("unknown", "no", "-", "70 %", "-", "-")
    assert section.lead.startswith("2 of 4 models are unbeaten")


def test_dots_lie_where_the_numbers_say(spent):
    plot = cost_plot(spent, 300.0)
    slow, fast, beaten = plot.dots
    assert fast.x < beaten.x < slow.x
    assert slow.y > fast.y == beaten.y  # pixels count downwards, and closer to retraining is further down
    assert plot.n_left_out == 1
    assert (slow.x - beaten.x) == pytest.approx(beaten.x - fast.x, abs=0.2)  # log axis: 1, 10, 100 seconds


def test_one_model_makes_no_picture_and_no_cost_no_section(report, spent):
    assert cost_plot(replace(spent, spending=spent.spending[:1]), 300.0) is None
    assert cost_sections(report) == ()


def test_every_form_has_it(spent, tmp_path, capsys):
    render(spent, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="costs"' in page
    assert "<title>slow: ratio 2.00 after 100 s, unbeaten</title>" in page
    assert "<script>:" not in page
    assert "What did it cost?" in to_markdown(spent)
    print_report(spent, Console(width=100))
    assert "What did it cost?" in capsys.readouterr().out
