"""From a configuration to what will be scored, checked before any forward pass."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vestige.data.concepts import Concept, read_concepts
from vestige.data.examples import Example
from vestige.evaluation.changes import REFERENCE, Changed
from vestige.evaluation.config import Config, Scoring
from vestige.evaluation.ensembles import Member, listed
from vestige.evaluation.examples import examples_of
from vestige.evaluation.finder import Finder
from vestige.evaluation.probes import probe_examples, probe_splits
from vestige.evaluation.sizes import n_classes, shard_sizes
from vestige.evaluation.wanted import wanted
from vestige.evaluation.widths import widths_of_images
from vestige.metrics.columns import SPLITS, TOKENS
from vestige.report.model import Role
from vestige.scoring.checkpoints import chat_template, denoiser_folder, tokenizer_folder
from vestige.scoring.concepts import value_vectors
from vestige.scoring.loading import CheckpointError
from vestige.scoring.units import Checkpoint, Plan
from vestige.store import ScoreStore


@dataclass(frozen=True)
class Subject:
    """A model of the run.

    Attributes:
        name: in tables.
        role: what it is.
        checkpoint: where its weights and scores are.
        method: unlearning method; empty where there is none.
        strength: its strength.
        expected: for planted controls and the original, the verdict known beforehand.
    """

    name: str
    role: Role
    checkpoint: Checkpoint
    method: str = ""
    strength: str = ""
    expected: str = ""


Model = TypeVar("Model", Subject, Member)


@dataclass(frozen=True)
class RunPlan:
    """Everything that a run will do.

    Attributes:
        config: as read.
        scoring: what is scored of every model.
        subjects: all models: the original, retrained seeds, unlearned checkpoints, controls, changed models.
        changed: those of them that are an intervention's.
        probes: name of each probe to the split that holds its examples.
        members: models that only count as one of many.
    """

    config: Config
    scoring: Plan
    subjects: tuple[Subject, ...]
    changed: tuple[Changed, ...] = ()
    probes: Mapping[str, str] = field(default_factory=dict)
    members: tuple[Member, ...] = ()

    @property
    def models(self) -> tuple[Subject | Member, ...]:
        """Everything that is scored."""
        return (*self.subjects, *self.members)

    def of(self, role: Role) -> tuple[Subject, ...]:
        """The subjects of one role, in order."""
        return tuple(subject for subject in self.subjects if subject.role == role)

    def clusters(self) -> dict[str, NDArray[np.int64]]:
        """Split to the cluster number of each example; one number a cluster over all splits."""
        examples: Mapping[str, tuple[Example, ...]] = self.scoring.examples
        names = sorted({example.cluster for split in examples.values() for example in split})
        number = {name: i for i, name in enumerate(names)}
        ids = {s: np.array([number[e.cluster] for e in split], np.int64) for s, split in examples.items()}
        concepts = np.unique([c.concept for c in self.scoring.concepts], return_inverse=True)[1].astype(np.int64)
        if "images" in ids:
            ids["images"] = np.repeat(ids["images"], self.scoring.samples)
        return {**ids, "samples": ids["forget"][list(self.scoring.sampled)], "concepts": concepts}


def plan_run(
    config: Config, out: Path, changed: Sequence[Changed] = (), fingerprints: Mapping[str, str] | None = None
) -> RunPlan:
    """The plan of a run into a folder.

    Args:
        config: as read.
        out: the run folder.
        changed: models that an intervention made of others.
        fingerprints: name of a model to the digest of its weights, where that is known; the others' are computed.

    Raises:
        DataError: if a data file cannot be used.
        CheckpointError: if a checkpoint is missing, holds the weights of a retrained model, or has another tokenizer or
            other classes.
    """
    given = examples_of(config.data)
    judges = config.models.judge.paths
    passes = wanted(given, (*config.scoring.further, *(f"judge {name}" for name in judges)), config.data.further)
    probes = probe_examples(config, given)
    examples = {split: rows for split, rows in given.items() if split in SPLITS or split in passes} | probes
    store, known = out / "store", fingerprints or {}
    find, find_changed = (Finder(config.models, examples, store, known) for _ in range(2))
    subjects = (*_subjects(config, find), *_changed_subjects(changed, find_changed))
    members = _members(config, subjects, find)
    _refuse_incomparable(config, (*subjects, *members))
    scoring = Plan(
        examples,
        tuple(subject.checkpoint for subject in subjects if subject.role == "retrained"),
        ScoreStore(store),
        config.kind,
        examples_per_shard=_shards(config, examples, subjects[0]),
        trust_remote_code=config.models.trust_remote_code,
        wanted={**passes, **dict.fromkeys(probes, frozenset({TOKENS}))},
        original=subjects[0].checkpoint,
        judges={name: find(f"judge of {name}", path) for name, path in judges.items()},
        concepts=_concepts(config, subjects[0].checkpoint),
        only=dict.fromkeys(probes, _asked_otherwise(config, subjects)),
        members=_only_members(members, subjects),
        **_settings(config.scoring),
    )
    return RunPlan(config, scoring, subjects, tuple(changed), probe_splits(config.interventions), members)


def _refuse_incomparable(config: Config, models: Sequence[Subject | Member]) -> None:
    """Checkpoints whose outputs are about other tokens, classes or turns than those of the others."""
    checkpoints = [model for model in models if model.checkpoint.form == "checkpoint"]
    _refuse_other_vocabularies(checkpoints, config.kind)
    _refuse_other_widths(checkpoints)
    if config.scoring.chat or (config.kind == "vision_language" and config.scoring.rule is None):
        _refuse_other_templates(checkpoints)


def _settings(scoring: Scoring) -> dict[str, Any]:
    """The fields of a plan that a configuration says itself."""
    same = scoring.model_dump(exclude={"spans", "chat", "system", "sampling", "examples_per_shard"})
    drawing = scoring.sampling
    own = {"temperature": drawing.temperature, "top_p": drawing.top_p, "sample_top_k": drawing.top_k}
    return {**same, **own, "rule": scoring.rule}


def _concepts(config: Config, original: Checkpoint) -> tuple[Concept, ...]:
    """Those that the data name, each of which the original has."""
    if config.data.concepts is None:
        return ()
    concepts = read_concepts(config.data.concepts)
    value_vectors(original.folder, concepts)
    return concepts


def _shards(config: Config, examples: Mapping[str, tuple[Example, ...]], original: Subject) -> dict[str, int]:
    if (asked := config.scoring.examples_per_shard) is not None:
        return dict.fromkeys(examples, asked)
    folder = original.checkpoint.folder
    return shard_sizes(examples, folder, widths_of_images(folder).logits if config.kind == "diffusion" else 0)


def _asked_otherwise(config: Config, subjects: Sequence[Subject]) -> frozenset[str]:
    """Fingerprints of the models that the probes are put to: all others would cost much and answer nothing asked."""
    asked = {"original", REFERENCE, *(config.interventions.models if config.interventions else ())}
    return frozenset(subject.checkpoint.fingerprint for subject in subjects if subject.name in asked)


def _subjects(config: Config, find: Finder) -> tuple[Subject, ...]:
    """Every model, checked: a run whose reference is judged against itself would say nothing."""
    models = config.models
    original = find("original", models.original)
    found = [Subject("original", "original", original, expected="different" if models.retrained else "")]
    for i, path in enumerate(models.retrained):
        checkpoint = find(f"retrained-{i}", path)
        found.append(_new(Subject(f"retrained-{i}", "retrained", checkpoint), found))
    references = list(found)
    for model in models.unlearned:
        checkpoint = find.unlearned(model, original)
        found.append(Subject(model.name, "unlearned", checkpoint, model.method or model.name, model.strength))
    for control in models.controls:
        checkpoint = find(control.name, control.path)
        if (checkpoint, control.expected) != (original, "different"):
            found.append(Subject(control.name, "control", checkpoint, expected=control.expected))
    for subject in found[len(references) :]:
        _new(subject, references if subject.role == "control" else references[1:])
    return tuple(found)


def _members(config: Config, subjects: Sequence[Subject], find: Finder) -> tuple[Member, ...]:
    """Models that only count as one of many, each unlike the others of its group."""
    found: list[Member] = []
    for name, group, path, saw in listed(config.models):
        member = Member(name, group, find(name, path), saw)
        _new(member, [s for s in subjects if group in (s.name, s.role)] + [m for m in found if m.group == group])
        found.append(member)
    return tuple(found)


def _only_members(members: Sequence[Member], subjects: Sequence[Subject]) -> tuple[Checkpoint, ...]:
    """Those that are no model of the report, each once."""
    in_full = {subject.checkpoint for subject in subjects}
    return tuple(dict.fromkeys(m.checkpoint for m in members if m.checkpoint not in in_full))


def _changed_subjects(changed: Sequence[Changed], find: Finder) -> tuple[Subject, ...]:
    return tuple(Subject(c.name, "changed", find(c.name, str(c.folder))) for c in changed)


def _new(subject: Model, others: Sequence[Subject | Member]) -> Model:
    """The subject, unless it holds the very weights of one of the others."""
    for other in others:
        if other.checkpoint == subject.checkpoint:
            raise CheckpointError(
                f"{subject.name} ({subject.checkpoint.folder}) holds the same weights as {other.name}; it must be a "
                "model of its own"
            )
    return subject


def _refuse_other_vocabularies(subjects: Sequence[Subject | Member], kind: str) -> None:
    for subject, first in ((subject, subjects[0]) for subject in subjects[1:]):
        if kind == "diffusion":
            _refuse_another_size(subject, first)
            continue
        if kind == "regression":
            continue
        if kind == "classifier" and _classes(subject) != _classes(first):
            raise CheckpointError(
                f"{subject.name} and {first.name} have different classes, so their probabilities cannot be compared "
                f"(id2label or num_classes in {subject.checkpoint.folder / 'config.json'})"
            )
        if (kind != "classifier" or _has_tokenizer(first)) and _tokenizer(subject) != _tokenizer(first):
            raise CheckpointError(
                f"{subject.name} and {first.name} have different tokenizers, so their token probabilities cannot be "
                f"compared ({subject.checkpoint.folder / 'tokenizer.json'} and tokenizer_config.json); score them in "
                "runs of their own"
            )


def _refuse_another_size(subject: Subject | Member, first: Subject | Member) -> None:
    """Denoisers that take images of different shapes; another autoencoder is found when both are loaded."""
    sizes = []
    for each in (subject, first):
        path = denoiser_folder(each.checkpoint.folder) / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        sizes.append((config.get("in_channels"), config.get("sample_size")))
    if sizes[0] != sizes[1]:
        raise CheckpointError(
            f"{subject.name} and {first.name} take images of different shapes (channels and size {sizes[0]} and "
            f"{sizes[1]}), so their noise predictions cannot be compared; score them in runs of their own"
        )


def _classes(subject: Subject | Member) -> Any:
    """The names of a classifier's classes in their order, or their number, as its configuration has them."""
    path = subject.checkpoint.folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{subject.name}: cannot read its classes in {path} ({error})") from None
    if len(config.get("id2label") or "two") == 1:
        raise CheckpointError(
            f"{subject.name} has one output, so it gives a number and no distribution over classes; score it with "
            "`kind: regression`"
        )
    return [config.get(name) for name in ("id2label", "num_classes", "label_names")]


def _has_tokenizer(subject: Subject | Member) -> bool:
    return (subject.checkpoint.folder / "tokenizer.json").exists()


def _refuse_other_widths(subjects: Sequence[Subject | Member]) -> None:
    for subject, first in ((subject, subjects[0]) for subject in subjects[1:]):
        n_first = n_classes(first.checkpoint.folder)
        n = n_classes(subject.checkpoint.folder)
        if n and n_first and n != n_first:
            raise CheckpointError(
                f"{subject.name} has {n} outputs and {first.name} has {n_first}, so their distributions cannot be "
                "compared; resize the embeddings of one of them, or score them in runs of their own"
            )


def _refuse_other_templates(subjects: Sequence[Subject | Member]) -> None:
    template = chat_template(subjects[0].checkpoint.folder)
    for subject in subjects[1:]:
        if chat_template(subject.checkpoint.folder) != template:
            raise CheckpointError(
                f"{subject.name} and {subjects[0].name} have different chat templates (chat_template.jinja, or "
                f"chat_template in tokenizer_config.json, in {subject.checkpoint.folder}), so the same example would "
                "become other tokens; put one template into both folders, set `chat: false`, or score them in runs of "
                "their own"
            )


def _tokenizer(subject: Subject | Member) -> Any:
    """What a tokenizer does to text; how it was last padded or cut is no part of that."""
    try:
        folder = tokenizer_folder(subject.checkpoint.folder)
        parts = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        path = folder / "tokenizer_config.json"
        special = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{subject.name}: cannot read its tokenizer in {subject.checkpoint.folder} ({error})"
        ) from None
    text = {name: part for name, part in parts.items() if name not in ("padding", "truncation", "version")}
    return text, {name: special.get(name) for name in ("bos_token", "eos_token", "add_bos_token", "add_eos_token")}
