"""Published benchmarks as their authors lay out the files: a folder in, splits of examples out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vestige.data.examples import DataError, Example, from_rows, read_splits
from vestige.data.layouts import mllmu_bench, mufac, muse, rwku, tofu, unlearn_canvas, unlok_vqa, wmdp
from vestige.data.rows import Row

Splits = Mapping[str, list[Row]]


@dataclass(frozen=True)
class Layout:
    """How the files of a benchmark are read.

    Attributes:
        read: from the folder, the part that is forgotten and the wording of questions to rows by split.
        part: the part if none is named.
        prompt: the wording if none is given; `{question}` stands for the question.
    """

    read: Callable[[Path, str, str], Splits]
    part: str = ""
    prompt: str = "{question}"


LAYOUTS: dict[str, Layout] = {
    "tofu": Layout(tofu.read, "forget10", "Question: {question}\nAnswer:"),
    "muse": Layout(muse.read, "knowmem", "Question: {question}\nAnswer:"),
    "rwku": Layout(rwku.read),
    "wmdp": Layout(wmdp.read, "bio"),
    "mllmu-bench": Layout(mllmu_bench.read, "5"),
    "unlok-vqa": Layout(unlok_vqa.read, "", "Answer the question in one word\n Question: {question} Answer:"),
    "unlearn-canvas": Layout(unlearn_canvas.read, "Van_Gogh"),
    "mufac": Layout(mufac.read, "1500"),
}
"""Layouts by the name that a configuration gives them; beside them `one-file`, a file with a field `split`."""


def read_layout(name: str, folder: str | Path, *, part: str = "", prompt: str = "") -> dict[str, tuple[Example, ...]]:
    """The splits of a published benchmark that lies in a folder.

    Args:
        name: a name of `LAYOUTS`, or `one-file`, whose `folder` is a file.
        folder: where the benchmark's files lie, as its authors lay them out.
        part: what is forgotten, as the layout's module says; default its own.
        prompt: wording of a question, with `{question}` where it belongs; default the benchmark's.

    Returns:
        Split to its examples: `forget` always, `retain`, `paraphrase` and `holdout` where the benchmark has them, and
        further ones under its own names.

    Raises:
        DataError: if the layout is unknown, files are missing or damaged, or the wording has no place for the question.
    """
    if name == "one-file":
        return read_splits(folder)
    if name not in LAYOUTS:
        raise DataError(f"unknown layout {name!r}: it must be one of {', '.join([*LAYOUTS, 'one-file'])}")
    layout, folder = LAYOUTS[name], Path(folder)
    if not folder.is_dir():
        raise DataError(f"no folder at {folder} with the files of {name}")
    if "{question}" not in (prompt or layout.prompt):
        raise DataError(f"the wording {prompt!r} has no place for the question: write {{question}} where it belongs")
    splits = layout.read(folder, part or layout.part, prompt or layout.prompt)
    return {split: from_rows(rows, f"{folder}, split {split}", split) for split, rows in splits.items() if rows}
