"""Permutation test of all pairs of columns at once: does any column order the cells of a stratum as another does?"""

from dataclasses import dataclass
from math import factorial, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.stats.permutation import MOST_EXACT, centred_ranks, relabelling_test, unit_length

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

MOST_DRAWS, FEWEST_DRAWS = 9_999, 199
# Permuted values in all and at once: half a second of work, and 8 MB.
_MOST_WORK, _BATCH = 15 * 10**6, 10**6
# Sums of products of ranks that differ by less are equal.
_ROUNDING = 1e-11


@dataclass(frozen=True)
class PairTest:
    """A joint permutation test of all pairs of columns.

    Attributes:
        statistic: Spearman over all cells, shape (n_columns, n_columns), within [-1, 1]; NaN for a constant column.
        p: two-sided around the mean over relabellings, same shape; NaN on the diagonal and for a constant column.
        p_adjusted: the same adjusted over the pairs by max-T, same shape.
        family: number of pairs with a p-value.
        n_relabellings: relabellings behind `p`.
        n_draws: draws behind the adjustment.
        exact: whether the relabellings are all there are.
    """

    statistic: Floats
    p: Floats
    p_adjusted: Floats
    family: int
    n_relabellings: int
    n_draws: int
    exact: bool


def pair_permutation_test(columns: ArrayLike, strata: ArrayLike, *, seed: int = 0) -> PairTest:
    """Whether pairs of columns order the cells of a stratum alike, whatever happens between strata.

    Each column is permuted within strata by itself, for all pairs at once; the largest studentised statistic over the
    pairs adjusts. Where one column has at most 10^6 relabellings, the p-value of a pair is exact instead.

    Args:
        columns: values, shape (n_cells, n_columns); a NaN cell adds nothing to its column's statistics.
        strata: label of the stratum of each cell, shape (n_cells,).
        seed: decides the draws: 9,999 of them, fewer (199 at least) from 1,500 values on.

    Returns:
        The test. A column that never varies within a stratum has p = 1, since no relabelling changes it.

    Source: Westfall and Young (1993) for max-T (here under the complete null: no two columns go together); Phipson and
        Smyth (2010) for counting the observed labelling.

    >>> test = pair_permutation_test([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]], [0, 0, 0, 0])
    >>> round(float(test.p[0, 1]), 4), test.n_relabellings, test.family  # two of 24: the order and its reverse
    (0.0833, 24, 1)
    """
    values = np.asarray(columns, dtype=np.float64)
    codes = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.int64)
    ranks = unit_length(centred_ranks(values))
    statistic, drawn = ranks.T @ ranks, _drawn(ranks, codes, seed)
    centre, spread = drawn.mean(axis=0), drawn.std(axis=0)
    defined = np.triu(_varying(ranks), 1)
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > _ROUNDING)
    extreme = np.abs(drawn - centre) * scale
    observed = np.abs(statistic - centre) * scale - _ROUNDING
    p, n_relabellings, exact = _p_values(values, codes, extreme, observed, seed)
    largest = extreme[:, defined].max(axis=1, initial=0.0)
    adjusted = np.maximum(_share(largest[:, None, None], observed), p)
    undefined = np.where(defined | defined.T, 1.0, np.nan)
    return PairTest(
        statistic=np.where(_varying(ranks), statistic, np.nan),
        p=p * undefined,
        p_adjusted=adjusted * undefined,
        family=int(defined.sum()),
        n_relabellings=n_relabellings,
        n_draws=len(drawn),
        exact=exact,
    )


def _varying(ranks: Floats) -> NDArray[np.bool_]:
    """Pairs of columns that both vary."""
    varies = (ranks != 0).any(axis=0)
    return np.logical_and.outer(varies, varies)


def _drawn(ranks: Floats, codes: Ids, seed: int) -> Floats:
    """Statistics of all pairs with every column permuted within strata, shape (n_draws, n_columns, n_columns)."""
    n_draws = int(np.clip(_MOST_WORK // max(ranks.size, 1), FEWEST_DRAWS, MOST_DRAWS))
    order = np.argsort(codes, kind="stable")
    blocks = np.split(np.ascontiguousarray(ranks[order].T), np.flatnonzero(np.diff(codes[order])) + 1, axis=1)
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, n_draws, step := max(1, _BATCH // max(ranks.size, 1))):
        shape = (min(step, n_draws - start), ranks.shape[1])
        mixed = [rng.permuted(np.broadcast_to(block, (*shape, block.shape[1])), axis=2) for block in blocks]
        whole = np.concatenate(mixed, axis=2)
        parts.append(whole @ whole.transpose(0, 2, 1))
    return np.concatenate(parts)


def _p_values(values: Floats, codes: Ids, extreme: Floats, observed: Floats, seed: int) -> tuple[Floats, int, bool]:
    if prod(factorial(int(n)) for n in np.minimum(np.bincount(codes), 20)) > MOST_EXACT:
        return _share(extreme, observed), len(extreme), False
    p = np.full(observed.shape, np.nan)
    n_relabellings = 1
    for j in range(1, len(p)):
        keep = ~np.isnan(values[:, j])
        test = relabelling_test(values[keep, :j], values[keep, j], codes[keep], seed=seed)
        p[:j, j] = p[j, :j] = test.p
        n_relabellings = max(n_relabellings, test.n_relabellings)
    return p, n_relabellings, True


def _share(extreme: Floats, observed: Floats) -> Floats:
    """Share of draws at least as extreme, the observed labelling counted as one of them."""
    hits = (extreme >= observed).sum(axis=0)
    share: Floats = (1 + hits) / (1 + len(extreme))
    return share
