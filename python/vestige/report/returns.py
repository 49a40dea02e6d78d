"""Does it come back? What interventions did to the models, as one table."""

from math import isnan

from vestige.report.model import RETURN_MARGIN as MARGIN
from vestige.report.model import Report, Return
from vestige.report.numbers import DASH, number, percent, with_interval
from vestige.report.sections import Section, limited
from vestige.report.summary import listed


def returns_sections(report: Report) -> tuple[Section, ...]:
    """The table of interventions; nothing where there were none."""
    if not report.returns:
        return ()
    measure = report.returns[0].measure
    heads: tuple[str, ...] = ("model", "change", "verdict", "gain", measure, "retrained", "original", "ratio")
    rows = [_row(entry) for entry in report.returns]
    if any(not isnan(entry.anamnesis) for entry in report.returns):
        heads, rows = (*heads, "AIN"), [(*r, number(e.anamnesis)) for r, e in zip(rows, report.returns, strict=True)]
    return (limited("returns", "Does it come back?", _lead(report.returns), heads, rows, 3),)


def _lead(returns: tuple[Return, ...]) -> str:
    back = {entry.model: [e.change for e in returns if _came_back(e, entry.model)] for entry in returns}
    ways = "; ".join(f"{model} ({listed(by)})" for model, by in back.items() if by)
    gain = next((entry.gain for entry in returns if entry.gain.has_interval), None)
    over = f", with an interval over {gain.n_clusters} {gain.over}" if gain else ""
    taught = any(entry.change.startswith("relearn") for entry in returns)
    asked = any(entry.change.startswith("ask:") for entry in returns)
    steps = any(not isnan(entry.anamnesis) for entry in returns)
    measure = returns[0].measure
    parts = (
        f"What was forgotten comes back in {ways}." if ways else "None of them surely knows it again.",
        "Models changed on purpose and measured again, beside a retrained model changed alike.",
        "Relearning teaches every second cluster of forget examples; accuracy is on the others." if taught else "",
        "Ask: the model is as it was and the questions are put otherwise, to the retrained model too; undefined "
        "where the original does not answer them better either."
        if asked
        else "",
        _ADVANTAGE if measure == "advantage" else "",
        f"Gain: {measure} won beyond what the retrained model won{over}; it stays away where the interval ends below "
        f"{MARGIN:g}.",
        "Ratio: distance to the retrained models over the distance between them.",
        "AIN: steps of relearning over the retrained model's (1 is ideal, near 0 a trace was left)." if steps else "",
    )
    return " ".join(part for part in parts if part)


_ADVANTAGE = "Advantage: share of the retrained model's denoising loss on forget images that a model is spared."


def _came_back(entry: Return, model: str) -> bool:
    return entry.model == model and entry.verdict == "comes back"


def _row(entry: Return) -> tuple[str, ...]:
    return (
        entry.model,
        entry.change,
        entry.verdict,
        with_interval(entry.gain),
        f"{percent(entry.before)} → {percent(entry.after)}",
        f"{percent(entry.retrained_before)} → {percent(entry.retrained_after)}",
        percent(entry.original),
        " → ".join(number(ratio) for ratio in (entry.ratio_before, entry.ratio_after) if not isnan(ratio)) or DASH,
    )
