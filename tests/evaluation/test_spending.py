"""What models took to make, from the configuration to the report and the tables."""

import csv

import numpy as np
import pytest
import yaml

from vestige.evaluation.config import ConfigError, read_config


def beats(one, other):
    """At least as good in everything, better in something; retain accuracy is better when higher."""
    pairs = [(one.distance, other.distance), (-one.kept, -other.kept), (one.seconds, other.seconds)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def test_the_unbeaten_are_those_that_no_other_beats(micro_run):
    entries = micro_run.report.spending
    assert {entry.model for entry in entries} == {row.model for row in micro_run.report.rows if row.role == "unlearned"}
    for entry in entries:
        assert entry.unbeaten == (not any(beats(other, entry) for other in entries))
        assert np.isnan(entry.memory)


def test_seconds_are_a_column_of_the_table(micro_run):
    with (micro_run.folder / "tables" / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seconds = {row["model"]: row["seconds"] for row in rows}
    assert {entry.model: entry.seconds for entry in micro_run.report.spending} == {
        name: float(value) for name, value in seconds.items() if value
    }
    assert "memory" not in rows[0]


def test_a_stronger_snapshot_of_one_run_took_longer(micro_config):
    by_method = {}
    for model in read_config(micro_config).models.unlearned:
        by_method.setdefault(model.method, []).append(model.spent.seconds)
    assert all(seconds == sorted(seconds) for seconds in by_method.values())


def test_a_negative_cost_is_refused(micro_config, tmp_path):
    raw = yaml.safe_load(micro_config.read_text())
    raw["models"]["unlearned"][0]["spent"] = {"seconds": -1}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match="spent"):
        read_config(tmp_path / "config.yaml")
