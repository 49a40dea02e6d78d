"""A whole configuration, and what its parts must have of one another."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vestige.evaluation.config.base import Strict
from vestige.evaluation.config.data import Data
from vestige.evaluation.config.interventions import POSSIBLE, Interventions
from vestige.evaluation.config.models import Models
from vestige.evaluation.config.scoring import Scoring


class Config(Strict):
    """One run.

    Attributes:
        title: headline of the report.
        kind: what the checkpoints are: "language" (causal language models), "vision_language" (models that answer about
            images), "classifier" (of images or texts), "regression" (likewise, heads with one output whose labels are
            numbers) or "diffusion" (image generators; the data are images with prompts or classes).
        models: the checkpoints.
        data: the data files.
        scoring: settings of the forward passes.
        margin: the largest ratio of distances that counts as equivalent to retraining.
        clusters: what the data's `cluster` field names, in the plural.
        note: anything a reader of the report should know of these models.
        interventions: models that are changed on purpose and scored again, or asked otherwise; needs a retrained model
            to compare with.
    """

    title: str = "Unlearning evaluation"
    kind: Literal["language", "vision_language", "classifier", "regression", "diffusion"] = "language"
    models: Models
    data: Data
    scoring: Scoring = Scoring()
    margin: Annotated[float, Field(gt=1)] = 1.25
    clusters: str = "authors"
    note: str = ""
    interventions: Interventions | None = None

    @model_validator(mode="after")
    def _spans_of_texts(self) -> "Config":
        if self.scoring.rule and self.kind not in ("language", "vision_language"):
            raise ValueError(f"scoring.spans and scoring.chat are about answers in tokens, which a {self.kind} has not")
        return self

    @model_validator(mode="after")
    def _settings_of_tokens(self) -> "Config":
        how, usual = self.scoring, Scoring()
        odd = [name for name in ("max_tokens", "sampling") if getattr(how, name) != getattr(usual, name)]
        odd += ["batch_size: auto"] if how.batch_size == "auto" else []
        if odd and self.kind not in ("language", "vision_language"):
            raise ValueError(
                f"scoring.{odd[0]} is a setting of models that speak in tokens, which a {self.kind} does not"
            )
        return self

    @model_validator(mode="after")
    def _code_of_transformers(self) -> "Config":
        if self.models.trust_remote_code and self.kind == "diffusion":
            raise ValueError("models.trust_remote_code is about models of transformers; no code of a pipeline is run")
        return self

    @model_validator(mode="after")
    def _sources_of_kind(self) -> "Config":
        models, allowed = self.models, {"function": ("language",), "recorded": ("language", "vision_language")}
        allowed["module"] = ("classifier", "regression")
        for name, kinds in allowed.items():
            given = [m.name for m in models.unlearned if getattr(m, name)]
            if name == "module" and models.module:
                given.append("models")
            if given and self.kind not in kinds:
                wanted = " or ".join(kinds)
                raise ValueError(f"{given[0]}: a `{name}` is a subject of {wanted} runs, not of {self.kind} ones")
        return self

    @model_validator(mode="after")
    def _layers_of_speakers(self) -> "Config":
        asked = self.scoring.layers or self.scoring.pooling != "prompt"
        if asked and self.kind not in ("language", "vision_language"):
            raise ValueError(f"scoring.layers and pooling are about tokens, and a {self.kind} is read at its head")
        return self

    @model_validator(mode="after")
    def _concepts_of_speakers(self) -> "Config":
        if self.data.concepts and self.kind not in ("language", "vision_language"):
            raise ValueError(f"data.concepts lie in MLPs of models that speak in tokens, which a {self.kind} does not")
        return self

    @model_validator(mode="after")
    def _further_splits_of_kind(self) -> "Config":
        named, drawn = set(self.data.further), {"images", "real"}
        read = {"language": named - drawn, "vision_language": named - drawn, "diffusion": drawn}
        if wrong := sorted(named - read.get(self.kind, set())):
            raise ValueError(f"data.further: no metric reads {', '.join(wrong)} of a {self.kind}")
        return self

    @model_validator(mode="after")
    def _judge_of_drawings(self) -> "Config":
        if self.models.judge.paths and self.kind != "diffusion":
            raise ValueError(
                f"models.judge says what is in images that a generator draws, which a {self.kind} does not"
            )
        return self

    @model_validator(mode="after")
    def _known_models(self) -> "Config":
        wanted = self.interventions
        if wanted is None:
            return self
        weighty = (m for m in self.models.unlearned if m.path and not (m.module or self.models.module))
        known = [model.name for model in (weighty if wanted.changes else self.models.unlearned)]
        if unknown := [name for name in wanted.models if name not in known]:
            fit = " and is a checkpoint whose weights can be changed" if wanted.changes else ""
            raise ValueError(f"interventions: no unlearned model is called {', '.join(unknown)}{fit}")
        if not (wanted.changes or wanted.probes):
            raise ValueError(
                "interventions: say which, `relearn: {steps: 10}`, `quantise: {bits: 4}`, `ask: [paraphrase]` or all"
            )
        if unfit := [name for name in wanted.given if name not in POSSIBLE[self.kind]]:
            raise ValueError(
                f"interventions: {unfit[0]} is nothing for kind {self.kind}; possible are "
                f"{', '.join(POSSIBLE[self.kind]) or 'none'}"
            )
        if not self.models.retrained:
            raise ValueError("interventions need a retrained model: without one nobody knows what comes back by itself")
        return self
