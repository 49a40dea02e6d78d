import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from math import isinf, isnan, nan
from pathlib import Path

import numpy as np
import pytest

from vestige.data.tables import table_from_columns
from vestige.meta.reliability import reliability
from vestige.report import Card, Report, ReportError, Row, read_json, report_of_table, to_json, write_json
from vestige.report.fields import fields_markdown
from vestige.report.model import SCHEMA


def edited(report, tmp_path, edit):
    """A file of the report with one thing in it changed."""
    written = to_json(report)
    edit(written)
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(written))
    return path


@pytest.mark.parametrize("name", ["report", "table_report"])
def test_what_is_written_is_read_back_the_same(name, request, tmp_path):
    report = request.getfixturevalue(name)
    read = read_json(write_json(report, tmp_path / "folder" / "report.json"))
    assert to_json(read) == to_json(report)
    assert [type(row.scores["FA"]) for row in read.rows] == [type(row.scores["FA"]) for row in report.rows]


def test_undefined_infinite_and_absent_values_survive(report, tmp_path):
    read = read_json(write_json(report, tmp_path / "report.json"))
    endless = next(row for row in read.rows if row.verdict and isinf(row.verdict.ratio.value))
    assert endless.verdict.smallest_margin == float("inf") and endless.second_verdict is None
    undefined = read.rows[4].scores["ES"]
    assert isnan(undefined.value) and undefined.reason == "constant column"
    np.testing.assert_array_equal(read.reliability.agreement.tau, report.reliability.agreement.tau)
    assert read.rows[0] == report.rows[0]


def test_the_file_is_strict_json(report, tmp_path):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    json.loads(write_json(report, tmp_path / "r.json").read_text(), parse_constant=refuse)


def test_numpy_values_in_about_become_plain_numbers():
    about = {"seed": np.int64(3), "share": np.float32(0.5), "on": np.bool_(True), "cut": nan, "axes": np.arange(2)}
    written = to_json(Report("t", "", about, (), "", (), None))["about"]
    assert written == {"seed": 3, "share": 0.5, "on": True, "cut": None, "axes": [0, 1]}
    assert json.loads(json.dumps(written)) == written


def test_a_value_that_json_cannot_hold_is_named_with_its_place():
    with pytest.raises(TypeError, match=r"`report\.about\.when` is complex"):
        to_json(Report("t", "", {"when": 1j}, (), "", (), None))


@pytest.mark.parametrize(
    ("schema", "seen"), [("vestige.report/2", "schema 'vestige.report/2'"), (None, "no `schema` field")]
)
def test_another_version_is_refused_with_the_way_out(report, tmp_path, schema, seen):
    def edit(written):
        del written["schema"]
        if schema:
            written["schema"] = schema

    with pytest.raises(ReportError, match=f"{seen}, but this vestige reads 'vestige.report/1'; write the report again"):
        read_json(edited(report, tmp_path, edit))


def test_a_file_that_is_not_json_is_refused(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("<!doctype html>")
    with pytest.raises(ReportError, match="is not JSON"):
        read_json(path)


def test_json_that_is_no_report_is_refused(tmp_path):
    path = tmp_path / "list.json"
    path.write_text("[1, 2]")
    with pytest.raises(ReportError, match="no `schema` field"):
        read_json(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda w: w["rows"][3]["scores"]["FA"].update(value="?"), r"`report\.rows\[3\]\.scores\.FA\.value` is '\?'"),
        (lambda w: w["rows"][0].update(rank="first"), r"`report\.rows\[0\]\.rank` is 'first'; a whole number"),
        (lambda w: w["rows"][0].update(rank=True), r"`report\.rows\[0\]\.rank` is True; a whole number"),
        (lambda w: w["rows"][0].update(role="gold"), r"`report\.rows\[0\]\.role` is 'gold'; allowed are 'original'"),
        (lambda w: w["cards"][1].update(floor=[1.0]), r"`report\.cards\[1\]\.floor` has 1 values; 2 are allowed"),
        (lambda w: w["cards"][1].pop("title"), r"`report\.cards\[1\]` lacks title; every Card has them"),
        (lambda w: w.update(rows={}), r"`report\.rows` is \{\}; a list is allowed"),
        (lambda w: w["reliability"]["agreement"].update(tau=[[1.0], [1.0, 2.0]]), "not a rectangular array"),
    ],
)
def test_a_broken_value_is_named_with_its_place(report, tmp_path, edit, message):
    with pytest.raises(ReportError, match=message):
        read_json(edited(report, tmp_path, edit))


def test_fields_of_a_newer_writer_are_passed_over(report, tmp_path):
    path = edited(report, tmp_path, lambda written: written["rows"][0].update(colour="blue"))
    assert to_json(read_json(path)) == to_json(report)


def test_optional_fields_may_be_absent(report, tmp_path):
    path = edited(report, tmp_path, lambda written: written["rows"][0].pop("labels"))
    assert to_json(read_json(path)) == to_json(report)


def test_a_report_without_reliability_is_read_back(report, tmp_path):
    path = write_json(replace(report, reliability=None), tmp_path / "r.json")
    assert read_json(path).reliability is None


def test_which_cards_are_distances_is_read_back_and_false_where_absent(report, tmp_path):
    read = read_json(write_json(report, tmp_path / "r.json"))
    assert [card.name for card in read.cards if card.is_distance] == ["js_to_retrained", "logit_to_retrained"]
    older = edited(report, tmp_path, lambda written: [card.pop("is_distance") for card in written["cards"]])
    assert not any(card.is_distance for card in read_json(older).cards)


def test_every_field_of_a_row_and_a_card_is_in_the_schema():
    documented = (Path(__file__).parents[2] / "docs" / "report-schema.md").read_text(encoding="utf-8")
    for kind in (Row, Card):
        section = documented.split(f"## {kind.__name__}")[1].split("\n## ")[0]
        assert [field.name for field in fields(kind) if f"`{field.name}`" not in section] == []


def test_the_document_lists_every_field_with_its_meaning(report):
    """Walks a report as it is written, so that no field that a reader meets is missing from the document."""
    text = fields_markdown()
    listed = {part.split("\n")[0]: part for part in text.split("\n## ")[1:]}

    def walk(value):
        if is_dataclass(value):
            for field in fields(value):
                line = re.search(rf"^\| `{field.name}` \| .+ \| (.*) \|$", listed[type(value).__name__], re.M)
                assert line and line[1], f"{type(value).__name__}.{field.name} has no meaning in its docstring"
                walk(getattr(value, field.name))
        elif isinstance(value, tuple):
            for item in value:
                walk(item)
        elif isinstance(value, Mapping):
            for item in value.values():
                walk(item)

    walk(report)
    assert text.startswith(f"# Every field of `report.json`, schema `{SCHEMA}`")


def test_what_the_engine_says_of_a_real_table_survives_the_way_through_json(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"m{i // 3}" for i in range(24)]
    table = {"model": names, "data": list("abc") * 8, **{m: rng.normal(size=24).tolist() for m in ("RA", "FA", "gap")}}
    table["RA"][3] = nan
    judged = reliability(table, better={"RA": "higher", "FA": "lower"}, distance="gap", groups=("data",))
    scores = table_from_columns(table, better={"RA": "higher", "FA": "lower"}, distance=("gap",), labels=("data",))
    made = report_of_table(scores, judged, title="t", about={}, created="2026-05-04T10:20:30Z")
    again = read_json(write_json(made, tmp_path / "report.json"))
    assert to_json(again) == to_json(made)
    for field in fields(judged):
        assert type(getattr(again.reliability, field.name)) is type(getattr(judged, field.name)), field.name
