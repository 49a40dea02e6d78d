"""Models that answer about images: the language scorer on answers whose prompts hold image tokens.

An image stands among the tokens as placeholders, as many as the model's processor makes of it. Pixels are made when a
batch is, and by the processor, so that no more than a batch of them is held.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from vestige.data.examples import Example
from vestige.scoring.checkpoints import CheckpointError, checkpoint_folder, processor_folder
from vestige.scoring.images import open_image
from vestige.scoring.language import generate as generate
from vestige.scoring.language import score as score
from vestige.scoring.loading import as_checkpoint_error, load_pretrained, quiet_transformers
from vestige.scoring.spans import SpanRule
from vestige.scoring.spans import encode as encode_text

# Its processor puts the images in front of the text by itself; all others replace a placeholder in the text.
_IMAGES_FIRST = ("Blip2Processor",)
_TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
_KEPT = 16
# A placeholder is nothing that a model can say. Finite, so that no statistic of a row meets 0 times infinity.
_UNSAYABLE = -1e4


@dataclass(frozen=True)
class VisionLanguageModel:
    """A model of images and text ready to be scored.

    Attributes:
        model: in eval mode.
        processor: makes pixels of images and tokens of text.
        name: how messages call it.
        folder: where it was loaded from.
    """

    model: Any
    processor: Any
    name: str
    folder: Path

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.model.parameters()).device

    @cached_property
    def pixels(self) -> Callable[[tuple[Any, ...]], dict[str, torch.Tensor]]:
        """From images to what the model is given of them. The last are kept: samples of one prompt share them."""
        return lru_cache(maxsize=_KEPT)(partial(_pixels, self))


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """Token ids of one example, image placeholders among them; those from `start` on are scored.

    Attributes:
        ids: prompt, answer and end token.
        start: index of the first scored token, at least 1.
        images: paths or encoded bytes, in the order of their placeholders.
        model: whose processor makes pixels of them.
    """

    ids: tuple[int, ...]
    start: int
    images: tuple[Any, ...] = ()
    model: VisionLanguageModel = field(kw_only=True, repr=False)

    @property
    def n_scored(self) -> int:
        """Number of scored tokens."""
        return len(self.ids) - self.start

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """What the model is given beside the ids: pixels, made when they are asked for, and which tokens are images."""
        given = dict(self.model.pixels(self.images)) if self.images else {}
        if getattr(self.model.processor, "return_mm_token_type_ids", False):
            kinds = self.model.processor.create_mm_token_type_ids([list(self.ids)])
            given["mm_token_type_ids"] = torch.tensor(kinds)
        return given


def load(
    checkpoint: str | Path,
    *,
    name: str = "",
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> VisionLanguageModel:
    """A model that answers about images, with its processor, from a local folder or a hub id.

    Loaded as `AutoModelForImageTextToText` and `AutoProcessor` (LLaVA, BLIP-2 with a decoder, Qwen-VL and others);
    only safetensors are read. Placeholders of images are given a probability of 0
    as answers: a model that said one could not be read back.

    Args:
        checkpoint: folder, or hub id of a model that is cached or can be fetched.
        name: how messages call it, default the folder's name.
        dtype: "auto" (as stored), "float32", "bfloat16" or "float16".
        device: default a GPU where there is one, else the CPU.
        trust_remote_code: whether code that comes with the checkpoint may run here.

    Raises:
        CheckpointError: if it is missing, incomplete, no such model, or an encoder-decoder.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder, trusted = checkpoint_folder(checkpoint, code=trust_remote_code), {"trust_remote_code": trust_remote_code}
    name = name or folder.name
    model = load_pretrained(AutoModelForImageTextToText, folder, name=name, dtype=dtype, device=device, **trusted)
    if model.config.get_text_config().is_encoder_decoder:
        raise CheckpointError(f"{name} has an encoder-decoder as its language model; answers of decoders only are read")
    with quiet_transformers(), as_checkpoint_error(name, folder):
        processor = AutoProcessor.from_pretrained(processor_folder(folder), local_files_only=True, **trusted)
    speaker = _Blip2 if model.config.model_type == "blip-2" else _Speaker
    return VisionLanguageModel(speaker(model, _placeholders(model, processor)), processor, name, folder)


def encode(model: VisionLanguageModel, example: Example, rule: SpanRule | None = None) -> Item:
    """Tokens of an example, its image's placeholders included, and where its answer begins among them.

    The image goes in front of the prompt, unless the prompt says where (with the processor's image token). Everything
    else is as for texts, see `spans.encode`.

    Args:
        model: the model.
        example: the example; it may have no image.
        rule: how; default through the processor's chat template where it has one, raw where it has none.

    Raises:
        SpanError: as `spans.encode`.
        ImageError: if the image cannot be read.
    """
    rule = rule or SpanRule(chat=bool(_template(model.processor)))
    images = (example.image,) if example.image else ()
    text = _ImageText(model, images, example.prompt)
    shown = example if rule.chat else replace(example, prompt=text.raw_prompt())
    sequence = encode_text(text, shown, rule)
    return Item(sequence.ids, sequence.start, images, model=model)


class _ImageText:
    """A tokenizer whose texts hold images: what `spans.encode` asks of one, with placeholders in the ids."""

    def __init__(self, model: VisionLanguageModel, images: Sequence[Any], prompt: str) -> None:
        self._processor, self._tokenizer = model.processor, model.tokenizer
        self._images = [open_image(image) for image in images]
        self._prompt, self._placeholder = prompt, str(model.processor.image_token)
        self._placeholders = _placeholders(model.model, model.processor)
        self._images_first = type(model.processor).__name__ in _IMAGES_FIRST
        self.chat_template = _template(model.processor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: str, **options: Any) -> Mapping[str, Any]:
        if not (self._images and self._holds_images(text)):
            return dict(self._tokenizer(text, **options))
        said = self._processor(text=[text], images=self._images, **options)
        ids, offsets = said["input_ids"][0], said["offset_mapping"][0]
        # The processor wrote more placeholders into the text; counted from its end, everything is where it was.
        longer = max(0, next((end for _, end in reversed(offsets) if end), 0) - len(text))
        moved = [(max(0, begin - longer), max(0, end - longer)) for begin, end in offsets]
        return {
            "input_ids": ids,
            "offset_mapping": [(0, 0) if i in self._placeholders else m for i, m in zip(ids, moved, strict=True)],
            "special_tokens_mask": said["special_tokens_mask"][0],
        }

    def apply_chat_template(self, messages: Sequence[Mapping[str, str]], *, tokenize: bool, **options: Any) -> str:
        """The messages as text, images in front of the user's words unless these hold them."""
        turns = [{"role": turn["role"], "content": self._content(turn)} for turn in messages]
        return str(self._processor.apply_chat_template(turns, tokenize=tokenize, **options))

    def raw_prompt(self) -> str:
        """The prompt with a placeholder for each image, without a template."""
        if self._images_first or self._placeholder in self._prompt:
            return self._prompt
        return "".join(f"{self._placeholder}\n" for _ in self._images) + self._prompt

    def _content(self, turn: Mapping[str, str]) -> list[dict[str, str]]:
        shown = turn["role"] == "user" and self._placeholder not in turn["content"]
        images = [{"type": "image"} for _ in self._images] if shown else []
        return [*images, {"type": "text", "text": turn["content"]}]

    def _holds_images(self, text: str) -> bool:
        """Whether this is the text that the images belong to; the answer alone, for one, is not."""
        return text.startswith(self._prompt.rstrip()) if self._images_first else self._placeholder in text


class _Speaker:
    """A model of images and text as the token scorer calls it; all its attributes are the model's."""

    def __init__(self, inner: Any, placeholders: set[int]) -> None:
        self.inner, self._placeholders = inner, torch.tensor(sorted(placeholders))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __call__(self, *args: Any, **given: Any) -> Any:
        """As `forward`."""
        return self.forward(*args, **given)

    def forward(
        self, input_ids: torch.Tensor, past_key_values: Any = None, logits_to_keep: int = 0, **given: Any
    ) -> Any:
        """The model's output, placeholders of images being nothing that it can say."""
        if past_key_values is None or past_key_values.get_seq_length() == 0:
            self._forget_positions()
        out = self._answer(input_ids, past_key_values=past_key_values, logits_to_keep=logits_to_keep, **given)
        out.logits = out.logits.index_fill(-1, self._placeholders.to(out.logits.device), _UNSAYABLE)
        return out

    def _answer(self, input_ids: torch.Tensor, **given: Any) -> Any:
        return self.inner(input_ids=input_ids, **given)

    def _forget_positions(self) -> None:
        """Models with positions in space keep those of the last images for the steps after; a new text has its own."""
        for module in self.inner.modules():
            if getattr(module, "rope_deltas", None) is not None:
                module.rope_deltas = None


class _Blip2(_Speaker):
    """BLIP-2 called as others are: a step of generation needs no image, and the output is the language model's own."""

    def get_decoder(self) -> Any:
        """The language model without its head."""
        return self.inner.language_model.get_decoder()

    def _answer(self, input_ids: torch.Tensor, pixel_values: torch.Tensor | None = None, **given: Any) -> Any:
        read = self.inner.get_input_embeddings()(input_ids)
        if pixel_values is not None:
            seen = self.inner.get_image_features(pixel_values, return_dict=True).pooler_output
            read = read.masked_scatter(self.inner.get_placeholder_mask(input_ids, read), seen.to(read))
        return self.inner.language_model(inputs_embeds=read, **given)


@torch.inference_mode(False)  # or the tensors that are kept could never be part of a gradient
def _pixels(model: VisionLanguageModel, images: Sequence[Any]) -> dict[str, torch.Tensor]:
    opened = [open_image(image) for image in images]
    text = str(model.processor.image_token) * len(opened)
    given = model.processor(text=[text], images=opened, return_tensors="pt")
    dtype = model.model.dtype
    tensors = {name: torch.as_tensor(values) for name, values in given.items() if name not in _TEXT_INPUTS}
    return {name: values.to(dtype) if values.is_floating_point() else values for name, values in tensors.items()}


def _placeholders(model: Any, processor: Any) -> set[int]:
    """Ids that stand for a part of an image, a video or a sound."""
    kinds = ("image", "video", "audio")
    ids = [id_ for kind in kinds for id_ in getattr(processor, f"{kind}_token_ids", ())]
    ids += [getattr(model.config, f"{kind}_token_id", None) for kind in kinds]
    return {int(id_) for id_ in ids if id_ is not None}


def _template(processor: Any) -> str | None:
    return getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None)
