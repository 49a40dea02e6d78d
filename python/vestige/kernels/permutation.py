"""Permutation tests: exact where the relabellings are few, else from random ones, alone or over a family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import array, count, integers, seed_of, vector

Alternative = Literal["two-sided", "less", "greater"]
TwoSampleStatistic = Literal["mean_difference", "roc_auc", "ks_statistic"]
Association = Literal["spearman_rho", "kendall_tau", "pearson_r"]
Floats = NDArray[np.float64]

# Up to so many relabellings all are made: about a second of work at most.
MOST_EXACT = 10**6


@dataclass(frozen=True)
class PermutationTest:
    """The outcome of a permutation test, of one statistic or of each member of a family.

    Attributes:
        statistic: of the data, shape (n_members,), or () for data of shape (n,); NaN where it is undefined.
        centre: its mean over relabellings, same shape; 0 for a single one-sided test, which needs none.
        p_value: share of relabellings that are as far as the data, same shape, within (0, 1]; NaN with the statistic.
        p_adjusted: the same adjusted over the family by max-T, same shape; the p-value itself without a family.
        n_undefined: relabellings in which the statistic is NaN, same shape, int64.
        n_relabellings: relabellings behind the p-values.
        exact: whether they are all there are, the observed one among them.
    """

    statistic: Floats
    centre: Floats
    p_value: Floats
    p_adjusted: Floats
    n_undefined: NDArray[np.int64]
    n_relabellings: int
    exact: bool


def sign_flip_test(
    differences: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    clusters: ArrayLike | None = None,
    n_permutations: int = 9_999,
    seed: int = 0,
) -> PermutationTest:
    """Whether paired differences have mean 0: each could as well have had the other sign.

    All 2^n sign patterns where they are at most 10^6, else random ones with p = (1 + hits) / (1 + n_permutations).
    Two means that differ by at most 1e-11 of the mean absolute difference are equal.

    Args:
        differences: first less second value of each pair, shape (n,); or a family, shape (n, n_members), tested on
            the same signs. Any real dtype.
        alternative: "two-sided", "less" or "greater" than 0.
        clusters: integer cluster id of each row, shape (n,), whose signs flip together; None flips rows.
        n_permutations: number of random sign patterns.
        seed: within [0, 2**64); pattern i has a random stream of its own.

    Returns:
        The test; `statistic` is the mean, in the unit of the differences. NaN where a difference is NaN or infinite.

    Raises:
        ValueError: if a shape does not fit, something is empty, or the alternative is unknown.
        TypeError: if cluster ids are not integers.

    Source: Fisher (1935), The design of experiments, section 21; Westfall and Young (1993) for max-T; Phipson and Smyth
        (2010) for counting the observed signs.

    >>> test = sign_flip_test([1.0, 2.0, 3.0])
    >>> float(test.statistic), float(test.p_value), test.n_relabellings  # two of 8: all plus and all minus
    (2.0, 0.25, 8)
    """
    columns, is_one = _family(differences, "differences")
    codes, n_units = _codes(clusters, len(columns), "clusters")
    return _result(_rust.sign_flip_test(columns, codes, n_units, _plan(alternative, n_permutations, seed)), is_one)


def label_permutation_test(
    x: ArrayLike,
    y: ArrayLike,
    statistic: TwoSampleStatistic = "mean_difference",
    *,
    paired: bool = False,
    alternative: Alternative = "two-sided",
    clusters: ArrayLike | Sequence[ArrayLike] | None = None,
    n_permutations: int = 9_999,
    seed: int = 0,
) -> PermutationTest:
    """Whether two samples differ: each value could as well have been in the other sample.

    All relabellings where they are at most 10^6, else random ones with p = (1 + hits) / (1 + n_permutations).
    Two-sided is far from the mean over relabellings. Statistics that differ by at most 1e-11 (for means: of the mean
    absolute deviation from the pooled mean) are equal.

    Args:
        x: first sample, shape (n,); or a family, shape (n, n_members), tested on the same labels. Any real dtype.
        y: second sample, shape (m,) or (m, n_members).
        statistic: "mean_difference", mean of `x` less mean of `y`; "roc_auc", P(x > y) + P(x = y) / 2; or
            "ks_statistic", the largest distance of the distribution functions, where large values count.
        paired: whether row i of both is one thing measured twice, as one question under two models; labels are then
            swapped within rows, and n = m.
        alternative: "two-sided", "less" or "greater"; "ks_statistic" has "two-sided" only.
        clusters: integer cluster ids, for clusters that change sample as a whole: a tuple of two arrays, shapes (n,)
            and (m,), without an id in common; one array, shape (n,), if `paired`. None exchanges rows.
        n_permutations: number of random relabellings.
        seed: within [0, 2**64); relabelling i has a random stream of its own.

    Returns:
        The test. NaN where a value is NaN, and for means where one is infinite.

    Raises:
        ValueError: if a shape does not fit, something is empty, a cluster lies in both samples, or a name is unknown.
        TypeError: if cluster ids are not integers.

    Source: Pitman (1937); Westfall and Young (1993) for max-T; Phipson and Smyth (2010) for counting the observed
        labels.

    >>> test = label_permutation_test([4.0, 5.0], [1.0, 2.0])
    >>> float(test.statistic), test.n_relabellings  # both high ones, or both low ones, of six choices
    (3.0, 6)
    >>> round(float(test.p_value), 6)
    0.333333
    """
    first, is_one = _family(x, "x")
    second, _ = _family(y, "y")
    if first.shape[1] != second.shape[1] or np.ndim(x) != np.ndim(y):
        raise ValueError(
            f"`x` and `y` must have the same columns, but their shapes are {np.shape(x)} and {np.shape(y)}"
        )
    if statistic == "ks_statistic" and alternative != "two-sided":
        raise ValueError(f'`alternative` must be "two-sided" for the KS statistic, but it is {alternative!r}')
    if paired and len(first) != len(second):
        raise ValueError(f"`x` and `y` must have one length if paired, but have {len(first)} and {len(second)} rows")
    codes, n_units = _paired_units(clusters, len(first)) if paired else _units(clusters, len(first), len(second))
    plan = _plan("greater" if statistic == "ks_statistic" else alternative, n_permutations, seed)
    rows = np.concatenate([first, second])
    fields = _rust.label_permutation_test(rows, len(first), codes, n_units, bool(paired), statistic, plan)
    return _result(fields, is_one)


def within_group_permutation_test(
    x: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    statistic: Association = "spearman_rho",
    *,
    alternative: Alternative = "two-sided",
    n_permutations: int = 9_999,
    seed: int = 0,
) -> PermutationTest:
    """Whether `x` goes with `y` beyond what groups share: within a group each `y` could have come with each `x`.

    All relabellings where they are at most 10^6, else random ones with p = (1 + hits) / (1 + n_permutations).
    Two-sided is far from the mean over relabellings, which differences between groups move away from 0. Statistics
    that differ by at most 1e-11 are equal.

    Args:
        x: shape (n,); or a family, shape (n, n_members), tested on the same relabellings. Any real dtype.
        y: shape (n,).
        groups: integer id of the group of each row, shape (n,); None is one group.
        statistic: "spearman_rho", "kendall_tau" (tau-b) or "pearson_r", over all rows.
        alternative: "two-sided", "less" or "greater".
        n_permutations: number of random relabellings.
        seed: within [0, 2**64); relabelling i has a random stream of its own.

    Returns:
        The test; `statistic` within [-1, 1]. NaN for a constant column or one with a NaN.

    Raises:
        ValueError: if a shape does not fit, something is empty, or a name is unknown.
        TypeError: if group ids are not integers.

    Source: Pitman (1937); Westfall and Young (1993) for max-T; Phipson and Smyth (2010) for counting the observed
        order.

    >>> test = within_group_permutation_test([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    >>> test.n_relabellings, round(float(test.p_value), 6)  # two of 24: the order and its reverse
    (24, 0.083333)
    """
    columns, is_one = _family(x, "x")
    target = vector(y, "y")
    if target.size != len(columns):
        raise ValueError(f"`x` and `y` must have one length, but have {len(columns)} and {target.size} rows")
    codes, _ = (np.zeros(target.size, np.uint32), 1) if groups is None else _codes(groups, target.size, "groups")
    plan = _plan(alternative, n_permutations, seed)
    return _result(_rust.within_group_permutation_test(columns, target, codes, statistic, plan), is_one)


def product_permutation_test(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, *, most_exact: int = MOST_EXACT, n_permutations: int, seed: int
) -> PermutationTest:
    """The two-sided test of sums of products, for callers that prepare ranks themselves.

    Args:
        x: shape (n, n_members), each column of length about 1.
        y: shape (n,), of length about 1.
        groups: integer id of the group of each row, shape (n,).
        most_exact: all relabellings are made if there are at most so many.
        n_permutations: number of random relabellings otherwise.
        seed: within [0, 2**64).

    Returns:
        The test; sums that differ by at most 1e-11 are equal.

    >>> product_permutation_test([[1.0], [0.0]], [1.0, 0.0], [0, 0], n_permutations=1, seed=0).p_value.tolist()
    [1.0]
    """
    columns, _ = _family(x, "x")
    codes, _ = _codes(groups, len(columns), "groups")
    plan = ("two-sided", int(most_exact), count(n_permutations, "n_permutations"), seed_of(seed))
    return _result(_rust.within_group_permutation_test(columns, vector(y, "y"), codes, "product", plan), False)


def _family(x: ArrayLike, name: str) -> tuple[Floats, bool]:
    """One column a member, and whether a single one was passed as a vector."""
    values = array(x, name)
    if values.ndim not in (1, 2):
        raise ValueError(f"`{name}` must have shape (n,) or (n, n_members), but its shape is {values.shape}")
    return values.reshape(len(values), -1), values.ndim == 1


def _codes(ids: Any, n_rows: int, name: str) -> tuple[NDArray[np.uint32], int]:
    """Number of each row's unit, and how many there are; rows themselves without ids."""
    if ids is None:
        return np.arange(n_rows, dtype=np.uint32), n_rows
    numbers = integers(ids, name)
    if numbers.size != n_rows:
        raise ValueError(f"`{name}` must hold one id a row, but there are {numbers.size} for {n_rows} rows")
    unique, codes = np.unique(numbers, return_inverse=True)
    return codes.astype(np.uint32), unique.size


def _paired_units(clusters: Any, n_rows: int) -> tuple[NDArray[np.uint32], list[int]]:
    codes, n_units = _codes(clusters, n_rows, "clusters")
    return codes, [n_units, 0]


def _units(clusters: Any, n_first: int, n_second: int) -> tuple[NDArray[np.uint32], list[int]]:
    """Units of all rows, those of the first sample below those of the second."""
    if clusters is None:
        return np.arange(n_first + n_second, dtype=np.uint32), [n_first, n_second]
    if not isinstance(clusters, tuple | list) or len(clusters) != 2:
        raise ValueError("`clusters` must be a tuple of two arrays, one for each sample")
    both = np.intersect1d(integers(clusters[0], "clusters[0]"), integers(clusters[1], "clusters[1]"))
    if both.size:
        raise ValueError(
            f"a cluster must lie in one sample, because it changes sample as a whole, but {both[0]} lies in both; "
            "give them different ids, or pass paired=True if they are measured twice"
        )
    first, n = _codes(clusters[0], n_first, "clusters[0]")
    second, m = _codes(clusters[1], n_second, "clusters[1]")
    return np.concatenate([first, second + np.uint32(n)]), [n, m]


def _plan(alternative: str, n_permutations: int, seed: int) -> tuple[str, int, int, int]:
    return alternative, MOST_EXACT, count(n_permutations, "n_permutations"), seed_of(seed)


def _result(fields: Any, is_one: bool) -> PermutationTest:
    *arrays, n_relabellings, exact = fields
    statistic, centre, p_value, p_adjusted, n_undefined = (a.reshape(()) if is_one else a for a in arrays)
    return PermutationTest(statistic, centre, p_value, p_adjusted, n_undefined, n_relabellings, exact)
