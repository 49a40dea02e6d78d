"""One forward pass over a batch of any token model: rows of logits come a chunk at a time, never as a whole table."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

CHUNK_BYTES = 64 * 2**20
"""Size of the float32 logits that are held at once. Part of what stored numbers depend on, so not a setting."""

_PER_TOKEN = ("token_type_ids", "mm_token_type_ids")

Pool = Callable[[torch.Tensor], torch.Tensor]
"""From hidden states (n_items, longest, n_features) to what is kept of them, one row an item."""


class ScoringError(RuntimeError):
    """A model whose output cannot be used, and why."""


class TokenModel(Protocol):
    """A loaded model that speaks in tokens, of any kind."""

    @property
    def model(self) -> Any:
        """The model itself, in eval mode."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def device(self) -> torch.device:
        """Where the model lives."""


class TokenItem(Protocol):
    """What a token model is given: ids, of which those from `start` on are scored.

    An item may also have `inputs`, a mapping to further arguments of the model (pixel values, image sizes): tensors,
    joined with those of the other items along their first axis, from the items that have them; other axes are filled up
    with zeros to the longest. Of these `token_type_ids` and `mm_token_type_ids`, shape (1, n), are cut or filled to the
    batch's length. `inputs` is read once a forward pass, so it may make them then.
    """

    @property
    def ids(self) -> tuple[int, ...]:
        """Token ids."""

    @property
    def start(self) -> int:
        """Index of the first scored token, at least 1."""


@dataclass(frozen=True)
class Forward:
    """What one forward pass gave.

    Attributes:
        features: what was kept of each wanted layer.
        chunks: rows of logits (n_rows_of_chunk, n_classes), float32, on the model's device: those that predict the
            scored tokens, item after item. They are computed as they are asked for, once.
    """

    features: tuple[torch.Tensor, ...]
    chunks: Iterator[torch.Tensor]


@torch.inference_mode()
def forward(
    model: TokenModel, items: Sequence[TokenItem], layers: Sequence[int] = (), pool: Pool | None = None
) -> Forward:
    """Run a model once over right-padded items.

    The model's own code computes the logits, so whatever it does to them (a soft cap, a scale) is done. Its decoder
    hands on only as many rows as take `CHUNK_BYTES` of logits; for every further chunk the model is called again, and
    its decoder, which is not run again, answers with the next rows. A model without a decoder that can be found this
    way is asked for all rows at once.

    Args:
        model: its `model` takes `input_ids` and `attention_mask`, and has `logits` in its output.
        items: see `TokenItem`.
        layers: indices into its hidden states; 0 is the embeddings, -1 the last, after the final norm.
        pool: what is kept of each of them; everything if None.

    Raises:
        ScoringError: if there is no such layer.
    """
    inner, arguments = model.model, padded(items, model.device)
    rows, n_rows = to_device(_predicting(items), model.device), rows_a_chunk(model)
    longest = arguments["input_ids"].shape[1]
    wanted = {"output_hidden_states": list(layers)} if layers else {}
    decoder = inner.get_decoder() if hasattr(inner, "get_decoder") else inner
    relay = _Relay(decoder.forward, rows, n_rows, longest)
    if decoder is not inner:
        with answering(decoder, relay):
            out = inner(**arguments, **wanted)
        if relay.n_calls == 1:
            features = _features(model, relay.hidden_states or out.hidden_states, layers, pool, longest)
            relay.hidden_states, relay.first = None, out.logits
            return Forward(features, _relayed(inner, decoder, relay, padded(items[:1], model.device)))
    out = inner(**arguments, **wanted)
    chunks = out.logits[:, -longest:].flatten(0, 1)[rows].split(n_rows)
    return Forward(_features(model, out.hidden_states, layers, pool, longest), (chunk.float() for chunk in chunks))


def padded(items: Sequence[TokenItem], device: torch.device) -> dict[str, Any]:
    """Arguments of the model for a batch: right-padded ids, the mask of real tokens, further inputs, no cache."""
    longest = max(len(item.ids) for item in items)
    ids = torch.tensor([(*item.ids, *[0] * (longest - len(item.ids))) for item in items])
    lengths = torch.tensor([[len(item.ids)] for item in items])
    arguments = {"input_ids": ids, "attention_mask": (torch.arange(longest) < lengths).long()}
    arguments |= _joined([further_inputs(item) for item in items], longest)
    return {name: to_device(values, device) for name, values in arguments.items()} | {
        "use_cache": False,
        "return_dict": True,
    }


def refuse_overlong(model: TokenModel, longest: int) -> None:
    """Refuse what is longer than the model's context, where it has a fixed one.

    Raises:
        ScoringError: naming both lengths.
    """
    context = getattr(model.model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and longest > context:
        raise ScoringError(
            f"{model.name}: an example (or a prompt with its sample) may have {longest} tokens but the context holds "
            f"{context}; shorten or drop it, or lower max_new_tokens"
        )


def rows_a_chunk(model: TokenModel) -> int:
    """Rows of float32 logits that fit `CHUNK_BYTES`."""
    return max(1, int(CHUNK_BYTES // (4 * model.model.config.get_text_config().vocab_size)))


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same on the device; the copy to a GPU goes on while the CPU does the next thing."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


@dataclass
class _Relay:
    """Stands in for a decoder: runs it at the first call, keeps its scored rows, and hands on the next few a call."""

    run: Callable[..., Any]
    rows: torch.Tensor
    n_rows: int
    longest: int
    n_calls: int = 0
    hidden_states: Any = None
    first: Any = None
    _kind: Any = None
    _kept: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._kept is None:
            said = self.run(*args, **kwargs)
            if getattr(said, "last_hidden_state", None) is None:
                return said
            self._kind, self.hidden_states = type(said), getattr(said, "hidden_states", None)
            self._kept = said.last_hidden_state[:, -self.longest :].flatten(0, 1)[self.rows]
        begin, self.n_calls = self.n_calls * self.n_rows, self.n_calls + 1
        return self._kind(last_hidden_state=self._kept[None, begin : begin + self.n_rows])

    def pop_first(self) -> torch.Tensor:
        first, self.first = self.first, None
        return first

    @property
    def has_more(self) -> bool:
        return self.n_calls * self.n_rows < len(self.rows)


@contextmanager
def answering(decoder: Any, answer: Callable[..., Any]) -> Iterator[None]:
    """The decoder does not run: what it is asked is answered by a function."""
    own = decoder.__dict__.get("forward")  # where a hook of accelerate sits
    decoder.forward = answer
    try:
        yield
    finally:
        del decoder.forward
        if own is not None:
            decoder.forward = own


@torch.inference_mode()
def _relayed(model: Any, decoder: Any, relay: _Relay, arguments: dict[str, Any]) -> Iterator[torch.Tensor]:
    """Chunk after chunk; no name here holds one while the next is computed."""
    yield relay.pop_first()[0].float()
    while relay.has_more:
        yield _next_chunk(model, decoder, relay, arguments)


def _next_chunk(model: Any, decoder: Any, relay: _Relay, arguments: dict[str, Any]) -> torch.Tensor:
    with answering(decoder, relay):
        return model(**arguments).logits[0].float()


def _predicting(items: Sequence[TokenItem]) -> torch.Tensor:
    """Where, in the flattened batch, the rows are that predict scored tokens."""
    longest = max(len(item.ids) for item in items)
    return torch.cat([torch.arange(i.start - 1, len(i.ids) - 1) + n * longest for n, i in enumerate(items)])


def _features(
    model: TokenModel, states: Any, layers: Sequence[int], pool: Pool | None, longest: int
) -> tuple[torch.Tensor, ...]:
    for layer in layers:
        if not -len(states) <= layer < len(states):
            raise ScoringError(f"{model.name}: there is no layer {layer}; it has {len(states)} hidden states")
    wanted = [states[layer][:, -longest:] for layer in layers]
    return tuple(pool(values) if pool else values for values in wanted)


def further_inputs(item: TokenItem) -> Mapping[str, torch.Tensor]:
    """An item's `inputs`, where it has any; an error while they are made is not taken for there being none."""
    return {} if inspect.getattr_static(item, "inputs", None) is None else item.inputs  # type: ignore[attr-defined]


def _joined(given: Sequence[Mapping[str, torch.Tensor]], longest: int) -> dict[str, torch.Tensor]:
    """Further inputs of all items, one after the other along the first axis; zeros fill up the other axes."""
    found = {}
    for name in dict.fromkeys(name for inputs in given for name in inputs):
        values = [inputs[name] for inputs in given if name in inputs]
        if name in _PER_TOKEN:
            none = values[0].new_zeros(1, longest)
            values = [_fitted(inputs.get(name, none), longest) for inputs in given]
        shape = [max(sizes) for sizes in zip(*(v.shape[1:] for v in values), strict=True)]
        found[name] = torch.cat([_filled(v, shape) for v in values])
    return found


def _filled(values: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    if list(values.shape[1:]) == list(shape):
        return values
    larger = values.new_zeros(len(values), *shape)
    larger[tuple(slice(n) for n in values.shape)] = values
    return larger


def _fitted(values: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(values[:, :length], (0, max(0, length - values.shape[1])))
