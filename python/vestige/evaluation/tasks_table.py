"""Tasks and what they will take, for a terminal; and the lines that give them to SLURM."""

import shlex
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from vestige.evaluation.costs import Cost
from vestige.evaluation.scores import Costs
from vestige.report.numbers import size

PLAIN_WIDTH = 100


def print_costs(costs: Costs, console: Console | None = None) -> None:
    """Print one row a task, and the sums."""
    console = console or Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)
    table = Table("task", "phase", "model", box=box.SIMPLE)
    for name in ("forward passes", "disk", "memory", "about"):
        table.add_column(name, justify="right")
    for task, cost in costs:
        numbers = _numbers(cost) if cost.disk else ("done", "", "", "")
        table.add_row(str(task.number), str(task.phase), task.checkpoint.name, *numbers)
    table.add_section()
    table.add_row("", "", "all", *_numbers(sum((cost for _, cost in costs), Cost())))
    console.print(table)
    console.print(
        "Passes, disk and memory are counted from data and configurations; memory is that of weights and rows of one "
        "worker. The time is a rough estimate for one worker on one core of this machine: a GPU is far faster."
    )


def sbatch_lines(costs: Costs, folder: Path) -> list[str]:
    """One SLURM array a phase with work left, the second after the first."""
    lines: list[str] = []
    command = shlex.quote(f"vestige work {shlex.quote(str(folder))} --task $SLURM_ARRAY_TASK_ID")
    for phase in (1, 2):
        numbers = [task.number for task, cost in costs if task.phase == phase and cost.disk]
        if numbers:
            after = "--dependency=afterok:$first " if lines else ""
            lines.append(f"sbatch --parsable {after}--array={_ranges(numbers)} --gpus=1 --wrap {command}")
    return lines if len(lines) < 2 else [f"first=$({lines[0]})", lines[1]]


def _numbers(cost: Cost) -> tuple[str, str, str, str]:
    return f"{cost.passes:,}", size(cost.disk), size(cost.memory), _time(cost.seconds)


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def _ranges(numbers: list[int]) -> str:
    """As SLURM writes them.

    >>> _ranges([0, 1, 2, 5])
    '0-2,5'
    """
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return ",".join("-".join(map(str, ends)) for ends in found)
