"""Causal language models: what they say of given answers, and what they say on their own.

Every number is computed from float32 logits whatever the weights' precision, in batches that depend on nothing but the
data and the settings. Only rows that predict a scored token are computed, and only `CHUNK_BYTES` of them held at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vestige import kernels
from vestige.scoring.batching import Batch, OutOfMemory, batch_plan, run_batches
from vestige.scoring.forward import ScoringError as ScoringError
from vestige.scoring.forward import TokenItem, TokenModel, forward, refuse_overlong, to_device
from vestige.scoring.generation import generate as generate
from vestige.scoring.outputs import Columns, Landing, Outputs, token_columns

Reduce = Callable[[NDArray[np.int64], int, NDArray[np.float32]], None]
"""Called with row numbers, the number of rows in all, and these rows of logits."""


@dataclass(frozen=True)
class BatchNoise:
    """How much the company of others in a batch changes a token's log-probability, in nats.

    Attributes:
        largest: of all tokens.
        mean: over tokens.
        n_tokens: scored tokens.
        batch_size: sequences a forward pass, compared with one at a time.
        dtype: of the weights.
    """

    largest: float
    mean: float
    n_tokens: int
    batch_size: int
    dtype: str


def score(
    model: TokenModel,
    items: Sequence[TokenItem],
    *,
    batch_size: int | Literal["auto"],
    layer: int = -2,
    reduce: Reduce | None = None,
    outputs: Outputs | None = None,
    max_tokens: int | None = None,
) -> Columns:
    """What a model says of the scored tokens of each item, teacher-forced.

    Args:
        model: a loaded model of any kind that speaks in tokens, with `model`, `name` and `device`.
        items: token ids with the index of the first scored token, and `inputs` where the model takes more than ids
            (see `forward.TokenItem`). A model whose `has_hidden` is false has no `hidden`.
        batch_size: sequences a forward pass, at most; sequences of like length go together. "auto" begins with 64 and
            is halved by what does not fit in memory; `batch_size_used` then says with how many each went, and the last
            bits of the numbers depend on the machine.
        layer: the hidden states that are kept where `outputs` does not say more; -2 is the output of the last block
            but one.
        reduce: called with row numbers, the number of rows in all, and these rows of logits (n_rows, n_classes), for
            anything that needs whole rows; they are not kept. With "auto" a row may come a second time.
        outputs: what is kept; default `Outputs(layers=(layer,))`.
        max_tokens: tokens a forward pass with padding, at most.

    Returns:
        Columns by name; with n_tokens scored tokens in all: `offsets` (n_items + 1,) int64, `token_id` (n_tokens,)
        int32, all of `outputs.token_columns`, and `hidden`, with more layers also `hidden.LAYER`, float32, (n_items,
        n_features), or (n_items, n_positions, n_features) at given positions.

    Raises:
        ScoringError: if there is no item, a logit is NaN or infinite, there is no such layer or position, memory runs
            out, or an item is longer than the model's context.
    """
    if not items:
        raise ScoringError(f"{model.name}: there is nothing to score; the data set is empty")
    outputs = outputs or Outputs(layers=(layer,))
    if not getattr(model, "has_hidden", True):
        outputs = replace(outputs, layers=())
    lengths = [len(item.ids) for item in items]
    refuse_overlong(model, max(lengths))
    _refuse_positions(model, items, outputs)
    scoring = _Scoring(model, items, outputs, reduce, record_batch_size=batch_size == "auto")
    try:
        run_batches(batch_plan(lengths, batch_size=batch_size, max_tokens=max_tokens), scoring.run)
    except OutOfMemory as error:
        raise ScoringError(f"{model.name}: {error}") from error
    scoring.landing.finish()
    return scoring.columns


def sequence_log_probs(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Log-probability of each sequence's scored tokens together, shape (n_sequences,), nats."""
    return np.add.reduceat(columns["token_log_prob"].astype(np.float64), columns["offsets"][:-1])


def divergence_columns(p: NDArray[Any], q: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """JS, both KL (nats) and TV of matching rows of logits: `kl` is KL(p || q), `reverse_kl` KL(q || p)."""
    both = kernels.divergences(p, q, kinds=("kl", "js", "tv"), space="logits")
    return {**both, "reverse_kl": kernels.kl_divergence(q, p, space="logits")}


def batch_noise(model: TokenModel, items: Sequence[TokenItem], *, batch_size: int) -> BatchNoise:
    """How far a token's log-probability moves when its sequence is scored with others and not alone.

    Differences between models below it mean nothing. In float32 it is about 1e-6 nats, in bfloat16 about 1e-2.

    Args:
        model: a loaded model that speaks in tokens.
        items: a few dozen of what is scored.
        batch_size: sequences a forward pass.

    Raises:
        ScoringError: as `score`.
    """
    alone, together = (score(model, items, batch_size=n)["token_log_prob"] for n in (1, batch_size))
    apart = np.abs(alone.astype(np.float64) - together)
    dtype = str(next(model.model.parameters()).dtype).removeprefix("torch.")
    return BatchNoise(float(apart.max()), float(apart.mean()), len(apart), batch_size, dtype)


class _Scoring:
    """One call of `score`: its columns, as they fill."""

    def __init__(
        self,
        model: TokenModel,
        items: Sequence[TokenItem],
        outputs: Outputs,
        reduce: Reduce | None,
        record_batch_size: bool,
    ) -> None:
        self.model, self.items, self.outputs, self.reduce = model, items, outputs, reduce
        self.record_batch_size = record_batch_size
        offsets = np.cumsum([0, *(len(item.ids) - item.start for item in items)]).astype(np.int64)
        token_id = np.concatenate([np.asarray(item.ids[item.start :], np.int32) for item in items])
        self.columns: Columns = {"offsets": offsets, "token_id": token_id}
        self.landing = Landing(self.land)

    def run(self, batch: Batch) -> None:
        """One forward pass, and all that is kept of it sent on its way to the columns."""
        chosen, device = [self.items[i] for i in batch], self.model.device
        said = forward(self.model, chosen, self.outputs.layers, self.outputs.pool(chosen, device))
        of_items = dict(zip(self.outputs.hidden_names(), said.features, strict=True))
        if self.record_batch_size:
            of_items["batch_size_used"] = torch.full((len(batch),), len(batch), dtype=torch.int32)
        self.landing.send(np.asarray(batch), len(self.items), of_items)
        offsets, token_id = self.columns["offsets"], self.columns["token_id"]
        rows, begin = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in batch]), 0
        for logits in said.chunks:
            part = rows[begin : begin + len(logits)]
            target = to_device(torch.from_numpy(token_id[part]).long(), device)
            of_tokens = token_columns(logits, target, self.outputs)
            whole = {} if self.reduce is None else {"logits": logits}
            self.landing.send(part, len(token_id), of_tokens | whole)
            begin += len(logits)
            del logits, whole

    def land(self, rows: NDArray[np.int64], n_rows: int, values: Columns) -> None:
        """Columns of these rows are here."""
        if "logsumexp" in values:
            _refuse_broken(self.model, values["logsumexp"], rows, self.columns["offsets"])
        logits = values.pop("logits", None)
        for name, value in values.items():
            if name not in self.columns:
                self.columns[name] = np.empty((n_rows, *value.shape[1:]), value.dtype)
            self.columns[name][rows] = value
        if self.reduce is not None and logits is not None:
            self.reduce(rows, n_rows, logits)


def _refuse_positions(model: TokenModel, items: Sequence[TokenItem], outputs: Outputs) -> None:
    for position in () if isinstance(outputs.pooling, str) else outputs.pooling:
        for number, item in enumerate(items):
            if not -item.start <= position < len(item.ids) - item.start:
                raise ScoringError(
                    f"{model.name}: example number {number + 1} has no position {position}; counted from its first "
                    f"scored token it has {-item.start} to {len(item.ids) - item.start - 1}"
                )


def _refuse_broken(
    model: TokenModel, logsumexp: NDArray[np.float32], rows: NDArray[np.int64], offsets: NDArray[np.int64]
) -> None:
    """A NaN or infinite logit makes the row's logsumexp NaN or infinite."""
    bad = ~np.isfinite(logsumexp)
    if bad.any():
        example = int(np.searchsorted(offsets, rows[bad][0], side="right")) - 1
        raise ScoringError(
            f"{model.name}: NaN or infinite logits at {int(bad.sum())} of {len(bad)} tokens, first in example number "
            f"{example + 1}; the checkpoint is broken or its precision too low (try dtype: float32)"
        )
