"""Can the metrics of a table be believed? The one call that answers it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.meta import published
from vestige.meta.aggregation import Aggregation, aggregate, ballots_of, examples_of
from vestige.meta.agreement import agreement
from vestige.meta.column_findings import failed_controls, over_forgetting
from vestige.meta.diagnostics import Evidence, diagnose, worst_first
from vestige.meta.inputs import as_table, candidates, compared
from vestige.meta.layout import Layout
from vestige.meta.model_ranks import ModelRanks, ranks_of_composite, ranks_of_metrics
from vestige.meta.oracle import track
from vestige.meta.quality import blocks_of, composite, equal_weights, rank_scores, weighted
from vestige.meta.results import Agreement, Finding, Reliability, Robustness
from vestige.meta.retraining import References
from vestige.meta.robustness import item_scores, robustness
from vestige.meta.stability import Stability, stability
from vestige.meta.variance import variance_of_metrics
from vestige.meta.weights import Constraints

Convention = Literal["default", "published"]

# Every pair of items is compared in every metric: seconds at this number.
MOST_RANKED_ITEMS = 1_000


def reliability(
    table: Any,
    *,
    distance: str | Sequence[str] | None = None,
    second_distance: str | None = None,
    better: Mapping[str, str] | None = None,
    groups: Sequence[str] = (),
    clusters: Sequence[str] = (),
    random: Sequence[str] = (),
    examples: Any = None,
    retrained: Sequence[str] = (),
    original: str = "",
    margin: float = 1.25,
    margins: Mapping[str, float] | None = None,
    utility: Sequence[str] | None = None,
    compare: Any = None,
    convention: Convention = "default",
    collapsed: ArrayLike | None = None,
    n_retrained: int | None = None,
    constraints: Constraints | None = None,
    n_draws: int = 100,
    seed: int = 0,
) -> Reliability:
    """Whether the metrics of a table agree, follow the retrained model, and can be weighted into one score.

    Args:
        table: a `ScoreTable`, a path (CSV, JSON, JSON lines, Parquet), a mapping of columns, or a data frame.
        distance: column that says how far a model is from the retrained one, lower is closer; several are further
            opinions, or the distances to each of several retrained models, in the order of `retrained`.
        second_distance: another such column, for a second opinion.
        better: metric to "higher", "lower" or "reference:VALUE"; needed unless `table` is a `ScoreTable`.
        groups: label columns; rows are compared only within them (benchmarks, seeds). They are fixed: intervals do not
            speak for other benchmarks, unless they are clusters too.
        clusters: label columns; rows that share them are not independent (benchmarks, methods) and are resampled
            together.
        random: groups that stand for others of their kind; the same as naming them as clusters too.
        examples: values by example, as `data.example_scores.read_examples` takes them.
        retrained: names of the rows that are retrained models. They are judged with, not judged.
        original: name of the row of the model before unlearning, likewise.
        margin: largest ratio of distances that counts as equivalent to retraining, declared before looking.
        margins: metric to the largest difference from the retrained models that counts as none.
        utility: metrics of which only being worse counts; None is all with orientation "higher".
        compare: a second table of the same metrics; only their agreement is computed.
        convention: "default", or "published" for the analysis of arXiv 2605.02206 as released.
        collapsed: which rows are collapsed models, shape (n_models,), bool; None where that is not known.
        n_retrained: number of retrained models behind the distance; None where that is not known.
        constraints: least and largest weights of the composite, and which metrics and tasks matter more.
        n_draws: weightings drawn for each perturbation law, 100 to 10^7.
        seed: decides every draw.

    Returns:
        Equivalence, agreement, tracking, composite, robustness and findings, as plain values.

    Raises:
        ValueError: if a column is unknown, `better` is missing, or `convention` does not fit the table.

    Source: the tests are described in the results; their reasons in the project's documentation.

    >>> scores = {"model": list("abcdefg"), "RA": [1, 2, 3, 4, 5, 6, 7], "gap": [7, 6, 5, 4, 3, 2, 1]}
    >>> reliability(scores, better={"RA": "higher"}, distance="gap").tracking[0].verdict
    'tracks'
    """
    if convention not in ("default", "published"):
        raise ValueError(f"convention must be 'default' or 'published', got {convention!r}")
    named = [distance] if isinstance(distance, str) else list(distance or ())
    distances = [name for name in (*named, second_distance) if name]
    drawn = tuple(dict.fromkeys((*clusters, *random)))
    scores = as_table(table, better=better, distances=distances, labels=(*groups, *drawn), examples=examples)
    references = References(tuple(retrained), original, margin, margins, None if utility is None else tuple(utility))
    judged = candidates(scores, distances, groups, drawn, references)
    layout, main = judged.layout, next(iter(judged.distances), None)
    others = compared(compare, scores, better, layout)
    flags = _flags(collapsed, judged.kept)
    if convention == "published":
        published.check(layout, main)
    seeds = n_retrained if n_retrained is not None else judged.n_retrained
    result = _default(layout, judged.distances, others, flags, seeds, convention, constraints, n_draws, seed)
    # A caller who knows the number of retrained models has judged the models elsewhere.
    lacking = judged.missing(references) if retrained or n_retrained is None else ()
    past = [*over_forgetting(layout, judged.equivalence), *failed_controls(scores, references, groups)]
    result = replace(
        result,
        equivalence=judged.equivalence,
        findings=worst_first([*result.findings, *past]),
        missing=(*result.missing, *lacking),
    )
    return published.as_published(result, layout, others, seed=seed) if convention == "published" else result


def _flags(collapsed: ArrayLike | None, kept: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    if collapsed is None:
        return None
    flags = np.asarray(collapsed, dtype=bool)
    if flags.shape != kept.shape:
        raise ValueError(f"collapsed must hold one flag a row, shape ({len(kept)},), got {flags.shape}")
    return flags[kept]


def _default(
    layout: Layout,
    distances: Sequence[str],
    others: Layout | None,
    collapsed: NDArray[np.bool_] | None,
    n_retrained: int | None,
    convention: Convention,
    constraints: Constraints | None,
    n_draws: int,
    seed: int,
) -> Reliability:
    distance = next(iter(distances), None)
    within = agreement(layout, seed=seed)
    tracking = track(layout, distance, collapsed=collapsed, seed=seed) if distance else ()
    second = tuple(e for name in distances[1:] for e in track(layout, name, collapsed=collapsed, seed=seed))
    quality = composite(layout, distance, constraints=constraints, seed=seed) if distance else None
    weights = quality.weights if quality else equal_weights(layout, constraints)
    comparison = agreement(others, seed=seed) if others else None
    printed = convention == "published"
    evidence = Evidence(layout, within, (*tracking, *second), quality, collapsed, n_retrained, by_row_order=printed)
    return Reliability(
        convention="default",
        n_models=layout.n_rows,
        metrics=layout.metrics,
        distance=distance or "",
        groups=layout.group_columns,
        clusters=layout.cluster_columns,
        agreement=within,
        agreement_pooled=agreement(layout, pooling="pooled", seed=seed) if layout.group_columns else None,
        tracking=tracking,
        second_tracking=second,
        quality=quality,
        robustness=_robustness(layout, weights, constraints, n_draws, seed),
        comparison=comparison,
        published={},
        findings=worst_first([*diagnose(evidence), *_findings_of_comparison(others, comparison)]),
        missing=_missing(layout, distances, collapsed),
        agreement_rank_normalised=(
            agreement(layout, pooling="rank-normalised", seed=seed) if layout.group_columns else None
        ),
        stability=_stability(layout, weights, constraints, seed),
        ranks=_ranks(layout, weights, seed),
        variance=variance_of_metrics(layout, seed=seed),
        aggregation=_aggregation(layout, seed),
    )


def _robustness(
    layout: Layout, weights: Mapping[str, float], constraints: Constraints | None, n_draws: int, seed: int
) -> tuple[Robustness, ...]:
    if len(set(layout.table.models)) > MOST_RANKED_ITEMS:
        return ()
    return robustness(layout, weights, constraints=constraints, n_draws=n_draws, seed=seed)


def _aggregation(layout: Layout, seed: int) -> Aggregation | None:
    items, scores = ballots_of(layout, blocks_of(layout))
    if len(items) > MOST_RANKED_ITEMS:
        return None
    return aggregate(items, scores, by_example=examples_of(layout), seed=seed)


def _ranks(layout: Layout, weights: Mapping[str, float], seed: int) -> tuple[ModelRanks, ...]:
    composed = weighted(rank_scores(layout.scores, blocks_of(layout)), np.array(list(weights.values())))
    whole = ranks_of_composite(layout, composed, seed=seed)
    return (*(() if whole is None else (whole,)), *ranks_of_metrics(layout, seed=seed))


def _stability(
    layout: Layout, weights: Mapping[str, float], constraints: Constraints | None, seed: int
) -> Stability | None:
    items, scores = item_scores(layout, constraints)
    if len(items) > MOST_RANKED_ITEMS:
        return None
    return stability(items, scores, weights, constraints=constraints, seed=seed)


def _findings_of_comparison(others: Layout | None, comparison: Agreement | None) -> list[Finding]:
    """What is wrong with the second table, said of it by name."""
    if others is None or comparison is None:
        return []
    found = diagnose(Evidence(others, comparison))
    return [replace(finding, message=f"Compared table: {finding.message}") for finding in found]


def _missing(layout: Layout, distances: Sequence[str], collapsed: NDArray[np.bool_] | None) -> tuple[str, ...]:
    sentences = []
    if not distances:
        sentences.append(
            "No distance to a retrained model: whether a metric follows what retraining would have done, and what a "
            "composite is worth, cannot be said; weights are equal."
        )
    elif len(distances) == 1:
        sentences.append("No second distance: a metric that follows this one may follow its peculiarities.")
    if collapsed is None:
        sentences.append("Collapsed models are not marked: how much they alone make of the figures is unknown.")
    if len(set(layout.table.models)) > MOST_RANKED_ITEMS:
        sentences.append(
            f"More than {MOST_RANKED_ITEMS} models: rankings under other weights, which models keep their order under "
            "every weighting, and rankings by several rules are left out."
        )
    if len(set(layout.table.models)) == layout.n_rows and not layout.table.examples:
        sentences.append(
            "Every model has one row and no values by example: nothing can be resampled, so which ranks are open is "
            "unknown."
        )
    if not layout.cluster_columns:
        sentences.append("No clusters were named: every row counts as independent, which makes intervals too narrow.")
    return tuple(sentences)
