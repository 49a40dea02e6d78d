"""Figures of arXiv 2605.02206 and of its released tables, to the digits that are printed."""

import numpy as np
import pytest

from vestige.meta.reliability import reliability

# abstract, tables and released outputs of the paper
PUBLISHED = {
    "tau FA-AD": -0.259259,
    "tau FA-RA": 0.851852,
    "rho RA": 0.483653,
    "p RA": 0.002804,
    "rho FA": -0.417792,
    "p FA": 0.011231,
    "rho MIA": 0.224016,
    "rho AD": -0.215329,
    "rho JS": -0.051480,
    "mean tau": 0.0861024,
    "mean tau, compared table": 0.1580095,
    "difference of mean tau": 0.0719070,
    "weight FA": 0.013556213,
    "weight RA": 0.655650530,
    "weight MIA": 0.303680831,
    "perturbation tau mean": 0.6466667,
    "perturbation tau sd": 0.2617038,
    "perturbation tau mean, exp(-AD / 100)": 0.350,
}
UQS = {"gradient_ascent": 0.6448, "random_labels": 0.6306, "salun": 0.6173, "finetune_retain": 0.5957}


@pytest.fixture(scope="module")
def published(unified):
    return reliability(**unified, convention="published")


def digits(value):
    return len(repr(value).split(".")[1])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_come_back_to_the_printed_digits(published, name):
    assert published.published[name] == pytest.approx(PUBLISHED[name], abs=0.51 * 10 ** -digits(PUBLISHED[name]))


@pytest.mark.parametrize("method", UQS)
def test_published_method_scores_come_back(published, method):
    assert published.published[f"UQS {method}"] == pytest.approx(UQS[method], abs=0.51e-4)


def test_the_published_result_shows_the_papers_matrix_and_weights(published):
    assert published.convention == "published"
    assert published.agreement.tau[0, 3] == published.published["tau FA-AD"]
    assert published.agreement_pooled.mean_tau == published.published["mean tau"]
    assert published.comparison.mean_tau == published.published["mean tau, compared table"]
    assert published.quality.weights["RA"] == published.published["weight RA"]
    assert published.robustness[0].tau_mean == published.published["perturbation tau mean"]
    assert "in-sample" in published.quality.recipe


def test_findings_say_what_the_default_gives_instead(published):
    findings = {f.columns[0]: f for f in published.findings if f.code == "published_tracking"}
    assert findings["RA"].severity == "artefact"
    assert "p 0.003" in findings["RA"].message
    assert "p 0.750" in findings["RA"].message
    assert "no evidence" in findings["RA"].message
    codes = {finding.code for finding in published.findings}
    assert {"published_weights", "published_perturbation", "index_order_tau"} <= codes


def test_verdicts_stay_those_of_the_default_test(published):
    assert {entry.verdict for entry in published.tracking} == {"no evidence"}


def table(n_sets=3, columns=("FA", "RA", "MIA", "AD", "JS"), seed=0):
    """A table of the paper's shape made of noise."""
    rng = np.random.default_rng(seed)
    n = n_sets * 4
    return {
        "dataset": [f"d{i // 4}" for i in range(n)],
        "method": list("wxyz") * n_sets,
        **{name: rng.random(n) for name in columns},
        "gap": rng.random(n),
    }


BETTER = {"FA": "lower", "RA": "higher", "MIA": "lower", "AD": "lower", "JS": "lower"}


def test_any_table_of_the_five_metrics_can_be_analysed_that_way():
    result = reliability(
        table(), better=BETTER, distance="gap", groups=("dataset",), clusters=("dataset",), convention="published"
    )
    assert sum(result.quality.weights.values()) == pytest.approx(1)
    assert {"tau FA-AD", "tau FA-AD, tau-b", "UQS w", "mean tau"} <= set(result.published)
    assert "mean tau, compared table" not in result.published


@pytest.mark.parametrize(
    "columns, changes, words",
    [
        (("FA", "RA"), {"better": {"FA": "lower", "RA": "higher"}}, "no MIA, AD, JS"),
        (tuple(BETTER), {"groups": ()}, "within groups"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(columns, changes, words):
    arguments = {"better": BETTER, "distance": "gap", "groups": ("dataset",), **changes}
    with pytest.raises(ValueError, match=words):
        reliability(table(columns=columns), convention="published", **arguments)


def test_a_method_without_any_value_of_a_metric_is_named():
    holes = {**table(), "JS": [None, 0.5, 0.5, 0.5] * 3}
    with pytest.raises(ValueError, match="'w' has no JS"):
        reliability(holes, better=BETTER, distance="gap", groups=("dataset",), convention="published")


def test_without_any_correlation_no_metric_is_called_the_best():
    flat = {**table(), "gap": [1.0] * 12}
    quality = reliability(flat, better=BETTER, distance="gap", groups=("dataset",), convention="published").quality
    assert quality.best_single == ""
    assert np.isnan(quality.best_single_held_out.value)
    assert "no metric has a defined correlation" in quality.best_single_held_out.reason


def test_ties_broken_by_row_order_are_an_artefact_where_they_are_printed():
    tied = {**table(), "FA": [0.1, 0.2, 0.2, 0.2] * 3, "JS": [0.3, 0.3, 0.3, 0.1] * 3}
    asked = {"better": BETTER, "distance": "gap", "groups": ("dataset",), "clusters": ("dataset",)}
    severities = {
        convention: [
            f.severity
            for f in reliability(tied, convention=convention, **asked).findings
            if f.code == "index_order_tau"
        ]
        for convention in ("default", "published")
    }
    assert severities == {"default": ["note"], "published": ["artefact"]}


def test_the_published_analysis_needs_a_distance():
    without = {name: values for name, values in table().items() if name != "gap"}
    with pytest.raises(ValueError, match=r"needs the metrics .* no a distance"):
        reliability(without, better=BETTER, groups=("dataset",), convention="published")
