"""How large things will be, from a checkpoint's files and the data alone: no weights are loaded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.data.examples import Example
from vestige.scoring.checkpoints import base_folder, tokenizer_folder
from vestige.scoring.subject import weight_bytes
from vestige.scoring.units import COMPARED

SHARD_BYTES = 256 << 20
"""No column of a shard takes more, unless that of a single example does."""

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Lengths:
    """Tokens of each example.

    Attributes:
        tokens: prompt and answer, shape (n_examples,).
        scored: of the answer and the end of sequence.
    """

    tokens: NDArray[np.int64]
    scored: NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """What a checkpoint's configuration says of its size; what it does not say is 0."""

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """`config.json`, and that of the text part of a model of several."""
        path = (base_folder(self.folder) or self.folder) / "config.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {**found, **found.get("text_config", {})}

    @property
    def n_classes(self) -> int:
        """Tokens or labels that it chooses among."""
        labels = self.config.get("id2label") or self.config.get("num_labels") or self.config.get("num_classes") or 0
        return int(self.config.get("vocab_size") or (labels if isinstance(labels, int) else len(labels)))

    @property
    def n_features(self) -> int:
        """Width of a hidden state."""
        return int(self.config.get("hidden_size") or self.config.get("n_embd") or 0)

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return int(self.config.get("num_hidden_layers") or self.config.get("n_layer") or 0)

    @property
    def n_parameters(self) -> int:
        """About how many weights there are, from the files' size and the precision that the configuration names."""
        stored_as = self.config.get("dtype") or self.config.get("torch_dtype")
        base = base_folder(self.folder)
        return (weight_bytes(self.folder) + (weight_bytes(base) if base else 0)) // (
            2 if stored_as in ("bfloat16", "float16") else FLOAT_BYTES
        )


def n_classes(folder: Path) -> int:
    """Size of the vocabulary, or number of labels, of a checkpoint; 0 where it does not say."""
    return Shape(folder).n_classes


@cache
def lengths(folder: Path, examples: tuple[Example, ...]) -> Lengths:
    """Tokens of every example, as the checkpoint's tokenizer has them; 1 where it has none."""
    path = tokenizer_folder(folder) / "tokenizer.json"
    if not path.is_file():
        ones = np.ones(len(examples), np.int64)
        return Lengths(ones, ones)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))], np.int64)

    whole, prompts = count([e.prompt + e.answer for e in examples]), count([e.prompt for e in examples])
    return Lengths(whole + 1, np.maximum(whole - prompts, 1) + 1)


def shard_sizes(examples: Mapping[str, tuple[Example, ...]], folder: Path, output: int = 0) -> dict[str, int]:
    """Split to the number of its examples in one shard, as the longest of them and the model's width ask for.

    Args:
        examples: split to its examples.
        folder: of the original.
        output: bytes of an example's whole output, where it is not a row of logits a token.
    """
    shape = Shape(folder)

    def largest(split: str) -> int:
        """Bytes of the longest example's largest column."""
        logits = int(lengths(folder, examples[split]).scored.max()) * shape.n_classes if split in COMPARED else 0
        return max(FLOAT_BYTES * max(logits, shape.n_features, 1), output if split in COMPARED else 0)

    return {split: min(len(rows), max(1, SHARD_BYTES // largest(split))) for split, rows in examples.items()}
