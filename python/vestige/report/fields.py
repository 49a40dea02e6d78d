"""The fields of `report.json` as a document, read from the types and docstrings of the dataclasses themselves."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import getdoc
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from vestige.report.model import SCHEMA, Report

_PLAIN = {str: "text", float: "number", int: "whole number", bool: "true or false", Any: "any", type(None): "null"}


def fields_markdown(root: Any = Report) -> str:
    """Every dataclass that a report holds, each with its fields, their types and meanings.

    Args:
        root: the dataclass to begin with.

    Returns:
        Markdown, one heading a dataclass, in the order in which they are met.

    Source: the docstrings of the dataclasses.
    """
    parts = [
        f"# Every field of `report.json`, schema `{SCHEMA}`\n\n"
        "Made from the code by `make docs`. The rules (undefined numbers, versions) are in [its description]"
        "(report-schema.md); how to read the analysis of a table is in [reliability.md](reliability.md).\n"
    ]
    waiting, seen = [root], {root}
    while waiting:
        kind = waiting.pop(0)
        parts.append(_section(kind))
        for inner in _inner(get_type_hints(kind).values()):
            if inner not in seen:
                seen.add(inner)
                waiting.append(inner)
    return "\n".join(parts)


def _inner(kinds: Any) -> list[Any]:
    """Dataclasses within types, in order."""
    found: list[Any] = []
    for kind in kinds:
        found += [kind] if is_dataclass(kind) else _inner(get_args(kind)) if get_origin(kind) is not Literal else []
    return found


def _section(kind: Any) -> str:
    text, hints, meanings = getdoc(kind) or "", get_type_hints(kind), attributes(kind)
    lines = [
        f"| `{f.name}` | {spoken(hints[f.name])}{_optional(f)} | {meanings.get(f.name, '')} |" for f in fields(kind)
    ]
    heads = "| field | type | meaning |\n| --- | --- | --- |"
    return f"## {kind.__name__}\n\n{text.splitlines()[0]}\n\n{heads}\n" + "\n".join(lines) + "\n"


def attributes(kind: Any) -> dict[str, str]:
    """Field to its meaning, from the "Attributes:" of a docstring in Google's form.

    >>> attributes(Report)["title"]
    'headline.'
    """
    listed = (getdoc(kind) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", listed, re.M)
    return {name: " ".join(meaning.split()).replace("|", "\\|") for name, meaning in found}


def spoken(kind: Any) -> str:
    """A type in words.

    >>> spoken(tuple[str, ...]), spoken(float | None), spoken(Mapping[str, tuple[float, float]])
    ('list of text', 'number or null', 'object: text to list of number and number')
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if is_dataclass(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"  # type: ignore[union-attr]
    if origin is Literal:
        return ", ".join(f'`"{word}"`' for word in args)
    if origin in (Union, UnionType):
        return " or ".join(spoken(part) for part in args)
    if origin is tuple:
        return f"list of {spoken(args[0]) if args[-1] is Ellipsis else ' and '.join(map(spoken, args))}"
    if origin is np.ndarray:
        return "list, or list of rows, of numbers"
    if origin is Mapping:
        return f"object: {spoken(args[0])} to {spoken(args[1])}"
    return str(kind)


def _optional(field: Field[Any]) -> str:
    return "" if field.default is MISSING and field.default_factory is MISSING else ", optional"
