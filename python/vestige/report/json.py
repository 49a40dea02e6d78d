"""`report.json`: the whole report as plain JSON, read back to the same values.

The schema is documented in `docs/report-schema.md`. NaN is `null`; infinities are the strings "inf" and "-inf".
"""

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import inf, isinf, isnan, nan
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from vestige.report.files import write_whole
from vestige.report.model import SCHEMA, Report


class ReportError(ValueError):
    """A file that is no report, or a report of a version that this vestige does not read."""


def to_json(report: Report) -> dict[str, Any]:
    """The report as dicts, lists, strings, numbers, booleans and None.

    Args:
        report: the report.

    Returns:
        A dict that `json.dumps(..., allow_nan=False)` accepts: NaN is None, infinities are "inf" and "-inf".

    Raises:
        TypeError: if `report.about` holds a value that JSON cannot, with its place.

    Source: defined here; schema in `docs/report-schema.md`.

    >>> to_json(Report("t", "2026-01-01T00:00:00Z", {}, (), "", (), None))["schema"]
    'vestige.report/1'
    """
    encoded: dict[str, Any] = _encode(report, "report")
    return encoded


def write_json(report: Report, path: str | Path) -> Path:
    """Write `to_json(report)` to a file, UTF-8, indented; a file that was there stays whole until the new one is.

    Args:
        report: the report.
        path: the file to write; its folder is made where there is none.

    Returns:
        The path.

    Raises:
        TypeError: if `report.about` holds a value that JSON cannot.

    Source: defined here.
    """
    text = json.dumps(to_json(report), indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(path, text + "\n")


def read_json(path: str | Path) -> Report:
    """Read a report that `write_json` wrote.

    Args:
        path: a `report.json`.

    Returns:
        The same report; fields that a newer writer of the same version added are passed over.

    Raises:
        ReportError: if the file is not JSON, of another version, or a value has the wrong type; the message says where.
        FileNotFoundError: if there is no such file.

    Source: defined here.
    """
    path = Path(path)
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} is not JSON ({error}); give the report.json that a run wrote") from error
    _check_schema(loaded, path)
    report: Report = _decode(loaded, Report, "report")
    return report


def _check_schema(loaded: Any, path: Path) -> None:
    schema = loaded.get("schema") if isinstance(loaded, dict) else None
    if schema != SCHEMA:
        seen = f"schema {schema!r}" if schema is not None else "no `schema` field"
        raise ReportError(
            f"{path} has {seen}, but this vestige reads {SCHEMA!r}; "
            "write the report again with `vestige report`, or use the version of vestige that wrote it"
        )


def _encode(value: Any, where: str) -> Any:
    match value:
        case None | bool() | str() | int():
            return value
        case float() | np.floating():
            return _encode_float(float(value))
        case np.bool_() | np.integer():
            return value.item()
        case np.ndarray():
            return _encode(value.tolist(), where)
        case Mapping():
            return {str(key): _encode(item, f"{where}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if is_dataclass(value):
        return {field.name: _encode(getattr(value, field.name), f"{where}.{field.name}") for field in fields(value)}
    raise TypeError(
        f"`{where}` is {type(value).__name__}, which JSON cannot hold; "
        "give text, numbers, booleans, None, or lists and dicts of these"
    )


def _encode_float(value: float) -> float | str | None:
    if isnan(value):
        return None
    if isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def _decode(value: Any, kind: Any, where: str) -> Any:
    """Build a value of type `kind`; the types in the dataclasses are the schema, so there is no second list of it."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _decode_dataclass(value, kind, where)
    if origin in (Union, types.UnionType):
        return None if value is None else _decode(value, args[0], where)
    if origin is np.ndarray:
        return _decode_array(value, where)
    if origin is tuple:
        return _decode_tuple(value, args, where)
    if origin is Mapping:
        items = _expect(value, dict, "an object", where).items()
        return {key: _decode(item, args[1], f"{where}.{key}") for key, item in items}
    return _decode_scalar(value, kind, where)


def _decode_dataclass(value: Any, kind: Any, where: str) -> Any:
    _expect(value, dict, "an object", where)
    hints = get_type_hints(kind)
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    absent = [name for name in required if name not in value]
    if absent:
        raise ReportError(f"`{where}` lacks {', '.join(absent)}; every {kind.__name__} has them")
    names = [field.name for field in fields(kind) if field.name in value]
    return kind(**{name: _decode(value[name], hints[name], f"{where}.{name}") for name in names})


def _decode_tuple(value: Any, args: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    _expect(value, list, "a list", where)
    if args[-1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        raise ReportError(f"`{where}` has {len(value)} values; {len(args)} are allowed")
    return tuple(_decode(item, kind, f"{where}[{i}]") for i, (item, kind) in enumerate(zip(value, args, strict=True)))


def _decode_array(value: Any, where: str) -> Any:
    def floats(item: Any) -> Any:
        return [floats(part) for part in item] if isinstance(item, list) else _decode_scalar(item, float, where)

    rows = floats(_expect(value, list, "a list", where))
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ReportError(f"`{where}` is not a rectangular array of numbers ({error})") from error


def _decode_scalar(value: Any, kind: Any, where: str) -> Any:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ReportError(f"`{where}` is {value!r}; allowed are {', '.join(map(repr, get_args(kind)))}")
        return value
    if kind is float:
        return _decode_float(value, where)
    if kind is int and isinstance(value, bool):
        raise ReportError(f"`{where}` is {value!r}; a whole number is allowed")
    return _expect(value, kind, {str: "text", int: "a whole number", bool: "true or false"}[kind], where)


def _decode_float(value: Any, where: str) -> float:
    special = {None: nan, "inf": inf, "-inf": -inf}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if value is None or (isinstance(value, str) and value in special):
        return special[value]
    raise ReportError(f'`{where}` is {value!r}; a number, null (undefined), "inf" or "-inf" is allowed')


def _expect(value: Any, kind: type, words: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise ReportError(f"`{where}` is {value!r:.60}; {words} is allowed")
    return value
