"""Which checkpoints a run is about."""

from typing import Literal

from pydantic import model_validator

from vestige.evaluation.config.base import Strict


class Unlearned(Strict):
    """One unlearned checkpoint.

    Attributes:
        name: unique in tables.
        path: folder or hub id.
        method: what made it; checkpoints of one method are resampled together. Default: the name.
        strength: strength or snapshot of the method.
        ensemble: further checkpoints by the same method at the same strength, from other seeds. With it they are an
            ensemble, for U-LiRA, KLoM and the NeurIPS 2023 score.
    """

    name: str
    path: str
    method: str = ""
    strength: str = ""
    ensemble: tuple[str, ...] = ()


class Control(Strict):
    """A model whose verdict is known beforehand.

    Attributes:
        name: unique in tables.
        path: folder or hub id.
        expected: "different", or "not different".
    """

    name: str
    path: str
    expected: Literal["different", "not different"]


class Shadow(Strict):
    """One shadow model of a likelihood-ratio attack.

    Attributes:
        path: folder or hub id.
        saw: which of the splits "forget" and "holdout" it was trained on.
    """

    path: str
    saw: tuple[Literal["forget", "holdout"], ...] = ()


class Models(Strict):
    """The checkpoints.

    Attributes:
        original: before unlearning.
        retrained: trained without the forget set, one a seed; the first judges, the second is the distance's. Without
            any, only what needs none is computed.
        unlearned: the checkpoints to be judged.
        controls: planted controls, may be empty.
        trust_remote_code: whether Python code that lies in a checkpoint may run here. Read it first: it can do whatever
            you can. Off by default, and a checkpoint that needs it is then refused.
        retrained_ensemble: further retrained models, which only ensembles are compared with: they cost three forward
            passes a model, where each of `retrained` is compared with every model in every way.
        shadows: models trained like the original with and without the forget and the holdout examples, for LiRA; two at
            least that saw each of the two, and two that did not.
    """

    original: str
    retrained: tuple[str, ...] = ()
    unlearned: tuple[Unlearned, ...] = ()
    controls: tuple[Control, ...] = ()
    trust_remote_code: bool = False
    retrained_ensemble: tuple[str, ...] = ()
    shadows: tuple[Shadow, ...] = ()

    @model_validator(mode="after")
    def _unique_names(self) -> "Models":
        own = ["original", *(f"retrained-{i}" for i in range(len(self.retrained)))]
        # The original may be listed among the controls that must come out different; it always is one.
        controls = [m.name for m in self.controls if (m.name, m.path) != ("original", self.original)]
        names = [*own, *(m.name for m in self.unlearned), *controls]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            taken = "original and retrained-0, -1, ... are taken"
            raise ValueError(f"names must be unique ({taken}), found twice: {', '.join(repeated)}")
        return self
