"""Columns of a file or a data frame as they are: CSV, JSON, JSON lines, Parquet, mappings, pandas, polars and Arrow."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from math import inf, isinf, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, Sequence[Any]]
Floats = NDArray[np.float64]

# As CSV files, pandas (nan, <NA>, NaT) and people write it.
_MISSING = {"", "nan", "na", "n/a", "none", "null", "<na>", "nat"}
# Sums and squares of larger cells are infinite.
LARGEST = 1e300


class TableError(ValueError):
    """A table that cannot be read as it was asked for; the message is one sentence with the way out."""


def read_columns(path: str | Path) -> Columns:
    """Columns of a `.csv`, `.json` (a list of objects), `.jsonl` or `.parquet` file, cells as they are.

    Raises:
        TableError: if the file is missing, damaged or of another kind, or names a column twice.
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
    return readers[file.suffix.lower()](file)


def as_columns(source: Any) -> Columns:
    """Columns of a path, a mapping, or a data frame (pandas, polars, Arrow, or anything with the Arrow stream).

    Raises:
        TableError: if it cannot be read, names a column twice, or its columns differ in length.
    """
    if isinstance(source, str | Path):
        return read_columns(source)
    if isinstance(source, Mapping):
        pairs = [(str(name), list(values)) for name, values in source.items()]
    elif hasattr(source, "column_names"):
        pairs = [(str(name), source.column(i).to_pylist()) for i, name in enumerate(source.column_names)]
    elif hasattr(source, "columns") and hasattr(source, "__getitem__"):
        refuse_twice([str(name) for name in source.columns], "the table")
        pairs = [(str(name), list(source[name])) for name in source.columns]
    elif hasattr(source, "__arrow_c_stream__"):
        return as_columns(_pyarrow("pyarrow", "an Arrow table").table(source))
    else:
        raise TableError(f"cannot read a table from {type(source).__name__}: give a mapping or a data frame")
    return _even(pairs)


def _even(pairs: list[tuple[str, list[Any]]]) -> Columns:
    refuse_twice([name for name, _ in pairs], "the table")
    columns = dict(pairs)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise TableError(f"columns differ in length: {lengths}")
    return columns


def refuse_twice(names: Sequence[str], where: str) -> None:
    """Refuse a name that occurs twice.

    Raises:
        TableError: with all names.
    """
    if len(set(names)) < len(names):
        raise TableError(f"{where} names a column twice: {', '.join(names)}")


def refuse_unknown(columns: Iterable[str], named: Iterable[str]) -> None:
    """Refuse names that are no column, with those that come near.

    Raises:
        TableError: naming the first.
    """
    known = list(columns)
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.4) or known
            raise TableError(f"there is no column {name!r}; did you mean {', '.join(near)}?")


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
    refuse_twice(header, file.name)
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
        return json.loads(text, parse_int=_integer, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise TableError(f"{where} is not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    refuse_twice([name for name, _ in pairs], "a JSON object")
    return dict(pairs)


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
    try:
        table = parquet.read_table(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are one of these
        raise TableError(f"{file.name} is not Parquet: {str(error).splitlines()[0]}") from error
    return as_columns(table)


def _pyarrow(module: str, what: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise TableError(f"{what} needs pyarrow: pip install 'vestige[tables]'") from error


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether every cell that is not missing is a number (true and false are labels)."""
    if _are_truth_values(values):
        return False
    fast = _fast(values)
    if fast is not None:
        return not bool(np.isnan(fast).all())
    cells = [cell for cell in values if not is_missing(cell)]
    return bool(cells) and not any(number(cell) is None for cell in cells)


def is_mixed(values: Sequence[Any]) -> bool:
    """Whether there are numbers and texts among the cells."""
    if _are_truth_values(values) or _fast(values) is not None:
        return False
    is_text = {number(cell) is None for cell in values if not is_missing(cell)}
    return len(is_text) > 1


def _are_truth_values(values: Sequence[Any]) -> bool:
    return not {bool, np.bool_}.isdisjoint(map(type, values))


def _fast(cells: Sequence[Any]) -> Floats | None:
    """All cells at once where each of them is a plain number; None where they must be looked at one by one."""
    try:
        values = np.array(cells, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return values if values.ndim == 1 else None


def is_missing(cell: Any) -> bool:
    """Whether a cell is empty or one of the words for it."""
    return cell is None or str(cell).strip().lower() in _MISSING


def number(cell: Any) -> float | None:
    """The cell as a number, NaN where it is missing, None where it is something else."""
    if is_missing(cell):
        return nan
    try:
        return float(cell)
    except OverflowError:  # an integer beyond the largest float
        return inf
    except (TypeError, ValueError):
        return None


def numbers(name: str, cells: Sequence[Any]) -> Floats:
    """A column as float64, NaN where a cell is missing.

    Raises:
        TableError: if a cell is no number or as good as infinite, or no cell is a number.
    """
    values = _fast(cells)
    if values is None:
        values = np.array([_one_number(name, row, cell) for row, cell in enumerate(cells, start=1)], dtype=np.float64)
    too_large = np.flatnonzero(np.abs(values) > LARGEST)
    if len(too_large):
        row = int(too_large[0])
        size = "infinite" if isinf(values[row]) else "beyond 1e300, as good as infinite"
        raise TableError(
            f"row {row + 1} of column {name!r} is {size}: leave the cell empty, or cap the score before making "
            f"the table"
        )
    if np.isnan(values).all():
        raise TableError(f"column {name!r} holds no number at all: leave it out")
    return values


def _one_number(name: str, row: int, cell: Any) -> float:
    value = number(cell)
    if value is None:
        raise TableError(f"row {row} of column {name!r} holds {cell!r}, which is not a number")
    return value


def label(cell: Any) -> str:
    """Cells as text; 42.0, as data frames hold an integer beside a missing one, is "42"."""
    if is_missing(cell):
        return ""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()
