"""Can the metrics of a table be believed? The one call that answers it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.data.columns import TableError
from vestige.data.tables import read_table, refuse_conflicts, refuse_few, table_from_columns
from vestige.meta import published
from vestige.meta.agreement import agreement
from vestige.meta.diagnostics import Evidence, diagnose, worst_first
from vestige.meta.layout import Layout, lay_out
from vestige.meta.model_ranks import ModelRanks, ranks_of_composite, ranks_of_metrics
from vestige.meta.oracle import track
from vestige.meta.quality import blocks_of, composite, equal_weights, rank_scores, weighted
from vestige.meta.results import Agreement, Finding, Reliability
from vestige.meta.robustness import item_scores, robustness
from vestige.meta.stability import Stability, stability
from vestige.meta.variance import variance_of_metrics
from vestige.meta.weights import Constraints
from vestige.metrics.table import ScoreTable

Convention = Literal["default", "published"]

# Every pair of items is compared in every metric: seconds at this number.
MOST_RANKED_ITEMS = 1_000


def reliability(
    table: Any,
    *,
    distance: str | None = None,
    second_distance: str | None = None,
    better: Mapping[str, str] | None = None,
    groups: Sequence[str] = (),
    clusters: Sequence[str] = (),
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
        distance: column that says how far a model is from the retrained one, lower is closer.
        second_distance: another such column, for a second opinion.
        better: metric to "higher", "lower" or "reference:VALUE"; needed unless `table` is a `ScoreTable`.
        groups: label columns; rows are compared only within them (benchmarks, seeds).
        clusters: label columns; rows that share them are not independent (benchmarks, methods).
        compare: a second table of the same metrics; only their agreement is computed.
        convention: "default", or "published" for the analysis of arXiv 2605.02206 as released.
        collapsed: which rows are collapsed models, shape (n_models,), bool; None where that is not known.
        n_retrained: number of retrained models behind the distance; None where that is not known.
        constraints: least and largest weights of the composite, and which metrics and tasks matter more.
        n_draws: weightings drawn for each perturbation law, 100 to 10^7.
        seed: decides every draw.

    Returns:
        Agreement, tracking, composite, robustness and findings, as plain values.

    Raises:
        ValueError: if a column is unknown, `better` is missing, or `convention` does not fit the table.

    Source: the tests are described in the results; their reasons in the project's documentation.

    >>> scores = {"model": list("abcdefg"), "RA": [1, 2, 3, 4, 5, 6, 7], "gap": [7, 6, 5, 4, 3, 2, 1]}
    >>> reliability(scores, better={"RA": "higher"}, distance="gap").tracking[0].verdict
    'tracks'
    """
    if convention not in ("default", "published"):
        raise ValueError(f"convention must be 'default' or 'published', got {convention!r}")
    distances = tuple(name for name in (distance, second_distance) if name)
    scores = as_table(table, better=better, distances=distances, labels=(*groups, *clusters))
    layout = lay_out(scores, groups, clusters)
    others = _compared(compare, scores, better, layout)
    flags = _flags(collapsed, layout)
    if convention == "published":
        published.check(layout, distance)
    result = _default(
        layout, distance, second_distance, others, flags, n_retrained, convention, constraints, n_draws, seed
    )
    return published.as_published(result, layout, others, seed=seed) if convention == "published" else result


def as_table(
    source: Any, *, better: Mapping[str, str] | None, distances: Sequence[str], labels: Sequence[str]
) -> ScoreTable:
    """A `ScoreTable` from whatever a caller holds.

    Raises:
        TableError: if it cannot be read, `better` is missing, or a distance is no column of it or also a metric.
    """
    if isinstance(source, ScoreTable):
        missing = [name for name in distances if name not in source.columns]
        if missing:
            raise TableError(f"there is no distance column {missing[0]!r}; the table has {', '.join(source.columns)}")
        refuse_conflicts(source.metrics, distances)
        refuse_few(len(source.models))
        if not source.metrics:
            raise TableError("the table has no metric: none of its columns has an orientation")
        return source
    if not better:
        raise TableError("better is missing: say of every metric whether higher or lower is better, as FA=lower")
    if isinstance(source, str | Path):
        return read_table(source, better=better, distance=distances, labels=_unique(labels, ("model",)))
    return table_from_columns(source, better=better, distance=distances, labels=_unique(labels, ("model",)))


def _unique(labels: Sequence[str], without: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(labels) if name not in without]


def _compared(compare: Any, scores: ScoreTable, better: Mapping[str, str] | None, layout: Layout) -> Layout | None:
    """The second table laid out by the same metrics and by those of the labels that it has."""
    if compare is None:
        return None
    labels = (*layout.group_columns, *layout.cluster_columns)
    table = as_table(compare, better=better or _orientations(scores), distances=(), labels=labels)
    if table.metrics != scores.metrics:
        raise TableError(f"the compared table has {', '.join(table.metrics)}, not {', '.join(scores.metrics)}")
    return lay_out(table, layout.group_columns, layout.cluster_columns)


def _orientations(table: ScoreTable) -> dict[str, str]:
    """The orientations of a table as text, so that a second table can be read with them."""
    return {name: f"reference:{table.reference[name]}" if b == "reference" else b for name, b in table.better.items()}


def _flags(collapsed: ArrayLike | None, layout: Layout) -> NDArray[np.bool_] | None:
    if collapsed is None:
        return None
    flags = np.asarray(collapsed, dtype=bool)
    if flags.shape != (layout.n_rows,):
        raise ValueError(f"collapsed must hold one flag a row, shape ({layout.n_rows},), got {flags.shape}")
    return flags


def _default(
    layout: Layout,
    distance: str | None,
    second_distance: str | None,
    others: Layout | None,
    collapsed: NDArray[np.bool_] | None,
    n_retrained: int | None,
    convention: Convention,
    constraints: Constraints | None,
    n_draws: int,
    seed: int,
) -> Reliability:
    within = agreement(layout, seed=seed)
    tracking = track(layout, distance, collapsed=collapsed, seed=seed) if distance else ()
    second = track(layout, second_distance, collapsed=collapsed, seed=seed) if second_distance else ()
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
        robustness=robustness(layout, weights, constraints=constraints, n_draws=n_draws, seed=seed),
        comparison=comparison,
        published={},
        findings=worst_first([*diagnose(evidence), *_findings_of_comparison(others, comparison)]),
        missing=_missing(layout, distance, second_distance, collapsed),
        agreement_rank_normalised=(
            agreement(layout, pooling="rank-normalised", seed=seed) if layout.group_columns else None
        ),
        stability=_stability(layout, weights, constraints, seed),
        ranks=_ranks(layout, weights, seed),
        variance=variance_of_metrics(layout, seed=seed),
    )


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


def _missing(
    layout: Layout, distance: str | None, second_distance: str | None, collapsed: NDArray[np.bool_] | None
) -> tuple[str, ...]:
    sentences = []
    if not distance:
        sentences.append(
            "No distance to a retrained model: whether a metric follows what retraining would have done, and what a "
            "composite is worth, cannot be said; weights are equal."
        )
    elif not second_distance:
        sentences.append("No second distance: a metric that follows this one may follow its peculiarities.")
    if collapsed is None:
        sentences.append("Collapsed models are not marked: how much they alone make of the figures is unknown.")
    if len(set(layout.table.models)) > MOST_RANKED_ITEMS:
        sentences.append(
            f"More than {MOST_RANKED_ITEMS} models: which of them keep their order under every weighting is left out."
        )
    if len(set(layout.table.models)) == layout.n_rows and not layout.table.examples:
        sentences.append(
            "Every model has one row and no values by example: nothing can be resampled, so which ranks are open is "
            "unknown."
        )
    if not layout.cluster_columns:
        sentences.append("No clusters were named: every row counts as independent, which makes intervals too narrow.")
    return tuple(sentences)
