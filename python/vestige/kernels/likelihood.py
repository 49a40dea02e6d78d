"""Likelihoods of rows of scores, in nats."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import integers, table
from vestige.kernels.divergence import Space


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
    rows, ids = table(logits, "logits"), integers(token_ids, "token_ids")
    if ids.size != rows.values.shape[0]:
        raise ValueError(
            f"`token_ids` must hold one id a row of `logits`, but there are {ids.size} for {rows.values.shape[0]} rows"
        )
    return rows.shaped(_rust.token_log_probs(rows.values, ids, rows.dtype))


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
