"""What a run will take: disk, memory and, roughly, time, said before anything is loaded.

Disk and passes are counted from the data and the models' configurations. Time is a rough estimate: twice the weights'
number of operations a token, at half the speed that a matrix product has on one core here, and a fixed time a pass.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from time import perf_counter

import numpy as np

from vestige.evaluation.sizes import FLOAT_BYTES, Lengths, Shape, lengths
from vestige.evaluation.tasks import EvaluationError, Task
from vestige.evaluation.widths import Widths, n_values, widths
from vestige.metrics.extraction import N_GRAM
from vestige.report.numbers import size
from vestige.scoring import restoring
from vestige.scoring.batching import AUTO_START
from vestige.scoring.diffusion_sampling import N_STEPS
from vestige.scoring.option_orders import option_orders
from vestige.scoring.recorded import recorded_file
from vestige.scoring.subject import kept_bytes, weight_bytes
from vestige.scoring.units import PREFIXES, SAMPLED, Plan, Unit, further_split, patched_split, untrained_split

RECORD_BYTES = 1200
"""A shard's record and header, and a manifest's share."""

OWN_BYTES = 2100
"""Likewise of a split of the data, with more settings and columns."""

READ_BYTES = 500e6
"""Bytes of weights read a second."""

PASS_SECONDS = 0.005
"""What a forward pass takes whatever its size."""


@dataclass(frozen=True)
class Cost:
    """What is left of a task, or of several.

    Attributes:
        passes: forward passes.
        disk: bytes written to the store.
        seconds: a rough estimate for one worker on one core.
        memory: bytes of weights and rows held at once, beside the libraries' own.
    """

    passes: int = 0
    disk: int = 0
    seconds: float = 0.0
    memory: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Both, one after the other."""
        return Cost(
            self.passes + other.passes,
            self.disk + other.disk,
            self.seconds + other.seconds,
            max(self.memory, other.memory),
        )


def cost_of(task: Task) -> Cost:
    """What is left of a task; nothing of a finished one."""
    plan, missing = task.plan, task.plan.missing(task.checkpoint, task.phase)
    if not missing:
        return Cost()
    if task.checkpoint.form == "recorded":
        return _of_recorded(task, missing)
    shape, total = Shape(task.checkpoint.folder), sum((_of_unit(plan, unit, task) for unit in missing), Cost())
    loads = weight_bytes(task.checkpoint.folder) / READ_BYTES if total.passes else 0.0
    weights = shape.n_parameters * (2 if plan.dtype in ("bfloat16", "float16") else FLOAT_BYTES)
    return total + Cost(seconds=loads, memory=total.memory + weights + _beside(plan, missing))


def refuse_full_disk(costs: Iterable[Cost], folder: Path) -> None:
    """Stop before work whose results would not fit.

    Raises:
        EvaluationError: if the disk of the folder has less room than the scores will take.
    """
    needed, free = sum(cost.disk for cost in costs), shutil.disk_usage(_nearest(folder)).free
    if needed > free:
        raise EvaluationError(
            f"the scores will take about {size(needed)}, and the disk of {folder} has {size(free)} free; make "
            "room, choose another folder, or take fewer models or examples"
        )


def _of_unit(plan: Plan, unit: Unit, task: Task) -> Cost:
    shape, n_shards = Shape(task.checkpoint.folder), len(unit.outputs)
    if unit.what == "parameters":
        read = sum(weight_bytes(c.folder) for c in (task.checkpoint, *plan.references))
        return Cost(disk=n_shards * RECORD_BYTES, seconds=read / READ_BYTES)
    if unit.what in ("concepts", "words"):
        n_rows = len(plan.concepts) if unit.what == "concepts" else shape.n_classes
        disk = FLOAT_BYTES * n_rows * shape.n_features
        return Cost(disk=disk + RECORD_BYTES, seconds=disk / READ_BYTES)
    if unit.what in ("samples", "cross"):
        return _of_sampling(plan, unit, shape)
    if unit.what.startswith("judged-"):
        return _of_judging(plan, unit, shape)
    if unit.what.startswith("restored-"):
        return _of_restoring(plan, unit, shape)
    if unit.what == SAMPLED:
        return Cost(disk=len(plan.examples["forget"]) * plan.samples * 8 + RECORD_BYTES)
    if unit.what == PREFIXES:
        return _of_prefixes(plan, shape, _lengths(plan, task, "forget", unit))
    split = next(s for s in plan.examples if unit.what in (s, further_split(s), patched_split(s), untrained_split(s)))
    known = _lengths(plan, task, split, unit)
    if unit.what in (split, untrained_split(split)):
        return _of_split(plan, unit, shape, known)
    return (_of_patching if unit.what == patched_split(split) else _of_further)(task, split, shape, known)


def _of_judging(plan: Plan, unit: Unit, shape: Shape) -> Cost:
    """Images are drawn in `N_STEPS` passes and each looked at by every judge; real ones are looked at only."""
    split = unit.what.removeprefix("judged-")
    n_examples = len(plan.shards(split)[unit.shard])
    n_images, steps = (n_examples * plan.samples, N_STEPS) if split == "images" else (n_examples, 0)
    passes = (steps + len(plan.judges)) * ceil(n_images / _sequences(plan))
    return Cost(passes, n_images * 4096 * FLOAT_BYTES + RECORD_BYTES, _seconds(shape, n_images * steps, passes))


def _of_restoring(plan: Plan, unit: Unit, shape: Shape) -> Cost:
    """Copies of every image go back step by step; they and the image are kept as the denoiser sees them."""
    n_images = len(plan.shards(unit.what.removeprefix("restored-"))[unit.shard])
    n_copies, n_steps = n_images * restoring.N_COPIES, restoring.N_STEPS
    passes = n_steps * ceil(n_copies / _sequences(plan))
    kept = (n_images + n_copies) * FLOAT_BYTES * n_values(shape.folder)
    return Cost(passes, kept + RECORD_BYTES, _seconds(shape, n_copies * n_steps, passes))


def _of_recorded(task: Task, missing: Sequence[Unit]) -> Cost:
    """Every text is kept once among all and once more if it is the first of its prompt."""
    splits = {unit.what for unit in missing}
    found = [path for split in splits if (path := recorded_file(task.checkpoint.folder, split))]
    n_bytes = sum(path.stat().st_size for path in found)
    return Cost(disk=2 * n_bytes + len(missing) * RECORD_BYTES, seconds=n_bytes / READ_BYTES, memory=4 * n_bytes)


def _lengths(plan: Plan, task: Task, split: str, unit: Unit) -> Lengths:
    """Of the examples of one shard."""
    where = slice(*(n * len(plan.shards(split)[0]) for n in (unit.shard, unit.shard + 1)))
    whole = lengths(_with_tokenizer(plan, task), plan.examples[split])
    scored = whole.scored if plan.how.rescore else np.ones_like(whole.scored)  # one label or image an example
    return Lengths(whole.tokens[where], scored[where])


def _of_prefixes(plan: Plan, shape: Shape, known: Lengths) -> Cost:
    """Every prefix of every long answer is read once and written on token by token."""
    n_prefixes = np.maximum(known.scored - N_GRAM, 0)
    drawn = int(n_prefixes.sum()) * plan.max_new_tokens
    passes = ceil(int(n_prefixes.sum()) / _sequences(plan)) * plan.max_new_tokens
    seconds = _seconds(shape, int((n_prefixes * known.tokens).sum()) + drawn, passes)
    return Cost(passes, drawn * 4 + int(n_prefixes.sum()) * 8 + RECORD_BYTES, seconds)


def _of_split(plan: Plan, unit: Unit, shape: Shape, known: Lengths) -> Cost:
    n_scored, n_examples = int(known.scored.sum()), len(known.scored)
    own, width = unit.what in unit.outputs or unit.what.startswith("untrained-"), widths(plan, shape)
    a_row = sum(_bytes_a_row(name, unit, width) for name in unit.outputs)
    of_examples = n_examples * (width.features + 8) + OWN_BYTES - RECORD_BYTES if own else 0
    passes = _passes(plan, known) if own else 0
    batch = int(np.sort(known.scored)[-_sequences(plan) :].sum()) * width.logits * 2
    kept = n_scored * width.logits if f"logits-{unit.what}" in unit.outputs else 0
    return Cost(
        passes,
        n_scored * a_row + of_examples + len(unit.outputs) * RECORD_BYTES,
        _seconds(shape, int(known.tokens.sum()) if own else 0, passes),
        batch + kept,
    )


def _of_further(task: Task, split: str, shape: Shape, known: Lengths) -> Cost:
    """Other answers are scored, texts drawn token by token, a gradient costs as much as three passes, a lens two."""
    plan, n_examples, n_tokens = task.plan, len(known.tokens), int(known.tokens.sum())
    asked = plan.further_of(split, task.checkpoint.form)
    first = plan.examples[split][0]
    n_others = len(first.perturbed_answers) + len(first.options) + 1 if "alternatives" in asked else 0
    n_others += len(option_orders(len(first.options), plan.seed)) if "orders" in asked else 0
    n_others += len(first.paraphrases) if "rephrased" in asked else 0
    n_others += len(first.rewordings) if "probes" in asked else 0
    drawn = plan.max_new_tokens if "texts" in asked else 0
    backward = n_examples if "gradients" in asked else 0
    lenses = 2 if "lens" in asked else 0
    passes = (n_others + drawn + lenses) * _passes(plan, known) + backward
    read = (n_others + lenses) * n_tokens + drawn * n_examples + (3 * n_tokens if backward else 0)
    gradients = shape.n_parameters * FLOAT_BYTES if backward else 0
    disk = n_examples * (8 * n_others + 5 * drawn) + RECORD_BYTES
    return Cost(passes, disk, _seconds(shape, read, passes), gradients)


def _of_patching(task: Task, _: str, shape: Shape, known: Lengths) -> Cost:
    """The model reads the examples once, the original once a layer."""
    n_tokens, n_batches = int(known.tokens.sum()), _passes(task.plan, known)
    passes = (1 + shape.n_layers) * n_batches
    disk = FLOAT_BYTES * shape.n_layers * int(known.scored.sum()) + RECORD_BYTES
    return Cost(passes, disk, _seconds(shape, (1 + shape.n_layers) * n_tokens, passes))


def _passes(plan: Plan, known: Lengths) -> int:
    """Forward passes over examples once, by their number or by their tokens."""
    by_tokens = ceil(int(known.tokens.sum()) / plan.max_tokens) if plan.max_tokens else 0
    return max(ceil(len(known.tokens) / _sequences(plan)), by_tokens)


def _sequences(plan: Plan) -> int:
    """Of one forward pass; what an automatic size begins with."""
    return AUTO_START if plan.batch_size == "auto" else plan.batch_size


def _bytes_a_row(name: str, unit: Unit, width: Widths) -> int:
    if name == f"logits-{unit.what}":
        return width.logits
    return width.own if name == unit.what else width.versus


def _of_sampling(plan: Plan, unit: Unit, shape: Shape) -> Cost:
    """Samples are drawn token by token, then scored; a cross-score is two such scorings a retrained model."""
    n_samples = len(plan.sampled) * plan.samples
    n_tokens, scorings = n_samples * plan.max_new_tokens, 1 if unit.what == "samples" else 2 * len(unit.outputs)
    drawn = n_tokens if unit.what == "samples" else 0
    passes = scorings * ceil(n_samples / _sequences(plan)) + (plan.max_new_tokens if drawn else 0)
    width = widths(plan, shape)
    a_sample = width.sample or 17 + 4 * plan.max_new_tokens
    disk = n_samples * a_sample if drawn else len(unit.outputs) * n_samples * width.cross
    batch = min(_sequences(plan), n_samples) * plan.max_new_tokens * shape.n_classes * FLOAT_BYTES * 2
    seconds = _seconds(shape, drawn + scorings * n_tokens * 2, passes)
    return Cost(passes, disk + len(unit.outputs) * RECORD_BYTES, seconds, batch)


def _seconds(shape: Shape, n_tokens: int, passes: int) -> float:
    return 2 * shape.n_parameters * n_tokens / (_operations_a_second() / 2) + passes * PASS_SECONDS


def _beside(plan: Plan, missing: Sequence[Unit]) -> int:
    """Bytes of the models that are loaded beside the task's own."""
    beside = any(unit.what == "cross" or unit.what == patched_split(plan.patched) for unit in missing)
    return (kept_bytes(plan) or max(weight_bytes(each.folder) for each in plan.companions)) if beside else 0


def _with_tokenizer(plan: Plan, task: Task) -> Path:
    """All models of a run have the same tokenizer, so that its file is read once."""
    return plan.references[0].folder if plan.references else task.checkpoint.folder


@cache
def _operations_a_second() -> float:
    """Of a matrix product here, the faster of a few."""
    a = np.ones((512, 512), np.float32)
    return 2 * 512**3 / min(_timed(a) for _ in range(4))


def _timed(a: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> float:
    began = perf_counter()
    _ = a @ a
    return perf_counter() - began


def _nearest(folder: Path) -> Path:
    return next(path for path in _upwards(folder.absolute()) if path.is_dir())


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents
