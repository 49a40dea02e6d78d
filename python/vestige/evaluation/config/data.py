"""Which data a run is about."""

from collections.abc import Mapping

from pydantic import field_validator, model_validator

from vestige.evaluation.config.base import Strict
from vestige.metrics import METRICS
from vestige.metrics.columns import BY_NAME, MADE, SPLITS


def further_splits() -> tuple[str, ...]:
    """Names of splits that some metric reads and that have no field of their own in `Data`."""
    needs = (need.split(".") for metric in METRICS for need in metric.needs)
    scored = {split for model, split, column in needs if BY_NAME[column].made_of_split(model)}
    return tuple(sorted(scored - {*SPLITS, *MADE}))


class Data(Strict):
    """A file or folder for each split (`vestige.data.examples` says what it holds), or a published benchmark.

    Attributes:
        forget: what was to be forgotten.
        retain: what was to be kept.
        paraphrase: forget questions in other words; without it there is no FA-para.
        holdout: never-seen examples like the forget ones, the non-members; without it there is no MIA.
        distance: questions that no metric uses; without it there is no functional distance.
        layout: a benchmark's name in `vestige.data.layouts`, for the splits that are not given above.
        folder: where its files lie.
        part: what of it is forgotten; default the layout's.
        prompt: wording of its questions, with `{question}`; default the layout's.
        further: name to file of splits that only some metrics read, such as `passages` (VerbMem), `real_authors` and
            `world_facts` (ModelUtility) or `forget_adversarial` (RWKU): `further_splits` has the names. Of such a split
            only what metrics read is scored. A layout's own are found without being named.
        concepts: file of the value vectors that write concepts, rows with `concept`, `layer` and `index`, for
            concept-trace (docs/scoring-inside.md); they are read from the weights.
    """

    forget: str | None = None
    retain: str | None = None
    paraphrase: str | None = None
    holdout: str | None = None
    distance: str | None = None
    layout: str | None = None
    folder: str | None = None
    part: str | None = None
    prompt: str | None = None
    further: Mapping[str, str] = {}
    concepts: str | None = None

    @field_validator("further")
    @classmethod
    def _read_by_some_metric(cls, files: Mapping[str, str]) -> Mapping[str, str]:
        if own := sorted(set(files) & set(SPLITS)):
            raise ValueError(f"{', '.join(own)} must be named beside `further`, not under it")
        if unknown := sorted(set(files) - set(further_splits())):
            raise ValueError(f"no metric reads {', '.join(unknown)}; the names are {', '.join(further_splits())}")
        return files

    @model_validator(mode="after")
    def _splits_or_layout(self) -> "Data":
        if self.layout is None and (lost := [name for name in ("forget", "retain") if not getattr(self, name)]):
            raise ValueError(f"{' and '.join(lost)} must be given, or `layout` and `folder` of a published benchmark")
        if (self.layout is None) != (self.folder is None):
            raise ValueError("`layout` and `folder` belong together: one is given without the other")
        if self.layout is None and (self.part or self.prompt):
            raise ValueError("`part` and `prompt` are settings of a `layout`, and none is given")
        return self
