"""Documents that are made from the code say what the code says; the rest of what a newcomer reads holds."""

import re
import subprocess
import sys
from pathlib import Path

import vestige
from vestige.metrics import DISTANCES, METRICS
from vestige.report.catalogue import catalogue_markdown
from vestige.report.fields import fields_markdown

ROOT = Path(__file__).resolve().parents[1]


def test_the_catalogue_document_is_up_to_date():
    assert (ROOT / "docs" / "metrics.md").read_text() == catalogue_markdown((*METRICS, *DISTANCES)), "run `make docs`"


def test_the_document_of_fields_is_up_to_date():
    assert (ROOT / "docs" / "report-fields.md").read_text() == fields_markdown(), "run `make docs`"


def test_links_between_documents_lead_somewhere():
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_readme_names_the_two_commands_that_the_makefile_has():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for command in ("demo", "test"):
        assert f"make {command}" in readme
        assert f"\n{command}:" in makefile


def test_no_figure_is_left_to_be_filled_in():
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = document.read_text()
        assert not re.search(r"[A-Z]+_TIME", text), document.name
        assert not re.search(r"<!-- bench -->\s*<!-- /bench -->", text), f"run `make bench` for {document.name}"


def test_importing_vestige_loads_nothing_heavy():
    code = "import sys, vestige; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "torch", "rich", "typer", "pydantic"} & set(loaded)


def test_every_public_name_is_there():
    for name in vestige.__all__:
        assert getattr(vestige, name) is not None
