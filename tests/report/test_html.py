import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from math import nan

import pytest

from vestige.report import render, view
from vestige.report.model import Report
from vestige.report.numbers import number
from vestige.stats.estimate import Estimate

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags, attributes and text of a page, and whether every tag that opens is closed in order."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def source(report, tmp_path_factory):
    return render(report, tmp_path_factory.mktemp("page") / "deep" / "report.html").read_text()


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


@pytest.fixture(scope="module")
def table_page(table_report, tmp_path_factory):
    return Page(render(table_report, tmp_path_factory.mktemp("page") / "table.html").read_text())


def test_every_tag_is_closed_in_order(page, table_page):
    assert page.open == [] and table_page.open == []


def test_values_are_escaped(source, page):
    assert source.count("<script") == 1 and "<script>alert" not in source and "<b>dpo" not in source
    assert "<script>alert(1)</script> & \"quotes\" 'single'" in page.text
    assert [tag for tag, attrs in page.tags if any(name.startswith("on") for name in attrs)] == []


def test_nothing_is_fetched(source, page):
    fetched = [
        value
        for _, attrs in page.tags
        for name, value in attrs.items()
        if name in ("src", "href", "data", "action", "poster", "srcset") and not value.startswith("#")
    ]
    assert fetched == [] and "link" not in {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|@import|url\(", source)


def test_the_policy_allows_its_own_script_only(page):
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_the_page_is_small(source, page):
    assert len(source.encode()) < 500_000


def test_a_table_of_a_thousand_rows_stays_under_five_megabytes(report, tmp_path):
    rows = tuple(replace(report.rows[i % 30], model=f"model {i}", rank=i) for i in range(1, 1203))
    path = render(replace(report, rows=rows), tmp_path / "many.html")
    assert path.stat().st_size < 5_000_000
    assert "202 more rows are in report.json" in path.read_text()


def test_undefined_values_are_dashes_with_their_reason(source, page, table_page):
    words = re.findall(r"\bnan\b", page.text.lower() + table_page.text.lower())
    assert words == [] and 'title="undefined: constant column"' in source
    titles = [attrs.get("title", "") for _, attrs in page.tags] + [attrs.get("data-sort", "") for _, attrs in page.tags]
    assert not any(re.search(r"\bnan\b", title.lower()) for title in titles)


def test_findings_and_controls_come_before_any_correlation(page):
    order = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert order == ["found", "findings", "controls", "leaderboard", "agreement", "tracking", "composite", "stability",
                     "cards", "run"]  # fmt: skip


def test_links_lead_to_sections(page, table_page):
    for some in (page, table_page):
        ids = {attrs.get("id") for _, attrs in some.tags}
        assert {attrs["href"][1:] for tag, attrs in some.tags if tag == "a"} <= ids


def test_every_model_and_every_metric_is_on_the_board(report):
    shown = view.board(report, 1000)
    assert len(shown.ranked) == 39 and len(shown.unranked) == 6
    assert {card.name for card in report.cards} <= {column.head for column in shown.columns}


def test_cells_sort_by_their_full_value_and_undefined_ones_have_no_key(report):
    shown = view.board(report, 1000)
    at = [column.head for column in shown.columns].index("ES")
    for line in shown.ranked:
        value = line.row.scores["ES"].value
        assert line.cells[at].sort == ("" if value != value else repr(value))


def test_a_metric_that_fails_a_control_is_marked_wherever_it_is_shown(report, page):
    shown = view.board(report, 1000)
    assert {column.head for column in shown.columns if column.flagged} == {"AD", "ES"}
    drawn = [row for forest in view.forests(report, 100) for row in forest.rows]
    assert {row.tracking.metric for row in drawn if row.flagged} == {"AD", "ES"}
    assert "AD ✗" in page.text and "ES ✗" in page.text


def test_the_blocks_of_the_heat_map_are_the_clusters(report):
    agreement = replace(report.reliability.agreement, clusters=(tuple("AB"), ("C",)), metrics=tuple("ABC"))
    three = {name: getattr(agreement, name)[:3, :3] for name in ("tau", "low", "high", "p")}
    cells = view.heat(replace(agreement, **three), "").cells
    edges = {"top", "bottom", "left", "right"}
    found = {(i, j): edges & set(c.mark.split()) for i, row in enumerate(cells) for j, c in enumerate(row)}
    assert found[0, 0] == {"top", "left"} and found[0, 1] == {"top", "right"} and found[1, 0] == {"bottom", "left"}
    assert all(not found[i, j] for i, j in found if 2 in (i, j))


def test_the_share_of_variance_between_groups_stands_beside_each_metric(report, table_page, page):
    assert "between" in table_page.texts and "between" not in page.texts


def test_the_mark_without_collapsed_models_is_drawn_only_where_it_differs(report):
    entries = tuple(replace(entry, without_collapsed=entry.rho) for entry in report.reliability.tracking[:2])
    same = replace(report, reliability=replace(report.reliability, tracking=entries, second_tracking=()))
    assert [row.without for forest in view.forests(same, 100) for row in forest.rows] == [None, None]
    assert all(row.without for row in view.forests(report, 100)[0].rows)


def test_values_inside_the_floor_are_marked(report):
    shown = view.board(report, 1000)
    at = [column.head for column in shown.columns].index("JS")
    for line in shown.ranked:
        assert (line.cells[at].mark == "floor") == (line.row.scores["JS"].value <= 0.04)


def test_the_heat_map_puts_agreeing_metrics_side_by_side(report):
    heat = view.heat(report.reliability.agreement, "")
    strong = report.reliability.agreement.clusters[0]
    assert heat.metrics[: len(strong)] == strong and not any(heat.cells[i][i].text for i in range(len(heat.metrics)))
    first = report.reliability.agreement
    i, j = (first.metrics.index(name) for name in heat.metrics[:2])
    assert heat.cells[0][1].text == f"{first.tau[i, j]:.2f}" and f"[{first.low[i, j]:.3f}, " in heat.cells[0][1].title


def test_further_numbers_of_models_are_in_a_table_that_folds(page, table_page):
    assert "Further numbers of 37 models" in page.text and "FADE prompt error" in page.text
    assert "Further numbers" not in table_page.text


def test_a_table_alone_has_no_verdicts_but_labels_and_published_figures(table_page):
    assert "Published figures" in table_page.text and "equivalent (the whole" not in table_page.text
    heads = [data for data in table_page.texts if data in ("dataset", "seed", "verdict", "method")]
    assert heads.count("dataset") == 1 and heads.count("seed") == 1 and "method" not in heads


def test_the_smallest_report_renders(tmp_path):
    empty = Report("Nothing yet", "2026-05-04T10:20:30Z", {}, (), "nothing", (), None)
    assert "Nothing yet" in Page(render(empty, tmp_path / "empty.html").read_text()).text


@pytest.mark.parametrize(
    ("created", "shown"),
    [("2026-05-04T10:20:30Z", "2026-05-04 10:20 UTC"), ("2026-05-04T10:20:30+02:00", "2026-05-04 08:20 UTC")],
)
def test_times_are_shown_in_utc(created, shown, tmp_path):
    path = render(Report("t", created, {}, (), "", (), None), tmp_path / "t.html")
    assert shown in path.read_text()


def test_a_time_that_is_none_is_shown_as_it_was_given(tmp_path):
    assert "last spring" in render(Report("t", "last spring", {}, (), "", (), None), tmp_path / "t.html").read_text()


def test_the_same_report_gives_the_same_bytes(report, source, tmp_path):
    assert render(report, tmp_path / "again.html").read_text() == source


def test_without_jinja2_one_sentence_says_what_to_install():
    script = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from vestige.report import Report, render\n"
        "render(Report('t', '', {}, (), '', (), None), '/dev/null')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: vestige.render needs jinja2: pip install 'vestige[report]'" in done.stderr


def test_importing_the_package_loads_no_renderer():
    script = "import sys, vestige.report; print(sorted({'jinja2', 'rich', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def page_of(report, tmp_path):
    return Page(render(report, tmp_path / "page.html").read_text())


def test_rho_without_collapsed_models_is_a_number_beside_its_diamond(report, page):
    entry = report.reliability.tracking[0]
    assert f"◇ {number(entry.without_collapsed.value)}" in page.text


def test_a_value_that_is_0_by_definition_is_a_dash_that_says_so(report, page):
    told = [attrs["title"] for _, attrs in page.tags if attrs.get("title", "").startswith("0 by definition")]
    # Three cells of retrained-0, and the retrained model's own AD, JS, FADE and two distances in two places.
    assert len(told) == 3 + 2 * 5
    card = next(card for card in report.cards if card.name == "JS")
    shown = view.board(report, 1000)
    at = [column.head for column in shown.columns].index("JS")
    cells = {line.row.model: line.cells[at].text for line in shown.unranked}
    assert cells["retrained-0"] == "-" and cells["retrained-1"] != "-" and card.retrained != card.retrained


def test_planted_models_show_both_verdicts(page):
    controls = page.text.split("Planted models and the verdict on them")[1].split("Leaderboard")[0]
    assert controls.count("as it must be") == 2 and "by logit_to_retrained" in controls
    assert controls.count("different") == 4 and controls.count("yes") == 4  # "must be" and both verdicts, and "not"


def test_models_without_a_rank_are_a_dash_that_stays_last(report, tmp_path):
    rows = (replace(report.rows[0], rank=None), *report.rows[1:])
    page = page_of(replace(report, rows=rows), tmp_path)
    cells = [attrs for tag, attrs in page.tags if tag == "td" and "rank" in (attrs.get("class") or "")]
    ranked = [attrs for attrs in cells if "data-sort" in attrs]
    assert len(ranked) == 38 and sum("not ranked" in attrs.get("title", "") for attrs in cells) == 1
    assert view.board(replace(report, rows=rows), 1000).ranked[-1].row.model == report.rows[0].model


def test_without_a_finite_ratio_there_is_no_picture_of_ratios(report, tmp_path):
    rows = tuple(
        replace(row, rank=None, verdict=replace(row.verdict, ratio=Estimate(nan, reason="no seeds differ")))
        if row.verdict
        else row
        for row in report.rows
    )
    text = page_of(replace(report, rows=rows), tmp_path).text
    assert "Pale marks" not in text and "A verdict is equivalence to retraining" in text


def test_a_composite_without_a_best_metric_names_none(report, tmp_path):
    quality = replace(report.reliability.quality, best_single="")
    text = page_of(replace(report, reliability=replace(report.reliability, quality=quality)), tmp_path).text
    assert "best single metric, held out" in text and "metric ()" not in text
