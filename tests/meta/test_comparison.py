import numpy as np
import pytest
from scipy import stats

from vestige.data.columns import TableError
from vestige.data.example_scores import table_from_examples
from vestige.meta.comparison import compare_models
from vestige.metrics.table import ScoreTable


def table_of(values, clusters=None, better="higher"):
    names = tuple("abcdefgh"[: len(values)])
    return ScoreTable(
        names, {"X": np.nanmean(values, axis=1)}, {"X": better}, examples={"X": values}, example_clusters=clusters
    )


def paired(seed, shift, n=60):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    return np.stack([common + s + 0.3 * rng.normal(size=n) for s in shift])


def test_a_better_model_is_found_though_its_examples_vary_more_than_it_gains():
    (entry,) = compare_models(table_of(paired(0, (0.3, 0.0))))
    assert entry.verdict == "better" and entry.difference.low > 0
    assert compare_models(table_of(paired(0, (0.3, 0.0)), better="lower"))[0].verdict == "worse"


def test_p_is_near_that_of_scipys_paired_permutation():
    values = paired(1, (0.1, 0.0), n=25)
    (entry,) = compare_models(table_of(values))
    expected = stats.permutation_test(
        (values[0], values[1]),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(0),
        vectorized=True,
    ).pvalue
    assert entry.p == pytest.approx(expected, abs=0.02)
    assert entry.p_adjusted == entry.p


def test_within_the_margin_two_models_are_equivalent_and_without_one_undecided():
    values = paired(2, (0.0, 0.0))
    assert compare_models(table_of(values), margins={"X": 0.3})[0].verdict == "equivalent"
    assert compare_models(table_of(values))[0].verdict == "undecided"


def test_all_pairs_are_one_family():
    entries = compare_models(table_of(paired(3, (0, 0, 0, 0, 0.5))))
    assert len(entries) == 10 and {entry.family for entry in entries} == {10}
    assert all(entry.p_adjusted >= entry.p for entry in entries)
    verdicts = {(entry.first, entry.second): entry.verdict for entry in entries}
    assert [verdicts[name, "e"] for name in "abcd"] == ["worse"] * 4


def test_clusters_are_flipped_and_drawn_as_a_whole():
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(6), 20)
    effect = rng.normal(size=6)[clusters]
    values = np.stack([effect, np.zeros(120)]) + 0.01 * rng.normal(size=(2, 120))
    one_by_one, clustered = (compare_models(table_of(values, c))[0] for c in (None, clusters))
    assert clustered.p >= 2 / 2**6 and clustered.difference.n_clusters == 6
    assert clustered.smallest_effect > 2 * one_by_one.smallest_effect
    sums = np.array([(values[0] - values[1])[clusters == c].mean() for c in range(6)])
    half = stats.t.ppf(0.975, 5) * sums.std(ddof=1) / 6**0.5
    assert clustered.difference.high - clustered.difference.value == pytest.approx(half)


def test_the_smallest_effect_is_found_four_times_in_five():
    rng = np.random.default_rng(5)
    effect = compare_models(table_of(np.stack([rng.normal(size=40), np.zeros(40)])))[0].smallest_effect
    assert effect == pytest.approx((2.0227 + 0.851) / 40**0.5, rel=0.25)
    true = (2.0227 + 0.851) / 40**0.5
    found = [stats.ttest_1samp(rng.normal(size=40) + true, 0).pvalue <= 0.05 for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_only_shared_examples_count():
    values = paired(6, (0.3, 0.0))
    values[0, :10] = np.nan
    (entry,) = compare_models(table_of(values))
    assert entry.difference.n == 50
    assert entry.difference.value == pytest.approx((values[0] - values[1])[10:].mean())


def test_a_long_file_is_enough():
    long = {
        "model": ["a"] * 4 + ["b"] * 4,
        "example": list("wxyz") * 2,
        "cluster": ["u", "u", "v", "w"] * 2,
        "RA": [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    }
    table = table_from_examples(long, better={"RA": "higher"})
    (entry,) = compare_models(table)
    assert entry.difference.value == 0.5 and entry.difference.n_clusters == 3


def test_two_clusters_prove_nothing():
    (entry,) = compare_models(table_of(paired(7, (1.0, 0.0), n=2)))
    assert entry.verdict == "undefined" and "a comparison needs 3" in entry.difference.reason


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"models": ("a", "z")}, "0 rows are called 'z'"),
        ({"models": ("a",)}, "needs two models, got a"),
        ({"metrics": ("Y",)}, "'Y' has no values by example"),
    ],
)
def test_wrong_names_are_refused(asked, words):
    with pytest.raises(TableError, match=words):
        compare_models(table_of(paired(8, (0.0, 0.0))), **asked)
    with pytest.raises(TableError, match="nothing can be paired"):
        compare_models(ScoreTable(("a", "b"), {"X": np.zeros(2)}, {"X": "higher"}))
