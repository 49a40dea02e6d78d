"""Which data a run is about."""

from pydantic import model_validator

from vestige.evaluation.config.base import Strict

SPLITS = ("forget", "retain", "paraphrase", "holdout", "distance")
"""Fields of `Data` that each name a split."""


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

    @model_validator(mode="after")
    def _splits_or_layout(self) -> "Data":
        if self.layout is None and (lost := [name for name in ("forget", "retain") if not getattr(self, name)]):
            raise ValueError(f"{' and '.join(lost)} must be given, or `layout` and `folder` of a published benchmark")
        if (self.layout is None) != (self.folder is None):
            raise ValueError("`layout` and `folder` belong together: one is given without the other")
        if self.layout is None and (self.part or self.prompt):
            raise ValueError("`part` and `prompt` are settings of a `layout`, and none is given")
        return self
