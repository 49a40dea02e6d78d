from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from vestige.report import print_report


def printed(report, width=100, terminal=False):
    console = Console(file=StringIO(), width=width, force_terminal=terminal, color_system="256" if terminal else None)
    print_report(report, console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("name", ["report", "table_report"])
def test_no_line_is_wider_than_the_console(name, width, request):
    lines = printed(request.getfixturevalue(name), width).splitlines()
    assert max(map(len, lines)) <= width


def test_every_ranked_model_has_one_line_at_100_columns(report):
    lines = [line for line in printed(report).splitlines() if line[:3].strip().isdigit() and line[:2].strip().isdigit()]
    assert [int(line[:2]) for line in lines] == list(range(1, 40))


def test_the_six_main_metrics_fit_in_100_columns(report):
    heading = next(line for line in printed(report).splitlines() if line.startswith(" #"))
    assert heading.split() == ["#", "model", "verdict", "ratio", "FA", "RA", "MIA", "AD", "JS", "FADE"]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_tau_is_printed_once_per_cell_whatever_the_width(report, width):
    matrix = printed(report, width).split("between the metrics\n")[1].split("* the interval")[0]
    agreement = report.reliability.agreement
    cells = [word for line in matrix.splitlines() for word in line.split()[1:] if "." in word or word == "-"]
    assert len(cells) == len(agreement.metrics) * (len(agreement.metrics) - 1)


def test_it_is_plain_where_there_is_no_terminal(report):
    text = printed(report)
    assert "\x1b" not in text and text.isascii()


def test_it_is_coloured_in_a_terminal_and_says_the_same(report):
    from rich.text import Text

    coloured = printed(report, terminal=True)
    assert "\x1b[" in coloured and Text.from_ansi(coloured).plain.split() == printed(report).split()


def test_names_that_look_like_markup_are_printed_as_they_are(report):
    named = replace(report, rows=(replace(report.rows[0], model="[red]npo[/red]"), *report.rows[1:]))
    assert "[red]npo[/red]" in printed(named)


def test_undefined_values_are_dashes_and_never_nan(report, table_report):
    for some in (report, table_report):
        assert "nan" not in printed(some).lower()


def test_the_sections_come_in_their_order(report):
    text = printed(report)
    order = ["Of 39 unlearned", "Planted controls", "Ranking", "Metrics, and", "Agreement", "Stability", "Findings"]
    assert sorted(order, key=text.index) == order


def test_failed_controls_and_verdicts_are_words(report):
    text = printed(report)
    assert "fail" in text and "equivalent" in text and "undecided" in text and "tracks" in text


def test_findings_come_worst_first(report):
    text = printed(report)
    assert text.index("- artefact:") < text.index("- warning:") < text.index("- note:")


def test_long_rankings_are_cut_and_say_so(report):
    many = tuple(replace(report.rows[0], model=f"m{i}", rank=i) for i in range(1, 61))
    text = printed(replace(report, rows=many))
    assert "and 15 more" in text and "m45" in text and "m46" not in text


def test_a_ranking_of_45_is_whole(report):
    many = tuple(replace(report.rows[0], model=f"m{i}", rank=i) for i in range(1, 46))
    assert "more" not in printed(replace(report, rows=many)).split("Ranking")[1].split("Metrics")[0]


def test_a_table_alone_shows_labels_and_published_figures(table_report):
    text = printed(table_report)
    heading = next(line for line in text.splitlines() if line.startswith(" #"))
    assert heading.split() == ["#", "model", "dataset", "seed", "FA", "RA", "MIA", "AD", "JS"]
    assert "tau FA-AD" in text and "-0.259" in text


def test_a_report_without_reliability_prints(report):
    text = printed(replace(report, reliability=None))
    assert "Agreement" not in text and "\nRanking\n" in text


def test_output_to_a_file_is_100_columns_wide_and_plain(report, capsys):
    print_report(report)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) == 100 and "\x1b" not in out


def test_the_width_can_be_asked_for(report, capsys):
    print_report(report, width=120)
    assert max(map(len, capsys.readouterr().out.splitlines())) == 120
