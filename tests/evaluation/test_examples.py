"""From the `data` of a configuration to examples: files, a published layout, or both."""

import json

import pytest
import yaml
from pydantic import ValidationError

from vestige.data.examples import DataError
from vestige.evaluation.config import ConfigError, Data, read_config, write_config
from vestige.evaluation.examples import examples_of
from vestige.evaluation.wanted import wanted


@pytest.fixture
def folder(tmp_path):
    def table(name, rows):
        (tmp_path / "tofu" / name).write_text("\n".join(json.dumps(row) for row in rows))

    (tmp_path / "tofu").mkdir()
    table("forget10.json", [{"question": "Who?", "answer": "Ann"}])
    table("retain90.json", [{"question": "Where?", "answer": "Oslo"}])
    (tmp_path / "own.jsonl").write_text(json.dumps({"prompt": "When?", "answer": " Now."}))
    return tmp_path


def test_a_layout_gives_the_splits_that_have_no_path_of_their_own(folder):
    data = Data(layout="tofu", folder=str(folder / "tofu"), retain=str(folder / "own.jsonl"), prompt="{question} ->")
    splits = examples_of(data)
    assert {name: [e.prompt + e.answer for e in split] for name, split in splits.items()} == {
        "forget": ["Who? -> Ann"],
        "retain": ["When? Now."],
    }


def test_a_layout_gives_the_further_splits_that_metrics_read_unless_they_have_a_file_of_their_own(folder):
    for name in ("real_authors_perturbed", "world_facts_perturbed"):
        (folder / "tofu" / f"{name}.json").write_text(json.dumps({"question": name, "answer": "Ibsen"}))
    data = Data(layout="tofu", folder=str(folder / "tofu"), further={"world_facts": str(folder / "own.jsonl")})
    splits = examples_of(data)
    assert set(splits) == {"forget", "retain", "real_authors", "world_facts"}
    assert "real_authors_perturbed" in splits["real_authors"][0].prompt
    assert splits["world_facts"][0].prompt == "When?"


def test_model_utility_is_had_of_tofus_own_tables_with_two_words_in_the_configuration(folder):
    row = {"question": "Who?", "answer": "Ibsen", "perturbed_answer": ["Grieg", "Munch"]}
    for name in ("real_authors_perturbed", "world_facts_perturbed", "retain_perturbed"):
        (folder / "tofu" / f"{name}.json").write_text(json.dumps(row))
    splits = examples_of(Data(layout="tofu", folder=str(folder / "tofu")))
    passes = {"tokens", "alternatives", "texts"}
    assert wanted(splits, ["alternatives", "texts"]) == dict.fromkeys(("real_authors", "world_facts"), passes)
    assert all(example.perturbed_answers == (" Grieg", " Munch") for example in splits["world_facts"])


def test_a_layout_without_a_split_that_is_needed_says_so(folder):
    (folder / "tofu" / "bio_questions.json").write_text(
        json.dumps([{"question": "Q", "choices": list("abcd"), "answer": 1}])
    )
    with pytest.raises(DataError, match=r"wmdp in .* has no retain split: name a file of your own for it"):
        examples_of(Data(layout="wmdp", folder=str(folder / "tofu")))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"forget": "a"}, "retain must be given, or `layout` and `folder`"),
        ({}, "forget and retain must be given"),
        ({"layout": "tofu"}, "`layout` and `folder` belong together"),
        ({"forget": "a", "retain": "b", "folder": "c"}, "`layout` and `folder` belong together"),
        ({"forget": "a", "retain": "b", "part": "c"}, "`part` and `prompt` are settings of a `layout`"),
    ],
)
def test_data_that_names_too_little_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Data(**fields)


def test_paths_of_a_layout_are_relative_to_the_configuration_and_survive_it(folder):
    path = folder / "config.yaml"
    data = {"layout": "tofu", "folder": "tofu", "further": {"passages": "own.jsonl"}}
    path.write_text(yaml.safe_dump({"models": {"original": "m"}, "data": data}))
    config = read_config(path)
    assert config.data.folder == str(folder / "tofu")
    assert examples_of(config.data)["forget"][0].answer == " Ann"
    write_config(config, folder / "copy.yaml")
    copied = yaml.safe_load((folder / "copy.yaml").read_text())["data"]
    assert (copied["folder"], copied["further"]) == ("tofu", {"passages": "own.jsonl"})
    assert read_config(folder / "copy.yaml") == config
    path.write_text(yaml.safe_dump({"models": {"original": "m"}, "data": {"forget": "f"}}))
    with pytest.raises(ConfigError, match="data: Value error, retain must be given"):
        read_config(path)
