"""Which sequences go through the model together, and what happens where they do not fit."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch

T = TypeVar("T")

AUTO_START = 64
"""Sequences a forward pass with which an automatic batch size begins."""

Batch = tuple[int, ...]
BatchSize = int | Literal["auto"]


class OutOfMemory(RuntimeError):
    """A batch that does not fit."""


def batch_options(batch_size: BatchSize, max_tokens: int | None) -> dict[str, Any]:
    """Arguments of a scorer; those that not every kind knows only where they are set."""
    return {"batch_size": batch_size, **({} if max_tokens is None else {"max_tokens": max_tokens})}


@dataclass(frozen=True)
class BatchPlan:
    """Fixed batches of sequences of like length, the longest first: they depend on lengths and settings only.

    Attributes:
        batches: sequence numbers of each forward pass; every sequence is in one.
        settings: all that the composition of batches, and so the last bits of a score, depend on; plain values.
    """

    batches: tuple[Batch, ...]
    settings: dict[str, Any]


def batch_plan(lengths: Sequence[int], *, batch_size: BatchSize, max_tokens: int | None = None) -> BatchPlan:
    """Batches of sequences of like length, the longest first, so that what does not fit shows at once.

    Args:
        lengths: tokens of each sequence.
        batch_size: sequences a batch, at most; "auto" begins with 64 and is made smaller by what does not fit.
        max_tokens: tokens a batch with its padding, at most, except that one sequence is always taken; None for no cap.

    Raises:
        ValueError: if `batch_size` or `max_tokens` is less than 1.

    >>> batch_plan([3, 9, 4, 8], batch_size=2).batches
    ((1, 3), (2, 0))
    >>> batch_plan([3, 9, 4, 8], batch_size=4, max_tokens=9).batches
    ((1,), (3,), (2, 0))
    """
    size = AUTO_START if batch_size == "auto" else batch_size
    for name, value in (("batch_size", size), ("max_tokens", max_tokens)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1, but it is {value}")
    order = deque(sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)))
    batches = []
    while order:
        fits = size if max_tokens is None else min(size, max(1, max_tokens // max(1, lengths[order[0]])))
        batches.append(tuple(order.popleft() for _ in range(min(fits, len(order)))))
    settings = {
        "batch_size": batch_size,
        "max_tokens": max_tokens,
        "order": "longest first",
        "torch_threads": torch.get_num_threads(),
    }
    return BatchPlan(tuple(batches), settings)


def run_batches(plan: BatchPlan, work: Callable[[Batch], None]) -> None:
    """Do `work` for every batch; with an automatic batch size one that does not fit is halved, and all after it.

    Args:
        plan: the batches.
        work: run again for parts of a batch in whose midst memory ran out, so it must be safe to repeat.

    Raises:
        OutOfMemory: if a batch does not fit and its size is given, or it is one sequence.
    """
    waiting = deque(plan.batches)
    while waiting:
        batch = waiting.popleft()
        problem = _out_of_memory(work, batch)
        if problem is None:
            continue
        if plan.settings["batch_size"] != "auto" or len(batch) == 1:
            raise OutOfMemory(_does_not_fit(len(batch), problem))
        _give_back()
        waiting = deque(part for b in (batch, *waiting) for part in _parts(b, (len(batch) + 1) // 2))


def fitting(work: Callable[[int], T], batch_size: BatchSize) -> T:
    """What `work` makes with a batch size; from the start again with half of it where an automatic one does not fit.

    Args:
        work: from a batch size to anything; safe to repeat.
        batch_size: "auto" begins with 64.

    Raises:
        OutOfMemory: if the size is given, or it is one sequence.

    >>> fitting(lambda n: [n], 3)
    [3]
    """
    size, made = AUTO_START if batch_size == "auto" else batch_size, list[T]()
    while problem := _out_of_memory(lambda n: made.append(work(n)), size):
        if batch_size != "auto" or size == 1:
            raise OutOfMemory(_does_not_fit(size, problem))
        _give_back()
        size = (size + 1) // 2
    return made[0]


def _does_not_fit(size: int, problem: str) -> str:
    if size == 1:
        return f"out of memory with a single sequence; shorten or drop it ({problem})"
    return (
        f"out of memory with {size} sequences a forward pass; lower batch_size, or let it be found with "
        f'batch_size="auto" ({problem})'
    )


def _give_back() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _out_of_memory(work: Callable[[Any], None], given: Any) -> str | None:
    """What went wrong, as text: the error itself would keep everything alive that has to be given back."""
    try:
        work(given)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of a GPU or the CPU, ran out."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    return (batch[begin : begin + size] for begin in range(0, len(batch), size))
