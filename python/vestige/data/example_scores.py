"""Values by example beside a table of models: a long table with one row for each model and example."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.data.columns import Columns, TableError, as_columns, is_missing, label, numbers, refuse_unknown
from vestige.data.tables import table_from_columns
from vestige.metrics.table import ScoreTable

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

_MODEL_COLUMNS = ("model", "method")


def read_examples(
    source: Any, table: ScoreTable, *, example: str = "example", cluster: str | None = None, model: str | None = None
) -> ScoreTable:
    """A table of models with the values of its metrics by example.

    Args:
        source: path (CSV, JSON, JSON lines, Parquet), mapping of columns or data frame, with one row for each model and
            example: the model's name, the labels that tell rows of one name apart, the example, and one column a
            metric or distance of `table`.
        table: the models.
        example: column with the name of the example; the same name is the same example under every model.
        cluster: column with what examples are resampled in, such as an author; "cluster" where there is one.
        model: column with the model; "model", else "method", without it.

    Returns:
        The table with `examples` and, where there are clusters, `example_clusters`; NaN where a model lacks an example.

    Raises:
        TableError: if it cannot be read, a column or model is unknown, no column is one of the table's, a row occurs
            twice, a model of the table has no row, or an example lies in two clusters.

    >>> table = ScoreTable(("a", "b"), {"RA": np.array([0.5, 1.0])}, {"RA": "higher"})
    >>> long = {"model": ["a", "a", "b"], "example": ["x", "y", "x"], "RA": [0.0, 1.0, 1.0]}
    >>> read_examples(long, table).examples["RA"]
    array([[ 0.,  1.],
           [ 1., nan]])
    """
    columns = as_columns(source)
    named = model or next((name for name in _MODEL_COLUMNS if name in columns), _MODEL_COLUMNS[0])
    cluster = cluster or ("cluster" if "cluster" in columns else None)
    refuse_unknown(columns, [named, example, *([cluster] if cluster else [])])
    metrics = [name for name in columns if name in table.columns]
    if not metrics:
        raise TableError(f"no column by example is one of the table's: {', '.join(table.columns)}")
    rows = _rows(columns, named, table)
    names, position = _codes([label(cell) for cell in columns[example]])
    _refuse_repeats(rows, position, table, names)
    examples = {}
    for name in metrics:
        examples[name] = np.full((len(table.models), len(names)), np.nan)
        examples[name][rows, position] = numbers(name, columns[name])
    clusters = _clusters(columns[cluster], position, names, cluster) if cluster else None
    return replace(table, examples=examples, example_clusters=clusters)


def _codes(labels: Sequence[str]) -> tuple[list[str], Ids]:
    """Distinct labels in the order of first occurrence, and the place of each label in them."""
    codes: dict[str, int] = {}
    places = np.array([codes.setdefault(text, len(codes)) for text in labels], dtype=np.int64)
    return list(codes), places


def _rows(columns: Columns, named: str, table: ScoreTable) -> Ids:
    """Row of the table for each row by example, by name and by the labels that both have."""
    shared = [name for name in table.labels if name in columns and name != named]
    own = [table.models, *(table.labels[name] for name in shared)]
    keys = {key: row for row, key in enumerate(zip(*own, strict=True))}
    if len(keys) < len(table.models):
        raise TableError(
            f"rows of the table share a name: the values by example need the columns that tell them apart, out of "
            f"{', '.join(table.labels)}"
        )
    given = zip(*([label(cell) for cell in columns[name]] for name in (named, *shared)), strict=True)
    rows = np.array([keys.get(key, -1) for key in given], dtype=np.int64)
    unknown = np.flatnonzero(rows < 0)
    if len(unknown):
        key = [label(columns[name][unknown[0]]) for name in (named, *shared)]
        raise TableError(f"row {unknown[0] + 1} by example is of {', '.join(key)}, which is no model of the table")
    without = sorted(set(range(len(table.models))) - set(rows.tolist()))
    if without:
        raise TableError(f"there is no value by example of {table.models[without[0]]!r}: add its rows")
    return rows


def _refuse_repeats(rows: Ids, position: Ids, table: ScoreTable, names: Sequence[str]) -> None:
    places = rows * len(names) + position
    _, first, counts = np.unique(places, return_index=True, return_counts=True)
    if (counts > 1).any():
        at = int(first[np.argmax(counts > 1)])
        raise TableError(
            f"example {names[position[at]]!r} of {table.models[rows[at]]!r} occurs more than once: average the "
            f"repetitions, or give them names of their own"
        )


def _clusters(cells: Sequence[Any], position: Ids, names: Sequence[str], column: str) -> Ids:
    if any(is_missing(cell) for cell in cells):
        raise TableError(f"column {column!r} has empty cells: every example needs a cluster")
    _, codes = _codes([label(cell) for cell in cells])
    clusters = np.zeros(len(names), dtype=np.int64)
    clusters[position] = codes
    torn = np.flatnonzero(clusters[position] != codes)
    if len(torn):
        raise TableError(f"example {names[position[torn[0]]]!r} lies in two clusters of {column!r}: it needs one")
    return clusters


def table_from_examples(
    source: Any,
    *,
    better: Mapping[str, str],
    example: str = "example",
    cluster: str | None = None,
    model: str | None = None,
) -> ScoreTable:
    """The table of means, with its values by example, of a long table alone.

    Args:
        source: as in `read_examples`.
        better: metric to "higher", "lower" or "reference:VALUE".
        example: column with the name of the example.
        cluster: column with what examples are resampled in; "cluster" where there is one.
        model: column with the model; "model", else "method", without it.

    Returns:
        One row a model, in the order of first occurrence.

    Raises:
        TableError: as in `read_examples` and `data.tables.table_from_columns`.

    >>> long = {"model": ["a", "a", "b", "b"], "example": ["x", "y", "x", "y"], "RA": [0.0, 1.0, 1.0, 1.0]}
    >>> table_from_examples(long, better={"RA": "higher"}).columns["RA"].tolist()
    [0.5, 1.0]
    """
    columns = as_columns(source)
    named = model or next((name for name in _MODEL_COLUMNS if name in columns), _MODEL_COLUMNS[0])
    refuse_unknown(columns, [named, *better])
    models = tuple(dict.fromkeys(label(cell) for cell in columns[named]))
    empty = ScoreTable(models, {name: np.zeros(len(models)) for name in better}, dict.fromkeys(better, "higher"))
    examples = read_examples(columns, empty, example=example, cluster=cluster, model=model)
    means = {name: _row_means(values) for name, values in examples.examples.items()}
    table = table_from_columns({"model": models, **means}, better=better)
    return replace(table, examples=examples.examples, example_clusters=examples.example_clusters)


def _row_means(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    n = defined.sum(axis=1)
    means: Floats = np.divide(np.where(defined, values, 0.0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    return means
