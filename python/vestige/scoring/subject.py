"""One model scored on everything and against every retrained model, into the store, once.

A subject's shards: one a split, `samples`, and `versus-<reference>` for each retrained model. A retrained model also
keeps its logits where others are compared with it (`logits`): nobody else's whole distributions are stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.data.examples import Example, digest
from vestige.scoring.language import Reduce, divergence_columns, generate, score, sequence_log_probs
from vestige.scoring.loading import LanguageModel
from vestige.scoring.spans import Sequence, encode, encode_prompt
from vestige.scoring.weights import parameter_distances
from vestige.store import ScoreStore, Shard

COMPARED = ("forget", "distance")
"""Splits on which whole distributions are compared with the retrained models'."""

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint by what it holds.

    Attributes:
        key: its folder in the store.
        name: how messages call it.
        folder: where it lies.
        fingerprint: digest of its weights, configuration and tokenizer.
    """

    key: str
    name: str
    folder: Path
    fingerprint: str


@dataclass(frozen=True)
class Plan:
    """What is scored of every model, and where it goes.

    Attributes:
        examples: split to its examples; "forget" is always there.
        references: the retrained models.
        store: where scores are kept.
        dtype: precision that weights are loaded in.
        batch_size: sequences a forward pass.
        samples: sampled answers a prompt.
        prompts: number of forget prompts sampled after.
        max_new_tokens: length at which a sample is cut.
        layer: decoder block whose output is kept.
        seed: of the samples.
    """

    examples: Mapping[str, tuple[Example, ...]]
    references: tuple[Checkpoint, ...]
    store: ScoreStore
    dtype: str = "float32"
    batch_size: int = 64
    samples: int = 8
    prompts: int = 40
    max_new_tokens: int = 32
    layer: int = -2
    seed: int = 0

    @cached_property
    def sampled(self) -> tuple[int, ...]:
        """Forget examples whose prompts are sampled after, spread evenly."""
        n = len(self.examples["forget"])
        return tuple(sorted({int(i) for i in np.linspace(0, n - 1, min(self.prompts, n)).round()}))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything but the models that a stored number depends on."""
        import torch
        import transformers

        return {
            "data": {split: digest(examples) for split, examples in self.examples.items()},
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "samples": self.samples,
            "sampled": list(self.sampled),
            "max_new_tokens": self.max_new_tokens,
            "layer": self.layer,
            "seed": self.seed,
            "spans": "whole-offset",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def shards(self, subject: Checkpoint) -> dict[str, dict[str, Any]]:
        """The shards that a finished subject has, with the settings of each."""
        own = {**self.settings, "model": subject.fingerprint}
        names = [*self.examples, "samples", *(["logits"] if subject in self.references else [])]
        versus = {f"versus-{r.key}": {**own, "reference": r.fingerprint} for r in self.references}
        return {**dict.fromkeys(names, own), **versus}

    def missing(self, subject: Checkpoint) -> list[str]:
        """Its shards that the store lacks, or has damaged or with other settings."""
        return [
            name for name, settings in self.shards(subject).items() if not self.store.has(subject.key, name, settings)
        ]


def score_reference(plan: Plan, subject: Checkpoint, model: LanguageModel) -> None:
    """Score a retrained model on every split, keep its logits where others are compared with it, sample answers."""
    logits: Columns = {}
    for split in plan.examples:
        _score_split(plan, subject, model, split, _keep(logits, split))
    _write(plan, subject, "logits", logits)
    _write(plan, subject, "samples", _sample(plan, model))


def score_subject(
    plan: Plan, subject: Checkpoint, model: LanguageModel, references: Mapping[str, LanguageModel]
) -> None:
    """Score any model on every split and against every retrained model, all of which are scored already.

    Args:
        plan: the plan.
        subject: the subject; a retrained model is only compared with the others, from its stored logits.
        model: its model.
        references: key to model of the retrained models.
    """
    versus: dict[str, Columns] = {r.key: {} for r in plan.references}
    theirs = {key: plan.store.read(key, "logits") for key in versus}
    for split in plan.examples:
        compare = _compare(versus, theirs, split)
        if subject.key not in theirs:
            _score_split(plan, subject, model, split, compare)
        elif split in COMPARED:
            logits = theirs[subject.key][split]
            compare(np.arange(len(logits)), len(logits), logits)
    if subject.key not in theirs:
        _write(plan, subject, "samples", _sample(plan, model))
    for reference in plan.references:
        columns = versus[reference.key] | _cross_scores(plan, subject, model, reference, references[reference.key])
        _write(plan, subject, f"versus-{reference.key}", columns)


def _score_split(plan: Plan, subject: Checkpoint, model: LanguageModel, split: str, reduce: Reduce) -> None:
    sequences = [encode(model.tokenizer, example) for example in plan.examples[split]]
    _write(plan, subject, split, _score(plan, model, sequences, reduce if split in COMPARED else None))


def _score(plan: Plan, model: LanguageModel, sequences: list[Sequence], reduce: Reduce | None = None) -> Columns:
    return score(model, sequences, batch_size=plan.batch_size, layer=plan.layer, reduce=reduce)


def _write(plan: Plan, subject: Checkpoint, shard: str, columns: Columns) -> None:
    plan.store.write(subject.key, shard, columns, plan.shards(subject)[shard])


def _keep(kept: Columns, split: str) -> Reduce:
    def receive(rows: NDArray[np.int64], n_rows: int, logits: NDArray[np.float32]) -> None:
        kept.setdefault(split, np.empty((n_rows, logits.shape[1]), np.float32))[rows] = logits

    return receive


def _compare(versus: Mapping[str, Columns], theirs: Mapping[str, Shard], split: str) -> Reduce:
    """A receiver that fills the divergences to every retrained model, row by row."""
    kept = {key: shard[split] for key, shard in theirs.items()} if split in COMPARED else {}

    def receive(rows: NDArray[np.int64], n_rows: int, logits: NDArray[np.float32]) -> None:
        for key, reference in kept.items():
            for name, values in divergence_columns(logits, reference[rows]).items():
                versus[key].setdefault(f"{split}.{name}", np.empty(n_rows, np.float64))[rows] = values

    return receive


def _sample(plan: Plan, model: LanguageModel) -> Columns:
    samples = generate(
        model, _prompts(plan, model), n_samples=plan.samples, max_new_tokens=plan.max_new_tokens, seed=plan.seed
    )
    columns = _score(plan, model, _continuations(plan, model, samples))
    end = model.tokenizer.eos_token_id
    return {
        "offsets": columns["offsets"],
        "token_id": columns["token_id"],
        "log_prob": sequence_log_probs(columns),
        "truncated": np.array([tokens[-1] != end for tokens in samples]),
    }


def _prompts(plan: Plan, model: LanguageModel) -> list[tuple[int, ...]]:
    return [encode_prompt(model.tokenizer, plan.examples["forget"][i]) for i in plan.sampled]


def _continuations(plan: Plan, model: LanguageModel, samples: Iterable[tuple[int, ...]]) -> list[Sequence]:
    prompts = [prompt for prompt in _prompts(plan, model) for _ in range(plan.samples)]
    return [Sequence((*prompt, *tokens), len(prompt)) for prompt, tokens in zip(prompts, samples, strict=True)]


def _cross_scores(
    plan: Plan, subject: Checkpoint, model: LanguageModel, reference: Checkpoint, other: LanguageModel
) -> Columns:
    """Samples of each model under the other one, and the distance of their weights where it is defined."""
    columns: Columns = {
        "samples.by_reference": _log_probs_of_samples(plan, other, subject),
        "samples.of_reference": _log_probs_of_samples(plan, model, reference),
    }
    distances = parameter_distances(subject.folder, reference.folder)
    return columns if distances is None else columns | {"parameters.l2": distances}


def _log_probs_of_samples(plan: Plan, model: LanguageModel, author: Checkpoint) -> NDArray[np.float64]:
    """Log-probability under `model` of what `author` sampled: token ids as sampled, never decoded in between."""
    shard = plan.store.read(author.key, "samples")
    samples = (tuple(map(int, ids)) for ids in np.split(shard["token_id"], shard["offsets"][1:-1]))
    return sequence_log_probs(_score(plan, model, _continuations(plan, model, samples)))
