"""The analysis of arXiv 2605.02206 as it was released: reproduced, never the default.

Ties are broken by row order, finding 2 pools raw values over tasks, and the "cross-validated" weights are the
full-sample correlations. Source: the released code and tables of that paper.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from math import isnan, nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from vestige.meta.agreement import mean_tau
from vestige.meta.diagnostics import index_order_tau, naive_p, worst_first
from vestige.meta.layout import Layout
from vestige.meta.metric_clusters import metric_clusters
from vestige.meta.quality import NO_BEST, fold_labels, fold_mean, fold_name, rank_fisher
from vestige.meta.results import Agreement, Finding, Quality, Reliability, Robustness
from vestige.meta.robustness import perturbed
from vestige.metrics.table import ScoreTable
from vestige.stats.correlation import correlation_estimate
from vestige.stats.estimate import Estimate

Floats = NDArray[np.float64]

METRICS = ("FA", "RA", "MIA", "AD", "JS")
_SIGNS = np.array([-1.0, 1.0, -1.0, -1.0, -1.0])
_SMALLEST_WEIGHT = 0.01
AdTerm = Literal["1 / (1 + AD)", "exp(-AD / 100)"]
_N_DRAWS, _SEED = 100, 42


def check(layout: Layout, distance: str | None) -> None:
    """Refuse a table that the published analysis cannot be run on.

    Raises:
        ValueError: naming the columns that are missing, or a method without any value of a metric.
    """
    missing = [name for name in METRICS if name not in layout.metrics]
    if missing or not distance:
        lacking = ", ".join([*missing, *([] if distance else ["a distance"])])
        raise ValueError(f"convention='published' needs the metrics {', '.join(METRICS)} and a distance: no {lacking}")
    if not layout.group_columns:
        raise ValueError("convention='published' ranks methods within groups: name them, as dataset and seed")
    raw, models = _raw(layout.table), np.array(layout.table.models)
    for item in dict.fromkeys(layout.table.models):
        lacking_metrics = [name for name, column in zip(METRICS, raw[models == item].T, strict=True) if _empty(column)]
        if lacking_metrics:
            raise ValueError(
                f"convention='published' averages every metric of a method: {item!r} has no {lacking_metrics[0]}, so "
                f"leave it out or use the default convention"
            )


def _empty(column: Floats) -> bool:
    return bool(np.isnan(column).all())


def as_published(default: Reliability, layout: Layout, others: Layout | None, *, seed: int = 0) -> Reliability:
    """The default result with agreement, composite and perturbation replaced by the published ones.

    Verdicts on tracking stay those of the default; findings say what the two conventions make of the same rows.
    """
    closeness = -layout.table.columns[default.distance]
    quality = _quality(layout, closeness, seed)
    drawn = _perturbation(layout.table, quality.weights)
    figures = _figures(layout, others, closeness, quality, drawn)
    findings = [*_contrast(default, figures), *default.findings]
    return replace(
        default,
        convention="published",
        metrics=METRICS,
        agreement=_agreement(layout, seed),
        agreement_pooled=_pooled(layout),
        quality=quality,
        robustness=(drawn,),
        comparison=_pooled(others) if others else None,
        published=figures,
        findings=worst_first(findings),
    )


def _raw(table: ScoreTable) -> Floats:
    return np.column_stack([table.columns[name] for name in METRICS])


def _five(layout: Layout) -> Layout:
    """The five metrics in the paper's order, oriented its way."""
    return replace(layout, metrics=METRICS, scores=_raw(layout.table) * _SIGNS)


def _agreement(layout: Layout, seed: int) -> Agreement:
    five = _five(layout)
    tau = index_order_tau(five)
    empty = np.full_like(tau, np.nan)
    clusters = metric_clusters(five, tau, mean_tau, seed=seed)
    return Agreement(
        METRICS,
        tau,
        empty,
        empty.copy(),
        _t_test(five),
        int(np.bincount(layout.groups).min()),
        f"Kendall's tau of ranks with ties broken by row order, averaged over {' and '.join(layout.group_columns)}; "
        f"p by a t-test of the group values; no intervals (as published)",
        _mean_pair(tau),
        clusters.groups,
        cluster_stability=clusters.stability,
    )


def _t_test(five: Layout) -> Floats:
    """Two-sided p of a one-sample t-test of the taus of the groups against 0."""
    per_group = np.array([index_order_tau(_group(five, group)) for group in np.unique(five.groups)])
    p = np.full(per_group.shape[1:], np.nan)
    for i, j in combinations(range(len(METRICS)), 2):
        taus = per_group[:, i, j][~np.isnan(per_group[:, i, j])]
        if len(taus) > 1 and np.ptp(taus) > 0:
            t = taus.mean() / (taus.std(ddof=1) / len(taus) ** 0.5)
            p[i, j] = p[j, i] = 2 * stdtr(len(taus) - 1, -abs(t))
    return p


def _group(layout: Layout, group: int) -> Layout:
    rows = layout.groups == group
    return replace(layout, scores=layout.scores[rows], groups=np.zeros(int(rows.sum()), dtype=np.int64))


def _pooled(layout: Layout) -> Agreement:
    tau = mean_tau(_raw(layout.table), np.zeros(layout.n_rows, dtype=np.int64))
    empty = np.full_like(tau, np.nan)
    return Agreement(
        METRICS,
        tau,
        empty,
        empty.copy(),
        empty.copy(),
        layout.n_rows,
        "Kendall's tau-b of raw, unoriented values over all rows, NaN left out pair by pair (as published)",
        _mean_pair(tau),
        (),
    )


def _mean_pair(tau: Floats) -> float:
    upper = tau[np.triu_indices(len(tau), 1)]
    return float(np.nanmean(upper)) if not np.isnan(upper).all() else nan


def learn_weights(scores: Floats, closeness: Floats) -> Floats:
    """Full-sample Spearman with closeness, at least 0.01 each, normalised: the weights behind the published table.

    >>> learn_weights(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]), np.array([1.0, 2.0, 3.0])).round(4).tolist()
    [0.9901, 0.0099]
    """
    rho = [correlation_estimate(column, closeness).value for column in scores.T]
    credit = np.maximum(np.nan_to_num(rho, nan=0.0), _SMALLEST_WEIGHT)
    weights: Floats = credit / credit.sum()
    return weights


def parts(raw: Floats, ad_term: AdTerm = "1 / (1 + AD)") -> Floats:
    """The five terms of the score, higher is better: 1 - FA, RA, 1 - MIA, a falling function of AD, 1 - min(JS, 1).

    The released code has two such functions; "1 / (1 + AD)" made the published tables.

    >>> parts(np.array([[0.25, 0.5, 0.25, 1.0, 2.0]])).tolist()
    [[0.75, 0.5, 0.75, 0.5, 0.0]]
    """
    fa, ra, mia, ad, js = raw.T
    closeness = 1 / (1 + ad) if ad_term == "1 / (1 + AD)" else np.exp(-ad / 100)
    return np.column_stack([1 - fa, ra, 1 - mia, closeness, 1 - np.minimum(js, 1.0)])


def _quality(layout: Layout, closeness: Floats, seed: int) -> Quality:
    scores, terms = _five(layout).scores, parts(_raw(layout.table))
    weights = learn_weights(scores, closeness)
    folds, names = fold_labels(layout, seed)
    by_fold = {int(fold): learn_weights(scores[folds != fold], closeness[folds != fold]) for fold in np.unique(folds)}
    best = {fold: int(np.argmax(w)) for fold, w in by_fold.items()}
    some = any(not isnan(correlation_estimate(column, closeness).value) for column in scores.T)
    clusters = layout.clusters if layout.cluster_columns else None

    def held_out(chosen: Mapping[int, Floats]) -> Floats:
        z = [rank_fisher(terms[folds == fold] @ w, closeness[folds == fold]) for fold, w in chosen.items()]
        return np.array([value for value in z if not isnan(value)])

    n, over = layout.n_rows, f"folds ({names})"
    equal = np.full(len(METRICS), 1 / len(METRICS))
    return Quality(
        recipe=(
            "UQS as released: weights max(full-sample Spearman, 0.01) normalised; score of 1 - FA, RA, 1 - MIA, "
            "1 / (1 + AD) and 1 - min(JS, 1); in-sample"
        ),
        weights=_named(weights),
        weights_by_fold={fold_name(layout, folds, fold): _named(w) for fold, w in by_fold.items()},
        scores=terms @ weights,
        rho_in_sample=correlation_estimate(terms @ weights, closeness, clusters=clusters, over=layout.over),
        rho_held_out=fold_mean(held_out(by_fold), n=n, over=over),
        best_single=METRICS[int(np.argmax(weights))] if some else "",
        best_single_held_out=(
            fold_mean(held_out({f: np.eye(5)[i] for f, i in best.items()}), n=n, over=over)
            if some
            else Estimate(nan, n=n, over=over, reason=NO_BEST)
        ),
        equal_weights_held_out=fold_mean(held_out(dict.fromkeys(by_fold, equal)), n=n, over=over),
    )


def _named(weights: Floats) -> dict[str, float]:
    return {name: float(weight) for name, weight in zip(METRICS, weights, strict=True)}


def _item_means(table: ScoreTable) -> tuple[tuple[str, ...], Floats]:
    """Methods and their mean raw values over all rows."""
    models = np.array(table.models)
    items = tuple(dict.fromkeys(table.models))
    return items, np.array([np.nanmean(_raw(table)[models == item], axis=0) for item in items])


def _perturbation(table: ScoreTable, weights: Mapping[str, float], ad_term: AdTerm = "1 / (1 + AD)") -> Robustness:
    """Methods ranked by their mean raw values under weightings anywhere on the simplex."""
    items, means = _item_means(table)
    # The legacy generator is what the published draws came from.
    draws = np.random.RandomState(_SEED).dirichlet(np.ones(len(METRICS)), _N_DRAWS)
    vector = np.array([weights[name] for name in METRICS])
    return perturbed(items, parts(means, ad_term), vector, "simplex", n_draws=_N_DRAWS, draws=draws)


def _figures(
    layout: Layout, others: Layout | None, closeness: Floats, quality: Quality, drawn: Robustness
) -> dict[str, float]:
    five = _five(layout)
    by_order, tau_b, p = index_order_tau(five), mean_tau(five.scores, layout.groups), _t_test(five)
    figures: dict[str, float] = {}
    for i, j in combinations(range(len(METRICS)), 2):
        name = f"{METRICS[i]}-{METRICS[j]}"
        figures[f"tau {name}"] = float(by_order[i, j])
        figures[f"p tau {name}"] = float(p[i, j])
        figures[f"tau {name}, tau-b"] = float(tau_b[i, j])
    for i, name in enumerate(METRICS):
        rho = correlation_estimate(five.scores[:, i], closeness)
        figures |= {f"rho {name}": rho.value, f"p {name}": naive_p(rho.value, rho.n)}
        figures[f"weight {name}"] = quality.weights[name]
    figures |= _mean_taus(layout, others)
    other = _perturbation(layout.table, quality.weights, "exp(-AD / 100)")
    figures |= {"perturbation tau mean": drawn.tau_mean, "perturbation tau sd": drawn.tau_sd}
    figures["perturbation tau mean, exp(-AD / 100)"] = other.tau_mean
    items, means = _item_means(layout.table)
    scores = parts(means) @ np.array([quality.weights[name] for name in METRICS])
    return figures | {f"UQS {item}": float(score) for item, score in zip(items, scores, strict=True)}


def _mean_taus(layout: Layout, others: Layout | None) -> dict[str, float]:
    mean = _pooled_mean(layout)
    if others is None:
        return {"mean tau": mean}
    other = _pooled_mean(others)
    return {"mean tau": mean, "mean tau, compared table": other, "difference of mean tau": other - mean}


def _pooled_mean(layout: Layout) -> float:
    return _mean_pair(mean_tau(_raw(layout.table), np.zeros(layout.n_rows, dtype=np.int64)))


def _contrast(default: Reliability, figures: Mapping[str, float]) -> list[Finding]:
    """What the default convention says instead of each published figure, and why."""
    findings = []
    for entry in default.tracking:
        rho, p = figures[f"rho {entry.metric}"], figures[f"p {entry.metric}"]
        findings.append(
            Finding(
                "published_tracking",
                "artefact" if p < 0.05 < entry.p_adjusted else "note",
                (entry.metric, entry.distance),
                f"Published: rho {rho:+.3f} (p {p:.3f}) of {entry.metric} with closeness, as if all rows were "
                f"independent and comparable. {_relabelling(default)} gives p {entry.p:.3f}, adjusted "
                f"{entry.p_adjusted:.3f}: {entry.verdict}.",
                {"rho": rho, "published_p": p, "p": entry.p, "p_adjusted": entry.p_adjusted},
            )
        )
    return [*findings, _weights_contrast(default, figures), _perturbation_contrast(default, figures)]


def _relabelling(default: Reliability) -> str:
    shared = [name for name in default.groups if name in default.clusters] or list(default.groups)
    averaged = [name for name in default.groups if name not in shared]
    means = f", on means over {' and '.join(averaged)}," if averaged else ""
    return f"Relabelling models within {' and '.join(shared)}{means}"


def _weights_contrast(default: Reliability, figures: Mapping[str, float]) -> Finding:
    quality = default.quality
    held_out = quality.rho_held_out if quality else None
    return Finding(
        "published_weights",
        "warning",
        METRICS,
        f"Published weights (RA {figures['weight RA']:.2f}) are correlations on the very rows that are scored, not "
        f"cross-validated ones. By the default recipe the composite's held-out rho is {held_out}.",
        {f"weight {name}": figures[f"weight {name}"] for name in METRICS},
    )


def _perturbation_contrast(default: Reliability, figures: Mapping[str, float]) -> Finding:
    mean, sd = figures["perturbation tau mean"], figures["perturbation tau sd"]
    other = figures["perturbation tau mean, exp(-AD / 100)"]
    laws = ", ".join(f"{entry.law} {entry.tau_mean:.2f}" for entry in default.robustness)
    n_items = default.robustness[0].n_items
    return Finding(
        "published_perturbation",
        "warning",
        (),
        f"Published: tau {mean:.3f} +- {sd:.3f} over weightings drawn anywhere on the simplex, on {n_items} method "
        f"means; the spread is over weightings and no uncertainty. With the other function of AD in the released "
        f"code, exp(-AD / 100), it is {other:.3f}. On ranks within groups the laws give {laws}.",
        {"tau_mean": mean, "tau_sd": sd, "tau_mean_other_term": other, "items": n_items},
    )
