"""Statistics of two independent samples."""

from numpy.typing import ArrayLike

from vestige import _rust
from vestige.kernels._array import vector


def roc_auc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive is above a negative, ties counting half.

    Args:
        positive: scores of the positives, shape (n_positive,), any real dtype.
        negative: scores of the negatives, shape (n_negative,), any real dtype.

    Returns:
        The area, without unit, within [0, 1]; 0.5 means that scores tell nothing. NaN if a score is NaN.
        Higher means that positives score higher.

    Raises:
        ValueError: if an argument is empty or not a vector.

    Source: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve; agrees with scikit-learn.

    >>> roc_auc([1, 2], [1, 0])
    0.875
    """
    return _rust.roc_auc(vector(positive, "positive"), vector(negative, "negative"))


def ks_statistic(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sample Kolmogorov-Smirnov statistic: the largest distance between two distribution functions.

    Args:
        x: first sample, shape (n_x,), any real dtype.
        y: second sample, shape (n_y,), any real dtype.

    Returns:
        The statistic, without unit, within [0, 1]; 0 means equal samples. NaN if a value is NaN.
        Lower is closer. Symmetric.

    Raises:
        ValueError: if an argument is empty or not a vector.

    Source: Smirnov (1939), as in `scipy.stats.ks_2samp`, with which it agrees.

    >>> ks_statistic([1, 2], [1, 0])
    0.5
    """
    return _rust.ks_statistic(vector(x, "x"), vector(y, "y"))
