"""Probes as splits of a run: rows of a file that inherit from forget examples, and what cannot be asked."""

import json

import pytest
from PIL import Image

from vestige.data.examples import DataError, Example
from vestige.evaluation.config import Config
from vestige.evaluation.probes import asked_about, probe_examples, probe_splits

FORGET = (
    Example("1", "Who is shown?", " Ann.", "Ann", image="ann.png"),
    Example("2", "Where is she?", " Lyon.", "Ann", image="ann.png"),
    Example("3", "Who is shown?", " Bob.", "Bob", image="bob.png"),
)


def configured(**wanted):
    unlearned = [{"name": "u", "path": "u"}]
    models = {"original": "o", "retrained": ["r"], "unlearned": unlearned}
    data = {"forget": "forget.jsonl", "retain": "retain.jsonl"}
    interventions = {"models": ["u"], **wanted}
    return Config.model_validate(
        {"kind": "vision_language", "models": models, "data": data, "interventions": interventions}
    )


def asked(tmp_path, rows):
    (tmp_path / "probe.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = configured(rewritten={"neighbour image": str(tmp_path / "probe.jsonl")})
    return probe_examples(config, {"forget": FORGET})["probe-neighbour-image"]


def test_a_row_says_what_differs_and_inherits_the_rest(tmp_path):
    """As UnLOK-VQA's attacks: another image of the same, the question in other words, or both."""
    for name in ("ann", "bob", "other"):
        Image.new("RGB", (2, 2)).save(tmp_path / f"{name}.png")
    forget = {e.id: e for e in FORGET}
    rows = [
        {"id": "1", "image": "other.png"},
        {"id": "2b", "of": "2", "prompt": "Which town?", "image": "ann.png"},
        {"id": "2c", "of": "2", "prompt": "In what town?", "image": "ann.png"},
        {"id": "new", "prompt": "And he?", "answer": " Rome.", "cluster": "Bob"},
    ]
    probe = asked(tmp_path, rows)
    assert [e.prompt for e in probe] == ["Who is shown?", "Which town?", "In what town?", "And he?"]
    assert [e.answer for e in probe] == [forget["1"].answer, forget["2"].answer, forget["2"].answer, " Rome."]
    assert [e.cluster for e in probe] == ["Ann", "Ann", "Ann", "Bob"]
    assert probe[0].image == str(tmp_path / "other.png") and probe[3].image == ""


def test_the_plain_questions_beside_a_probe_are_those_of_its_ids_else_of_its_clusters_else_all():
    assert asked_about(FORGET, FORGET[1:]).tolist() == [False, True, True]
    assert asked_about(FORGET, (Example("x", "?", " Ann.", "Ann"),)).tolist() == [True, True, False]
    assert asked_about(FORGET, (Example("x", "?", " Ann.", "Cem"),)).tolist() == [True, True, True]


def test_a_probe_that_the_data_have_is_not_made_again():
    config = configured(ask=["paraphrase", "reintroduction", "role play"])
    assert probe_splits(config.interventions) == {
        "paraphrase": "paraphrase",
        "reintroduction": "reintroduced",
        "role play": "probe-role-play",
    }
    made = probe_examples(config, {"forget": FORGET, "paraphrase": FORGET, "reintroduced": FORGET})
    assert list(made) == ["probe-role-play"]


@pytest.mark.parametrize(
    "wanted, message",
    [
        ({"ask": ["paraphrase"]}, r"needs the forget questions in other words: `data.paraphrase`"),
        ({"ask": ["multiple choice"]}, r"the probe multiple choice cannot be made: example '1' needs 3 wrong options"),
        ({"ask": ["in context"]}, r"the probe in context cannot be made: `told` has no other fact"),
    ],
)
def test_what_cannot_be_asked_of_these_examples_is_refused_by_name(wanted, message):
    with pytest.raises(DataError, match=message):
        probe_examples(configured(**wanted), {"forget": FORGET})


def test_a_row_about_nobody_is_refused_with_its_place(tmp_path):
    with pytest.raises(DataError, match=r"probe.jsonl, line 1: `of` must be the id of a forget example, found 'x'"):
        asked(tmp_path, [{"id": "1", "of": "x"}])
