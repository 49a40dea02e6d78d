"""How much a comparison needs: entities, prompts, samples, retrained seeds and non-members, from a pilot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import nctdtr, ndtri, stdtrit

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

N_PROMPTS = (1, 2, 4, 8, 16)
N_SAMPLES = (1, 2, 4, 8)
# More entities than this are no plan.
MOST_ENTITIES = 1_000_000
# With more retrained seeds than this nobody will plan.
MOST_RETRAINED = 40
N_REPETITIONS = 2_000
# Spread of a distance between two given models over prompts, on the log scale: small beside the seeds' own.
DISTANCE_NOISE = 0.05
# A threshold at a false-positive rate rests on the non-members above it; below about 10 it is noise.
NON_MEMBERS_ABOVE = 10


@dataclass(frozen=True)
class Design:
    """One way to reach the power.

    Attributes:
        n_entities: entities (authors, clusters) needed.
        n_prompts: prompts for each entity.
        n_samples: samples for each prompt.
    """

    n_entities: int
    n_prompts: int
    n_samples: int


@dataclass(frozen=True)
class Power:
    """What a comparison needs.

    Attributes:
        difference: the smallest difference of means that is to be found.
        power: probability of finding it.
        confidence_level: one less the two-sided level of the test.
        variances: "entity", "prompt" and "sample" to the variance that each adds to one sample, in squared units of
            the values; NaN where the pilot cannot tell it from the level above, which then holds it too.
        pilot: number of entities, prompts and samples in the pilot.
        smallest_difference: what the pilot itself finds with that probability.
        designs: entities needed for each number of prompts and samples that the pilot can speak of.
        n_retrained: retrained seeds needed to declare a model equivalent that is; None above 40, or where not asked.
        equivalence_power: number of retrained seeds to the probability of declaring it, as text to number.
        n_non_members: non-members needed; None where not asked.
        notes: what the numbers rest on, and why any is missing.
    """

    difference: float
    power: float
    confidence_level: float
    variances: Mapping[str, float]
    pilot: Design
    smallest_difference: float
    designs: tuple[Design, ...]
    n_retrained: int | None = None
    equivalence_power: Mapping[str, float] = field(default_factory=dict)
    n_non_members: int | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        variances = ", ".join(
            f"{name} unknown" if np.isnan(value) else f"{name} {value:.3g}" for name, value in self.variances.items()
        )
        lines = [
            f"Variances: {variances} (pilot: {self.pilot.n_entities} entities, {self.pilot.n_prompts} prompts each, "
            f"{self.pilot.n_samples} samples each).",
            f"The pilot itself finds differences from {self.smallest_difference:.3g} with probability {self.power:g}.",
            f"To find {self.difference:g} with probability {self.power:g}:",
            *(f"  {d.n_entities} entities x {d.n_prompts} prompts x {d.n_samples} samples" for d in self.designs),
        ]
        if not self.designs:
            lines.append(f"  more than {MOST_ENTITIES:,} entities")
        if self.n_retrained is not None:
            lines.append(f"Retrained seeds to declare equivalence: {self.n_retrained}.")
        if self.n_non_members is not None:
            lines.append(f"Non-members, with as many members: {self.n_non_members}.")
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes)])


def power(
    values: ArrayLike,
    entities: ArrayLike | None = None,
    prompts: ArrayLike | None = None,
    *,
    difference: float,
    power: float = 0.8,
    confidence_level: float = 0.95,
    retrained_sd: float | None = None,
    margin: float = 1.25,
    fpr: float | None = None,
    auc: float | None = None,
    seed: int = 0,
) -> Power:
    """Entities, prompts, samples, retrained seeds and non-members that a comparison of two models needs.

    Entities are tested as one-sample t (paired difference against 0), with the variance of an entity's mean
    `entity + prompt / n_prompts + sample / (n_prompts * n_samples)`.

    Args:
        values: paired difference between two models on each sample of a pilot, shape (n_samples,), any unit.
        entities: label of the entity of each sample, same shape; without it each sample is an entity.
        prompts: label of the prompt of each sample, same shape; without it each sample is a prompt.
        difference: smallest difference of means to be found, above 0, in units of the values.
        power: probability of finding it, within (0, 1).
        confidence_level: one less the two-sided level of the test, within (0, 1).
        retrained_sd: standard deviation of the log distances from one model to retrained seeds, for the number of
            retrained models.
        margin: margin of equivalence, above 1.
        fpr: false-positive rate at which a true-positive rate is to be read, within (0, 1).
        auc: membership AUC to be told from 0.5, within (0, 1).
        seed: decides the simulation behind the number of retrained models.

    Returns:
        See `Power`.

    Raises:
        ValueError: if shapes differ, there are fewer than 3 entities, or a number lies outside its range.

    Source: Searle, Casella and McCulloch (1992), chapter 3, for unbalanced nested moments; the noncentral t; Noether
        (1987) for the AUC; simulation of `vestige.equivalence_to_retraining` for retrained models.

    >>> plan = power([1.0, 3.0, 2.0, 4.0, 0.0, 2.0], difference=1.0)
    >>> plan.designs[0].n_entities
    18
    """
    _check_ranges(difference, power, confidence_level, retrained_sd, margin, fpr, auc)
    x, entity, prompt = _checked(values, entities, prompts)
    variances, notes = _components(x, entity, prompt)
    level = 1 - confidence_level
    pilot = _pilot(entity, prompt)
    n_retrained, reached = _retrained(retrained_sd, margin, power, confidence_level, seed)
    if retrained_sd is not None and n_retrained is None:
        notes.append(f"more than {MOST_RETRAINED} retrained seeds would be needed for margin {margin}")
    n_non_members = _non_members(fpr, auc, power, level)
    return Power(
        difference=difference,
        power=power,
        confidence_level=confidence_level,
        variances=variances,
        pilot=pilot,
        smallest_difference=_smallest_difference(_mean_variance(variances, pilot), pilot.n_entities, power, level),
        designs=_designs(variances, difference, power, level),
        n_retrained=n_retrained,
        equivalence_power=reached,
        n_non_members=n_non_members,
        notes=tuple(notes),
    )


def _check_ranges(
    difference: float,
    power: float,
    confidence_level: float,
    retrained_sd: float | None,
    margin: float,
    fpr: float | None,
    auc: float | None,
) -> None:
    if not (difference > 0 and np.isfinite(difference)):
        raise ValueError(f"difference must be above 0, got {difference}")
    for name, value in (("power", power), ("confidence_level", confidence_level), ("fpr", fpr), ("auc", auc)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} must lie within (0, 1), got {value}")
    if power <= 1 - confidence_level:
        raise ValueError(f"power must be above the level of the test, {1 - confidence_level:.3g}, got {power}")
    if auc == 0.5:
        raise ValueError("auc must differ from 0.5: no number of non-members tells 0.5 from 0.5")
    if retrained_sd is not None and not (retrained_sd >= 0 and np.isfinite(retrained_sd)):
        raise ValueError(f"retrained_sd must be 0 or above, got {retrained_sd}")
    if not margin > 1:
        raise ValueError(f"margin must be above 1, got {margin}")


def _checked(values: ArrayLike, entities: ArrayLike | None, prompts: ArrayLike | None) -> tuple[Floats, Ids, Ids]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError(f"values must be finite and of shape (n_samples,), got shape {x.shape}")
    entity = _codes(entities, len(x), "entities")
    prompt = _codes(prompts, len(x), "prompts")
    pairs = np.unique(np.stack([entity, prompt]), axis=1, return_inverse=True)[1].ravel().astype(np.int64)
    if entity.size == 0 or entity.max() < 2:
        raise ValueError(f"a pilot needs 3 entities, got {len(np.unique(entity))}")
    return x, entity, pairs


def _codes(labels: ArrayLike | None, n: int, name: str) -> Ids:
    if labels is None:
        return np.arange(n)
    given = np.asarray(labels)
    if given.shape != (n,):
        raise ValueError(f"{name} must hold one label a sample, {n} in all, got shape {given.shape}")
    return np.unique(given, return_inverse=True)[1].astype(np.int64)


def _components(x: Floats, entity: Ids, prompt: Ids) -> tuple[dict[str, float], list[str]]:
    """Variances of entity, prompt and sample by the moments of nested sums of squares, unequal numbers allowed."""
    n, n_entities, n_prompts = len(x), int(entity.max()) + 1, int(prompt.max()) + 1
    by_prompt, by_entity = np.bincount(prompt), np.bincount(entity)
    home = np.zeros(n_prompts, dtype=np.int64)
    home[prompt] = entity
    prompt_mean, entity_mean = np.bincount(prompt, x) / by_prompt, np.bincount(entity, x) / by_entity
    inside = np.bincount(home, by_prompt.astype(np.float64) ** 2) / by_entity
    notes, sample, between_prompts = [], nan, nan
    if n > n_prompts:
        sample = float(((x - prompt_mean[prompt]) ** 2).sum() / (n - n_prompts))
    else:
        notes.append("one sample a prompt: samples and prompts cannot be told apart")
    noise = 0.0 if np.isnan(sample) else sample
    if n_prompts > n_entities:
        squares = float((by_prompt * (prompt_mean - entity_mean[home]) ** 2).sum())
        between_prompts = max(0.0, (squares - (n_prompts - n_entities) * noise) / (n - inside.sum()))
    else:
        notes.append("one prompt an entity: prompts and entities cannot be told apart")
    shared = 0.0 if np.isnan(between_prompts) else between_prompts
    squares = float((by_entity * (entity_mean - x.mean()) ** 2).sum())
    expected = (n_entities - 1) * noise + (inside.sum() - (by_prompt.astype(np.float64) ** 2).sum() / n) * shared
    spread = n - (by_entity.astype(np.float64) ** 2).sum() / n
    return {"entity": max(0.0, (squares - expected) / spread), "prompt": between_prompts, "sample": sample}, notes


def _pilot(entity: Ids, prompt: Ids) -> Design:
    n_entities, n_prompts = int(entity.max()) + 1, int(prompt.max()) + 1
    return Design(n_entities, max(1, round(n_prompts / n_entities)), max(1, round(len(entity) / n_prompts)))


def _mean_variance(variances: Mapping[str, float], design: Design) -> float:
    """Variance of the mean of one entity."""
    known = {name: 0.0 if np.isnan(value) else value for name, value in variances.items()}
    by_prompt = known["prompt"] / design.n_prompts
    return known["entity"] + by_prompt + known["sample"] / (design.n_prompts * design.n_samples)


def _power_of_t(difference: float, variance: float, n: int, level: float) -> float:
    """Power of the two-sided one-sample t test of n means."""
    if variance == 0:
        return 1.0
    critical, shift = float(stdtrit(n - 1, 1 - level / 2)), difference * sqrt(n / variance)
    return float(1 - nctdtr(n - 1, shift, critical) + nctdtr(n - 1, shift, -critical))


def _smallest_difference(variance: float, n: int, power: float, level: float) -> float:
    """Difference that n means find with the given power."""
    from scipy.optimize import brentq

    if variance == 0:
        return 0.0
    error = sqrt(variance / n)
    highest = float(stdtrit(n - 1, 1 - level / 2)) + float(stdtrit(n - 1, power))
    return error * float(brentq(lambda shift: _power_of_t(shift, n, n, level) - power, 0, 2 * highest + 2))


def _needed(difference: float, variance: float, power: float, level: float) -> int | None:
    """Fewest means that find the difference, by bisection; None above a million."""
    low, high = 1, 2
    while _power_of_t(difference, variance, high, level) < power:
        low, high = high, 2 * high
        if high > MOST_ENTITIES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if _power_of_t(difference, variance, middle, level) < power:
            low = middle
        else:
            high = middle
    return high


def _designs(variances: Mapping[str, float], difference: float, power: float, level: float) -> tuple[Design, ...]:
    prompts = (1,) if np.isnan(variances["prompt"]) else N_PROMPTS
    samples = (1,) if np.isnan(variances["sample"]) else N_SAMPLES
    found = []
    for n_prompts in prompts:
        for n_samples in samples:
            variance = _mean_variance(variances, Design(0, n_prompts, n_samples))
            n_entities = _needed(difference, variance, power, level)
            if n_entities is not None:
                found.append(Design(n_entities, n_prompts, n_samples))
    return tuple(found)


def _retrained(
    sd: float | None, margin: float, power: float, confidence_level: float, seed: int
) -> tuple[int | None, dict[str, float]]:
    """Fewest retrained seeds that declare a model equivalent which is, and the probability at each number tried."""
    reached: dict[str, float] = {}
    if sd is None:
        return None, reached
    for m in range(3, MOST_RETRAINED + 1):
        reached[str(m)] = equivalence_power(m, sd, margin, confidence_level=confidence_level, seed=seed)
        if reached[str(m)] >= power:
            return m, reached
    return None, reached


def equivalence_power(
    n_retrained: int, sd: float, margin: float = 1.25, *, confidence_level: float = 0.95, seed: int = 0
) -> float:
    """Probability that a model which is as close as another retrained one is declared equivalent, by 2,000 simulations.

    Args:
        n_retrained: number of retrained models, 3 or more.
        sd: standard deviation of the log distances from one model to retrained seeds.
        margin: the largest ratio that counts as equivalent.
        confidence_level: level of the one-sided limit.
        seed: decides the simulations.

    Returns:
        Within [0, 1]; standard error at most 0.011.

    Source: the test is `vestige.equivalence_to_retraining`; the law is log-normal effects of seeds.

    >>> equivalence_power(5, 0.0) > 0.99
    True
    """
    rng = np.random.default_rng(seed)
    m, shape = n_retrained, (N_REPETITIONS, n_retrained)
    effect = np.exp(rng.normal(0, sd, shape) - sd**2 / 2)
    to = effect * np.exp(rng.normal(0, DISTANCE_NOISE, shape))
    noise = np.exp(rng.normal(0, DISTANCE_NOISE / sqrt(2), (*shape, m)))
    between = effect[:, :, None] * effect[:, None, :] * noise * noise.transpose(0, 2, 1)
    between[:, np.arange(m), np.arange(m)] = 0
    sums, total = between.sum(axis=2), between.sum(axis=(1, 2))
    ratio = np.log(to.mean(axis=1)) - np.log(total / (m * (m - 1)))
    floor = (total[:, None] - 2 * sums) / ((m - 1) * (m - 2))
    left_out = np.log((to.sum(axis=1, keepdims=True) - to) / (m - 1)) - np.log(floor)
    error = np.sqrt((m - 1) * left_out.var(axis=1))
    return float((ratio + stdtrit(m - 1, confidence_level) * error < np.log(margin)).mean())


def _non_members(fpr: float | None, auc: float | None, power: float, level: float) -> int | None:
    """The larger of what a threshold at `fpr` and a test of `auc` against 0.5 need, with as many members."""
    needed = []
    if fpr is not None:
        needed.append(ceil(round(NON_MEMBERS_ABOVE / fpr, 6)))
    if auc is not None:
        z = float(ndtri(1 - level / 2) + ndtri(power))
        needed.append(ceil(z**2 / (6 * (auc - 0.5) ** 2)))
    return max(needed) if needed else None
