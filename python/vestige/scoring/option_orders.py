"""A multiple-choice question with its options in other orders than the one it was published in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import factorial
from string import ascii_uppercase

import numpy as np

from vestige.data.examples import Example

N_ORDERS = 8
"""Orders that are tried, the published one among them; fewer where there are no more."""


def option_orders(n_options: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Different orders of a question's options, the published one first.

    Args:
        n_options: number of options, at least 2.
        seed: of the others, which are drawn at random; the same for every question, so that models and questions are
            compared in the same orders.

    Returns:
        At most `N_ORDERS` permutations of 0 to n_options - 1.

    >>> option_orders(2, seed=0)
    ((0, 1), (1, 0))
    """
    draw, found = np.random.default_rng(seed), {tuple(range(n_options)): None}
    while len(found) < min(N_ORDERS, factorial(n_options)):
        found[tuple(draw.permutation(n_options).tolist())] = None
    return tuple(found)


def can_be_ordered(examples: Sequence[Example]) -> bool:
    """Whether all examples have as many options, two or more, and these are texts, not the letters of a list."""
    counts = {len(example.options) for example in examples}
    texts = (option.strip() for example in examples for option in example.options)
    return len(counts) == 1 and counts != {0} and counts != {1} and all(len(text) > 1 for text in texts)


def in_every_order(example: Example, seed: int) -> Iterator[Example]:
    r"""The example with the list of its options as the answer, in each of `option_orders`.

    Where the prompt holds all options in their order, they change places in it, and the prompt ends before the first;
    where it does not, they are listed after it as A., B. and so on.

    >>> [e.answer for e in in_every_order(Example("1", "Red?", " yes", "c", options=(" yes", " no")), seed=0)]
    ['\nA. yes\nB. no', '\nA. no\nB. yes']
    """
    options = [option.strip() for option in example.options]
    question, between = _pieces(example.prompt, options)
    for order in option_orders(len(options), seed):
        words = (options[i] for i in order)
        listed = "".join(f"{before}{option}" for before, option in zip(between, words, strict=False))
        yield replace(example, prompt=question, answer=listed + between[-1], options=())


def _pieces(prompt: str, options: Sequence[str]) -> tuple[str, list[str]]:
    """The words before the list of options, and those before each of them and behind the last."""
    spans = _places(prompt, options)
    question = prompt[: spans[0][0]].rstrip() if spans else ""
    if not question:
        return prompt, [*(f"\n{letter}. " for letter in ascii_uppercase[: len(options)]), ""]
    # A tokenizer wants blanks with the word that they stand before.
    ends, begins = [len(question), *(end for _, end in spans)], [*(begin for begin, _ in spans), len(prompt)]
    return question, [prompt[end:begin] for end, begin in zip(ends, begins, strict=True)]


def _places(prompt: str, options: Sequence[str]) -> list[tuple[int, int]]:
    """Where the last list of these options in this order stands; empty where there is none."""
    found: list[tuple[int, int]] = []
    for option in reversed(options):
        before = prompt[: found[0][0]] if found else prompt
        places = [match.span() for match in re.finditer(rf"(?<!\w){re.escape(option)}(?!\w)", before)]
        if not places:
            return []
        found.insert(0, places[-1])
    return found
