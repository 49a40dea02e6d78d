from dataclasses import replace
from math import inf, isfinite, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.report import charts
from vestige.stats.estimate import Estimate


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6))
def test_a_log_axis_holds_its_values_and_has_ticks_in_order(values):
    axis = charts.log_axis(values, 300.0)
    places = [axis.x(value) for value in sorted(values)]
    assert places == sorted(places) and places[0] > 0 and places[-1] < 300
    assert [tick.x for tick in axis.ticks] == sorted(tick.x for tick in axis.ticks)


def test_equal_ratios_lie_equally_far_apart_on_a_log_axis():
    axis = charts.Axis(0.1, 10.0, 200.0, log=True)
    assert axis.x(1.0) - axis.x(0.5) == pytest.approx(axis.x(4.0) - axis.x(2.0), abs=0.2)


def test_a_mark_says_where_its_interval_leaves_the_axis():
    axis = charts.Axis(0.5, 5.0, 100.0, log=True)
    placed = charts.mark(axis, Estimate(1.0, 0.1, inf))
    assert (placed.x_low, placed.x_high, placed.cut_low, placed.cut_high) == (0.0, 100.0, True, True)


def test_a_value_without_an_interval_is_a_point_and_an_undefined_one_nothing():
    axis = charts.correlation_axis(200.0)
    placed = charts.mark(axis, Estimate(0.5))
    assert placed.x == placed.x_low == placed.x_high == 150.0
    assert charts.mark(axis, Estimate(nan, reason="constant column")) is None


def test_the_ratio_plot_has_every_model_with_a_finite_ratio_in_order_of_rank(report):
    plot = charts.ratio_plot(report, 500.0)
    finite = [row for row in report.rows if row.verdict and isfinite(row.verdict.ratio.value)]
    assert [row.label for row in plot.rows if not row.planted] == [r.model for r in finite if r.role == "unlearned"]
    assert len(plot.rows) == len(finite) and plot.left_out == ("ssd@4",)
    assert all(0 <= row.mark.x <= 500 for row in plot.rows) and plot.x_one < plot.x_margin


def test_one_endless_interval_does_not_squeeze_the_others(report):
    first = report.rows[0]
    endless = replace(first.verdict, ratio=replace(first.verdict.ratio, high=1e9))
    stretched = replace(report, rows=(replace(first, verdict=endless), *report.rows[1:]))
    plot = charts.ratio_plot(stretched, 500.0)
    assert plot.axis.high < 100 and plot.rows[0].mark.cut_high


def test_of_very_many_models_the_best_are_drawn_and_the_rest_counted(report):
    many = tuple(replace(report.rows[0], model=f"m{i}", rank=i) for i in range(1, 151))
    plot = charts.ratio_plot(replace(report, rows=many), 500.0)
    assert [row.label for row in plot.rows] == [f"m{i}" for i in range(1, 101)] and plot.n_more == 50


def test_without_verdicts_there_is_no_ratio_plot(table_report):
    assert charts.ratio_plot(table_report, 500.0) is None


def test_histograms_share_axes_and_their_bars_hold_all_draws(report):
    drawn = charts.histograms(report.reliability.robustness, 300.0, 100.0)
    assert {h.axis for h in drawn} == {drawn[0].axis} and {h.top for h in drawn} == {drawn[0].top}
    heights = [sum(bar.height for bar in h.bars) for h in drawn]
    assert heights == pytest.approx([heights[0]] * 3, abs=1) and max(b.height for h in drawn for b in h.bars) == 100


def test_undefined_draws_are_counted_and_not_drawn(report):
    tau = np.array([nan, -0.5, 1.0, 1.0])
    (drawn,) = charts.histograms((replace(report.reliability.robustness[0], tau=tau),), 300.0, 90.0)
    assert drawn.n_undefined == 1 and drawn.axis.low == -1.0
    assert [bar.height for bar in drawn.bars] == [45.0, 90.0]


def test_draws_without_any_defined_tau_leave_an_empty_histogram(report):
    entry = replace(report.reliability.robustness[0], tau=np.full(3, nan), tau_mean=nan, tau_sd=nan)
    (drawn,) = charts.histograms((entry,), 300.0, 90.0)
    assert drawn.bars == () and drawn.n_undefined == 3
