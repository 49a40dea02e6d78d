"""The figure of the README is what the engine says today."""

import os
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_figure_of_the_readme_is_up_to_date():
    folder = Path(os.environ.get("VESTIGE_PUBLISHED_TABLES", ROOT.parent / "shared" / "data"))
    if not (folder / "UnifiedUnl" / "multimodal_results.csv").is_file():
        pytest.skip("the published tables are not here: set VESTIGE_PUBLISHED_TABLES to their folder")
    drawn = runpy.run_path(str(ROOT / "docs" / "unifiedunl.py"))["figure"](
        folder / "UnifiedUnl" / "multimodal_results.csv"
    )
    stored = ROOT / "docs" / "unifiedunl.svg"
    assert stored.read_text() == drawn, "run the command beside the figure in README.md"
    assert stored.stat().st_size < 150_000
    assert drawn.count(">no evidence<") == 5
