"""Ranks and rank correlations."""

from functools import partial
from math import isnan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import matrix, to_numpy, vector, vector_pair
from vestige.kernels.significance import Alternative, Method, Significance, check_choices, tail, undefined

# As SciPy: exact up to so many items without ties, and for any number with at most one pair out of order.
_EXACT_ITEMS = 33
_ROWS = "(batch, n)"


def midranks(x: ArrayLike) -> NDArray[np.float64]:
    """Ranks of the values, smallest first; equal values share the mean of their ranks.

    Args:
        x: values, shape (n,), or one vector a row, shape (batch, n); any real dtype.

    Returns:
        Ranks, same shape, float64, without unit, within [1, n]; all NaN in a row that holds a NaN.
        Higher is larger.

    Raises:
        ValueError: if `x` is empty or has another number of axes.

    Source: defined here; agrees with `scipy.stats.rankdata`.

    >>> midranks([10, 20, 20, 5]).tolist()
    [2.0, 3.5, 3.5, 1.0]
    """
    values = to_numpy(x, "x")
    if values.ndim != 2:
        return _rust.midranks(vector(values, "x"))
    rows = matrix(values, "x", _ROWS)
    return _rust.midranks_rows(rows).reshape(rows.shape)


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


def kendall_tau_rows(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Kendall's tau-b of each pair of rows; see `kendall_tau`.

    Args:
        x: one vector a row, shape (batch, n), any real dtype.
        y: their partners, same shape, any real dtype.

    Returns:
        tau-b of each row, shape (batch,), float64, without unit, within [-1, 1].
        NaN for a row with a NaN, with n < 2, or constant in `x` or `y`.

    Raises:
        ValueError: if the shapes differ, or an argument is empty or not 2-d.

    Source: Kendall (1945), The treatment of ties in ranking problems.

    >>> kendall_tau_rows([[1, 2, 3], [1, 2, 3]], [[4, 5, 6], [6, 5, 4]]).tolist()
    [1.0, -1.0]
    """
    return _rust.kendall_tau_rows(*_row_pair(x, y))


def spearman_rho_rows(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Spearman's rho of each pair of rows; see `spearman_rho`.

    Args:
        x: one vector a row, shape (batch, n), any real dtype.
        y: their partners, same shape, any real dtype.

    Returns:
        rho of each row, shape (batch,), float64, without unit, within [-1, 1].
        NaN for a row with a NaN, with n < 2, or constant in `x` or `y`.

    Raises:
        ValueError: if the shapes differ, or an argument is empty or not 2-d.

    Source: Spearman (1904), The proof and measurement of association.

    >>> spearman_rho_rows([[1, 2, 3], [1, 2, 3]], [[4, 5, 6], [6, 5, 4]]).tolist()
    [1.0, -1.0]
    """
    return _rust.spearman_rho_rows(*_row_pair(x, y))


def _row_pair(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = matrix(x, "x", _ROWS), matrix(y, "y", _ROWS)
    if first.shape != second.shape:
        raise ValueError(f"`x` and `y` must have one shape, but have {first.shape} and {second.shape}")
    return first, second


def kendall_test(
    x: ArrayLike, y: ArrayLike, *, alternative: Alternative = "two-sided", method: Method = "auto"
) -> Significance:
    """Kendall's tau-b of paired values, and the p-value of no association.

    Args:
        x: values, shape (n,), any real dtype.
        y: their partners, shape (n,), any real dtype.
        alternative: "two-sided", "greater" (a positive association) or "less".
        method: "exact" counts orders, and is for values without ties; "asymptotic" is the normal approximation with its
            variance for ties; "auto" is exact without ties up to 33 items or with at most one pair out of order.

    Returns:
        tau-b and its p-value; undefined if a value is NaN, n < 2, or `x` or `y` is constant.

    Raises:
        ValueError: if the lengths differ, an argument is empty or not a vector, or an exact p-value is asked for
            where there are ties.

    Source: Kendall (1970), Rank Correlation Methods, chapters 4 and 5; agrees with `scipy.stats.kendalltau`.

    >>> result = kendall_test([1, 2, 3, 4], [1, 2, 4, 3])
    >>> result.method, round(result.p_value, 10)
    ('exact', 0.3333333333)
    """
    check_choices(alternative, method)
    x, y = vector_pair(x, y)
    tau, net, discordant, tied, triples, spread = _rust.kendall_counts(x, y)
    if isnan(tau):
        return undefined()
    n, pairs = x.size, x.size * (x.size - 1) // 2
    if method == "exact" and any(tied):
        raise ValueError(
            'no exact p-value is known for values with ties; use method="asymptotic", or "auto" to choose by the values'
        )
    few = n <= _EXACT_ITEMS or min(discordant, pairs - discordant) <= 1
    if method == "exact" or (method == "auto" and few and not any(tied)):
        return Significance(tau, _kendall_exact(n, pairs, discordant, alternative), "exact")
    from scipy.special import ndtr

    ordered = n * (n - 1.0)
    variance = (ordered * (2 * n + 5) - spread[0] - spread[1]) / 18 + 2.0 * tied[0] * tied[1] / ordered
    if n > 2:
        variance += triples[0] * triples[1] / (9 * ordered * (n - 2))
    return Significance(tau, tail(net / sqrt(variance), ndtr, alternative), "asymptotic")


def _kendall_exact(n: int, pairs: int, discordant: int, alternative: Alternative) -> float:
    fewer = min(discordant, pairs - discordant)
    at_most, exactly = _rust.kendall_exact(n, fewer)
    if alternative == "two-sided":
        return min(1.0, 2 * at_most)
    towards = (discordant == fewer) == (alternative == "greater") or 2 * fewer == pairs
    return min(1.0, at_most if towards else 1 - at_most + exactly)


def spearman_test(x: ArrayLike, y: ArrayLike, *, alternative: Alternative = "two-sided") -> Significance:
    """Spearman's rho of paired values, and the p-value of no association by Student's t with n - 2 degrees of freedom.

    Args:
        x: values, shape (n,), any real dtype.
        y: their partners, shape (n,), any real dtype.
        alternative: "two-sided", "greater" (a positive association) or "less".

    Returns:
        rho and its p-value, always asymptotic; undefined if a value is NaN, n < 3, or `x` or `y` is constant.
        For few items it is rough: permute instead.

    Raises:
        ValueError: if the lengths differ, or an argument is empty or not a vector.

    Source: Kendall (1970), Rank Correlation Methods, section 4.17; agrees with `scipy.stats.spearmanr`.

    >>> result = spearman_test([1, 2, 3, 4], [1, 2, 4, 3])
    >>> round(result.statistic, 10), round(result.p_value, 10)
    (0.8, 0.2)
    """
    check_choices(alternative)
    x, y = vector_pair(x, y)
    rho, freedom = _rust.spearman_rho(x, y), x.size - 2
    if isnan(rho) or freedom < 1:
        return undefined(rho)
    from scipy.special import stdtr

    unexplained = (rho + 1) * (1 - rho)
    t = rho * sqrt(freedom / unexplained) if unexplained > 0 else rho * np.inf
    return Significance(rho, tail(t, partial(stdtr, freedom), alternative), "asymptotic")


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
