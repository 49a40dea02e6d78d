from dataclasses import replace
from math import nan

import pytest

from vestige.meta.results import Finding
from vestige.meta.retraining import ModelEquivalence
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


def test_there_are_three_to_six_sentences(report, table_report):
    for some in (report, table_report, replace(report, reliability=None)):
        assert 3 <= len(summary.sentences(some)) <= 6


def test_artefacts_are_counted_by_kind_and_named_with_their_columns(report):
    found = tuple(Finding(code, "artefact", columns, code) for code, columns in (("a_b", ("X",)), ("c", ())))
    more = (*found, Finding("a_b", "artefact", ("Y",), "again"), Finding("d", "note", ("Z",), "a note"))
    judged = replace(report.reliability, findings=more)
    sentences = summary.sentences(replace(report, reliability=judged, findings=()))
    assert "3 artefacts in these numbers: a b (X and Y) and c; read the findings first." in sentences
    clean = replace(report, reliability=replace(judged, findings=more[-1:]), findings=())
    assert not any("artefact" in sentence for sentence in summary.sentences(clean))


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


def test_the_verdicts_of_a_table_with_retrained_rows_are_counted(report, table_report):
    verdict = replace(report.rows[0].verdict, verdict="different")
    judged = ModelEquivalence("npo", "", 3, 0.25, verdict, Estimate(nan, reason="no original row"), ())
    judged_table = replace(table_report.reliability, equivalence=(judged, replace(judged, distance=None), judged))
    text = summary.verdict_sentence(replace(table_report, reliability=judged_table))
    assert text.startswith("Of 2 models, 0 are equivalent to retraining, 2 different and 0 undecided (margin")


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
    text = summary.sentences(report)[-2]
    tracked = [entry for entry in report.reliability.tracking if entry.verdict == "tracks"]
    assert [entry.metric for entry in tracked] == ["JS"] and tracked[0].shares_machinery
    assert text.startswith("JS tracks closeness to retraining by js_to_retrained, partly by construction")


def test_where_nothing_tracks_that_is_said_in_a_whole_sentence(report):
    entries = tuple(replace(entry, verdict="no evidence") for entry in report.reliability.tracking)
    judged = replace(report.reliability, tracking=entries, second_tracking=())
    assert summary.sentences(replace(report, reliability=judged))[-2] == (
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
        assert contents.control_kept("different", replace(control.verdict, verdict=word)) is kept
        assert contents.control_kept("not different", replace(control.verdict, verdict=word)) is not kept
    assert contents.control_kept("different", None) is None and contents.control_kept("", control.verdict) is None


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


def test_without_unlearned_models_the_verdicts_on_others_are_told(report):
    text = summary.verdict_sentence(replace(report, rows=contents.unranked(report)))
    assert text.startswith("No unlearned model was judged; 3 other models got a verdict (js_to_retrained, margin 1.25")


def test_distances_are_the_columns_that_are_declared_so(report):
    for some in (report, replace(report, reliability=None)):
        assert [card.name for card in contents.distance_cards(some)] == ["js_to_retrained", "logit_to_retrained"]
        assert len(contents.metric_cards(some)) == 10


def test_without_a_ranked_model_none_is_called_closest(report):
    undefined = replace(report.rows[0].verdict, ratio=Estimate(nan, reason="the retrained models are the same"))
    rows = tuple(replace(row, rank=None, verdict=undefined) for row in contents.ranked(report))
    text = " ".join(summary.sentences(replace(report, rows=rows)))
    assert "Closest" not in text and "No model is ranked: none has a value to rank it by." in text


def test_a_composite_without_a_best_metric_names_none(report):
    quality = replace(report.reliability.quality, best_single="", best_single_held_out=Estimate(nan, reason="1 fold"))
    text = summary.sentences(replace(report, reliability=replace(report.reliability, quality=quality)))[-1]
    assert text.endswith("on held-out groups; no single metric is defined there to hold it against.")


def test_models_on_which_the_second_distance_disagrees_are_listed(report):
    rows = [replace(row, second_verdict=row.verdict) if row.verdict else row for row in report.rows]
    n_judged = sum(row.verdict is not None for row in rows)
    same = summary.second_verdict_sentence(replace(report, rows=tuple(rows)))
    assert same == f"By js_to_retrained, all {n_judged} verdicts are the same."
    for i in (2, len(rows) - 1):  # an unlearned model and a planted one
        given = "undecided" if rows[i].verdict.verdict != "undecided" else "different"
        rows[i] = replace(rows[i], second_verdict=replace(rows[i].verdict, verdict=given))
    text = summary.second_verdict_sentence(replace(report, rows=tuple(rows)))
    assert f"2 of {n_judged} verdicts differ: {rows[2].model} " in text
    assert text.endswith(f"{rows[-1].model} {given} (not {rows[-1].verdict.verdict}).")
    without = tuple(replace(row, second_verdict=None) for row in rows)
    assert summary.second_verdict_sentence(replace(report, rows=without)) == ""


def test_the_row_that_a_relative_metric_compares_with_is_its_zero(report):
    cards = {card.name: card for card in report.cards}
    assert contents.reference_row(report, cards["JS"]).model == "retrained-0"
    assert contents.reference_row(report, cards["js_to_retrained"]) is None
    # A value of 0 that is no comparison (the card knows the retrained model's own value) stays a value.
    assert contents.reference_row(report, replace(cards["JS"], retrained=0.0)) is None
