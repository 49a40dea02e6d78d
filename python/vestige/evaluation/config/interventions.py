"""Models that are changed on purpose, and questions that are put otherwise."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, field_validator, model_validator

from vestige.evaluation.config.base import Strict
from vestige.interventions.probes import BUILT, TEMPLATES, refuse_no_prompt


class Relearn(Strict):
    """Some steps of training on every second cluster of the forget examples.

    Attributes:
        steps: number of AdamW steps.
        lr: learning rate, constant.
        batch_size: forget examples a step.
    """

    steps: Annotated[int, Field(ge=1)]
    lr: Annotated[float, Field(gt=0)] = 2e-5
    batch_size: Annotated[int, Field(ge=1)] = 32

    @property
    def words(self) -> str:
        """How tables call it."""
        return f"relearn {self.steps}"


class Quantise(Strict):
    """Weights in few bits.

    Attributes:
        bits: 8, or fewer down to 2.
        format: "nf4" for the 4 bits of QLoRA, by torchao (`vestige[quantised]`); default integers, symmetric, one scale
            a channel.
    """

    bits: Annotated[int, Field(ge=2, le=8)] = 4
    format: Literal["nf4"] | None = None

    @property
    def words(self) -> str:
        """How tables call it."""
        return "NF4" if self.format else f"{self.bits} bits"

    @model_validator(mode="after")
    def _four_bits(self) -> "Quantise":
        if self.format and self.bits != 4:
            raise ValueError(f"nf4 has 4 bits, not {self.bits}; leave `format` out for integers")
        return self


class Noise(Strict):
    """Noise on the weights.

    Attributes:
        sd: its standard deviation as a share of each matrix's own.
    """

    sd: Annotated[float, Field(gt=0)]

    @property
    def words(self) -> str:
        """How tables call it."""
        return f"noise {self.sd:g}"


class Prune(Strict):
    """The smallest weights set to 0.

    Attributes:
        share: of the weights of all matrices together, embeddings and output layer left out.
    """

    share: Annotated[float, Field(gt=0, lt=1)]

    @property
    def words(self) -> str:
        """How tables call it."""
        return f"prune {100 * self.share:g} %"


class Merge(Strict):
    """An adapter's update added to the weights of its base, in the precision that they are stored in."""

    @property
    def words(self) -> str:
        """How tables call it."""
        return "merged"


Change = Relearn | Quantise | Noise | Prune | Merge
"""One way to change a model."""

Part = TypeVar("Part")


def _listed(given: Any) -> Any:
    """One as a list of one; what is left out as none."""
    if given is None:
        return ()
    return given if isinstance(given, list | tuple) else (given,)


Several = Annotated[tuple[Part, ...], BeforeValidator(_listed)]
"""One, or a list."""


_OF_WEIGHTS = ("quantise", "noise", "prune")
_OF_QUESTIONS = ("ask", "templates", "rewritten")
POSSIBLE = {
    "language": ("relearn", *_OF_WEIGHTS, "merge", *_OF_QUESTIONS),
    "vision_language": ("relearn", *_OF_WEIGHTS, "merge", *_OF_QUESTIONS),
    "classifier": ("relearn", *_OF_WEIGHTS, "merge"),
    "regression": (),
    "diffusion": _OF_WEIGHTS,
}
"""Kind of model to what can be done with it."""


class Interventions(Strict):
    """Does what was forgotten come back? These models, and a retrained one, are changed or asked otherwise.

    Attributes:
        models: names of unlearned models.
        relearn: training on the forget answers, if wanted; one, or a list of several.
        quantise: rounding of the weights, if wanted; one, or a list of several.
        noise: noise on the weights, likewise.
        prune: small weights set to 0, likewise.
        merge: whether adapters are merged into their bases; only for models that are adapters.
        ask: probes that are made of the forget examples: "prefix injection", "affirmative suffix", "role play",
            "multiple choice", "in context" (after other facts of the same cluster), "reintroduction" (after the fact
            itself; gives FA-context), or "paraphrase" (the data's split of that name).
        templates: probes of your own, name to a text with `{prompt}` in it.
        rewritten: probes written by hand or by another model, name to a file with other prompts, answers or images
            ("indirect", "negation", "synonym", "reverse query", "cross-lingual", "rephrased image", ...), see
            `docs/own-checkpoints.md`.
    """

    models: Annotated[tuple[str, ...], Field(min_length=1)]
    relearn: Several[Relearn] = ()
    quantise: Several[Quantise] = ()
    noise: Several[Noise] = ()
    prune: Several[Prune] = ()
    merge: bool = False
    ask: tuple[str, ...] = ()
    templates: Mapping[str, str] = Field(default_factory=dict)
    rewritten: Mapping[str, str] = Field(default_factory=dict)

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the fields that say what is done."""
        return tuple(name for name in POSSIBLE["language"] if getattr(self, name))

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of weights that are wanted."""
        merged = (Merge(),) if self.merge else ()
        return (*self.relearn, *self.quantise, *self.noise, *self.prune, *merged)

    @property
    def probes(self) -> tuple[str, ...]:
        """Names of the probes that are wanted."""
        return (*self.ask, *self.templates, *self.rewritten)

    @field_validator("ask")
    @classmethod
    def _known(cls, ask: tuple[str, ...]) -> tuple[str, ...]:
        known = ("paraphrase", *TEMPLATES, *BUILT)
        if unknown := [name for name in ask if name not in known]:
            raise ValueError(
                f"no probe {unknown[0]!r} is made of the examples, these are: {', '.join(known)}; give your own as "
                "`templates` (texts with {prompt}) or `rewritten` (files)"
            )
        return ask

    @field_validator("templates")
    @classmethod
    def _with_a_prompt(cls, templates: Mapping[str, str]) -> Mapping[str, str]:
        for name, template in templates.items():
            refuse_no_prompt(template, f"templates.{name}")
        return templates

    @model_validator(mode="after")
    def _told_apart(self) -> "Interventions":
        names = [*self.models, *(change.words for change in self.changes), *self.probes]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"each model, change and probe is named once, found twice: {', '.join(repeated)}")
        return self
