"""What people look at: the report as text, as one HTML page, as Markdown and as JSON."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vestige.report.html import render
    from vestige.report.json import ReportError, read_json, to_json, write_json
    from vestige.report.markdown import to_markdown, write_markdown
    from vestige.report.model import Card, Report, Row
    from vestige.report.table_report import report_of_table
    from vestige.report.terminal import print_report

__all__ = [
    "Card",
    "Report",
    "ReportError",
    "Row",
    "print_report",
    "read_json",
    "render",
    "report_of_table",
    "to_json",
    "to_markdown",
    "write_json",
    "write_markdown",
]

_HOMES = {
    "Card": "model",
    "Report": "model",
    "ReportError": "json",
    "Row": "model",
    "print_report": "terminal",
    "read_json": "json",
    "render": "html",
    "report_of_table": "table_report",
    "to_json": "json",
    "to_markdown": "markdown",
    "write_json": "json",
    "write_markdown": "markdown",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"vestige.report has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"vestige.report.{_HOMES[name]}"), name)
