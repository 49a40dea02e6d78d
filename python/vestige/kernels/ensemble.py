"""Many models of each of two kinds, compared example by example."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige import _rust
from vestige.kernels._array import count, integers, matrix, table

_AXES = "(n_models, n_examples)"
_BUCKET = 0.5  # widths of the competition's score of epsilon


def logit_margins(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    r"""Log-odds of the labelled class of each row, $z_y - \ln \sum_{j \ne y} e^{z_j}$.

    The same for logits and for log-probabilities, and never infinite because a probability was rounded to 1.

    Args:
        logits: shape (n_rows, n_classes) or (n_classes,), float64, float32, float16 or bfloat16; or log-probabilities.
        labels: class of each row, shape (n_rows,) or (), integers within [0, n_classes).

    Returns:
        One margin per row, shape (n_rows,) or (), float64, in nats, within [-inf, inf].
        Higher is surer of the label; 0 means even odds. A row with a NaN gives NaN. Right to 1e-6 for tables of at
        most 32 bits, which are summed in float32, and to 1e-12 for float64.

    Raises:
        ValueError: if there is not one label a row, or a label is no class.
        TypeError: if labels are not integers.

    Source: Rinberg et al. (2024), Easy data unlearning bench; released code of KLoM.

    >>> logit_margins([[2.0, 0.0]], [0])
    array([2.])
    """
    rows, labels = table(logits, "logits"), integers(labels, "labels")
    if labels.size != rows.values.shape[0]:
        raise ValueError(f"`labels` must hold one a row, but there are {labels.size} for {rows.values.shape[0]} rows")
    return rows.shaped(_rust.logit_margins(rows.values, labels, rows.dtype))


def klom(
    unlearned: ArrayLike,
    retrained: ArrayLike,
    n_bins: int = 20,
    floor: float = 1e-5,
    clip: float = 100.0,
    variant: Literal["closed", "released"] = "closed",
) -> NDArray[np.float64]:
    """KL divergence of margins, binned: how differently two sets of models treat each example.

    The margins of an example under all models are counted in bins of equal width between the lowest and the highest of
    both sets; where the unlearned models have any, the retrained ones have a probability of at least `floor`.

    Args:
        unlearned: margins (see `logit_margins`), shape (n_models, n_examples).
        retrained: margins under the models to compare with, shape (other_n_models, n_examples).
        n_bins: number of bins.
        floor: smallest probability of a bin of the retrained models, within (0, 1).
        clip: margins beyond this are moved to it.
        variant: "closed", or "released" as in the authors' code, where the highest margin of both sets falls in no bin:
            then constants that differ have 0 or NaN.

    Returns:
        One divergence per example, shape (n_examples,), float64, in nats, within [0, ln(1 / floor)] or hardly above.
        Lower is closer; 0 means equal counts. An example with a NaN gives NaN.

    Raises:
        ValueError: if the sets differ in examples, or a setting is out of range.

    Source: Rinberg et al. (2024), Data-unlearn-bench (arXiv 2410.23232), and its released code.

    >>> klom([[1.0], [1.0]], [[3.0], [3.0]]).round(3)
    array([11.513])
    """
    if not 0 < floor < 1:
        raise ValueError(f"`floor` must lie between 0 and 1, but it is {floor}")
    if not 0 < clip < np.inf:
        raise ValueError(f"`clip` must be positive and finite, but it is {clip}")
    pair = _ensembles(unlearned, retrained)
    return _rust.klom(*pair, count(n_bins, "n_bins"), float(floor), float(clip), variant)


def example_epsilons(
    unlearned: ArrayLike,
    retrained: ArrayLike,
    delta: float = 1e-5,
    variant: Literal["exact", "released"] = "exact",
) -> NDArray[np.float64]:
    r"""How surely an attack tells from one example's margin whether a model was unlearned or retrained.

    With error rates $a, b$ of both kinds, the largest $\max(\ln\frac{1 - \delta - a}{b}, \ln\frac{1 - \delta - b}{a})$
    of any rule "above a threshold" or "between two thresholds". A rule with errors of one kind only does not count, one
    without errors reaches the cap of 50, and so do samples of which one spreads less than a hundredth of the other.

    Args:
        unlearned: margins (see `logit_margins`), shape (n_models, n_examples).
        retrained: margins under the models to compare with, shape (other_n_models, n_examples).
        delta: of differential privacy, within [0, 1).
        variant: "exact" tries every threshold that makes a difference; "released" those of the competition's code, 100
            a unit, so that it depends on the scale of the margins; it is never larger.

    Returns:
        One epsilon per example, shape (n_examples,), float64, within [0, 50]; NaN where no rule counts or a margin
        is NaN. Lower is closer. With few models it is biased upwards: compare with retrained models split in halves.

    Raises:
        ValueError: if the sets differ in examples or `delta` is out of range.

    Source: Triantafillou et al. (2024), Are we making progress in unlearning? (arXiv 2406.09073); its released code.

    >>> example_epsilons([[0.0], [1.0]], [[2.0], [3.0]])
    array([50.])
    """
    if not 0 <= delta < 1:
        raise ValueError(f"`delta` must lie in 0 to 1, but it is {delta}")
    return _rust.example_epsilons(*_ensembles(unlearned, retrained), float(delta), variant)


def forgetting_score(epsilons: ArrayLike, n_models: int) -> float:
    r"""The competition's forgetting quality: the mean over examples of $2^{-\lfloor 2 \epsilon \rfloor}$.

    An epsilon of ceil(ln(n_models - 1)) or more, which so few models cannot measure, scores 0.

    Args:
        epsilons: one per example (see `example_epsilons`), shape (n_examples,).
        n_models: number of models of each kind, at least 2; 512 in the competition.

    Returns:
        The score, within [0, 1]; NaN if an epsilon is NaN. Higher is better.

    Raises:
        ValueError: if `n_models` is below 2.

    Source: Triantafillou et al. (2024), Are we making progress in unlearning? (arXiv 2406.09073); its released code.

    >>> forgetting_score([0.49, 0.5, 7.0], n_models=512)
    0.5
    """
    if count(n_models, "n_models") < 2:
        raise ValueError(f"`n_models` must be at least 2, but it is {n_models}")
    values = np.asarray(epsilons, dtype=np.float64)
    limit = np.ceil(np.log(n_models - 1))
    points = np.where(values < limit, 2.0 ** -np.floor(values / _BUCKET), 0.0)
    return float(np.where(np.isnan(values), np.nan, points).mean())


def _ensembles(unlearned: ArrayLike, retrained: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = matrix(unlearned, "unlearned", _AXES), matrix(retrained, "retrained", _AXES)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"`unlearned` and `retrained` must have the same examples, but have {first.shape[1]} and {second.shape[1]}"
        )
    return first, second
