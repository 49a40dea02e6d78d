"""What is made of the splits that only some metrics read: what these read, and no more."""

from collections.abc import Iterable, Iterator, Mapping

from vestige.data.examples import DataError
from vestige.metrics import METRICS, Metric
from vestige.metrics.columns import BY_NAME, SPLITS, TOKENS, origin

Passes = Mapping[str, frozenset[str]]


def wanted(splits: Iterable[str], asked: Iterable[str], named: Iterable[str] = ()) -> Passes:
    """Further split to what is made of it: "tokens", and names of `scoring.further`.

    A metric counts if the run can have all that it reads of its data. Generated texts, for instance, must be asked for;
    those of a split that the configuration names are asked for by naming it.

    Args:
        splits: all splits that the data have.
        asked: `scoring.further` of the configuration.
        named: further splits that the configuration names.

    Returns:
        The further splits that some metric can be had with. Of a layout's own, others are left out.

    Raises:
        DataError: if no metric can be had with a split that is named; the message says what else it needs.
    """
    there, made = frozenset(splits), frozenset({*asked, TOKENS})
    found: dict[str, frozenset[str]] = {}
    for metric in METRICS:
        if not any(_lacking(metric, there, made, frozenset(named))):
            for split, passes in _read(metric, there):
                found[split] = found.get(split, frozenset()) | passes
    for split in named:
        if split not in found:
            why = _why(split, there, made, frozenset(named))
            raise DataError(f"data.further: no metric can be had with {split} in this run: {why}")
    return found


def _read(metric: Metric, there: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """The further splits that a metric reads, with what must be done with each."""
    for model, split, column in (need.split(".") for need in metric.needs):
        passes = BY_NAME[column].made_of_split(model)
        if split in there and split not in SPLITS and passes:
            yield split, passes


def _lacking(metric: Metric, there: frozenset[str], made: frozenset[str], named: frozenset[str]) -> Iterator[str]:
    """The metric's needs that this run cannot meet."""
    for need in metric.needs:
        model, split, column = need.split(".")
        passes = BY_NAME[column].passes
        judged = any(name.startswith("judge") for name in passes)
        can_be_made = bool(passes) and (passes <= made or (split in named and not judged))
        if split not in there or not ((model == "data" and not judged) or can_be_made):
            yield need


def _why(split: str, there: frozenset[str], made: frozenset[str], named: frozenset[str]) -> str:
    readers = [metric for metric in METRICS if any(need.split(".")[1] == split for need in metric.needs)]
    return "; ".join(f"{m.name} needs {', '.join(map(origin, _lacking(m, there, made, named)))}" for m in readers)
