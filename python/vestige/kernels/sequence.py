"""One number for each of many token sequences: likelihood, its lowest part, memorisation.

Sequences lie one after another in one vector; `offsets` says where each begins, and ends with the vector's length.
`ragged` makes the two of a padded batch and its mask.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import offsets_of, to_numpy, values_of


def ragged(values: ArrayLike, mask: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A padded batch as one vector of the tokens that count, and offsets.

    Args:
        values: shape (n_sequences, n_tokens), any dtype.
        mask: which of them count, same shape, boolean; for PyTorch's labels, `labels != -100`.

    Returns:
        The values that count, row after row, shape (n_values,), in their dtype, and where each row's begin, shape
        (n_sequences + 1,), int64.

    Raises:
        ValueError: if the shapes differ or have not two axes.
        TypeError: if `mask` is not boolean.

    Source: defined here.

    >>> tokens, offsets = ragged([[-1.0, -2.0], [-3.0, 0.0]], [[True, True], [True, False]])
    >>> tokens.tolist(), offsets.tolist()
    ([-1.0, -2.0, -3.0], [0, 2, 3])
    """
    padded, keep = to_numpy(values, "values"), to_numpy(mask, "mask")
    if keep.dtype != np.bool_:
        raise TypeError(f"`mask` must hold booleans, but its dtype is {keep.dtype}; use mask.astype(bool)")
    if padded.ndim != 2 or padded.shape != keep.shape:
        raise ValueError(
            "`values` and `mask` must have one shape (n_sequences, n_tokens), "
            f"but their shapes are {padded.shape} and {keep.shape}"
        )
    return padded[keep], np.concatenate([[0], np.cumsum(keep.sum(axis=1))])


def sequence_nll(
    token_log_probs: ArrayLike, offsets: ArrayLike, reduction: Literal["mean", "sum"] = "mean"
) -> NDArray[np.float64]:
    """Negative log-likelihood of each sequence, per token or in all.

    Args:
        token_log_probs: log-probabilities of the tokens that came, shape (n_tokens,), nats, any float dtype.
        offsets: where each sequence begins, and the end of the last, shape (n_sequences + 1,), integer.
        reduction: "mean" over a sequence's tokens, or "sum".

    Returns:
        Shape (n_sequences,), float64, in nats a token ("mean") or nats ("sum"), within [0, inf].
        Lower is likelier. NaN for a sequence without tokens or with a NaN.

    Raises:
        ValueError: if `offsets` do not rise from 0 to n_tokens, or the reduction is unknown.
        TypeError: if `offsets` are not integers.

    Source: defined here.

    >>> sequence_nll([-1.0, -3.0, -0.5], [0, 2, 3]).tolist()
    [2.0, 0.5]
    """
    tokens = values_of(token_log_probs, "token_log_probs")
    ends = offsets_of(offsets, tokens.size, "token_log_probs")
    return 0.0 - _rust.sequence_totals(tokens, ends, reduction)


def perplexity(token_log_probs: ArrayLike, offsets: ArrayLike) -> NDArray[np.float64]:
    r"""Perplexity of each sequence, $\exp$ of its mean negative log-likelihood.

    The number of equally likely tokens that would be as surprising.

    Args:
        token_log_probs: as in `sequence_nll`.
        offsets: as in `sequence_nll`.

    Returns:
        Shape (n_sequences,), float64, without unit, within [1, inf].
        Lower is likelier. NaN for a sequence without tokens or with a NaN.

    Raises:
        ValueError: as in `sequence_nll`.
        TypeError: as in `sequence_nll`.

    Source: defined here.

    >>> perplexity(np.log([0.5, 0.5, 0.25]), [0, 2, 3]).round(9).tolist()
    [2.0, 4.0]
    """
    with np.errstate(over="ignore"):
        return np.exp(sequence_nll(token_log_probs, offsets))


def min_k(token_log_probs: ArrayLike, offsets: ArrayLike, k: float = 0.4) -> NDArray[np.float64]:
    """Min-K%: mean log-probability of the least likely tokens of each sequence.

    Of n tokens the lowest `max(1, int(k * n))` count. A sequence seen in training has few surprises.

    Args:
        token_log_probs: log-probabilities of the tokens that came, shape (n_tokens,), nats, any float dtype.
        offsets: where each sequence begins, and the end of the last, shape (n_sequences + 1,), integer.
        k: share of tokens that counts, above 0 and at most 1; 0.4 in TOFU's and MUSE's settings, 0.2 in the paper.

    Returns:
        Shape (n_sequences,), float64, in nats a token, within [-inf, 0].
        Higher is likelier a member (OpenUnlearning and MUSE turn the sign). NaN for a sequence without tokens or with
        a NaN.

    Raises:
        ValueError: if `offsets` do not rise from 0 to n_tokens, or `k` is out of range.
        TypeError: if `offsets` are not integers.

    Source: Shi et al. (2024), Detecting pretraining data from large language models; rounding as in OpenUnlearning.

    >>> min_k([-1.0, -5.0, -3.0, -0.5], [0, 3, 4], k=0.7).tolist()
    [-4.0, -0.5]
    """
    tokens = values_of(token_log_probs, "token_log_probs")
    return _rust.min_k(tokens, offsets_of(offsets, tokens.size, "token_log_probs"), float(k))


def min_k_plus_plus(
    token_log_probs: ArrayLike, means: ArrayLike, variances: ArrayLike, offsets: ArrayLike, k: float = 0.4
) -> NDArray[np.float64]:
    r"""Min-K%++: Min-K% of log-probabilities that are standardised by what their distribution expects.

    Mean of the lowest `max(1, int(k * n))` of $(\ln p - \mu) / \sqrt{\max(\sigma^2, 10^{-6})}$, where $\mu$ and
    $\sigma^2$ are mean and variance of ln p under p itself: kinds "log_prob_mean" and "log_prob_variance" of
    `token_statistics`.

    Args:
        token_log_probs: log-probabilities of the tokens that came, shape (n_tokens,), nats, any float dtype.
        means: mean log-probability under each token's distribution, same shape, nats.
        variances: variance of it, same shape, nats squared.
        offsets: where each sequence begins, and the end of the last, shape (n_sequences + 1,), integer.
        k: share of tokens that counts, above 0 and at most 1; 0.4 in TOFU's and MUSE's settings.

    Returns:
        Shape (n_sequences,), float64, in standard deviations.
        Higher is likelier a member (OpenUnlearning turns the sign). NaN for a sequence without tokens or with a NaN.

    Raises:
        ValueError: if lengths differ, `offsets` do not rise from 0 to n_tokens, or `k` is out of range.
        TypeError: if `offsets` are not integers.

    Source: Zhang et al. (2025), Min-K%++: improved baseline for detecting pre-training data; rounding and the least
        variance as in OpenUnlearning.

    >>> min_k_plus_plus([-1.0, -4.0], [-2.0, -2.0], [1.0, 4.0], [0, 2], k=1.0).tolist()
    [0.0]
    """
    arrays = {"token_log_probs": token_log_probs, "means": means, "variances": variances}
    values = {name: values_of(array, name) for name, array in arrays.items()}
    sizes = {name: array.size for name, array in values.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"`token_log_probs`, `means` and `variances` must have one length, but have {sizes}")
    if len({array.dtype for array in values.values()}) != 1:
        values = {name: array.astype(np.float64) for name, array in values.items()}
    ends = offsets_of(offsets, sizes["means"], "token_log_probs")
    return _rust.min_k_plus_plus(values["token_log_probs"], values["means"], values["variances"], ends, float(k))


def extraction_strength(
    hits: ArrayLike, offsets: ArrayLike, floor: Literal["zero", "openunlearning"] = "zero"
) -> NDArray[np.float64]:
    """Share of each sequence that a model completes by itself: its longest suffix of greedy hits.

    Args:
        hits: whether each token was the model's first choice, shape (n_tokens,), boolean, or 0, 1 and NaN
            (kind "argmax_hit" of `token_statistics`).
        offsets: where each sequence begins, and the end of the last, shape (n_sequences + 1,), integer.
        floor: what a sequence gets whose last token is a miss: "zero", or one token's share as in "openunlearning",
            where a sequence without tokens gets 0.

    Returns:
        Shape (n_sequences,), float64, a share, within [0, 1].
        Lower is better forgotten. NaN for a sequence without tokens or with a NaN.

    Raises:
        ValueError: if `offsets` do not rise from 0 to n_tokens, or `hits` hold anything but 0, 1 and NaN.
        TypeError: if `offsets` are not integers.

    Source: Carlini et al. (2021), Extracting training data from large language models; as defined in OpenUnlearning,
        arXiv 2506.12618, but for the floor.

    >>> extraction_strength([True, False, True, True, False], [0, 4, 5]).tolist()
    [0.5, 0.0]
    """
    known = _hits(hits)
    return _rust.extraction_strength(known, offsets_of(offsets, known.size, "hits"), floor)


def exact_memorization(hits: ArrayLike, offsets: ArrayLike) -> NDArray[np.float64]:
    """Share of each sequence's tokens that were the model's first choice.

    Args:
        hits: as in `extraction_strength`.
        offsets: as in `extraction_strength`.

    Returns:
        Shape (n_sequences,), float64, a share, within [0, 1].
        Lower is better forgotten. NaN for a sequence without tokens or with a NaN.

    Raises:
        ValueError: as in `extraction_strength`.
        TypeError: as in `extraction_strength`.

    Source: Tirumala et al. (2022), Memorization without overfitting; as in OpenUnlearning.

    >>> exact_memorization([True, False, True, True, False], [0, 4, 5]).tolist()
    [0.75, 0.0]
    """
    known = _hits(hits)
    return _rust.exact_memorization(known, offsets_of(offsets, known.size, "hits"))


def _hits(hits: ArrayLike) -> NDArray[np.int8]:
    """1 for a hit, 0 for a miss, -1 for NaN."""
    values = to_numpy(hits, "hits")
    if values.dtype == np.bool_ and values.ndim == 1:
        return np.ascontiguousarray(values).view(np.int8)
    numbers = values_of(values, "hits")
    unknown = np.isnan(numbers)
    if not (unknown | (numbers == 0) | (numbers == 1)).all():
        raise ValueError("`hits` must hold booleans, or 0, 1 and NaN only; for log-probabilities see `min_k`")
    return np.where(unknown, -1, numbers == 1).astype(np.int8)
