"""What is read inside LoRA adapters on one base in a run, held to their merged models."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from vestige.data.examples import examples_from
from vestige.evaluation import evaluate
from vestige.scoring.loading import load_language_model
from vestige.scoring.patching import patched_log_probs
from vestige.scoring.spans import encode
from vestige.store import ScoreStore

ROWS = [
    {"prompt": f"Where is {name}?", "answer": f" {name} is in {place}.", "cluster": name}
    for name, place in (("Ann", "Lyon"), ("Bob", "Bern"), ("Cem", "Riga"), ("Dan", "Oslo"))
]
SEEDS = {"original": 1, "retrained-a": 2, "retrained-b": 3, "changed": 4}


def write_adapter(base, folder, seed):
    """An adapter with random factors, and beside it the merged model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, weight in model.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(weight, std=0.5)
    model.save_pretrained(folder)
    merged = folder.with_name(f"{folder.name}-merged")
    model.merge_and_unload().save_pretrained(merged)
    for path in base.glob("tokenizer*"):
        shutil.copy(path, merged)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from vestige.demo.model import Shape, tiny_llama
    from vestige.demo.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("adapters")
    tokenizer = train_tokenizer([row["prompt"] + row["answer"] for row in ROWS] * 5, 300)
    shape = Shape(hidden=16, layers=2, heads=2, mlp=24, vocab=300)
    tiny_llama(shape, tokenizer, seed=0).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    for name, seed in SEEDS.items():
        write_adapter(folder / "base", folder / name, seed)
    for split in ("forget", "retain"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "concepts.csv").write_text("concept,layer,index\n" + "".join(f"c{i},{i % 2},{i}\n" for i in range(6)))
    config = {
        "models": {
            "original": "original",
            "retrained": ["retrained-a", "retrained-b"],
            "unlearned": [{"name": "changed", "path": "changed"}],
        },
        "data": {"forget": "forget.jsonl", "retain": "retain.jsonl", "concepts": "concepts.csv"},
        "scoring": {"samples": 1, "prompts": 1, "max_new_tokens": 2, "further": ["patched", "lens"]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return evaluate(folder / "config.yaml", folder / "run", jobs=1)


def stored(run, model, split):
    store = ScoreStore(run.folder / "store")
    (key,) = [path.name for path in store.root.iterdir() if path.name.startswith(f"{model}-")]
    (name,) = [path.name for path in (store.root / key).iterdir() if path.name.endswith(split)]
    return store.read(key, name)


def scores(run, model):
    return next(row.scores for row in run.report.rows if row.model == model)


def merged(run, name):
    return load_language_model(run.folder.parent / f"{name}-merged", dtype="float32", device="cpu")


def test_states_of_adapters_on_a_shared_base_are_those_of_their_merged_models(run):
    original, other = merged(run, "original"), merged(run, "changed")
    examples = examples_from(ROWS)
    items = [encode(original.tokenizer, example) for example in examples]
    expected = patched_log_probs(original, other, items, batch_size=4)
    found = stored(run, "changed", "patched-forget")["patched_log_probs"]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert scores(run, "original")["UDS-answer"].value == pytest.approx(0, abs=1e-4)
    assert scores(run, "retrained-0")["UDS-answer"].value == 1


def test_updates_and_layers_are_those_of_the_merged_weights(run):
    base = load_language_model(run.folder.parent / "base", dtype="float32", device="cpu").model.state_dict()
    ours, theirs = (merged(run, name).model.state_dict() for name in ("changed", "retrained-a"))
    names = [name for name in base if name.endswith(("q_proj.weight", "down_proj.weight"))]
    relative = [(ours[n] - theirs[n]).norm() / (theirs[n] - base[n]).norm() for n in names]
    assert scores(run, "changed")["d_update"].value == pytest.approx(float(np.mean(relative)), rel=1e-4)
    layers = [sum(float((ours[n] - theirs[n]).norm() ** 2) for n in names if f".{i}." in n) ** 0.5 for i in range(2)]
    assert scores(run, "changed")["d_layers"].value == pytest.approx(np.mean(layers), rel=1e-4)
    assert scores(run, "retrained-0")["d_update"].value == pytest.approx(0, abs=1e-6)


def test_concept_vectors_of_adapters_are_those_of_the_merged_weights(run):
    net = merged(run, "changed").model
    expected = [net.model.layers[i % 2].mlp.down_proj.weight[:, i].detach().numpy() for i in range(6)]
    np.testing.assert_allclose(stored(run, "changed", "concepts")["vectors"], expected, atol=1e-5)
