"""The kinds of model that can be scored: one table, one module a kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from numpy.typing import NDArray

from vestige.data.examples import Example
from vestige.scoring import classifier, diffusion, diffusion_loading, diffusion_sampling, language, vision_language
from vestige.scoring.loading import load_language_model
from vestige.scoring.samples import Sampling, rescore_tokens, sample_tokens
from vestige.scoring.spans import SpanRule, encode
from vestige.store import Split

Columns = dict[str, NDArray[Any]]

# Which of them makes pixels of an image, and how, changes the last digits of every score.
_OF_IMAGES = ("pillow", "torchvision")
_MODULES = {"pillow": "PIL"}


@dataclass(frozen=True)
class Kind:
    """What can be done with the models of one kind.

    Attributes:
        load: from a folder or hub id, with `name`, `dtype` and `device`, to a model; of transformers' also with
            `trust_remote_code`.
        encode: from a model and an example to what is scored; kinds that score answers in tokens also take a
            `SpanRule`, how the answer is found among them.
        score: from a model and encoded examples, with `batch_size`, `layer` and `reduce`, to columns of the store.
            `reduce` is called with the row numbers of a batch, the number of rows in all, and the batch's raw outputs.
        compare: from matching rows of two models' raw outputs (the reference's second) to columns of distances; None
            where the outputs are no distributions or noise, and are compared as they are stored.
        sample: from a model and encoded examples to its samples as columns; None where the kind has none.
        rescore: from a model, encoded examples and another model's stored samples to what it says of these.
        cross: in place of it for a kind whose two models must be asked together: from a model, a retrained one, encoded
            examples and the stored samples of both to columns.
        packages: those that numbers depend on, beside torch and transformers.
        constants: further settings that numbers depend on and that no configuration changes.
    """

    load: Callable[..., Any]
    encode: Callable[..., Any]
    score: Callable[..., Columns]
    compare: Callable[[NDArray[Any], NDArray[Any]], Columns] | None
    sample: Callable[[Any, Sequence[Any], Sampling], Columns] | None = None
    rescore: Callable[[Any, Sequence[Any], Split, Sampling], NDArray[Any]] | None = None
    cross: Callable[[Any, Any, Sequence[Any], Split, Split, Sampling], Columns] | None = None
    packages: tuple[str, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, str]:
        """Package to its version; "" where it is not installed."""
        return {name: version(name) if find_spec(_MODULES.get(name, name)) else "" for name in self.packages}


def _encode_text(model: Any, example: Example, rule: SpanRule | None = None) -> Any:
    return encode(model.tokenizer, example, rule)


KINDS: dict[str, Kind] = {
    "language": Kind(
        load=load_language_model,
        encode=_encode_text,
        score=language.score,
        compare=language.divergence_columns,
        sample=partial(sample_tokens, language.generate, language.score),
        rescore=partial(rescore_tokens, language.score),
    ),
    "vision_language": Kind(
        load=vision_language.load,
        encode=vision_language.encode,
        score=language.score,
        compare=language.divergence_columns,
        sample=partial(sample_tokens, language.generate, language.score),
        rescore=partial(rescore_tokens, language.score),
        packages=_OF_IMAGES,
    ),
    "classifier": Kind(
        load=classifier.load,
        encode=classifier.encode,
        score=classifier.score,
        compare=language.divergence_columns,
        packages=(*_OF_IMAGES, "timm"),
    ),
    "regression": Kind(
        load=classifier.load,
        encode=classifier.encode,
        score=classifier.regress,
        compare=None,
        packages=(*_OF_IMAGES, "timm"),
    ),
    "diffusion": Kind(
        load=diffusion_loading.load,
        encode=diffusion.encode,
        score=diffusion.score,
        compare=diffusion.squared_gap,
        sample=diffusion_sampling.sample_images,
        cross=diffusion_sampling.cross_images,
        packages=(*_OF_IMAGES, "diffusers"),
        constants=diffusion_sampling.CONSTANTS,
    ),
}
"""Kinds by the name that a configuration gives them."""
