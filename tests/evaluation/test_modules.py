"""Classifiers and regressions of the user's own modules in a run, and regressions of transformers."""

import json
import shutil
import sys
from math import isnan

import numpy as np
import pytest
import tiny_vision as made
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from vestige.evaluation import ConfigError, EvaluationError, evaluate, score
from vestige.metrics.regression import regression_gap, regression_membership
from vestige.scoring.checkpoints import CheckpointError
from vestige.store import ScoreStore

SPLITS = ("forget", "retain", "holdout", "distance")

MODULES = """
import torch
from vestige.scoring.classifier import from_module

def pictures(width, n_outputs=3):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(75, width), torch.nn.ReLU(),
                               torch.nn.Linear(width, n_outputs))

def letters(text):
    return torch.tensor([text.count(chr(97 + i)) for i in range(26)], dtype=torch.float32)

def reader():
    return from_module(torch.nn.Sequential(torch.nn.Linear(26, 4), torch.nn.Linear(4, 2)), prepare=letters,
                       classes=("cat", "dog"))

def nothing():
    return 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures with a class and a number, texts with a class, and the file with the builders."""
    folder, rng = tmp_path_factory.mktemp("modules"), np.random.default_rng(0)
    for split in SPLITS:
        for i in range(12):
            Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8)).save(folder / f"{split}-{i}.png")
        rows = [{"image": f"{split}-{i}.png", "label": i % 3, "cluster": str(i // 2)} for i in range(12)]
        texts = [{"prompt": f"{'abc' * (i % 4)} dog {i}", "label": ("cat", "dog")[i % 2]} for i in range(12)]
        scored = [{**row, "cluster": str(i // 2), "label": i / 4} for i, row in enumerate(texts)]
        for name, lines in (("pictures", rows), ("texts", texts), ("scores", scored)):
            given = [{"cluster": str(i // 2), **line} for i, line in enumerate(lines)]
            (folder / f"{split}-{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in given))
    (folder / "own_modules.py").write_text(MODULES)
    return folder


@pytest.fixture
def own(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    import own_modules

    yield own_modules
    sys.modules.pop("own_modules", None)


def write_weights(folder, name, module):
    """The original, retrained models beside one another, and two on the way from the original to them."""
    torch.manual_seed(0)
    base, away = module.state_dict(), {k: torch.randn_like(v) for k, v in module.state_dict().items()}
    shares = {"original": 1.0, "retrained-a": 0, "retrained-b": 0, "retrained-c": 0, "near": 0.1, "far": 0.9}
    for model, share in shares.items():
        own = {k: v + share * away[k] + 0.03 * torch.randn_like(v) for k, v in base.items()}
        save_file(own, folder / f"{name}-{model}.safetensors")


def written(folder, name, data, suffix=".safetensors", **settings):
    def path(model):
        return f"{name}-{model}{suffix}"

    config = {
        "models": {
            "original": path("original"),
            "retrained": [path(f"retrained-{seed}") for seed in "abc"],
            "unlearned": [{"name": model, "path": path(model)} for model in ("near", "far")],
            **settings.pop("models", {}),
        },
        "data": {split: f"{split}-{data}.jsonl" for split in SPLITS},
        "scoring": {"batch_size": 5, "examples_per_shard": 8},
        **settings,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return folder / f"{name}.yaml"


def scores_of(run):
    return {row.model: row.scores for row in run.report.rows}


def test_a_module_of_ones_own_is_evaluated_and_scored_as_a_plain_loop_says(folder, own, tmp_path):
    write_weights(folder, "pictures", own.pictures(8))
    models = {"module": "own_modules:pictures", "settings": {"width": 8}, "allow_code": True}
    run = evaluate(written(folder, "pictures", "pictures", kind="classifier", models=models), tmp_path, jobs=2)
    scores = scores_of(run)
    assert {"FA", "RA", "MIA", "AD", "JS", "d_function"} <= scores["near"].keys()
    assert scores["near"]["JS"].value < scores["far"]["JS"].value
    assert [row.rank for row in run.report.rows if row.model == "near"] == [1]
    module = own.pictures(8)
    module.load_state_dict(load_file(folder / "pictures-far.safetensors"))
    stored = ScoreStore(tmp_path / "store").read(next(tmp_path.glob("store/far-*")).name, "forget")
    for i in range(12):
        pixels = np.asarray(Image.open(folder / f"forget-{i}.png"), np.float32).transpose(2, 0, 1) / 255
        with torch.no_grad():
            expected = torch.log_softmax(module(torch.tensor(pixels)[None])[0], 0)
        np.testing.assert_allclose(stored["class_log_prob"][i], expected, atol=1e-5)
    facts = json.loads(next(tmp_path.glob("store/far-*/scored-with.json")).read_text())
    assert facts["module"] == {"name": "own_modules:pictures", "settings": '{"width": 8}'}


def test_a_module_that_reads_texts_is_evaluated(folder, own, tmp_path):
    write_weights(folder, "texts", own.reader().model)
    models = {"module": "own_modules:reader", "allow_code": True}
    run, _ = score(written(folder, "texts", "texts", kind="classifier", models=models), tmp_path, jobs=1)
    stored = ScoreStore(tmp_path / "store").read(run.of("unlearned")[0].checkpoint.key, "forget")
    assert stored["token_id"].tolist() == [0, 1] * 6


def test_a_regression_is_evaluated_by_its_own_metrics(folder, own, tmp_path):
    write_weights(folder, "numbers", own.pictures(8, 1))
    models = {"module": "own_modules:pictures", "settings": {"width": 8, "n_outputs": 1}, "allow_code": True}
    config = written(folder, "numbers", "pictures", kind="regression", models=models)
    run = evaluate(config, tmp_path, jobs=1)
    scores, rows = scores_of(run), {row.model: row for row in run.report.rows}

    def read(model, split):
        return ScoreStore(tmp_path / "store").read(next(tmp_path.glob(f"store/{model}-*")).name, split)

    near, retrained = read("near", "forget"), read("retrained-0", "forget")
    assert near["target"].tolist() == [0, 1, 2] * 4
    gap = regression_gap(near["prediction"], retrained["prediction"], near["target"])
    assert scores["near"]["R-gap"].value == pytest.approx(gap.gap)
    assert scores["near"]["R-W1"].value == pytest.approx(gap.wasserstein)
    errors = (near["error"], read("near", "holdout")["error"])
    assert scores["near"]["R-MIA"].value == pytest.approx(regression_membership(*errors))
    assert scores["near"]["R-W1"].value < scores["far"]["R-W1"].value and scores["near"]["AD"].value > 0
    assert scores["retrained-0"]["R-W1"].value == 0
    assert rows["near"].rank == 1 and rows["original"].verdict.verdict == "different"
    assert rows["near"].verdict.distance == "R-W1"
    assert "FA" not in scores["near"] and "JS" not in scores["near"]
    missing = next(finding for finding in run.report.findings if finding.code == "metrics_missing")
    assert "FA needs" in missing.message and "gives a number and no distribution" in missing.message
    assert not list(tmp_path.glob("store/*/logits-*"))


def test_a_regression_head_of_transformers_is_evaluated_and_no_classifier(folder, tmp_path):
    torch.manual_seed(0)
    names = ("original", "retrained-a", "retrained-b", "retrained-c", "near", "far")
    for name in names:
        made.bert(folder / f"heads-{name}", num_labels=1, id2label={0: "score"})
    config = written(
        folder, "heads", "scores", suffix="", kind="regression", models={"retrained": ["heads-retrained-a"]}
    )
    scores = scores_of(evaluate(config, tmp_path, jobs=1))
    assert not isnan(scores["near"]["R-gap"].value) and not isnan(scores["near"]["R-MIA"].value)
    raw = yaml.safe_load(config.read_text())
    (folder / "wrong.yaml").write_text(yaml.safe_dump({**raw, "kind": "classifier"}))
    with pytest.raises(CheckpointError, match=r"has one output, .* score it with `kind: regression`"):
        score(folder / "wrong.yaml", tmp_path / "wrong", jobs=1)


@pytest.mark.parametrize(
    ("models", "error", "message"),
    [
        ({"module": "own_modules:pictures", "settings": {"width": 9}}, EvaluationError, "size mismatch"),
        ({"module": "own_modules:pictures", "settings": {"depth": 2}}, EvaluationError, "cannot be built, TypeError"),
        (
            {"module": "own_modules:nothing", "settings": {}},
            EvaluationError,
            r"must return a torch\.nn\.Module, .*int",
        ),
        ({"module": "own_modules:absent"}, EvaluationError, "cannot import 'own_modules:absent'.*AttributeError"),
        ({"original": "folder"}, CheckpointError, "original: no checkpoint folder at"),
        ({"settings": {"a": 1}, "module": ""}, ConfigError, "`settings` are arguments of a `module`"),
    ],
)
def test_modules_that_cannot_be_used_are_refused(folder, own, tmp_path, models, error, message):
    write_weights(folder, "wrong", own.pictures(8))
    models = {"module": "own_modules:pictures", "settings": {"width": 8}, "allow_code": True, **models}
    with pytest.raises(error, match=message):
        score(written(folder, "wrong", "pictures", kind="classifier", models=models), tmp_path, jobs=1)


def test_weights_without_a_place_and_missing_ones_are_named(folder, own, tmp_path):
    models = {"module": "own_modules:pictures", "settings": {"width": 8}, "allow_code": True}
    for name, change, message in (
        ("more", lambda state: state | {"more.weight": torch.zeros(1)}, "no place in the module, first more.weight"),
        ("fewer", lambda state: {k: v for k, v in state.items() if k != "1.bias"}, r"weights are missing \(1\.bias\)"),
    ):
        write_weights(folder, name, own.pictures(8))
        path = folder / f"{name}-far.safetensors"
        save_file(change(load_file(path)), path)
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        with pytest.raises(EvaluationError, match=f"far: .*{message}"):
            score(written(folder, name, "pictures", kind="classifier", models=models), tmp_path / name, jobs=1)
