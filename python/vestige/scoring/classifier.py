"""Classifiers of images or texts: the whole distribution over classes, margins and penultimate features.

A classifier's answer is one token of a vocabulary of classes, so the columns that metrics read of a language model mean
the same here. Heads with one output are regressions: predictions and errors instead of probabilities.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vestige import kernels
from vestige.data.examples import Example
from vestige.kernels.likelihood import TokenStatistic
from vestige.scoring.checkpoints import (
    CheckpointError,
    base_folder,
    checkpoint_folder,
    first_line,
    processor_folder,
    read_json,
    tokenizer_folder,
)
from vestige.scoring.images import open_image
from vestige.scoring.language import Reduce, ScoringError
from vestige.scoring.loading import as_checkpoint_error, load_pretrained, quiet_transformers, refuse_incomplete

Inputs = dict[str, torch.Tensor]
_STATISTICS: tuple[TokenStatistic, ...] = (
    "token_log_prob",
    "logsumexp",
    "entropy",
    "rank",
    "log_prob_variance",
    "argmax_hit",
)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One example as a classifier takes it; images are opened when their batch is.

    Attributes:
        label: index of the class, or the value to predict.
        image: path, or array (uint8 where the model has a processor, else whatever the model takes).
        ids: token ids of a text; empty for an image.
    """

    label: float
    image: Any = None
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Classifier:
    """A classifier ready to be scored.

    Attributes:
        model: in eval mode.
        name: how messages call it.
        folder: where it was loaded from; empty for a module given in Python.
        call: from a batch of inputs on the model's device to logits (n_items, n_classes).
        collate: from items to a batch of inputs.
        head: the layer whose input the features are; None for the last linear layer or convolution that is called.
        classes: name to index.
        tokenizer: of a text classifier.
        processor: class that turns images into pixels; empty where there is none.
        batch_limit: the most items that a forward pass can take; 0 is no limit.
    """

    model: Any
    name: str
    folder: Path
    call: Callable[[Inputs], torch.Tensor]
    collate: Callable[[Sequence[Item]], Inputs]
    head: torch.nn.Module | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    tokenizer: Any = None
    processor: str = ""
    batch_limit: int = 0

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.model.parameters()).device


@dataclass(frozen=True)
class _Batch:
    """Items of one forward pass: which, their logits, and the features where they could be found."""

    index: NDArray[np.int64]
    logits: NDArray[np.float32]
    features: NDArray[np.float32] | None


def load(
    checkpoint: str | Path,
    *,
    name: str = "",
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Classifier:
    """A classifier from a local folder or a hub id, by what its `config.json` says it is.

    Read are models of images (`AutoModelForImageClassification` with its image processor), models of texts
    (`AutoModelForSequenceClassification` with its tokenizer), and timm's (extra `timm`; weights in
    `model.safetensors`, as `timm.models.save_for_hf` writes them). Anything else is a module: see `from_module`.

    Args:
        checkpoint: folder, or hub id of a model that is cached or can be fetched.
        name: how messages call it, default the folder's name.
        dtype: "auto" (as stored), "float32", "bfloat16" or "float16".
        device: default a GPU where there is one, else the CPU.
        trust_remote_code: whether code that comes with a checkpoint of transformers may run here.

    Raises:
        CheckpointError: if it is missing, incomplete or not a classifier.
    """
    folder = checkpoint_folder(checkpoint, code=trust_remote_code)
    name = name or folder.name
    config = read_json((base_folder(folder) or folder) / "config.json")
    kinds = [str(kind).split("For")[-1] for kind in config.get("architectures") or ()]
    with quiet_transformers(), as_checkpoint_error(name, folder):
        if "architecture" in config and "model_type" not in config:
            return _load_timm(folder, name, dtype, device)
        if any(kind.startswith("ImageClassification") for kind in kinds):
            return _load_image_model(folder, name, dtype, device, trust_remote_code)
        if "SequenceClassification" in kinds:
            return _load_text_model(folder, name, dtype, device, trust_remote_code)
    raise CheckpointError(
        f"{name} ({folder}) is no classifier: its config.json names {config.get('architectures')}, not an architecture "
        "for image or sequence classification; give a model of your own to `vestige.scoring.classifier.from_module`"
    )


def from_module(
    module: torch.nn.Module,
    *,
    forward: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
    prepare: Callable[[Any], torch.Tensor] = torch.as_tensor,
    head: torch.nn.Module | None = None,
    classes: Sequence[str] = (),
    name: str = "module",
) -> Classifier:
    """Any module as a classifier.

    Args:
        module: scored where it lies; put into eval mode.
        forward: from the module and a stacked batch of inputs to logits (n_items, n_classes); default calls it.
        prepare: from an item's `image` (whatever it is) to the input of one item. In a run that is the path of the
            example's image, or its prompt where it has none.
        head: the layer whose input the features are; default the last linear layer or convolution that is called.
        classes: names of the classes in the order of the logits; without them labels are indices.
        name: how messages call it.

    >>> import numpy as np, torch
    >>> model = from_module(torch.nn.Linear(2, 2))
    >>> columns = score(model, [Item(0, np.ones(2, np.float32))], batch_size=1)
    >>> columns["class_log_prob"].shape, columns["hidden"].tolist()
    ((1, 2), [[1.0, 1.0]])
    """
    call = forward or (lambda model, inputs: model(inputs))

    def collate(items: Sequence[Item]) -> Inputs:
        return {"inputs": torch.stack([_prepared(prepare, item.image, name) for item in items])}

    return Classifier(
        model=module.eval(),
        name=name,
        folder=Path(),
        call=lambda inputs: call(module, inputs["inputs"]),
        collate=collate,
        head=head,
        classes={label: i for i, label in enumerate(classes)},
    )


def encode(model: Classifier, example: Example) -> Item:
    """An example as the model takes it: its image, or the tokens of its prompt, and its label.

    The label is the example's `label`, else its answer: the name of a class of the model, or an index.

    Raises:
        ScoringError: if it has no image or the label is no class of the model.
    """
    label = _label(model, example)
    if model.tokenizer is not None:
        return Item(label, ids=tuple(model.tokenizer(example.prompt)["input_ids"]))
    if model.processor and not example.image:
        raise ScoringError(f"{model.name} classifies images, but example {example.id!r} has none (`image`)")
    return Item(label, image=example.image or example.prompt)


def score(
    model: Classifier, items: Sequence[Item], *, batch_size: int, layer: int = -2, reduce: Reduce | None = None
) -> dict[str, NDArray[Any]]:
    """What the model says of each item.

    Args:
        model: the model.
        items: as `encode` makes them.
        batch_size: items a forward pass; texts of like length go together.
        layer: only -2, the penultimate layer's output, can be had.
        reduce: called with the row numbers of every batch, the number of rows in all, and the batch's logits
            (n_rows_of_batch, n_classes); a head with one output has no such distribution and is refused.

    Returns:
        Columns by name. As for a language model whose answers are one token each: `offsets` (n_items + 1,) int64,
        `token_id` (n_items,) int32, the labels, `token_log_prob`, `logsumexp`, `entropy`, `max_log_prob` (n_items,)
        float32 in nats, `rank` (n_items,) int32 (1 is likeliest), `log_prob_variance` float32 in nats squared,
        `argmax_hit` bool. Also `class_log_prob` (n_items, n_classes) float32, the log-softmax, `margin` (n_items,)
        float32, the label's log-odds in nats, and `hidden` (n_items, n_features) float32, the input of the head where
        that can be found.
        With one output: `offsets`, `prediction`, `target`, `error` (prediction - target) float32, and `hidden`.

    Raises:
        ScoringError: if there is no item, an output is NaN, a label is no class, or a text is longer than the context.
    """
    if not items:
        raise ScoringError(f"{model.name}: there are no items to score")
    if layer != -2:
        raise ScoringError(f"{model.name}: of a classifier only layer -2 (penultimate) can be kept, not {layer}")
    columns: dict[str, NDArray[Any]] = {"offsets": np.arange(len(items) + 1, dtype=np.int64)}
    labels = np.array([item.label for item in items])
    for batch in _batches(model, items, batch_size):
        _refuse_nan(model, batch)
        if reduce is not None and batch.logits.shape[1] == 1:
            raise ScoringError(
                f"{model.name} has one output, so it gives a number and no distribution over classes; score it with "
                "`kind: regression`"
            )
        values = _columns(model, batch.logits, labels[batch.index])
        if batch.features is not None:
            values["hidden"] = batch.features
        for column, value in values.items():
            columns.setdefault(column, np.empty((len(items), *value.shape[1:]), value.dtype))[batch.index] = value
        if reduce is not None:
            reduce(batch.index, len(items), batch.logits)
    return columns


def regress(
    model: Classifier, items: Sequence[Item], *, batch_size: int, layer: int = -2, reduce: Reduce | None = None
) -> dict[str, NDArray[Any]]:
    """`score` of a head with one output.

    Raises:
        ScoringError: as `score`, or if the head has several outputs.
    """
    columns = score(model, items, batch_size=batch_size, layer=layer, reduce=reduce)
    if "prediction" not in columns:
        raise ScoringError(
            f"{model.name} has several outputs, so it is no regression; score it with `kind: classifier`"
        )
    return columns


def _load_image_model(folder: Path, name: str, dtype: str, device: str | None, trusted: bool) -> Classifier:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = _pretrained(AutoModelForImageClassification, folder, name, dtype, device, trusted)
    processor = AutoImageProcessor.from_pretrained(
        processor_folder(folder), local_files_only=True, trust_remote_code=trusted
    )
    colours = "L" if getattr(model.config, "num_channels", 3) == 1 else "RGB"

    def collate(items: Sequence[Item]) -> Inputs:
        images = [open_image(item.image, colours=colours) for item in items]
        return {"pixel_values": processor(images=images, return_tensors="pt")["pixel_values"]}

    return Classifier(
        model=model,
        name=name,
        folder=folder,
        call=lambda inputs: model(**inputs).logits,
        collate=collate,
        classes={label: i for i, label in model.config.id2label.items()},
        processor=type(processor).__name__,
    )


def _load_text_model(folder: Path, name: str, dtype: str, device: str | None, trusted: bool) -> Classifier:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = _pretrained(AutoModelForSequenceClassification, folder, name, dtype, device, trusted)
    tokenizer = AutoTokenizer.from_pretrained(
        tokenizer_folder(folder), local_files_only=True, trust_remote_code=trusted
    )
    padding = model.config.get_text_config().pad_token_id
    return Classifier(
        model=model,
        name=name,
        folder=folder,
        call=lambda inputs: model(**inputs).logits,
        collate=lambda items: _padded([item.ids for item in items], padding or 0),
        classes={label: i for i, label in model.config.id2label.items()},
        tokenizer=tokenizer,
        # Without a padding token, models that read the last token cannot tell where a padded text ends.
        batch_limit=1 if padding is None else 0,
    )


def _load_timm(folder: Path, name: str, dtype: str, device: str | None) -> Classifier:
    try:
        import timm
    except ImportError:
        raise CheckpointError(f"{name} is a timm model; install the extra: pip install 'vestige[timm]'") from None
    from safetensors.torch import load_file

    model = timm.create_model(f"local-dir:{folder}", pretrained=False)
    found = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    refuse_incomplete(name, {"missing_keys": found.missing_keys, "mismatched_keys": ()})
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device, None if dtype == "auto" else getattr(torch, dtype)).eval()
    settings = timm.data.resolve_data_config(model.pretrained_cfg, model=model)
    transform = timm.data.create_transform(**settings, is_training=False)
    colours = "L" if settings["input_size"][0] == 1 else "RGB"

    def collate(items: Sequence[Item]) -> Inputs:
        return {"x": torch.stack([transform(open_image(item.image, colours=colours)) for item in items])}

    names = model.pretrained_cfg.get("label_names") or ()
    return Classifier(
        model=model,
        name=name,
        folder=folder,
        call=lambda inputs: model(**inputs),
        collate=collate,
        classes={str(label): i for i, label in enumerate(names)},
        processor="timm.data.create_transform",
    )


def _pretrained(auto: Any, folder: Path, name: str, dtype: str, device: str | None, trusted: bool) -> Any:
    model = load_pretrained(auto, folder, name=name, dtype=dtype, device=device, trust_remote_code=trusted)
    if model.config.problem_type == "multi_label_classification":
        raise CheckpointError(f"{name} has several labels an example, whose probabilities are no distribution")
    return model


def _label(model: Classifier, example: Example) -> float:
    given = example.answer.strip() if example.label in (None, "") else example.label
    if isinstance(given, str) and given in model.classes:
        return model.classes[given]
    try:
        return float(str(given))
    except ValueError:
        known = ", ".join(list(model.classes)[:5]) or "none by name"
        raise ScoringError(
            f"example {example.id!r}: label {given!r} is no class of {model.name} (it has {known}"
            f"{', ...' if len(model.classes) > 5 else ''}); give a class's name or its index"
        ) from None


def _prepared(prepare: Callable[[Any], torch.Tensor], given: Any, name: str) -> torch.Tensor:
    try:
        return prepare(given)
    except Exception as error:  # code of the user's own: anything may go wrong in it
        raise ScoringError(
            f"{name}: `prepare` makes no input of {given!r:.80} ({type(error).__name__}: {first_line(error)})"
        ) from error


def _padded(texts: Sequence[tuple[int, ...]], padding: int) -> Inputs:
    longest = max(map(len, texts))
    ids = [(*text, *[padding] * (longest - len(text))) for text in texts]
    attention = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(attention)}


def _batches(model: Classifier, items: Sequence[Item], batch_size: int) -> Iterator[_Batch]:
    _refuse_overlong(model, max(len(item.ids) for item in items))
    order = np.array(sorted(range(len(items)), key=lambda i: (len(items[i].ids), i)))
    size = min(batch_size, model.batch_limit or batch_size)
    for begin in range(0, len(order), size):
        index = order[begin : begin + size]
        yield _forward(model, index, model.collate([items[i] for i in index]))


@torch.inference_mode()
def _forward(model: Classifier, index: NDArray[np.int64], inputs: Inputs) -> _Batch:
    seen: dict[str, torch.Tensor] = {}

    def receive(_: Any, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.update(features=given[0], output=output)

    heads = [model.head] if model.head is not None else _possible_heads(model.model)
    hooks = [module.register_forward_hook(receive) for module in heads]
    try:
        logits = model.call(on_device(model, inputs))
    finally:
        for hook in hooks:
            hook.remove()
    if logits.ndim != 2 or len(logits) != len(index):
        raise ScoringError(
            f"{model.name} returned {tuple(logits.shape)} for {len(index)} items; logits must be (n_items, n_classes)"
        )
    features = _features(seen, logits)
    return _Batch(index, _array(logits), None if features is None else _array(features))


def _possible_heads(model: Any) -> list[torch.nn.Module]:
    """Layers of which the last that is called is the head; of an adapted one the whole, not its parts."""

    def is_layer(name: str, layer: torch.nn.Module) -> bool:
        adapted, part = hasattr(layer, "base_layer"), "lora_" in name or name.endswith(".base_layer")
        return (adapted or isinstance(layer, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d)) and not part

    return [layer for name, layer in model.named_modules() if is_layer(name, layer)]


def on_device(model: Classifier, inputs: Inputs) -> Inputs:
    """A batch on the model's device, in its precision."""
    return {name: _moved(model, values) for name, values in inputs.items()}


def _moved(model: Classifier, values: torch.Tensor) -> torch.Tensor:
    """On the model's device, in its precision; from pinned memory, so that the copy does not hold the batch up."""
    if model.device.type == "cuda":
        values = values.pin_memory()
    dtype = next(model.model.parameters()).dtype if values.is_floating_point() else values.dtype
    return values.to(model.device, dtype, non_blocking=True)


def _features(seen: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor | None:
    """The head's input, one row an item; of a head that is applied to every token, at the token that was read."""
    if not seen:
        return None
    features, output = seen["features"], seen["output"]
    if output.ndim == 3:
        matches = (output == logits[:, None]).all(-1)
        found = matches.any(1).all()
        return features[torch.arange(len(logits)), matches.int().argmax(1)] if found else None
    same = len(features) == len(logits) and output.flatten(1).shape == logits.shape
    return features.flatten(1) if same else None


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()


def _columns(model: Classifier, logits: NDArray[np.float32], labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if logits.shape[1] == 1:
        prediction, target = logits[:, 0], labels.astype(np.float32)
        return {"prediction": prediction, "target": target, "error": prediction - target}
    ids = _class_ids(model, labels, logits.shape[1])
    found = kernels.token_statistics(logits, ids, _STATISTICS)
    columns: dict[str, NDArray[Any]] = {name: values.astype(np.float32) for name, values in found.items()}
    return {
        **columns,
        "token_id": ids,
        "rank": found["rank"].astype(np.int32),
        "argmax_hit": found["argmax_hit"] == 1,
        "max_log_prob": (logits.max(axis=1) - found["logsumexp"]).astype(np.float32),
        "class_log_prob": (logits - found["logsumexp"][:, None]).astype(np.float32),
        "margin": kernels.logit_margins(logits, ids).astype(np.float32),
    }


def _class_ids(model: Classifier, labels: NDArray[Any], n_classes: int) -> NDArray[np.int32]:
    ids = labels.astype(np.int32)
    if wrong := labels[(ids != labels) | (ids < 0) | (ids >= n_classes)].tolist():
        raise ScoringError(f"{model.name} has the classes 0 to {n_classes - 1}, but a label is {wrong[0]:g}")
    return ids


def _refuse_nan(model: Classifier, batch: _Batch) -> None:
    bad = np.any(np.isnan(batch.logits) | np.isposinf(batch.logits), axis=1)
    if bad.any():
        raise ScoringError(
            f"{model.name}: NaN or infinite logits for {int(bad.sum())} of {len(batch.index)} items, first item number "
            f"{int(batch.index[bad].min()) + 1}; the checkpoint is broken or its precision too low (try dtype: float32)"
        )


def _refuse_overlong(model: Classifier, longest: int) -> None:
    if model.tokenizer is None:
        return
    limits = (getattr(model.model.config, "max_position_embeddings", None), model.tokenizer.model_max_length)
    context = min(limit for limit in limits if limit is not None)
    if longest > context:
        raise ScoringError(
            f"{model.name}: a text has {longest} tokens but the context holds {context}; shorten or drop it"
        )
