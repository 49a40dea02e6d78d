from dataclasses import replace
from math import nan

import pytest

from vestige.meta.results import Finding
from vestige.report import contents, summary
from vestige.stats.estimate import Estimate


def with_verdicts(report, words):
    """The report with the given verdicts on its first models, and no others."""
    rows = contents.ranked(report)[: len(words)]
    return replace(
        report,
        rows=tuple(
            replace(row, verdict=replace(rows[0].verdict, verdict=word)) for row, word in zip(rows, words, strict=True)
        ),
    )


def with_controls(report, passes):
    """The report with only as many cards as there are answers."""
    cards = tuple(replace(card, passes_controls=p) for card, p in zip(report.cards, passes, strict=False))
    return replace(report, cards=cards)


def test_there_are_three_to_five_sentences(report, table_report):
    for some in (report, table_report, replace(report, reliability=None)):
        assert 3 <= len(summary.sentences(some)) <= 5


def test_verdicts_are_counted(report):
    text = summary.verdict_sentence(with_verdicts(report, ["equivalent", "different", "different", "undecided"]))
    assert text.startswith("Of 4 unlearned models, 1 is equivalent to retraining, 2 different and 1 undecided")


def test_ratios_without_intervals_are_explained(report):
    bare = replace(report.rows[0].verdict, ratio=Estimate(4.0, reason="2 retrained models, an interval needs 3"))
    rows = tuple(replace(row, verdict=bare) for row in report.rows)
    text = summary.verdict_sentence(replace(report, rows=rows))
    assert text.endswith("No ratio has an interval: 2 retrained models, an interval needs 3.")
    assert "No ratio has" not in summary.verdict_sentence(report)


def test_without_retrained_seeds_no_verdict_is_claimed(table_report):
    assert summary.verdict_sentence(table_report) == (
        "36 rows of scores by 5 metrics; without distances between several retrained seeds, "
        "no verdict of equivalence to retraining is possible."
    )


def test_the_best_is_named_with_its_verdict_and_open_order(report):
    text = summary.best_sentence(report)
    best, rest = contents.ranked(report)[0], contents.ranked(report)[1:]
    n_open = sum(row.verdict.ratio.low <= best.verdict.ratio.high for row in rest)
    assert text.startswith(f"Closest to retraining is {best.model} (ratio")
    assert f"overlaps those of {n_open} others: their order is open." in text


def test_rows_of_one_name_are_told_apart_by_their_labels(table_report):
    assert "gradient_ascent (dataset mmlu, seed 0)" in summary.best_sentence(table_report)


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        ([None, None], "No planted controls were measured"),
        ([True, True, True], "All 3 metrics and distances treat the planted controls as they must."),
        ([True, False, None], "RA fails a planted control (1 of 2 metrics and distances): do not read its"),
        ([False, False, True], "FA and RA fail a planted control (2 of 3 metrics and distances): do not read their"),
    ],
)
def test_metrics_that_fail_a_control_are_named(report, passes, words):
    assert summary.control_sentence(with_controls(report, passes)).startswith(words)


def test_a_verdict_that_misses_a_planted_model_is_told(report):
    rows = tuple(
        replace(row, verdict=replace(row.verdict, verdict="undecided")) if row.expected == "different" else row
        for row in report.rows
    )
    text = summary.control_sentence(replace(report, rows=rows))
    assert text.endswith("The verdict itself misses 1 planted model: original again.")
    assert "misses" not in summary.control_sentence(report)


def test_tracking_by_construction_is_said(report):
    text = summary.sentences(report)[3]
    tracked = [entry for entry in report.reliability.tracking if entry.verdict == "tracks"]
    assert [entry.metric for entry in tracked] == ["JS"] and tracked[0].shares_machinery
    assert text.startswith("JS tracks closeness to retraining by js_to_retrained, partly by construction")


def test_where_nothing_tracks_that_is_said_in_a_whole_sentence(report):
    entries = tuple(replace(entry, verdict="no evidence") for entry in report.reliability.tracking)
    judged = replace(report.reliability, tracking=entries, second_tracking=())
    assert summary.sentences(replace(report, reliability=judged))[3] == (
        "No metric is shown to track closeness to retraining by js_to_retrained (p adjusted over 10 metrics)."
    )


def test_without_a_distance_that_is_said(report):
    bare = replace(report, reliability=replace(report.reliability, tracking=(), second_tracking=(), quality=None))
    assert summary.sentences(bare)[-1].startswith("Without a distance to a retrained model")


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        (Estimate(0.6, 0.3, 0.9), "it is worth no more than that one"),
        (Estimate(0.7, 0.4, 0.9), "a gain that its interval does not settle"),
        (Estimate(0.9, 0.7, 0.95), "it is worth more than that one"),
        (Estimate(0.9), "a gain that its interval does not settle"),
        (Estimate(nan, reason="1 fold"), "whether it is worth more is undefined here"),
    ],
)
def test_the_composite_is_held_against_its_best_part(report, held_out, words):
    quality = replace(report.reliability.quality, rho_held_out=held_out, best_single_held_out=Estimate(0.66))
    assert summary.composite_verdict(quality) == words


def test_findings_come_worst_first_and_once(report):
    twice = replace(report, findings=(*report.findings, *report.reliability.findings, Finding("x", "note", (), "last")))
    found = contents.findings(twice)
    assert [finding.severity for finding in found] == ["artefact", "warning", "note", "note", "note"]
    assert len({finding.message for finding in found}) == len(found)


def test_a_control_is_kept_when_it_gets_the_verdict_it_must(report):
    control = next(row for row in report.rows if row.expected == "different")
    for word, kept in (("different", True), ("undecided", False), ("equivalent", False)):
        assert contents.control_kept(replace(control, verdict=replace(control.verdict, verdict=word))) is kept
        never = replace(control, expected="not different", verdict=replace(control.verdict, verdict=word))
        assert contents.control_kept(never) is (word != "different")
    assert contents.control_kept(replace(control, verdict=None)) is None


def test_the_original_is_planted_where_its_verdict_is_known(report):
    rows = tuple(replace(row, expected="different") if row.role == "original" else row for row in report.rows)
    assert [row.role for row in contents.planted(replace(report, rows=rows))] == ["original", "control", "control"]
    assert [row.role for row in contents.planted(report)] == ["control", "control"]


def test_a_value_is_marked_where_it_is_as_good_as_some_retrained_seed(report):
    card = replace(report.cards[0], better="lower", retrained=nan, floor=(0.2, 0.4))
    assert [contents.within_floor(card, value) for value in (0.1, 0.3, 0.5, nan)] == [True, True, False, False]
    higher = replace(card, better="higher")
    assert [contents.within_floor(higher, value) for value in (0.1, 0.3, 0.5)] == [False, True, True]
    oriented = replace(card, better="reference", retrained=0.15)
    assert [contents.within_floor(oriented, value) for value in (0.1, 0.15, 0.3, 0.5)] == [False, True, True, False]
    assert not contents.within_floor(replace(card, floor=(nan, nan)), 0.1)
