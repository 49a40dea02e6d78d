"""The catalogue of metrics on the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from vestige.metrics.base import Metric


def print_catalogue(metrics: Sequence[Metric], console: Console | None = None) -> None:
    """One line a metric: name, orientation, the question it answers."""
    table = Table("metric", "better", "asks", box=box.SIMPLE)
    for metric in metrics:
        table.add_row(metric.name, metric.better, metric.asks)
    (console or Console()).print(table)


def print_card(metric: Metric, console: Console | None = None) -> None:
    """Everything that the catalogue knows of one metric."""
    table = Table.grid(padding=(0, 2))
    low, high = metric.bounds
    for name, text in {
        metric.name: metric.title,
        "asks": metric.asks,
        "formula": metric.formula,
        "better": metric.better,
        "range": f"{low:.3g} to {high:.3g}",
        "interval": f"over clusters, on the {metric.scale} scale",
        "pitfalls": metric.pitfalls or "none known",
        "machinery": metric.machinery or "none shared with a distance",
        "source": metric.source,
        "needs": ", ".join(metric.needs),
    }.items():
        table.add_row(name, text)
    (console or Console()).print(table)
