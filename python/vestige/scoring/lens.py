"""Answers that an attacker who reads the layers finds among few candidates: states read through the output head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige.scoring.batching import batch_plan
from vestige.scoring.forward import (
    ScoringError,
    TokenItem,
    TokenModel,
    answering,
    forward,
    further_inputs,
    padded,
    rows_a_chunk,
)
from vestige.scoring.outputs import Outputs
from vestige.scoring.patching import blocks

N_LAYERS = 10
"""Blocks that are read at most, spread evenly up to the last: of each, a budget of 20 buys the two likeliest tokens."""


def lens_budgets(model: TokenModel, items: Sequence[TokenItem], *, batch_size: int) -> dict[str, NDArray[np.float64]]:
    """How many candidates find the first token of each answer, see `metrics.probing.candidate_budgets`.

    The state that predicts this token is taken behind each block that is read, and becomes a distribution as the last
    block's does, by the model's own final norm and head. At any time the logits of as many items as fit `CHUNK_BYTES`
    are held, never those of whole sequences.

    Args:
        model: of any kind that speaks in tokens.
        items: token ids with the index of the first scored token; what comes after that one is not read.
        batch_size: items a forward pass.

    Returns:
        `lens_budget` and, by what changes from one block that is read to the next, `change_budget` (NaN where there is
        but one block), each (n_items,) float64, in candidates.

    Raises:
        ScoringError: if the model's blocks, or its decoder, cannot be found.

    Source: arXiv 2309.17410, head projection and probability delta attacks; which blocks are read: defined here.
    """
    layers, head = read_layers(len(blocks(model))), _Head.of(model, items[0])
    found = torch.empty(len(items), 2, dtype=torch.float64)
    cut = [_Cut(item) for item in items]
    for batch in batch_plan([len(item.ids) for item in cut], batch_size=batch_size).batches:
        found[list(batch)] = _budgets_of_batch(model, head, [cut[i] for i in batch], layers).cpu()
    return {name: found[:, i].numpy() for i, name in enumerate(("lens_budget", "change_budget"))}


def read_layers(n_blocks: int) -> list[int]:
    """The blocks that are read, counted from 1, the last among them.

    >>> read_layers(4), read_layers(28)
    ([1, 2, 3, 4], [1, 4, 7, 10, 13, 16, 19, 22, 25, 28])
    """
    return [int(layer) for layer in np.linspace(1, n_blocks, min(N_LAYERS, n_blocks)).round()]


@dataclass(frozen=True, slots=True)
class _Cut:
    """An item up to its first scored token."""

    item: TokenItem

    @property
    def ids(self) -> tuple[int, ...]:
        return self.item.ids[: self.start + 1]

    @property
    def start(self) -> int:
        return self.item.start

    @property
    def inputs(self) -> Mapping[str, torch.Tensor]:
        return further_inputs(self.item)


@dataclass(frozen=True)
class _Head:
    """What a model does with the states behind its last block.

    Attributes:
        model: the model.
        tail: the decoder's parts behind its blocks, in the order in which they are called.
        kind: type of the decoder's output.
        example: an item to call the model with; its decoder does not run.
    """

    model: TokenModel
    tail: tuple[torch.nn.Module, ...]
    kind: Any
    example: TokenItem

    @classmethod
    @torch.inference_mode()
    def of(cls, model: TokenModel, example: TokenItem) -> "_Head":
        """Found by one forward pass: what of the decoder's own parts is called after the last block."""
        decoder, last = _decoder(model), blocks(model)[-1]
        called: list[Any] = []

        def note(module: torch.nn.Module, _: Any, out: Any) -> None:
            called.append(type(out) if module is decoder else module)

        parts = [part for part in decoder.children() if not isinstance(part, torch.nn.ModuleList)]
        hooks = [module.register_forward_hook(note) for module in (*parts, last, decoder)]
        try:
            model.model(**padded([_Cut(example)], model.device))
        finally:
            for hook in hooks:
                hook.remove()
        *tail, kind = called[called.index(last) + 1 :]
        return cls(model, tuple(tail), kind, example)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """States behind a block (n_rows, n_features) as logits (n_rows, n_classes), float32."""
        inner = self.model.model
        states = states.to(next(inner.parameters()).dtype)
        for part in self.tail:
            states = part(states)
        with answering(_decoder(self.model), lambda *_, **__: self.kind(last_hidden_state=states[None])):
            logits: torch.Tensor = inner(**padded([_Cut(self.example)], self.model.device)).logits[0].float()
        return logits


def _decoder(model: TokenModel) -> Any:
    inner = model.model
    if not hasattr(inner, "get_decoder") or inner.get_decoder() is inner:
        raise ScoringError(
            f"{model.name}: no decoder was found in {type(inner).__name__}, so its layers cannot be read"
        )
    return inner.get_decoder()


@torch.inference_mode()
def _budgets_of_batch(
    model: TokenModel, head: _Head, items: Sequence[TokenItem], layers: Sequence[int]
) -> torch.Tensor:
    """Budgets of a batch (n_items, 2); the last block's distribution is what the model says."""
    said = forward(model, items, layers[:-1], Outputs(pooling="last_prompt").pool(items, model.device))
    own = torch.cat(list(said.chunks))[:, None]
    answers = torch.tensor([item.ids[-1] for item in items], device=model.device)
    size, parts = max(1, rows_a_chunk(model) // len(layers)), []
    for begin in range(0, len(items), size):
        few = slice(begin, begin + size)
        lens = own[few]
        if said.features:
            states = torch.stack([features[few] for features in said.features], dim=1)
            lens = torch.cat([head.logits(states.flatten(0, 1)).unflatten(0, states.shape[:2]), lens], dim=1)
        parts.append(_budgets(lens.softmax(dim=-1), answers[few]))
    return torch.cat(parts)


def _budgets(probs: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """`candidate_budgets` of both attacks, where the probabilities (n_items, n_layers, n_classes) are."""
    n_layers, steps = probs.shape[1], probs.diff(dim=1)
    lens = n_layers * _best_rank(probs, answers).double()
    if not steps.shape[1]:
        return torch.stack([lens, torch.full_like(lens, torch.nan)], dim=1)
    change = torch.minimum(_best_rank(steps, answers), _best_rank(-steps, answers))
    return torch.stack([lens, 2 * (n_layers - 1) * change.double()], dim=1)


def _best_rank(scores: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Smallest rank of each answer over the layers, ties against the attacker."""
    of_answer = scores.gather(2, answers[:, None, None].expand(-1, scores.shape[1], 1))
    return (scores >= of_answer).sum(dim=2).amin(dim=1)
