"""What is to be scored of every model, cut into pieces that are each written whole before the next is begun.

The pieces depend on the data and the settings alone: whoever works on them, and in whatever order, the files are the
same. Phase 1 is the retrained models on their own; phase 2 is all other models, and everybody against the retrained
ones. In the store a model has one split for each split of the data, `samples`, and against each retrained model R
`versus-R-forget`, `versus-R-distance`, `versus-R-samples` and `versus-R-parameters`. A retrained model also keeps its
logits where others are compared with it, in `logits-forget` and `logits-distance`. What only some metrics read is in
`further-SPLIT`, where the configuration asks for it, and in `patched-SPLIT` what the original says with states of the
model in it. Of the original there are also `untrained-forget`, what it says with random weights, and `words`, its
output embeddings, beside the value vectors that each model has in `concepts`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vestige.data.concepts import Concept
from vestige.data.examples import Example, digest
from vestige.metrics.columns import TOKENS
from vestige.metrics.extraction import N_GRAM
from vestige.scoring import restoring
from vestige.scoring.batching import BatchSize, batch_options
from vestige.scoring.further import FURTHER, OF_FUNCTIONS, can_be_made
from vestige.scoring.kinds import KINDS, Kind
from vestige.scoring.lens import N_LAYERS
from vestige.scoring.outputs import Outputs, Pooling
from vestige.scoring.recorded import RECORDED, recorded_file
from vestige.scoring.samples import Sampling
from vestige.scoring.sources import Code, Form
from vestige.scoring.spans import SpanRule
from vestige.scoring.weights import PARTS
from vestige.store import ScoreStore

COMPARED = ("forget", "distance")
"""Splits on which whole outputs are compared with the retrained models'."""

COUNTED = ("forget", "retain", "holdout")
"""Splits that are scored of models that only count as one of many."""

PREFIXES = "prefixes"
"""Split of greedy continuations of every prefix of the forget answers, and its name in `scoring.further`."""

RESTORED = "restored"
"""Name in `scoring.further` of images that a generator restores."""

LEAKAGE = "leakage"
"""Name in `scoring.further` of what sampled answers give away."""

SAMPLED = "sampled-forget"
"""What is worked out of the samples, one row a forget example, NaN where it was not sampled after."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint by what it holds.

    Attributes:
        key: its folder in the store.
        name: how messages call it.
        folder: where it lies.
        fingerprint: digest of its weights, configuration and tokenizer, or of whatever it is made of.
        form: what it is, where it is no checkpoint: `folder` is then a module's weights, recorded outputs, or, of a
            function, a checkpoint with its tokenizer.
        code: of a module or function.
    """

    key: str
    name: str
    folder: Path
    fingerprint: str
    form: Form = "checkpoint"
    code: Code | None = None


@dataclass(frozen=True)
class Unit:
    """A piece of work on one model.

    Attributes:
        what: a split of the data, "samples", "cross" (samples of and under the retrained models), "parameters",
            "further-SPLIT", "patched-SPLIT", "untrained-SPLIT", "concepts" or "words".
        outputs: splits of the store that it fills a shard of, to the settings of each.
        shard: which shard, from 0.
        n_shards: how many shards these splits have.
    """

    what: str
    outputs: Mapping[str, Settings]
    shard: int = 0
    n_shards: int = 1


@dataclass(frozen=True)
class Plan:
    """What is scored of every model, and where it goes.

    Attributes:
        examples: split to its examples; "forget" is always there.
        references: the retrained models.
        store: where scores are kept.
        kind: kind of model, a name in `KINDS`.
        dtype: precision that weights are loaded in.
        batch_size: sequences a forward pass; "auto" is found, see `scoring.batching`.
        max_tokens: tokens a forward pass with padding, at most; None for no cap.
        samples: sampled answers a prompt.
        prompts: number of forget prompts sampled after.
        max_new_tokens: length at which a sample is cut.
        layer: decoder block whose output is kept.
        layers: further ones, where the kind speaks in tokens.
        pooling: what is kept of them, see `outputs.Outputs`.
        seed: of the samples.
        temperature: of the samples, as `top_p` and `sample_top_k`: 1, 1 and 0 are the models' own distributions.
        rule: how the answer is found among the tokens; None for the kind's own way.
        examples_per_shard: split to the examples of one shard; a split that is not named is one shard.
        further: columns of `scoring.further` that are made too, "steps" (exact divergences along the samples) and
            "patched" (the original with states of the model in it), where the kind speaks in tokens.
        top_k: likeliest tokens kept with the mass of all others, where the kind speaks in tokens; 0 for none.
        full: precision in which the whole distribution of each token is kept; "" where it is not.
        trust_remote_code: whether code that lies in a checkpoint may run.
        wanted: split to all that is made of it, "tokens" and names of `FURTHER`, for splits that only some metrics
            read; of the others everything is made that is asked for.
        only: split to the fingerprints of the models that are scored on it, where that is not every model.
        members: models that only count as one of an ensemble: of these the splits of `COUNTED` are scored, no more.
        original: the model before unlearning, where the run has one.
        judges: name to the classifier that looks at drawn images, see `judging`.
        concepts: value vectors that are read from the weights of each model.
    """

    examples: Mapping[str, tuple[Example, ...]]
    references: tuple[Checkpoint, ...]
    store: ScoreStore
    kind: str = "language"
    dtype: str = "float32"
    batch_size: BatchSize = 64
    max_tokens: int | None = None
    samples: int = 8
    prompts: int = 40
    max_new_tokens: int = 32
    layer: int = -2
    layers: tuple[int, ...] = ()
    pooling: Pooling = "prompt"
    seed: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    sample_top_k: int = 0
    rule: SpanRule | None = None
    examples_per_shard: Mapping[str, int] = field(default_factory=dict)
    further: tuple[str, ...] = ("alternatives",)
    top_k: int = 0
    full: Literal["", "float32", "float16", "bfloat16"] = ""
    trust_remote_code: bool = False
    wanted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    members: tuple[Checkpoint, ...] = ()
    original: Checkpoint | None = None
    judges: Mapping[str, Checkpoint] = field(default_factory=dict)
    concepts: tuple[Concept, ...] = ()

    @property
    def how(self) -> Kind:
        """What can be done with models of this kind."""
        return KINDS[self.kind]

    def encode(self, model: Any, example: Example) -> Any:
        """An example as a model of this kind takes it."""
        return self.how.encode(model, example, self.rule) if self.rule else self.how.encode(model, example)

    @property
    def compared(self) -> tuple[str, ...]:
        """Splits on which whole outputs are compared with the retrained models', where such models have any."""
        return COMPARED if self.how.compare else ()

    @property
    def sampling(self) -> Sampling:
        """How answers are sampled."""
        return Sampling(
            self.samples,
            self.max_new_tokens,
            self.seed,
            self.batch_size,
            self.max_tokens,
            self.temperature,
            self.top_p,
            self.sample_top_k,
        )

    @property
    def batches(self) -> dict[str, Any]:
        """Arguments of the kind's scorer."""
        return batch_options(self.batch_size, self.max_tokens)

    @property
    def outputs(self) -> dict[str, Outputs]:
        """The argument of `score` that says what is kept, where it is not the usual."""
        kept = Outputs(
            layers=(self.layer, *self.layers),
            pooling=self.pooling,
            top_k=self.top_k,
            full=bool(self.full),
            dtype=self.full or "float32",
        )
        usual = self.how.rescore is None or kept == Outputs(layers=(self.layer,))
        return {} if usual else {"outputs": kept}

    @cached_property
    def sampled(self) -> tuple[int, ...]:
        """Forget examples whose prompts are sampled after, spread evenly."""
        n = len(self.examples["forget"])
        return tuple(sorted({int(i) for i in np.linspace(0, n - 1, min(self.prompts, n)).round()}))

    def shards(self, split: str) -> tuple[tuple[Example, ...], ...]:
        """The examples of a split, shard by shard."""
        examples = self.examples[split]
        size = self.examples_per_shard.get(split, len(examples))
        return tuple(examples[begin : begin + size] for begin in range(0, len(examples), size))

    def units(self, subject: Checkpoint, phase: int) -> tuple[Unit, ...]:
        """The work on one model in one phase, in the order in which it is done."""
        found = self._counted(subject, phase) if subject in self.members else self._all_units(subject, phase)
        return tuple(unit for unit in found if unit.outputs)

    def missing(self, subject: Checkpoint, phase: int) -> tuple[Unit, ...]:
        """Those of its units of which the store lacks something, or has it damaged or with other settings."""
        absent: dict[str, tuple[int, ...]] = {}
        for unit in self.units(subject, phase):
            for name, settings in unit.outputs.items():
                if name not in absent:
                    absent[name] = self.store.missing(subject.key, name, settings, unit.n_shards)
        return tuple(u for u in self.units(subject, phase) if any(u.shard in absent[name] for name in u.outputs))

    def splits(self, subject: Checkpoint) -> frozenset[str]:
        """The splits that the store has of a finished model."""
        return frozenset(name for phase in (1, 2) for unit in self.units(subject, phase) for name in unit.outputs)

    def further_of(self, split: str, form: Form = "checkpoint") -> tuple[str, ...]:
        """The further columns that a split of such a subject has: other answers only of examples with as many each."""
        if self.how.rescore is None:
            return ()
        possible = FURTHER if form == "checkpoint" else OF_FUNCTIONS
        names = sorted(self.wanted[split]) if split in self.wanted else self.further
        return tuple(name for name in names if name in possible and can_be_made(name, split, self.examples[split]))

    @property
    def patched(self) -> str:
        """Split whose answers the original says with states of each model: entities, else forget; "" for none."""
        if self.original is None or self.how.rescore is None:
            return ""
        named = (split for split, passes in self.wanted.items() if "patched" in passes)
        return next(named, "forget" if "patched" in self.further else "")

    @property
    def companions(self) -> tuple[Checkpoint, ...]:
        """Models that others are asked together with."""
        return (*self.references, *([self.original] if self.original and self.patched else []))

    @property
    def stepped(self) -> bool:
        """Whether two models are compared at each step of their samples."""
        return "steps" in self.further and self.how.rescore is not None

    @cached_property
    def settings(self) -> dict[str, Settings]:
        """Split of the data or "samples" to everything but the models that its numbers depend on."""
        common = {
            "kind": self.kind,
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "spans": asdict(self.rule) if self.rule else "whole-offset",
            **{library: version(library) for library in ("torch", "transformers")},
            **self.how.versions,
            **self.how.constants,
            **({"trust_remote_code": True} if self.trust_remote_code else {}),
            **({} if self.max_tokens is None else {"max_tokens": self.max_tokens}),
        }
        data = {split: digest(examples) for split, examples in self.examples.items()}
        by_split = {
            split: {
                **common,
                "data": data[split],
                "layer": self.layer,
                "examples_per_shard": len(self.shards(split)[0]),
                **({"top_k": self.top_k, "full": self.full} if self.outputs and (self.top_k or self.full) else {}),
                **({"layers": list(self.layers)} if self.layers else {}),
                **({"pooling": self.pooling} if self.pooling != "prompt" else {}),
            }
            for split in self.examples
        }
        sampling = {
            "data": data["forget"],
            "sampled": list(self.sampled),
            "samples": self.samples,
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            **({} if self.sampling.is_own else {"top_p": self.top_p, "sample_top_k": self.sample_top_k}),
        }
        return {**by_split, "samples": {**common, **sampling}}

    def _counted(self, subject: Checkpoint, phase: int) -> Iterator[Unit]:
        for split in COUNTED if phase == 2 else ():
            if split in self.examples:
                n_shards, outputs = len(self.shards(split)), self._own(subject, split, is_reference=False)
                yield from (Unit(split, outputs, shard, n_shards) for shard in range(n_shards))

    def _all_units(self, subject: Checkpoint, phase: int) -> Iterator[Unit]:
        if subject.form == "recorded":
            return self._recorded_units(subject, phase)
        return self._scored_units(subject, phase)

    def _recorded_units(self, subject: Checkpoint, phase: int) -> Iterator[Unit]:
        """What there is of each split; nothing is compared with anybody's distributions."""
        for split in self.examples if phase == 2 else ():
            if recorded_file(subject.folder, split):
                settings = {name: self.settings[split][name] for name in ("kind", "data", "examples_per_shard")}
                outputs = {split: {**settings, "recorded": RECORDED, "model": subject.fingerprint}}
                n_shards = len(self.shards(split))
                yield from (Unit(split, outputs, shard, n_shards) for shard in range(n_shards))

    def _scored_units(self, subject: Checkpoint, phase: int) -> Iterator[Unit]:
        is_reference = subject in self.references
        own = is_reference == (phase == 1)
        for split in self.examples:
            if split in self.only and subject.fingerprint not in self.only[split]:
                continue
            outputs = self._own(subject, split, is_reference) if own else {}
            if phase == 2 and split in self.compared:
                outputs |= self._versus(subject, split, self.settings[split])
            n_shards = len(self.shards(split))
            yield from (Unit(split, outputs, shard, n_shards) for shard in range(n_shards))
            further = self._further(subject, split) if own else {}
            yield from (Unit(further_split(split), further, shard, n_shards) for shard in range(n_shards))
            open_to = subject.form == "checkpoint" and phase == 2 and split == self.patched
            patched = self._patched(subject, split) if open_to else {}
            yield from (Unit(patched_split(split), patched, shard, n_shards) for shard in range(n_shards))
            if split == "forget" and subject == self.original and phase == 2:
                bare = self._untrained(subject, split)
                yield from (Unit(untrained_split(split), bare, shard, n_shards) for shard in range(n_shards))
        if PREFIXES in self.further and self.how.rescore is not None:
            yield from self._prefixes(subject, own)
        yield from self._judged(subject, own)
        yield from self._restored(subject, own)
        if self.how.sample is not None:
            settings = self.settings["samples"]
            drawn = {**settings, "model": subject.fingerprint}
            yield Unit("samples", {"samples": drawn} if own else {})
            if LEAKAGE in self.further and self.how.rescore is not None:
                leaked = {**drawn, "leakage": "ROUGE-L recall"}
                yield Unit(SAMPLED, {SAMPLED: leaked} if own else {})
            if (self.how.rescore or self.how.cross) and self.sampling.is_own:
                stepped = {**settings, "steps": True} if self.stepped else settings
                yield Unit("cross", self._versus(subject, "samples", stepped) if phase == 2 else {})
        if self.concepts and own and subject.form == "checkpoint":
            yield from self._in_weights(subject)
        if subject.form != "function":
            yield Unit("parameters", self._versus(subject, "parameters", {"by": list(PARTS)}) if phase == 2 else {})

    def _own(self, subject: Checkpoint, split: str, is_reference: bool) -> dict[str, Settings]:
        if TOKENS not in self.wanted.get(split, {TOKENS}):
            return {}
        settings = {**self.settings[split], "model": subject.fingerprint}
        names = [split, f"logits-{split}"] if is_reference and split in self.compared else [split]
        return dict.fromkeys(names, settings)

    def _prefixes(self, subject: Checkpoint, own: bool) -> Iterator[Unit]:
        made = {"max_new_tokens": self.max_new_tokens, "beyond": N_GRAM, "model": subject.fingerprint}
        outputs = {PREFIXES: {**self.settings["forget"], **made}} if own else {}
        n_shards = len(self.shards("forget"))
        yield from (Unit(PREFIXES, outputs, shard, n_shards) for shard in range(n_shards))

    def _further(self, subject: Checkpoint, split: str) -> dict[str, Settings]:
        names = self.further_of(split, subject.form)
        made = {"further": list(names), "max_new_tokens": self.max_new_tokens, "model": subject.fingerprint}
        made |= {"lens_layers": N_LAYERS} if "lens" in names else {}
        return {further_split(split): {**self.settings[split], **made}} if names else {}

    def _patched(self, subject: Checkpoint, split: str) -> dict[str, Settings]:
        both = {"model": subject.fingerprint, "original": self.original.fingerprint if self.original else ""}
        return {patched_split(split): {**self.settings[split], **both}}

    def _judged(self, subject: Checkpoint, own: bool) -> Iterator[Unit]:
        """What judges see in images that are drawn, and of real ones their features, which are nobody's."""
        for split, names in (("images", tuple(self.judges)), ("real", ("features",))):
            names = tuple(name for name in names if name in self.judges)
            if split in self.examples and names and (split == "images" or subject == self.original):
                judges = {name: self.judges[name].fingerprint for name in names}
                made = {"samples": self.samples, "seed": self.seed, "model": subject.fingerprint, "judges": judges}
                outputs = {judged_split(split): {**self.settings[split], **made}} if own else {}
                n_shards = len(self.shards(split))
                yield from (Unit(judged_split(split), outputs, shard, n_shards) for shard in range(n_shards))

    def _restored(self, subject: Checkpoint, own: bool) -> Iterator[Unit]:
        """Images that the model restores, of an image generator."""
        for split in ("forget", "holdout") if RESTORED in self.further and self.kind == "diffusion" else ():
            if split in self.examples:
                made = {**restoring.CONSTANTS, "seed": self.seed, "model": subject.fingerprint}
                outputs = {restored_split(split): {**self.settings[split], **made}} if own else {}
                n_shards = len(self.shards(split))
                yield from (Unit(restored_split(split), outputs, shard, n_shards) for shard in range(n_shards))

    def _untrained(self, original: Checkpoint, split: str) -> dict[str, Settings]:
        if "untrained" not in self.further or self.kind != "classifier":
            return {}
        return {untrained_split(split): {**self.settings[split], "model": original.fingerprint, "seed": self.seed}}

    def _in_weights(self, subject: Checkpoint) -> Iterator[Unit]:
        concepts = [concept.settings for concept in self.concepts]
        yield Unit("concepts", {"concepts": {"concepts": concepts, "model": subject.fingerprint}})
        if subject == self.original:
            yield Unit("words", {"words": {"model": subject.fingerprint}})

    def _versus(self, subject: Checkpoint, what: str, settings: Settings) -> dict[str, Settings]:
        both = {"model": subject.fingerprint}
        return {versus(r, what): {**settings, **both, "reference": r.fingerprint} for r in self.references}


def kept_in(split: str) -> tuple[str, ...]:
    """Splits of the store that hold a model's own columns of a split of the data, as far as there are any."""
    return (
        split,
        *(name(split) for name in (further_split, patched_split, sampled_split, judged_split, restored_split)),
    )


def further_split(split: str) -> str:
    """Name in the store of the further columns of a split."""
    return f"further-{split}"


def patched_split(split: str) -> str:
    """Name in the store of what the original says of a split with states of a model in it."""
    return f"patched-{split}"


def untrained_split(split: str) -> str:
    """Name in the store of what the original says of a split with random weights."""
    return f"untrained-{split}"


def restored_split(split: str) -> str:
    """Name in the store of the images of a split as a model restores them."""
    return f"restored-{split}"


def judged_split(split: str) -> str:
    """Name in the store of what judges see in the images of a split."""
    return f"judged-{split}"


def sampled_split(split: str) -> str:
    """Name in the store of what is worked out of the samples of a split."""
    return f"sampled-{split}"


def versus(reference: Checkpoint, what: str) -> str:
    """Name in the store of what a model has against a retrained model."""
    return f"versus-{reference.key}-{what}"
