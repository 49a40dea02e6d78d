"""A report as Markdown: what a repository, an issue or a paper's supplement can hold; findings first."""

import re
from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from pathlib import Path

from vestige.meta.results import Agreement, Quality, Reliability, Tracking
from vestige.report import contents, summary
from vestige.report.asked import asked_sections
from vestige.report.costs import cost_sections
from vestige.report.files import write_whole
from vestige.report.model import Report, Row
from vestige.report.numbers import DASH, number, p_value, percent, with_interval
from vestige.report.returns import returns_sections
from vestige.report.sections import Section, sections

MAX_ROWS = 100


def to_markdown(report: Report) -> str:
    """A report as Markdown (CommonMark with tables).

    Args:
        report: the report, whether of a run or of a table alone.

    Returns:
        The text: what was found, the findings, tracking, agreement, the composite, stability, the ranking, published
        figures, and what could not be computed. Names are escaped, so that none of them is read as markup.

    Source: defined here.
    """
    parts = [f"# {escaped(report.title)}", bullets(summary.sentences(report)), *_findings(report)]
    parts += _tables(asked_sections(report))
    if report.reliability:
        parts += _judged(report.reliability)
    parts += _ranking(report)
    parts += _tables((*returns_sections(report), *cost_sections(report)))
    if report.reliability:
        parts += _rest(report.reliability)
    return "\n\n".join(part for part in parts if part) + "\n"


def write_markdown(report: Report, path: str | Path) -> Path:
    """Write `to_markdown(report)` to a file, UTF-8; a file that was there stays whole until the new one is.

    Args:
        report: the report.
        path: the file to write; its folder is made where there is none.

    Returns:
        The path.

    Source: defined here.
    """
    return write_whole(path, to_markdown(report))


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it is, in one line.

    >>> print(escaped("a|b *c* <d>"))
    a\|b \*c\* \<d\>
    """
    return re.sub(r"([\\`*_{}\[\]<>|#~&$])", r"\\\1", " ".join(text.split()))


def bullets(lines: Iterable[str]) -> str:
    """One line an item.

    >>> print(bullets(["one", "two"]))
    - one
    - two
    """
    return "\n".join(f"- {escaped(line)}" for line in lines)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], n_text: int = 1) -> str:
    """A table; the first `n_text` columns are text, the others numbers and stand on the right.

    >>> print(table(["model", "RA"], [["a", "0.5"]]))
    | model | RA |
    | :-- | --: |
    | a | 0.5 |
    """
    rule = [":--" if i < n_text else "--:" for i in range(len(heads))]
    lines = [list(map(escaped, heads)), rule, *(list(map(escaped, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _findings(report: Report) -> Iterator[str]:
    found = contents.findings(report)
    if not found:
        return
    yield "## Findings"
    for severity in contents.SEVERITIES:
        some = [finding for finding in found if finding.severity == severity]
        if some:
            yield f"**{summary.counted(len(some), severity)}** ({contents.SEVERITY_MEANING[severity]})"
            yield "\n".join(f"- `{finding.code}` {escaped(finding.message)}" for finding in some)


def _judged(reliability: Reliability) -> Iterator[str]:
    for tracking in (reliability.tracking, reliability.second_tracking):
        if tracking:
            yield f"## Do the metrics track closeness by {escaped(tracking[0].distance)}?"
            yield _tracking(tracking, bool(reliability.groups))
    shown = (
        ("Agreement", reliability.agreement),
        ("Agreement over all rows at once", reliability.agreement_pooled),
        ("Agreement of ranks within groups, all rows at once", reliability.agreement_rank_normalised),
        ("Agreement in the compared table", reliability.comparison),
    )
    for title, agreement in shown:
        if agreement is not None:
            yield f"## {title}"
            yield _agreement(agreement)
    if reliability.quality:
        yield "## What the composite score is worth"
        yield _quality(reliability.quality)


def _tracking(tracking: Sequence[Tracking], grouped: bool) -> str:
    heads = ["metric", "verdict", "rho", "p", "p adj.", *(["rho within", "between groups"] if grouped else [])]
    rows = [
        [entry.metric, entry.verdict, with_interval(entry.rho), p_value(entry.p), p_value(entry.p_adjusted)]
        + ([number(entry.rho_within), percent(entry.between_share)] if grouped else [])
        for entry in tracking
    ]
    kind = "all there are" if tracking[0].exact else "drawn"
    scope = (
        f"rho: Spearman with closeness over all rows, interval over {tracking[0].rho.n_clusters} "
        f"{tracking[0].rho.over}. p: {tracking[0].n_relabellings:,} relabellings ({kind}) within groups, adjusted over "
        f"{tracking[0].family} metrics by max-T."
    )
    return f"{table(heads, rows, 2)}\n\n{escaped(scope)}"


def _agreement(agreement: Agreement) -> str:
    rows = [
        [name, *(_tau(agreement, i, j) for j in range(len(agreement.metrics)))]
        for i, name in enumerate(agreement.metrics)
    ]
    agreeing = [f"{summary.listed(cluster, len(cluster))} agree." for cluster in agreement.clusters if len(cluster) > 1]
    scope = f"* the interval excludes 0. Mean {number(agreement.mean_tau)} over {agreement.n_items} items. "
    text = f"{scope}{' '.join([*agreeing, agreement.method])}."
    return f"{table(['tau', *agreement.metrics], rows)}\n\n{escaped(text)}"


def _tau(agreement: Agreement, i: int, j: int) -> str:
    tau = float(agreement.tau[i, j])
    if i == j:
        return ""
    settled = agreement.low[i, j] > 0 or agreement.high[i, j] < 0
    return DASH if isnan(tau) else f"{tau:.2f}{'*' if settled else ''}".replace("-0.00", "0.00")


def _quality(quality: Quality) -> str:
    rows = [(name, with_interval(estimate)) for name, estimate in contents.composite_rows(quality)]
    weights = ", ".join(f"{name} {number(weight)}" for name, weight in quality.weights.items())
    shown = table(["score", "rho with closeness"], rows)
    return f"{shown}\n\n{escaped(f'Recipe: {quality.recipe}. Weights: {weights}.')}"


def _ranking(report: Report) -> Iterator[str]:
    rows = contents.ranked(report)
    if not rows:
        return
    judged, cards = contents.first_verdict(report) is not None, (*contents.metric_cards(report),)
    labels = list(dict.fromkeys(key for row in rows for key in row.labels))
    heads = ["#", "model", *labels, *(["verdict", "ratio"] if judged else []), *(card.name for card in cards)]
    yield "## Ranking"
    yield escaped(f"By {report.ranked_by}.")
    yield table(heads, [_ranked(row, labels, judged, [card.name for card in cards]) for row in rows[:MAX_ROWS]], 2)
    if len(rows) > MAX_ROWS:
        yield f"and {len(rows) - MAX_ROWS} more"


def _ranked(row: Row, labels: Sequence[str], judged: bool, names: Sequence[str]) -> list[str]:
    rank = DASH if row.rank is None else str(row.rank)
    verdict = [row.verdict.verdict, with_interval(row.verdict.ratio)] if row.verdict else [DASH, DASH]
    scores = [number(row.scores.get(name, contents.MISSING).value) for name in names]
    return [rank, row.model, *(row.labels.get(key, "") for key in labels), *(verdict if judged else []), *scores]


def _tables(shown: Iterable[Section]) -> Iterator[str]:
    for section in shown:
        yield f"## {escaped(section.title)}"
        yield escaped(section.lead)
        yield table(section.heads, section.rows, section.n_text)
        if section.n_more:
            yield f"and {section.n_more} more"


def _rest(reliability: Reliability) -> Iterator[str]:
    if reliability.robustness:
        first = reliability.robustness[0]
        yield "## Stability of the ranking under other weights"
        yield f"Tau with the composite's own ranking over {first.n_draws} weightings of {first.n_items} items."
        rows = [(entry.law, number(entry.tau_mean), number(entry.tau_sd)) for entry in reliability.robustness]
        yield table(["law", "mean tau", "SD over weightings"], rows)
    yield from _tables(sections(reliability))
    if reliability.published:
        yield f"## Figures by the convention {reliability.convention}"
        yield table(["figure", "value"], [(name, number(value)) for name, value in reliability.published.items()])
    if reliability.missing:
        yield "## What this table does not allow"
        yield bullets(reliability.missing)
