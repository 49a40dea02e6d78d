"""What was to be forgotten, asked otherwise: splits that only a few models are asked."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vestige.data.examples import DataError, Example, from_rows
from vestige.data.rows import Row, file_rows
from vestige.evaluation.config import Config, Interventions
from vestige.interventions import probes

Examples = tuple[Example, ...]

_OF_THE_DATA = {"paraphrase": "paraphrase", "reintroduction": "reintroduced"}
"""Probes that are a split of the data where the data have it."""


def probe_splits(wanted: Interventions | None) -> dict[str, str]:
    """Name of each probe to the split that holds its examples."""
    names = wanted.probes if wanted else ()
    return {name: _OF_THE_DATA.get(name) or "probe-" + re.sub(r"[^\w@+.-]+", "-", name) for name in names}


def probe_examples(config: Config, examples: Mapping[str, Examples]) -> dict[str, Examples]:
    """The splits of the probes that the data do not have already.

    Args:
        config: the run.
        examples: split to its examples.

    Raises:
        DataError: if a probe cannot be made of these examples, or its file cannot be used.
    """
    wanted = config.interventions
    made = {name: split for name, split in probe_splits(wanted).items() if split not in examples}
    if wanted is None or not made:
        return {}
    return {split: _asked(name, wanted, examples["forget"], config.scoring.seed) for name, split in made.items()}


def asked_about(forget: Examples, probe: Examples) -> NDArray[np.bool_]:
    """Which forget examples a probe is about: those with its ids, else those of its clusters, else all."""
    ids, clusters = {example.id for example in probe}, {example.cluster for example in probe}
    if ids <= {example.id for example in forget}:
        return np.array([example.id in ids for example in forget])
    shared = np.array([example.cluster in clusters for example in forget])
    return shared if shared.any() else np.ones(len(forget), np.bool_)


def _asked(name: str, wanted: Interventions, forget: Examples, seed: int) -> Examples:
    if name in wanted.rewritten:
        return _read(Path(wanted.rewritten[name]), forget)
    if name == "paraphrase":
        raise DataError(
            "the probe paraphrase needs the forget questions in other words: `data.paraphrase`, or a file of "
            "`interventions.rewritten`"
        )
    try:
        return _built(name, wanted, forget, seed)
    except ValueError as error:
        raise DataError(f"the probe {name} cannot be made: {error}") from None


def _built(name: str, wanted: Interventions, forget: Examples, seed: int) -> Examples:
    if name == "multiple choice":
        return probes.multiple_choice(forget, seed=seed)
    if name == "in context":
        return probes.in_context(forget, forget, seed=seed)
    if name == "reintroduction":
        return probes.reintroduced(forget)
    return probes.from_template(forget, wanted.templates.get(name) or probes.TEMPLATES[name])


def _read(path: Path, forget: Examples) -> Examples:
    """Examples of a file; what a row does not say is as in the forget example that its `of`, or its id, names."""
    known = {example.id: example for example in forget}
    return from_rows((_whole(row, known) for row in file_rows(path)), str(path), path.stem)


def _whole(row: Row, known: Mapping[str, Example]) -> Row:
    about = known.get(row.name("of") or row.name("id"))
    if about is None and row.name("of"):
        raise row.error("of", "must be the id of a forget example")
    fields = ("prompt", "answer", "cluster", "image", "system")
    inherited = {name: getattr(about, name) for name in fields} if about else {}
    return row.given(**(inherited | {name: value for name, value in row.values.items() if value not in (None, "")}))
