"""Loading through the real libraries: whole checkpoints, adapters held to their merged models, quantised weights."""

import copy
import gc
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vestige.scoring import adapters
from vestige.scoring.checkpoints import base_folder, checkpoint_folder, fingerprint, quantisation, tokenizer_folder
from vestige.scoring.facts import code_digest, facts
from vestige.scoring.loading import CheckpointError, load_language_model
from vestige.scoring.spans import Sequence
from vestige.scoring.weights import incomparable, parameter_distances

IDS = torch.arange(5, 17)[None]


def logits(model):
    with torch.no_grad():
        return model.model(IDS).logits


@pytest.fixture(scope="session")
def lora(tmp_path_factory, tiny):
    """A function that writes an adapter on the tiny model, and the same model with it merged."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def write(name, seed, **options):
        folder = tmp_path_factory.mktemp("adapters") / name
        torch.manual_seed(seed)
        config = LoraConfig(r=4, target_modules=["q_proj", "up_proj"], init_lora_weights=False, **options)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), config)
        for weight in model.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.3)
        model.save_pretrained(folder)
        model.merge_and_unload().save_pretrained(folder.with_name(f"{name}-merged"))
        for path in tiny.glob("tokenizer*"):
            shutil.copy(path, folder.with_name(f"{name}-merged"))
        return folder, folder.with_name(f"{name}-merged")

    return write


@pytest.fixture(scope="session")
def two(lora):
    return lora("one", 1), lora("other", 2)


def test_adapters_in_turns_on_one_base_say_what_their_merged_models_say(two, monkeypatch):
    loaded = []
    put = adapters._Base.__init__
    monkeypatch.setattr(adapters._Base, "__init__", lambda self, model: (loaded.append(model), put(self, model))[1])
    (one, one_merged), (other, other_merged) = two
    first, second = load_language_model(one, device="cpu"), load_language_model(other, device="cpu")
    assert len(loaded) <= 1  # the second is put on the base of the first
    expected = [logits(load_language_model(folder, device="cpu")) for folder in (one_merged, other_merged)]
    assert (expected[0] - expected[1]).abs().max() > 0.01
    for _ in range(2):
        for model, truth in zip((first, second), expected, strict=True):
            torch.testing.assert_close(logits(model), truth, atol=1e-6, rtol=0)


def test_adapters_are_scored_and_sampled_like_their_merged_models(two):
    from vestige.scoring.language import generate, score

    models = [[load_language_model(folder, device="cpu") for folder in pair] for pair in two]
    items = [Sequence(tuple(range(5, 5 + n)), 2) for n in (6, 9, 7)]
    columns = [[score(model, items, batch_size=2) for model in pair] for pair in models]
    for adapted, merged in columns:
        for name in ("token_log_prob", "entropy", "hidden"):
            np.testing.assert_allclose(adapted[name], merged[name], atol=2e-6)
    assert np.abs(columns[0][0]["token_log_prob"] - columns[1][0]["token_log_prob"]).max() > 0.01
    settings = {"n_samples": 3, "max_new_tokens": 4, "seed": 0}
    assert generate(models[0][0], items, **settings) == generate(models[0][1], items, **settings)


def test_an_adapter_leaves_its_base_as_a_checkpoint_of_its_own_alone(two, tiny):
    before = logits(load_language_model(tiny, device="cpu"))
    adapted = load_language_model(two[0][0], device="cpu")
    assert (logits(adapted) - before).abs().max() > 0.01
    torch.testing.assert_close(logits(load_language_model(tiny, device="cpu")), before, atol=0, rtol=0)


def test_a_deep_copy_is_the_merged_model_and_can_be_changed_and_trained(two):
    model = load_language_model(two[0][0], device="cpu")
    before = logits(model)
    merged = copy.deepcopy(model.model)
    torch.testing.assert_close(merged(IDS).logits.detach(), before, atol=1e-6, rtol=0)
    assert all(weight.requires_grad for weight in merged.parameters())
    assert not any("lora" in name for name, _ in merged.named_parameters())
    with torch.no_grad():
        merged.lm_head.weight.zero_()
    torch.testing.assert_close(logits(model), before, atol=0, rtol=0)


def test_adapters_that_nobody_uses_are_freed_when_the_next_one_comes(two):
    first, second = (load_language_model(folder, device="cpu") for folder, _ in two)
    shared, before = first.model._shared, logits(second)
    names = {first.model._adapter, second.model._adapter}
    assert names <= set(shared.peft_config)
    del first
    gc.collect()
    third = load_language_model(two[0][0], device="cpu")
    assert set(shared.peft_config) == {second.model._adapter, third.model._adapter}
    torch.testing.assert_close(logits(second), before, atol=0, rtol=0)


def test_an_adapter_that_changes_weights_of_the_base_has_a_base_of_its_own(lora, two):
    plain = load_language_model(two[0][0], device="cpu")
    before = logits(plain)
    folder, merged = lora("bias", 3, bias="all")
    biased = load_language_model(folder, device="cpu")
    torch.testing.assert_close(logits(biased), logits(load_language_model(merged, device="cpu")), atol=1e-6, rtol=0)
    assert biased.model._shared is not plain.model._shared
    torch.testing.assert_close(logits(plain), before, atol=0, rtol=0)


def test_adapters_that_do_not_fit_are_refused(two, tiny, tmp_path):
    def damaged(name, change):
        folder = shutil.copytree(two[0][0], tmp_path / name)
        change(folder)
        return folder

    def without_one(folder):
        weights = load_file(folder / "adapter_model.safetensors")
        weights.pop(sorted(weights)[0])
        save_file(weights, folder / "adapter_model.safetensors")

    def configured(**fields):
        def change(folder):
            config = json.loads((folder / "adapter_config.json").read_text())
            (folder / "adapter_config.json").write_text(json.dumps({**config, **fields}))

        return change

    cases = [
        (without_one, "does not fit its base: 1 weights are missing"),
        (configured(r=8), "cannot load .*size mismatch"),
        (configured(base_model_name_or_path=None), "names no base model"),
        (configured(base_model_name_or_path="no/where"), "the base of the adapter .*neither a folder nor a hub model"),
        (configured(base_model_name_or_path=str(two[1][0])), "is put on another adapter"),
        (lambda folder: (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin"), "must hold"),
        (lambda folder: (folder / "adapter_config.json").write_text("["), "cannot read"),
    ]
    for i, (change, message) in enumerate(cases):
        with pytest.raises(CheckpointError, match=message):
            load_language_model(damaged(str(i), change))
    torch.testing.assert_close(  # none of them left anything behind
        logits(load_language_model(two[0][0])), logits(load_language_model(two[0][1])), atol=1e-6, rtol=0
    )


def test_prompt_tuning_is_refused(tiny, tmp_path):
    from peft import PromptTuningConfig, TaskType, get_peft_model
    from transformers import AutoModelForCausalLM

    config = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=2)
    get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="PROMPT_TUNING adapter: its virtual tokens"):
        load_language_model(tmp_path)


def test_fingerprints_of_adapters_cover_adapter_and_base(two, tiny, tmp_path):
    (one, _), (other, _) = two
    assert fingerprint(one) == fingerprint(shutil.copytree(one, tmp_path / "copy"))
    assert fingerprint(one) != fingerprint(other)
    base = shutil.copytree(tiny, tmp_path / "base")
    config = json.loads((one / "adapter_config.json").read_text())
    moved = shutil.copytree(one, tmp_path / "moved")
    (moved / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "../base"}))
    assert base_folder(moved) == base
    before = fingerprint(moved)
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint(moved) != before


def test_the_chat_template_is_part_of_the_fingerprint(tiny, tmp_path):
    copy_ = shutil.copytree(tiny, tmp_path / "copy")
    assert fingerprint(copy_) == fingerprint(tiny)
    (copy_ / "chat_template.jinja").write_text("{{ messages }}")
    assert fingerprint(copy_) != fingerprint(tiny)


def test_a_tokenizer_is_the_adapters_own_or_the_bases(two, tiny, tmp_path):
    assert tokenizer_folder(tiny) == tiny
    assert tokenizer_folder(two[0][0]) == tiny
    own = shutil.copytree(two[0][0], tmp_path / "own")
    shutil.copy(tiny / "tokenizer_config.json", own)
    assert tokenizer_folder(own) == own


def test_distances_of_adapters_are_those_of_their_tensors_on_one_base(two, tiny, tmp_path):
    (one, merged), (other, _) = two
    a, b = (load_file(folder / "adapter_model.safetensors") for folder in (one, other))
    expected = [float((a[name].double() - b[name].double()).norm()) for name in sorted(a)]
    np.testing.assert_allclose(parameter_distances(one, other), expected, rtol=1e-12)
    assert "is an adapter and the other is not: merge it first" in incomparable(one, merged)
    assert parameter_distances(one, merged) is None


@pytest.fixture(scope="session")
def quantised(tmp_path_factory, tiny):
    """The tiny model with 8-bit weights, saved as transformers saves it."""
    pytest.importorskip("torchao")
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import AutoModelForCausalLM, TorchAoConfig

    folder = tmp_path_factory.mktemp("quantised")
    config = TorchAoConfig(Int8WeightOnlyConfig())
    AutoModelForCausalLM.from_pretrained(tiny, quantization_config=config).save_pretrained(folder)
    for path in tiny.glob("tokenizer*"):
        shutil.copy(path, folder)
    return folder


def test_quantised_weights_are_loaded_as_they_are_and_recorded(quantised, tiny):
    model = load_language_model(quantised, dtype="float32", device="cpu")
    layer = model.model.model.layers[0].mlp.up_proj.weight
    assert "int8" in type(layer).__name__.lower()
    difference = (logits(model) - logits(load_language_model(tiny, device="cpu"))).abs().max()
    assert 1e-6 < difference < 0.05
    assert facts(model)["quantisation"]["quant_method"] == "torchao"
    assert quantisation(tiny) == {}


def test_quantised_weights_have_no_distance(quantised, tiny):
    assert parameter_distances(quantised, tiny) is None
    assert "are quantised (torchao)" in incomparable(tiny, quantised)


def test_a_missing_package_is_named(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "aqlm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "aqlm"}}))
    with pytest.raises(CheckpointError, match=r"cannot load aqlm .*aqlm"):
        load_language_model(folder)


def test_code_in_a_checkpoint_runs_only_when_asked(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "coded")
    config = json.loads((folder / "config.json").read_text())
    maps = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": maps}))
    (folder / "own.py").write_text(
        "from pathlib import Path\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    before = fingerprint(folder)
    with pytest.raises(CheckpointError, match=r"cannot load coded: .*set `trust_remote_code: true` under `models`"):
        load_language_model(folder, device="cpu")
    assert not (tmp_path / "ran").exists()
    model = load_language_model(folder, device="cpu", trust_remote_code=True)
    assert (tmp_path / "ran").exists()
    torch.testing.assert_close(logits(model), logits(load_language_model(tiny, device="cpu")), atol=0, rtol=0)
    (folder / "own.py").write_text((folder / "own.py").read_text() + "# changed\n")
    assert fingerprint(folder) != before


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    """A hub cache that holds the tiny model under two commits; `main` is the second."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--lab--tiny"
    for commit in ("a" * 40, "b" * 40):
        shutil.copytree(tiny, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("b" * 40)
    return repo / "snapshots"


def test_hub_ids_are_pinned_by_a_revision_which_is_recorded(hub):
    assert checkpoint_folder("lab/tiny") == hub / ("b" * 40)
    pinned = load_language_model("lab/tiny@" + "a" * 40, device="cpu")
    assert pinned.folder == hub / ("a" * 40)
    assert facts(pinned)["revision"] == "a" * 40
    with pytest.raises(CheckpointError, match="'lab/tiny@none' is neither a folder nor a hub model"):
        checkpoint_folder("lab/tiny@none")


def test_facts_are_plain_values_that_tell_models_apart(two, tiny, tmp_path):
    model = load_language_model(tiny, device="cpu")
    plain = facts(model)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["weights"] == fingerprint(tiny)
    assert (plain["dtype"], plain["attention"], plain["device"]) == ("float32", "sdpa", "cpu")
    assert (plain["template"], plain["base"], plain["revision"]) == ("", None, "")
    assert plain["libraries"]["torch"] == torch.__version__
    assert plain["code"]["scoring"] == code_digest()
    model.tokenizer.chat_template = "{{ messages }}"
    assert facts(model)["template"]
    adapted = facts(load_language_model(two[0][0], device="cpu", dtype="bfloat16"))
    assert adapted["base"]["weights"] == plain["weights"] != adapted["weights"]
    assert adapted["tokenizer"] == plain["tokenizer"]
    assert adapted["dtype"] == "bfloat16"
