"""What else a reader of a table must know: copies, floors, reversals, shaky weights, failed controls."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vestige.meta.layout import Layout, label_column
from vestige.meta.results import Agreement, Finding, Quality, Tracking
from vestige.meta.retraining import ModelEquivalence, References
from vestige.metrics.table import ScoreTable

# Most models at one end: the metric no longer tells them apart, whatever the others do.
AT_ONE_END = 0.5
# A weight that moves by this much between folds is another recipe.
WEIGHT_RANGE = 0.25
LEVEL = 0.05
# How published tables name p-values, forget quality (the p-value of a KS test) among them.
P_VALUE = re.compile(r"(.*[ _-])?(p|p[ _-]?values?|forget[ _-]?quality|fq)", re.IGNORECASE)
OF_PARAMETERS = re.compile(r".*(param|weight|lora|adapter).*", re.IGNORECASE)


def duplicate_columns(layout: Layout) -> Iterator[Finding]:
    """Columns with the same numbers: one piece of evidence counted twice."""
    columns = layout.table.columns
    for first, second in combinations(columns, 2):
        if np.array_equal(columns[first], columns[second], equal_nan=True):
            yield Finding(
                "duplicate_columns",
                "artefact",
                (first, second),
                f"{first} and {second} hold the same numbers: they agree by construction and count twice in a "
                f"composite. Leave one out.",
                {"rows": layout.n_rows},
            )


def duplicate_rows(layout: Layout) -> Iterator[Finding]:
    """Models with the same numbers in every column: probably one model under two names."""
    values = np.column_stack(list(layout.table.columns.values()))
    if values.shape[1] < 2:
        return
    seen: dict[bytes, int] = {}
    pairs = [(seen.setdefault(row.tobytes(), i), i) for i, row in enumerate(values + 0.0)]
    copies = [(a, b) for a, b in pairs if a != b]
    if copies:
        names = layout.table.models
        yield Finding(
            "duplicate_rows",
            "warning",
            (),
            f"{len(copies)} rows repeat every number of another, as {names[copies[0][0]]} and {names[copies[0][1]]} "
            f"(rows {copies[0][0] + 1} and {copies[0][1] + 1}): one model, or two? Rows that are one count as evidence "
            f"once.",
            {"rows": len(copies)},
        )


def at_one_end(layout: Layout) -> Iterator[Finding]:
    """Metrics on which most models share the best or the worst value."""
    for i, name in enumerate(layout.metrics):
        scores = layout.scores[:, i][~np.isnan(layout.scores[:, i])]
        if len(scores) < 2 or scores.min() == scores.max():
            continue
        for code, end in (("saturated_column", scores.max()), ("floored_column", scores.min())):
            share = float((scores == end).mean())
            if share > AT_ONE_END:
                which = "best" if code == "saturated_column" else "worst"
                yield Finding(
                    code,
                    "warning",
                    (name,),
                    f"{share:.0%} of the models have the {which} value of {name}: it does not tell them apart. Use a "
                    f"finer score, or harder examples.",
                    {"share": share},
                )


def one_training_seed(layout: Layout) -> Iterator[Finding]:
    """A seed column with one value: differences between models may be luck of training."""
    if len(set(layout.table.labels.get("seed", ()))) == 1:
        yield Finding(
            "one_training_seed",
            "warning",
            ("seed",),
            "Every model was trained with one seed: a difference between two models may be the luck of a seed. Train "
            "some of them again with others.",
            {"seeds": 1},
        )


def reversals(tracking: Sequence[Tracking]) -> Iterator[Finding]:
    """Metrics whose pooled and within-group correlations both exclude 0, on opposite sides."""
    for entry in tracking:
        within = entry.within
        if within is None or not (entry.rho.has_interval and within.has_interval):
            continue
        if (entry.rho.high < 0 < within.low) or (within.high < 0 < entry.rho.low):
            yield Finding(
                "reversal",
                "artefact",
                (entry.metric, entry.distance),
                f"{entry.metric} follows closeness with rho {entry.rho} over all rows and {within} within groups: the "
                f"sign turns round when groups are pooled. Read the value within groups.",
                {"rho": entry.rho.value, "rho_within": within.value},
            )


def unstable_weights(quality: Quality | None) -> Iterator[Finding]:
    """Metrics whose weight depends on which fold is left out."""
    folds: list[Mapping[str, float]] = list(quality.weights_by_fold.values()) if quality else []
    if len(folds) < 2:
        return
    ranges = {name: max(f[name] for f in folds) - min(f[name] for f in folds) for name in folds[0]}
    moved = {name: size for name, size in ranges.items() if size > WEIGHT_RANGE}
    if moved:
        listed = ", ".join(f"{name} by {size:.2f}" for name, size in moved.items())
        yield Finding(
            "unstable_weights",
            "warning",
            tuple(moved),
            f"Weights move when one fold is left out: {listed}. Such weights describe these folds; equal weights claim "
            f"less.",
            moved,
        )


def over_forgetting(layout: Layout, equivalence: Sequence[ModelEquivalence]) -> Iterator[Finding]:
    """Models that score "better" than retraining where only being like it is good."""
    for metric in layout.metrics:
        if layout.table.better[metric] != "lower":
            continue
        past = [
            entry.model
            for entry in equivalence
            for part in entry.metrics
            if part.metric == metric and part.difference.high < 0
        ]
        if past:
            listed = ", ".join(past[:8]) + (f" and {len(past) - 8} more" if len(past) > 8 else "")
            yield Finding(
                "over_forgetting",
                "warning",
                (metric,),
                f"{metric} of {listed} lies below that of the retrained models: more was removed than the data had "
                f"put there, which shows as well. Orient {metric} to the retrained value (reference), not to 0.",
                {"models": len(past)},
            )


def p_value_columns(layout: Layout) -> Iterator[Finding]:
    """Metrics that are p-values: the same shift gives another one with other numbers of examples."""
    for name in layout.metrics:
        values = layout.table.columns[name]
        if P_VALUE.fullmatch(name) and not np.any((values < 0) | (values > 1)):
            yield Finding(
                "p_value_column",
                "warning",
                (name,),
                f"{name} is named like a p-value. It falls with the number of examples for the same shift (.23, .011, "
                f".0005 at 40, 200, 400), so rows of sets that differ in size cannot be compared, and averages say "
                f"nothing. Score the size of the difference instead (KS distance, AUC).",
                {"rows": layout.n_rows},
            )


def parameter_distances(layout: Layout) -> Iterator[Finding]:
    """Distances between weights: they depend on how a model is written down."""
    for name in (name for name in layout.table.columns if name not in layout.table.better):
        if layout.table.machinery.get(name) == "parameters" or OF_PARAMETERS.fullmatch(name):
            yield Finding(
                "parameter_distance",
                "note",
                (name,),
                f"{name} is a distance between weights: models that say the same can be far apart in it, and the "
                f"factors of an adapter can change while their product does not. Take a distance between outputs, or "
                f"between merged weights, as a second opinion.",
            )


def uncorrected_tests(agreement: Agreement, tracking: Sequence[Tracking]) -> Iterator[Finding]:
    """Families in which single tests are significant only as long as their number is not counted."""
    pairs = np.triu_indices(len(agreement.metrics), 1)
    families = []
    if agreement.p_adjusted is not None:
        families.append(("pairs of metrics", agreement.p[pairs], agreement.p_adjusted[pairs]))
    for distance in dict.fromkeys(entry.distance for entry in tracking):
        found = [(entry.p, entry.p_adjusted) for entry in tracking if entry.distance == distance]
        families.append((f"metrics against {distance}", *np.array(found).T))
    for what, p, adjusted in families:
        alone, left = int((p < LEVEL).sum()), int((adjusted < LEVEL).sum())
        if alone > left:
            yield Finding(
                "uncorrected_tests",
                "note",
                (),
                f"Of {np.isfinite(p).sum()} {what}, {alone} have p < .05 on their own and {left} once their number is "
                f"counted: among so many tests some are small by chance. Read the adjusted values.",
                {"alone": alone, "adjusted": left},
            )


def failed_controls(table: ScoreTable, references: References, groups: Sequence[str]) -> Iterator[Finding]:
    """Metrics of forgetting on which the original cannot be told from the retrained models, in any group."""
    if not (references.original and references.retrained):
        return
    blocks = list(zip(*(label_column(table, name) for name in (*groups, "model")), strict=True))
    for metric in (m for m in table.metrics if table.better[m] != "higher" and m not in (references.utility or ())):
        told = _originals_told(table.columns[metric], blocks, references)
        if told and not any(told):
            yield Finding(
                "failed_control",
                "artefact",
                (metric,),
                f"On {metric} the original ({references.original}), which knows everything, lies among the retrained "
                f"models: the metric cannot see what it is to measure here. Nothing follows from a model that does "
                f"well on it.",
                {"groups": len(told)},
            )


def _originals_told(
    values: NDArray[np.float64], blocks: Sequence[tuple[str, ...]], references: References
) -> list[bool]:
    """For each group with an original and two retrained models, whether the original lies outside their range."""
    told = []
    for group in dict.fromkeys(block[:-1] for block in blocks):
        of = {
            name: values[[block == (*group, name) for block in blocks]]
            for name in (references.original, *references.retrained)
        }
        floor = np.concatenate([np.empty(0), *(of[name] for name in references.retrained)])
        known = of[references.original]
        if len(known) and len(floor) >= 2 and not np.isnan([*known, *floor]).any():
            told.append(bool(known.mean() < floor.min() or known.mean() > floor.max()))
    return told
