"""UA, IRA, CRA and FID from a configuration: what classifiers see in images that tiny generators draw."""

import json

import numpy as np
import pytest
import tiny_diffusion as made
import tiny_vision
import torch
import yaml
from PIL import Image

from vestige.evaluation import estimate_costs, evaluate
from vestige.evaluation.config import ConfigError, read_config
from vestige.metrics.images import canvas_accuracy, frechet_distance
from vestige.scoring import diffusion_loading
from vestige.scoring.diffusion import Item, key_of
from vestige.scoring.diffusion_sampling import generate

N_SAMPLES = 2


def write_data(folder):
    """Pictures to forget and to retain, prompts that name a concept of each domain, and real pictures."""
    rng, rows = np.random.default_rng(0), {"forget": [], "retain": [], "images": [], "real": []}
    for i in range(6):
        for split in ("forget", "retain", "real"):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{split}-{i}.png")
            concept = "cat" if split == "forget" else ("dog", "emu")[i % 2]
            row = {"id": f"{split}-{i}", "image": f"{split}-{i}.png", "prompt": f"a {concept}", "label": concept}
            rows[split].append(row)
    for concept in tiny_vision.CLASSES:
        for other in tiny_vision.CLASSES:
            row = {"id": f"{concept}-{other}", "prompt": f"{concept}, {other}", "label": concept, "cluster": other}
            rows["images"].append(row)
    for split, some in rows.items():
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, some)))
    return rows


@torch.no_grad()
def centre(folder, images):
    """Move an untrained classifier's bias so that it does not see the same class everywhere."""
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model, processor = (auto.from_pretrained(folder) for auto in (AutoModelForImageClassification, AutoImageProcessor))
    head = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
    head.bias -= model.eval()(**processor(images=images, return_tensors="pt")).logits.mean(0)
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    rows = write_data(folder)
    for seed, name in enumerate(("original", "unlearned")):
        made.pixel_pipeline(folder / name, seed=seed)
    torch.manual_seed(0)
    tiny_vision.vit(folder / "styles")
    tiny_vision.resnet(folder / "objects")
    images = [image for name in ("original", "unlearned") for image in drawn(folder, name, rows)]
    for judge in ("styles", "objects"):
        centre(folder / judge, images)
    raw = {
        "kind": "diffusion",
        "models": {
            "original": "original",
            "unlearned": [{"name": "u", "path": "unlearned"}],
            "judge": {"concept": "styles", "other_concept": "objects", "features": "styles"},
        },
        "data": {
            **{split: f"{split}.jsonl" for split in ("forget", "retain")},
            "further": {split: f"{split}.jsonl" for split in ("images", "real")},
        },
        "scoring": {"batch_size": 16, "samples": N_SAMPLES, "prompts": 1, "layer": -1, "examples_per_shard": 5},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    return folder, rows, raw


@pytest.fixture(scope="module")
def run(given):
    folder, _, _ = given
    return evaluate(folder / "config.yaml", folder / "run", jobs=1)


@torch.no_grad()
def seen(folder, judge, images):
    """Class and features of each image by the library's own model, one at a time."""
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(folder / judge).eval()
    processor, classes, features = AutoImageProcessor.from_pretrained(folder / judge), [], []
    for image in images:
        said = model(**processor(images=image, return_tensors="pt"), output_hidden_states=True)
        classes.append(tiny_vision.CLASSES[int(said.logits.argmax())])
        if judge == "styles":
            features.append(model.vit.layernorm(said.hidden_states[-1])[0, 0].numpy())
    return classes, features


def drawn(folder, name, rows):
    model = diffusion_loading.load(folder / name, name=name)
    items = [Item(np.empty(0, np.float32), row["prompt"], 0, key_of(row["id"])) for row in rows["images"]]
    return [Image.fromarray(pixels) for pixels in generate(model, items, n_samples=N_SAMPLES, batch_size=64)["image"]]


@pytest.mark.parametrize("name", ["original", "unlearned"])
def test_accuracies_and_distance_are_those_of_the_drawn_images(given, run, name):
    folder, rows, _ = given
    asked = [(row["label"], row["cluster"]) for row in rows["images"] for _ in range(N_SAMPLES)]
    images = drawn(folder, name, rows)
    concepts, features = seen(folder, "styles", images)
    others, _ = seen(folder, "objects", images)
    assert len(set(concepts)) > 1 and len(set(others)) > 1
    expected = canvas_accuracy(concepts, [a for a, _ in asked], others, [b for _, b in asked], forgotten="cat")
    (row,) = [row for row in run.report.rows if row.model == {"unlearned": "u"}.get(name, name)]
    assert row.scores["UA"].value == pytest.approx(expected.unlearning)
    assert row.scores["IRA"].value == pytest.approx(expected.in_domain)
    assert row.scores["CRA"].value == pytest.approx(expected.cross_domain)
    _, real = seen(folder, "styles", [Image.open(folder / r["image"]) for r in rows["real"]])
    assert row.scores["FID"].value == pytest.approx(frechet_distance(features, real), rel=1e-3)


def test_intervals_are_over_the_concepts_of_the_other_domain(run):
    (row,) = [row for row in run.report.rows if row.model == "u"]
    assert row.scores["IRA"].n_clusters == len(tiny_vision.CLASSES)


def test_a_dry_run_counts_every_step_of_every_image(given, tmp_path):
    folder, _, raw = given
    without = {**raw, "models": {**raw["models"], "judge": {}}, "data": {**raw["data"], "further": {}}}
    (folder / "without.yaml").write_text(yaml.safe_dump(without))
    more, less = (
        sum(cost.passes for _, cost in estimate_costs(folder / name, tmp_path / name))
        for name in ("config.yaml", "without.yaml")
    )
    assert more - less > 2 * 50 * 9 * N_SAMPLES / 16  # models, steps, prompts, images a pass


def test_drawings_without_a_judge_and_judges_without_drawings_are_refused(given):
    folder, _, raw = given
    (folder / "no_judge.yaml").write_text(yaml.safe_dump({**raw, "models": {**raw["models"], "judge": {}}}))
    with pytest.raises(ValueError, match=r"no metric can be had with images.*UA needs.*models\.judge: \{concept"):
        evaluate(folder / "no_judge.yaml", folder / "none")
    (folder / "texts.yaml").write_text(
        yaml.safe_dump({**raw, "kind": "language", "data": {**raw["data"], "further": {}}})
    )
    with pytest.raises(ConfigError, match=r"models\.judge says what is in images that a generator draws"):
        read_config(folder / "texts.yaml")


def test_what_was_asked_for_must_be_a_class_of_its_judge(given):
    folder, rows, raw = given
    odd = [{**rows["images"][0], "label": "yak"}]
    (folder / "odd.jsonl").write_text("\n".join(map(json.dumps, odd)))
    data = {**raw["data"], "further": {"images": "odd.jsonl"}}
    (folder / "odd.yaml").write_text(yaml.safe_dump({**raw, "data": data}))
    with pytest.raises(Exception, match=r"label 'yak' is no class of judge of concept"):
        evaluate(folder / "odd.yaml", folder / "odd", jobs=1)
