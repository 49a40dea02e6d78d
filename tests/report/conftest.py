"""A report as a demo run makes one, and one of a table alone: numbers drawn here, shapes and corner cases real."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from vestige.meta.results import Agreement, Finding, Quality, Reliability, Robustness, Tracking
from vestige.metrics.table import ScoreTable
from vestige.report import report_of_table
from vestige.report.model import Card, Report, Row
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate

HOSTILE = "<script>alert(1)</script> & \"quotes\" 'single'"
METHODS = ("ga", "gd", "npo", "kl", "scrub", "ssd", "salun", "idk", "dpo", "random_labels", "finetune", "tv", "rmu")
STRENGTHS = ("4", "8", "16")
METRICS = {
    "FA": ("Forget accuracy", "reference", 0.25),
    "RA": ("Retain accuracy", "reference", 0.81),
    "MIA": ("Membership AUC", "reference", 0.52),
    "AD": ("Activation distance", "lower", nan),
    "JS": ("Jensen-Shannon divergence", "lower", nan),
    "FADE": ("Likelihood both ways", "lower", nan),
    "ES": ("Extraction strength", "lower", 0.08),
    "TR": ("Truth ratio", "reference", 0.66),
    "MinK": ("Min-K% AUC", "reference", 0.49),
    "PrivLeak": ("Privacy leak", "reference", -0.4),
}
DISTANCES = {"js_to_retrained": "JS to retrained", "logit_to_retrained": "Logit distance to retrained"}
COLUMNS = (*METRICS, *DISTANCES)


def estimate(value, half, **more):
    return Estimate(
        float(value), float(value - half), float(value + half), n=240, over="authors", n_clusters=12,
        method="jackknife-t, logit scale", fixed=("training seed",), **more,
    )  # fmt: skip


def equivalence(ratio, spread, distance):
    low, high = ratio / spread, ratio * spread
    verdict = "equivalent" if high < 1.25 else "different" if low > 1.25 else "undecided"
    interval = Estimate(ratio, low, high, n=5, over="retrained seeds", n_clusters=5, method="jackknife-t, log scale",
                        confidence_level=0.9)  # fmt: skip
    return Equivalence(verdict, interval, 1.25, high, distance, 5)


def scores(rng, quality):
    """One value a column; a model of quality 1 sits on the retrained values, with noise around them."""
    gap = 1 - quality
    values = {"FA": 0.25 + 0.6 * gap, "RA": 0.81 - 0.5 * gap**2, "MIA": 0.52 + 0.4 * gap, "AD": 2 + 60 * gap,
              "JS": 0.01 + 0.3 * gap, "FADE": 0.4 + 6 * gap, "ES": 0.08 + 0.5 * gap, "TR": 0.66 - 0.2 * gap,
              "MinK": 0.49 + 0.3 * gap, "PrivLeak": -0.4 + 80 * gap, "js_to_retrained": 0.01 + 0.25 * gap,
              "logit_to_retrained": 1e-5 + 3e-4 * gap}  # fmt: skip
    drawn = {name: value * np.exp(rng.normal(0, 0.15)) for name, value in values.items()}
    return {name: estimate(value, abs(value) * 0.12) for name, value in drawn.items()}


def unlearned_rows(rng):
    drawn = []
    for method in METHODS:
        for strength in STRENGTHS:
            quality = float(rng.beta(2, 2))
            ratio = float(np.exp(2.6 * (1 - quality) - 0.4 + rng.normal(0, 0.15)))
            drawn.append((ratio, method, strength, quality))
    rows = []
    for rank, (ratio, method, strength, quality) in enumerate(sorted(drawn), start=1):
        rows.append(Row(
            model=f"{method}@{strength}", role="unlearned", method=method, strength=strength, rank=rank,
            scores=scores(rng, quality), verdict=equivalence(ratio, 1.22, "js_to_retrained"),
            second_verdict=equivalence(ratio * float(np.exp(rng.normal(0, 0.2))), 1.3, "logit_to_retrained"),
            collapsed=quality < 0.2,
            details={"FADE prompt error": 0.1 * rank, "truncated samples": nan if rank == 3 else 0.02},
        ))  # fmt: skip
    return rows


def with_corner_cases(rows):
    """A hostile name, an undefined value, an infinite ratio, a value without an interval."""
    first = rows[4]
    undefined = Estimate(nan, reason="constant column")
    rows[4] = Row(HOSTILE, "unlearned", "<b>dpo</b>", "16", 5, {**first.scores, "ES": undefined}, first.verdict,
                  first.second_verdict)  # fmt: skip
    last = rows[-1]
    endless = Equivalence("different", Estimate(inf, 40.0, inf, method="jackknife-t"), 1.25, inf, "js_to_retrained", 5)
    diverged = {**last.scores, "AD": Estimate(1.2e7, reason="2 clusters")}
    named = (last.model, "unlearned", last.method, last.strength)
    rows[-1] = Row(*named, 39, diverged, endless, collapsed=True)
    return rows


def reference_rows(rng):
    rows = [Row("original", "original", "", "", None, scores(rng, 0.05), equivalence(19.0, 1.2, "js_to_retrained"))]
    rows += [Row(f"retrained-{seed}", "retrained", "", "", None, scores(rng, 1.0)) for seed in range(3)]
    from_itself = {name: Estimate(0.0) for name in ("AD", "JS", "FADE")}
    rows[1] = replace(rows[1], scores={**rows[1].scores, **from_itself})
    planted = (("original again", 0.05, 18.0, "different"), ("retrained, another seed", 1.0, 1.02, "not different"))
    for name, quality, ratio, expected in planted:
        verdict = equivalence(ratio, 1.2, "js_to_retrained")
        second = equivalence(ratio, 1.5, "logit_to_retrained")
        rows.append(Row(name, "control", "", "", None, scores(rng, quality), verdict, second, expected=expected))
    return rows


def card(name):
    title, better, retrained = METRICS.get(name, (DISTANCES.get(name, ""), "lower", nan))
    relative = {"AD": 6.0, "JS": 0.04, "FADE": 0.9, "js_to_retrained": 0.03, "logit_to_retrained": 4e-5}.get(name)
    floor = (relative / 2, relative) if relative else tuple(sorted((retrained * 0.93, retrained * 1.06)))
    original = 20 * relative if relative else retrained + 0.6
    passes = name not in ("AD", "ES")
    told = f"original {original:.3g} against the floor {floor[0]:.3g} to {floor[1]:.3g}"
    return Card(
        name=name, title=title, asks="Does the model still answer what it was to forget?",
        formula="mean over facts of 1[argmax p(answer | question) = answer]", better=better,
        source="arXiv 2605.02206, section 3.2", floor=floor, retrained=retrained,
        original=original, passes_controls=passes,
        controls=f"{told}: told apart" if passes else f"{told}: told apart, but so is another retrained seed",
        machinery="output divergence" if name in ("JS", "js_to_retrained") else "",
        is_distance=name in DISTANCES,
    )  # fmt: skip


def agreement(rng, metrics, n_items):
    loadings = rng.uniform(-0.35, 0.95, len(metrics))
    tau = np.clip(np.outer(loadings, loadings) + rng.normal(0, 0.05, (len(metrics),) * 2), -1, 1)
    tau = (tau + tau.T) / 2
    np.fill_diagonal(tau, 1.0)
    tau[2, 3] = tau[3, 2] = nan
    half = 0.25 * (1 - tau**2)
    upper = tau[np.triu_indices(len(metrics), 1)]
    strong = tuple(name for name, loading in zip(metrics, loadings, strict=True) if loading > 0.4)
    weak = tuple(name for name in metrics if name not in strong)
    return Agreement(metrics, tau, tau - half, tau + half, np.abs(1 - np.abs(tau)), n_items,
                     "tau-b, jackknife-t over 13 methods", float(np.nanmean(upper)), (strong, weak))  # fmt: skip


def tracking(rng, metrics, distance):
    entries = []
    for i, name in enumerate(metrics):
        rho = float(rng.uniform(-0.5, 0.95))
        p = float(np.exp(-6 * abs(rho)))
        verdict = "no evidence" if min(1, 4 * p) > 0.05 else "tracks" if rho > 0 else "opposes"
        interval = Estimate(rho, max(-1, rho - 0.25), min(1, rho + 0.2), n=39, over="methods", n_clusters=13,
                            method="jackknife-t, fisher scale")  # fmt: skip
        if i == 6:
            p, verdict, interval = nan, "undefined", Estimate(nan, reason="constant column")
        entries.append(Tracking(
            metric=name, distance=distance, rho=interval, tau=interval, rho_within=rho * 0.8, between_share=0.3,
            p=p, p_adjusted=p * min(4, 1 / p), n_relabellings=20_000, exact=False, family=len(metrics), verdict=verdict,
            shares_machinery=name == "JS", without_collapsed=estimate(rho - 0.1, 0.2),
        ))  # fmt: skip
    return tuple(entries)


def quality(metrics, n_rows):
    weights = {name: 1 / len(metrics) for name in metrics}
    return Quality(
        "midranks within group; weights from mean within-group rho, shrunk halfway to equal", weights,
        {f"fold {i}": weights for i in (1, 2, 3)}, np.linspace(1, 0, n_rows), estimate(0.82, 0.1), estimate(0.61, 0.3),
        "JS", estimate(0.66, 0.2), estimate(0.58, 0.3),
    )  # fmt: skip


def robustness(rng, items):
    laws = {"simplex": 0.25, "dirichlet": 0.06, "lognormal": 0.04}
    share = {items[0]: 0.61, items[1]: 0.24, items[2]: 0.15}
    draws = {law: np.clip(1 - np.abs(rng.normal(0, sd, 100)), -1, 1) for law, sd in laws.items()}
    return tuple(
        Robustness(law, 100, len(items), items, tau, float(tau.mean()), float(tau.std()), share)
        for law, tau in draws.items()
    )


FINDINGS = (
    Finding("ties", "note", ("ES",),
            "31 % of the pairs of ES are tied: tau-b takes them as neither.", {"share": 0.31}),
    Finding("constant_column", "artefact", ("ES",),
            f"ES is constant within {HOSTILE}: its tau is undefined.", {"n": 3.0}),
    Finding("collapse_drives_agreement", "warning", ("FA", "RA"),
            "tau of FA and RA is 0.41 with the 7 collapsed models and -0.05 without them; read the second.", {}),
)  # fmt: skip


def reliability(rng, rows, metrics, distances):
    names = tuple(row.model for row in rows)
    return Reliability(
        convention="default", n_models=len(rows), metrics=metrics, distance=distances[0], groups=(),
        clusters=("method",),
        agreement=agreement(rng, metrics, len(rows)), agreement_pooled=None,
        tracking=tracking(rng, metrics, distances[0]),
        second_tracking=tracking(rng, metrics, distances[1]) if len(distances) > 1 else (),
        quality=quality(metrics, len(rows)), robustness=robustness(rng, names), comparison=None, published={},
        findings=FINDINGS, missing=("No second table was given, so nothing is compared.",),
    )  # fmt: skip


@pytest.fixture(scope="session")
def report():
    """39 unlearned models, an original, 3 retrained, 2 controls; 10 metrics and 2 distances."""
    rng = np.random.default_rng(0)
    rows = with_corner_cases(unlearned_rows(rng))
    about = {
        "command": "vestige demo --out runs/demo --seed 0", "seed": 0, "suite": HOSTILE,
        "versions": {"vestige": "0.1.0", "torch": "2.15.0", "numpy": "2.4.6"},
        "seconds": {"train": 81.3, "score": 12.9, "metrics": 2.4, "report": 0.8},
        "sampling": {"temperature": 1.0, "max_new_tokens": 40, "truncated": 0.031, "stop": None},
        "stages": ["data", "scoring", "store", "metrics", "meta", "report"],
    }  # fmt: skip
    return Report(
        title=f"Unlearning demo {HOSTILE}", created="2026-05-04T10:20:30Z", about=about,
        rows=(*rows, *reference_rows(rng)), ranked_by="ratio of the distance js_to_retrained to the retrained floor",
        cards=tuple(card(name) for name in COLUMNS),
        reliability=reliability(rng, rows, tuple(METRICS), tuple(DISTANCES)),
        findings=(Finding("truncated", "note", (), "3 % of the generated samples hit the token cap.", {}),),
    )  # fmt: skip


TABLE_METRICS = {"FA": "lower", "RA": "higher", "MIA": "lower", "AD": "lower", "JS": "lower"}


@pytest.fixture(scope="session")
def table():
    """36 rows as published: four methods, three datasets, three seeds; names repeat, one cell is missing."""
    rng = np.random.default_rng(1)
    methods = ("gradient_ascent", "gradient_difference", "kl_minimisation", "preference")
    cells = [(d, s, m) for d in ("mmlu", "vqa", "cifar") for s in ("0", "1", "2") for m in methods]
    columns = {name: rng.uniform(0, 1, len(cells)) for name in (*TABLE_METRICS, "retrained_distance")}
    columns["AD"] = columns["AD"] * 100
    columns["JS"][3] = nan
    return ScoreTable(
        models=tuple(method for _, _, method in cells), columns=columns, better=TABLE_METRICS,
        labels={"dataset": tuple(d for d, _, _ in cells), "seed": tuple(s for _, s, _ in cells),
                "method": tuple(method for _, _, method in cells)},
    )  # fmt: skip


@pytest.fixture(scope="session")
def table_reliability(table):
    """What the engine says of it: pooled and compared agreement, published figures."""
    rng = np.random.default_rng(2)
    named = tuple(Row(name, "unlearned", "", "", None, {}) for name in table.models)
    judged = reliability(rng, named, tuple(TABLE_METRICS), ("retrained_distance",))
    return replace(
        judged, groups=("dataset", "seed"), clusters=("dataset",), convention="published",
        agreement_pooled=agreement(rng, tuple(TABLE_METRICS), 36), comparison=agreement(rng, tuple(TABLE_METRICS), 36),
        published={"tau FA-AD": -0.259, "mean tau": 0.0861024, "p RA": nan},
    )  # fmt: skip


@pytest.fixture(scope="session")
def table_report(table, table_reliability):
    """The report of that table alone."""
    about, created = {"table": "unified.csv"}, "2026-05-04T10:20:30Z"
    return report_of_table(table, table_reliability, title="A published table", about=about, created=created)
