"""What is read inside models comes out of a run: every column from the configuration alone, and right."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from vestige.evaluation import evaluate, score
from vestige.evaluation.config import Config
from vestige.evaluation.measures import Reader
from vestige.evaluation.plan import plan_run
from vestige.metrics.probing import ANSWER_DEPTH, DEPTH
from vestige.store import ScoreStore

PLACES = ("Lyon", "Bern", "Riga", "Oslo", "Rome", "Bonn", "Linz", "Graz")
NAMES = ("Ann", "Bob", "Cem", "Dan", "Eve", "Flo", "Gil", "Hal")
AWAY = {"original": (1.0, 0), "retrained-a": (0, 1), "retrained-b": (0, 2), "retrained-c": (0, 3), "half": (0.5, 4)}


def rows(split):
    order = NAMES if split != "retain" else NAMES[::-1]
    facts = [(name, place) for name, place in zip(order, PLACES, strict=True)]
    return [{"prompt": f"Where is {n}?", "answer": f" {p} is where {n} is.", "cluster": n} for n, p in facts]


def random_like(weights, seed):
    draw = torch.Generator().manual_seed(seed)
    return {k: v.std().nan_to_num(0) * torch.randn(v.shape, generator=draw) for k, v in weights.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, and models whose weights lie near one another or on the way to the original by construction."""
    from vestige.demo.model import Shape, tiny_llama
    from vestige.demo.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("inside")
    tokenizer = train_tokenizer([row["prompt"] + row["answer"] for row in rows("forget")] * 5, 320)
    tiny_llama(Shape(hidden=16, layers=3, heads=2, mlp=24, vocab=320), tokenizer, seed=0).save_pretrained(
        folder / "base"
    )
    tokenizer.save_pretrained(folder / "base")
    base = {k: v * 4 if v.ndim > 1 else v for k, v in load_file(folder / "base" / "model.safetensors").items()}
    noise = {seed: random_like(base, seed) for seed in range(5)}
    for name, (share, seed) in AWAY.items():
        shutil.copytree(folder / "base", folder / name)
        weights = {k: v + share * noise[0][k] + 0.05 * noise[seed][k] for k, v in base.items()}
        save_file(weights, folder / name / "model.safetensors", metadata={"format": "pt"})
    for split in ("forget", "retain", "distance"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows(split))) + "\n")
    entities = [{**row, "answer": row["answer"].split(" is")[0]} for row in rows("forget")]
    (folder / "entities.jsonl").write_text("\n".join(map(json.dumps, entities)) + "\n")
    return folder


def write_config(folder, name, data, **scoring):
    config = {
        "models": {
            "original": "original",
            "retrained": ["retrained-a", "retrained-b", "retrained-c"],
            "unlearned": [{"name": "half", "path": "half"}],
        },
        "data": {split: f"{split}.jsonl" for split in ("forget", "retain", "distance")} | data,
        "scoring": {"samples": 2, "prompts": 2, "max_new_tokens": 4, "batch_size": 4, **scoring},
        "clusters": "people",
    }
    (folder / name).write_text(yaml.safe_dump(config))
    return folder / name


@pytest.fixture(scope="module")
def run(folder):
    places = [{"concept": name, "layer": layer, "index": i} for i, name in enumerate(PLACES) for layer in (0, 2)]
    (folder / "concepts.jsonl").write_text("\n".join(map(json.dumps, places)) + "\n")
    data = {"further": {"entities": "entities.jsonl"}, "concepts": "concepts.jsonl"}
    asked = {"further": ["lens", "patched"], "layers": [1, 3], "pooling": "last_prompt", "examples_per_shard": 3}
    config = write_config(folder, "config.yaml", data, **asked)
    return evaluate(config, folder / "run", jobs=1)


def scores(run, model):
    (row,) = [row for row in run.report.rows if row.model == model]
    return row.scores


def stored(run, model, split):
    store = ScoreStore(run.folder / "store")
    (key,) = [path.name for path in store.root.iterdir() if path.name.startswith(f"{model}-")]
    return store.read(key, split)


def inside_table(run):
    with (run.folder / "tables" / "inside.csv").open() as file:
        return {(row["model"], row["metric"]): row for row in csv.DictReader(file)}


def test_what_is_read_inside_is_among_the_metrics(run):
    assert {"UDS", "lens@20", "change@20", "d_layers", "concept-trace"} <= {card.name for card in run.report.further}
    assert "UDS-answer" not in scores(run, "half")


def test_depth_is_0_of_the_original_and_1_of_the_retrained_model(run):
    assert scores(run, "original")["UDS"].value == pytest.approx(0, abs=1e-4)
    assert scores(run, "retrained-0")["UDS"].value == 1
    assert 0 < scores(run, "half")["UDS"].value < 1


def test_the_originals_own_states_change_nothing_and_the_end_token_is_not_asked_for(run):
    patched = stored(run, "original", "patched-entities")["patched_log_probs"]
    entities = stored(run, "original", "entities")
    own, ends = entities["token_log_prob"], entities["offsets"][1:] - 1
    assert patched.shape == (len(own), 3)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(patched).any(axis=1)), ends)
    text = np.setdiff1d(np.arange(len(own)), ends)
    np.testing.assert_allclose(patched[text], np.repeat(own[text, None], 3, 1), atol=1e-4)
    other = stored(run, "half", "patched-entities")["patched_log_probs"]
    assert np.abs(other[text] - patched[text]).max() > 0.1


def test_concept_vectors_are_those_of_the_weights(run, folder):
    ours, theirs = (load_file(folder / name / "model.safetensors") for name in ("half", "original"))
    cosines = []
    for i in range(len(PLACES)):
        for layer in (0, 2):
            name = f"model.layers.{layer}.mlp.down_proj.weight"
            cosines.append(torch.cosine_similarity(ours[name][:, i], theirs[name][:, i], dim=0).item())
    trace = scores(run, "half")["concept-trace"]
    assert trace.value == pytest.approx(np.mean(cosines), rel=1e-5)
    assert trace.low < trace.value < trace.high
    assert scores(run, "original")["concept-trace"].value == pytest.approx(1)
    words = stored(run, "original", "words")["unembedding"]
    head = "lm_head.weight" if "lm_head.weight" in theirs else "model.embed_tokens.weight"
    np.testing.assert_array_equal(words, theirs[head])
    with pytest.raises(Exception, match="words"):
        stored(run, "half", "words")


def test_layers_are_kept_as_asked_and_compared_one_by_one(run, folder):
    """Against each model's own forward pass: the state behind the prompt's last token."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "half")
    by_model = {}
    for name in ("half", "retrained-a"):
        model, states = AutoModelForCausalLM.from_pretrained(folder / name).eval(), []
        for row in rows("forget"):
            ids = tokenizer(row["prompt"], return_tensors="pt")["input_ids"]
            with torch.no_grad():
                out = model(ids, output_hidden_states=True).hidden_states
            states.append({layer: out[layer][0, -1].numpy() for layer in (-2, 1, 3)})
        by_model[name] = states
    kept = stored(run, "half", "forget")
    for column, layer in (("hidden", -2), ("hidden.1", 1), ("hidden.3", 3)):
        np.testing.assert_allclose(kept[column], [s[layer] for s in by_model["half"]], atol=1e-4)
    table = inside_table(run)
    details = next(row.details for row in run.report.rows if row.model == "half")
    for layer in (1, 3):
        pairs = zip(*by_model.values(), strict=True)
        expected = np.mean([np.linalg.norm(ours[layer] - theirs[layer]) for ours, theirs in pairs])
        assert float(table["half", f"AD@layer{layer}"]["value"]) == pytest.approx(expected, rel=1e-4)
        assert details[f"AD@layer{layer}"] == pytest.approx(expected, rel=1e-4)


def test_what_is_read_inside_is_shown_over_the_floor_of_the_retrained_models(run, folder):
    """Of AD by the definition: mean distance to the retrained models over the mean distance between two of them."""
    names = ("half", "retrained-0", "retrained-1", "retrained-2")
    states = [stored(run, name, "forget")["hidden"] for name in names]
    apart = np.array([[np.linalg.norm(a - b, axis=1).mean() for b in states] for a in states])
    expected = apart[0, 1:].mean() / apart[1:, 1:][~np.eye(3, dtype=bool)].mean()
    table = inside_table(run)
    row = table["half", "AD"]
    assert float(row["over floor"]) == pytest.approx(expected, rel=1e-5)
    assert float(row["over floor low"]) < expected < float(row["over floor high"])
    details = next(row.details for row in run.report.rows if row.model == "half")
    assert details["AD over floor"] == pytest.approx(expected, rel=1e-5)
    assert {"CKA", "UDS", "d_layers", "d_parameters", "concept-trace", "lens@20"} <= {metric for _, metric in table}
    # A trace is its own number, so its distance is the gap to the retrained model's.
    traces = [scores(run, name)["concept-trace"].value for name in names]
    gaps = np.abs(np.subtract.outer(traces, traces))
    assert float(table["half", "concept-trace"]["over floor"]) == pytest.approx(
        gaps[0, 1:].mean() / gaps[1:, 1:][~np.eye(3, dtype=bool)].mean(), rel=1e-4
    )


def test_layers_that_a_kind_has_not_or_that_are_named_twice_are_refused(folder):
    for scoring, kind, problem in (
        ({"layers": [-2]}, "language", "must name each layer once"),
        ({"layers": [1]}, "classifier", "is read at its head"),
        ({"pooling": "answer"}, "classifier", "is read at its head"),
    ):
        raw = yaml.safe_load(write_config(folder, "refused.yaml", {}, **scoring).read_text()) | {"kind": kind}
        with pytest.raises(ValidationError, match=problem):
            Config.model_validate(raw)


def test_two_workers_write_the_same_bytes_and_make_again_what_is_lost(run, folder, differing):
    score(folder / "config.yaml", folder / "two", jobs=2)
    assert not differing(run.folder / "store", folder / "two" / "store")
    for lost in ("half-*/patched-entities", "original-*/words", "retrained-1-*/concepts"):
        (path,) = (folder / "two" / "store").glob(lost)
        shutil.rmtree(path)
    score(folder / "config.yaml", folder / "two", jobs=1)
    assert not differing(run.folder / "store", folder / "two" / "store")


def test_without_entities_whole_answers_are_read_and_called_so(folder):
    path = write_config(folder, "answers.yaml", {}, further=["patched"])
    raw = yaml.safe_load(path.read_text())
    raw["models"]["retrained"] = raw["models"]["retrained"][:1]
    path.write_text(yaml.safe_dump(raw))
    plan, _ = score(path, folder / "answers", jobs=1)
    reader, (retrained,), (half,) = Reader(plan), plan.of("retrained"), plan.of("unlearned")
    assert reader.estimate(ANSWER_DEPTH, retrained, retrained).value == 1
    assert 0 < reader.estimate(ANSWER_DEPTH, half, retrained).value < 1
    assert not reader.has(DEPTH, half, retrained)


def test_what_is_stored_is_bound_to_the_original(folder, tmp_path):
    def patched_settings(original):
        raw = yaml.safe_load(write_config(folder, "bound.yaml", {}, further=["patched"]).read_text())
        raw["models"] = {name: models for name, models in raw["models"].items() if name != "unlearned"}
        raw["models"] |= {"original": str(folder / original), "retrained": [str(folder / "retrained-a")]}
        raw["data"] = {split: str(folder / path) for split, path in raw["data"].items()}
        plan = plan_run(Config.model_validate(raw), tmp_path).scoring
        units = plan.units(plan.references[0], 2)
        return next(unit.outputs["patched-forget"] for unit in units if unit.what == "patched-forget")

    assert patched_settings("original") != patched_settings("half")
