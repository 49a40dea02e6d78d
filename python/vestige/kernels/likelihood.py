"""Likelihoods of rows of scores, in nats."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import integers, table
from vestige.kernels.divergence import Space

TokenStatistic = Literal[
    "token_log_prob", "logsumexp", "entropy", "rank", "argmax_hit", "log_prob_mean", "log_prob_variance"
]


def token_log_probs(logits: ArrayLike, token_ids: ArrayLike) -> NDArray[np.float64]:
    """Log-probability that each row of logits gives to its token.

    `logits[i, token_ids[i]] - logsumexp(logits[i])`, without writing the log-softmax down.

    Args:
        logits: unnormalised scores, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        token_ids: class of each row, shape (n_rows,), integer; -100 marks a row without a target.

    Returns:
        One log-probability per row, shape (n_rows,) or (), float64, in nats, within [-inf, 0].
        Higher is likelier. NaN where the id is -100 or the row holds a NaN.

    Raises:
        ValueError: if there is not one id a row, or an id is neither a class nor -100.
        TypeError: if `token_ids` are not integers.

    Source: defined here; -100 as in PyTorch's `cross_entropy`.

    >>> token_log_probs([[0.0, 0.0], [0.0, 0.0]], [1, -100]).round(6).tolist()
    [-0.693147, nan]
    """
    return token_statistics(logits, token_ids, ("token_log_prob",))["token_log_prob"]


def token_statistics(
    logits: ArrayLike,
    token_ids: ArrayLike,
    kinds: Sequence[TokenStatistic] = ("token_log_prob", "logsumexp", "entropy", "argmax_hit"),
) -> dict[str, NDArray[np.float64]]:
    r"""Several numbers of each row of logits and its token, in one pass over memory.

    With p the softmax of the row:

    - "token_log_prob": ln p of the token; nats, within [-inf, 0], higher is likelier.
    - "logsumexp": $\ln \sum \exp(\text{logits})$; nats.
    - "entropy": $-\sum p \ln p$; nats, within [0, ln n_classes], higher is less certain.
    - "rank": 1 + the number of classes likelier than the token; within [1, n_classes], 1 is likeliest, ties share it.
    - "argmax_hit": 1 if greedy decoding picks the token, else 0; of tied classes it picks the first, as `numpy.argmax`.
    - "log_prob_mean": mean of ln p under p, which is minus the entropy; nats.
    - "log_prob_variance": variance of ln p under p; nats squared, at least 0.

    Args:
        logits: unnormalised scores, or log-probabilities, which a softmax does not change; shape (n_rows, n_classes)
            or (n_classes,), float64, float32, float16 or bfloat16.
        token_ids: class of each row, shape (n_rows,), integer; -100 marks a row to leave out.
        kinds: which numbers.

    Returns:
        Kind to one value per row, shape (n_rows,) or (), float64.
        NaN where the id is -100, and where the row holds a NaN or inf or nothing but -inf ("logsumexp" is then inf or
        -inf). A logit of -inf is probability 0.

    Raises:
        ValueError: if there is not one id a row, an id is neither a class nor -100, or a kind is unknown.
        TypeError: if `token_ids` are not integers.

    Source: defined here; mean and variance as in Zhang et al. (2025), Min-K%++; -100 as in PyTorch's `cross_entropy`.

    >>> numbers = token_statistics([[0.0, 0.0], [2.0, 1.0]], [1, 1], kinds=("rank", "argmax_hit"))
    >>> numbers["rank"].tolist(), numbers["argmax_hit"].tolist()
    ([1.0, 2.0], [0.0, 0.0])
    """
    if isinstance(kinds, str):
        raise TypeError(f'`kinds` must be a sequence such as ("rank", "entropy"), but it is the string {kinds!r}')
    rows, ids = table(logits, "logits"), integers(token_ids, "token_ids")
    if ids.size != rows.values.shape[0]:
        raise ValueError(
            f"`token_ids` must hold one id a row of `logits`, but there are {ids.size} for {rows.values.shape[0]} rows"
        )
    values = _rust.token_statistics(rows.values, ids, list(kinds), rows.dtype)
    return {kind: rows.shaped(numbers) for kind, numbers in zip(kinds, values, strict=True)}


def logsumexp(logits: ArrayLike) -> NDArray[np.float64]:
    r"""Logarithm of the summed exponentials of each row.

    $\ln \sum \exp(\text{logits})$, the amount by which logits and log-probabilities differ.

    Args:
        logits: unnormalised scores, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.

    Returns:
        One value per row, shape (n_rows,) or (), float64, in nats, within [-inf, inf].
        It has no better direction. NaN where the row holds a NaN.

    Raises:
        ValueError: if `logits` is empty or has more than two axes.

    Source: defined here; agrees with `scipy.special.logsumexp(logits, axis=-1)`.

    >>> float(logsumexp([0.0, 0.0]).round(6))
    0.693147
    """
    rows = table(logits, "logits")
    return rows.shaped(_rust.logsumexp(rows.values, rows.dtype))


def entropy(p: ArrayLike, space: Space = "log_probs") -> NDArray[np.float64]:
    r"""Shannon entropy of each row.

    $-\sum p \ln p$: 0 if one class is certain, ln n_classes if all are alike.

    Args:
        p: distributions, shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16.
        space: what it holds: "log_probs" (natural logarithms), "logits" (a softmax is applied) or "probs".

    Returns:
        One entropy per row, shape (n_rows,) or (), float64, in nats, within [0, ln n_classes].
        Higher is less certain. A row with a NaN gives NaN.

    Raises:
        ValueError: if a row is not in `space`, as in `kl_divergence`.

    Source: Shannon (1948), A mathematical theory of communication, section 6.

    >>> float(entropy([0.25, 0.25, 0.25, 0.25], space="probs").round(6))
    1.386294
    """
    rows = table(p, "p")
    return rows.shaped(_rust.entropy(rows.values, space, rows.dtype))
