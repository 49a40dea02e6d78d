"""Where concepts are written in a model: value vectors of its MLPs, as ConceptVectors names them."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vestige.data.rows import DataError, Row, file_rows


@dataclass(frozen=True, slots=True)
class Concept:
    """One value vector that writes a concept.

    Attributes:
        concept: name; the vectors of one concept are resampled together.
        layer: of the model's blocks, from 0.
        index: which of the inner units of this block's MLP, from 0: the column of the down-projection.
    """

    concept: str
    layer: int
    index: int

    @property
    def settings(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def read_concepts(path: str | Path) -> tuple[Concept, ...]:
    """The value vectors that a file names.

    Args:
        path: rows with `concept`, `layer` and `index`, as JSON lines, JSON, CSV or Parquet.

    Raises:
        DataError: if the file is missing or empty, a field is missing or no whole number of at least 0, or a vector is
            named twice; naming file, line and field.
    """
    rows = list(file_rows(Path(path)))
    if not rows:
        raise DataError(f"{path} names no concepts; a row has `concept`, `layer` and `index`")
    concepts: dict[tuple[int, int], Concept] = {}
    for row in rows:
        concept = Concept(row.name("concept"), _place(row, "layer"), _place(row, "index"))
        if not concept.concept:
            raise row.error("concept", "must name a concept")
        if (concept.layer, concept.index) in concepts:
            raise row.error("index", f"names a vector of layer {concept.layer} a second time")
        concepts[concept.layer, concept.index] = concept
    return tuple(concepts.values())


def _place(row: Row, name: str) -> int:
    text = row.name(name)
    if not text.isdecimal():
        raise row.error(name, "must be a whole number of at least 0")
    return int(text)
