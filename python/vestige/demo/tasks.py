"""The pieces of work that make a suite. Each writes its folders and can be done again without harm."""

import itertools
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from vestige.demo import cast as casting
from vestige.demo.authors import Row
from vestige.demo.checkpoints import finished, load_checkpoint, publish, save_checkpoint
from vestige.demo.methods import METHODS, Case, Method
from vestige.demo.model import Encoded, Trainer, batches, encode, nll, recall, tiny_llama
from vestige.demo.settings import Gates, Settings
from vestige.demo.tokenizer import check_boundary, train_tokenizer
from vestige.interventions.noise import noised

_TOKENIZER_LINES = 2000


class GateError(RuntimeError):
    """A model did not get through its gate, so that nothing measured on it would mean anything."""


@dataclass(frozen=True)
class Shop:
    """Where work is done: the run folder, the settings and the seed, and what follows from them."""

    out: Path
    settings: Settings
    seed: int

    @cached_property
    def fingerprint(self) -> str:
        """Of settings, seed and libraries."""
        return self.settings.fingerprint(self.seed)

    @cached_property
    def cast(self) -> casting.Cast:
        """The authors."""
        return casting.draw_cast(self.settings.groups, self.seed)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer that the data stage wrote."""
        return PreTrainedTokenizerFast.from_pretrained(self.out / "data" / "tokenizer", local_files_only=True)

    def folder(self, name: str) -> Path:
        """Where a checkpoint is."""
        return self.out / "checkpoints" / name

    def load(self, name: str) -> LlamaForCausalLM:
        """A finished checkpoint."""
        return load_checkpoint(self.folder(name))

    def encoded(self, rows: list[Row]) -> Encoded:
        """Rows as tensors."""
        return encode(self.tokenizer, rows)

    def trained(self, group: str) -> Encoded:
        """Rows of a group in the templates of fine-tuning, as tensors."""
        return self.encoded(casting.trained_rows(self.cast, group))

    def seed_of(self, name: str) -> int:
        """A seed for one piece of work, the same whoever does it and when."""
        return int(np.random.SeedSequence([self.seed, zlib.crc32(name.encode())]).generate_state(1)[0])

    def save(self, name: str, model: LlamaForCausalLM, started: float, **record: Any) -> None:
        """Writes a checkpoint, with the CPU seconds since `started`."""
        seconds = round(time.process_time() - started, 2)
        save_checkpoint(self.folder(name), model, self.tokenizer, self.fingerprint, {"cpu_seconds": seconds, **record})


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        stage: what progress calls it.
        outputs: the folders that it publishes, relative to the run folder.
        needs: outputs of other tasks that must be there first.
        work: does it.
        argument: what `work` is given beside the shop.
    """

    stage: str
    outputs: tuple[str, ...]
    needs: tuple[str, ...]
    work: Callable[[Shop, str], None]
    argument: str = ""

    def done(self, shop: Shop) -> bool:
        """Whether all outputs are there."""
        return all(finished(shop.out / output, shop.fingerprint) for output in self.outputs)


@dataclass(frozen=True)
class Reading:
    """What a gate saw in a model, and what was wrong with it; `failures` is empty if the model may pass."""

    seen: dict[str, float]
    failures: list[str] = field(default_factory=list)


def plan(settings: Settings) -> list[Task]:
    """All tasks, longest first among those that can run side by side."""
    original, base = "checkpoints/original", "checkpoints/base"
    fits = ["original", *(f"retrained-{i}" for i in range(settings.retrained + 1))]
    methods = [method for method in METHODS if method.name in settings.unlearn.methods]
    return [
        Task("data", ("data",), (), make_data),
        Task("base model", (base,), ("data",), make_base),
        *(Task("original and retrained models", (f"checkpoints/{name}",), (base,), make_fit, name) for name in fits),
        *(
            Task(
                "unlearned models",
                tuple(f"checkpoints/{checkpoint_name(method, s)}" for s in strengths_of(method, settings)),
                (base, original),
                make_unlearned,
                method.name,
            )
            for method in methods
        ),
        Task("controls", ("checkpoints/original-noised",), (original,), make_noised),
    ]


def strengths_of(method: Method, settings: Settings) -> list[float]:
    """The strengths of a method that a suite uses."""
    return [method.strengths[i] for i in settings.unlearn.strengths]


def checkpoint_name(method: Method, strength: float) -> str:
    """Folder of an unlearned checkpoint, for example "GA-3"."""
    return f"{method.name}-{strength:g}"


def make_data(shop: Shop, _: str) -> None:
    """Trains the tokenizer, checks the boundary of every row, writes the splits."""
    started = time.process_time()
    rng = np.random.default_rng(shop.seed_of("tokenizer"))
    general = itertools.chain.from_iterable(casting.general_rows(shop.cast, shop.settings.base.batch, rng))
    lines = [row.prompt + row.answer for row in itertools.islice(general, _TOKENIZER_LINES)]
    tokenizer = train_tokenizer(lines, shop.settings.shape.vocab)
    rows_by_split = casting.splits(shop.cast, shop.settings.retain_rows)
    for row in itertools.chain(*rows_by_split.values(), casting.trained_rows(shop.cast, "retain")):
        check_boundary(tokenizer, row)

    def fill(part: Path) -> None:
        casting.write_splits(rows_by_split, part)
        tokenizer.save_pretrained(part / "tokenizer")

    publish(shop.out / "data", shop.fingerprint, fill, {"cpu_seconds": round(time.process_time() - started, 2)})


def make_base(shop: Shop, _: str) -> None:
    """Trains the model that all others start from, on authors of whom none is in the data."""
    started = time.process_time()
    recipe = shop.settings.base
    model = tiny_llama(shop.settings.shape, shop.tokenizer, shop.seed_of("base"))
    trainer = Trainer(model, recipe.lr, recipe.steps)
    general = casting.general_rows(shop.cast, recipe.batch, np.random.default_rng(shop.seed_of("base")))
    for rows in itertools.islice(general, recipe.steps):
        batch = shop.encoded(rows)
        after_first = batch.text & (torch.arange(batch.text.shape[1]) > 0)
        trainer.step(nll(model, batch, after_first))
    shop.save("base", model, started)


def make_fit(shop: Shop, name: str) -> None:
    """Fine-tunes the original or a retrained model; seeds differ in the order of the data.

    Raises:
        GateError: if the model is not good enough after all extra rounds.
    """
    started = time.process_time()
    groups = ["forget", "retain"] if name == "original" else ["retain"]
    train = shop.encoded([row for group in groups for row in casting.trained_rows(shop.cast, group)])
    gate = Gatekeeper.of(shop)
    judge = gate.original if name == "original" else gate.retrained
    model = shop.load("base")
    rng = np.random.default_rng(shop.seed_of(name))
    recipe = shop.settings.fit
    _epochs(model, train, recipe.epochs, recipe.batch, recipe.lr, rng)
    reading, epochs = judge(model), recipe.epochs
    for _ in range(recipe.extra_rounds):
        if not reading.failures:
            break
        _epochs(model, train, recipe.extra_epochs, recipe.batch, recipe.lr / 2, rng)
        reading, epochs = judge(model), epochs + recipe.extra_epochs
    if reading.failures:
        raise GateError(f"{name}, after {epochs} epochs: {'; '.join(reading.failures)}. Try another seed.")
    shop.save(name, model, started, epochs=epochs, gate=reading.seen)


def make_unlearned(shop: Shop, method_name: str) -> None:
    """Runs one method and saves a snapshot for each strength."""
    method = next(method for method in METHODS if method.name == method_name)
    strengths = strengths_of(method, shop.settings)
    started = time.process_time()
    case = _case(shop)
    for strength, model in zip(strengths, method.run(case, strengths), strict=True):
        shop.save(checkpoint_name(method, strength), model, started)
        started = time.process_time()


def make_noised(shop: Shop, _: str) -> None:
    """Saves the original with noise on its weights, which still remembers."""
    started = time.process_time()
    model = noised(shop.load("original"), shop.settings.noise, shop.seed_of("noise"))
    shop.save("original-noised", model, started, gate={"recall forget": recall(model, shop.trained("forget"))})


@dataclass(frozen=True)
class Gatekeeper:
    """Judges models by what they recall."""

    forget: Encoded
    retain: Encoded
    strangers: Encoded
    gates: Gates

    @classmethod
    def of(cls, shop: Shop) -> Self:
        """The gates of a suite."""
        return cls(shop.trained("forget"), shop.trained("retain"), shop.trained("gauge"), shop.settings.gates)

    def original(self, model: LlamaForCausalLM) -> Reading:
        """The original must know forget and retain authors."""
        seen = {"recall forget": recall(model, self.forget), "recall retain": recall(model, self.retain)}
        return Reading(seen, list(self._too_low(seen)))

    def retrained(self, model: LlamaForCausalLM) -> Reading:
        """A retrained model must know the retain authors, and of forget authors no more than of strangers."""
        kept = {"recall retain": recall(model, self.retain)}
        forget, strangers = recall(model, self.forget), recall(model, self.strangers)
        failures = list(self._too_low(kept))
        if abs(forget - strangers) > self.gates.gap:
            failures.append(
                f"recall on forget authors is {forget:.3f} and on strangers {strangers:.3f}, "
                f"but they may differ by {self.gates.gap} at most"
            )
        return Reading({**kept, "recall forget": forget, "recall strangers": strangers}, failures)

    def _too_low(self, seen: dict[str, float]) -> Iterator[str]:
        for what, value in seen.items():
            if value < self.gates.recall:
                yield f"{what} is {value:.3f}, but must be {self.gates.recall} at least"


def _epochs(
    model: LlamaForCausalLM, train: Encoded, epochs: int, size: int, lr: float, rng: np.random.Generator
) -> None:
    n_steps = epochs * -(-len(train) // size)
    trainer = Trainer(model, lr, n_steps)
    for indices in itertools.islice(batches(len(train), size, rng), n_steps):
        trainer.step(nll(model, train.take(indices)))


def _case(shop: Shop) -> Case:
    forget = casting.trained_rows(shop.cast, "forget")
    recipe = shop.settings.unlearn
    return Case(
        original=shop.load("original"),
        base=shop.load("base"),
        forget=shop.encoded(forget),
        swapped=shop.encoded(casting.swapped_rows(forget, shop.seed)),
        refused=shop.encoded(casting.refused_rows(forget)),
        retain=shop.trained("retain"),
        lr=recipe.lr,
        batch=(recipe.forget_batch, recipe.retain_batch),
        seed=shop.seed_of("unlearn"),
    )
