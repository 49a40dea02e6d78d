"""Classifiers against the plainest possible loop: one item at a time, log_softmax in float64, features by hand."""

import json

import numpy as np
import pytest
import tiny_vision as made
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_vision import CLASSES, TEXTS

from vestige.data.examples import Example
from vestige.scoring.classifier import Item, encode, from_module, load, regress, score
from vestige.scoring.images import ImageError, open_image
from vestige.scoring.language import ScoringError
from vestige.scoring.loading import CheckpointError


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Examples of images of several sizes, labels by name."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    examples = []
    for i in range(7):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (9 + i, 12, 3), np.uint8)).save(path)
        examples.append(Example(str(i), "", "", str(i), image=str(path), label=CLASSES[i % 3]))
    return examples


@pytest.fixture(scope="session")
def texts():
    return [Example(str(i), text, " dog" if i % 2 else " cat", str(i)) for i, text in enumerate(TEXTS)]


KINDS = (made.vit, made.resnet, made.timm, made.bert, made.llama, made.llama_without_padding)
MAKE = {make.__name__: make for make in KINDS}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    made = {}
    for kind, make in MAKE.items():
        torch.manual_seed(1)
        made[kind] = tmp_path_factory.mktemp(kind)
        make(made[kind])
    return made


def examples_of(kind, images, texts):
    return texts if kind.startswith(("bert", "llama")) else images


def features_by_hand(model, kind, inputs):
    """What each architecture's own parts give to its head."""
    net = model.model
    if kind == "vit":
        return net.vit(**inputs).last_hidden_state[:, 0]
    if kind == "resnet":
        return net.resnet(**inputs).pooler_output.flatten(1)
    if kind == "timm":
        return net.forward_head(net.forward_features(inputs["x"]), pre_logits=True)
    if kind == "bert":
        return net.bert(**inputs).pooler_output
    return net.model(**inputs).last_hidden_state[:, -1]


@torch.no_grad()
def plain(model, kind, item):
    inputs = model.collate([item])
    log_probs = torch.log_softmax(model.call(inputs).double(), -1)[0].numpy()
    others = np.delete(log_probs, int(item.label))
    return {
        "class_log_prob": log_probs,
        "token_log_prob": log_probs[int(item.label)],
        "entropy": -(np.exp(log_probs) * log_probs).sum(),
        "margin": log_probs[int(item.label)] - np.log(np.exp(others).sum()),
        "max_log_prob": log_probs.max(),
        "argmax_hit": log_probs.argmax() == item.label,
        "rank": 1 + (others > log_probs[int(item.label)]).sum(),
        "hidden": features_by_hand(model, kind, inputs)[0].numpy(),
    }


@pytest.mark.parametrize("kind", MAKE)
def test_scores_are_those_of_one_item_at_a_time(folders, kind, images, texts):
    model = load(folders[kind], device="cpu")
    items = [encode(model, example) for example in examples_of(kind, images, texts)]
    columns = score(model, items, batch_size=4)
    np.testing.assert_array_equal(columns["offsets"], range(len(items) + 1))
    np.testing.assert_array_equal(columns["token_id"], [item.label for item in items])
    for i, item in enumerate(items):
        for name, expected in plain(model, kind, item).items():
            np.testing.assert_allclose(columns[name][i], expected, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["vit", "bert", "llama"])
def test_batches_change_nothing_and_rows_are_handed_over_in_their_place(folders, kind, images, texts):
    model = load(folders[kind], device="cpu")
    items = [encode(model, example) for example in examples_of(kind, images, texts)]
    seen = np.full((len(items), 3 if kind == "vit" else 2), np.nan)

    def keep(rows, n_rows, logits):
        assert n_rows == len(items)
        seen[rows] = logits

    one, many = score(model, items, batch_size=1), score(model, items, batch_size=4, reduce=keep)
    assert one.keys() == many.keys()
    for name, values in one.items():
        np.testing.assert_allclose(many[name], values, atol=1e-5)
    np.testing.assert_allclose(torch.log_softmax(torch.tensor(seen), -1), many["class_log_prob"], atol=1e-5)


def test_another_image_has_other_scores(folders, images):
    model = load(folders["vit"], device="cpu")
    first, second = (encode(model, example) for example in images[:2])
    a = score(model, [Item(0, first.image)], batch_size=1)["class_log_prob"]
    assert np.abs(a - score(model, [Item(0, second.image)], batch_size=1)["class_log_prob"]).max() > 1e-4


def test_an_array_is_scored_as_the_file_it_was_saved_to(folders, images):
    model = load(folders["vit"], device="cpu")
    array = np.asarray(Image.open(images[0].image))
    from_file, from_array = (score(model, [Item(0, x)], batch_size=1) for x in (images[0].image, array))
    np.testing.assert_array_equal(from_file["class_log_prob"], from_array["class_log_prob"])
    assert model.processor.startswith("ViTImageProcessor")


def test_the_processor_of_the_checkpoint_prepares_the_images(folders, images):
    """Resized, then scaled to [-1, 1]: an image of one grey has the same pixels by hand."""
    model = load(folders["vit"], device="cpu")
    grey = np.full((20, 30, 3), 51, np.uint8)
    expected = torch.full((1, 3, 8, 8), (51 / 255 - 0.5) / 0.5)
    torch.testing.assert_close(model.collate([Item(0, grey)])["pixel_values"], expected, atol=1e-6, rtol=0)


def test_a_module_with_its_own_forward_is_a_classifier():
    torch.manual_seed(0)
    body, head = torch.nn.Linear(4, 5), torch.nn.Linear(5, 3)
    module = torch.nn.ModuleDict({"head": head, "body": body})
    model = from_module(module, forward=lambda m, x: m["head"](torch.relu(m["body"](x))), classes=CLASSES)
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    items = [Item(encode_label, image=row) for encode_label, row in zip([0, 1, 2, 0, 1, 2], rows, strict=True)]
    columns = score(model, items, batch_size=4)
    with torch.no_grad():
        hidden = torch.relu(body(torch.tensor(rows)))
        expected = torch.log_softmax(head(hidden), -1)
    np.testing.assert_allclose(columns["class_log_prob"], expected, atol=1e-6)
    np.testing.assert_allclose(columns["hidden"], hidden, atol=1e-6)
    chosen = from_module(module, forward=lambda m, x: m["head"](torch.relu(m["body"](x))), head=body)
    assert score(chosen, items, batch_size=4).keys() == columns.keys() - {"hidden"}


def test_labels_are_names_or_indices(folders):
    model = load(folders["vit"], device="cpu")
    given = (("emu", ""), (2, ""), ("2", ""), (None, " emu"))
    assert [encode(model, Example("1", "", a, "1", image="x", label=label)).label for label, a in given] == [2] * 4
    with pytest.raises(ScoringError, match=r"example '1': label 'cow' is no class of .* \(it has cat, dog, emu\)"):
        encode(model, Example("1", "", "", "1", image="x", label="cow"))
    with pytest.raises(ScoringError, match="has the classes 0 to 2, but a label is 7"):
        score(model, [Item(7, np.zeros((8, 8, 3), np.uint8))], batch_size=1)


def test_one_output_is_a_regression(tmp_path, texts):
    torch.manual_seed(0)
    made.bert(tmp_path, num_labels=1, id2label={0: "score"})
    model = load(tmp_path, device="cpu")
    items = [encode(model, Example(e.id, e.prompt, "", e.cluster, label=i / 2)) for i, e in enumerate(texts)]
    columns = regress(model, items, batch_size=4)
    with torch.no_grad():
        expected = np.array([model.call(model.collate([item])).item() for item in items])
    np.testing.assert_allclose(columns["prediction"], expected, atol=1e-5)
    np.testing.assert_allclose(columns["error"], expected - [0, 0.5, 1, 1.5, 2, 2.5], atol=1e-5)
    assert "token_log_prob" not in columns
    with pytest.raises(ScoringError, match="has one output, so it gives a number and no distribution"):
        score(model, items, batch_size=4, reduce=lambda *_: None)


def test_several_outputs_are_no_regression(folders, images):
    model = load(folders["vit"], device="cpu")
    with pytest.raises(ScoringError, match="has several outputs, so it is no regression"):
        regress(model, [encode(model, images[0])], batch_size=1)


def test_bfloat16_weights_are_scored_in_float32(folders, images):
    model = load(folders["vit"], dtype="bfloat16", device="cpu")
    columns = score(model, [encode(model, example) for example in images], batch_size=4)
    assert next(model.model.parameters()).dtype == torch.bfloat16
    np.testing.assert_allclose(np.exp(columns["class_log_prob"].astype(np.float64)).sum(1), 1, atol=1e-6)


def test_what_cannot_be_scored_is_refused(folders, images, texts, tmp_path):
    model = load(folders["vit"], name="mine", device="cpu")
    items = [encode(model, example) for example in images]
    with pytest.raises(ScoringError, match="mine: there are no items"):
        score(model, [], batch_size=1)
    with pytest.raises(ScoringError, match=r"only layer -2 \(penultimate\) can be kept, not 3"):
        score(model, items, batch_size=1, layer=3)
    with pytest.raises(ScoringError, match="mine classifies images, but example '9' has none"):
        encode(model, Example("9", "a cat", "", "9", label=0))
    with torch.no_grad():
        model.model.classifier.weight[0] = float("nan")
    with pytest.raises(ScoringError, match="mine: NaN or infinite logits for 4 of 4 items, first item number 1"):
        score(model, items, batch_size=4)
    text = load(folders["bert"], device="cpu")
    with pytest.raises(ScoringError, match="a text has 17 tokens but the context holds 16"):
        score(text, [Item(0, ids=(3,) * 17)], batch_size=1)
    flat = from_module(torch.nn.Linear(2, 2), forward=lambda m, x: m(x).sum(1))
    with pytest.raises(ScoringError, match=r"module returned \(1,\) for 1 items"):
        score(flat, [Item(0, np.ones(2, np.float32))], batch_size=1)


def test_images_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ImageError, match="no image at"):
        open_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError, match=r"text\.png is not an image that can be read"):
        open_image(tmp_path / "text.png")
    with pytest.raises(ImageError, match=r"not float64 of \(2, 2\)"):
        open_image(np.zeros((2, 2)))


@pytest.mark.parametrize("kind", ["vit", "timm"])
def test_a_checkpoint_without_one_of_its_weights_is_refused(folders, kind, tmp_path):
    for path in folders[kind].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["classifier.weight" if kind == "vit" else "head.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 weights are missing \((classifier|head)\.weight\)"):
        load(tmp_path)


def test_a_model_that_is_no_classifier_is_refused(folders, tmp_path):
    for path in folders["bert"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    with pytest.raises(CheckpointError, match=r"no classifier: its config.json names \['BertForMaskedLM'\]"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    with pytest.raises(CheckpointError, match="several labels an example"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["vit", "bert", "llama"])
def test_an_adapter_is_scored_as_the_model_that_it_makes(folders, kind, images, texts, tmp_path):
    base = load(folders[kind], device="cpu")
    items = [encode(base, example) for example in examples_of(kind, images, texts)]
    made.save_adapter(base.model, folders[kind], tmp_path)
    adapted = score(load(tmp_path / "adapter", device="cpu"), items, batch_size=4)
    merged = score(load(tmp_path / "merged", device="cpu"), items, batch_size=4)
    assert adapted.keys() == merged.keys()
    for name, values in merged.items():
        np.testing.assert_allclose(adapted[name], values, atol=1e-5, err_msg=name)
