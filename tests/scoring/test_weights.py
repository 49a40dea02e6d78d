"""Distances of weights by tensor, layer and LoRA module against weights that are written out."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vestige.scoring.updates import LoraUpdates, is_lora
from vestige.scoring.weights import incomparable, weight_columns

MODULES = ("q_proj", "up_proj")


@pytest.fixture(scope="module")
def write(tmp_path_factory, tiny):
    """A function that writes an adapter on the tiny model, and the weights of the merged model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def make(seed, **options):
        folder = tmp_path_factory.mktemp("adapter")
        torch.manual_seed(seed)
        settings = {"r": 4, "target_modules": list(MODULES), "init_lora_weights": False} | options
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), LoraConfig(**settings))
        for weight in model.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.3)
        model.save_pretrained(folder)
        merged = {name: w.detach().double() for name, w in model.merge_and_unload().named_parameters()}
        return folder, merged

    return make


def by_layer(ours, theirs, parts):
    """Norm of all differences of the tensors whose name has one of these parts."""
    return [sum(float(((ours[n] - theirs[n]) ** 2).sum()) for n in ours if part in n) ** 0.5 for part in parts]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True, "lora_alpha": 3},
        {"alpha_pattern": {"up_proj": 5}, "rank_pattern": {"layers.0.self_attn.q_proj": 2}},
        {"target_modules": ["embed_tokens", "q_proj"]},
    ],
    ids=["plain", "rank-stabilised", "patterns", "embedding"],
)
def test_updates_are_compared_as_the_merged_weights_are(write, tiny, options):
    (one, ours), (other, theirs) = write(1, **options), write(2, **({"r": 3} | options))
    base = {name: w.double() for name, w in load_file(tiny / "model.safetensors").items()}
    changed = [
        name for name in sorted(ours) if name in base and not torch.equal(ours[name].float(), base[name].float())
    ]
    columns = weight_columns(one, other)
    expected = {n: float((ours[n] - theirs[n]).norm() / (theirs[n] - base[n]).norm()) for n in changed}
    modules = {name.removeprefix("base_model.model.") + ".weight": i for i, name in enumerate(LoraUpdates(one))}
    assert modules.keys() == expected.keys()
    found = {name: columns["relative_update"][i] for name, i in modules.items()}
    assert found == pytest.approx(expected, rel=1e-4)
    parts = sorted({"embed_tokens" if "embed" in n else n.split("layers.")[1].split(".")[0] for n in changed})
    layers = by_layer(ours, theirs, [part if part == "embed_tokens" else f"layers.{part}." for part in parts])
    np.testing.assert_allclose(np.sort(columns["weight_distances"]), np.sort(layers), rtol=1e-4)


def test_another_way_to_write_the_same_product_changes_only_the_distance_of_its_factors(write, tmp_path):
    (one, _), (other, _) = write(1), write(2)
    turned = shutil.copytree(one, tmp_path / "turned")
    weights = load_file(one / "adapter_model.safetensors")
    for name in weights:
        weights[name] = weights[name] * (4.0 if "lora_A" in name else 0.25)
    save_file(weights, turned / "adapter_model.safetensors")
    before, after = weight_columns(one, other), weight_columns(turned, other)
    for name in ("weight_distances", "relative_update"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6)
    assert np.abs(after["l2"] / before["l2"] - 1).max() > 0.1
    np.testing.assert_allclose(weight_columns(turned, one)["relative_update"], 0, atol=1e-6)


def test_whole_weights_beside_the_factors_are_part_of_the_layers(write):
    (one, ours), (other, theirs) = (write(seed, modules_to_save=["norm"]) for seed in (1, 2))
    columns = weight_columns(one, other)
    assert len(columns["weight_distances"]) == 3
    layers = by_layer(ours, theirs, ["layers.0.", "layers.1.", "model.norm"])
    np.testing.assert_allclose(np.sort(columns["weight_distances"]), np.sort(layers), rtol=1e-4)
    smaller, _ = write(3, r=2, modules_to_save=["norm"])
    assert weight_columns(smaller, other).keys() == {"relative_update"}  # a part of what it holds is not compared


def test_layers_of_whole_models_are_the_norms_of_their_tensors(tiny, tmp_path):
    other = shutil.copytree(tiny, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    moved = {name: w + torch.randn(w.shape, generator=generator) for name, w in weights.items()}
    save_file(moved, other / "model.safetensors", metadata={"format": "pt"})
    columns = weight_columns(other, tiny)
    assert columns.keys() == {"l2", "weight_distances"}
    np.testing.assert_allclose((columns["l2"] ** 2).sum(), (columns["weight_distances"] ** 2).sum())
    layers = by_layer(moved, weights, ["layers.0.", "layers.1."])
    assert all(np.isclose(columns["weight_distances"], layer, rtol=1e-5).any() for layer in layers)


def test_what_is_more_than_a_product_has_no_update(write, tiny, tmp_path):
    one, _ = write(1)
    assert is_lora(one) and not is_lora(tiny)
    assert is_lora(write(4, use_dora=True)[0]) is False
    for i, fields in enumerate(({"init_lora_weights": "pissa"}, {"peft_type": "LOHA"})):
        other = shutil.copytree(one, tmp_path / str(i))
        config = json.loads((other / "adapter_config.json").read_text())
        (other / "adapter_config.json").write_text(json.dumps({**config, **fields}))
        assert "relative_update" not in weight_columns(other, one)
    base = shutil.copytree(tiny, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    save_file({**weights, "model.norm.weight": weights["model.norm.weight"] + 1}, base / "model.safetensors")
    config = json.loads((one / "adapter_config.json").read_text())
    moved = shutil.copytree(one, tmp_path / "moved")
    (moved / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
    assert "different bases" in incomparable(moved, one)
    assert weight_columns(moved, one) == {}


def test_a_module_that_the_reference_leaves_as_it_is_has_no_relative_distance(write, tmp_path):
    one, _ = write(1)
    still = shutil.copytree(one, tmp_path / "still")
    weights = load_file(one / "adapter_model.safetensors")
    first = next(name for name in sorted(weights) if "lora_B" in name)
    save_file({**weights, first: torch.zeros_like(weights[first])}, still / "adapter_model.safetensors")
    assert np.isnan(weight_columns(one, still)["relative_update"]).sum() == 1
