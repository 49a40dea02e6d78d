"""A configuration of few models and small shards, and the store that one worker makes of it undisturbed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vestige.evaluation import estimate_costs, read_config, score, write_config


@pytest.fixture(scope="session")
def differing() -> Callable[[Path, Path], list[str]]:
    """Names of the files in which two folders differ: in a byte, or by being in one of them only."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def compare(one: Path, other: Path) -> list[str]:
        return sorted({name for name, _ in read(one).items() ^ read(other).items()})

    return compare


@pytest.fixture(scope="session")
def small_config(micro_config, tmp_path_factory) -> Path:
    """Original, two retrained and one unlearned micro model, few samples, splits of several shards."""
    path = tmp_path_factory.mktemp("small") / "config.yaml"
    write_config(read_config(micro_config), path)
    raw = yaml.safe_load(path.read_text())
    raw["models"].update(retrained=raw["models"]["retrained"][:2], unlearned=raw["models"]["unlearned"][:1])
    raw["models"]["controls"] = []
    raw["data"] = {split: raw["data"][split] for split in ("forget", "retain", "distance")}
    raw["scoring"].update(prompts=4, samples=2, max_new_tokens=6, batch_size=16, examples_per_shard=24)
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.fixture(scope="session")
def undisturbed(small_config, tmp_path_factory) -> Path:
    """The store that one worker makes of it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    score(small_config, folder, jobs=1)
    return folder / "store"


@pytest.fixture(scope="session")
def foreseen() -> Callable[[Path, Path], float]:
    """Bytes that a dry run says over bytes that the run has written, of the models that the dry run knows."""

    def ratio(config: Path, run: Path) -> float:
        costs = estimate_costs(config, run / "elsewhere")
        folders = {run / "store" / task.checkpoint.key for task, _ in costs}
        written = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
        return sum(cost.disk for _, cost in costs) / written

    return ratio
