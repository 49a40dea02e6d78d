"""Published or home-made tables of scores: CSV, JSON, JSON lines, Parquet, mappings and data frames."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.data.columns import (
    LARGEST,
    Columns,
    TableError,
    as_columns,
    is_mixed,
    is_numeric,
    label,
    number,
    numbers,
    read_columns,
    refuse_unknown,
)
from vestige.metrics.base import Better
from vestige.metrics.table import ScoreTable

Floats = NDArray[np.float64]

_ORIENTATIONS = ("higher", "lower", "reference")
_ITEM_COLUMNS = ("model", "method")


def parse_better(text: str) -> dict[str, str]:
    """Orientations from the text form of the command line.

    Args:
        text: comma-separated `NAME=higher`, `NAME=lower` or `NAME=reference:VALUE`.

    Returns:
        Column name to orientation, as `read_table` takes it.

    Raises:
        TableError: if a part is not of that form or names a metric again.

    >>> parse_better("FA=reference:0.25,RA=higher")
    {'FA': 'reference:0.25', 'RA': 'higher'}
    """
    better: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, orientation = part.partition("=")
        if not (name and equals and orientation):
            raise TableError(f"cannot read {part!r}: write NAME=higher, NAME=lower or NAME=reference:VALUE")
        if name.strip() in better:
            raise TableError(f"{name.strip()!r} has two orientations in {text!r}: give it one")
        better[name.strip()] = orientation.strip()
    return better


def parse_numbers(text: str, what: str) -> dict[str, float]:
    """Named numbers from the text form of the command line.

    Args:
        text: comma-separated `NAME=NUMBER`, each number above 0.
        what: what the numbers are, for errors.

    Returns:
        Name to number.

    Raises:
        TableError: if a part is not of that form.

    >>> parse_numbers("RA=0.02, MIA=0.05", "margin")
    {'RA': 0.02, 'MIA': 0.05}
    """
    named: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        size = number(value)
        if not name.strip() or size is None or not 0 < size < inf:
            raise TableError(f"cannot read the {what} {part!r}: write NAME=NUMBER with a number above 0, as RA=0.02")
        named[name.strip()] = size
    return named


def read_table(
    path: str | Path,
    *,
    better: Mapping[str, str],
    distance: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    item: str | None = None,
) -> ScoreTable:
    """Models by metrics from a file.

    Args:
        path: `.csv`, `.json` (a list of objects), `.jsonl` or `.parquet`.
        better: metric column to "higher", "lower" or "reference:VALUE", where VALUE is a number or the name of the row
            that holds it. Never guessed from a name.
        distance: columns that say how far a model is from the retrained one.
        labels: columns of numbers that are labels, such as "seed"; columns of text always are.
        item: column that names the models; "model", else "method", without it.

    Returns:
        The table; empty cells and "nan" are NaN.

    Raises:
        TableError: if the file is missing, damaged or of another kind, a column is unknown, has no orientation or is
            both metric and distance, holds numbers and texts, a cell is not a finite number, there are fewer than two
            rows, a column is empty, or a row has no name or occurs twice.
    """
    columns = read_columns(path)
    return table_from_columns(columns, better=better, distance=distance, labels=labels, item=item)


def table_from_columns(
    source: Any,
    *,
    better: Mapping[str, str],
    distance: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    item: str | None = None,
) -> ScoreTable:
    """Models by metrics from a mapping of columns or a data frame.

    Args:
        source: mapping of column names to values; or a data frame: pandas, polars or Arrow, or anything with the Arrow
            stream interface.
        better: metric column to "higher", "lower" or "reference:VALUE", as in `read_table`.
        distance: columns that say how far a model is from the retrained one.
        labels: columns of numbers that are labels, such as "seed"; columns of text always are.
        item: column that names the models; "model", else "method", without it.

    Returns:
        The table.

    Raises:
        TableError: as in `read_table`.

    >>> table = table_from_columns({"model": ["a", "b"], "RA": [0.5, "0.75"]}, better={"RA": "higher"})
    >>> table.models, table.columns["RA"].tolist()
    (('a', 'b'), [0.5, 0.75])
    """
    refuse_conflicts(better, distance)
    columns = as_columns(source)
    n_rows = len(next(iter(columns.values()), ()))
    refuse_few(n_rows)
    refuse_unknown(columns, [*better, *distance, *(labels or ()), *([item] if item else [])])
    names = _item_column(columns, item)
    _refuse_unoriented(columns, {*better, *distance, *(labels or ()), *([item] if item else ())}, names)
    models = tuple(map(label, columns[names])) if names else tuple(f"row {i + 1}" for i in range(n_rows))
    scores = {name: numbers(name, columns[name]) for name in [*better, *distance]}
    text = {name: tuple(map(label, values)) for name, values in columns.items() if name not in scores}
    _refuse_repeats(models, text)
    orientations, reference = _orientations(better, models, scores)
    return ScoreTable(models, scores, orientations, text, reference)


def refuse_conflicts(metrics: Iterable[str], distances: Sequence[str]) -> None:
    """Refuse one distance twice, and a column that is a distance and a metric.

    Raises:
        TableError: naming the column.
    """
    twice = [name for i, name in enumerate(distances) if name in distances[:i]]
    if twice:
        raise TableError(f"the distance {twice[0]!r} is named twice: a second opinion needs a column of its own")
    both = [name for name in distances if name in set(metrics)]
    if both:
        raise TableError(f"{both[0]!r} is a distance and has an orientation as a metric: it can be one of them")


def refuse_few(n_rows: int) -> None:
    """Refuse a table of fewer than two models.

    Raises:
        TableError: naming their number.
    """
    if n_rows < 2:
        raise TableError(f"judging metrics needs at least 2 models, and more to say anything; the table has {n_rows}")


def _refuse_unoriented(columns: Columns, placed: set[str], item: str) -> None:
    lost = [name for name, values in columns.items() if name not in placed and is_numeric(values)]
    if lost:
        raise TableError(
            f"no orientation for {', '.join(lost)}: add --better {','.join(f'{name}=higher|lower' for name in lost)}, "
            f"or name them as a distance, group, cluster or label, or leave them out of the table"
        )
    mixed = [name for name, values in columns.items() if name not in {*placed, item} and is_mixed(values)]
    if mixed:
        raise TableError(
            f"column {mixed[0]!r} holds numbers and texts: give it an orientation with --better and empty the cells "
            f"that are no numbers, or name it as a label"
        )


def _item_column(columns: Columns, item: str | None) -> str:
    return item or next((name for name in _ITEM_COLUMNS if name in columns), "")


def _refuse_repeats(models: tuple[str, ...], labels: Mapping[str, tuple[str, ...]]) -> None:
    if "" in models:
        raise TableError(f"row {models.index('') + 1} has no model name: give it one")
    seen: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(zip(models, *labels.values(), strict=True), start=1):
        if key in seen:
            raise TableError(
                f"rows {seen[key]} and {row} are the same model ({', '.join(filter(None, dict.fromkeys(key)))}): "
                f"remove one or add a column that tells them apart"
            )
        seen[key] = row


def _orientations(
    better: Mapping[str, str], models: tuple[str, ...], columns: Mapping[str, Floats]
) -> tuple[dict[str, Better], dict[str, float]]:
    orientations: dict[str, Better] = {}
    reference: dict[str, float] = {}
    for name, text in better.items():
        word, _, value = text.partition(":")
        if word not in _ORIENTATIONS or (word == "reference") != bool(value):
            raise TableError(
                f"the orientation of {name!r} must be higher, lower or reference:VALUE (a number or the name of a "
                f"row), got {text!r}"
            )
        match word:
            case "higher":
                orientations[name] = "higher"
            case "lower":
                orientations[name] = "lower"
            case _:
                orientations[name] = "reference"
                reference[name] = _reference(name, value, models, columns[name])
    return orientations, reference


def _reference(name: str, value: str, models: tuple[str, ...], column: Floats) -> float:
    given = number(value)
    if given is not None and abs(given) > LARGEST:
        raise TableError(f"{name}=reference:{value} is infinite: a reference must be a finite number or a row")
    if given is not None and not isnan(given):
        return given
    rows = [row for row, model in enumerate(models) if model == value]
    if len(rows) != 1:
        raise TableError(
            f"{name}=reference:{value} must be a number or the name of one row; {len(rows)} rows are called {value!r}"
        )
    if isnan(column[rows[0]]):
        raise TableError(
            f"{name}=reference:{value}: the row {value!r} has no {name}, so nothing can be compared with it"
        )
    return float(column[rows[0]])
