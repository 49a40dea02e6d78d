"""Which checkpoints a run is about."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vestige.evaluation.config.base import Strict

Imported = Annotated[str, Field(pattern=r"^(|[A-Za-z_][\w.]*:[A-Za-z_]\w*|:.+)$")]
"""Code of yours, `package.module:name`; found where Python finds modules, so installed or named by PYTHONPATH."""


class Spent(Strict):
    """What it took to unlearn, as its user measured it; the report shows which models no other beats in everything.

    Attributes:
        seconds: wall time of the method, without scoring.
        memory: largest memory in use, bytes.
        storage: what must be kept for it (checkpoints, gradients, data), bytes.
    """

    seconds: Annotated[float, Field(ge=0)] | None = None
    memory: Annotated[float, Field(ge=0)] | None = None
    storage: Annotated[float, Field(ge=0)] | None = None


class Unlearned(Strict):
    """One unlearned model: a checkpoint, or a function, or outputs that were recorded elsewhere.

    Attributes:
        name: unique in tables.
        path: folder or hub id; where a `module` is built, a safetensors file or a folder with such files.
        function: in place of `path`, `package.module:name` of a function from token ids and the mask of real tokens,
            (n, time) each, to logits (n, time, n_classes): unlearning at inference time, a filter, a gate. It has the
            original's tokenizer (`vestige.scoring.callables.from_callable` says more).
        recorded: in place of `path`, a folder of answers that were recorded elsewhere, `SPLIT.jsonl` for each split
            (`vestige.scoring.recorded.read_texts` says what it holds).
        module: as `Models.module`, of this model.
        settings: keyword arguments of `function` or `module`, plain values.
        files: further ones that are paths, relative to this file; what lies there is part of the model's fingerprint.
        method: what made it; checkpoints of one method are resampled together. Default: the name.
        strength: strength or snapshot of the method.
        ensemble: further checkpoints by the same method at the same strength, from other seeds. With it they are an
            ensemble, for U-LiRA, KLoM and the NeurIPS 2023 score.
        spent: seconds, memory and storage that it took to make, if known.
    """

    name: str
    path: str = ""
    function: Imported = ""
    recorded: str = ""
    module: Imported = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    method: str = ""
    strength: str = ""
    ensemble: tuple[str, ...] = ()
    spent: Spent = Spent()

    @model_validator(mode="after")
    def _one_source(self) -> "Unlearned":
        found = [name for name in ("path", "function", "recorded") if getattr(self, name)]
        if len(found) != 1:
            said = " and ".join(found) or "none of them"
            raise ValueError(f"{self.name}: give `path` or `function` or `recorded`, found {said}")
        if self.module and not self.path:
            raise ValueError(
                f"{self.name}: `module` says what the weights at `path` are put into, and there is no `path`"
            )
        if (self.settings or self.files) and not (self.function or self.module):
            raise ValueError(f"{self.name}: `settings` and `files` are arguments of a `function` or `module`")
        if self.ensemble and (self.module or not self.path):
            raise ValueError(f"{self.name}: an `ensemble` is of checkpoints, or weights of `models.module`")
        _refuse_odd_values(self.name, self.settings)
        return self


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


class Judge(Strict):
    """Image classifiers that say what is in the images of a generator; each a folder or hub id.

    Attributes:
        concept: its classes are the concepts of the forgotten one's domain, such as styles. For UA and IRA.
        other_concept: likewise of the other domain, such as objects. For CRA.
        features: the input of its last layer are the features of FID; an Inception's are those of published FIDs.
    """

    concept: str = ""
    other_concept: str = ""
    features: str = ""

    @property
    def paths(self) -> dict[str, str]:
        """Those that are given."""
        return {name: path for name, path in self.model_dump().items() if path}


class Models(Strict):
    """The checkpoints.

    Attributes:
        original: before unlearning.
        retrained: trained without the forget set, one a seed; the first judges, the second is the distance's. Without
            any, only what needs none is computed.
        unlearned: the checkpoints to be judged.
        controls: planted controls, may be empty.
        module: for classifiers of your own, `package.module:name` of a function that returns a `torch.nn.Module`, or
            what `vestige.scoring.classifier.from_module` makes of one; every `path` is then weights of it, in
            safetensors.
        settings: keyword arguments of `module`, plain values.
        allow_code: whether a `function` or `module` may be imported and run.
        trust_remote_code: whether Python code that lies in a checkpoint may run here. Read it first: it can do whatever
            you can. Off by default, and a checkpoint that needs it is then refused.
        retrained_ensemble: further retrained models, which only ensembles are compared with: they cost three forward
            passes a model, where each of `retrained` is compared with every model in every way.
        shadows: models trained like the original with and without the forget and the holdout examples, for LiRA; two at
            least that saw each of the two, and two that did not.
        judge: of an image generator, classifiers of what it draws after the prompts of `data.further: {images: FILE}`.
    """

    original: str
    retrained: tuple[str, ...] = ()
    unlearned: tuple[Unlearned, ...] = ()
    controls: tuple[Control, ...] = ()
    module: Imported = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    allow_code: bool = False
    trust_remote_code: bool = False
    retrained_ensemble: tuple[str, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    judge: Judge = Judge()

    @model_validator(mode="after")
    def _allowed_code(self) -> "Models":
        named = [code for m in self.unlearned for code in (m.function, m.module)]
        if not self.allow_code and (found := [code for code in (self.module, *named) if code and code[0] != ":"]):
            raise ValueError(f"{found[0]} is code that a run would execute: say `allow_code: true` if it may")
        if self.settings and not self.module:
            raise ValueError("`settings` are arguments of a `module`, and none is given")
        _refuse_odd_values("models", self.settings)
        return self

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


def _refuse_odd_values(name: str, settings: dict[str, Any]) -> None:
    try:
        json.dumps(settings, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: `settings` must be plain values (numbers, text, lists), but {error}") from None
