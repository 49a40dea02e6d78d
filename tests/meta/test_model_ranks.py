import numpy as np
import pytest

from vestige.meta.layout import lay_out
from vestige.meta.model_ranks import model_ranks, ranks_of_composite, ranks_of_metrics
from vestige.metrics.table import ScoreTable
from vestige.stats.rank_sets import rank_sets


def spread(n_models=5, n_examples=200, gap=2.0, seed=0):
    return np.random.default_rng(seed).normal(size=(n_models, n_examples)) + gap * np.arange(n_models)[:, None]


def test_the_sets_are_those_of_the_statistic_simultaneous_and_alone():
    values, ids = spread(gap=0.2), np.arange(200) // 4
    found = model_ranks(tuple("abcde"), values, clusters=ids, n_resamples=500, seed=3)
    together, alone = (rank_sets(values, clusters=ids, simultaneous=s, n_resamples=500, seed=3) for s in (True, False))
    assert found.low == tuple(together.low)
    assert found.high == tuple(together.high)
    assert found.low_alone == tuple(alone.low)
    assert found.high_alone == tuple(alone.high)
    assert (found.n_clusters, found.n_resamples, found.n_left_out) == (50, 500, 0)


def test_models_far_apart_have_one_rank_each_in_the_right_direction():
    found = model_ranks(tuple("abcde"), spread(), n_resamples=500)
    assert found.low == found.high == found.rank == (5, 4, 3, 2, 1)
    assert found.not_separated_from_best == ("e",)
    lower = model_ranks(tuple("abcde"), spread(), higher_is_better=False, n_resamples=500)
    assert lower.low == lower.high == (1, 2, 3, 4, 5)


def test_closeness_to_a_reference_ranks_by_distance_from_it():
    found = model_ranks(tuple("abcde"), spread(), reference=4.2, n_resamples=500)
    assert found.rank == (5, 3, 1, 2, 4)
    assert found.low == found.high == (5, 3, 1, 2, 4)


def test_tied_models_cannot_be_separated():
    found = model_ranks(tuple("abcd"), spread(4, gap=0.0), n_resamples=500)
    assert found.not_separated_from_best == tuple("abcd")
    assert set(found.high) == {4}


def test_an_example_that_one_model_lacks_is_left_out_for_all():
    values = spread()
    values[1, :30] = np.nan
    found = model_ranks(tuple("abcde"), values, n_resamples=200)
    kept = model_ranks(tuple("abcde"), values[:, 30:], n_resamples=200)
    assert found.n_left_out == 30
    assert (found.low, found.high) == (kept.low, kept.high)


def test_few_clusters_leave_every_rank_open_and_say_so():
    found = model_ranks(tuple("abcde"), spread(), clusters=np.arange(200) % 19)
    assert found.reason == "19 clusters, a bootstrap needs 20"
    assert (found.low, found.high, found.n_resamples) == ((1,) * 5, (5,) * 5, 0)
    assert found.rank == (5, 4, 3, 2, 1)
    lower = model_ranks(tuple("abcde"), spread(), clusters=np.arange(200) % 19, higher_is_better=False)
    assert lower.rank == (1, 2, 3, 4, 5)
    nothing = model_ranks(("a", "b"), np.full((2, 3), np.nan))
    assert np.isnan(nothing.rank).all()
    assert nothing.reason


def test_only_columns_that_are_means_of_their_examples_are_ranked():
    values = spread()
    columns = {"mean": values.mean(axis=1), "max": values.max(axis=1), "none": np.arange(5.0)}
    better = {"mean": "lower", "max": "higher", "none": "higher"}
    table = ScoreTable(tuple("abcde"), columns, better, examples={"mean": values, "max": values})
    (found,) = ranks_of_metrics(lay_out(table), n_resamples=200)
    assert found.metric == "mean"
    assert found.low == (1, 2, 3, 4, 5)


def repeated(n_datasets, n_seeds=1, n_models=3):
    rows = [(m, d, s) for m in range(n_models) for d in range(n_datasets) for s in range(n_seeds)]
    labels = {"dataset": tuple(f"d{d}" for _, d, _ in rows), "seed": tuple(f"s{s}" for *_, s in rows)}
    scores = np.array([m for m, *_ in rows]) + np.random.default_rng(0).normal(size=len(rows)) / 4
    return ScoreTable(tuple(f"m{m}" for m, *_ in rows), {"x": scores}, {"x": "higher"}, labels), scores


def test_rows_of_a_model_are_its_replicates_and_benchmarks_their_clusters():
    table, scores = repeated(25, 2)
    found = ranks_of_composite(lay_out(table, ("dataset", "seed"), ("dataset",)), scores, n_resamples=300)
    assert (found.over, found.n_clusters, found.items) == ("datasets", 25, ("m0", "m1", "m2"))
    assert found.low == found.high == (3, 2, 1)
    few = ranks_of_composite(lay_out(table, ("dataset", "seed"), ("seed",)), scores)
    assert (few.over, few.reason) == ("seeds", "2 clusters, a bootstrap needs 20")


def test_the_order_of_rows_changes_nothing():
    table, scores = repeated(25)
    order = np.random.default_rng(1).permutation(len(scores))
    shuffled = ScoreTable(
        tuple(table.models[i] for i in order),
        {"x": scores[order]},
        table.better,
        {name: tuple(column[i] for i in order) for name, column in table.labels.items()},
    )
    one = ranks_of_composite(lay_out(table, ("dataset",)), scores, n_resamples=300)
    other = ranks_of_composite(lay_out(shuffled, ("dataset",)), scores[order], n_resamples=300)
    assert dict(zip(one.items, one.low, strict=True)) == dict(zip(other.items, other.low, strict=True))


def test_a_table_whose_models_have_one_row_each_has_no_replicates():
    table = ScoreTable(tuple("abc"), {"x": np.arange(3.0)}, {"x": "higher"}, {"dataset": ("d", "d", "e")})
    assert ranks_of_composite(lay_out(table, ("dataset",)), np.arange(3.0)) is None


def test_a_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"shape \(n_models, n_examples\) for 2 models, got \(3, 4\)"):
        model_ranks(("a", "b"), np.zeros((3, 4)))
