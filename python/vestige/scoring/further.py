"""Columns that only some metrics read, made where they are asked for: other answers, generated texts, gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige import kernels
from vestige.data.examples import Example
from vestige.scoring.forward import padded
from vestige.scoring.generation import generate
from vestige.scoring.lens import lens_budgets
from vestige.scoring.outputs import Columns, pack_text

Encode = Callable[[Any, Example], Any]
Score = Callable[..., Columns]


@dataclass(frozen=True)
class Asked:
    """What the columns of one shard are made from.

    Attributes:
        model: a model that speaks in tokens.
        examples: the shard's examples.
        encode: from the model and an example to an item.
        score: from the model and items to columns.
        batch_size: sequences a forward pass.
        max_new_tokens: length at which a generated text is cut.
        others: fields of `Example` whose answers are scored too, see `other_answers`.
    """

    model: Any
    examples: Sequence[Example]
    encode: Encode
    score: Score
    batch_size: int
    max_new_tokens: int
    others: tuple[str, ...] = ()


def other_answers(examples: Sequence[Example]) -> tuple[str, ...]:
    """The fields with other answers, `perturbed_answers` and `options`, that hold as many in every example, and any."""
    return tuple(
        name
        for name in ("perturbed_answers", "options")
        if getattr(examples[0], name) and len({len(getattr(example, name)) for example in examples}) == 1
    )


def alternatives(asked: Asked) -> Columns:
    """Log-probabilities of other answers than the one that is scored, where the data have any.

    Returns:
        `right_log_prob` (n_examples,) float64, mean log-probability a token of the answer in other words, nats (mean
        over the wordings; of the answer itself where it has no other); `wrong_log_prob` (n_examples, n_wrong), likewise
        of each wrong answer, and `option_log_prob` (n_examples, n_options), log-probability of each option as a whole.
        Only what `asked.others` names is there.
    """
    columns: Columns = {}
    if "perturbed_answers" in asked.others:
        right = [example.paraphrases or (example.answer,) for example in asked.examples]
        wrong = [example.perturbed_answers for example in asked.examples]
        ends = np.cumsum([0, *map(len, right)])
        columns["right_log_prob"] = np.add.reduceat(_of_answers(asked, right, per_token=True), ends[:-1]) / np.diff(
            ends
        )
        columns["wrong_log_prob"] = _of_answers(asked, wrong, per_token=True).reshape(len(wrong), -1)
    if "options" in asked.others:
        options = [example.options for example in asked.examples]
        columns["option_log_prob"] = _of_answers(asked, options, per_token=False).reshape(len(options), -1)
    return columns


def texts(asked: Asked) -> Columns:
    """What the model answers on its own, the likeliest token at each step.

    Returns:
        `text` (n_bytes,) uint8 and `text_offsets` (n_examples + 1,) int64, see `outputs.unpack_text`; without special
        tokens, and without spaces at the ends.
    """
    items = [asked.encode(asked.model, example) for example in asked.examples]
    answers = generate(
        asked.model,
        items,
        n_samples=1,
        max_new_tokens=asked.max_new_tokens,
        seed=0,
        temperature=0,
        batch_size=asked.batch_size,
    )
    decode = asked.model.tokenizer.decode
    return pack_text([decode(tokens, skip_special_tokens=True).strip() for tokens in answers])


def gradients(asked: Asked) -> Columns:
    """Norm of the gradient of each answer's mean loss, weight tensor by weight tensor.

    Returns:
        `gradient_norm` (n_examples, n_tensors) float32, in the order of the model's parameters.
    """
    rows = [_gradient_norms(asked.model, asked.encode(asked.model, example)) for example in asked.examples]
    return {"gradient_norm": np.stack(rows)}


def lens(asked: Asked) -> Columns:
    """How many candidates an attacker who reads the layers must try, see `lens.lens_budgets`."""
    items = [asked.encode(asked.model, example) for example in asked.examples]
    return dict(lens_budgets(asked.model, items, batch_size=asked.batch_size))


FURTHER: dict[str, Callable[[Asked], Columns]] = {
    "alternatives": alternatives,
    "texts": texts,
    "gradients": gradients,
    "lens": lens,
}
"""Columns by the name that a configuration asks for them."""

OF_FUNCTIONS = ("alternatives", "texts")
"""Those that a function that returns logits has too."""


def _of_answers(asked: Asked, answers: Sequence[Sequence[str]], *, per_token: bool) -> NDArray[np.float64]:
    """Log-probability of every answer after its example's prompt, example after example."""
    items = [
        asked.encode(asked.model, replace(example, answer=_spaced(example, answer)))
        for example, given in zip(asked.examples, answers, strict=True)
        for answer in given
    ]
    columns = asked.score(asked.model, items, batch_size=asked.batch_size)
    tokens, offsets = columns["token_log_prob"].astype(np.float64), columns["offsets"]
    return -kernels.sequence_nll(tokens, offsets) if per_token else np.add.reduceat(tokens, offsets[:-1])


def _spaced(example: Example, answer: str) -> str:
    """An answer that begins with a space where the right one does, so that both are cut alike."""
    return f" {answer}" if example.answer.startswith(" ") and not answer.startswith(" ") else answer


def _gradient_norms(model: Any, item: Any) -> NDArray[np.float32]:
    parameters = [p for p in model.model.parameters() if p.is_floating_point()]
    labels = torch.tensor([[-100] * item.start + list(item.ids[item.start :])], device=model.device)
    with torch.enable_grad():
        for parameter in parameters:
            parameter.requires_grad_(True)
        loss = model.model(**padded([item], model.device), labels=labels).loss
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
    norms = [torch.zeros((), device=model.device) if g is None else torch.linalg.vector_norm(g.float()) for g in found]
    return torch.stack(norms).cpu().numpy()
