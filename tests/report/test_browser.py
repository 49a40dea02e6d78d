"""The page in a real browser: sorting works, nothing is fetched, no script fails."""

import os
import re
import shutil

import pytest

from vestige.report import render

REQUIRED = os.environ.get("VESTIGE_REQUIRE_BROWSER") == "1"


def unavailable(reason):
    """Skip with the reason, or fail where a browser must be there."""
    if REQUIRED:
        pytest.fail(f"VESTIGE_REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        unavailable("playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        unavailable("there is no chromium on the path (apt-get install chromium)")
    with sync_playwright() as playwright:
        # Containers run as root, where Chromium's own sandbox refuses to start.
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    return render(report, tmp_path_factory.mktemp("browser") / "report.html")


@pytest.fixture
def opened(browser, path):
    """The page, and what went wrong or was asked for while it was open."""
    page, heard = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: heard.append(f"request: {request.url}"))
    page.goto(path.as_uri())
    heard.remove(f"request: {path.as_uri()}")
    yield page, heard
    page.close()


def keys(page, head):
    """Sort keys of one column of the ranked rows, as they stand on the page."""
    return page.evaluate(
        """head => {
          const table = document.querySelector("table.board");
          const heads = [...table.tHead.querySelectorAll("th")];
          const at = heads.findIndex(th => th.querySelector("button").textContent === head);
          return [...table.tBodies[0].rows].map(row => row.cells[at].dataset.sort ?? null);
        }""",
        head,
    )


def click(page, head):
    page.locator("table.board thead button").filter(has_text=re.compile(f"^{head}$")).click()


def test_the_page_opens_without_errors_and_asks_for_nothing(opened):
    _, heard = opened
    assert heard == []


def test_a_click_sorts_a_column_and_a_second_click_turns_it_round(opened):
    page, heard = opened
    values = [float(key) for key in keys(page, "RA")]
    assert values != sorted(values)
    click(page, "RA")
    assert [float(key) for key in keys(page, "RA")] == sorted(values)
    click(page, "RA")
    assert [float(key) for key in keys(page, "RA")] == sorted(values, reverse=True)
    assert heard == []


def test_undefined_values_stay_last_in_both_directions(opened):
    page, _ = opened
    for _ in range(2):
        click(page, "ES")
        column = keys(page, "ES")
        assert column[-1] is None and None not in column[:-1]


def test_infinity_sorts_beyond_every_number(opened):
    page, _ = opened
    click(page, "ratio")
    click(page, "ratio")
    assert keys(page, "ratio")[0] == "inf"


def test_text_columns_sort_by_letters_and_say_how_they_are_sorted(opened):
    page, _ = opened
    click(page, "method")
    column = keys(page, "method")
    assert column == sorted(column)
    assert page.locator("table.board th[aria-sort]").count() == 1
    assert page.locator("table.board th[aria-sort=ascending]").inner_text().startswith("method")


def test_sorting_moves_no_row_that_is_not_ranked(opened):
    page, _ = opened
    before = page.locator("table.board tbody.unranked").inner_text()
    click(page, "FA")
    assert page.locator("table.board tbody.unranked").inner_text() == before
    assert page.locator("table.board tbody.ranked tr").count() == 39


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_only_tables_scroll_sideways_never_the_page(opened, width):
    page, _ = opened
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_names_and_headings_stay_in_sight_while_the_table_scrolls(opened):
    page, _ = opened
    box = "document.querySelector('table.board tbody.ranked th').getBoundingClientRect().left"
    before = page.evaluate(box)
    page.evaluate("document.querySelector('.scroll.tall').scrollTo(600, 0)")
    assert abs(page.evaluate(box) - before) < 1


def test_text_is_legible_in_light_and_dark(opened):
    page, _ = opened
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert worst_contrast(page) >= 4.5


def worst_contrast(page):
    """Smallest WCAG contrast of visible text of the tables and paragraphs with the background it stands on."""
    return page.evaluate(
        """() => {
          const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
          const rgb = color => {
            canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
          };
          const luminance = color => {
            const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
            const [r, g, b] = rgb(color).map(v => linear(v / 255));
            return .2126 * r + .7152 * g + .0722 * b;
          };
          const ground = node => {
            while (node && rgb(getComputedStyle(node).backgroundColor)[3] < 255) node = node.parentElement;
            return luminance(getComputedStyle(node ?? document.body).backgroundColor);
          };
          const kinds = "td, th, th small, td small, td span, p, li, figcaption, h1, h2, h3, code";
          const nodes = document.querySelectorAll(kinds);
          return Math.min(...[...nodes].filter(node => node.textContent.trim()).map(node => {
            const [a, b] = [luminance(getComputedStyle(node).color), ground(node)];
            return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
          }));
        }"""
    )
