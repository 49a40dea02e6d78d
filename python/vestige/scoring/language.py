"""Causal language models: what they say of given answers, and what they say on their own.

Every number is computed from float32 logits whatever the weights' precision, in batches that depend on nothing but
the data and `batch_size`. Only the rows that predict a scored token are ever materialised.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige import kernels
from vestige.kernels.likelihood import TokenStatistic
from vestige.scoring.loading import LanguageModel
from vestige.scoring.spans import Sequence as Tokens

Reduce = Callable[[NDArray[np.int64], int, NDArray[np.float32]], None]
"""Called with the row numbers of a batch, the number of rows in all, and the batch's logits."""


class ScoringError(RuntimeError):
    """A model whose output cannot be used, and why."""


_STATISTICS: tuple[TokenStatistic, ...] = (
    "token_log_prob",
    "logsumexp",
    "entropy",
    "log_prob_variance",
    "argmax_hit",
)


@dataclass(frozen=True)
class _Batch:
    """Rows of one forward pass: which sequences, their predicting logits in order, and their hidden states."""

    index: list[int]
    logits: NDArray[np.float32]
    hidden: NDArray[np.float32]


def score(
    model: LanguageModel, sequences: Sequence[Tokens], *, batch_size: int, layer: int = -2, reduce: Reduce | None = None
) -> dict[str, NDArray[Any]]:
    """What the model says of each sequence's scored tokens, teacher-forced.

    Args:
        model: the model.
        sequences: token ids with the index of the first scored token.
        batch_size: sequences a forward pass; sequences of like length go together.
        layer: which of the hidden states is kept, mean over the prompt's tokens: 0 is the embeddings, -1 the last,
            after the final norm, -2 the output of the last block but one.
        reduce: called with the row numbers of every batch, the number of rows in all, and the batch's logits
            (n_rows_of_batch, n_classes), for anything that needs whole rows; they are not kept.

    Returns:
        Columns by name; with n_tokens scored tokens in all: `offsets` (n_sequences + 1,) int64, `token_id`
        (n_tokens,) int32, `token_log_prob`, `logsumexp`, `entropy`, `max_log_prob` (n_tokens,) float32 in nats,
        `log_prob_variance` (n_tokens,) float32 in nats squared, `argmax_hit` (n_tokens,) bool, `hidden` (n_sequences,
        n_features) float32.

    Raises:
        ScoringError: if a logit is NaN, or a sequence is longer than the model's context.
    """
    _refuse_overlong(model, max(len(s.ids) for s in sequences))
    offsets = np.concatenate([[0], np.cumsum([s.n_scored for s in sequences])]).astype(np.int64)
    token_id = np.concatenate([np.asarray(s.ids[s.start :], np.int32) for s in sequences])
    columns: dict[str, NDArray[Any]] = {"offsets": offsets, "token_id": token_id}
    for batch in _batches(model, sequences, batch_size, layer):
        rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in batch.index])
        _refuse_nan(model, batch, rows, offsets)
        _fill(columns, rows, _token_columns(batch.logits, token_id[rows]), len(token_id))
        _fill(columns, np.asarray(batch.index), {"hidden": batch.hidden}, len(sequences))
        if reduce is not None:
            reduce(rows, len(token_id), batch.logits)
    return columns


def generate(
    model: LanguageModel, prompts: Sequence[tuple[int, ...]], *, n_samples: int, max_new_tokens: int, seed: int
) -> list[tuple[int, ...]]:
    """Plain samples (temperature 1, whole vocabulary) after each prompt, up to and including end of sequence.

    Sample `k` of prompt `i` uses the same random numbers whatever the model, so models are compared on common ones.

    Args:
        model: the model.
        prompts: token ids.
        n_samples: samples a prompt.
        max_new_tokens: a sample that has not ended by then is cut there.
        seed: of the random numbers.

    Returns:
        Token ids of the samples, prompt after prompt, `n_samples` each.

    Raises:
        ScoringError: if a prompt with its sample would be longer than the model's context.
    """
    _refuse_overlong(model, max(map(len, prompts)) + max_new_tokens)
    uniforms = np.random.default_rng([seed, n_samples]).random((len(prompts), n_samples, max_new_tokens))
    samples: list[tuple[int, ...]] = [()] * (len(prompts) * n_samples)
    for length in sorted({len(prompt) for prompt in prompts}):
        chosen = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        ids = torch.tensor([prompts[i] for i in chosen], device=model.device)
        drawn = _sample(model, ids, torch.from_numpy(uniforms[chosen]).flatten(0, 1).to(model.device))
        for row, tokens in enumerate(drawn):
            samples[chosen[row // n_samples] * n_samples + row % n_samples] = tokens
    return samples


def sequence_log_probs(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Log-probability of each sequence's scored tokens together, shape (n_sequences,), nats."""
    return np.add.reduceat(columns["token_log_prob"].astype(np.float64), columns["offsets"][:-1])


def divergence_columns(p: NDArray[Any], q: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """JS and both KL of matching rows of logits, nats: `kl` is KL(p || q), `reverse_kl` KL(q || p)."""
    both = kernels.divergences(p, q, kinds=("kl", "js"), space="logits")
    return {**both, "reverse_kl": kernels.kl_divergence(q, p, space="logits")}


def _batches(model: LanguageModel, sequences: Sequence[Tokens], batch_size: int, layer: int) -> Iterator[_Batch]:
    order = sorted(range(len(sequences)), key=lambda i: (len(sequences[i].ids), i))
    for begin in range(0, len(order), batch_size):
        index = order[begin : begin + batch_size]
        yield _forward(model, index, [sequences[i] for i in index], layer)


@torch.inference_mode()
def _forward(model: LanguageModel, index: list[int], sequences: list[Tokens], layer: int) -> _Batch:
    ids, attention, predicts, prompt = _padded(sequences, model.device)
    keep: dict[str, Any] = {"logits_to_keep": predicts} if _takes_mask(model.model) else {}
    out = model.model(
        input_ids=ids, attention_mask=attention, use_cache=False, output_hidden_states=True, return_dict=True, **keep
    )
    logits = out.logits if keep else out.logits[predicts]
    if not -len(out.hidden_states) <= layer < len(out.hidden_states):
        raise ScoringError(f"{model.name}: there is no layer {layer}; it has {len(out.hidden_states)} hidden states")
    states = out.hidden_states[layer].float() * prompt.unsqueeze(-1)
    hidden = states.sum(1) / prompt.sum(1, keepdim=True)
    return _Batch(index, logits.reshape(-1, logits.shape[-1]).float().cpu().numpy(), hidden.cpu().numpy())


def _padded(sequences: list[Tokens], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Right-padded ids, and masks of real tokens, of positions that predict a scored token, and of the prompt."""
    longest = max(len(s.ids) for s in sequences)
    ids = torch.tensor([(*s.ids, *[0] * (longest - len(s.ids))) for s in sequences], device=device)
    position = torch.arange(longest, device=device)
    length = torch.tensor([[len(s.ids)] for s in sequences], device=device)
    start = torch.tensor([[s.start] for s in sequences], device=device)
    predicts = (position >= start - 1) & (position < length - 1)
    return ids, (position < length).long(), predicts, position < start


def _takes_mask(model: Any) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _token_columns(logits: NDArray[np.float32], token_ids: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    found = kernels.token_statistics(logits, token_ids, _STATISTICS)
    columns: dict[str, NDArray[Any]] = {name: values.astype(np.float32) for name, values in found.items()}
    columns["argmax_hit"] = found["argmax_hit"] == 1
    columns["max_log_prob"] = (logits.max(axis=1) - found["logsumexp"]).astype(np.float32)
    return columns


def _fill(columns: dict[str, NDArray[Any]], rows: NDArray[Any], values: dict[str, NDArray[Any]], n_rows: int) -> None:
    for name, value in values.items():
        if name not in columns:
            columns[name] = np.empty((n_rows, *value.shape[1:]), value.dtype)
        columns[name][rows] = value


@torch.inference_mode()
def _sample(model: LanguageModel, prompts: torch.Tensor, uniforms: torch.Tensor) -> list[tuple[int, ...]]:
    """Samples after prompts of one length, `len(uniforms) // len(prompts)` each, by inverse distribution function."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.model.config)
    logits = model.model(input_ids=prompts, past_key_values=cache, use_cache=True).logits[:, -1]
    n_samples = len(uniforms) // len(prompts)
    cache.batch_repeat_interleave(n_samples)
    logits, drawn = logits.repeat_interleave(n_samples, 0), []
    ended = torch.zeros(len(uniforms), dtype=torch.bool, device=prompts.device)
    for step in range(uniforms.shape[1]):
        token = _inverse_cdf(logits, uniforms[:, step])
        drawn.append(token)
        ended |= token == model.tokenizer.eos_token_id
        if ended.all() or step + 1 == uniforms.shape[1]:
            break
        logits = model.model(input_ids=token[:, None], past_key_values=cache, use_cache=True).logits[:, -1]
    return [_up_to_end(row, model.tokenizer.eos_token_id) for row in torch.stack(drawn, 1).tolist()]


def _inverse_cdf(logits: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    cumulative = torch.softmax(logits.double(), -1).cumsum(-1)
    token = torch.searchsorted(cumulative, (uniforms * cumulative[:, -1])[:, None], right=True)
    return token[:, 0].clamp(max=logits.shape[-1] - 1)


def _up_to_end(tokens: list[int], end: int | None) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(end) + 1]) if end in tokens else tuple(tokens)


def _refuse_overlong(model: LanguageModel, longest: int) -> None:
    context = getattr(model.model.config, "max_position_embeddings", None)
    if context is not None and longest > context:
        raise ScoringError(
            f"{model.name}: an example (or a prompt with its sample) may have {longest} tokens but the context holds "
            f"{context}; shorten or drop it, or lower max_new_tokens"
        )


def _refuse_nan(model: LanguageModel, batch: _Batch, rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
    bad = np.logical_or(np.isnan(batch.logits), np.isposinf(batch.logits)).max(axis=1)
    if bad.any():
        example = int(np.searchsorted(offsets, rows[bad][0], side="right")) - 1
        raise ScoringError(
            f"{model.name}: NaN or infinite logits at {int(bad.sum())} of {len(bad)} tokens, first in example number "
            f"{example + 1}; the checkpoint is broken or its precision too low (try dtype: float32)"
        )
