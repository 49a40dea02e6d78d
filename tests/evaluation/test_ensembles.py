"""Many models of a kind from one configuration: U-LiRA, KLoM, the NeurIPS 2023 score and LiRA."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from vestige.evaluation import evaluate
from vestige.evaluation.config import ConfigError, read_config
from vestige.evaluation.ensembles import token_margins
from vestige.evaluation.plan import plan_run
from vestige.kernels import klom
from vestige.metrics.lira import u_lira
from vestige.scoring.checkpoints import CheckpointError
from vestige.scoring.loading import load_language_model
from vestige.scoring.spans import encode

N = 3


@pytest.fixture(scope="module")
def config(micro_config, tmp_path_factory):
    """An unlearned model with an ensemble, retrained ones, and shadow models: noisy copies of models that there are."""
    folder = tmp_path_factory.mktemp("ensembles")
    shutil.copytree(micro_config.parent / "data", folder / "data")
    shutil.copytree(micro_config.parent / "checkpoints", folder / "checkpoints")
    raw = yaml.safe_load(micro_config.read_text())
    unlearned = raw["models"]["unlearned"][0]
    unlearned["ensemble"] = noisy_copies(folder, unlearned["path"], "unlearned")
    raw["models"] |= {
        "controls": [],
        "retrained": raw["models"]["retrained"][:2],
        "unlearned": [unlearned, raw["models"]["unlearned"][1]],
        "retrained_ensemble": noisy_copies(folder, raw["models"]["retrained"][0], "retrained", first=10),
        "shadows": [
            *({"path": path, "saw": ["forget"]} for path in noisy_copies(folder, "checkpoints/original", "saw", 20)),
            *({"path": path, "saw": ["holdout"]} for path in noisy_copies(folder, "checkpoints/base", "other", 30)),
        ],
    }
    raw["scoring"] |= {"prompts": 2, "samples": 1, "max_new_tokens": 2, "examples_per_shard": 24}
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    return folder / "config.yaml"


def noisy_copies(folder, source, name, first=0):
    made = []
    for i in range(N):
        path = folder / "many" / f"{name}-{i}"
        shutil.copytree(folder / source, path)
        draw = torch.Generator().manual_seed(first + i)
        weights = load_file(path / "model.safetensors")
        noisy = {k: v + 0.05 * v.std().nan_to_num(0) * torch.randn(v.shape, generator=draw) for k, v in weights.items()}
        save_file(noisy, path / "model.safetensors", metadata={"format": "pt"})
        made.append(f"many/{name}-{i}")
    return made


@pytest.fixture(scope="module")
def run(config):
    return evaluate(config, config.parent, jobs=1)


def test_metrics_of_ensembles_come_out_of_a_run(run, config):
    scores = {row.model: row.scores for row in run.report.rows}
    name, other = (model.name for model in read_config(config).models.unlearned)
    assert {"U-LiRA", "KLoM", "NeurIPS23", "LiRA"} <= scores[name].keys()
    assert 0 <= scores[name]["U-LiRA"].value <= 1
    assert np.isnan(scores[other]["KLoM"].value)
    assert "ensemble" in scores[other]["KLoM"].reason
    (finding,) = [f for f in run.report.findings if f.code == "small_ensembles"]
    assert f"has {N + 1} models" in finding.message


def test_margins_are_those_of_the_models_one_by_one(run, config):
    """Loaded and asked anew, token by token, without the store."""
    checked = read_config(config)
    model = checked.models.unlearned[0]
    plan = plan_run(checked, run.folder)
    paths = {"unlearned": [model.path, *model.ensemble]}
    paths["retrained"] = [*checked.models.retrained, *checked.models.retrained_ensemble]
    examples = plan.scoring.examples["forget"]
    u, r = (np.array([margins(path, examples) for path in paths[kind]]) for kind in ("unlearned", "retrained"))
    scores = next(row.scores for row in run.report.rows if row.model == model.name)
    assert scores["KLoM"].value == pytest.approx(klom(u, r).mean(), rel=1e-3)
    assert scores["U-LiRA"].value == pytest.approx(u_lira(u, r).auc.value, abs=1e-3)


def margins(path, examples):
    """ln(p / (1 - p)) of the geometric mean p of an answer's token probabilities."""
    model = load_language_model(path, dtype="float32")
    found = []
    for example in examples:
        item = encode(model.tokenizer, example)
        with torch.no_grad():
            logits = model.model(torch.tensor([item.ids])).logits[0].double()
        log_probs = logits.log_softmax(-1)[
            torch.arange(item.start - 1, len(item.ids) - 1), list(item.ids[item.start :])
        ]
        p = log_probs.mean().exp()
        found.append(float(torch.log(p / (1 - p))))
    return found


def test_of_members_only_what_counts_is_scored(run):
    many = [path for path in (run.folder / "store").iterdir() if "ensemble" in path.name or "shadow" in path.name]
    assert len(many) == 3 * N
    for folder in many:
        assert {path.name for path in folder.iterdir() if path.is_dir()} == {"forget", "retain", "holdout"}


def test_a_second_run_scores_nothing(run, config, no_forward_pass):
    evaluate(config, config.parent, jobs=1)


def test_a_member_that_is_the_model_itself_is_refused(config, tmp_path):
    checked = read_config(config)
    model = checked.models.unlearned[0]
    twice = model.model_copy(update={"ensemble": (model.path, *model.ensemble)})
    models = checked.models.model_copy(update={"unlearned": (twice,)})
    with pytest.raises(CheckpointError, match="same weights"):
        plan_run(checked.model_copy(update={"models": models}), tmp_path)


def test_what_a_shadow_saw_is_a_split_that_there_is(config, tmp_path):
    raw = yaml.safe_load(config.read_text())
    raw["models"]["shadows"] = [{"path": "x", "saw": ["retain"]}]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match="shadows"):
        read_config(tmp_path / "config.yaml")


def test_token_margins_of_saturated_answers_are_infinite():
    assert token_margins(np.array([0.0, -1.0]), np.array([0, 1, 2])).tolist() == [
        np.inf,
        pytest.approx(-0.5413, abs=1e-4),
    ]
