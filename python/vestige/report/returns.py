"""Does it come back? What interventions did to the models, as one table."""

from math import isnan

from vestige.report.model import RETURN_MARGIN as MARGIN
from vestige.report.model import Report, Return
from vestige.report.numbers import DASH, number, percent
from vestige.report.sections import Section, limited
from vestige.report.summary import listed
from vestige.stats.estimate import Estimate


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
    taught = any(entry.change.startswith("relearn") for entry in returns)
    asked = any(entry.change.startswith("ask:") for entry in returns)
    steps = any(not isnan(entry.anamnesis) for entry in returns)
    measure = returns[0].measure
    parts = (
        f"What was forgotten comes back in {ways}." if ways else "None of them surely knows it again.",
        "What is hidden and not removed comes back when a model is pushed, so each is changed or asked otherwise and "
        "measured again, beside a retrained model treated alike.",
        _TAUGHT if taught else "",
        _ASKED if asked else "",
        _ADVANTAGE if measure == "advantage" else "",
        f"Gain: percentage points of {measure} won beyond what the retrained model won{_over(returns)}; it stays away "
        f"where the interval ends below {100 * MARGIN:g}.",
        "Ratio: distance to the retrained models over the distance between them.",
        "AIN: steps of relearning over the retrained model's (1 is ideal, near 0 a trace was left)." if steps else "",
    )
    return " ".join(part for part in parts if part)


def _over(returns: tuple[Return, ...]) -> str:
    gains = [entry.gain for entry in returns if entry.gain.has_interval and entry.gain.over]
    if not gains:
        return ""
    fewest, most = (pick(gain.n_clusters for gain in gains) for pick in (min, max))
    return f", with an interval over {fewest if fewest == most else f'{fewest} to {most}'} {gains[0].over}"


_TAUGHT = "Relearn: steps of training on every second cluster of forget examples; accuracy is on the others."
_ASKED = (
    "Ask: the questions are put otherwise and the model stays as it is; undefined where the original does not answer "
    "them better than the retrained model either."
)
_ADVANTAGE = "Advantage: share of the retrained model's denoising loss on forget images that a model is spared."


def _came_back(entry: Return, model: str) -> bool:
    return entry.model == model and entry.verdict == "comes back"


def _row(entry: Return) -> tuple[str, ...]:
    ratios = [number(ratio, 2) for ratio in (entry.ratio_before, entry.ratio_after) if not isnan(ratio)]
    return (
        entry.model,
        entry.change,
        entry.verdict,
        _points(entry.gain),
        _from_to(entry.before, entry.after),
        _from_to(entry.retrained_before, entry.retrained_after),
        percent(entry.original),
        " → ".join(ratios) or DASH,
    )


def _points(gain: Estimate) -> str:
    """A difference of shares in percentage points, with its interval.

    >>> _points(Estimate(0.325, -0.161, 0.811))
    '+32 [-16, +81]'
    """
    if isnan(gain.value):
        return DASH
    value = _signed(gain.value)
    return f"{value} [{_signed(gain.low)}, {_signed(gain.high)}]" if gain.has_interval else value


def _signed(share: float) -> str:
    points = round(100 * share)
    return f"{points:+d}" if points else "0"


def _from_to(before: float, after: float) -> str:
    return DASH if isnan(before) or isnan(after) else f"{100 * before:.0f} → {percent(after)}"
