"""From a configuration to a run folder: the one place that knows the whole way."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from time import perf_counter
from typing import Any

from vestige.evaluation.binding import PlanError
from vestige.evaluation.config import Config, ConfigError, read_config, write_config
from vestige.evaluation.controls import cards, further_cards
from vestige.evaluation.costs import Cost
from vestige.evaluation.distributed import EngineName
from vestige.evaluation.findings import blind_baseline, run_findings
from vestige.evaluation.inside import Inside, inside
from vestige.evaluation.inside import details as inside_details
from vestige.evaluation.machine import describe
from vestige.evaluation.measures import Measures, fade_details, measure, verdict_distances, verdicts
from vestige.evaluation.plan import RunPlan
from vestige.evaluation.returns import returns
from vestige.evaluation.robustness import write_robustness
from vestige.evaluation.scores import estimate_costs, prepare, score, silent, work
from vestige.evaluation.spending import spending
from vestige.evaluation.tables import write_tables
from vestige.evaluation.tasks import EvaluationError, Progress, Task
from vestige.meta.reliability import reliability
from vestige.meta.results import Reliability
from vestige.metrics import ScoreTable
from vestige.metrics.distribution import JS
from vestige.report.model import Report, Row
from vestige.scoring.callables import Logits
from vestige.stats.equivalence import Equivalence
from vestige.stats.estimate import Estimate

FEWEST_MODELS = 3
"""Below this no rank correlation says anything."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: `config.yaml`, `store/`, `tables/`, `report.json`, and `report.html` where it could be drawn.
        table: the unlearned models by metrics.
        report: everything that was found.
    """

    folder: Path
    table: ScoreTable
    report: Report


def evaluate(
    config: Config | str | Path,
    out: str | Path,
    *,
    jobs: int = 2,
    engine: EngineName = "local",
    functions: Mapping[str, Logits] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Score all checkpoints of a configuration, compute every metric, judge models and metrics, write the report.

    What the folder's store already has is not scored again, so a run that was stopped goes on where it was.

    Args:
        config: a YAML file, or what `read_config` makes of one.
        out: the run folder; made if it is not there.
        jobs: worker processes for the forward passes on the CPU.
        engine: "local", or "ray" for a Ray cluster: the one that is running, else one with `jobs` CPUs of this machine.
        functions: name to a function from token ids and the mask of real tokens to logits, as unlearned models (see
            `vestige.scoring.callables.from_callable`); for the local engine. One with settings of its own, or for other
            machines, is named in the configuration, `function: package.module:name`.
        progress: called with a stage, the number of its steps done and the number of its steps.

    Returns:
        The run.

    Raises:
        ConfigError, DataError, CheckpointError: before anything is scored, if the input cannot be used.
        EvaluationError: if a model cannot be scored (scores of the others are kept), or the disk has not the room.
        StoreError: if the disk is full or a stored shard is damaged.
    """
    run, seconds = score(config, out, jobs=jobs, engine=engine, functions=functions, progress=progress)
    began, report_step = perf_counter(), progress or silent
    report_step("measuring", 0, 3)
    measures = measure(run)
    report_step("measuring", 1, 3)
    found = inside(measures)
    report = _report(measures, _reliability(measures), found, seconds)
    report_step("measuring", 2, 3)
    folder = Path(out)
    write_tables(measures, found, folder / "tables")
    write_robustness(measures, folder / "tables" / "interventions.json")
    seconds["measuring"] = perf_counter() - began
    _write_report(report, folder)
    report_step("measuring", 3, 3)
    return Run(folder, measures.table, report)


def _reliability(measures: Measures) -> Reliability | None:
    table = measures.table
    if len(table.models) < FEWEST_MODELS:
        return None
    names = [distance.name for distance in measures.distances]
    return reliability(
        table,
        distance=names[0] if names else None,
        second_distance=names[1] if len(names) > 1 else None,
        clusters=("method",),
        collapsed=[measures.collapsed[name] for name in table.models],
        n_retrained=len(measures.run.of("retrained")),
    )


def _report(
    measures: Measures, judged: Reliability | None, found: tuple[Inside, ...], seconds: Mapping[str, float]
) -> Report:
    run = measures.run
    by_distance = [verdicts(run, distance) for distance in verdict_distances(measures)]
    first, second = (*by_distance, {}, {})[:2]
    details, blind = fade_details(run), blind_baseline(run)
    metric_cards = cards(measures)
    return Report(
        title=run.config.title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        about=_about(run, seconds, blind),
        rows=_rows(measures, first, second, _with(details, found)),
        ranked_by=_ranked_by(first),
        cards=metric_cards,
        reliability=judged,
        findings=run_findings(measures, metric_cards, by_distance, details, blind),
        further=further_cards(measures),
        returns=returns(measures, first),
        spending=spending(measures, first),
    )


def _with(details: Mapping[str, Mapping[str, float]], found: tuple[Inside, ...]) -> Mapping[str, Mapping[str, float]]:
    """Further numbers by subject, with what is read inside it."""
    names = dict.fromkeys((*details, *(each.model for each in found)))
    return {name: {**details.get(name, {}), **inside_details(found, name)} for name in names}


def _rows(
    measures: Measures,
    first: Mapping[str, Equivalence],
    second: Mapping[str, Equivalence],
    details: Mapping[str, Mapping[str, float]],
) -> tuple[Row, ...]:
    ratios = {s.name: first[s.name].ratio.value for s in measures.run.of("unlearned") if s.name in first}
    ranked = sorted((name for name, ratio in ratios.items() if not isnan(ratio)), key=lambda name: ratios[name])
    rank = {name: i for i, name in enumerate(ranked, 1)}
    rows = [
        Row(
            model=s.name,
            role=s.role,
            method=s.method,
            strength=s.strength,
            rank=rank.get(s.name),
            scores=measures.scores[s.name],
            verdict=first.get(s.name),
            second_verdict=second.get(s.name),
            collapsed=s.role == "unlearned" and measures.collapsed[s.name],
            expected=s.expected,
            details=details.get(s.name, {}),
        )
        for s in measures.run.subjects
    ]
    return tuple(sorted(rows, key=lambda row: (row.role != "unlearned", row.rank or len(rows))))


def _ranked_by(verdicts: Mapping[str, Equivalence]) -> str:
    if not verdicts:
        return "nothing: there is no retrained model to be close to"
    if all(isnan(verdict.ratio.value) for verdict in verdicts.values()):
        return "nothing: one retrained model does not show how far retrained models lie apart"
    name = next(iter(verdicts.values())).distance
    return (
        "distance to the retrained models over their distance to one another "
        f"({'JS on forget answers' if name == JS.name else name}); 1 = as close as retraining again"
    )


def _about(run: RunPlan, seconds: Mapping[str, float], blind: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        "note": run.config.note,
        "settings": run.config.scoring.model_dump(),
        "margin": run.config.margin,
        "examples": {split: len(examples) for split, examples in run.scoring.examples.items()},
        "clusters": run.config.clusters,
        "retrained seeds": len(run.of("retrained")),
        "blind membership baseline": {name: str(auc) for name, auc in blind.items()},
        "seconds": seconds,
        **describe(),
    }


def _write_report(report: Report, folder: Path) -> None:
    from vestige.report import render, write_json

    write_json(report, folder / "report.json")
    render(report, folder / "report.html")


__all__ = [
    "Config",
    "ConfigError",
    "Cost",
    "EvaluationError",
    "PlanError",
    "Progress",
    "Run",
    "Task",
    "estimate_costs",
    "evaluate",
    "prepare",
    "read_config",
    "score",
    "work",
    "write_config",
]
