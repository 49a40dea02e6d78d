"""Membership inference on anyone's scores: populations, areas and rates with intervals, worst case.

Members are the forget examples; the others must be unseen at every stage, the base model's included, come from the
same source and be matched in length. Every score is oriented so that higher means likelier a member.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, isnan, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import kernels
from vestige.stats.estimate import Estimate
from vestige.stats.intervals import FEWEST_CLUSTERS_FOR_BOOTSTRAP, cluster_estimate, percentile

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
# A rate of 1 in 1000 needs 10,000 others: below ten expected false positives the threshold itself is a guess.
_FALSE_POSITIVES = 10
_CHANCE = 0.5


@dataclass(frozen=True)
class Population:
    """Scores of members and of others, and what is drawn as a whole.

    Attributes:
        members: one score a member, shape (n_members,), higher = likelier a member.
        others: one score a non-member, shape (n_others,).
        member_clusters: entity of each member, as numbers shared with `other_clusters`.
        other_clusters: entity of each non-member.
        over: what the clusters are, in the plural.
    """

    members: Floats
    others: Floats
    member_clusters: Ids
    other_clusters: Ids
    over: str = "examples"


def population(
    members: ArrayLike,
    others: ArrayLike,
    member_clusters: ArrayLike | None = None,
    other_clusters: ArrayLike | None = None,
    over: str = "clusters",
) -> Population:
    """Scores of members and others, checked, with their clusters as numbers.

    Args:
        members: scores of the forget examples, shape (n_members,), higher = likelier a member.
        others: scores of examples that were never seen, shape (n_others,). Retain examples in their place ask another
            question (can forgotten be told from kept?), and a report must say so.
        member_clusters: entity of each member, shape (n_members,), any labels; each for itself if left out.
        other_clusters: entity of each other example, shape (n_others,); give both or neither.
        over: what the clusters are, in the plural; "examples" without clusters.

    Raises:
        ValueError: if a set is empty, clusters are given for one set only, or lengths differ.

    Source: defined here.

    >>> population([2.0, 3.0], [1.0]).other_clusters.tolist()
    [2]
    """
    scores = [np.asarray(values, np.float64).reshape(-1) for values in (members, others)]
    sizes = [len(values) for values in scores]
    if min(sizes) < 1:
        raise ValueError(f"`members` and `others` must not be empty, but have {sizes[0]} and {sizes[1]} scores")
    if member_clusters is None and other_clusters is None:
        return Population(scores[0], scores[1], np.arange(sizes[0]), sizes[0] + np.arange(sizes[1]))
    if member_clusters is None or other_clusters is None:
        raise ValueError("`member_clusters` and `other_clusters` must be given both or neither")
    labels = [np.asarray(member_clusters), np.asarray(other_clusters)]
    if [len(part) for part in labels] != sizes:
        raise ValueError(f"clusters must hold one label a score, {sizes}, but hold {[len(part) for part in labels]}")
    codes = np.unique(np.concatenate(labels), return_inverse=True)[1].astype(np.int64)
    return Population(scores[0], scores[1], codes[: sizes[0]], codes[sizes[0] :], over)


def auc(scores: Population, confidence_level: float = 0.95) -> Estimate:
    """Area under the ROC curve of members against others, with an interval over entities.

    Args:
        scores: members and others.
        confidence_level: nominal coverage.

    Returns:
        The area, within [0, 1]. 1 = members stand out, 0.5 = indistinguishable, below = over-forgotten, which gives
        membership away as well. Read it against the retrained model's (`auc_difference`) and the blind baseline.

    Source: Hanley and McNeil (1982); interval: docs of `cluster_estimate`, logit scale.

    >>> auc(population([2.0, 3.0, 0.0], [1.0, 0.0, 1.0])).value
    0.7222222222222222
    """
    arrays = {"members": scores.members, "others": scores.others}
    clusters = {"members": scores.member_clusters, "others": scores.other_clusters}
    return cluster_estimate(
        lambda a: kernels.roc_auc(a["members"], a["others"]) if min(map(len, a.values())) else nan,
        arrays,
        clusters,
        scale="logit",
        over=scores.over,
        fixed=("checkpoint",),
        confidence_level=confidence_level,
    )


def auc_within_folds(
    scores: Population,
    member_folds: Ids,
    other_folds: Ids,
    *,
    fixed: tuple[str, ...] = (),
    confidence_level: float = 0.95,
) -> Estimate:
    """Mean over folds of the area within each: scores that two fits made are never ranked against each other.

    Args:
        scores: members and others, each scored by a fit that has not seen its fold.
        member_folds: fold of each member, shape (n_members,).
        other_folds: fold of each other example, shape (n_others,).
        fixed: what else the interval does not speak for.
        confidence_level: nominal coverage.

    Returns:
        The area, within [0, 1]; 0.5 where nothing is found. Pooled over folds it would be below 0.5 then.

    Source: Airola et al. (2011), An experimental comparison of cross-validation techniques for the area under the ROC
        curve.

    >>> auc_within_folds(population([1.0, 9.0], [0.0, 8.0]), np.array([0, 1]), np.array([0, 1])).value
    1.0
    """
    arrays = {
        "members": np.stack([scores.members, member_folds], axis=1),
        "others": np.stack([scores.others, other_folds], axis=1),
    }
    return cluster_estimate(
        mean_of_folds,
        arrays,
        {"members": scores.member_clusters, "others": scores.other_clusters},
        scale="logit",
        over=scores.over,
        fixed=("checkpoint", *fixed),
        confidence_level=confidence_level,
    )


def mean_of_folds(arrays: Mapping[str, Floats]) -> float:
    """Mean over folds of the area of "members" against "others": columns score and fold; NaN without a fold of both."""
    areas = []
    for fold in np.unique(np.concatenate([part[:, 1] for part in arrays.values()])):
        inside = [part[part[:, 1] == fold, 0] for part in (arrays["members"], arrays["others"])]
        if min(map(len, inside)):
            areas.append(kernels.roc_auc(*inside))
    return float(np.mean(areas)) if areas else nan


def auc_difference(unlearned: Population, retrained: Population) -> Estimate:
    """The unlearned model's area minus the retrained model's on the same examples: the primary membership value.

    Whatever sets the two sets apart by themselves (other topics, lengths, hard examples) is in both areas.

    Args:
        unlearned: scores of the unlearned model.
        retrained: scores of a retrained model, example by example in the same order.

    Returns:
        The difference, within [-1, 1]. 0 = members are as visible as in a model that never saw them; above = a trace
        is left; below = over-forgotten. The interval is paired: an entity is left out of both models at once.

    Raises:
        ValueError: if the two do not have the same examples.

    Source: defined here; arXiv 2407.06460 (MUSE) divides the same difference by the retrained model's area.

    >>> u, r = population([3.0, 4.0], [1.0, 2.0]), population([1.0, 2.0], [1.0, 2.0])
    >>> auc_difference(u, r).value
    0.5
    """
    pairs = (
        (unlearned.member_clusters, retrained.member_clusters),
        (unlearned.other_clusters, retrained.other_clusters),
    )
    if not all(np.array_equal(ours, theirs) for ours, theirs in pairs):
        raise ValueError(
            "`unlearned` and `retrained` must score the same examples with the same clusters, in one order"
        )
    arrays = {"members": np.stack([unlearned.members, retrained.members], 1)}
    arrays["others"] = np.stack([unlearned.others, retrained.others], 1)
    clusters = {"members": unlearned.member_clusters, "others": unlearned.other_clusters}
    return cluster_estimate(
        _difference, arrays, clusters, scale="fisher", over=unlearned.over, fixed=("checkpoint", "retrained seed")
    )


def _difference(arrays: Mapping[str, Floats]) -> float:
    members, others = arrays["members"], arrays["others"]
    if not len(members) or not len(others):
        return nan
    areas = [kernels.roc_auc(members[:, model], others[:, model]) for model in (0, 1)]
    return float(areas[0] - areas[1])


def tpr_at_fpr(scores: Population, fpr: float = 0.01, *, n_resamples: int = 2000, seed: int = 0) -> Estimate:
    """Share of members found when at most a share `fpr` of the others is accused, with an interval over entities.

    Args:
        scores: members and others.
        fpr: false positive rate that is allowed, above 0 and at most 1.
        n_resamples: resamples of the interval.
        seed: decides them.

    Returns:
        The rate, within [0, 1]; higher = more members found. Chance is `fpr`. The threshold is found anew in every
        resample, so the interval holds its error too. NaN with the reason where there are fewer than 10 / `fpr`
        others: at 400 others and a rate of 0.1 % a true 1.8 % shows as anything from 0 to 9 %.

    Raises:
        ValueError: if `fpr` is out of range.

    Source: Carlini et al. (2022), Membership inference attacks from first principles, arXiv 2112.03570; refusal:
        defined here.

    >>> tpr_at_fpr(population([1.0], [0.0, 0.5])).reason
    '2 non-members, a rate at 0.01 needs 1000'
    """
    if not 0 < fpr <= 1:
        raise ValueError(f"`fpr` must be above 0 and at most 1, but it is {fpr}")
    n, needed = len(scores.members) + len(scores.others), ceil(_FALSE_POSITIVES / fpr - 1e-9)
    if len(scores.others) < needed:
        return Estimate(nan, n=n, reason=f"{len(scores.others)} non-members, a rate at {fpr:g} needs {needed}")
    value = kernels.tpr_at_fpr(scores.members, scores.others, fpr)
    draws = [np.unique(ids, return_inverse=True) for ids in (scores.member_clusters, scores.other_clusters)]
    fewest = min(len(units) for units, _ in draws)
    if isnan(value) or fewest < FEWEST_CLUSTERS_FOR_BOOTSTRAP:
        why = "NaN in the scores" if isnan(value) else f"{fewest} {scores.over}, a bootstrap of a rate needs 20"
        return Estimate(value, n=n, reason=why)
    counts = [_cluster_counts(len(units), n_resamples, seed, side) for side, (units, _) in enumerate(draws)]
    replicates = _rates(scores, counts[0][:, draws[0][1]], counts[1][:, draws[1][1]], fpr)
    low, high = percentile(replicates)
    units_of_both = sum(len(units) for units, _ in draws)
    return Estimate(value, low, high, n, scores.over, ("checkpoint",), units_of_both, "percentile bootstrap")


def _cluster_counts(n_clusters: int, n_resamples: int, seed: int, sample: int) -> NDArray[np.int16]:
    """How often each resample draws each cluster, shape (n_resamples, n_clusters)."""
    drawn = kernels.resample_indices(n_clusters, n_resamples, seed, sample=sample)
    return np.stack([np.bincount(row, minlength=n_clusters) for row in drawn]).astype(np.int16)


def _rates(scores: Population, of_members: NDArray[np.int16], of_others: NDArray[np.int16], fpr: float) -> Floats:
    """The rate when member i counts `of_members[b, i]` times and other j `of_others[b, j]` times, for each b."""
    order = np.argsort(-scores.others)
    descending, found = scores.others[order], np.empty(len(of_members))
    for b, (member_weights, other_weights) in enumerate(zip(of_members, of_others, strict=True)):
        above = np.cumsum(other_weights[order], dtype=np.int64)
        too_many = above > fpr * above[-1] * (1 + 1e-12)
        accused = scores.members > descending[np.argmax(too_many)] if too_many.any() else np.True_
        found[b] = np.sum(member_weights * accused) / member_weights.sum()
    return found


def balanced_accuracy(scores: Population, threshold: float) -> Estimate:
    """Mean of the shares of members above a threshold and of others not above it.

    Args:
        scores: members and others.
        threshold: chosen on other examples; one that is chosen on these makes the value too high.

    Returns:
        The accuracy, within [0, 1]; 0.5 is chance, and near 0 is as leaky as near 1: see `advantage`.

    Source: metrics of arXiv 2605.02206's successor, (TPR + TNR) / 2.

    >>> balanced_accuracy(population([2.0, 3.0], [1.0, 4.0]), threshold=1.5).value
    0.75
    """
    arrays = {"members": scores.members > threshold, "others": scores.others <= threshold}
    clusters = {"members": scores.member_clusters, "others": scores.other_clusters}
    found = cluster_estimate(_mean_rate, arrays, clusters, scale="logit", over=scores.over, fixed=("checkpoint",))
    undefined = np.isnan(scores.members).any() or np.isnan(scores.others).any()
    return Estimate(nan, n=found.n, reason="NaN in the scores") if undefined else found


def _mean_rate(arrays: Mapping[str, NDArray[np.bool_]]) -> float:
    if not len(arrays["members"]) or not len(arrays["others"]):
        return nan
    return float((arrays["members"].mean() + arrays["others"].mean()) / 2)


def advantage(accuracy: float) -> float:
    """Twice the distance of a balanced accuracy (or of an area) from chance.

    Args:
        accuracy: within [0, 1]; of one checkpoint, for the mean of several hides deviations to both sides.

    Returns:
        Within [0, 1]; 0 = chance, 1 = membership is given away, whether by 0 or by 1. Lower is better.

    Source: MIA_adv of arXiv 2605.02206's successor.

    >>> advantage(0.0), advantage(0.75)
    (1.0, 0.5)
    """
    return 2 * abs(accuracy - _CHANCE)


def privacy_closeness(unlearned_auc: ArrayLike, retrained_auc: ArrayLike) -> NDArray[np.float64]:
    r"""Closeness s of an attack's area to the retrained model's, $1 - \min(|A_u - A_r| / A_r, 1)$.

    Args:
        unlearned_auc: areas of unlearned models, shape (...), within [0, 1].
        retrained_auc: area of the retrained model, broadcastable to it.

    Returns:
        Same shape, float64, within [0, 1]; higher = closer to the retrained model, on whichever side. NaN where the
        retrained model's area is 0.

    Source: s_* of the release of arXiv 2605.24614 (UDS).

    >>> privacy_closeness([0.75, 0.5, 0.25], 0.5).tolist()
    [0.5, 1.0, 0.5]
    """
    ours, theirs = np.asarray(unlearned_auc, np.float64), np.asarray(retrained_auc, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(theirs > 0, np.abs(ours - theirs) / theirs, nan)
    return np.asarray(1 - np.minimum(share, 1))


@dataclass(frozen=True)
class WorstCase:
    """The strongest of several attacks, chosen on one half of the entities and reported on the other.

    Attributes:
        attack: name of the chosen attack.
        estimate: its area, or difference of areas, on the half that did not choose.
        chosen_by: each attack's distance from "no trace" on the half that chose.
    """

    attack: str
    estimate: Estimate
    chosen_by: Mapping[str, float]


def worst_case(
    unlearned: Mapping[str, Population], retrained: Mapping[str, Population] | None = None, *, seed: int = 0
) -> WorstCase:
    """The strongest attack, without the upward bias of a maximum.

    Args:
        unlearned: attack to its scores; all on the same examples.
        retrained: the same attacks on a retrained model: they are then judged by the difference of areas, which is
            the better question. Without it by the area's distance from 0.5.
        seed: decides which entities choose.

    Returns:
        The attack that shows most on one half, with its value and interval on the other half. An attack that is
        undefined on the first half is not chosen.

    Raises:
        ValueError: if there is no attack, the attacks have other examples, or a set has fewer than two entities.

    Source: defined here.

    >>> rng = np.random.default_rng(0)
    >>> strong, weak = population(rng.normal(2, 1, 40), rng.normal(0, 1, 40)), population(np.zeros(40), np.zeros(40))
    >>> worst_case({"strong": strong, "weak": weak}).attack
    'strong'
    """
    first = next(iter(unlearned.values()), None)
    if first is None or (retrained is not None and retrained.keys() != unlearned.keys()):
        raise ValueError("`unlearned` must hold at least one attack, and `retrained` the same ones")
    for name, scores in unlearned.items():
        if not np.array_equal(scores.member_clusters, first.member_clusters) or not np.array_equal(
            scores.other_clusters, first.other_clusters
        ):
            raise ValueError(f"attack {name!r} has other examples than the first; score all attacks on the same ones")
    choosing = _half(first, seed)

    def judged(name: str, half: bool) -> Estimate:
        ours = _part(unlearned[name], choosing, half)
        return auc(ours) if retrained is None else auc_difference(ours, _part(retrained[name], choosing, half))

    middle = _CHANCE if retrained is None else 0.0
    seen = {name: abs(judged(name, True).value - middle) for name in unlearned}
    chosen = max(seen, key=lambda name: -1.0 if isnan(seen[name]) else seen[name])
    return WorstCase(chosen, judged(chosen, False), seen)


def _half(scores: Population, seed: int) -> Ids:
    """Half of the entities of each set; an entity of both goes with its members."""
    rng, taken = np.random.default_rng(seed), []
    of_others = np.setdiff1d(scores.other_clusters, scores.member_clusters)
    for entities in (np.unique(scores.member_clusters), of_others):
        taken.append(rng.permutation(entities)[: len(entities) // 2])
    return np.concatenate(taken)


def _part(scores: Population, choosing: Ids, wanted: bool) -> Population:
    members = np.isin(scores.member_clusters, choosing) == wanted
    others = np.isin(scores.other_clusters, choosing) == wanted
    if not members.any() or not others.any():
        raise ValueError(f"each half needs members and others, but there are too few {scores.over} to split")
    return Population(
        scores.members[members],
        scores.others[others],
        scores.member_clusters[members],
        scores.other_clusters[others],
        scores.over,
    )
