"""Ranks and rank correlations."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import matrix, vector, vector_pair


def midranks(x: ArrayLike) -> NDArray[np.float64]:
    """Ranks of the values, smallest first; equal values share the mean of their ranks.

    Args:
        x: values, shape (n,), any real dtype.

    Returns:
        Ranks, shape (n,), float64, without unit, within [1, n]; all NaN if a value is NaN.
        Higher is larger.

    Raises:
        ValueError: if `x` is empty or not a vector.

    Source: defined here; agrees with `scipy.stats.rankdata`.

    >>> midranks([10, 20, 20, 5]).tolist()
    [2.0, 3.5, 3.5, 1.0]
    """
    return _rust.midranks(vector(x, "x"))


def kendall_tau(x: ArrayLike, y: ArrayLike) -> float:
    r"""Kendall's tau-b of paired values.

    $(C - D) / \sqrt{(n_0 - n_1)(n_0 - n_2)}$: concordant less discordant pairs, corrected for ties.

    Args:
        x: values, shape (n,), any real dtype.
        y: their partners, shape (n,), any real dtype.

    Returns:
        tau-b, without unit, within [-1, 1]; 1 means the same order, -1 the opposite.
        NaN if a value is NaN, n < 2, or `x` or `y` is constant.

    Raises:
        ValueError: if the lengths differ, or an argument is empty or not a vector.

    Source: Kendall (1945), The treatment of ties in ranking problems; agrees with `scipy.stats.kendalltau`.

    >>> round(kendall_tau([1, 2, 2, 3, 4, 5], [2, 1, 3, 3, 5, 4]), 10)
    0.6428571429
    """
    try:
        return _rust.kendall_tau(x, y)
    except (TypeError, ValueError):  # not two vectors as Rust reads them
        return _rust.kendall_tau(*vector_pair(x, y))


def spearman_rho(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho of paired values: the Pearson correlation of their midranks.

    Args:
        x: values, shape (n,), any real dtype.
        y: their partners, shape (n,), any real dtype.

    Returns:
        rho, without unit, within [-1, 1]; 1 means the same order, -1 the opposite.
        NaN if a value is NaN, n < 2, or `x` or `y` is constant.

    Raises:
        ValueError: if the lengths differ, or an argument is empty or not a vector.

    Source: Spearman (1904), The proof and measurement of association; agrees with `scipy.stats.spearmanr`.

    >>> round(spearman_rho([1, 2, 2, 3, 4, 5], [2, 1, 3, 3, 5, 4]), 10)
    0.8088235294
    """
    try:
        return _rust.spearman_rho(x, y)
    except (TypeError, ValueError):
        return _rust.spearman_rho(*vector_pair(x, y))


def kendall_tau_matrix(columns: ArrayLike) -> NDArray[np.float64]:
    """Kendall's tau-b between all columns.

    Args:
        columns: values, shape (n_items, n_columns), any real dtype; NaN where an item lacks a value.

    Returns:
        Correlations, shape (n_columns, n_columns), float64, without unit, within [-1, 1]; symmetric.
        Each pair leaves out the items that either column lacks; NaN where fewer than 2 are left or one is constant.

    Raises:
        ValueError: if `columns` is empty or not 2-d.

    Source: Kendall (1945), The treatment of ties in ranking problems.

    >>> kendall_tau_matrix([[1, 9], [2, 8], [3, 7]]).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    values = matrix(columns, "columns", "(n_items, n_columns)")
    return _rust.kendall_tau_matrix(values).reshape(values.shape[1], -1)


def spearman_rho_matrix(columns: ArrayLike) -> NDArray[np.float64]:
    """Spearman's rho between all columns.

    Args:
        columns: values, shape (n_items, n_columns), any real dtype; NaN where an item lacks a value.

    Returns:
        Correlations, shape (n_columns, n_columns), float64, without unit, within [-1, 1]; symmetric.
        Each pair leaves out the items that either column lacks; NaN where fewer than 2 are left or one is constant.

    Raises:
        ValueError: if `columns` is empty or not 2-d.

    Source: Spearman (1904), The proof and measurement of association.

    >>> spearman_rho_matrix([[1, 9], [2, 8], [3, 7]]).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    values = matrix(columns, "columns", "(n_items, n_columns)")
    return _rust.spearman_rho_matrix(values).reshape(values.shape[1], -1)
