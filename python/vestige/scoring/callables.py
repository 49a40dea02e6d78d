"""Anything that returns logits as a language model: unlearning at inference time, output filters, gates of skills."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from vestige.data.examples import Example
from vestige.scoring import language, spans
from vestige.scoring.batching import is_out_of_memory
from vestige.scoring.checkpoints import first_line
from vestige.scoring.language import ScoringError

Logits = Callable[[torch.Tensor, torch.Tensor], Any]
"""From token ids and the mask of real tokens, both (n, time), to logits (n, time, n_classes) or an output with some."""


@dataclass(frozen=True, eq=False)
class CallableModel:
    """A function that returns logits, dressed as a language model.

    Attributes:
        model: answers as a causal language model of transformers does.
        tokenizer: a fast tokenizer (offsets are needed to find the answer).
        name: how messages call it.
        device: where its inputs are put.
        has_hidden: whether its output has hidden states, without which there is no `hidden` and no AD.
        folder: where its tokenizer was loaded from; there is no checkpoint.
    """

    model: Any
    tokenizer: Any
    name: str
    device: torch.device
    has_hidden: bool
    folder: Path = Path()


def from_callable(
    function: Logits,
    tokenizer: Any,
    *,
    name: str = "",
    device: str = "cpu",
    context: int | None = None,
    folder: Path = Path(),
) -> CallableModel:
    """A function that returns logits as a subject that `score` and `generate` take.

    Args:
        function: called with token ids and the mask of real tokens, both int64 tensors of shape (n, time) on `device`,
            right-padded; returns logits of the next token at every place, (n, time, n_classes), as a tensor or array,
            or anything with `logits` (and `hidden_states`, a sequence of (n, time, n_features), for AD). It must give
            each row the same whatever stands beside it, and look at no token after the place.
        tokenizer: the tokenizer that the ids are of, with offsets.
        name: how messages call it, default the function's name.
        device: where the function wants its inputs.
        context: the most tokens that it takes; None for any number.
        folder: where the tokenizer lies, if that is to be known.

    Raises:
        ScoringError: if it does not return such logits for a first try of one token.

    >>> def uniform(ids, mask): return torch.zeros(*ids.shape, 3)
    >>> from_callable(uniform, tokenizer=None).name
    'uniform'
    """
    called = name or getattr(function, "__name__", type(function).__name__)
    answer = _Answering(function, called, device, context)
    said = answer(torch.zeros(1, 1, dtype=torch.int64))
    answer.n_classes = said.logits.shape[-1]
    return CallableModel(answer, tokenizer, called, torch.device(device), said.hidden_states is not None, folder)


def logit_difference(model: Any, assistant: Any, *, weight: float) -> Logits:
    """Unlearning by logit difference: what the model says minus `weight` times what an assistant says.

    The assistant is trained to know the forget set and nothing else; taking its logits away leaves the rest.

    Args:
        model: a causal language model of transformers, or a function as in `from_callable`.
        assistant: likewise, of the same vocabulary.
        weight: how much is taken away.

    Source: Ji et al. (2024), Reversing the forget-retain objectives (ULD), arXiv 2406.08607.

    >>> def ones(ids, mask): return torch.ones(*ids.shape, 2)
    >>> logit_difference(ones, ones, weight=0.75)(torch.zeros(1, 1), torch.ones(1, 1)).tolist()
    [[[0.25, 0.25]]]
    """

    def difference(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        ours, theirs = (_logits(_ask(m, input_ids, attention_mask)).float() for m in (model, assistant))
        return ours - weight * theirs

    return difference


def encode(model: CallableModel, example: Example) -> Any:
    """Prompt and answer as token ids, as for any language model."""
    return spans.encode(model.tokenizer, example)


score = language.score
generate = language.generate


class _Answering:
    """Answers as a model of transformers does, as far as scoring asks."""

    def __init__(self, function: Logits, name: str, device: str, context: int | None) -> None:
        self._function, self._name, self._device, self._context = function, name, device, context
        self.n_classes = 0

    @property
    def config(self) -> Any:
        """Context and size of the vocabulary."""
        sizes = SimpleNamespace(vocab_size=self.n_classes, max_position_embeddings=self._context)
        return SimpleNamespace(get_text_config=lambda: sizes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> Any:
        """Logits, float, and hidden states where there are any."""
        ids = input_ids.to(self._device)
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask.to(self._device)
        with torch.inference_mode():
            said = self._said(ids, mask)
            logits = _logits(said)
        if logits.ndim != 3 or logits.shape[:2] != ids.shape or not logits.is_floating_point():
            raise ScoringError(
                f"{self._name} must return logits of shape (n, time, n_classes) = ({', '.join(map(str, ids.shape))}, "
                f"n_classes), but returned {logits.dtype} of shape {tuple(logits.shape)}"
            )
        return SimpleNamespace(logits=logits, hidden_states=getattr(said, "hidden_states", None))

    def _said(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        try:
            return self._function(ids, mask)
        except Exception as error:  # code of the user's own: anything may go wrong in it
            if is_out_of_memory(error):
                raise
            raise ScoringError(
                f"{self._name}: the function failed for token ids of shape {tuple(ids.shape)} "
                f"({type(error).__name__}: {first_line(error)})"
            ) from error

    __call__ = forward


def _ask(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
    """A function takes both in order; a module has arguments of these names."""
    if isinstance(model, torch.nn.Module):
        return model(input_ids=input_ids, attention_mask=attention_mask)
    return model(input_ids, attention_mask)


def _logits(said: Any) -> torch.Tensor:
    found = said["logits"] if isinstance(said, Mapping) else getattr(said, "logits", said)
    return torch.from_numpy(found) if isinstance(found, np.ndarray) else torch.as_tensor(found)
