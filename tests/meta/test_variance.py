import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vestige.meta.layout import lay_out
from vestige.meta.variance import variance_of_metrics, variance_shares
from vestige.metrics.table import ScoreTable


def two_way_reference(x):
    """Textbook two-way random-effects ANOVA without repetitions: components of rows, columns, residual."""
    a, b = x.shape
    grand = x.mean()
    ms_a = b * sum((x[i].mean() - grand) ** 2 for i in range(a)) / (a - 1)
    ms_b = a * sum((x[:, j].mean() - grand) ** 2 for j in range(b)) / (b - 1)
    rest = sum((x[i, j] - x[i].mean() - x[:, j].mean() + grand) ** 2 for i in range(a) for j in range(b))
    ms_e = rest / ((a - 1) * (b - 1))
    return (ms_a - ms_e) / b, (ms_b - ms_e) / a, ms_e


def three_way_reference(x):
    """Textbook three-way random-effects ANOVA without repetitions, by its expected mean squares."""
    a, b, c = x.shape
    m, g = lambda *axes: x.mean(axis=axes, keepdims=True), x.mean()
    ms = {
        "a": b * c * ((m(1, 2) - g) ** 2).sum() / (a - 1),
        "ab": c * ((m(2) - m(1, 2) - m(0, 2) + g) ** 2).sum() / ((a - 1) * (b - 1)),
        "ac": b * ((m(1) - m(1, 2) - m(0, 1) + g) ** 2).sum() / ((a - 1) * (c - 1)),
    }
    rest = x - m(2) - m(1) - m(0) + m(1, 2) + m(0, 2) + m(0, 1) - g
    ms["e"] = (rest**2).sum() / ((a - 1) * (b - 1) * (c - 1))
    return {
        "method": (ms["a"] - ms["ab"] - ms["ac"] + ms["e"]) / (b * c),
        "method x seed": (ms["ab"] - ms["e"]) / c,
        "method x dataset": (ms["ac"] - ms["e"]) / b,
        "residual": ms["e"],
    }


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 10**6))
def test_two_factors_match_the_textbook(a, b, seed):
    x = np.random.default_rng(seed).normal(size=(a, b)) + np.arange(a)[:, None]
    found = variance_shares(x, ("method", "seed"))
    np.testing.assert_allclose([c.variance for c in found.components], two_way_reference(x), rtol=1e-8, atol=1e-10)
    shares = [c.share.value for c in found.components]
    assert sum(shares) == pytest.approx(1)
    assert all(0 <= c.share.low <= c.share.high <= 1 for c in found.components)
    assert [c.df for c in found.components] == [a - 1, b - 1, (a - 1) * (b - 1)]


@pytest.mark.parametrize("seed", range(3))
def test_three_factors_match_the_expected_mean_squares(seed):
    x = np.random.default_rng(seed).normal(size=(4, 3, 5))
    found = {c.source: c.variance for c in variance_shares(x, ("method", "seed", "dataset")).components}
    for source, variance in three_way_reference(x).items():
        assert found[source] == pytest.approx(variance, rel=1e-9, abs=1e-12)


def test_one_factor_with_repetitions_has_the_exact_f_interval():
    x = np.random.default_rng(0).normal(size=(8, 5)) + 2 * np.random.default_rng(1).normal(size=(8, 1))
    component, residual = variance_shares(x, ("method",)).components
    f = stats.f_oneway(*x).statistic
    ends = [(f / stats.f.ppf(q, 7, 32) - 1) / 5 for q in (0.975, 0.025)]
    low, high = (theta / (1 + theta) for theta in ends)
    assert (component.share.low, component.share.high) == pytest.approx((low, high), abs=0.01)
    assert residual.variance == pytest.approx(x.var(axis=1, ddof=1).mean())


def test_the_share_of_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng, truth, held = np.random.default_rng(0), 2 / 4, 0
    for repetition in range(200):
        x = np.sqrt(2) * rng.normal(size=(8, 1, 1)) + rng.normal(size=(8, 4, 1)) + rng.normal(size=(8, 4, 3))
        share = variance_shares(x, ("method", "seed"), seed=repetition).components[0].share
        held += share.low <= truth <= share.high
    assert 0.9 <= held / 200 <= 0.995


def test_signal_to_noise_and_the_smallest_difference_are_those_of_a_paired_design():
    rng = np.random.default_rng(3)
    x = 3 * rng.normal(size=(6, 1)) + rng.normal(size=(1, 5)) + rng.normal(size=(6, 5))
    found = variance_shares(x, ("method", "seed"))
    method, _, residual = two_way_reference(x)
    error = residual / 5
    assert found.signal_to_noise == pytest.approx(np.sqrt(method / error))
    t = stats.t(20)
    assert found.smallest_difference == pytest.approx((t.ppf(0.975) + t.ppf(0.8)) * np.sqrt(2 * error))


def test_the_smallest_difference_is_found_in_about_80_percent():
    rng, found = np.random.default_rng(0), 0
    design = variance_shares(rng.normal(size=(2, 2000)), ("method", "seed"))
    for _ in range(400):
        x = rng.normal(size=(2, 2000))
        x[1] += design.smallest_difference
        found += stats.ttest_rel(x[1], x[0]).pvalue < 0.05
    assert found / 400 == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize(
    "values, reason",
    [
        ([[1.0, np.nan], [2.0, 3.0]], "not balanced"),
        ([[1.0, 2.0]], "one level of method"),
        ([[1.0, 1.0], [1.0, 1.0]], "nothing varies"),
    ],
)
def test_where_nothing_can_be_said_there_is_a_reason(values, reason):
    found = variance_shares(values, ("method", "seed"))
    assert reason in found.reason
    assert found.components == ()
    assert np.isnan(found.signal_to_noise)
    assert variance_shares([1.0, 2.0], ("method",)).reason == "nothing repeats: one value for each level"


def table(n_datasets=3, n_seeds=2, drop=0):
    rows = [(m, d, s) for m in range(4) for d in range(n_datasets) for s in range(n_seeds)][drop:]
    values = np.array([3.0 * m + d + 0.1 * s + 0.01 * ((7 * m + 5 * d + 3 * s) % 4) for m, d, s in rows])
    labels = {"dataset": tuple(f"d{d}" for _, d, _ in rows), "seed": tuple(f"s{s}" for *_, s in rows)}
    return ScoreTable(tuple(f"m{m}" for m, *_ in rows), {"x": values}, {"x": "lower"}, labels), rows, values


def test_a_tables_labels_are_its_factors_in_any_order_of_rows():
    scores, rows, values = table()
    (found,) = variance_of_metrics(lay_out(scores))
    assert found.factors == ("method", "dataset", "seed")
    direct = variance_shares(values.reshape(4, 3, 2), ("method", "dataset", "seed"))
    np.testing.assert_allclose([c.variance for c in found.components], [c.variance for c in direct.components])
    keep = np.random.default_rng(0).permutation(len(rows))
    labels = {name: tuple(column[i] for i in keep) for name, column in scores.labels.items()}
    shuffled = ScoreTable(tuple(scores.models[i] for i in keep), {"x": values[keep]}, {"x": "lower"}, labels)
    np.testing.assert_allclose(
        [c.variance for c in variance_of_metrics(lay_out(shuffled))[0].components],
        [c.variance for c in found.components],
    )
    assert variance_of_metrics(lay_out(table(drop=1)[0]))[0].reason.startswith("not balanced: rows are not equally")


def test_values_by_example_are_a_factor_of_their_own():
    rng = np.random.default_rng(0)
    examples = rng.normal(size=(4, 1)) + rng.normal(size=(1, 50)) + rng.normal(size=(4, 50))
    scores = ScoreTable(tuple("abcd"), {"x": examples.mean(axis=1)}, {"x": "higher"}, examples={"x": examples})
    (found,) = variance_of_metrics(lay_out(scores))
    assert [c.source for c in found.components] == ["method", "example", "residual"]
    np.testing.assert_allclose([c.variance for c in found.components], two_way_reference(examples))


def test_the_axes_must_fit_the_factors():
    with pytest.raises(ValueError, match=r"one axis a factor \(method, seed\)"):
        variance_shares([1.0, 2.0], ("method", "seed"))
