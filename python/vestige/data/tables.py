"""Published or home-made tables of scores: CSV, JSON, JSON lines, Parquet, mappings and data frames."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from math import inf, isinf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.metrics.base import Better
from vestige.metrics.table import ScoreTable

Columns = Mapping[str, Sequence[Any]]
Floats = NDArray[np.float64]

_MISSING = {"", "nan", "na", "n/a", "none", "null"}
_ORIENTATIONS = ("higher", "lower", "reference")
_ITEM_COLUMNS = ("model", "method")
# The distance and a second opinion.
MOST_DISTANCES = 2
# Sums and squares of larger cells are infinite.
_LARGEST = 1e300


class TableError(ValueError):
    """A table that cannot be read as it was asked for; the message is one sentence with the way out."""


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
            both metric and distance, there are more than two distances, a cell is not a finite number, there are fewer
            than two rows, a column is empty, or a row occurs twice.
    """
    file = Path(path)
    if not file.is_file():
        raise TableError(f"there is no file {str(path)!r}")
    readers: Mapping[str, Callable[[Path], Columns]] = {
        ".csv": _read_csv,
        ".json": _read_json,
        ".jsonl": _read_json_lines,
        ".parquet": _read_parquet,
    }
    if file.suffix.lower() not in readers:
        raise TableError(f"{file.name} must be one of {', '.join(readers)}")
    columns = readers[file.suffix.lower()](file)
    return table_from_columns(columns, better=better, distance=distance, labels=labels, item=item)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{file.name} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8") from error


def _read_csv(file: Path) -> Columns:
    try:
        rows = list(csv.reader(StringIO(_text(file), newline=""), strict=True))
    except csv.Error as error:
        raise TableError(f"{file.name} is not CSV: {error} (is a quote left open?)") from error
    if not rows:
        raise TableError(f"{file.name} is empty")
    header, body = [name.strip() for name in rows[0]], [row for row in rows[1:] if row]
    if len(set(header)) < len(header):
        raise TableError(f"{file.name} names a column twice: {', '.join(header)}")
    for number, row in enumerate(body, start=1):
        if len(row) != len(header):
            raise TableError(f"row {number} of {file.name} has {len(row)} cells, the header has {len(header)}")
    return {name: [row[i] for row in body] for i, name in enumerate(header)}


def _read_json(file: Path) -> Columns:
    content = _parsed(_text(file), file.name)
    lists = [value for value in content.values() if _is_records(value)] if isinstance(content, dict) else [content]
    if len(lists) != 1 or not _is_records(lists[0]):
        raise TableError(f"{file.name} must hold one list of objects, one object a model")
    return _columns_of(lists[0])


def _parsed(text: str, where: str) -> Any:
    try:
        # As floats integers of any length can be read: those too large are infinite and refused with their cell.
        return json.loads(text, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise TableError(f"{where} is not JSON: {error}") from error


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 300 else float(digits)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _read_json_lines(file: Path) -> Columns:
    rows = []
    for number, line in enumerate(_text(file).split("\n"), start=1):
        if line.strip():
            rows.append(_parsed(line, f"line {number} of {file.name}"))
    if not _is_records(rows):
        raise TableError(f"{file.name} must hold one JSON object a line")
    return _columns_of(rows)


def _columns_of(rows: list[dict[str, Any]]) -> Columns:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_parquet(file: Path) -> Columns:
    parquet = _pyarrow("pyarrow.parquet", "Parquet")
    return _arrow_columns(parquet.read_table(file))


def _arrow_columns(table: Any) -> Columns:
    return {str(name): values for name, values in table.to_pydict().items()}


def _pyarrow(module: str, what: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise TableError(f"{what} needs pyarrow: pip install 'vestige[tables]'") from error


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
        source: mapping of column names to values; or a data frame: anything with `columns` and `[name]`, or with the
            Arrow stream interface.
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
    columns = _as_columns(source)
    n_rows = len(next(iter(columns.values()), ()))
    refuse_few(n_rows)
    _refuse_unknown(columns, [*better, *distance, *(labels or ()), *([item] if item else [])])
    _refuse_unoriented(columns, {*better, *distance, *(labels or ()), *([item] if item else ())})
    names = _item_column(columns, item)
    models = tuple(map(_label, columns[names])) if names else tuple(f"row {i + 1}" for i in range(n_rows))
    numbers = {name: _numbers(name, columns[name]) for name in [*better, *distance]}
    text = {name: tuple(map(_label, values)) for name, values in columns.items() if name not in numbers}
    _refuse_repeats(models, text)
    orientations, reference = _orientations(better, models, numbers)
    return ScoreTable(models, numbers, orientations, text, reference)


def refuse_conflicts(metrics: Iterable[str], distances: Sequence[str]) -> None:
    """Refuse more than two distances, one distance twice, and a column that is a metric too.

    Raises:
        TableError: naming the column.
    """
    if len(distances) > MOST_DISTANCES:
        raise TableError(f"there can be at most two distances, got {len(distances)}: {', '.join(distances)}")
    if len(set(distances)) < len(distances):
        raise TableError(f"the distance {distances[0]!r} is named twice: a second opinion needs a column of its own")
    both = [name for name in distances if name in set(metrics)]
    if both:
        raise TableError(f"{both[0]!r} is a distance and has an orientation as a metric: it can be one of them")


def refuse_few(n_rows: int) -> None:
    """Refuse a table of fewer than two models.

    Raises:
        TableError: naming their number.
    """
    if n_rows < 2:
        raise TableError(f"the table has {n_rows} models: judging metrics needs at least 2, and more to say anything")


def _as_columns(source: Any) -> Columns:
    if isinstance(source, Mapping):
        columns: Columns = {str(name): list(values) for name, values in source.items()}
    elif hasattr(source, "columns") and hasattr(source, "__getitem__"):
        columns = {str(name): list(source[name]) for name in source.columns}
    elif hasattr(source, "__arrow_c_stream__"):
        columns = _arrow_columns(_pyarrow("pyarrow", "an Arrow table").table(source))
    else:
        raise TableError(f"cannot read a table from {type(source).__name__}: give a mapping or a data frame")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise TableError(f"columns differ in length: {lengths}")
    return columns


def _refuse_unknown(columns: Columns, named: Iterable[str]) -> None:
    for name in named:
        if name not in columns:
            near = get_close_matches(name, columns, n=3, cutoff=0.4) or list(columns)
            raise TableError(f"there is no column {name!r}; did you mean {', '.join(near)}?")


def _refuse_unoriented(columns: Columns, placed: set[str]) -> None:
    lost = [name for name, values in columns.items() if name not in placed and _is_numeric(values)]
    if lost:
        raise TableError(
            f"no orientation for {', '.join(lost)}: add --better {','.join(f'{name}=higher|lower' for name in lost)}, "
            f"or name them as a distance, group, cluster or label, or leave them out of the table"
        )


def _is_numeric(values: Sequence[Any]) -> bool:
    """Whether every cell that is not missing is a number (true and false are labels)."""
    cells = [cell for cell in values if not _is_missing(cell)]
    return bool(cells) and not any(isinstance(cell, bool | np.bool_) or _number(cell) is None for cell in cells)


def _is_missing(cell: Any) -> bool:
    return cell is None or str(cell).strip().lower() in _MISSING


def _number(cell: Any) -> float | None:
    """The cell as a number, NaN where it is missing, None where it is something else."""
    if _is_missing(cell):
        return nan
    try:
        return float(cell)
    except OverflowError:  # an integer beyond the largest float
        return inf
    except (TypeError, ValueError):
        return None


def _numbers(name: str, cells: Sequence[Any]) -> Floats:
    values = []
    for row, cell in enumerate(cells, start=1):
        number = _number(cell)
        if number is None:
            raise TableError(f"row {row} of column {name!r} holds {cell!r}, which is not a number")
        if abs(number) > _LARGEST:
            size = "infinite" if isinf(number) else "beyond 1e300, as good as infinite"
            raise TableError(
                f"row {row} of column {name!r} is {size}: leave the cell empty, or cap the score before making "
                f"the table"
            )
        values.append(number)
    if all(isnan(value) for value in values):
        raise TableError(f"column {name!r} holds no number at all: leave it out")
    return np.array(values, dtype=np.float64)


def _label(cell: Any) -> str:
    """Cells as text; 42.0, as data frames hold an integer beside a missing one, is "42"."""
    if _is_missing(cell):
        return ""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()


def _item_column(columns: Columns, item: str | None) -> str:
    return item or next((name for name in _ITEM_COLUMNS if name in columns), "")


def _refuse_repeats(models: tuple[str, ...], labels: Mapping[str, tuple[str, ...]]) -> None:
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
    number = _number(value)
    if number is not None and abs(number) > _LARGEST:
        raise TableError(f"{name}=reference:{value} is infinite: a reference must be a finite number or a row")
    if number is not None and not isnan(number):
        return number
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
