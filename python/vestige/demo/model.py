"""A tiny Llama: made, trained on answers, and asked what it remembers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from vestige.demo.authors import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Sizes of the model."""

    hidden: int
    layers: int
    heads: int
    mlp: int
    vocab: int


@dataclass(frozen=True)
class Encoded:
    """Rows as tensors, padded on the right. A causal model needs no attention mask for that, only a masked loss.

    Attributes:
        input_ids: prompt, answer, end token, padding; shape (n_rows, n_tokens).
        answer: True at tokens of the answer and its end token, same shape.
        text: True at all tokens but padding, same shape.
    """

    input_ids: Tensor
    answer: Tensor
    text: Tensor

    def take(self, indices: Indices) -> Self:
        """Some of the rows, cut to the longest of them."""
        chosen = torch.from_numpy(indices)
        length = int(self.text[chosen].sum(dim=1).max())
        return type(self)(*(column[chosen, :length] for column in (self.input_ids, self.answer, self.text)))

    def __len__(self) -> int:
        return len(self.input_ids)


def encode(tokenizer: "PreTrainedTokenizerFast", rows: Sequence[Row]) -> Encoded:
    """Tokenizes rows: prompt, answer, end token.

    Returns:
        Tensors of shape (n_rows, n_tokens), where n_tokens is that of the longest row.
    """
    prompts = tokenizer([row.prompt for row in rows])["input_ids"]
    answers = tokenizer([row.answer for row in rows])["input_ids"]
    length = max(len(prompt) + len(answer) + 1 for prompt, answer in zip(prompts, answers, strict=True))
    input_ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    answered, text = torch.zeros(2, len(rows), length, dtype=torch.bool)
    for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        tokens = [*prompt, *answer, tokenizer.eos_token_id]
        input_ids[i, : len(tokens)] = torch.tensor(tokens)
        answered[i, len(prompt) : len(tokens)] = True
        text[i, : len(tokens)] = True
    return Encoded(input_ids, answered, text)


def tiny_llama(shape: Shape, tokenizer: "PreTrainedTokenizerFast", seed: int) -> LlamaForCausalLM:
    """A Llama with random weights, float32, tied embeddings.

    Args:
        shape: its sizes.
        tokenizer: gives the ids of the special tokens.
        seed: decides the weights.
    """
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.mlp,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def token_log_softmax(model: LlamaForCausalLM, rows: Encoded, where: Tensor) -> Tensor:
    """Log-probabilities of all tokens at the chosen places, one row of the result a place.

    Args:
        model: the model.
        rows: what it reads.
        where: the tokens to predict, bool, shape (n_rows, n_tokens); the first token of a row cannot be chosen.

    Returns:
        Natural-log probabilities, shape (n_chosen, n_vocabulary), float32, <= 0.
    """
    return functional.log_softmax(token_logits(model, rows, where), dim=-1)


def token_logits(model: LlamaForCausalLM, rows: Encoded, where: Tensor) -> Tensor:
    """Like `token_log_softmax`, before the softmax."""
    hidden = model.model(input_ids=rows.input_ids, use_cache=False).last_hidden_state
    logits: Tensor = model.lm_head(hidden[:, :-1][where[:, 1:]])
    return logits


def answer_log_probs(model: LlamaForCausalLM, rows: Encoded) -> Tensor:
    """Log-probability of each row's answer with its end token, in nats, shape (n_rows,)."""
    log_probs = token_log_softmax(model, rows, rows.answer)
    picked = log_probs.gather(1, rows.input_ids[rows.answer][:, None])[:, 0]
    owner = rows.answer.nonzero()[:, 0]
    return torch.zeros(len(rows)).index_add(0, owner, picked)


def nll(model: LlamaForCausalLM, rows: Encoded, where: Tensor | None = None) -> Tensor:
    """Mean negative log-probability of the answers' tokens, or of the tokens `where`, in nats; a scalar."""
    where = rows.answer if where is None else where
    return functional.nll_loss(token_log_softmax(model, rows, where), rows.input_ids[where])


@torch.no_grad()
def recall(model: LlamaForCausalLM, rows: Encoded) -> float:
    """Share of answers that greedy decoding would give word for word, end token included, within [0, 1].

    Teacher forcing answers that without generating: greedy decoding gives the answer if the most likely token is
    right at each of its places.
    """
    log_probs = token_log_softmax(model, rows, rows.answer)
    right = log_probs.argmax(dim=1) == rows.input_ids[rows.answer]
    wrong = torch.zeros(len(rows)).index_add(0, rows.answer.nonzero()[:, 0], (~right).float())
    return float((wrong == 0).float().mean())


def batches(n_rows: int, size: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Batches of row indices without end; each pass over the rows has an order of its own."""
    while True:
        order = rng.permutation(n_rows)
        yield from (order[start : start + size] for start in range(0, n_rows, size))


class Trainer:
    """AdamW without weight decay, gradients clipped to norm 1, one step at a time.

    Args:
        model: the model, changed in place.
        lr: peak learning rate.
        n_steps: length of a schedule that rises for a tenth of it and falls to zero as a cosine; None keeps the rate.
    """

    def __init__(self, model: LlamaForCausalLM, lr: float, n_steps: int | None = None) -> None:
        self._parameters = list(model.parameters())
        self._optimizer = torch.optim.AdamW(self._parameters, lr=lr, weight_decay=0.0, fused=True)
        self._lr, self._n_steps, self._done = lr, n_steps, 0

    def step(self, loss: Tensor) -> None:
        """Follows the gradient of `loss` once."""
        if self._n_steps is not None:
            self._optimizer.param_groups[0]["lr"] = self._lr * _schedule(self._done, self._n_steps)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._done += 1


def _schedule(done: int, n_steps: int) -> float:
    """Share of the peak rate after `done` steps."""
    rising = (done + 1) / (0.1 * n_steps)
    falling = (1 + np.cos(np.pi * done / n_steps)) / 2
    return float(min(rising, falling))
