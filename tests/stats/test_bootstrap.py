import math

import numpy as np
import pytest
from scipy import stats

from vestige.stats.bootstrap import bootstrap


def paired(n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, x + rng.normal(size=n)


def value_reference(data, statistic):
    match statistic:
        case "mean":
            return np.mean(data)
        case "kendall_tau":
            return stats.kendalltau(*data).statistic
        case "spearman_rho":
            return stats.spearmanr(*data).statistic
        case "roc_auc":
            return stats.mannwhitneyu(*data).statistic / (len(data[0]) * len(data[1]))


DATA = {"mean": paired()[0], "kendall_tau": paired(), "spearman_rho": paired(), "roc_auc": paired()}
METHODS = ("percentile", "bca", "basic", "jackknife-t")


@pytest.mark.parametrize("statistic", DATA)
def test_values_are_scipys(statistic):
    estimate = bootstrap(DATA[statistic], statistic, n_resamples=50)
    assert estimate.value == pytest.approx(value_reference(DATA[statistic], statistic), rel=1e-12)


@pytest.mark.parametrize("statistic", DATA)
@pytest.mark.parametrize("method", METHODS)
def test_intervals_surround_the_value_and_say_how_they_were_made(statistic, method):
    estimate = bootstrap(DATA[statistic], statistic, method=method, n_resamples=400)
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
        ({"clusters": [0, 1]}, "one label a row"),
    ],
)
def test_a_wrong_argument_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        bootstrap(**{"data": [1.0, 2.0, 3.0], **arguments})
