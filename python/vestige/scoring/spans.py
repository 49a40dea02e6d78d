"""Where the answer is among the tokens."""

from dataclasses import dataclass
from typing import Any

from vestige.data.examples import Example


class SpanError(ValueError):
    """An answer that cannot be found among the tokens, and why."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Token ids of one text; those from `start` on are scored.

    Attributes:
        ids: prompt, answer and end-of-sequence token.
        start: index of the first scored token, at least 1.
    """

    ids: tuple[int, ...]
    start: int

    @property
    def n_scored(self) -> int:
        """Number of scored tokens."""
        return len(self.ids) - self.start


def encode(tokenizer: Any, example: Example) -> Sequence:
    """Tokens of `prompt + answer`, tokenised as one text, the answer found by character offsets.

    The end-of-sequence token is appended where the tokenizer has one and did not add it, and is scored: a model must
    know where an answer ends. Special tokens that the tokenizer puts in front (BOS) are kept and never scored.

    Raises:
        SpanError: if no token belongs to the answer, a token lies across the boundary, the prompt ends with a space, or
            it has no token.
    """
    if example.prompt.endswith(" "):
        raise SpanError(
            f"example {example.id!r}: the prompt ends with a space, which most tokenizers join to the first word of "
            "the answer; move the space to the front of the answer"
        )
    encoding = tokenizer(example.prompt + example.answer, return_offsets_mapping=True)
    ids, offsets = list(encoding["input_ids"]), encoding["offset_mapping"]
    if tokenizer.eos_token_id is not None and ids[-1:] == [tokenizer.eos_token_id]:
        ids, offsets = ids[:-1], offsets[:-1]
    boundary = len(example.prompt)
    start = next((i for i, (begin, end) in enumerate(offsets) if end > boundary and end > begin), None)
    if start is None:
        raise SpanError(f"example {example.id!r}: the answer {example.answer!r} has no token of its own")
    if offsets[start][0] < boundary:
        token = example.prompt[offsets[start][0] :] + example.answer[: offsets[start][1] - boundary]
        raise SpanError(
            f"example {example.id!r}: token {token!r} lies across the end of the prompt, so it belongs to neither "
            "side; begin the answer with a space (not the prompt's end) or change where they are split"
        )
    if start == 0:
        raise SpanError(f"example {example.id!r}: the prompt has no token, so the first answer token cannot be scored")
    if tokenizer.eos_token_id is not None:
        ids.append(tokenizer.eos_token_id)
    return Sequence(tuple(ids), start)


def encode_prompt(tokenizer: Any, example: Example) -> tuple[int, ...]:
    """The prompt's tokens exactly as they stand in front of the scored answer."""
    sequence = encode(tokenizer, example)
    return sequence.ids[: sequence.start]
