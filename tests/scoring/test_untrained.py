"""Untrained classifiers against the modules that their libraries build under the same seed."""

import numpy as np
import pytest
import tiny_vision as made
import torch
from transformers import BertConfig, BertForSequenceClassification

from vestige.data.examples import Example
from vestige.scoring.checkpoints import CheckpointError
from vestige.scoring.classifier import Item, encode, from_module, load, score
from vestige.scoring.forward import ScoringError
from vestige.scoring.untrained import untrained

TEXTS = [Example(str(i), text, " dog" if i % 2 else " cat", str(i)) for i, text in enumerate(made.TEXTS)]
IMAGES = [Item(0, np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)) for i in range(3)]


def said(model, items):
    return score(model, items, batch_size=2)["class_log_prob"]


def test_a_model_of_transformers_is_the_one_that_its_configuration_makes(tmp_path):
    made.bert(tmp_path)
    model = load(tmp_path, device="cpu")
    items = [encode(model, example) for example in TEXTS]
    before, found = said(model, items), said(untrained(model, 3), items)
    torch.manual_seed(3)
    net = BertForSequenceClassification(BertConfig.from_pretrained(tmp_path)).eval()
    with torch.no_grad():
        expected = torch.log_softmax(torch.cat([net(torch.tensor([item.ids])).logits for item in items]), -1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(said(untrained(model, 3), items), found)
    assert np.abs(said(untrained(model, 4), items) - found).max() > 1e-4
    np.testing.assert_array_equal(said(model, items), before)


def test_a_model_of_timm_is_built_anew(tmp_path):
    timm = pytest.importorskip("timm")
    made.timm(tmp_path)
    model = load(tmp_path, device="cpu")
    bare = untrained(model, 3)
    torch.manual_seed(3)
    expected = timm.create_model(f"local-dir:{tmp_path}", pretrained=False).state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in bare.model.state_dict().items())
    assert np.abs(said(bare, IMAGES) - said(model, IMAGES)).max() > 1e-4


def test_a_module_of_ones_own_is_built_by_its_builder():
    def build():
        return from_module(torch.nn.Linear(4, 2), prepare=torch.as_tensor, classes=("a", "b"))

    items = [Item(i % 2, np.full(4, i, np.float32)) for i in range(3)]
    model = build()
    torch.manual_seed(5)
    np.testing.assert_array_equal(said(untrained(model, 5, build), items), said(build(), items))
    with pytest.raises(ScoringError, match="nobody knows how its weights are initialised"):
        untrained(model, 5)
    with pytest.raises(CheckpointError, match=r"must return a torch\.nn\.Module"):
        untrained(model, 5, lambda: 1)


def test_the_random_numbers_of_others_are_left_alone(tmp_path):
    made.bert(tmp_path)
    model = load(tmp_path, device="cpu")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    untrained(model, 3)
    assert torch.equal(torch.rand(1), expected)
