import math
import warnings

import numpy as np
import pytest
from scipy import stats

from vestige.kernels import resample_indices
from vestige.stats.bootstrap import bootstrap


def paired(n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, x + rng.normal(size=n)


def value_reference(data, statistic):
    match statistic:
        case "mean":
            return np.mean(data)
        case "weighted_mean":
            return np.average(data[0], weights=data[1])
        case "quantile":
            return np.median(data)
        case "ratio":
            return np.sum(data[0]) / np.sum(data[1])
        case "ks_statistic":
            return stats.ks_2samp(*data).statistic
        case "kendall_tau":
            return stats.kendalltau(*data).statistic
        case "spearman_rho":
            return stats.spearmanr(*data).statistic
        case "roc_auc":
            return stats.mannwhitneyu(*data).statistic / (len(data[0]) * len(data[1]))


DATA = {
    "mean": paired()[0],
    "weighted_mean": (paired()[0], np.exp(paired()[1])),
    "quantile": paired()[0],
    "ratio": (paired()[0], 5 + paired()[1]),
    "kendall_tau": paired(),
    "spearman_rho": paired(),
    "roc_auc": paired(),
    "ks_statistic": paired(),
}
METHODS = ("percentile", "bca", "basic", "jackknife-t")
SMOOTH = [name for name in DATA if name not in ("quantile", "ks_statistic")]
CASES = [(name, method) for name in DATA for method in METHODS if name in SMOOTH or method != "jackknife-t"]


@pytest.mark.parametrize("statistic", DATA)
def test_values_are_scipys(statistic):
    estimate = bootstrap(DATA[statistic], statistic, n_resamples=50)
    assert estimate.value == pytest.approx(value_reference(DATA[statistic], statistic), rel=1e-12)


@pytest.mark.parametrize("statistic, method", CASES)
def test_intervals_surround_the_value_and_say_how_they_were_made(statistic, method):
    estimate = bootstrap(DATA[statistic], statistic, method=method, n_resamples=400)
    if (statistic, method) != ("ks_statistic", "bca"):  # resamples are farther apart than samples are
        assert estimate.low < estimate.value < estimate.high
    assert method.split("-")[0].lower() in estimate.method.lower()
    assert estimate.over == "rows"
    assert estimate.reason == ""


@pytest.mark.parametrize("method", ["percentile", "BCa", "basic"])
def test_intervals_agree_with_scipy_within_the_error_of_the_resamples(method):
    x = DATA["mean"]
    theirs = stats.bootstrap((x,), np.mean, method=method, n_resamples=20_000, rng=np.random.default_rng(0))
    ours = bootstrap(x, method=method.lower(), n_resamples=20_000)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


class OurDraws(np.random.Generator):
    """SciPy asks its generator for the indices of each sample in turn, and gets ours."""

    def __init__(self, seed):
        super().__init__(np.random.Philox(0))
        self.seed, self.sample = seed, -1

    def integers(self, low, high, size, **_options):
        self.sample += 1
        return resample_indices(high, size[0], self.seed, sample=self.sample)


def of_rows(function):
    """A statistic of one vector or two as SciPy wants it, along the last axis."""
    return lambda *samples, axis=-1: np.vectorize(
        function, signature=",".join(["(n)", "(m)"][: len(samples)]) + "->()"
    )(*samples)


@pytest.mark.parametrize("method", ["percentile", "BCa", "basic"])
@pytest.mark.parametrize("statistic", DATA)
def test_intervals_are_scipys_given_the_same_resamples(statistic, method):
    data = DATA[statistic] if isinstance(DATA[statistic], tuple) else (DATA[statistic],)
    paired_columns = len(data) == 2 and statistic not in ("roc_auc", "ks_statistic")
    function = of_rows(lambda *samples: value_reference(samples if len(samples) > 1 else samples[0], statistic))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a resample of KS at the edge
        theirs = stats.bootstrap(
            data, function, paired=paired_columns, method=method, n_resamples=300, vectorized=not paired_columns,
            confidence_level=0.9, rng=OurDraws(5),
        ).confidence_interval  # fmt: skip
    ours = bootstrap(DATA[statistic], statistic, 300, method.lower(), confidence_level=0.9, seed=5)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("statistic", DATA)
def test_strata_are_resampled_on_their_own(statistic):
    strata = np.array(["a", "b", "c"])[np.arange(30) % 3]
    labels = (strata, strata) if statistic in ("roc_auc", "ks_statistic") else strata
    estimate = bootstrap(DATA[statistic], statistic, n_resamples=400, strata=labels)
    assert estimate.low < estimate.high
    assert estimate.n_undefined == 0


def test_strata_of_equal_rows_leave_nothing_to_chance():
    x = np.repeat([1.0, 5.0, 9.0], 25)
    stratified = bootstrap(x, strata=x, n_resamples=200)
    assert (stratified.low, stratified.high) == (5.0, 5.0)
    assert bootstrap(x, n_resamples=200).low < 4.5
    moved = x + np.random.default_rng(0).normal(size=75)
    by_jackknife = bootstrap(moved, strata=x, method="jackknife-t")
    variance = sum(np.var(moved[x == s], ddof=1) * 25 for s in (1, 5, 9)) / 75**2
    assert by_jackknife.high - by_jackknife.low == pytest.approx(2 * stats.t(70).ppf(0.975) * variance**0.5, rel=0.03)


def test_a_ratio_of_sums_is_not_defined_without_a_denominator():
    sometimes = bootstrap(([1.0, 2.0, 3.0], [0.0, 0.0, 1.0]), "ratio", n_resamples=900)
    assert sometimes.n_undefined / 900 == pytest.approx((2 / 3) ** 3, abs=0.06)
    never = bootstrap(([1.0, 2.0], [0.0, 0.0]), "weighted_mean")
    assert math.isnan(never.value)
    assert never.reason == "weights or denominator sum to 0"


def test_the_mean_is_a_t_interval_by_the_jackknife():
    x = DATA["mean"]
    exact = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    ours = bootstrap(x, method="jackknife-t", confidence_level=0.9)
    assert (ours.low, ours.high) == pytest.approx((exact.low, exact.high), rel=1e-10)


def test_the_seed_alone_decides():
    first, again, other = (bootstrap(DATA["mean"], n_resamples=200, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_clusters_are_drawn_whole():
    rng = np.random.default_rng(0)
    ids = np.repeat([f"author {i}" for i in range(25)], 8)
    x = np.repeat(rng.normal(size=25), 8) + 0.01 * rng.normal(size=200)
    rows, clusters = bootstrap(x), bootstrap(x, clusters=ids)
    assert clusters.n_clusters == 25
    assert clusters.over == "clusters"
    assert clusters.high - clusters.low > 2 * (rows.high - rows.low)


def test_two_samples_have_clusters_of_their_own():
    positive, negative = paired(40)
    ids = (np.arange(40) // 2, np.arange(40) // 2)
    estimate = bootstrap((positive + 1, negative), "roc_auc", clusters=ids, method="jackknife-t")
    assert estimate.n_clusters == 40
    assert estimate.n == 80
    assert 0 < estimate.low < estimate.high < 1


def test_bca_is_refused_below_twenty_clusters_with_the_way_out():
    estimate = bootstrap(DATA["mean"][:19], method="bca", n_resamples=100)
    assert not math.isnan(estimate.value)
    assert not estimate.has_interval
    assert "20 clusters" in estimate.reason
    assert "jackknife-t" in estimate.reason


def test_a_degenerate_bca_falls_back_and_says_so():
    estimate = bootstrap(np.ones(25), method="bca", n_resamples=100)
    assert (estimate.low, estimate.high) == (1.0, 1.0)
    assert "percentile" in estimate.method
    assert "degenerate" in estimate.method


def test_undefined_resamples_are_counted():
    x = np.array([0.0] * 5 + [1.0])
    estimate = bootstrap((x, x), "kendall_tau", n_resamples=2_000)
    share = (5 / 6) ** 6  # no draw of the only different row
    assert estimate.n_undefined / 2_000 == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(
    "data, words", [(([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), "constant"), (([1.0, math.nan, 2.0], [1.0, 2.0, 3.0]), "NaN")]
)
def test_undefined_stays_undefined_with_a_reason(data, words):
    estimate = bootstrap(data, "spearman_rho")
    assert math.isnan(estimate.value)
    assert words in estimate.reason


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"statistic": "median"}, "statistic must be one of mean"),
        ({"method": "normal"}, "method must be one of percentile"),
        ({"statistic": "roc_auc"}, "tuple of 2 arrays"),
        ({"data": []}, "non-empty"),
        ({"data": ([1.0], [1.0, 2.0]), "statistic": "kendall_tau"}, "paired arrays of one length"),
        ({"clusters": [0, 1]}, "clusters must hold one label a row"),
        ({"strata": [0, 1]}, "strata must hold one label a row"),
        ({"clusters": [0, 0, 1], "strata": [0, 1, 1]}, "some cluster lies in two"),
        ({"statistic": "quantile", "q": -0.1}, "q must lie in 0 to 1"),
        ({"statistic": "quantile", "method": "jackknife-t"}, "needs a smooth statistic"),
        ({"data": ([1.0], [-1.0]), "statistic": "weighted_mean"}, "finite and not negative"),
    ],
)
def test_a_wrong_argument_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        bootstrap(**{"data": [1.0, 2.0, 3.0], **arguments})
