"""`vestige evaluate` on tiny image generators: weights near one another were trained alike, by construction."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_diffusion as made
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from vestige.evaluation import evaluate, read_config
from vestige.evaluation.plan import plan_run
from vestige.scoring.loading import CheckpointError

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
AWAY = {"original": (1.0, 0), "retrained-a": (0, 1), "retrained-b": (0, 2), "retrained-c": (0, 3)}
AWAY |= {"none": (1.0, 4), "half": (0.5, 4), "whole": (0, 4)}


def write_pipelines(folder):
    """A base that never saw the forget set, the original far from it, and models on the way between the two."""
    made.pixel_pipeline(folder / "base")
    base = load_file(folder / "base" / WEIGHTS)
    for name, (share, seed) in AWAY.items():
        made.pixel_pipeline(folder / name)
        far, own = ({k: draw(v, each) for k, v in base.items()} for each in (0, seed))
        weights = {k: v + 0.3 * share * far[k] + 0.01 * own[k] for k, v in base.items()}
        save_file(weights, folder / name / WEIGHTS, metadata={"format": "pt"})


def draw(values, seed):
    generator = torch.Generator().manual_seed(seed)
    return values.std().nan_to_num(0) * torch.randn(values.shape, generator=generator)


def write_images(folder):
    rng = np.random.default_rng(0)
    for split in ("forget", "retain", "holdout", "distance"):
        (folder / split).mkdir(parents=True)
        rows = []
        for i in range(6):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / split / f"{i}.png")
            row = {
                "id": f"{split}-{i}",
                "image": f"{split}/{i}.png",
                "prompt": "a picture",
                "cluster": f"artist {i // 2}",
            }
            rows.append(json.dumps(row))
        (folder / f"{split}.jsonl").write_text("\n".join(rows))
    return {split: f"data/{split}.jsonl" for split in ("forget", "retain", "holdout", "distance")}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generators")
    write_pipelines(folder)
    retrained = ["retrained-a", "retrained-b", "retrained-c"]
    unlearned = [{"name": name, "path": name} for name in ("none", "half", "whole")]
    raw = {
        "title": "Tiny image generators",
        "kind": "diffusion",
        "models": {"original": "original", "retrained": retrained, "unlearned": unlearned},
        "data": write_images(folder / "data"),
        "scoring": {"batch_size": 64, "samples": 2, "prompts": 3, "layer": -1, "examples_per_shard": 4},
        "clusters": "artists",
        "interventions": {"models": ["none"], "noise": {"sd": 0.2}},
    }
    raw["scoring"]["further"] = ["restored"]
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def run(config):
    return evaluate(config, config.parent, jobs=1)


def test_what_lies_nearer_to_the_retrained_models_is_nearer_by_every_distance(run):
    rows = {row.model: row for row in run.report.rows}
    for name in ("FADE-score", "gap-F", "AD", "d_denoising", "d_parameters"):
        values = [rows[model].scores[name].value for model in ("whole", "half", "none")]
        assert values == sorted(values), name
    assert [rows[model].rank for model in ("whole", "half", "none")] == [1, 2, 3]
    itself = rows["retrained-0"].scores
    assert (itself["FADE-score"].value, itself["FADE-ELBO"].value, itself["gap-F"].value) == (0, 0, 0)


def test_verdicts_are_by_fade_and_by_the_distance_in_denoising(run):
    rows = {row.model: row for row in run.report.rows}
    assert rows["original"].verdict.distance == "FADE-score"
    assert rows["original"].second_verdict.distance == "d_denoising"
    assert rows["original"].verdict.verdict == "different"
    assert "FADE-score" in run.report.ranked_by


def test_only_metrics_of_image_generators_are_there_or_missed(run):
    scores = next(iter(run.report.rows)).scores
    assert {"DL-F", "DL-R", "MIA-D", "TMI", "AD"} <= set(scores)
    assert not {"FA", "JS", "FADE", "MIA"} & set(scores)
    assert not [finding for finding in run.report.findings if finding.code == "metrics_missing"]
    assert (run.folder / "report.html").exists()


def test_a_finished_run_scores_nothing_again(run, config):
    before = {path: path.stat().st_mtime_ns for path in (run.folder / "store").rglob("*") if path.is_file()}
    evaluate(config, config.parent, jobs=1)
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before


def test_what_comes_back_is_loss_that_is_spared_beside_the_retrained_model(run):
    """By hand from the tables: shares of the retrained model's loss, image by image."""
    (entry,) = run.report.returns
    assert (entry.model, entry.change, entry.measure) == ("none", "noise 0.2", "advantage")
    units = pq.read_table(run.folder / "tables" / "units.parquet").to_pandas()
    loss = units[units.array.str.startswith("DL-F.")].groupby(["model", "unit"]).value.mean().unstack()
    spared = (1 - loss / loss.loc["retrained-0"]).mean(axis=1)
    names = ("none", "none, noise 0.2", "retrained-0", "retrained-0, noise 0.2", "original")
    found = (entry.before, entry.after, entry.retrained_before, entry.retrained_after, entry.original)
    assert found == pytest.approx(spared[list(names)].tolist(), abs=1e-6)
    assert entry.retrained_before == 0
    assert "Advantage: share of the retrained" in (run.folder / "report.html").read_text()


def test_generators_of_other_sizes_are_refused(config, tmp_path):
    raw = yaml.safe_load(config.read_text())
    made.pixel_pipeline(config.parent / "larger", sample_size=16)
    wrong = {**raw["models"], "unlearned": [{"name": "larger", "path": "larger"}]}
    (config.parent / "larger.yaml").write_text(yaml.safe_dump({**raw, "models": wrong, "interventions": None}))
    with pytest.raises(CheckpointError, match="larger and original take images of different shapes"):
        evaluate(config.parent / "larger.yaml", tmp_path, jobs=1)


def test_the_dry_run_says_what_is_written(config, run, foreseen):
    assert foreseen(config, run.folder) == pytest.approx(1, abs=0.1)


def test_shards_are_cut_by_the_size_of_whole_predictions(config, tmp_path, monkeypatch):
    monkeypatch.setattr("vestige.evaluation.sizes.SHARD_BYTES", 2 * 4 * 8 * 3 * 8 * 8 + 1)  # two images at 8 timesteps
    asked = read_config(config)
    asked = asked.model_copy(update={"scoring": asked.scoring.model_copy(update={"examples_per_shard": None})})
    sizes = plan_run(asked, tmp_path).scoring.examples_per_shard
    assert (sizes["forget"], sizes["distance"], sizes["retain"]) == (2, 2, 6)
