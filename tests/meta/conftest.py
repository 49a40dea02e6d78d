import os
from pathlib import Path

import numpy as np
import pytest

from vestige.metrics.table import ScoreTable

ROOT = Path(__file__).resolve().parents[2]
BETTER = {"FA": "lower", "RA": "higher", "MIA": "lower", "AD": "lower", "JS": "lower"}


@pytest.fixture(scope="session")
def published_tables():
    folder = Path(os.environ.get("VESTIGE_PUBLISHED_TABLES", ROOT.parent / "shared" / "data"))
    if not (folder / "UnifiedUnl" / "multimodal_results.csv").is_file():
        pytest.skip("the published tables are not here: set VESTIGE_PUBLISHED_TABLES to their folder")
    return folder


@pytest.fixture(scope="session")
def unified(published_tables):
    """Arguments of `reliability` for the two tables of arXiv 2605.02206."""
    folder = published_tables / "UnifiedUnl"
    return {
        "table": folder / "multimodal_results.csv",
        "compare": folder / "unimodal_results.csv",
        "better": BETTER,
        "distance": "retrained_distance",
        "groups": ("dataset", "seed"),
        "clusters": ("dataset",),
    }


def synthetic(effects, *, seed=0, n_methods=13, n_strengths=3, better=None, machinery=None):
    """A demo-like table: methods in several strengths; `effects` say how each metric follows closeness."""
    rng = np.random.default_rng(seed)
    n = n_methods * n_strengths
    closeness = np.repeat(rng.normal(size=n_methods), n_strengths) + 0.5 * rng.normal(size=n)
    columns = {name: effect * closeness + rng.normal(size=n) for name, effect in effects.items()}
    return ScoreTable(
        models=tuple(f"m{i // n_strengths}@{i % n_strengths}" for i in range(n)),
        columns={**columns, "gap": -closeness, "second": -closeness + rng.normal(size=n)},
        better=better or dict.fromkeys(effects, "higher"),
        labels={"method": tuple(f"m{i // n_strengths}" for i in range(n))},
        machinery=machinery or {},
    )


@pytest.fixture
def make_table():
    return synthetic
