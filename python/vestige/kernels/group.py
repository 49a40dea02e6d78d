"""Weighted and masked means and sums of values that belong together: tokens of an example, rows of a group."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import flags, integers, offsets_of, values_of, vector


def group_mean(
    values: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    n_groups: int | None = None,
) -> NDArray[np.float64]:
    r"""Weighted mean of the values of each group, $\sum w x / \sum w$.

    Args:
        values: one value a row, shape (n_rows,), any float dtype.
        groups: group of each row, shape (n_rows,), integers from 0 upwards; of other labels,
            `numpy.unique(labels, return_inverse=True)` makes them.
        weights: weight of each row, shape (n_rows,), at least 0; 1 if left out.
        mask: which rows count, shape (n_rows,), boolean; all if left out.
        n_groups: number of groups; one more than the largest of `groups` if left out.

    Returns:
        Shape (n_groups,), float64, in the unit of the values.
        NaN for a group without rows or with a total weight of 0, and for one with a NaN that the mask does not hide;
        a weight of 0 hides an infinite value.

    Raises:
        ValueError: if lengths differ, a group is out of range or a weight below 0.
        TypeError: if `groups` are not integers or `mask` is not boolean.

    Source: defined here.

    >>> group_mean([1.0, 3.0, 5.0], [0, 0, 2], weights=[3.0, 1.0, 1.0]).tolist()
    [1.5, nan, 5.0]
    """
    return _by_group(values, groups, weights, mask, n_groups, "mean")


def group_sum(
    values: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    n_groups: int | None = None,
) -> NDArray[np.float64]:
    r"""Weighted sum of the values of each group, $\sum w x$.

    Args:
        values: as in `group_mean`.
        groups: as in `group_mean`.
        weights: as in `group_mean`.
        mask: as in `group_mean`.
        n_groups: as in `group_mean`.

    Returns:
        Shape (n_groups,), float64, in the unit of the values times that of the weights.
        NaN for a group without rows, and for one with a NaN that the mask does not hide.

    Raises:
        ValueError: as in `group_mean`.
        TypeError: as in `group_mean`.

    Source: defined here.

    >>> group_sum([1.0, 3.0, 5.0], [0, 0, 1], mask=[True, True, False]).tolist()
    [4.0, nan]
    """
    return _by_group(values, groups, weights, mask, n_groups, "sum")


def sequence_mean(
    values: ArrayLike, offsets: ArrayLike, weights: ArrayLike | None = None, mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Weighted mean of the values of each sequence, $\sum w x / \sum w$: `group_mean` of rows that lie together.

    Args:
        values: one value a row, such as a divergence a token, shape (n_rows,), any float dtype.
        offsets: where each sequence begins, and the end of the last, shape (n_sequences + 1,), integer.
        weights: weight of each row, shape (n_rows,), at least 0; 1 if left out.
        mask: which rows count, shape (n_rows,), boolean; all if left out.

    Returns:
        Shape (n_sequences,), float64, in the unit of the values. NaN as in `group_mean`.

    Raises:
        ValueError: if lengths differ, `offsets` do not rise from 0 to n_rows, or a weight is below 0.
        TypeError: if `offsets` are not integers or `mask` is not boolean.

    Source: defined here.

    >>> sequence_mean([1.0, 3.0, 5.0], [0, 2, 3], weights=[3.0, 1.0, 1.0]).tolist()
    [1.5, 5.0]
    """
    return _by_sequence(values, offsets, weights, mask, "mean")


def sequence_sum(
    values: ArrayLike, offsets: ArrayLike, weights: ArrayLike | None = None, mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Weighted sum of the values of each sequence, $\sum w x$.

    Args:
        values: as in `sequence_mean`.
        offsets: as in `sequence_mean`.
        weights: as in `sequence_mean`.
        mask: as in `sequence_mean`.

    Returns:
        Shape (n_sequences,), float64, in the unit of the values times that of the weights. NaN as in `group_sum`.

    Raises:
        ValueError: as in `sequence_mean`.
        TypeError: as in `sequence_mean`.

    Source: defined here.

    >>> sequence_sum([1.0, 3.0, 5.0], [0, 2, 3]).tolist()
    [4.0, 5.0]
    """
    return _by_sequence(values, offsets, weights, mask, "sum")


class _Rows(NamedTuple):
    values: NDArray[Any]
    weights: NDArray[np.float64] | None
    mask: NDArray[np.bool_] | None


def _rows(values: ArrayLike, weights: ArrayLike | None, mask: ArrayLike | None) -> _Rows:
    rows = _Rows(
        values_of(values, "values"),
        None if weights is None else vector(weights, "weights"),
        None if mask is None else flags(mask, "mask"),
    )
    for name, array in (("weights", rows.weights), ("mask", rows.mask)):
        if array is not None:
            _same_length(rows.values, array, name)
    return rows


def _same_length(values: NDArray[Any], array: NDArray[Any], name: str) -> None:
    if array.size != values.size:
        raise ValueError(
            f"`{name}` must hold one element a row of `values`, but holds {array.size} for {values.size} rows"
        )


def _by_group(
    values: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None,
    mask: ArrayLike | None,
    n_groups: int | None,
    reduction: str,
) -> NDArray[np.float64]:
    rows, codes = _rows(values, weights, mask), integers(groups, "groups")
    _same_length(rows.values, codes, "groups")
    n = max(int(codes.max()) + 1, 0) if n_groups is None else n_groups
    return _rust.reduce_groups(*rows, codes, n, reduction)


def _by_sequence(
    values: ArrayLike, offsets: ArrayLike, weights: ArrayLike | None, mask: ArrayLike | None, reduction: str
) -> NDArray[np.float64]:
    rows = _rows(values, weights, mask)
    return _rust.reduce_sequences(*rows, offsets_of(offsets, rows.values.size, "values"), reduction)
