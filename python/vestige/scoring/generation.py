"""What token models say on their own, with the same random numbers for every model."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige.scoring.batching import BatchSize, OutOfMemory, fitting
from vestige.scoring.forward import (
    ScoringError,
    TokenItem,
    TokenModel,
    further_inputs,
    padded,
    refuse_overlong,
    to_device,
)

ASKED_EVERY = 8
"""Steps on a GPU after which it is asked whether all samples have ended: asking makes the CPU wait."""

Draw = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From logits (n, n_classes) and a random number each to a token each."""


def generate(
    model: TokenModel,
    items: Sequence[TokenItem],
    *,
    n_samples: int,
    max_new_tokens: int,
    seed: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    batch_size: BatchSize = 64,
) -> list[tuple[int, ...]]:
    """Samples over the whole vocabulary after each item's prompt, up to and including end of sequence.

    Sample `k` of prompt `i` uses the same random numbers whatever the model, so models are compared on common ones.
    Prompts of one length go together and are not padded, so the batch size changes a sample only where rounding moves
    the boundary between two tokens across the random number (once in about 1e5 tokens in float32).

    Args:
        model: a loaded model that speaks in tokens.
        items: their tokens before `start` are the prompts.
        n_samples: samples a prompt.
        max_new_tokens: a sample that has not ended by then is cut there.
        seed: of the random numbers.
        temperature: logits are divided by it; 1 is the model's own distribution, 0 takes the likeliest token (the first
            of tied ones), so that there is one sample a prompt.
        top_p: drawn is from the likeliest tokens that together reach this mass, within (0, 1].
        top_k: and from no more than so many of the likeliest; 0 for all. Cut before `top_p`, as transformers does.
        batch_size: samples that are drawn at once, at most; "auto" begins with 64 and is halved by what does not fit.

    Returns:
        Token ids of the samples, prompt after prompt, `n_samples` each.

    Raises:
        ScoringError: if there is no prompt, or one with its sample would be longer than the model's context.
        ValueError: if `temperature` is negative, or 0 with more than one sample, or `top_p` or `top_k` is out of range.
    """
    if not 0 < top_p <= 1 or top_k < 0:
        raise ValueError(f"`top_p` must be within (0, 1] and `top_k` at least 0, but they are {top_p} and {top_k}")
    if temperature < 0 or (temperature == 0 and n_samples != 1):
        raise ValueError(
            f"`temperature` must be above 0, or 0 with one sample a prompt, but it is {temperature} with {n_samples}"
        )
    if not items:
        raise ScoringError(f"{model.name}: there is no prompt to sample after")
    refuse_overlong(model, max(item.start for item in items) + max_new_tokens)
    uniforms = np.random.default_rng([seed, n_samples]).random((len(items), n_samples, max_new_tokens))

    def draw(logits: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return _draw(logits, numbers, temperature, top_p, top_k)

    def sampled(size: int) -> list[tuple[int, ...]]:
        samples: list[tuple[int, ...]] = [()] * (len(items) * n_samples)
        for rows in _alike(items, n_samples, size):
            prompts = list(dict.fromkeys(row // n_samples for row in rows))
            drawn = _sample(model, [items[i] for i in prompts], uniforms.reshape(-1, max_new_tokens)[rows], draw)
            for row, tokens in zip(rows, drawn, strict=True):
                samples[row] = tokens
        return samples

    try:
        return fitting(sampled, batch_size)
    except OutOfMemory as error:
        raise ScoringError(f"{model.name}: {error}") from error


def greedy(
    model: TokenModel, items: Sequence[TokenItem], *, max_new_tokens: int, batch_size: BatchSize
) -> list[tuple[int, ...]]:
    """The likeliest token at each step after each prompt, up to and including end of sequence; see `generate`."""
    return generate(
        model, items, n_samples=1, max_new_tokens=max_new_tokens, seed=0, temperature=0, batch_size=batch_size
    )


def _alike(items: Sequence[TokenItem], n_samples: int, batch_size: int) -> Iterator[list[int]]:
    """Rows (prompt * n_samples + sample) that are drawn together: prompts of one length, as many samples of each."""
    n_prompts, per_prompt = max(1, batch_size // n_samples), min(n_samples, batch_size)
    for length in sorted({item.start for item in items}):
        prompts = [i for i, item in enumerate(items) if item.start == length]
        for begin in range(0, len(prompts), n_prompts):
            for first in range(0, n_samples, per_prompt):
                numbers = range(first, min(first + per_prompt, n_samples))
                yield [i * n_samples + k for i in prompts[begin : begin + n_prompts] for k in numbers]


@torch.inference_mode()
def _sample(
    model: TokenModel, items: Sequence[TokenItem], uniforms: NDArray[np.float64], draw: Draw
) -> list[tuple[int, ...]]:
    """Samples after prompts of one length, `len(uniforms) // len(items)` each, by inverse distribution function."""
    end = model.tokenizer.eos_token_id
    numbers = to_device(torch.from_numpy(uniforms), model.device)
    following, drawn = _Following(model, items, len(uniforms) // len(items)), []
    ended = torch.zeros(len(uniforms), dtype=torch.bool, device=model.device)
    for step in range(uniforms.shape[1]):
        token = draw(following.logits, numbers[:, step])
        drawn.append(token)
        ended |= token == (-1 if end is None else end)
        asked = model.device.type == "cpu" or step % ASKED_EVERY == ASKED_EVERY - 1
        if step + 1 == uniforms.shape[1] or (asked and bool(ended.all())):
            break
        following.take(token)
    return [_up_to_end(row, end) for row in torch.stack(drawn, 1).tolist()]


class _Following:
    """Logits of the next token after prompts of one length, for several samples of each, as these grow.

    Models without a cache of keys and values (state-space models have one of another kind) read everything again.
    """

    def __init__(self, model: TokenModel, items: Sequence[TokenItem], n_each: int) -> None:
        from transformers import DynamicCache

        self._model = model.model
        arguments = padded([_Prompt(item) for item in items], model.device)
        self._last = {"logits_to_keep": 1} if _takes(self._model, "logits_to_keep") else {}
        self._cache: Any = None
        if _takes(self._model, "past_key_values"):
            self._cache = DynamicCache(config=self._model.config)
            arguments |= {"past_key_values": self._cache, "use_cache": True}
        self.logits = self._model(**arguments, **self._last).logits[:, -1].repeat_interleave(n_each, 0)
        self._ids = arguments["input_ids"].repeat_interleave(n_each, 0)
        if self._cache is not None:
            self._cache.batch_repeat_interleave(n_each)

    def take(self, token: torch.Tensor) -> None:
        """Go on with this token of each sample, shape (n_samples,)."""
        if self._cache is None:
            self._ids = torch.cat([self._ids, token[:, None]], 1)
            self.logits = self._model(input_ids=self._ids, **self._last).logits[:, -1]
        else:
            out = self._model(input_ids=token[:, None], past_key_values=self._cache, use_cache=True)
            self.logits = out.logits[:, -1]


class _Prompt:
    """An item up to where its scored tokens begin."""

    def __init__(self, item: TokenItem) -> None:
        self.ids, self.start = item.ids[: item.start], item.start
        self.inputs = further_inputs(item)


def _draw(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float, top_p: float, top_k: int) -> torch.Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits.double() / temperature, -1)
    if top_k or top_p < 1:
        probabilities = _cut(probabilities, top_p, top_k)
    cumulative = probabilities.cumsum(-1)
    token = torch.searchsorted(cumulative, (uniforms * cumulative[:, -1])[:, None], right=True)
    return token[:, 0].clamp(max=logits.shape[-1] - 1)


def _cut(probabilities: torch.Tensor, top_p: float, top_k: int) -> torch.Tensor:
    """0 outside of the likeliest `top_k` and, among these, of the fewest that reach `top_p` of their mass."""
    ordered, order = probabilities.sort(stable=True, dim=-1, descending=True)
    if top_k:
        ordered[..., top_k:] = 0
    before = ordered.cumsum(-1) - ordered
    kept = (before < top_p * ordered.sum(-1, keepdim=True)) & (ordered > 0)
    return probabilities * torch.zeros_like(kept).scatter(-1, order, kept)


def _takes(model: Any, name: str) -> bool:
    """Whether the model, below any adapter, has this argument."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return name in inspect.signature(inner.forward).parameters


def _up_to_end(tokens: list[int], end: int | None) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(end) + 1]) if end in tokens else tuple(tokens)
