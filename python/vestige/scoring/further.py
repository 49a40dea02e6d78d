"""Columns that only some metrics read, made where they are asked for: other answers, generated texts, gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige import kernels
from vestige.data.examples import Example
from vestige.metrics.accuracy import exact_match
from vestige.scoring.batching import BatchSize, fitting
from vestige.scoring.forward import padded
from vestige.scoring.generation import greedy
from vestige.scoring.lens import lens_budgets
from vestige.scoring.option_orders import can_be_ordered, in_every_order
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
        seed: of what is drawn at random.
    """

    model: Any
    examples: Sequence[Example]
    encode: Encode
    score: Score
    batch_size: BatchSize
    max_new_tokens: int
    others: tuple[str, ...] = ()
    seed: int = 0


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
        wrong = [example.perturbed_answers for example in asked.examples]
        columns["right_log_prob"] = _in_other_words(asked)
        columns["wrong_log_prob"] = _of_answers(asked, wrong, per_token=True).reshape(len(wrong), -1)
    if "options" in asked.others:
        options = [example.options for example in asked.examples]
        columns["option_log_prob"] = _of_answers(asked, options, per_token=False).reshape(len(options), -1)
    return columns


def rephrased(asked: Asked) -> Columns:
    """Log-probability of each answer in other words, after the same prompt.

    Returns:
        `rephrased_log_prob` (n_examples,) float64, mean log-probability a token, mean over the wordings, nats.
    """
    return {"rephrased_log_prob": _in_other_words(asked)}


def probes(asked: Asked) -> Columns:
    """Whether the answer is the most likely one, token by token, after each rewording of its prompt.

    Returns:
        `probe_correct` (n_examples, n_probes) bool, in the order of the rewordings.
    """
    reworded = [replace(example, prompt=prompt) for example in asked.examples for prompt in example.rewordings]
    items = [asked.encode(asked.model, example) for example in reworded]
    columns = asked.score(asked.model, items, batch_size=asked.batch_size)
    correct = exact_match(columns["argmax_hit"], columns["offsets"])
    return {"probe_correct": correct.astype(bool).reshape(len(asked.examples), -1)}


def texts(asked: Asked) -> Columns:
    """What the model answers on its own, the likeliest token at each step.

    Returns:
        `text` (n_bytes,) uint8 and `text_offsets` (n_examples + 1,) int64, see `outputs.unpack_text`; without special
        tokens, and without spaces at the ends.
    """
    items = [asked.encode(asked.model, example) for example in asked.examples]
    answers = greedy(asked.model, items, max_new_tokens=asked.max_new_tokens, batch_size=asked.batch_size)
    decode = asked.model.tokenizer.decode
    return pack_text([decode(tokens, skip_special_tokens=True).strip() for tokens in answers])


def orders(asked: Asked) -> Columns:
    """Log-probability of each question's options in several orders.

    Returns:
        `order_log_prob` (n_examples, n_orders) float64, nats, the order of the data first (see `option_orders`).
        The words before the first option are the same in every order and are given; what follows them is scored,
        without the end of sequence.
    """
    listed = [each for example in asked.examples for each in in_every_order(example, asked.seed)]
    columns = asked.score(asked.model, [asked.encode(asked.model, e) for e in listed], batch_size=asked.batch_size)
    tokens, offsets = columns["token_log_prob"].astype(np.float64), columns["offsets"]
    last = offsets[1:] - 1
    tokens[last[columns["token_id"][last] == asked.model.tokenizer.eos_token_id]] = 0.0
    return {"order_log_prob": np.add.reduceat(tokens, offsets[:-1]).reshape(len(asked.examples), -1)}


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
    return dict(fitting(lambda n: lens_budgets(asked.model, items, batch_size=n), asked.batch_size))


FURTHER: dict[str, Callable[[Asked], Columns]] = {
    "alternatives": alternatives,
    "texts": texts,
    "gradients": gradients,
    "lens": lens,
    "orders": orders,
    "rephrased": rephrased,
    "probes": probes,
}
"""Columns by the name that a configuration asks for them."""

OF_FUNCTIONS = ("alternatives", "texts", "orders", "rephrased", "probes")
"""Those that a function that returns logits has too."""

READ_OF: dict[str, str] = {"orders": "holdout", "rephrased": "holdout", "probes": "forget"}
"""The only split of which some columns are read; of others they are not made."""


def can_be_made(name: str, split: str, examples: Sequence[Example]) -> bool:
    """Whether the examples of a split say all that further columns are made of."""
    if READ_OF.get(name, split) != split:
        return False
    match name:
        case "alternatives":
            return bool(other_answers(examples))
        case "orders":
            return can_be_ordered(examples)
        case "rephrased":
            return all(example.paraphrases for example in examples)
        case "probes":
            return bool(examples[0].rewordings) and len({len(example.rewordings) for example in examples}) == 1
    return True


def _in_other_words(asked: Asked) -> NDArray[np.float64]:
    """Mean log-probability a token of each answer in other words, or of itself where it has no other."""
    wordings = [example.paraphrases or (example.answer,) for example in asked.examples]
    ends = np.cumsum([0, *map(len, wordings)])
    return np.add.reduceat(_of_answers(asked, wordings, per_token=True), ends[:-1]) / np.diff(ends)


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
