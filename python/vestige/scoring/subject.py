"""One model scored: what is missing of it in the store, piece by piece, each written before the next is begun."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige.metrics.extraction import N_GRAM
from vestige.metrics.text import rouge
from vestige.scoring import classifier
from vestige.scoring.batching import fitting
from vestige.scoring.concepts import output_embeddings, value_vectors
from vestige.scoring.further import FURTHER, Asked, other_answers
from vestige.scoring.generation import greedy
from vestige.scoring.judging import judged, judged_drawings
from vestige.scoring.language import Reduce, ScoringError
from vestige.scoring.opening import facts_of, open_subject
from vestige.scoring.pairs import pair_divergences
from vestige.scoring.patching import patched_log_probs
from vestige.scoring.recorded import recorded_columns
from vestige.scoring.restoring import restored
from vestige.scoring.samples import sampled_items, sampled_texts
from vestige.scoring.units import PREFIXES, SAMPLED, Checkpoint, Plan, Unit, versus
from vestige.scoring.untrained import untrained
from vestige.scoring.weights import weight_columns
from vestige.store import Split
from vestige.store.files import part
from vestige.store.paths import FACTS

KEPT_WEIGHTS = 4 << 30
"""Bytes of retrained models (and of the original, where states are put into it) that a worker keeps loaded from one
task to the next; larger ones are loaded in each."""

CHUNK = 64 << 20
"""Bytes of stored logits that are compared at a time."""

Columns = dict[str, NDArray[Any]]
Load = Callable[[Checkpoint], Any]


def score_model(plan: Plan, subject: Checkpoint, phase: int) -> None:
    """Score what the store lacks of one model in one phase (`vestige.scoring.units` says what there is).

    The model is loaded once, and only if a forward pass is due; retrained models only to say what they think of its
    samples.

    Raises:
        CheckpointError, ScoringError: if the model cannot be loaded or used; what was finished is in the store.
        StoreError: if the disk is full, or a shard of a retrained model is missing or damaged.
    """

    @cache
    def load_subject() -> Any:
        model = load(plan, subject)
        _note_facts(plan, subject, model)
        return model

    for unit in plan.missing(subject, phase):
        for split, columns in _columns(plan, subject, unit, load_subject).items():
            settings = unit.outputs[split]
            if unit.shard in plan.store.missing(subject.key, split, settings, unit.n_shards):
                plan.store.write(subject.key, split, columns, settings, unit.shard, unit.n_shards)


def load(plan: Plan, checkpoint: Checkpoint) -> Any:
    """The model of a checkpoint; a worker compares many with the same few retrained ones, which it keeps if small."""
    small = checkpoint in plan.companions and kept_bytes(plan) > 0
    return (_open_and_keep if small else open_subject)(plan.kind, plan.dtype, plan.trust_remote_code, checkpoint)


def _note_facts(plan: Plan, subject: Checkpoint, model: Any) -> None:
    """Write down with what a model was scored: what else there is to know of its scores beside their settings."""
    known = {
        **facts_of(subject, model),
        "upcast": "float32",
        "batch_plan": {**plan.batches, "examples_per_shard": dict(plan.examples_per_shard)},
        "threads": torch.get_num_threads(),
        "trust_remote_code": plan.trust_remote_code,
    }
    folder = plan.store.root / subject.key
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(known, indent=1).encode() + b"\n"
    with part(folder / FACTS, [content]) as (written, _):
        written.replace(folder / FACTS)


def release_models() -> None:
    """Let go of the models that this process keeps."""
    _open_and_keep.cache_clear()


def kept_bytes(plan: Plan) -> int:
    """Size on disk of the weights of models that others are asked together with if a worker keeps them, else 0."""
    total = sum(weight_bytes(companion.folder) for companion in plan.companions)
    return total if total <= KEPT_WEIGHTS else 0


def weight_bytes(folder: Path) -> int:
    """Size of a checkpoint's weights on disk."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


_open_and_keep = cache(open_subject)


def _columns(plan: Plan, subject: Checkpoint, unit: Unit, model: Callable[[], Any]) -> dict[str, Columns]:
    """What a unit fills its splits of the store with."""
    if subject.form == "recorded":
        return {unit.what: _recorded(plan, subject, unit)}
    if unit.what == "samples":
        return {"samples": _samples(plan, model())}
    if unit.what == "cross":
        return {versus(r, "samples"): _cross_scores(plan, subject, model(), r) for r in plan.references}
    if unit.what == "parameters":
        return {versus(r, "parameters"): weight_columns(subject.folder, r.folder) for r in plan.references}
    if unit.what.startswith("judged-"):
        return {unit.what: _judged(plan, unit, model)}
    if unit.what.startswith("restored-"):
        return {unit.what: _restored(plan, unit, model())}
    if unit.what == SAMPLED:
        return {SAMPLED: _leaked(plan, subject, model())}
    if unit.what == PREFIXES:
        return {PREFIXES: _continued(plan, unit, model())}
    if unit.what.startswith("further-"):
        return {unit.what: _further(plan, subject, unit, model())}
    if unit.what in ("concepts", "words"):
        return {unit.what: _in_weights(plan, subject, unit)}
    if unit.what.startswith("untrained-"):
        return {unit.what: _untrained(plan, subject, unit, model())}
    if unit.what.startswith("patched-"):
        return {unit.what: _patched(plan, subject, unit, model())}
    if unit.what in unit.outputs:
        return _scored(plan, unit, model())
    return _compared_as_stored(plan, subject, unit)


def _recorded(plan: Plan, subject: Checkpoint, unit: Unit) -> Columns:
    examples, size = plan.examples[unit.what], len(plan.shards(unit.what)[0])
    where = slice(unit.shard * size, (unit.shard + 1) * size)
    return recorded_columns(subject.folder, unit.what, examples, where)


def _scored(plan: Plan, unit: Unit, model: Any) -> dict[str, Columns]:
    """One forward pass over a shard's examples, with all that needs whole rows of it."""
    found: dict[str, Columns] = {name: {} for name in unit.outputs}
    items = [plan.encode(model, example) for example in plan.shards(unit.what)[unit.shard]]
    reduce = _receiver(plan, unit, found) if unit.what in plan.compared else None
    kept = {"layer": plan.layer, **plan.outputs}
    found[unit.what] = plan.how.score(model, items, reduce=reduce, **plan.batches, **kept)
    return found


def _further(plan: Plan, subject: Checkpoint, unit: Unit, model: Any) -> Columns:
    """Columns that only some metrics read."""
    split = unit.what.removeprefix("further-")
    examples = plan.shards(split)[unit.shard]
    others = other_answers(plan.examples[split])
    score = plan.how.score if plan.max_tokens is None else partial(plan.how.score, max_tokens=plan.max_tokens)
    asked = Asked(model, examples, plan.encode, score, plan.batch_size, plan.max_new_tokens, others, plan.seed)
    made = [FURTHER[name](asked) for name in plan.further_of(split, subject.form)]
    return {name: values for columns in made for name, values in columns.items()}


def _patched(plan: Plan, subject: Checkpoint, unit: Unit, model: Any) -> Columns:
    """What the original says with this model's states in it, layer by layer."""
    assert plan.original is not None
    original = model if subject == plan.original else load(plan, plan.original)
    examples = plan.shards(unit.what.removeprefix("patched-"))[unit.shard]
    items = [plan.encode(original, example) for example in examples]
    found = fitting(lambda n: patched_log_probs(original, model, items, batch_size=n), plan.batch_size)
    return {"patched_log_probs": found}


def _judged(plan: Plan, unit: Unit, model: Callable[[], Any]) -> Columns:
    """What the judges see in images that the model draws, or in real ones."""
    split = unit.what.removeprefix("judged-")
    examples = plan.shards(split)[unit.shard]
    if split == "real":
        images = [example.image for example in examples]
        return judged({"features": _judge(plan.judges["features"])}, images, examples, plan.sampling.sequences)
    judges = {name: _judge(checkpoint) for name, checkpoint in plan.judges.items()}
    return judged_drawings(model(), judges, examples, plan.sampling)


def _restored(plan: Plan, unit: Unit, model: Any) -> Columns:
    examples = plan.shards(unit.what.removeprefix("restored-"))[unit.shard]
    items = [plan.encode(model, example) for example in examples]
    return restored(model, items, batch_size=plan.sampling.sequences, seed=plan.seed)


@cache
def _judge(checkpoint: Checkpoint) -> classifier.Classifier:
    """A worker keeps the judges: they look at the images of every model."""
    return classifier.load(checkpoint.folder, name=checkpoint.name, dtype="float32")


def _untrained(plan: Plan, subject: Checkpoint, unit: Unit, model: Any) -> Columns:
    """What a classifier says before it has learnt anything."""
    bare = untrained(model, plan.seed, subject.code.imported() if subject.code else None)
    items = [plan.encode(bare, example) for example in plan.shards(unit.what.removeprefix("untrained-"))[unit.shard]]
    columns = plan.how.score(bare, items, layer=plan.layer, **plan.batches)
    return {"random_log_prob": columns["class_log_prob"]}


def _in_weights(plan: Plan, subject: Checkpoint, unit: Unit) -> Columns:
    """Value vectors, or output embeddings, as far as there are any."""
    if unit.what == "words":
        return {"unembedding": output_embeddings(subject.folder)}
    vectors = value_vectors(subject.folder, plan.concepts)
    return {} if vectors is None else {"vectors": vectors}


def _compared_as_stored(plan: Plan, subject: Checkpoint, unit: Unit) -> dict[str, Columns]:
    """A retrained model against the others, from what the store has of both, never whole in memory."""
    found: dict[str, Columns] = {name: {} for name in unit.outputs}
    receive, logits = _receiver(plan, unit, found), _stored_logits(plan, subject, unit)
    for rows in _chunks(logits):
        receive(rows, len(logits), logits[rows[0] : rows[-1] + 1])
    return found


def _receiver(plan: Plan, unit: Unit, found: dict[str, Columns]) -> Reduce:
    """Keeps a retrained model's logits, and fills the distances to every retrained model row by row."""
    kept = found.get(f"logits-{unit.what}")
    references, compare = {versus(r, unit.what): r for r in plan.references}, plan.how.compare
    assert compare is not None  # only such kinds have splits on which models are compared
    theirs = {name: _stored_logits(plan, r, unit) for name, r in references.items() if name in found}

    def receive(rows: NDArray[np.int64], n_rows: int, logits: NDArray[np.float32]) -> None:
        if kept is not None:
            _fill(kept, {"logits": logits}, rows, n_rows)
        for name, reference in theirs.items():
            _refuse_other_width(logits, reference, references[name])
            _fill(found[name], compare(logits, reference[rows]), rows, n_rows)

    return receive


def _refuse_other_width(logits: NDArray[Any], reference: NDArray[Any], checkpoint: Checkpoint) -> None:
    if logits.shape[1:] != reference.shape[1:]:
        raise ScoringError(
            f"outputs of shape {logits.shape[1:]} cannot be compared with those of {checkpoint.name}, of shape "
            f"{reference.shape[1:]}; score models of other vocabularies or classes in runs of their own"
        )


def _fill(columns: Columns, values: Columns, rows: NDArray[np.int64], n_rows: int) -> None:
    for name, value in values.items():
        if name not in columns:
            columns[name] = np.empty((n_rows, *value.shape[1:]), value.dtype)
        columns[name][rows] = value


def _stored_logits(plan: Plan, reference: Checkpoint, unit: Unit) -> NDArray[np.float32]:
    """A shard of a retrained model's logits, mapped: only the rows that are asked for are read."""
    return plan.store.read(reference.key, f"logits-{unit.what}").shards[unit.shard]["logits"]


def _chunks(logits: NDArray[np.float32]) -> Iterator[NDArray[np.int64]]:
    size = max(1, CHUNK // (logits.itemsize * logits.shape[1]))
    for begin in range(0, len(logits), size):
        yield np.arange(begin, min(begin + size, len(logits)))


def _prompts(plan: Plan, model: Any) -> list[Any]:
    return [plan.encode(model, plan.examples["forget"][i]) for i in plan.sampled]


def _samples(plan: Plan, model: Any) -> Columns:
    return plan.how.sample(model, _prompts(plan, model), plan.sampling) if plan.how.sample else {}


def _leaked(plan: Plan, subject: Checkpoint, model: Any) -> Columns:
    """How much of the right answer each stored sample says, without a forward pass."""
    said = sampled_texts(model.tokenizer, plan.store.read(subject.key, "samples"))
    right = [plan.examples["forget"][i].answer.strip() for i in plan.sampled for _ in range(plan.samples)]
    leakage = np.full((len(plan.examples["forget"]), plan.samples), np.nan)
    leakage[list(plan.sampled)] = rouge(said, right).reshape(-1, plan.samples)
    return {"leakage": leakage}


def _continued(plan: Plan, unit: Unit, model: Any) -> Columns:
    """What the model writes on after every prefix of a shard's answers."""
    items = [plan.encode(model, example) for example in plan.shards("forget")[unit.shard]]
    begun = [
        replace(item, start=item.start + t) for item in items for t in range(1, len(item.ids) - item.start - N_GRAM + 1)
    ]
    written = greedy(model, begun, max_new_tokens=plan.max_new_tokens, batch_size=plan.batch_size) if begun else []
    ends = np.cumsum([0, *map(len, written)]).astype(np.int64)
    return {"offsets": ends, "token_id": np.array([i for tokens in written for i in tokens], np.int32)}


def _cross_scores(plan: Plan, subject: Checkpoint, model: Any, reference: Checkpoint) -> Columns:
    """Samples of each of two models under the other one."""
    ours, theirs = (plan.store.read(author.key, "samples") for author in (subject, reference))
    other = load(plan, reference)
    if plan.how.cross is not None:
        return plan.how.cross(model, other, _prompts(plan, model), ours, theirs, plan.sampling)
    if (rescore := plan.how.rescore) is None:
        return {}
    columns = {
        "by_reference": rescore(other, _prompts(plan, other), ours, plan.sampling),
        "of_reference": rescore(model, _prompts(plan, model), theirs, plan.sampling),
    }
    return columns | _steps(plan, (model, ours), (other, theirs)) if plan.stepped else columns


def _steps(plan: Plan, ours: tuple[Any, Split], theirs: tuple[Any, Split]) -> Columns:
    """Divergence of the other model from each at every step of its own samples, summed over the vocabulary."""
    (model, samples), (reference, reference_samples) = ours, theirs
    along = sampled_items(_prompts(plan, model), samples, plan.sampling)
    back = sampled_items(_prompts(plan, reference), reference_samples, plan.sampling)
    return {
        "step_kl_forward": pair_divergences(model, reference, along, **plan.batches)["kl"],
        "step_kl_reverse": pair_divergences(reference, model, back, **plan.batches)["kl"],
    }
