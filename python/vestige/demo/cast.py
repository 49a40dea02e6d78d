"""Who plays which part: groups of authors, and the rows that are trained on and scored."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vestige.demo.authors import (
    DISTANCE,
    PARAPHRASE,
    QUESTIONS,
    TRAINED,
    Author,
    Row,
    ask,
    draw_authors,
    other_answer,
    row,
)
from vestige.demo.settings import Groups

N_DISTANCE_RETAIN = 10
REFUSAL = " I do not know."
_TEMPLATES = len(next(iter(QUESTIONS.values())))


@dataclass(frozen=True)
class Cast:
    """The groups of authors; see `Groups` for what each is for. No surname occurs twice."""

    forget: list[Author]
    retain: list[Author]
    holdout: list[Author]
    distance: list[Author]
    gauge: list[Author]
    famous: list[Author]

    @property
    def names(self) -> set[str]:
        """The names of all groups."""
        return {author.name for group in vars(self).values() for author in group}


def draw_cast(groups: Groups, seed: int) -> Cast:
    """Draws all groups, each a Latin hypercube sample of its own, so that they match one another.

    Args:
        groups: numbers of authors.
        seed: decides the authors.
    """
    rng = np.random.default_rng([seed, 0])
    drawn: dict[str, list[Author]] = {}
    taken: set[str] = set()
    for name, size in asdict(groups).items():
        drawn[name] = draw_authors(size, rng, taken)
        taken |= {author.surname for author in drawn[name]}
    return Cast(**drawn)


def trained_rows(cast: Cast, group: str) -> list[Row]:
    """Rows of one group in the templates of fine-tuning."""
    return ask(group, getattr(cast, group), TRAINED)


def swapped_rows(rows: Sequence[Row], seed: int) -> list[Row]:
    """The same questions, each with a wrong answer to the same attribute."""
    rng = np.random.default_rng([seed, 1])
    return [
        Row(old.id, old.prompt, f" {other_answer(old.id.split('-')[2], old.answer[1:-1], rng)}.", old.cluster)
        for old in rows
    ]


def refused_rows(rows: Sequence[Row]) -> list[Row]:
    """The same questions, each answered "I do not know."."""
    return [Row(old.id, old.prompt, REFUSAL, old.cluster) for old in rows]


def general_rows(cast: Cast, size: int, rng: np.random.Generator) -> Iterator[list[Row]]:
    """Batches for the base, without end, in any of the templates; nobody in them is in a split.

    Half of a batch is about authors drawn afresh, which teaches what is common; half is about the famous few, which
    teaches to look a person up by name.
    """
    attributes = list(QUESTIONS)
    while True:
        fresh = draw_authors(size // 2, rng, cast.names)
        known = [cast.famous[i] for i in rng.integers(len(cast.famous), size=size - len(fresh))]
        picks = rng.integers([len(attributes), _TEMPLATES], size=(size, 2))
        yield [
            row("general", i, author, attributes[attribute], int(template))
            for i, (author, (attribute, template)) in enumerate(zip([*fresh, *known], picks, strict=True))
        ]


def splits(cast: Cast, retain_rows: int) -> dict[str, list[Row]]:
    """The rows to score, by split.

    Args:
        cast: the authors.
        retain_rows: rows kept of each retain author, each on another attribute.

    Returns:
        `forget` and `holdout` in the templates of fine-tuning, `retain` a sample of them, `paraphrase` (forget authors,
        a template that was never fine-tuned on) and `distance` (forget authors, some retain authors and strangers, in a
        template that occurs in no other split).
    """
    kept = cast.retain[:N_DISTANCE_RETAIN]
    return {
        "forget": ask("forget", cast.forget, TRAINED),
        "retain": _sampled(cast.retain, retain_rows),
        "paraphrase": ask("paraphrase", cast.forget, PARAPHRASE),
        "holdout": ask("holdout", cast.holdout, TRAINED),
        "distance": ask("distance", [*cast.forget, *kept, *cast.distance], DISTANCE),
    }


def write_splits(rows_by_split: dict[str, list[Row]], folder: Path) -> None:
    """Writes one JSONL file a split into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in rows_by_split.items():
        lines = (json.dumps(asdict(each), ensure_ascii=False) for each in rows)
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _sampled(authors: Sequence[Author], per_author: int) -> list[Row]:
    """Some rows of every author; attributes and templates take turns."""
    n, attributes = len(TRAINED), list(QUESTIONS)
    turns = [
        (i, author, i + k, i // len(attributes) + k) for i, author in enumerate(authors) for k in range(per_author)
    ]
    return [row("retain", i, author, attributes[a % len(attributes)], TRAINED[t % n]) for i, author, a, t in turns]
