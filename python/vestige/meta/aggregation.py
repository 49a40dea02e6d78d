"""Rankings from ballots with missing scores: Borda, Copeland, Kemeny, Plackett-Luce, Bradley-Terry, Elo."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.meta.layout import Layout

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

# The linear-ordering program has a constraint for each triple of items: 2,300 at this number.
MOST_EXACT_KEMENY = 25
# Standard deviation of the normal prior that keeps strengths finite where wins do not connect all items.
PRIOR_SD = 3.0
DROPPED = (0.1, 0.3, 0.5, 0.7, 0.9)
N_DROPS = 50
# Elo goes through comparisons one by one.
MOST_ELO = 1_000_000


@dataclass(frozen=True)
class Survival:
    """How much of the full ranking is left when cells are dropped at random.

    Attributes:
        dropped: share of the cells that were dropped, within (0, 1).
        tau_mean: mean tau-b between the Borda ranking of what is left and the full one, over 50 draws.
        tau_low: its 5 % quantile.
    """

    dropped: float
    tau_mean: float
    tau_low: float


@dataclass(frozen=True)
class Aggregation:
    """One ranking of the items from many, by several rules; higher is better in all of them.

    Attributes:
        items: names of the items.
        n_items: their number.
        n_ballots: number of rankings, one a metric and block.
        missing: share of cells without a score, within [0, 1].
        borda: mean share of the present opponents that an item beats, ties half, within [0, 1].
        copeland: share of the opponents that an item beats on most of their common ballots, ties half, within [0, 1].
        kemeny: the order that contradicts the fewest pairwise preferences, best first.
        kemeny_exact: whether that is proved; else a local search found no better one.
        kemeny_unique: whether no other order is as good; False where that was not asked (no exact solution).
        plackett_luce: log strengths, mean 0.
        plackett_luce_by_example: the same with every example of every metric as a ballot; empty without examples.
        bradley_terry: strengths, geometric mean 1; empty without `evalica`, or where wins do not connect all items.
        elo: ratings after the comparisons in one random order; empty without `evalica` or above a million.
        survival: one entry a share of dropped cells.
        notes: what the numbers rest on, and why any is missing.
    """

    items: tuple[str, ...]
    n_items: int
    n_ballots: int
    missing: float
    borda: tuple[float, ...]
    copeland: tuple[float, ...]
    kemeny: tuple[str, ...]
    kemeny_exact: bool
    kemeny_unique: bool
    plackett_luce: tuple[float, ...]
    plackett_luce_by_example: tuple[float, ...]
    bradley_terry: tuple[float, ...]
    elo: tuple[float, ...]
    survival: tuple[Survival, ...]
    notes: tuple[str, ...] = ()


def ballots_of(layout: Layout, blocks: Ids) -> tuple[tuple[str, ...], Floats]:
    """Names of the models, and their mean oriented scores with one ballot for each block and metric.

    Args:
        layout: the table.
        blocks: which rows are ranked together, shape (n_rows,), numbered from 0.

    Returns:
        The names, and scores of shape (n_items, n_ballots), NaN where a model has no score.
    """
    items = tuple(dict.fromkeys(layout.table.models))
    number = {item: i for i, item in enumerate(items)}
    item, n_blocks = np.array([number[model] for model in layout.table.models]), int(blocks.max()) + 1
    shape = (len(items), n_blocks, len(layout.metrics))
    defined = ~np.isnan(layout.scores)
    total, count = np.zeros(shape), np.zeros(shape)
    with np.errstate(invalid="ignore"):
        np.add.at(total, (item, blocks), np.where(defined, layout.scores, 0))
    np.add.at(count, (item, blocks), defined)
    means = np.divide(total, count, out=np.full(shape, nan), where=count > 0)
    largest = np.finfo(np.float64).max  # a diverged score is the last or the first; only the order counts
    return items, np.clip(means, -largest, largest).reshape(len(items), -1)


def examples_of(layout: Layout) -> Floats | None:
    """Oriented values by example of all metrics side by side, one row a model; None where there are none.

    Metrics with a reference are left out: closeness of a mean to it says nothing of single examples.
    """
    table = layout.table
    signs = {
        name: 1.0 if better == "higher" else -1.0 for name, better in table.better.items() if better != "reference"
    }
    parts = [signs[name] * values for name, values in table.examples.items() if name in signs]
    return np.hstack(parts) if parts and len(set(table.models)) == len(table.models) else None


def aggregate(
    items: Sequence[str], scores: ArrayLike, *, by_example: ArrayLike | None = None, seed: int = 0
) -> Aggregation:
    """One ranking of the items from many ballots, each over the items that it has scores of.

    Args:
        items: names.
        scores: higher is better, shape (n_items, n_ballots); NaN is a missing score. Only the order within a ballot
            counts.
        by_example: values of single examples as further ballots for Plackett-Luce, shape (n_items, n_examples).
        seed: decides Elo's order of comparisons and the dropped cells.

    Returns:
        See `Aggregation`.

    Raises:
        ValueError: if a shape does not fit or a score is infinite.

    Source: Borda (1784); Copeland (1951); Kemeny (1959); Plackett (1975) and Luce (1959), ties by Breslow (1974);
        ballots by example as in ONEBench, arXiv 2412.06745.

    >>> found = aggregate(("a", "b", "c"), [[3.0, 3.0, 1.0], [2.0, 2.0, 3.0], [1.0, 1.0, 2.0]])
    >>> found.kemeny, found.kemeny_exact, found.copeland
    (('a', 'b', 'c'), True, (1.0, 0.5, 0.0))
    """
    names, table = tuple(items), _checked(items, scores)
    wins, ties = _pairwise(table)
    order, exact, unique = kemeny(wins + ties / 2)
    notes = [] if exact else [f"Kemeny by local search: more than {MOST_EXACT_KEMENY} items"]
    if not _connected(wins + ties):
        notes.append(f"wins do not connect all items: Plackett-Luce has a normal prior of SD {PRIOR_SD:g}")
    bradley_terry, elo = _by_evalica(table, wins, ties, seed, notes)
    return Aggregation(
        items=names,
        n_items=len(names),
        n_ballots=table.shape[1],
        missing=float(np.isnan(table).mean()),
        borda=tuple(borda(table).tolist()),
        copeland=tuple(_copeland(wins, ties).tolist()),
        kemeny=tuple(names[i] for i in order),
        kemeny_exact=exact,
        kemeny_unique=unique,
        plackett_luce=tuple(plackett_luce(table).tolist()),
        plackett_luce_by_example=() if by_example is None else tuple(plackett_luce(by_example).tolist()),
        bradley_terry=bradley_terry,
        elo=elo,
        survival=survival(table, seed=seed),
        notes=tuple(notes),
    )


def _checked(items: Sequence[str], scores: ArrayLike) -> Floats:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(items) or not table.size:
        raise ValueError(f"scores must have shape (n_items, n_ballots) for {len(items)} items, got {table.shape}")
    if np.isinf(table).any():
        raise ValueError("scores must not be infinite: leave the cell empty (NaN)")
    return table


def borda(scores: ArrayLike) -> Floats:
    """Mean over ballots of the share of present opponents that an item beats, ties half; NaN without any opponent.

    >>> borda([[3.0, np.nan], [2.0, 1.0], [1.0, 2.0]]).tolist()
    [1.0, 0.25, 0.5]
    """
    return _borda_of(np.asarray(scores, dtype=np.float64)[None])[0]


def _borda_of(tables: Floats) -> Floats:
    """Borda of several tables at once, shape (n_tables, n_items, n_ballots) to (n_tables, n_items)."""
    from vestige.kernels import midranks

    n_tables, n_items, n_ballots = tables.shape
    ballots = np.ascontiguousarray(tables.transpose(0, 2, 1)).reshape(-1, n_items)
    present = ~np.isnan(ballots)
    # Missing scores above all others leave the ranks of the present ones alone.
    ranks = midranks(np.where(present, ballots, np.inf))
    opponents = present.sum(axis=1, keepdims=True) - 1
    counted = present & (opponents > 0)
    shares = np.where(counted, (ranks - 1) / np.maximum(opponents, 1), 0).reshape(n_tables, n_ballots, n_items)
    counts = counted.reshape(n_tables, n_ballots, n_items).sum(axis=1)
    total = shares.sum(axis=1)
    return np.divide(total, counts, out=np.full(total.shape, nan), where=counts > 0)


def _pairwise(table: Floats) -> tuple[Floats, Floats]:
    """Ballots on which the row's item is above, and level with, the column's."""
    wins, ties = np.zeros((2, len(table), len(table)))
    for i, row in enumerate(table):
        wins[i], ties[i] = (row > table).sum(axis=1), (row == table).sum(axis=1)
    np.fill_diagonal(ties, 0)
    return wins, ties


def _copeland(wins: Floats, ties: Floats) -> Floats:
    compared = wins + wins.T + ties > 0
    points = np.where(compared, (1 + np.sign(wins - wins.T)) / 2, 0).sum(axis=1)
    met = compared.sum(axis=1)
    return np.divide(points, met, out=np.full(len(wins), nan), where=met > 0)


def kemeny(preferred: ArrayLike) -> tuple[Ids, bool, bool]:
    """The order that contradicts the fewest pairwise preferences, whether it is proved best, and whether it is alone.

    Args:
        preferred: ballots on which the row's item is preferred to the column's, shape (n_items, n_items).

    Returns:
        Item numbers, best first; exact (linear-ordering integer program) for up to 25 items, else the order after which
        no single item can be moved with a gain, starting from Borda's.

    Source: Kemeny (1959); Grötschel, Jünger and Reinelt (1984) for the program.

    >>> kemeny([[0, 2, 3], [1, 0, 2], [0, 1, 0]])
    (array([0, 1, 2]), True, True)
    """
    wins = np.asarray(preferred, dtype=np.float64)
    margins = wins - wins.T
    if len(wins) > MOST_EXACT_KEMENY:
        return _moved(margins), False, False
    above = _ordering(margins)
    if above is None:
        return _moved(margins), False, False
    order = np.argsort(-above.sum(axis=1), kind="stable")
    other = _ordering(margins, forbidden=above)
    unique = other is None or _agreement(margins, other) < _agreement(margins, above) - 1e-6
    return order, True, unique


def _agreement(margins: Floats, above: Floats) -> float:
    return float((margins * above).sum())


def _ordering(margins: Floats, forbidden: Floats | None = None) -> Floats | None:
    """0-1 matrix of the best order's pairs, by integer programming; None where there is none (but the forbidden)."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    n = len(margins)
    pairs = {pair: k for k, pair in enumerate(combinations(range(n), 2))}
    if not pairs:
        return None if forbidden is not None else np.zeros((n, n))
    above = np.array(list(pairs))
    cost = -margins[above[:, 0], above[:, 1]]
    constraints = []
    triples = list(combinations(range(n), 3))
    if triples:
        rows = np.repeat(np.arange(len(triples)), 3)
        columns = [pairs[pair] for i, j, k in triples for pair in ((i, j), (j, k), (i, k))]
        cycle = coo_array((np.tile([1.0, 1.0, -1.0], len(triples)), (rows, columns)), (len(triples), len(pairs)))
        constraints.append(LinearConstraint(cycle.tocsr(), 0, 1))
    if forbidden is not None:
        known = forbidden[above[:, 0], above[:, 1]]
        constraints.append(LinearConstraint((2 * known - 1)[None], -np.inf, known.sum() - 1))
    found = milp(cost, constraints=constraints, integrality=np.ones(len(pairs), dtype=np.int64), bounds=Bounds(0, 1))
    if not found.success:
        return None
    first = np.round(found.x)
    matrix = np.zeros((n, n))
    matrix[above[:, 0], above[:, 1]], matrix[above[:, 1], above[:, 0]] = first, 1 - first
    return matrix


def _moved(margins: Floats) -> Ids:
    """Borda's order, items moved to where they gain most until none gains."""
    order = list(np.argsort(-margins.sum(axis=1), kind="stable"))
    improved = True
    while improved:
        improved = False
        for item in list(order):
            place = order.index(item)
            rest = [other for other in order if other != item]
            # Put before the k-th of the rest, an item contradicts whoever prefers those from k on.
            gains = np.r_[0.0, np.cumsum(margins[item, rest][::-1])][::-1] - np.r_[0.0, np.cumsum(margins[item, rest])]
            best = int(np.argmax(gains))
            if gains[best] > gains[place] + 1e-9:
                order, improved = [*rest[:best], item, *rest[best:]], True
    return np.array(order, dtype=np.int64)


def _connected(beaten: Floats) -> bool:
    """Whether every item is above, or level with, every other one along some chain of ballots."""
    from scipy.sparse.csgraph import connected_components

    n, _ = connected_components(beaten > 0, directed=True, connection="strong")
    return bool(n == 1)


def plackett_luce(scores: ArrayLike) -> Floats:
    r"""Log strengths by which ballots are most likely, $\prod_k e^{t_k} / \sum_{j \ge k} e^{t_j}$ for each ballot.

    Args:
        scores: higher is better, shape (n_items, n_ballots); NaN is a missing score. Tied items are each chosen from
            all that are not above them.

    Returns:
        Log strengths, shape (n_items,), float64, mean 0, higher is better. Where wins do not connect all items the
        maximum is infinite, and a normal prior of standard deviation 3 keeps it finite.

    Source: Plackett (1975), The analysis of permutations; Breslow (1974) for ties.

    >>> strength = plackett_luce([[2.0, 2.0, 1.0], [1.0, 1.0, 2.0]])
    >>> round(float(np.exp(strength[0] - strength[1])), 3)  # two wins to one
    2.0
    """
    from scipy.optimize import minimize

    table = np.asarray(scores, dtype=np.float64)
    wins, ties = _pairwise(table)
    penalty = 0.0 if _connected(wins + ties) else 1 / PRIOR_SD**2
    likelihood = _Ballots.of(table)
    found = minimize(
        likelihood.loss, np.zeros(len(table)), args=(penalty,), jac=True, method="L-BFGS-B", options={"maxiter": 1000}
    )
    strength: Floats = found.x - found.x.mean()
    return strength


@dataclass(frozen=True)
class _Ballots:
    """Ballots sorted from the worst to the best item, missing ones last; shape (n_ballots, n_items) each."""

    order: NDArray[np.intp]
    present: NDArray[np.bool_]
    first: NDArray[np.intp]
    last: NDArray[np.intp]

    @classmethod
    def of(cls, table: Floats) -> "_Ballots":
        ballots = np.where(np.isnan(table.T), np.inf, table.T)
        order = np.argsort(ballots, axis=1, kind="stable")
        ordered = np.take_along_axis(ballots, order, axis=1)
        place = np.broadcast_to(np.arange(ordered.shape[1]), ordered.shape)
        other, edge = ordered[:, 1:] != ordered[:, :-1], np.ones((len(ordered), 1), dtype=bool)
        starts, ends = np.hstack([edge, other]), np.hstack([other, edge])
        first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
        last = np.minimum.accumulate(np.where(ends, place, place.shape[1] - 1)[:, ::-1], axis=1)[:, ::-1]
        return cls(order, np.isfinite(ordered), first, last)

    def loss(self, strength: Floats, penalty: float) -> tuple[float, Floats]:
        """Negative log-likelihood with its gradient, plus the prior's."""
        e = np.where(self.present, np.exp(strength - strength.max())[self.order], 0.0)
        below = np.take_along_axis(np.cumsum(e, axis=1), self.last, axis=1)
        below = np.where(self.present, below, 1.0)
        value = float((np.log(below) - np.where(self.present, strength[self.order] - strength.max(), 0.0)).sum())
        # An item is in the running of every choice that is not below it.
        choices = np.cumsum(np.where(self.present, 1 / below, 0.0)[:, ::-1], axis=1)[:, ::-1]
        share = e * np.take_along_axis(choices, self.first, axis=1)
        gradient = np.bincount(self.order.ravel(), (share - self.present).ravel(), minlength=len(strength))
        return value + penalty * float(strength @ strength) / 2, gradient + penalty * strength


def _by_evalica(
    table: Floats, wins: Floats, ties: Floats, seed: int, notes: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bradley-Terry strengths and Elo ratings; what is missing is said in `notes`."""
    try:
        import evalica
    except ImportError:
        notes.append("Bradley-Terry and Elo need evalica: pip install 'vestige[metrics]'")
        return (), ()
    strengths: tuple[float, ...] = ()
    if len(table) > 1 and _connected(wins + ties):
        strengths = _bradley_terry(evalica, wins, ties)
    else:
        notes.append("wins do not connect all items: Bradley-Terry has no finite solution")
    if (wins.sum() + ties.sum() / 2) > MOST_ELO or len(table) < 2:
        notes.append(f"Elo is left out: no comparison, or more than {MOST_ELO:,}")
        return strengths, ()
    return strengths, _elo(evalica, table, seed)


def _bradley_terry(evalica: Any, wins: Floats, ties: Floats) -> tuple[float, ...]:
    i, j = np.triu_indices(len(wins), 1)
    outcomes = ((evalica.Winner.X, wins[i, j]), (evalica.Winner.Y, wins[j, i]), (evalica.Winner.Draw, ties[i, j]))
    rows = [
        (a, b, winner, weight)
        for winner, weights in outcomes
        for a, b, weight in zip(i.tolist(), j.tolist(), weights.tolist(), strict=True)
        if weight
    ]
    xs, ys, winners, weights = map(list, zip(*rows, strict=True))
    found = evalica.bradley_terry(xs, ys, winners, weights=weights, tolerance=1e-9, limit=10_000)
    strengths = np.array([found.scores[item] for item in range(len(wins))])
    return tuple((strengths / np.exp(np.log(strengths).mean())).tolist())


def _elo(evalica: Any, table: Floats, seed: int) -> tuple[float, ...]:
    i, j = np.triu_indices(len(table), 1)
    lead = np.sign(table[i] - table[j])
    pair, ballot = np.nonzero(~np.isnan(lead))
    shuffled = np.random.default_rng(seed).permutation(len(pair))
    pair, ballot = pair[shuffled], ballot[shuffled]
    words = {1.0: evalica.Winner.X, -1.0: evalica.Winner.Y, 0.0: evalica.Winner.Draw}
    winners = [words[value] for value in lead[pair, ballot].tolist()]
    if not winners:
        return ()
    found = evalica.elo(i[pair].tolist(), j[pair].tolist(), winners)
    return tuple(float(found.scores.get(item, nan)) for item in range(len(table)))


def survival(scores: ArrayLike, *, seed: int = 0) -> tuple[Survival, ...]:
    """How well Borda's ranking survives when cells are dropped at random, for shares of .1 to .9 over 50 draws each.

    Args:
        scores: higher is better, shape (n_items, n_ballots); NaN is a missing score.
        seed: decides the dropped cells.

    Returns:
        One entry a share. An item that loses all its cells counts as average.

    Source: defined here.

    >>> same_on_all_ballots = np.tile([[1.0], [2.0], [3.0]], 200)
    >>> survival(same_on_all_ballots)[0].tau_mean
    1.0
    """
    from vestige.kernels.rank import kendall_tau_rows

    table, rng = np.asarray(scores, dtype=np.float64), np.random.default_rng(seed)
    full, found = _filled(borda(table)), []
    for share in DROPPED:
        kept = np.array([np.where(rng.random(table.shape) < share, nan, table) for _ in range(N_DROPS)])
        left = _filled(_borda_of(kept))
        tau = kendall_tau_rows(np.ascontiguousarray(left), np.tile(full, (N_DROPS, 1)))
        tau = tau[~np.isnan(tau)]
        low = float(np.quantile(tau, 0.05)) if len(tau) else nan
        found.append(Survival(share, float(tau.mean()) if len(tau) else nan, low))
    return tuple(found)


def _filled(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.5, values)
