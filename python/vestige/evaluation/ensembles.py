"""Many models of one kind, each scored once: members of ensembles and shadow models, and their margins as matrices."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige import kernels
from vestige.evaluation.config import Models
from vestige.metrics.accuracy import exact_match
from vestige.scoring.units import Checkpoint

COLUMNS = {
    "ensemble_margin": "margin",
    "ensemble_hit": "hit",
    "seen_margin": "margin",
    "unseen_margin": "margin",
    "margin": "margin",
}
"""Columns that are read off others: of an ensemble, of shadow models, and of one model."""

FEWEST = {"ensemble_margin": 3, "ensemble_hit": 3, "seen_margin": 2, "unseen_margin": 2}
"""Models of a kind from which a spread between them is one."""

RETRAINED, SHADOWS = "retrained", "shadows"


@dataclass(frozen=True)
class Member:
    """One of many models.

    Attributes:
        name: how messages call it.
        group: the unlearned model that it is another seed of, `RETRAINED` or `SHADOWS`.
        checkpoint: where its weights and scores are.
        saw: of a shadow model, the splits that it was trained on.
    """

    name: str
    group: str
    checkpoint: Checkpoint
    saw: tuple[str, ...] = ()


def listed(models: Models) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Name, group, path and splits seen of every model of a configuration that only counts as one of many."""
    for model in models.unlearned:
        for i, path in enumerate(model.ensemble, 1):
            yield f"{model.name}, further seed {i}", model.name, path, ()
    for i, path in enumerate(models.retrained_ensemble):
        yield f"retrained ensemble {i}", RETRAINED, path, ()
    for i, shadow in enumerate(models.shadows):
        yield f"shadow {i}", SHADOWS, shadow.path, shadow.saw


def shadows_of(members: Sequence[Member], split: str, column: str) -> list[Checkpoint]:
    """The shadow models that saw a split (for "seen_margin"), or those that did not."""
    seen = column == "seen_margin"
    return [m.checkpoint for m in members if m.group == SHADOWS and (split in m.saw) is seen]


def smallest(members: Sequence[Member], n_retrained: int) -> int:
    """Models of the smallest ensemble of a run, the retrained ones being one."""
    groups = [m.group for m in members if m.group != SHADOWS]
    sizes = [1 + groups.count(group) for group in groups if group != RETRAINED]
    return min([n_retrained + groups.count(RETRAINED), *sizes])


def of_model(column: str, stored: Callable[[str], NDArray[Any] | None]) -> NDArray[Any] | None:
    """Margin or hit of every example under one model, from what is stored; None if that is not enough.

    A hit is an answer whose every token is the likeliest one. The margin is the log-odds of the right class, as stored;
    of an answer in tokens it is that of its mean probability a token (geometric), so that long answers count as short
    ones do.
    """
    if COLUMNS[column] == "margin" and (margins := stored("margin")) is not None:
        return np.asarray(margins, np.float64)
    values, offsets = stored("argmax_hit" if COLUMNS[column] == "hit" else "token_log_prob"), stored("offsets")
    if values is None or offsets is None:
        return None
    return exact_match(values, offsets) if COLUMNS[column] == "hit" else token_margins(values, offsets)


def token_margins(token_log_prob: NDArray[Any], offsets: NDArray[Any]) -> NDArray[np.float64]:
    r"""Log-odds of each answer's mean probability a token, $m - \ln(1 - e^m)$ with $m$ the mean log-probability.

    >>> token_margins(np.log([0.5, 0.5, 0.9]), np.array([0, 2, 3])).round(3).tolist()
    [0.0, 2.197]
    """
    mean = -kernels.sequence_nll(np.asarray(token_log_prob, np.float64), np.asarray(offsets))
    with np.errstate(divide="ignore"):
        margins: NDArray[np.float64] = mean - np.log(-np.expm1(mean))
    return margins
