"""Value vectors and output embeddings against indexing of loaded models: several families, whole and adapted."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from vestige.data.concepts import Concept, read_concepts
from vestige.data.examples import DataError
from vestige.scoring.checkpoints import CheckpointError
from vestige.scoring.concepts import output_embeddings, value_vectors

CONCEPTS = (Concept("rivers", 1, 5), Concept("rivers", 0, 2), Concept("wizards", 1, 0))
SMALL = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
FAMILIES = {
    "llama": (
        lambda: LlamaForCausalLM(LlamaConfig(**SMALL, intermediate_size=12, tie_word_embeddings=False)),
        lambda m, layer: m.model.layers[layer].mlp.down_proj.weight.T,
    ),
    "gpt2": (
        lambda: GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=8, n_layer=2, n_head=2)),
        lambda m, layer: m.transformer.h[layer].mlp.c_proj.weight,
    ),
    "neox": (
        lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL, intermediate_size=8)),  # square: no shape gives it away
        lambda m, layer: m.gpt_neox.layers[layer].mlp.dense_4h_to_h.weight.T,
    ),
    "opt": (
        lambda: OPTForCausalLM(OPTConfig(**SMALL, ffn_dim=12, word_embed_proj_dim=8)),
        lambda m, layer: m.model.decoder.layers[layer].fc2.weight.T,
    ),
}


def by_indexing(model, of_layer):
    return np.stack([of_layer(model, c.layer)[c.index].detach().float().numpy() for c in CONCEPTS])


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_what_indexing_the_model_gives(family, tmp_path):
    make, of_layer = FAMILIES[family]
    make().save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    np.testing.assert_array_equal(value_vectors(tmp_path, CONCEPTS), by_indexing(model, of_layer))
    expected = model.get_output_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(output_embeddings(tmp_path), expected)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_vectors_of_an_adapter_are_those_of_the_merged_model(family, tmp_path):
    from peft import LoraConfig, get_peft_model

    make, of_layer = FAMILIES[family]
    make().save_pretrained(tmp_path / "base")
    target = "down_proj" if family == "llama" else "c_proj"
    config = LoraConfig(r=2, target_modules=[target], init_lora_weights=False, fan_in_fan_out=family == "gpt2")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), config)
    model.save_pretrained(tmp_path / "adapter")
    found = value_vectors(tmp_path / "adapter", CONCEPTS)
    np.testing.assert_allclose(found, by_indexing(model.merge_and_unload(), of_layer), atol=1e-6)
    assert np.abs(found - value_vectors(tmp_path / "base", CONCEPTS)).max() > 1e-3
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**settings, "use_dora": True}))
    assert value_vectors(tmp_path / "adapter", CONCEPTS) is None


def test_bfloat16_is_read_exactly(tmp_path):
    make, of_layer = FAMILIES["llama"]
    model = make().to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(value_vectors(tmp_path, CONCEPTS), by_indexing(model, of_layer))


def test_places_that_a_model_has_not_are_refused(tmp_path):
    FAMILIES["llama"][0]().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"rivers: there is no layer 2; .* has layers 0 to 1"):
        value_vectors(tmp_path, [Concept("rivers", 2, 0)])
    with pytest.raises(CheckpointError, match=r"there is no unit 12 in layer 0 .* it has 12"):
        value_vectors(tmp_path, [Concept("rivers", 0, 12)])


def test_files_of_concepts_are_read_and_checked(tmp_path):
    path = tmp_path / "concepts.csv"
    path.write_text("concept,layer,index\nrivers,1,5\nrivers,0,2\nwizards,1,0\n")
    assert read_concepts(path) == CONCEPTS
    for text, problem in (
        ("concept,layer,index\n", "names no concepts"),
        ("concept,layer,index\nrivers,-1,5\n", "`layer` must be a whole number of at least 0"),
        ("concept,layer,index\nrivers,1,\n", "`index` must be a whole number"),
        ("concept,layer,index\n,1,5\n", "`concept` must name a concept"),
        ("concept,layer,index\na,1,5\nb,1,5\n", "names a vector of layer 1 a second time"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=problem):
            read_concepts(path)
