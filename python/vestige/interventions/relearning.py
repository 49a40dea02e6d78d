"""Training on what was to be forgotten: how fast does it come back?"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vestige.scoring.classifier import Classifier, Item, on_device
from vestige.scoring.forward import TokenItem, TokenModel, padded, to_device


def relearned(
    model: TokenModel,
    sequences: Sequence[TokenItem],
    *,
    steps: int,
    lr: float = 2e-5,
    batch_size: int = 32,
    seed: int = 0,
) -> Any:
    """A copy of a model after a few steps of training on the forget answers.

    Args:
        model: the model; it is not changed.
        sequences: forget examples as the model takes them (`scoring.spans.encode`, or `encode` of its kind); the loss
            is over their scored tokens.
        steps: number of AdamW steps.
        lr: learning rate, constant; 2e-5 in OpenUnlearning's attack, which runs one epoch.
        batch_size: sequences a step.
        seed: decides the order of the sequences, and dropout where the model has any.

    Returns:
        The trained copy, in eval mode.

    Raises:
        ValueError: if there are no sequences, or a number is out of range.

    Source: relearning attack of OpenUnlearning, arXiv 2506.12618.
    """
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1, but it is {steps}")
    training = _training(model, sequences, steps=steps, lr=lr, batch_size=batch_size, seed=seed)
    return deque(training, maxlen=1).pop()


def relearning_curve(
    model: TokenModel,
    sequences: Sequence[TokenItem],
    accuracy: Callable[[Any], float],
    *,
    steps: int,
    lr: float = 2e-5,
    batch_size: int = 32,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Accuracy on the forget answers after 0, 1, 2, ... steps of training on them.

    Args:
        model: the model; it is not changed.
        sequences: as in `relearned`.
        accuracy: from a model to its accuracy on the forget examples.
        steps: number of steps.
        lr: as in `relearned`.
        batch_size: as in `relearned`.
        seed: as in `relearned`.

    Returns:
        Shape (steps + 1,), float64, in the unit of `accuracy`; see `anamnesis_index`.

    Raises:
        ValueError: as `relearned`.

    Source: Chundawat et al. (2023), Zero-shot machine unlearning, arXiv 2201.05629 (relearn time).
    """
    training = _training(model, sequences, steps=steps, lr=lr, batch_size=batch_size, seed=seed)
    return np.array([accuracy(model.model), *(accuracy(trained) for trained in training)], np.float64)


def classifier_relearning_curve(
    model: Classifier,
    items: Sequence[Item],
    accuracy: Callable[[Any], float],
    *,
    steps: int,
    lr: float = 2e-5,
    batch_size: int = 32,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Accuracy of a classifier after 0, 1, 2, ... steps of training on the right labels.

    Args:
        model: the model, which is trained itself: its inputs are tied to it.
        items: forget examples as `scoring.classifier.encode` makes them; the loss is cross entropy, squared error for
            models with one output.
        accuracy: from the trained module to its accuracy on the forget examples.
        steps: number of steps.
        lr: as in `relearned`.
        batch_size: as in `relearned`.
        seed: as in `relearned`.

    Returns:
        Shape (steps + 1,), float64, in the unit of `accuracy`.

    Raises:
        ValueError: as `relearned`.

    Source: Chundawat et al. (2023), Zero-shot machine unlearning, arXiv 2201.05629 (relearn time).
    """
    before = accuracy(model.model)

    def loss(chosen: Sequence[int]) -> torch.Tensor:
        batch = [items[i] for i in chosen]
        return _label_loss(model.call(on_device(model, model.collate(batch))), [item.label for item in batch])

    training = _steps(model.model, loss, len(items), steps=steps, lr=lr, batch_size=batch_size, seed=seed)
    return np.array([before, *(accuracy(trained) for trained in training)], np.float64)


def _label_loss(logits: torch.Tensor, labels: Sequence[float]) -> torch.Tensor:
    if logits.shape[1] == 1:
        return torch.nn.functional.mse_loss(logits[:, 0].float(), torch.tensor(labels, device=logits.device))
    wanted = torch.tensor([int(label) for label in labels], device=logits.device)
    return torch.nn.functional.cross_entropy(logits.float(), wanted)


def _training(
    model: TokenModel, sequences: Sequence[TokenItem], *, steps: int, lr: float, batch_size: int, seed: int
) -> Iterator[Any]:
    """One copy of a model that speaks in tokens, after each step."""
    copy = deepcopy(model.model)

    def loss(chosen: Sequence[int]) -> torch.Tensor:
        return copy(**_batch([sequences[i] for i in chosen], model.device)).loss

    return _steps(copy, loss, len(sequences), steps=steps, lr=lr, batch_size=batch_size, seed=seed)


def _steps(
    module: Any,
    loss_of: Callable[[Sequence[int]], torch.Tensor],
    n_items: int,
    *,
    steps: int,
    lr: float,
    batch_size: int,
    seed: int,
) -> Iterator[Any]:
    """The module after each step of AdamW; random numbers of others stay as they are."""
    if not n_items or batch_size < 1 or not lr > 0:
        raise ValueError(
            "there must be sequences, `batch_size` must be at least 1 and `lr` above 0, but they are "
            f"{n_items}, {batch_size} and {lr}"
        )
    rng, optimiser, order = np.random.default_rng(seed), torch.optim.AdamW(module.parameters(), lr=lr), list[int]()
    for step in range(steps):
        while len(order) < min(batch_size, n_items):
            order.extend(rng.permutation(n_items).tolist())
        chosen, order = order[:batch_size], order[batch_size:]
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(np.random.SeedSequence([seed, step]).generate_state(1).item())
            module.train()
            optimiser.zero_grad(set_to_none=True)
            loss_of(chosen).backward()
            optimiser.step()
        module.eval()
        yield module


def _batch(sequences: Sequence[TokenItem], device: torch.device) -> dict[str, Any]:
    given = padded(sequences, device)
    starts = to_device(torch.tensor([[sequence.start] for sequence in sequences]), device)
    answered = (torch.arange(given["input_ids"].shape[1], device=device) >= starts) & (given["attention_mask"] == 1)
    return {**given, "labels": given["input_ids"].masked_fill(~answered, -100)}


@dataclass(frozen=True)
class AnamnesisIndex:
    """How fast an unlearned model learns again, against a model that never knew.

    Attributes:
        value: ratio of the steps. 1 is ideal, below 1 a trace was left, far above 1 learning was blocked, which gives
            away what was removed. inf where only the unlearned model never got there; NaN with a reason.
        unlearned_steps: steps of the unlearned model; inf if it never got there.
        retrained_steps: steps of the retrained model; inf if it never got there.
        reason: why the value is NaN; empty where it is not.
    """

    value: float
    unlearned_steps: float
    retrained_steps: float
    reason: str = ""


def anamnesis_index(
    unlearned: ArrayLike, retrained: ArrayLike, original_accuracy: float, alpha: float = 0.1
) -> AnamnesisIndex:
    """AIN: relearning time of the unlearned model over that of a retrained one.

    Args:
        unlearned: accuracies after 0, 1, 2, ... steps (see `relearning_curve`), shape (n_steps,).
        retrained: the same of a model retrained without the forget data.
        original_accuracy: accuracy of the original on the forget data.
        alpha: how far below the original's the target is, as a share of it; 0.05 or 0.1.

    Returns:
        The index; NaN where the retrained model needs no step (the data teach nothing) or neither gets there.

    Raises:
        ValueError: if `alpha` is not within [0, 1) or a curve is empty.

    Source: Chundawat et al. (2023), arXiv 2201.05629.

    >>> anamnesis_index([0.2, 0.9], [0.1, 0.2, 0.5, 0.8, 0.95], original_accuracy=1.0).value
    0.25
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"`alpha` must lie within [0, 1), but it is {alpha}")
    target = (1 - alpha) * original_accuracy
    ours, theirs = (_steps_to(np.asarray(curve, np.float64), target) for curve in (unlearned, retrained))
    if theirs == 0:
        return AnamnesisIndex(nan, ours, theirs, "the retrained model is there without a step")
    if theirs == inf:
        return AnamnesisIndex(nan, ours, theirs, "the retrained model did not get there; give it more steps")
    return AnamnesisIndex(ours / theirs, ours, theirs)


def _steps_to(curve: NDArray[np.float64], target: float) -> float:
    if not curve.size:
        raise ValueError("a curve must hold at least the accuracy before any step")
    reached = np.flatnonzero(curve >= target)
    return float(reached[0]) if reached.size else inf
