"""Thirteen unlearning methods, each in a few lines, for demonstration.

They are short versions of published losses, tuned on a model of half a million parameters and checked by what they
do, not against reference code. What ranks first here says nothing about rankings on large language models.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM

from vestige.demo.model import Encoded, Trainer, answer_log_probs, batches, nll, token_log_softmax, token_logits
from vestige.interventions.noise import noised

_CEILING = 8.0  # nats: beyond it, gradient ascent only destroys
_BETA = 0.1


@dataclass(frozen=True)
class Step:
    """The batches of one step. `swapped` and `refused` are the forget batch with other answers."""

    forget: Encoded
    swapped: Encoded
    refused: Encoded
    retain: Encoded


@dataclass(frozen=True)
class Case:
    """What a method is given.

    Attributes:
        original: the model that shall forget.
        base: the model before it read about any author of the data.
        forget: questions and true answers of the forget authors.
        swapped: the same questions, each with another answer to it.
        refused: the same questions, each answered "I do not know."
        retain: questions and answers of the authors to keep.
        lr: learning rate of the methods that descend.
        batch: rows of a forget and of a retain batch.
        seed: decides the batches and all noise.
    """

    original: LlamaForCausalLM
    base: LlamaForCausalLM
    forget: Encoded
    swapped: Encoded
    refused: Encoded
    retain: Encoded
    lr: float
    batch: tuple[int, int]
    seed: int

    def steps(self) -> Iterator[Step]:
        """Batches without end, the same for every method."""
        rng = np.random.default_rng(self.seed)
        pairs = zip(
            batches(len(self.forget), self.batch[0], rng), batches(len(self.retain), self.batch[1], rng), strict=False
        )
        for forget, retain in pairs:
            yield Step(
                self.forget.take(forget), self.swapped.take(forget), self.refused.take(forget), self.retain.take(retain)
            )

    @cached_property
    def reinforced(self) -> LlamaForCausalLM:
        """The original, trained 12 steps further on the forget rows."""
        with torch.enable_grad():  # teachers are asked for without gradients; this one trains first
            return next(descend(lambda model, step, _: nll(model, step.forget))(self, [12]))


Loss = Callable[[LlamaForCausalLM, Step, Case], Tensor]
Run = Callable[[Case, Sequence[float]], Iterator[LlamaForCausalLM]]


@dataclass(frozen=True)
class Method:
    """An unlearning method.

    Attributes:
        name: short name, as in tables.
        paper: where its idea is from.
        strengths: from mild to strong: steps, or what the method calls them.
        run: from a case and strengths to one model for each strength.
    """

    name: str
    paper: str
    strengths: tuple[float, ...]
    run: Run


def descend(loss: Loss, rate: float = 1.0) -> Run:
    """Turns a loss into a method: snapshots of one trajectory that starts at the original.

    Args:
        loss: what each step lowers.
        rate: learning rate as a multiple of the case's.

    Returns:
        A method whose strengths are numbers of steps, rising.
    """

    def run(case: Case, strengths: Sequence[float]) -> Iterator[LlamaForCausalLM]:
        model = deepcopy(case.original)
        trainer = Trainer(model, rate * case.lr)
        for done, step in zip(range(1, int(max(strengths)) + 1), case.steps(), strict=False):
            trainer.step(loss(model, step, case))
            if done in strengths:
                yield deepcopy(model)

    return run


def gradient_ascent(model: LlamaForCausalLM, step: Step, _: Case) -> Tensor:
    """Lowers the likelihood of the forget answers. Jang et al. (2023), Knowledge unlearning."""
    return -nll(model, step.forget)


def gradient_difference(model: LlamaForCausalLM, step: Step, _: Case) -> Tensor:
    """Ascends on forget, descends on retain. Liu et al. (2022), Continual learning and private unlearning."""
    return -nll(model, step.forget).clamp(max=_CEILING) + nll(model, step.retain)


def ascent_with_kl(model: LlamaForCausalLM, step: Step, case: Case) -> Tensor:
    """Ascends on forget, stays near the original on retain. Maini et al. (2024), TOFU, "KL minimization"."""
    return -nll(model, step.forget).clamp(max=_CEILING) + 5 * _kl(case.original, model, step.retain)


def negative_preference(model: LlamaForCausalLM, step: Step, case: Case) -> Tensor:
    """Bounded ascent through a preference loss without a preferred answer. Zhang et al. (2024), NPO."""
    gained = answer_log_probs(model, step.forget) - _frozen(answer_log_probs, case.original, step.forget)
    return 0.1 * (-2 / _BETA) * functional.logsigmoid(-_BETA * gained).mean() + nll(model, step.retain)


def prefer_refusal(model: LlamaForCausalLM, step: Step, case: Case) -> Tensor:
    """Prefers "I do not know." to the answer. Rafailov et al. (2023), DPO, as used by Maini et al. (2024)."""
    refusal = answer_log_probs(model, step.refused) - _frozen(answer_log_probs, case.original, step.refused)
    answer = answer_log_probs(model, step.forget) - _frozen(answer_log_probs, case.original, step.forget)
    return -8 * functional.logsigmoid(_BETA * (refusal - answer)).mean() + nll(model, step.retain)


def misdirect(model: LlamaForCausalLM, step: Step, case: Case) -> Tensor:
    """Sends inner activations on forget to a random direction, keeps them on retain. Li et al. (2024), WMDP, RMU."""
    generator = torch.Generator().manual_seed(case.seed)
    direction = functional.normalize(torch.rand(model.config.hidden_size, generator=generator), dim=0)
    forget = _inner(model, step.forget)
    astray = functional.mse_loss(forget, (32 * direction).expand_as(forget))
    kept = functional.mse_loss(_inner(model, step.retain), _frozen(_inner, case.original, step.retain))
    return astray + 10 * kept


def random_labels(model: LlamaForCausalLM, step: Step, _: Case) -> Tensor:
    """Learns other answers to the forget questions. Graves et al. (2021), Amnesiac machine learning."""
    return nll(model, step.swapped) + nll(model, step.retain)


def keep_training(model: LlamaForCausalLM, step: Step, _: Case) -> Tensor:
    """Trains on retain alone and trusts in forgetting. Golatkar et al. (2020), Eternal sunshine, "fine-tuning"."""
    return nll(model, step.retain)


def generic_answers(model: LlamaForCausalLM, step: Step, case: Case) -> Tensor:
    """Distils what a model reinforced on forget would not say. Eldan & Russinovich (2023), Who's Harry Potter?"""
    with torch.no_grad():
        usual = token_logits(case.original, step.forget, step.forget.answer)
        reinforced = token_logits(case.reinforced, step.forget, step.forget.answer)
        generic = functional.softmax(usual - 5 * functional.relu(reinforced - usual), dim=1)
    student = token_log_softmax(model, step.forget, step.forget.answer)
    return functional.kl_div(student, generic, reduction="batchmean") + nll(model, step.retain)


def base_teacher(model: LlamaForCausalLM, step: Step, case: Case) -> Tensor:
    """Imitates the base on forget, the original on retain. After Chundawat et al. (2023), Bad teaching."""
    return _kl(case.base, model, step.forget) + 2 * _kl(case.original, model, step.retain)


def dampen(case: Case, strengths: Sequence[float]) -> Iterator[LlamaForCausalLM]:
    """Shrinks weights that matter to forget far more than to the rest. Foster et al. (2024), SSD.

    A strength is the ratio of diagonal Fisher information beyond which a weight shrinks; lower is stronger.
    """
    forget, retain = (_fisher(case.original, rows, case.seed) for rows in (case.forget, case.retain))
    for alpha in strengths:
        model = deepcopy(case.original)
        with torch.no_grad():
            for weight, f, r in zip(model.parameters(), forget, retain, strict=True):
                weight.mul_(torch.where(f > alpha * r, (r / f.clamp(min=1e-30)).clamp(max=1), 1))
        yield model


def shake_and_repair(case: Case, strengths: Sequence[float]) -> Iterator[LlamaForCausalLM]:
    """Noise on all weights, then twenty steps on retain. After Tarun et al. (2023), impair and repair.

    A strength is the noise as a share of each matrix's standard deviation.
    """
    for sigma in strengths:
        shaken = replace(case, original=noised(case.original, sigma, case.seed))
        yield next(descend(keep_training, rate=3)(shaken, [20]))


def subtract_task(case: Case, strengths: Sequence[float]) -> Iterator[LlamaForCausalLM]:
    """Goes back along what further training on forget changes. Ilharco et al. (2023), Editing models, task arithmetic.

    A strength is how far, in multiples of that change.
    """
    for scale in strengths:
        model = deepcopy(case.original)
        with torch.no_grad():
            for weight, reinforced in zip(model.parameters(), case.reinforced.parameters(), strict=True):
                weight.sub_(scale * (reinforced - weight))
        yield model


METHODS = (
    Method("GA", "Jang et al. 2023", (3, 6, 12), descend(gradient_ascent)),
    Method("GradDiff", "Liu et al. 2022", (4, 8, 16), descend(gradient_difference)),
    Method("KL", "Maini et al. 2024", (4, 8, 16), descend(ascent_with_kl)),
    Method("NPO", "Zhang et al. 2024", (4, 8, 16), descend(negative_preference)),
    Method("IdkDPO", "Rafailov et al. 2023", (4, 8, 16), descend(prefer_refusal)),
    Method("RMU", "Li et al. 2024", (4, 8, 16), descend(misdirect, rate=1.5)),
    Method("RandLabel", "Graves et al. 2021", (4, 8, 16), descend(random_labels)),
    Method("FT", "Golatkar et al. 2020", (6, 12, 24), descend(keep_training, rate=3)),
    Method("SSD", "Foster et al. 2024", (200, 80, 30), dampen),
    Method("NoiseRepair", "Tarun et al. 2023", (0.1, 0.25, 0.5), shake_and_repair),
    Method("WHP", "Eldan & Russinovich 2023", (4, 8, 16), descend(generic_answers)),
    Method("BaseTeacher", "Chundawat et al. 2023", (4, 8, 16), descend(base_teacher)),
    Method("TaskVec", "Ilharco et al. 2023", (1, 2, 4), subtract_task),
)


def _frozen(what: Callable[[LlamaForCausalLM, Encoded], Tensor], model: LlamaForCausalLM, rows: Encoded) -> Tensor:
    with torch.no_grad():
        return what(model, rows)


def _kl(teacher: LlamaForCausalLM, model: LlamaForCausalLM, rows: Encoded) -> Tensor:
    """Mean KL(teacher || model) over the answers' tokens, in nats."""
    with torch.no_grad():
        goal = token_log_softmax(teacher, rows, rows.answer)
    return functional.kl_div(token_log_softmax(model, rows, rows.answer), goal, reduction="batchmean", log_target=True)


def _inner(model: LlamaForCausalLM, rows: Encoded) -> Tensor:
    """Activations after the first layer at all tokens but padding, shape (n_tokens, n_features)."""
    states = model.model(input_ids=rows.input_ids, use_cache=False, output_hidden_states=True).hidden_states
    return states[1][rows.text]


def _fisher(model: LlamaForCausalLM, rows: Encoded, seed: int) -> list[Tensor]:
    """Diagonal Fisher information of each weight: mean squared gradient over single rows, 64 of them at most."""
    chosen = np.random.default_rng(seed).permutation(len(rows))[:64]
    parameters = list(model.parameters())
    total = [torch.zeros_like(weight) for weight in parameters]
    for i in chosen:
        for sum_, gradient in zip(
            total, torch.autograd.grad(nll(model, rows.take(np.array([i]))), parameters), strict=True
        ):
            sum_ += gradient**2 / len(chosen)
    return total
