"""Outputs that were recorded elsewhere as a subject: texts of an API, images of a generator, and no model to run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.data.examples import Example
from vestige.data.images import image_files
from vestige.data.rows import DataError, Row, file_rows
from vestige.metrics import METRICS, estimate
from vestige.metrics.text import rouge
from vestige.scoring.images import open_image
from vestige.stats.estimate import Estimate

Columns = dict[str, NDArray[Any]]

RECORDED = 1
"""Version of the columns that are made of recorded texts."""

_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


@dataclass(frozen=True)
class Recorded:
    """What recorded outputs tell.

    Attributes:
        scores: metric to its estimate, for those that such outputs allow.
        lacking: every other metric to what it would need.
    """

    scores: Mapping[str, Estimate]
    lacking: Mapping[str, str]

    def __str__(self) -> str:
        return (
            f"Recorded outputs allow {len(self.scores)} metrics ({', '.join(self.scores) or 'none'}). The other "
            f"{len(self.lacking)} read likelihoods, hidden states, weights or other models' scores, which outputs do "
            f"not hold ({', '.join(list(self.lacking)[:6])} ...); without likelihoods there is no distance to a "
            "retrained model, so no verdict either."
        )


def read_texts(path: str | Path, examples: Sequence[Example]) -> tuple[tuple[str, ...], ...]:
    """The recorded answers to each example, in the examples' order.

    Args:
        path: `.jsonl`, `.json`, `.csv` or `.parquet`; a row has `id` (default: its number), `samples` (a list of texts,
            or one), and may have `prompt`, which must then be the example's.
        examples: what was asked.

    Raises:
        DataError: if a row is of no example, another prompt's, or without samples, or an example has none or two rows.
    """
    known, found = {example.id: example for example in examples}, dict[str, tuple[str, ...]]()
    for row in file_rows(Path(path)):
        example = known.get(row.name("id") or row.number)
        if example is None:
            raise row.error("id", "must be the id of an example")
        if row.text("prompt") and row.text("prompt").strip() != example.prompt.strip():
            raise row.error("prompt", f"must be that of example {example.id!r}, {example.prompt!r:.80}")
        if example.id in found:
            raise row.error("id", "occurs twice; put all samples of a prompt into one row")
        found[example.id] = _samples(row)
    return _complete(found, examples, Path(path))


def recorded_file(folder: Path, split: str) -> Path | None:
    """The file with a split's answers in a folder of recorded outputs, `SPLIT.jsonl` (.json, .csv, .parquet)."""
    return next((path for suffix in _SUFFIXES if (path := folder / f"{split}{suffix}").is_file()), None)


def recorded_columns(folder: Path, split: str, examples: Sequence[Example], where: slice) -> Columns:
    """`text_columns` of some of a split's examples, from a folder of recorded outputs.

    Args:
        folder: as `recorded_file` takes it.
        split: one that the folder has.
        examples: all of the split.
        where: which of them.

    Raises:
        DataError: as `read_texts`, or if the split is not there.
    """
    path = recorded_file(folder, split)
    if path is None:
        raise DataError(f"{folder} has no answers of the split {split!r} ({split}.jsonl)")
    return text_columns(read_texts(path, examples)[where], examples[where])


def read_images(folder: str | Path, examples: Sequence[Example]) -> tuple[tuple[Path, ...], ...]:
    """The recorded images of each example, in the examples' order: `ID.png` (or .jpg ...), or all in the folder `ID/`.

    Raises:
        DataError: if the folder is not there, an example has no image, or an image belongs to none.
    """
    folder, found = Path(folder), dict[str, tuple[Path, ...]]()
    if not folder.is_dir():
        raise DataError(f"no folder of images at {folder}")
    for path in image_files(folder):
        parts = path.relative_to(folder).parts
        name = parts[0] if len(parts) > 1 else path.stem
        found[name] = (*found.get(name, ()), path)
    if unknown := sorted(found.keys() - {example.id for example in examples}):
        raise DataError(f"{folder} has images of {unknown[0]!r}, which is the id of no example")
    return _complete(found, examples, folder)


def text_columns(samples: Sequence[Sequence[str]], examples: Sequence[Example]) -> Columns:
    """Columns of a store from recorded answers.

    Args:
        samples: of each example, at least one; the first is taken where one answer is asked for.
        examples: what was asked, with right answers.

    Returns:
        `text` (n_bytes,) uint8 and `text_offsets` (n_examples + 1,) int64, the first answers in UTF-8; `sample_text`
        and `sample_text_offsets` (n_samples + 1,), all of them, with `sample_offsets` (n_examples + 1,), where each
        example's samples begin; and where all have the same number of two or more, `leakage` (n_examples, n_draws)
        float64, ROUGE-L recall of the right answer, within [0, 1].
    """
    text, ends = _packed([answers[0] for answers in samples])
    every, every_end = _packed([answer for answers in samples for answer in answers])
    counts = [len(answers) for answers in samples]
    columns: Columns = {"text": text, "text_offsets": ends, "sample_text": every, "sample_text_offsets": every_end}
    columns["sample_offsets"] = np.cumsum([0, *counts])
    if counts[0] > 1 and len(set(counts)) == 1:
        right = [example.answer for example in examples for _ in range(counts[0])]
        leaked = rouge([answer for answers in samples for answer in answers], right)
        columns["leakage"] = leaked.reshape(len(samples), counts[0])
    return columns


def image_columns(
    images: Sequence[Sequence[Any]], features: Callable[[list[Any]], NDArray[Any]], *, batch_size: int = 64
) -> Columns:
    """Columns of a store from recorded images, or from those that `generate` of a diffusion model returned.

    Args:
        images: of each example, at least one: paths, encoded bytes, pictures of PIL, or arrays of uint8.
        features: a feature extractor, from a list of RGB pictures to (n_pictures, n_features); an Inception's last
            pooling layer makes the Fréchet distance the published FID.
        batch_size: pictures a call.

    Returns:
        `features` (n_images, n_features) float32, and `image_offsets` (n_examples + 1,) int64, where each example's
        images begin.
    """
    flat = [image for some in images for image in some]
    batches = (flat[begin : begin + batch_size] for begin in range(0, len(flat), batch_size))
    found = [np.asarray(features([open_image(image) for image in batch]), np.float32) for batch in batches]
    return {"features": np.concatenate(found), "image_offsets": np.cumsum([0, *map(len, images)])}


def measure(
    unlearned: Mapping[str, Columns],
    examples: Mapping[str, Sequence[Example]],
    *,
    retrained: Mapping[str, Columns] | None = None,
    data: Mapping[str, Columns] | None = None,
) -> Recorded:
    """Every metric that recorded outputs allow, with its interval over the examples' clusters.

    Args:
        unlearned: split to columns, as `text_columns` and `image_columns` make them.
        examples: split to what was asked.
        retrained: likewise of a retrained model, for metrics that need one.
        data: further columns of the data, such as `real` to `features` of real images.
    """
    clusters = sorted({example.cluster for split in examples.values() for example in split})
    number = {name: i for i, name in enumerate(clusters)}
    known: dict[str, dict[str, Columns]] = {"unlearned": dict(unlearned), "retrained": dict(retrained or {})}
    known["data"] = {split: dict(columns) for split, columns in (data or {}).items()}
    for split, some in examples.items():
        own = known["data"].setdefault(split, {})
        own["answer"] = np.array([example.answer.strip() for example in some])
        own["cluster"] = np.array([number[example.cluster] for example in some], np.int64)
    arrays = {f"{m}.{s}.{c}": v for m, splits in known.items() for s, cs in splits.items() for c, v in cs.items()}
    lacking = {metric.name: absent for metric in METRICS if (absent := metric.absent(arrays))}
    scores = {metric.name: estimate(metric, arrays) for metric in METRICS if metric.name not in lacking}
    return Recorded(scores, lacking)


def _samples(row: Row) -> tuple[str, ...]:
    """Texts, which may be empty: a model that says nothing says that."""
    value = row.values.get("samples")
    samples = [value] if isinstance(value, str) else value
    if not isinstance(samples, list | tuple) or not samples or not all(isinstance(text, str) for text in samples):
        raise row.error("samples", "must be a text or a list of texts")
    return tuple(samples)


def _complete(found: Mapping[str, tuple[Any, ...]], examples: Sequence[Example], path: Path) -> tuple[Any, ...]:
    if absent := [example.id for example in examples if example.id not in found]:
        raise DataError(f"{path} has no output for {len(absent)} of {len(examples)} examples, first {absent[0]!r}")
    return tuple(found[example.id] for example in examples)


def _packed(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    raw = [text.encode() for text in texts]
    return np.frombuffer(b"".join(raw), np.uint8), np.cumsum([0, *map(len, raw)])
