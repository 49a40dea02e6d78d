"""Models that are changed on purpose."""

from typing import Annotated

from pydantic import Field

from vestige.evaluation.config.base import Strict


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
        bits: 8, or fewer down to 2; plain symmetric rounding, one scale a channel.
    """

    bits: Annotated[int, Field(ge=2, le=8)] = 4

    @property
    def words(self) -> str:
        """How tables call it."""
        return f"{self.bits} bits"


class Interventions(Strict):
    """Does what was forgotten come back? These models, and a retrained one, are changed on purpose and scored again.

    Attributes:
        models: names of unlearned models.
        relearn: training on the forget answers, if wanted.
        quantise: rounding of the weights, if wanted.
    """

    models: Annotated[tuple[str, ...], Field(min_length=1)]
    relearn: Relearn | None = None
    quantise: Quantise | None = None

    @property
    def changes(self) -> tuple[Relearn | Quantise, ...]:
        """Those that are wanted."""
        return tuple(change for change in (self.relearn, self.quantise) if change is not None)
