"""How much of a text comes out when a model is given its beginning, at every length of the beginning."""

from collections.abc import Sequence

import numpy as np


def extraction_likelihood(text: Sequence[int], continuations: Sequence[Sequence[int]], n: int = 10) -> float:
    r"""EL_n of a text: mean overlap of n-grams between what the model writes and what came.

    $\frac{1}{T - n} \sum_{t=1}^{T-n} \mathrm{overlap}_n(f(x_{<t}), x_{\ge t})$, where overlap is the share of the
    written n-grams that occur in the rest of the text. Jang et al.'s memorisation accuracy of the same text is
    `kernels.exact_memorization` from its second token on.

    Args:
        text: tokens of the text, T of them, more than `n`.
        continuations: what the model writes (greedily) after the first t tokens, for t = 1 to T - n: T - n lists.
        n: length of the n-grams.

    Returns:
        Within [0, 1]; lower = less extractable. Not 0 for unseen text: compare with the mean over never-seen texts,
        which is Jang et al.'s threshold of "forgotten". A continuation shorter than `n` counts 0.

    Raises:
        ValueError: if the text has no more than `n` tokens, or there is not one continuation a prefix.

    Source: Jang et al. (2023), Knowledge unlearning for mitigating privacy risks, arXiv 2210.01504, eqs. 2-3.

    >>> extraction_likelihood([1, 2, 3, 4], [[2, 3, 9], [3, 4]], n=2)
    0.75
    """
    n_prefixes = len(text) - n
    if n < 1 or n_prefixes < 1:
        raise ValueError(
            f"`text` must have more than `n` tokens and `n` be at least 1, but they are {len(text)} and {n}"
        )
    if len(continuations) != n_prefixes:
        raise ValueError(
            f"`continuations` must hold one for each of {n_prefixes} prefixes, but hold {len(continuations)}"
        )
    return float(np.mean([_overlap(written, text[t:], n) for t, written in enumerate(continuations, start=1)]))


def _overlap(written: Sequence[int], rest: Sequence[int], n: int) -> float:
    came = set(_n_grams(rest, n))
    found = [gram in came for gram in _n_grams(written, n)]
    return sum(found) / len(found) if found else 0.0


def _n_grams(tokens: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
