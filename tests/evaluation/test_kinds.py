"""`vestige evaluate` on tiny checkpoints of each kind: weights near one another were trained alike, by construction."""

import json
import shutil

import numpy as np
import pytest
import tiny_vision as made
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification

from vestige.evaluation import evaluate
from vestige.metrics.distribution import zrf
from vestige.scoring.loading import CheckpointError
from vestige.store import ScoreStore

PEOPLE = ("Ann", "Bob", "Cem", "Dan", "Eve", "Flo")
SPLITS = ("forget", "retain", "holdout", "distance")


def write_checkpoints(folder, save, scale=1.0):
    """A base that never saw the forget set, the original far from it, and models on the way between the two."""
    torch.manual_seed(0)
    save(folder / "base")
    base = {k: v * scale if v.ndim > 1 else v for k, v in load_file(folder / "base" / "model.safetensors").items()}
    noise = {seed: random_like(base, seed) for seed in range(5)}
    away = {"original": (1.0, 0), "retrained-a": (0, 1), "retrained-b": (0, 2), "retrained-c": (0, 3)}
    away |= {"none": (1.0, 4), "half": (0.5, 4), "whole": (0, 4)}
    for name, (share, seed) in away.items():
        shutil.copytree(folder / "base", folder / name)
        weights = {k: v + share * noise[0][k] + 0.02 * noise[seed][k] for k, v in base.items()}
        save_file(weights, folder / name / "model.safetensors", metadata={"format": "pt"})


def random_like(weights, seed):
    draw = torch.Generator().manual_seed(seed)
    return {k: v.std().nan_to_num(0) * torch.randn(v.shape, generator=draw) for k, v in weights.items()}


def write_config(folder, kind, data, **scoring):
    config = {
        "title": f"Tiny checkpoints: {kind}",
        "kind": kind,
        "models": {
            "original": "original",
            "retrained": ["retrained-a", "retrained-b", "retrained-c"],
            "unlearned": [{"name": name, "path": name} for name in ("none", "half", "whole")],
        },
        "data": data,
        "scoring": {"batch_size": 8, **scoring},
        "clusters": "people",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def write_images(folder):
    """Folders of images, one subfolder a class, for the splits of a run."""
    rng = np.random.default_rng(0)
    for split in SPLITS:
        for name in made.CLASSES:
            (folder / split / name).mkdir(parents=True)
            for i in range(5):
                Image.fromarray(rng.integers(0, 256, (10, 12, 3), np.uint8)).save(folder / split / name / f"{i}.png")
    return {split: f"{folder.name}/{split}" for split in SPLITS}


def write_questions(folder):
    """Two questions about the image of each person, as JSON lines beside their images."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for split in SPLITS:
        rows = []
        for person in PEOPLE:
            picture = rng.integers(0, 256, (10, 12, 3), np.uint8)
            Image.fromarray(picture).save(folder / f"{split}-{person}.png")
            for question, answer in (("Who is shown", person), ("Where is this", "Lyon")):
                text = {"prompt": f"Question: {question}?\nAnswer:", "answer": f" {answer}."}
                rows.append(text | {"image": f"{split}-{person}.png", "cluster": person})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {split: f"{folder.name}/{split}.jsonl" for split in SPLITS if split != "holdout"}


def write_reviews(folder):
    """Short texts with the name of their class, as CSV."""
    words = sorted({word for text in made.TEXTS for word in text.split()})
    rng = np.random.default_rng(0)
    folder.mkdir()
    for split in SPLITS:
        texts = [" ".join(rng.choice(words, 5)) for _ in range(12)]
        rows = [f"{text},{('cat', 'dog')[i % 2]},{i // 2}" for i, text in enumerate(texts)]
        (folder / f"{split}.csv").write_text("\n".join(["prompt,label,cluster", *rows]))
    return {split: f"{folder.name}/{split}.csv" for split in SPLITS}


@pytest.fixture(scope="module")
def classifier_config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    write_checkpoints(folder, made.vit, scale=15)
    return write_config(folder, "classifier", write_images(folder / "images"), further=["untrained"])


def rows_of(run):
    return {row.model: row for row in run.report.rows}


def check_order(run):
    """What lies nearer to the retrained models by construction is nearer by every distance of outputs."""
    rows = rows_of(run)
    for name in ("JS", "AD", "d_function"):
        values = [rows[model].scores[name].value for model in ("whole", "half", "none")]
        assert values == sorted(values), name
    assert [rows[model].rank for model in ("whole", "half", "none")] == [1, 2, 3]
    assert rows["original"].verdict.verdict == "different"
    assert rows["retrained-0"].scores["JS"].value == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def classifier_run(classifier_config):
    return evaluate(classifier_config, classifier_config.parent, jobs=1)


def test_classifiers_are_evaluated(classifier_run, classifier_config, foreseen):
    check_order(classifier_run)
    assert foreseen(classifier_config, classifier_run.folder) == pytest.approx(1, abs=0.1)
    assert {"FA", "RA", "MIA", "AD", "JS", "Brier"} <= set(rows_of(classifier_run)["whole"].scores)
    assert (classifier_run.folder / "report.html").exists()


def test_all_that_reads_whole_distributions_of_a_classifier_is_there(classifier_run, classifier_config):
    """Of the untrained model too: the same architecture with the seed's weights, scored image by image."""
    wanted = {"AD-prob", "MIA-NN", "Brier", "ZRF"}
    scores = rows_of(classifier_run)
    assert wanted <= set(scores["whole"].scores)
    assert scores["retrained-0"].scores["AD-prob"].value == pytest.approx(0, abs=1e-6)
    assert scores["whole"].scores["AD-prob"].value < scores["none"].scores["AD-prob"].value
    store = ScoreStore(classifier_run.folder / "store")
    keys = {path.name.rsplit("-", 1)[0]: path.name for path in store.root.iterdir()}
    bare = store.read(keys["original"], "untrained-forget")["random_log_prob"]
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig.from_pretrained(classifier_config.parent / "original")).eval()
    processor = AutoImageProcessor.from_pretrained(classifier_config.parent / "original")
    paths = sorted((classifier_config.parent / "images" / "forget").rglob("*.png"))
    pixels = processor(images=[Image.open(path) for path in paths], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = torch.log_softmax(model(pixels).logits, -1).numpy()
    order = np.lexsort(expected.round(4).T)
    np.testing.assert_allclose(bare[np.lexsort(bare.round(4).T)], expected[order], atol=1e-5)
    ours = store.read(keys["whole"], "forget")["class_log_prob"]
    assert scores["whole"].scores["ZRF"].value == pytest.approx(zrf(ours, bare), abs=1e-6)


def test_text_classifiers_are_evaluated(tmp_path, foreseen):
    write_checkpoints(tmp_path, made.bert, scale=8)
    config = write_config(tmp_path, "classifier", write_reviews(tmp_path / "texts"))
    run = evaluate(config, tmp_path, jobs=1)
    check_order(run)
    assert foreseen(config, run.folder) == pytest.approx(1, abs=0.1)


def test_models_of_images_and_text_are_evaluated(tmp_path, foreseen):
    """With samples: FADE orders the models too."""
    write_checkpoints(tmp_path, made.llava, scale=4)
    sampling = {"samples": 4, "prompts": 6, "max_new_tokens": 3}
    config = write_config(tmp_path, "vision_language", write_questions(tmp_path / "people"), **sampling)
    run = evaluate(config, tmp_path, jobs=1)
    check_order(run)
    assert foreseen(config, run.folder) == pytest.approx(1, abs=0.1)
    rows = rows_of(run)
    fade = [rows[model].scores["FADE"].value for model in ("whole", "half", "none")]
    assert fade == sorted(fade)
    assert rows["retrained-0"].scores["FADE"].value == pytest.approx(0, abs=1e-6)


def test_what_needs_samples_is_absent_of_classifiers_and_the_reason_said(classifier_run):
    assert "FADE" not in rows_of(classifier_run)["whole"].scores
    missing = next(finding for finding in classifier_run.report.findings if finding.code == "metrics_missing")
    assert "FADE needs" in missing.message and "there is nothing to sample" in missing.message
    assert not [path for path in (classifier_run.folder / "store").rglob("*") if "samples" in path.name]


def test_classifiers_of_other_classes_are_refused(classifier_config, tmp_path):
    folder = classifier_config.parent
    config = json.loads((folder / "half" / "config.json").read_text())
    (folder / "other").mkdir()
    for path in (folder / "half").iterdir():
        (folder / "other" / path.name).write_bytes(path.read_bytes())
    config["id2label"]["0"] = "Gil"
    (folder / "other" / "config.json").write_text(json.dumps(config))
    raw = yaml.safe_load(classifier_config.read_text())
    raw["models"]["unlearned"].append({"name": "other", "path": "other"})
    (folder / "other.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(CheckpointError, match="other and original have different classes"):
        evaluate(folder / "other.yaml", tmp_path, jobs=1)
