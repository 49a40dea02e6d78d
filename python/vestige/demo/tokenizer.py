"""A byte-level BPE tokenizer, trained on lines of the grammar."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from vestige.demo.authors import Row

END, PAD = "<|end|>", "<|pad|>"


def train_tokenizer(lines: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Trains a tokenizer whose tokens never straddle the space before an answer.

    Args:
        lines: training text.
        vocab_size: number of tokens, bytes and the two special ones included.

    Returns:
        A tokenizer that Transformers can save and load; it adds no tokens of its own.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)


def check_boundary(tokenizer: PreTrainedTokenizerFast, row: Row) -> None:
    """Checks that prompt and answer, tokenized apart, are the text tokenized whole.

    Raises:
        ValueError: if a token straddles the two, so that the answer's likelihood would not be defined.
    """
    whole = tokenizer.encode(row.prompt + row.answer)
    apart = tokenizer.encode(row.prompt) + tokenizer.encode(row.answer)
    if whole != apart:
        raise ValueError(f"row {row.id!r}: a token straddles prompt and answer; an answer must begin with a space")
