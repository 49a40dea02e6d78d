"""Examples of a split: questions with answers, images with labels, read whole and checked before a model is loaded."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vestige.data.rows import DataError, Row, file_rows, object_rows

__all__ = ["DataError", "Example", "digest", "examples_from", "from_rows", "read_examples", "read_splits"]


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with the answer that is scored after it, or one image with its label.

    Attributes:
        id: unique within its split.
        prompt: text before the answer; never scored.
        answer: text that is scored; begins with a space where one belongs.
        cluster: what belongs together and is resampled together, for example the author.
        image: path of its image, or the encoded bytes (PNG, JPEG); empty where there is none.
        label: class by name or index, or the number that is to be predicted; None where there is none.
        paraphrases: the answer in other words, each scored after the same prompt.
        perturbed_answers: wrong answers of the same form.
        options: all answers of a multiple-choice question, the right one among them.
        system: the system turn where a chat template is used.
        rewordings: the prompt in other words, each asked for the same answer.
    """

    id: str
    prompt: str
    answer: str
    cluster: str
    image: str | bytes = ""
    label: str | float | None = None
    paraphrases: tuple[str, ...] = ()
    perturbed_answers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    system: str = ""
    rewordings: tuple[str, ...] = ()


def read_examples(path: str | Path) -> tuple[Example, ...]:
    """The examples of one split, in the order of the file.

    Args:
        path: a `.jsonl`, `.json` (a list of objects), `.csv` or `.parquet` file, or a folder of images whose labels are
            the names of its subfolders or stand in its `metadata.jsonl` or `metadata.csv` by `file_name`. A file with
            another ending is read as JSON lines.

    Returns:
        Examples with the fields of `Example`. Needed are a `prompt` or an `image`, and something that is scored: an
        `answer`, a `label`, or an image with a prompt. `id` is the row's number (a folder's image: its path), and
        `cluster` (or `group`) one of its own, where they are not given.

    Raises:
        DataError: if the file is missing, empty or damaged, a field is missing or of the wrong type, an image is not
            there, or an id occurs twice; naming file, line and field.
    """
    path = Path(path)
    if path.is_dir():
        from vestige.data.images import folder_rows

        return from_rows(folder_rows(path), str(path), path.name)
    return from_rows(file_rows(path), str(path), path.stem)


def read_splits(path: str | Path) -> dict[str, tuple[Example, ...]]:
    """The examples of a file whose rows say in a field `split` where they belong.

    Args:
        path: a file as `read_examples` takes it.

    Returns:
        Split to its examples, both in the order of the file.

    Raises:
        DataError: if a row has no split, and as `read_examples` does.
    """
    path, rows = Path(path), dict[str, list[Row]]()
    for row in file_rows(path):
        name = row.values.get("split")
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{row.where}: `split` must name a split such as forget or retain, found {name!r}")
        rows.setdefault(name.strip(), []).append(row)
    if not rows:
        raise DataError(f"{path} holds no examples")
    return {name: from_rows(split, f"{path}, split {name}", path.stem) for name, split in rows.items()}


def examples_from(source: Iterable[Mapping[str, Any]], name: str = "data") -> tuple[Example, ...]:
    """The examples of an object in memory: a `datasets.Dataset`, or any iterable of rows.

    Args:
        source: rows as mappings with the fields of `read_examples`; images may be paths, encoded bytes, pictures of
            PIL, or mappings with `bytes` or `path` as `datasets` keeps them.
        name: how messages call it.

    Raises:
        DataError: as `read_examples`, naming row and field.

    >>> examples_from([{"prompt": "Where?", "answer": " In Lyon."}])[0].answer
    ' In Lyon.'
    """
    return from_rows(object_rows(source, name), name, name)


def digest(examples: tuple[Example, ...]) -> str:
    """A short fingerprint of what the examples say, in order; of an image its content counts, not its place."""
    text = json.dumps([(e.id, e.prompt, e.answer, e.cluster, *_further(e)) for e in examples])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _further(example: Example) -> list[dict[str, Any]]:
    """What is set of the fields that an example need not have; nothing where none is."""
    names = ("paraphrases", "perturbed_answers", "options", "label", "system", "rewordings")
    found = {name: value for name in names if (value := getattr(example, name)) not in ((), "", None)}
    if example.image:
        content = example.image if isinstance(example.image, bytes) else Path(example.image).read_bytes()
        found["image"] = hashlib.blake2b(content, digest_size=16).hexdigest()
    return [found] if found else []


def from_rows(rows: Iterable[Row], where: str, stem: str) -> tuple[Example, ...]:
    """The examples of rows that have an example's fields.

    Args:
        rows: the rows.
        where: how messages call them.
        stem: what clusters of examples that name none are called after.

    Raises:
        DataError: as `read_examples`.
    """
    examples = tuple(_example(row, stem) for row in rows)
    if not examples:
        raise DataError(f"{where} holds no examples; a split needs at least one")
    _refuse_repeated_ids(where, examples)
    return examples


def _example(row: Row, stem: str) -> Example:
    name = row.name("id") or row.number
    example = Example(
        id=name,
        prompt=row.text("prompt"),
        answer=row.text("answer"),
        cluster=row.name("cluster") or row.name("group") or f"{stem}:{name}",
        image=row.image("image"),
        label=row.label("label"),
        paraphrases=row.texts("paraphrases"),
        perturbed_answers=row.texts("perturbed_answers"),
        options=row.texts("options"),
        system=row.text("system"),
        rewordings=row.texts("rewordings"),
    )
    _refuse_incomplete(row, example)
    return example


def _refuse_incomplete(row: Row, example: Example) -> None:
    pictured, labelled = bool(example.image), example.label is not None
    if not (example.prompt.strip() or pictured):
        raise row.error("prompt", "must be non-empty text (or give an `image`)")
    if not (example.answer.strip() or labelled or (pictured and example.prompt.strip())):
        raise row.error("answer", "must be non-empty text (or give a `label`)")
    options = [option.strip() for option in example.options]
    if options and example.answer and example.answer.strip() not in options:
        raise row.error("options", f"must contain the answer {example.answer!r}")


def _refuse_repeated_ids(where: str, examples: tuple[Example, ...]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DataError(f"{where}: id {example.id!r} occurs twice; ids must be unique within a split")
        seen.add(example.id)
