"""Settings of the forward passes."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vestige.evaluation.config.base import Strict
from vestige.scoring.outputs import Pooling
from vestige.scoring.spans import Policy, SpanRule

Further = Literal[
    "alternatives",
    "texts",
    "gradients",
    "steps",
    "lens",
    "patched",
    "untrained",
    "prefixes",
    "leakage",
    "probes",
    "orders",
    "rephrased",
    "restored",
]


class Drawing(Strict):
    """How answers are sampled.

    Attributes:
        temperature: logits are divided by it; 0 takes the likeliest token, with one sample a prompt.
        top_p: drawn is from the likeliest tokens that together reach this mass.
        top_k: and from no more than so many; 0 for all.
    """

    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0


class Scoring(Strict):
    """Everything that a stored number depends on.

    Attributes:
        dtype: "auto" (as stored), "float32", "bfloat16" or "float16"; sums are float32 or better in any case.
        batch_size: sequences a forward pass. "auto", for models that speak in tokens, begins with 64 and is halved by
            what does not fit in memory: the last bits of scores then depend on the machine, and the report says so.
        max_tokens: tokens a forward pass with padding, at most, of models that speak in tokens; default no cap.
        samples: sampled answers a prompt, for FADE.
        prompts: forget prompts that are sampled after, spread evenly over the file.
        max_new_tokens: a sample that has not ended by then is cut there.
        layer: which of the hidden states AD compares: 0 is the embeddings, -1 the last, after the final norm.
        layers: further ones; AD and CKA at each of them are in `tables/inside.csv` and in the report's further numbers.
        pooling: what is kept of them: their mean over the tokens of the prompt ("prompt") or of the answer ("answer"),
            or the state behind the prompt's last token ("last_prompt").
        sampling: `temperature`, `top_p` and `top_k` of the samples. Only the default, the models' own distributions, is
            good for FADE, which is left out for any other.
        seed: of the samples.
        spans: how the answer is found among the tokens, `docs/scoring-spans.md`; default `whole-offset`.
        chat: whether prompt and answer are turns in the chat template; default only for models of images and text.
        system: system turn of examples without one of their own; only with `chat`.
        examples_per_shard: how finely the store is cut; default so that no column of a shard takes more than 256 MiB.
        further: what only some metrics read: "alternatives" (other answers that the data name: truth ratio, options),
            "texts" (greedy answers: ROUGE and its like), "gradients" (a backward pass an example), "steps" (exact
            divergences from the retrained models at each step of both models' samples), "lens" (candidates that are
            read off up to ten layers: lens@20, change@20), "patched" (the original once a layer with each model's
            states in it, of `data.further: {entities: FILE}` for UDS, else of the forget answers for UDS-answer),
            "untrained" (of a classifier: forget examples under one with random weights, for ZRF),
            "prefixes" (greedy continuations of every prefix of the forget answers: EL), "leakage" (ROUGE-L recall of
            the right answer in each sample), "probes" (rewordings of the forget questions: KR), "orders" and
            "rephrased" (the holdout's options in other orders, its answers in other words: has it been seen?),
            "restored" (of an image generator: forget and holdout images noised and restored, TMI).
        top_k: likeliest tokens of each step that are kept, with the mass of all others; 0 for none.
        full: precision in which the whole distribution of each step is kept, "float32", "float16" or "bfloat16".
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = 64
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    samples: Annotated[int, Field(ge=1)] = 8
    prompts: Annotated[int, Field(ge=1)] = 40
    max_new_tokens: Annotated[int, Field(ge=1)] = 32
    layer: int = -2
    layers: tuple[int, ...] = ()
    pooling: Pooling = "prompt"
    sampling: Drawing = Drawing()
    seed: int = 0
    spans: Policy | None = None
    chat: bool | None = None
    system: str = ""
    examples_per_shard: Annotated[int, Field(ge=1)] | None = None
    further: tuple[Further, ...] = ("alternatives",)
    top_k: Annotated[int, Field(ge=0)] = 0
    full: Literal["", "float32", "float16", "bfloat16"] = ""

    @model_validator(mode="after")
    def _layers_once(self) -> "Scoring":
        if len({self.layer, *self.layers}) != 1 + len(self.layers):
            raise ValueError(f"`layer` and `layers` must name each layer once, found {self.layer} and {self.layers}")
        return self

    @model_validator(mode="after")
    def _system_needs_chat(self) -> "Scoring":
        if self.system and not self.chat:
            raise ValueError("a system turn needs the chat template: set `chat: true`")
        return self

    @model_validator(mode="after")
    def _one_greedy_sample(self) -> "Scoring":
        if self.sampling.temperature == 0 and self.samples != 1:
            raise ValueError("with `temperature: 0` all samples of a prompt are the same: set `samples: 1`")
        return self

    @property
    def rule(self) -> SpanRule | None:
        """How an example becomes tokens; None for the kind's own way."""
        if self.spans is None and self.chat is None:
            return None
        return SpanRule(self.spans or "whole-offset", bool(self.chat), self.system)
