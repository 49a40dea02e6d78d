"""Images that a generator draws, as classifiers see them: which concept is in them, and features of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from vestige.data.examples import Example
from vestige.scoring import classifier
from vestige.scoring.diffusion import Columns, Item, key_of, label_of
from vestige.scoring.diffusion_loading import DiffusionModel
from vestige.scoring.diffusion_sampling import generate
from vestige.scoring.forward import ScoringError
from vestige.scoring.samples import Sampling

Judges = Mapping[str, classifier.Classifier]
"""Loaded classifiers: "concept" of the forgotten one's domain, "other_concept" of the other, "features" of any."""


def judged_drawings(
    model: DiffusionModel, judges: Judges, examples: Sequence[Example], sampling: Sampling
) -> dict[str, NDArray[np.generic]]:
    """Images drawn after each example's prompt, a batch at a time, and what the judges see in them.

    Args:
        model: the generator.
        judges: the classifiers.
        examples: prompts with the concept asked for as `label`, and that of the other domain as `cluster`.
        sampling: number of images an example, seed and batch size.

    Returns:
        What `judged` returns of all images, example after example. The images are not kept.
    """
    size, found = max(1, sampling.sequences // sampling.n_samples), list[dict[str, NDArray[np.generic]]]()
    for begin in range(0, len(examples), size):
        some = examples[begin : begin + size]
        drawn = _drawn(model, some, sampling)
        asked = [example for example in some for _ in range(sampling.n_samples)]
        found.append(judged(judges, [_png(image) for image in drawn], asked, sampling.sequences))
    return {name: np.concatenate([columns[name] for columns in found]) for name in found[0]}


def judged(
    judges: Judges, images: Sequence[str | bytes], examples: Sequence[Example], batch_size: int
) -> dict[str, NDArray[np.generic]]:
    """What the judges see in images.

    Args:
        judges: the classifiers; "features" gives the input of its last layer.
        images: paths or encoded bytes.
        examples: what was asked for, one an image.
        batch_size: images a forward pass.

    Returns:
        `concept` and `asked_concept` (n_images,) int32, the class that "concept" sees and the one of its classes that
        is the example's `label`; likewise `other_concept` and `asked_other_concept`, by the example's `cluster`;
        `features` (n_images, n_features) float32. Only what there is a judge for.

    Raises:
        ScoringError: if what was asked for is no class of its judge, or no features can be found in one.
    """
    columns: dict[str, NDArray[np.generic]] = {}
    for name, judge in judges.items():
        if name == "features":
            items = [classifier.Item(0.0, image=image) for image in images]
            columns[name] = _features(judge, items, batch_size)
            continue
        wanted = [example.label if name == "concept" else example.cluster for example in examples]
        shown = [
            replace(example, image=image, label=concept, answer="")
            for example, image, concept in zip(examples, images, wanted, strict=True)
        ]
        said = classifier.score(judge, [classifier.encode(judge, each) for each in shown], batch_size=batch_size)
        columns[name] = said["class_log_prob"].argmax(axis=1).astype(np.int32)
        columns[f"asked_{name}"] = said["token_id"]
    return columns


def _features(judge: classifier.Classifier, items: Sequence[classifier.Item], batch_size: int) -> NDArray[np.generic]:
    said = classifier.score(judge, items, batch_size=batch_size)
    if "hidden" not in said:
        raise ScoringError(f"{judge.name}: the input of its last layer, which are its features, cannot be found")
    return said["hidden"]


def _drawn(model: DiffusionModel, examples: Sequence[Example], sampling: Sampling) -> NDArray[np.uint8]:
    items = [_item(model, example) for example in examples]
    found: Columns = generate(
        model, items, n_samples=sampling.n_samples, batch_size=sampling.sequences, seed=sampling.seed
    )
    return np.asarray(found["image"], np.uint8)


def _item(model: DiffusionModel, example: Example) -> Item:
    """What is drawn for; there is no image yet."""
    return Item(np.empty(0, np.float32), example.prompt, label_of(model, example), key_of(example.id))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, format="PNG")
    return buffer.getvalue()
