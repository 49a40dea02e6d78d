"""What a model still says when the states of one of its layers are another model's: where does knowledge sit?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige.scoring.batching import batch_plan
from vestige.scoring.forward import ScoringError, TokenItem, TokenModel, forward


def patched_log_probs(
    model: TokenModel, other: TokenModel, items: Sequence[TokenItem], *, batch_size: int
) -> NDArray[np.float32]:
    """Log-probabilities of the scored tokens with the states behind one layer taken from another model.

    The other model reads the batch once; the model then reads it once a layer, and goes on from the other's states at
    all positions of that layer.

    Args:
        model: whose later layers speak, for unlearning depth the original.
        other: whose states are put in, of the same architecture.
        items: token ids with the index of the first scored token.
        batch_size: items a forward pass.

    Returns:
        Shape (n_tokens, n_layers), nats, token after token of item after item. Where `other` is the model itself, every
        layer has the model's own log-probabilities; after the last layer it is `other` that speaks, through the model's
        output head. NaN at the end token behind an answer, which is no part of what is asked for.

    Raises:
        ScoringError: if a model's layers cannot be found, or the two have different ones.

    Source: arXiv 2605.24614 (UDS): activation patching, full model with the other model's hidden states.
    """
    ours, theirs = blocks(model), blocks(other)
    if len(ours) != len(theirs):
        raise ScoringError(f"{model.name} has {len(ours)} layers and {other.name} {len(theirs)}: nothing can be put in")
    offsets = np.cumsum([0, *(len(item.ids) - item.start for item in items)])
    found = np.empty((offsets[-1], len(ours)), np.float32)
    ends = _end_tokens(model)
    for batch in batch_plan([len(item.ids) for item in items], batch_size=batch_size).batches:
        chosen = [items[i] for i in batch]
        rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in batch])
        target = torch.tensor([token for item in chosen for token in item.ids[item.start :]], device=model.device)
        columns = []
        for layer, states in zip(ours, _states(other, theirs, chosen), strict=True):
            with _replaced(layer, states):
                columns.append(_log_probs(model, chosen, target))
        found[rows] = torch.stack(columns, dim=1).cpu().numpy()
    found[[end - 1 for end, item in zip(offsets[1:], items, strict=True) if _ends(item, ends)]] = np.nan
    return found


def blocks(model: TokenModel) -> Sequence[torch.nn.Module]:
    """The decoder's blocks: the first list of modules in it that is as long as the configuration says.

    Raises:
        ScoringError: if there is none.
    """
    inner = model.model
    n_layers = inner.config.get_text_config().num_hidden_layers
    decoder = inner.get_decoder() if hasattr(inner, "get_decoder") else inner
    lists = [m for m in decoder.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == n_layers]
    if not lists:
        raise ScoringError(f"{model.name}: no list of {n_layers} layers was found in {type(model.model).__name__}")
    return list(lists[0])


def _states(model: TokenModel, layers: Sequence[torch.nn.Module], items: Sequence[TokenItem]) -> list[torch.Tensor]:
    """What each layer hands on, in their order."""
    kept: list[torch.Tensor] = []
    hooks = [layer.register_forward_hook(lambda _, __, out: kept.append(_hidden(out))) for layer in layers]
    try:
        forward(model, items)
    finally:
        for hook in hooks:
            hook.remove()
    return kept[: len(layers)]


@contextmanager
def _replaced(layer: torch.nn.Module, states: torch.Tensor) -> Iterator[None]:
    def put_in(_: torch.nn.Module, __: Any, out: Any) -> Any:
        new = states.to(_hidden(out))
        return new if isinstance(out, torch.Tensor) else (new, *out[1:])

    hook = layer.register_forward_hook(put_in)
    try:
        yield
    finally:
        hook.remove()


def _hidden(out: Any) -> torch.Tensor:
    """A layer's hidden states; some layers hand on more than these."""
    states: torch.Tensor = out if isinstance(out, torch.Tensor) else out[0]
    return states


def _log_probs(model: TokenModel, items: Sequence[TokenItem], target: torch.Tensor) -> torch.Tensor:
    parts, begin = [], 0
    for logits in forward(model, items).chunks:
        token = target[begin : begin + len(logits), None]
        parts.append(torch.log_softmax(logits, -1).gather(1, token)[:, 0])
        begin += len(logits)
    return torch.cat(parts)


def _end_tokens(model: TokenModel) -> frozenset[int]:
    """Tokens that are no text: end of sequence, end of turn and their like."""
    special = (i for i, token in model.tokenizer.added_tokens_decoder.items() if token.special)
    return frozenset({*special, model.tokenizer.eos_token_id})


def _ends(item: TokenItem, ends: frozenset[int]) -> bool:
    return len(item.ids) - item.start > 1 and item.ids[-1] in ends
