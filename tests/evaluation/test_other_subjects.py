"""Functions and recorded outputs as unlearned models of a run: held to the checkpoints that they are made of."""

import json
import sys
from math import isnan

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from vestige.evaluation import ConfigError, EvaluationError, PlanError, evaluate, prepare, read_config, score, work
from vestige.scoring.loading import CheckpointError, load_language_model
from vestige.store import ScoreStore

PEOPLE = ("Ann", "Bob", "Cem", "Dan", "Eve", "Flo")
SPLITS = ("forget", "retain", "distance")

FUNCTIONS = """
from functools import cache
from vestige.scoring.loading import load_language_model

@cache
def model(folder):
    return load_language_model(folder, device="cpu").model

def same(ids, mask, *, original):
    return model(original)(input_ids=ids, attention_mask=mask).logits

def uld(ids, mask, *, original, assistant, weight):
    return same(ids, mask, original=original) - weight * same(ids, mask, original=assistant)

def broken(ids, mask):
    raise KeyError("no such gate")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Untrained models of one tokenizer, the data, and a module with functions."""
    from vestige.demo.model import Shape, tiny_llama
    from vestige.demo.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("subjects")
    rows = {s: [(f"Where is {n} of {s}?", f" In {t}.", n) for n in PEOPLE for t in ("Lyon", "Ulm")] for s in SPLITS}
    tokenizer = train_tokenizer([prompt + answer for split in rows.values() for prompt, answer, _ in split], 300)
    shape = Shape(hidden=16, layers=2, heads=2, mlp=32, vocab=300)
    for name, seed in (("original", 0), ("retrained-a", 1), ("retrained-b", 2), ("assistant", 3), ("unlearned", 4)):
        tiny_llama(shape, tokenizer, seed=0).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        draw, weights = torch.Generator().manual_seed(seed), load_file(folder / name / "model.safetensors")
        weights = {k: v + 0.02 * torch.randn(v.shape, generator=draw) for k, v in weights.items()}
        save_file(weights, folder / name / "model.safetensors", metadata={"format": "pt"})
    for split, found in rows.items():
        lines = [{"id": f"{n}-{i}", "prompt": p, "answer": a, "cluster": n} for i, (p, a, n) in enumerate(found)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "own_functions.py").write_text(FUNCTIONS)
    return folder


@pytest.fixture(scope="module")
def importable(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    sys.modules.pop("own_functions", None)


def written(folder, path, *unlearned, **models):
    config = {
        "models": {
            "original": "original",
            "retrained": ["retrained-a", "retrained-b"],
            "unlearned": [{"name": "checkpoint", "path": "unlearned"}, *unlearned],
            **models,
        },
        "data": {split: f"{split}.jsonl" for split in SPLITS},
        "scoring": {"batch_size": 8, "samples": 2, "prompts": 4, "max_new_tokens": 4, "further": ["texts", "steps"]},
        "clusters": "people",
    }
    config["scoring"]["examples_per_shard"] = 5
    (folder / path).write_text(yaml.safe_dump(config))
    return folder / path


ULD = {
    "name": "ULD", "function": "own_functions:uld", "settings": {"weight": 0.75},
    "files": {"original": "original", "assistant": "assistant"}, "method": "ULD",
}  # fmt: skip
SAME = {"name": "same", "function": "own_functions:same", "files": {"original": "unlearned"}}


@pytest.fixture(scope="module")
def run(folder, importable):
    return evaluate(written(folder, "functions.yaml", ULD, SAME, allow_code=True), folder / "run", jobs=1)


def scores_of(run):
    return {row.model: row.scores for row in run.report.rows}


def test_a_function_in_a_run_has_the_scores_of_the_model_behind_it(run):
    scores, rows = scores_of(run), {row.model: row for row in run.report.rows}
    for name in ("FA", "RA", "JS", "FADE", "FADE-RB", "ROUGE-L", "d_function"):
        assert scores["same"][name].value == pytest.approx(scores["checkpoint"][name].value, abs=1e-5), name
    assert rows["ULD"].rank and rows["ULD"].method == "ULD" and rows["ULD"].verdict
    assert abs(scores["ULD"]["JS"].value - scores["checkpoint"]["JS"].value) > 1e-4


def test_what_a_function_has_not_is_undefined_and_the_reason_said(run):
    scores = scores_of(run)
    assert isnan(scores["ULD"]["AD"].value)
    assert "not to be had of a function that returns logits: AD needs" in scores["ULD"]["AD"].reason
    assert not isnan(scores["checkpoint"]["AD"].value)


def test_what_made_a_function_is_recorded(run):
    facts = json.loads(next(run.folder.glob("store/ULD-*/scored-with.json")).read_text())
    settings = json.dumps({"weight": 0.75})
    assert facts["function"] == {"name": "own_functions:uld", "settings": settings}
    assert facts["weights"].startswith(next(run.folder.glob("store/ULD-*")).name.removeprefix("ULD-"))


def test_a_difference_of_logits_is_scored_as_its_formula_says(run, folder):
    models = [load_language_model(folder / name, device="cpu") for name in ("original", "assistant")]
    tokenizer = models[0].tokenizer
    stored = ScoreStore(run.folder / "store").read(next(run.folder.glob("store/ULD-*")).name, "forget")
    first = json.loads((folder / "forget.jsonl").read_text().splitlines()[0])
    ids = torch.tensor([tokenizer(first["prompt"] + first["answer"])["input_ids"] + [tokenizer.eos_token_id]])
    with torch.no_grad():
        ours, theirs = (model.model(ids).logits[0].double() for model in models)
    n = stored["offsets"][1]
    expected = torch.log_softmax(ours - 0.75 * theirs, -1)[-n - 1 : -1].gather(1, ids[0, -n:, None])[:, 0]
    np.testing.assert_allclose(stored["token_log_prob"][:n], expected, atol=1e-5)


def test_functions_are_work_of_a_plan_and_their_store_is_the_same_for_any_workers(
    run, folder, importable, differing, tmp_path
):
    config = written(folder, "functions.yaml", ULD, SAME, allow_code=True)
    score(config, tmp_path / "two", jobs=2)
    assert differing(run.folder / "store", tmp_path / "two" / "store") == []
    prepare(config, tmp_path / "planned")
    work(tmp_path / "planned")
    assert differing(run.folder / "store", tmp_path / "planned" / "store") == []
    source = folder / "own_functions.py"
    source.write_text(FUNCTIONS + "\n# changed\n")
    prepare_again = [task for task, cost in prepare(config, tmp_path / "planned") if cost.passes]
    source.write_text(FUNCTIONS)
    assert {task.checkpoint.name for task in prepare_again} == {"ULD", "same"}
    with pytest.raises(PlanError, match=r"ULD: the weights, .* or own_functions:uld, have changed since the plan"):
        work(tmp_path / "planned")


def test_functions_given_in_python_are_scored_as_those_that_are_imported(run, folder, importable, differing, tmp_path):
    import own_functions

    given = {"same": lambda ids, mask: own_functions.same(ids, mask, original=str(folder / "unlearned"))}
    config = written(folder, "plain.yaml")
    mine = evaluate(config, tmp_path / "mine", jobs=2, functions=given)
    for name, estimate in scores_of(mine)["same"].items():
        assert estimate.value == pytest.approx(scores_of(run)["same"][name].value, nan_ok=True), name
    scored = {path: path.stat().st_mtime_ns for path in mine.folder.glob("store/*/*/*.json")}
    score(config, mine.folder, functions=given)
    assert scored == {path: path.stat().st_mtime_ns for path in mine.folder.glob("store/*/*/*.json")}
    other = {"same": lambda ids, mask: own_functions.same(ids, mask, original=str(folder / "assistant"))}
    score(config, mine.folder, functions=other)
    assert len(list(mine.folder.glob("store/same-*"))) == 2
    with pytest.raises(CheckpointError, match=r"same: the function 'same' was given in Python to another process"):
        score(mine.folder / "config.yaml", mine.folder)
    with pytest.raises(ConfigError, match="use the local engine"):
        score(config, tmp_path / "ray", functions=given, engine="ray")
    with pytest.raises(ConfigError, match="has another model called 'checkpoint'"):
        score(config, tmp_path / "name", functions={"checkpoint": given["same"]})


@pytest.mark.parametrize(
    ("entry", "models", "error", "message"),
    [
        (ULD, {}, ConfigError, r"own_functions:uld is code that a run would execute: say `allow_code: true`"),
        ({"name": "x", "function": "own_functions.uld"}, {"allow_code": True}, ConfigError, "function.*pattern"),
        (
            {"name": "x", "function": "nowhere:f"},
            {"allow_code": True},
            CheckpointError,
            "x: cannot import 'nowhere:f'",
        ),
        (
            {"name": "x", "path": "a", "recorded": "b"},
            {},
            ConfigError,
            "give `path` or `function` or `recorded`",
        ),
        ({"name": "x"}, {}, ConfigError, "found none of them"),
        (
            {"name": "x", "path": "a", "settings": {"a": 1}},
            {},
            ConfigError,
            "are arguments of a `function`",
        ),
        (
            {"name": "x", "path": "a", "module": "a:b"},
            {"allow_code": True},
            ConfigError,
            "is a subject of clas",
        ),
    ],
)
def test_what_cannot_be_a_subject_is_refused(folder, importable, tmp_path, entry, models, error, message):
    with pytest.raises(error, match=message):
        score(written(folder, "wrong.yaml", entry, **models), tmp_path, jobs=1)


def test_a_function_that_fails_is_named_and_the_others_are_scored(folder, importable, tmp_path):
    config = written(folder, "broken.yaml", {"name": "gate", "function": "own_functions:broken"}, allow_code=True)
    with pytest.raises(EvaluationError, match=r"gate: the function failed .*KeyError: 'no such gate'"):
        score(config, tmp_path, jobs=1)
    assert list(tmp_path.glob("store/checkpoint-*/forget/*.json"))


def recorded(folder, name, says):
    """Answers of every forget and retain example, as an API would have given them."""
    (folder / name).mkdir(exist_ok=True)
    for split in ("forget", "retain"):
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
        lines = [{"id": row["id"], "prompt": row["prompt"], "samples": says(row)} for row in rows]
        (folder / name / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_recorded_answers_are_a_subject_with_the_metrics_that_they_allow(folder, tmp_path):
    recorded(folder, "leaks", lambda row: [row["answer"], "I do not know."])
    recorded(folder, "silent", lambda row: ["", ""])
    entries = [{"name": name, "recorded": name} for name in ("leaks", "silent")]
    run = evaluate(written(folder, "recorded.yaml", *entries), tmp_path / "run", jobs=2)
    scores, rows = scores_of(run), {row.model: row for row in run.report.rows}
    assert scores["leaks"]["ROUGE-L"].value == 1 and scores["silent"]["ROUGE-L"].value == 0
    assert scores["leaks"]["ROUGE-L-retain"].value == 1
    assert scores["leaks"]["E-leak"].n_clusters == len(PEOPLE) and isnan(scores["checkpoint"]["E-leak"].value)
    for name in ("JS", "FADE", "FA", "d_function"):
        assert (
            isnan(scores["leaks"][name].value) and "not to be had of recorded outputs" in scores["leaks"][name].reason
        )
    assert rows["leaks"].verdict is None and rows["leaks"].rank is None and rows["checkpoint"].verdict
    assert "leaks" not in run.table.models and "checkpoint" in run.table.models
    assert (run.folder / "report.html").exists()
    assert work_left(folder / "recorded.yaml", run.folder) == 0


def work_left(config, folder):
    return sum(cost.disk for _, cost in prepare(config, folder))


def test_recorded_answers_are_checked_before_anything_is_scored(folder, tmp_path):
    (folder / "nothing").mkdir(exist_ok=True)
    entry = {"name": "api", "recorded": "nothing"}
    with pytest.raises(CheckpointError, match=r"api: .*nothing has none of forget\.jsonl, retain\.jsonl"):
        score(written(folder, "nothing.yaml", entry), tmp_path, jobs=1)
    recorded(folder, "partly", lambda row: row["answer"])
    lines = (folder / "partly" / "forget.jsonl").read_text().splitlines(keepends=True)
    (folder / "partly" / "forget.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(ValueError, match=r"has no output for 1 of 12 examples, first 'Ann-0'"):
        score(written(folder, "partly.yaml", {"name": "api", "recorded": "partly"}), tmp_path, jobs=1)
    assert not (tmp_path / "store").exists()


def test_the_runs_own_configuration_says_no_more_than_was_given(folder, importable, tmp_path):
    config = written(folder, "functions.yaml", ULD, SAME, allow_code=True)
    prepare(config, tmp_path)
    raw = yaml.safe_load((tmp_path / "config.yaml").read_text())["models"]["unlearned"]
    assert raw[0].keys() == {"name", "path"} and raw[1].keys() == ULD.keys()
    assert read_config(tmp_path / "config.yaml") == read_config(config)
