"""Candidates read off the layers against the function on distributions that are made by hand, item by item."""

import numpy as np
import pytest
import tiny_vision as made
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from vestige.data.examples import Example
from vestige.metrics.probing import candidate_budgets
from vestige.scoring import forward as forwards
from vestige.scoring import vision_language
from vestige.scoring.forward import ScoringError
from vestige.scoring.lens import _Head, lens_budgets, read_layers
from vestige.scoring.loading import load_language_model
from vestige.scoring.patching import blocks
from vestige.scoring.spans import Sequence

ITEMS = [Sequence(tuple(range(5, 17)), 4), Sequence(tuple(range(30, 36)), 2), Sequence(tuple(range(50, 61)), 9)]


def llama(n_layers):
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=420,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=n_layers,
            num_attention_heads=2,
            tie_word_embeddings=False,
        )
    )


def gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=420, n_embd=16, n_layer=3, n_head=2))


MODELS = {"llama": (lambda: llama(3), lambda m: m.model.norm), "gpt2": (gpt2, lambda m: m.transformer.ln_f)}


def saved(model, folder, tokenizer):
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_language_model(folder, device="cpu")


@torch.no_grad()
def by_hand(folder, norm, layers):
    """Each chosen state through the final norm and the head; the last one is normed already."""
    model, rows = AutoModelForCausalLM.from_pretrained(folder).eval(), []
    for item in ITEMS:
        states = model(torch.tensor([item.ids]), output_hidden_states=True).hidden_states
        read = [states[i][0, item.start - 1] for i in layers]
        normed = [norm(model)(state) for state in read[:-1]] + read[-1:]
        rows.append(torch.softmax(model.get_output_embeddings()(torch.stack(normed)).float(), -1).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("chunk", [None, 1])
def test_budgets_are_those_of_the_distributions_made_by_hand(kind, chunk, tmp_path, byte_bpe, monkeypatch):
    make, norm = MODELS[kind]
    model = saved(make(), tmp_path, byte_bpe)
    if chunk:
        monkeypatch.setattr(forwards, "CHUNK_BYTES", chunk)
    found = lens_budgets(model, ITEMS, batch_size=2)
    lens, answers = by_hand(tmp_path, norm, [1, 2, 3]), np.array([item.ids[item.start] for item in ITEMS])
    np.testing.assert_array_equal(found["lens_budget"], candidate_budgets(lens, answers))
    np.testing.assert_array_equal(found["change_budget"], candidate_budgets(lens, answers, "change"))
    assert len(set(found["lens_budget"])) > 1


def test_a_layer_that_names_the_answer_is_found_at_once(tmp_path, byte_bpe):
    """The first block writes the answer's own direction, which the next takes back: one token of each is enough."""
    model = saved(llama(2), tmp_path, byte_bpe)
    net, item = model.model, ITEMS[0]
    direction = 1e3 * net.lm_head.weight[item.ids[item.start]].detach()
    with torch.no_grad():
        net.model.norm.weight.fill_(1.0)
    net.model.layers[0].register_forward_hook(lambda _, __, out: out + direction)
    net.model.layers[1].register_forward_hook(lambda _, __, out: out - direction)
    before = saved(llama(2), tmp_path / "plain", byte_bpe)
    assert lens_budgets(model, [item], batch_size=1)["lens_budget"].tolist() == [2.0]
    assert lens_budgets(before, [item], batch_size=1)["lens_budget"][0] > 2


def test_deep_models_are_read_at_ten_blocks_and_single_ones_have_no_changes(tmp_path, byte_bpe):
    assert read_layers(80)[0] == 1 and read_layers(80)[-1] == 80 and len(set(read_layers(80))) == 10
    found = lens_budgets(saved(llama(1), tmp_path, byte_bpe), ITEMS, batch_size=3)
    assert np.isnan(found["change_budget"]).all() and np.isfinite(found["lens_budget"]).all()


def test_a_model_without_a_decoder_is_refused(tiny):
    class Bare:
        def __init__(self, inner):
            self.config, self.modules, self.parameters = inner.config, inner.modules, inner.parameters

    from dataclasses import replace

    model = load_language_model(tiny, device="cpu")
    with pytest.raises(ScoringError, match="no decoder was found in Bare"):
        lens_budgets(replace(model, model=Bare(model.model)), ITEMS, batch_size=1)


@pytest.mark.parametrize("make", [made.llava, made.blip, made.qwen], ids=["llava", "blip-2", "qwen-vl"])
def test_the_head_of_models_of_images_gives_what_they_say(make, tmp_path):
    """States behind the last block, read as those of any other, become the model's own distribution."""
    torch.manual_seed(0)
    make(tmp_path)
    model = vision_language.load(tmp_path, dtype="float32", device="cpu")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 12, 3), np.uint8)).save(tmp_path / "image.png")
    example = Example("1", "Question: Who is it?\nAnswer:", " good film.", "1", image=str(tmp_path / "image.png"))
    item, kept = vision_language.encode(model, example), []
    hook = blocks(model)[-1].register_forward_hook(lambda _, __, out: kept.append(first_of(out)))
    said = torch.cat(list(forwards.forward(model, [item]).chunks))
    hook.remove()
    behind = kept[0][0, -len(item.ids) :][item.start - 1 : -1]
    with torch.inference_mode():
        found = _Head.of(model, item).logits(behind)
    torch.testing.assert_close(found, said, atol=1e-4, rtol=1e-4)


def first_of(out):
    return out if isinstance(out, torch.Tensor) else out[0]
