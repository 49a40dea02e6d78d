"""What tells forget examples from never-seen ones without any model: a difference between the sets, not memory."""

import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from math import nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.metrics.attacks import word_attack
from vestige.metrics.membership import Population, auc, population
from vestige.stats.estimate import Estimate


def blind_scores(texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Scores that need no model: anything they tell about membership is a difference between the sets.

    Args:
        texts: one text an example.

    Returns:
        `length` in characters and `zlib` in compressed bytes, each shape (n_texts,).

    Source: Das et al. (2024), Blind Baselines Beat Membership Inference Attacks, arXiv 2406.16201.

    >>> blind_scores(["aaaa", "ab"])["length"]
    array([4., 2.])
    """
    return {
        "length": np.array([len(text) for text in texts], np.float64),
        "zlib": np.array([len(zlib.compress(text.encode())) for text in texts], np.float64),
    }


def blind_baseline(
    members: Sequence[str],
    others: Sequence[str],
    member_clusters: ArrayLike | None = None,
    other_clusters: ArrayLike | None = None,
    *,
    over: str = "clusters",
    seed: int = 0,
) -> dict[str, Estimate]:
    """How well members are told from others without any model: what is found is a difference between the sets.

    Args:
        members: texts of the forget examples.
        others: texts of the examples that were never seen.
        member_clusters: entity of each member; see `population`.
        other_clusters: entity of each other example.
        over: what the clusters are, in the plural.
        seed: decides the folds of the bag of words.

    Returns:
        `length`, `zlib` and `words` (logistic regression on words, folds grouped by entity) to areas, whose intervals
        hold together at 95 %. Where one excludes 0.5 the sets differ, and no absolute area of a membership attack on
        them can be read. Of `words` only the upper side counts: on matched sets, what is left out of a fold is
        missing from its training, which pushes the area down. It is undefined, with the reason, without scikit-learn
        and below two entities a set.

    Source: Das et al. (2024), Blind baselines beat membership inference attacks, arXiv 2406.16201.

    >>> texts = [f"{name} is old" for name in ("Ann", "Bob", "Cem", "Dan", "Eve", "Flo")]
    >>> {name: e.value for name, e in blind_baseline(texts, texts).items() if name != "words"}
    {'length': 0.5, 'zlib': 0.5}
    """
    level = 1 - 0.05 / 3  # three chances to find a difference
    ours, theirs = blind_scores(members), blind_scores(others)
    sets = {name: population(ours[name], theirs[name], member_clusters, other_clusters, over) for name in ours}
    found = {name: auc(scores, level) for name, scores in sets.items()}
    return {**found, "words": _words(members, others, sets["length"], level, seed)}


def _words(
    members: Sequence[str], others: Sequence[str], entities: Population, confidence_level: float, seed: int
) -> Estimate:
    if find_spec("sklearn") is None:
        return Estimate(nan, reason="needs scikit-learn: pip install 'vestige[metrics]'")
    if min(len(np.unique(ids)) for ids in (entities.member_clusters, entities.other_clusters)) < 2:
        return Estimate(nan, reason="a classifier needs two clusters in each set")
    return word_attack(members, others, entities, confidence_level=confidence_level, seed=seed).auc
