"""A run of checkpoints that need code of their own: refused, or run because the configuration says so."""

import json
import shutil

import pytest
import yaml

from vestige.evaluation import EvaluationError, score

OWN = """
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def coded(small_config, micro_config, tmp_path):
    """The small configuration, with an unlearned model whose code lies beside its weights."""
    raw = yaml.safe_load(small_config.read_text())
    folder = shutil.copytree(raw["models"]["unlearned"][0]["path"], tmp_path / "coded")
    config = json.loads((folder / "config.json").read_text())
    maps = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": maps}))
    (folder / "own.py").write_text(OWN)
    raw["models"]["unlearned"] = [{"name": "coded", "path": str(folder)}]
    raw["data"].pop("distance")
    path = tmp_path / "config.yaml"

    def write(**models):
        path.write_text(yaml.safe_dump({**raw, "models": raw["models"] | models}))
        return path

    return write


def test_code_in_a_checkpoint_runs_if_the_configuration_says_so_and_is_recorded(coded, tmp_path):
    with pytest.raises(EvaluationError, match=r"coded: .* needs Python code of its own.*`trust_remote_code: true` und"):
        score(coded(), tmp_path / "run", jobs=1)
    plan, _ = score(coded(trust_remote_code=True), tmp_path / "trusted", jobs=1)
    assert plan.scoring.settings["forget"]["trust_remote_code"] is True
    known = [json.loads(path.read_text()) for path in (tmp_path / "trusted" / "store").glob("*/scored-with.json")]
    assert [facts["trust_remote_code"] for facts in known] == [True] * 4
