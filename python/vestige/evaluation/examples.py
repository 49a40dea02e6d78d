"""The examples of a run, from the files or the published layout that its configuration names."""

from vestige.data.examples import DataError, Example, read_examples
from vestige.data.layouts import read_layout
from vestige.evaluation.config import Data, further_splits
from vestige.metrics.columns import SPLITS


def examples_of(data: Data) -> dict[str, tuple[Example, ...]]:
    """Split to its examples; a split with a path of its own is read from there, the others from the layout.

    Raises:
        DataError: if a file or the layout cannot be used, or there is nothing to forget or to retain.
    """
    paths = {**{split: getattr(data, split) for split in SPLITS}, **data.further}
    given = {split: read_examples(path) for split, path in paths.items() if path is not None}
    if data.layout is None or data.folder is None:
        return given
    published = read_layout(data.layout, data.folder, part=data.part or "", prompt=data.prompt or "")
    names = (*SPLITS, *further_splits())
    found = {split: examples for split in names if (examples := given.get(split) or published.get(split))}
    for split in ("forget", "retain"):
        if split not in found:
            raise DataError(f"{data.layout} in {data.folder} has no {split} split: name a file of your own for it")
    return found
