"""The run's numbers as files: wide for people, long for programs, values by unit for whoever resamples them again."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vestige.evaluation.config import Spent
from vestige.evaluation.inside import Inside, rows
from vestige.evaluation.measures import Measures, unit_values

Columns = Mapping[str, Sequence[Any]]


def write_tables(measures: Measures, found: tuple[Inside, ...], folder: Path) -> None:
    """Write `scores.csv` (models by metrics), `estimates` (a row a model and metric) and `units` (values by unit).

    What is read inside models, layer by layer and over the floor of the retrained ones, becomes `inside.csv`.

    The long ones are Parquet where pyarrow is installed, else CSV.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(_transposed(list(_wide(measures))), folder / "scores.csv")
    _write_long(_transposed(list(_long(measures))), folder / "estimates")
    _write_long(_units(measures), folder / "units")
    if found:
        _write_csv(_transposed(list(rows(found))), folder / "inside.csv")


def _wide(measures: Measures) -> Iterator[dict[str, Any]]:
    spent = {m.name: m.spent.model_dump() for m in measures.run.config.models.unlearned}
    known = [name for name in Spent.model_fields if any(costs[name] is not None for costs in spent.values())]
    for s in measures.run.subjects:
        about = {"model": s.name, "role": s.role, "method": s.method, "strength": s.strength}
        yield (
            about
            | {name: spent.get(s.name, {}).get(name) for name in known}
            | {name: estimate.value for name, estimate in measures.scores[s.name].items()}
        )


def _long(measures: Measures) -> Iterator[dict[str, Any]]:
    for model, scores in measures.scores.items():
        for metric, estimate in scores.items():
            plain = asdict(estimate)
            yield {"model": model, "metric": metric, **plain, "fixed": ", ".join(plain["fixed"])}


def _units(measures: Measures) -> Columns:
    """One row a value: which model, which metric's array, which unit (example or prompt), which sample, its cluster."""
    parts: dict[str, list[Any]] = {name: [] for name in ("model", "array", "unit", "sample", "cluster", "value")}
    for model, name, values, clusters in unit_values(measures):
        units, samples = np.indices(values.shape).reshape(2, -1)
        n = values.size
        parts["model"] += [model] * n
        parts["array"] += [name] * n
        parts["unit"] += units.tolist()
        parts["sample"] += samples.tolist()
        parts["cluster"] += np.asarray(clusters)[units].tolist()
        parts["value"] += values.ravel().tolist()
    return parts


def _transposed(table: Sequence[Mapping[str, Any]]) -> Columns:
    return {name: [row[name] for row in table] for name in table[0]}


def _write_long(columns: Columns, path: Path) -> None:
    if find_spec("pyarrow") is None:
        _write_csv(columns, path.with_suffix(".csv"))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(columns)), path.with_suffix(".parquet"))


def _write_csv(columns: Columns, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
