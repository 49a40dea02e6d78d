"""Settings of scoring that a run carries: sampling, automatic batches, token budgets, chat templates."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from vestige.evaluation import ConfigError, estimate_costs, evaluate, prepare, score, work
from vestige.evaluation.plan import plan_run
from vestige.scoring import forward, language
from vestige.scoring.checkpoints import CheckpointError
from vestige.store import ScoreStore

PEOPLE = ("Ann", "Bob", "Cem", "Dan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three untrained models of one tokenizer, and data of examples of different lengths."""
    from vestige.demo.model import Shape, tiny_llama
    from vestige.demo.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("settings")
    rows = [(f"Where is {n} {'now ' * i}?", " In Lyon.", n) for i, n in enumerate(PEOPLE * 3)]
    tokenizer = train_tokenizer([prompt + answer for prompt, answer, _ in rows], 300)
    for seed, name in enumerate(("original", "retrained", "unlearned")):
        shape = Shape(hidden=16, layers=2, heads=2, mlp=32, vocab=300)
        tiny_llama(shape, tokenizer, seed=seed).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    for split in ("forget", "retain"):
        lines = [{"prompt": p, "answer": a, "cluster": n} for p, a, n in rows]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def written(folder, name, **scoring):
    config = {
        "models": {
            "original": "original",
            "retrained": ["retrained"],
            "unlearned": [{"name": "unlearned", "path": "unlearned"}],
        },
        "data": {split: f"{split}.jsonl" for split in ("forget", "retain")},
        "scoring": {"batch_size": 8, "samples": 2, "prompts": 4, "max_new_tokens": 6, **scoring},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return folder / f"{name}.yaml"


def read(run, split, model="unlearned"):
    return ScoreStore(run / "store").read(next(run.glob(f"store/{model}-*")).name, split)


@pytest.fixture(scope="module")
def usual(folder):
    evaluate(written(folder, "usual"), folder / "usual", jobs=1)
    return folder / "usual"


def test_sampling_is_carried_and_fade_is_left_out_with_the_reason(folder, usual, tmp_path):
    config = written(folder, "cold", sampling={"temperature": 0.5, "top_p": 0.9, "top_k": 20})
    run = evaluate(config, tmp_path, jobs=1)
    cold, own = read(tmp_path, "samples"), read(usual, "samples")
    assert "log_prob" in own.columns and "log_prob" not in cold.columns
    assert cold["token_id"].tolist() != own["token_id"].tolist()
    assert not list(tmp_path.glob("store/*/versus-*-samples"))
    scores = {row.model: row.scores for row in run.report.rows}
    assert "FADE" not in scores["unlearned"] and "JS" in scores["unlearned"]
    missing = next(finding for finding in run.report.findings if finding.code == "metrics_missing")
    assert "drawn with temperature 0.5, top_p 0.9 and top_k 20, so not from the models' own" in missing.message
    settings = plan_run(read_config(config), tmp_path).scoring.settings["samples"]
    assert (settings["temperature"], settings["top_p"], settings["sample_top_k"]) == (0.5, 0.9, 20)


def read_config(path):
    from vestige.evaluation import read_config

    return read_config(path)


def test_the_likeliest_token_is_drawn_at_temperature_0(folder, tmp_path):
    with pytest.raises(ConfigError, match="all samples of a prompt are the same: set `samples: 1`"):
        read_config(written(folder, "greedy", sampling={"temperature": 0}))
    config = written(folder, "greedy", samples=1, sampling={"temperature": 0}, further=["texts"])
    plan, _ = score(config, tmp_path, jobs=1)
    model = plan.scoring.how.load(folder / "unlearned")
    texts, samples = read(tmp_path, "further-forget"), read(tmp_path, "samples")
    first = model.tokenizer.decode(samples["token_id"][: samples["offsets"][1]], skip_special_tokens=True).strip()
    assert bytes(texts["text"][: texts["text_offsets"][1]]).decode() == first


def test_an_automatic_batch_size_survives_memory_running_out_and_is_recorded(folder, usual, tmp_path, monkeypatch):
    padded = forward.padded

    def small_memory(items, device):
        if len(items) > 3:
            raise torch.OutOfMemoryError("no room")
        return padded(items, device)

    for module in ("forward", "generation"):
        monkeypatch.setattr(f"vestige.scoring.{module}.padded", small_memory)
    config = written(folder, "auto", batch_size="auto", further=["texts", "steps", "lens", "patched"])
    run = evaluate(config, tmp_path, jobs=1)
    mine, theirs = read(tmp_path, "forget"), read(usual, "forget")
    np.testing.assert_allclose(mine["token_log_prob"], theirs["token_log_prob"], atol=1e-5)
    assert mine["batch_size_used"].max() <= 3
    assert read(tmp_path, "samples")["token_id"].tolist() == read(usual, "samples")["token_id"].tolist()
    note = next(finding for finding in run.report.findings if finding.code == "automatic_batch_size")
    assert f"forget examples had {mine['batch_size_used'].min()} sequences" in note.message
    facts = json.loads(next(tmp_path.glob("store/unlearned-*/scored-with.json")).read_text())
    assert facts["batch_plan"]["batch_size"] == "auto"
    assert run.report.about["settings"]["batch_size"] == "auto"


def test_a_given_batch_size_is_not_made_smaller(folder, tmp_path, monkeypatch):
    def no_memory(items, device):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr("vestige.scoring.forward.padded", no_memory)
    with pytest.raises(RuntimeError, match=r"out of memory with 8 sequences a forward pass; lower batch_size, or let"):
        score(written(folder, "given"), tmp_path, jobs=1)


def test_a_budget_of_tokens_cuts_batches_and_is_part_of_the_settings(folder, usual, differing, tmp_path, monkeypatch):
    seen, once = [], language.forward

    def watched(model, items, *arguments):
        seen.append((len(items), len(items) * max(len(item.ids) for item in items)))
        return once(model, items, *arguments)

    monkeypatch.setattr("vestige.scoring.language.forward", watched)
    config = written(folder, "budget", max_tokens=60)
    plan, _ = score(config, tmp_path, jobs=1)
    assert all(n_tokens <= 60 or n == 1 for n, n_tokens in seen) and max(n for n, _ in seen) > 1
    np.testing.assert_allclose(
        read(tmp_path, "forget")["token_log_prob"], read(usual, "forget")["token_log_prob"], atol=1e-5
    )
    assert plan.scoring.settings["forget"]["max_tokens"] == 60
    facts = json.loads(next(tmp_path.glob("store/unlearned-*/scored-with.json")).read_text())
    assert facts["batch_plan"]["max_tokens"] == 60
    new = tmp_path / "new"
    one, other = (sum(c.passes for _, c in estimate_costs(written(folder, n), new)) for n in ("usual",) * 2)
    assert one == other < sum(c.passes for _, c in estimate_costs(config, new))
    prepare(config, new)
    work(new)
    assert differing(new / "store", tmp_path / "store") == []


@pytest.mark.parametrize("scoring", [{"batch_size": "auto"}, {"max_tokens": 9}, {"sampling": {"temperature": 2.0}}])
def test_settings_of_tokens_are_for_models_that_speak_in_them(folder, scoring):
    path = written(folder, "kind", **scoring)
    path.write_text(path.read_text() + "kind: classifier\n")
    with pytest.raises(ConfigError, match=r"models that speak in tokens, which a classifier does not"):
        read_config(path)


def test_settings_out_of_range_are_named(folder):
    with pytest.raises(ConfigError, match=r"scoring\.sampling\.top_p: .* less than or equal to 1"):
        read_config(written(folder, "range", sampling={"top_p": 1.5}))


TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"


def test_models_with_other_chat_templates_are_refused_where_templates_are_used(folder, tmp_path):
    own = shutil.copytree(folder, tmp_path / "chat", ignore=shutil.ignore_patterns("usual"))
    for name in ("original", "retrained", "unlearned"):
        (own / name / "chat_template.jinja").write_text(TEMPLATE)
    settings = json.loads((own / "retrained" / "tokenizer_config.json").read_text())
    (own / "retrained" / "chat_template.jinja").unlink()  # the same, in the other place
    (own / "retrained" / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": TEMPLATE}))
    plan_run(read_config(written(own, "chat", chat=True)), tmp_path / "run")
    (own / "unlearned" / "chat_template.jinja").write_text(TEMPLATE.replace("role", "role|upper"))
    with pytest.raises(CheckpointError, match=r"unlearned and original have different chat templates \(chat_templ"):
        plan_run(read_config(written(own, "chat", chat=True)), tmp_path / "run")
    plan_run(read_config(written(own, "raw")), tmp_path / "run")
