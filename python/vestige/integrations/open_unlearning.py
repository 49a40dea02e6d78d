"""Results of open-unlearning: its `*_EVAL.json` and `*_SUMMARY.json` files as a table, with no model and no GPU.

Layout: locuslab/open-unlearning, src/evals/base.py and src/evals/metrics/, commit d3d7cf9: `*_EVAL.json` maps each
metric to `{"agg_value": number, "value_by_index": {index: {...}}}`, `*_SUMMARY.json` to the number alone.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vestige.data.columns import TableError
from vestige.data.tables import table_from_columns
from vestige.metrics import ScoreTable


def find_evaluations(folder: str | Path) -> dict[str, Path]:
    """Every evaluation below a folder, as `read_evaluations` takes them.

    Args:
        folder: a folder of runs.

    Returns:
        Model to file: the run's folder, relative to `folder`, names the model; where it holds both kinds of file the
        one with values by index is taken.

    Raises:
        TableError: if there is none, or two evaluations of one kind in one folder.

    Source: locuslab/open-unlearning, src/evals/base.py.
    """
    root, found = Path(folder), dict[str, Path]()
    for ending in ("_EVAL.json", "_SUMMARY.json"):
        of_kind: dict[str, Path] = {}
        for path in sorted(root.rglob(f"*{ending}")):
            model = path.parent.relative_to(root).as_posix()
            model = root.resolve().name if model == "." else model
            if model in of_kind:
                raise TableError(f"{path.parent} holds {of_kind[model].name} and {path.name}: name the files instead")
            of_kind[model] = path
        found = of_kind | found
    if not found:
        raise TableError(f"there is no *_EVAL.json or *_SUMMARY.json below {root}")
    return dict(sorted(found.items()))


def read_evaluations(
    files: Mapping[str, str | Path], *, better: Mapping[str, str], distance: Sequence[str] = ()
) -> ScoreTable:
    """The summaries of several models as a table that `vestige.reliability` takes.

    Args:
        files: model name to its `*_EVAL.json` or `*_SUMMARY.json`.
        better: metric to "higher", "lower" or "reference:VALUE"; only these metrics are read.
        distance: metrics that are distances to the retrained model.

    Returns:
        One row a model; a metric that a file lacks is NaN.

    Raises:
        TableError: if a file cannot be read or is of another layout, or no file has a metric.

    Source: locuslab/open-unlearning, src/evals/base.py.
    """
    evaluations = {name: _read(Path(path)) for name, path in files.items()}
    known = sorted(set().union(*evaluations.values()))
    if not better and not distance:
        raise TableError(f"better is missing: say whether higher or lower is better of {', '.join(known)}")
    for metric in (*better, *distance):
        if metric not in known:
            raise TableError(f"no file has metric {metric!r}; there are {', '.join(known)}")
    columns: dict[str, list[Any]] = {"model": list(evaluations)}
    for metric in (*better, *distance):
        columns[metric] = [_summary(evaluation, metric) for evaluation in evaluations.values()]
    return table_from_columns(columns, better=better, distance=distance)


def values_by_index(file: str | Path, metric: str, field: str) -> dict[str, float]:
    """One number an example, by its index in the data set, for paired comparison of two models.

    Args:
        file: an `*_EVAL.json`.
        metric: for example "forget_Q_A_Prob".
        field: the number in each entry, for example "prob" or "avg_loss".

    Returns:
        Index to value; examples that were skipped (None) are left out.

    Raises:
        TableError: if the file, the metric or the field is not there.

    Source: as `read_evaluations`.
    """
    evaluation = _read(Path(file))
    if metric not in evaluation:
        raise TableError(f"{file} has no metric {metric!r}; it has {', '.join(sorted(evaluation))}")
    rows = {index: row for index, row in evaluation[metric].get("value_by_index", {}).items() if row is not None}
    if not rows or not all(isinstance(row, dict) and field in row for row in rows.values()):
        raise TableError(f"{file}: {metric!r} has no {field!r} by index")
    return {index: float(row[field]) for index, row in rows.items() if row[field] is not None}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TableError(f"no evaluation at {path}") from None
    except ValueError as error:
        raise TableError(f"{path} is not JSON: {error}") from None
    if isinstance(content, dict):
        content = {k: {"agg_value": v} if isinstance(v, int | float) else v for k, v in content.items()}
    if not isinstance(content, dict) or not all(isinstance(v, dict) and "agg_value" in v for v in content.values()):
        raise TableError(f"{path} is no evaluation of open-unlearning: every metric needs an `agg_value`")
    return content


def _summary(evaluation: Mapping[str, Any], metric: str) -> float:
    value = evaluation.get(metric, {}).get("agg_value")
    return float("nan") if value is None else float(np.asarray(value))
