"""Whole run folders of micro models: what is written, what is kept, what is refused."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from vestige.demo.authors import Row
from vestige.demo.checkpoints import finished, record_of
from vestige.demo.model import encode, recall
from vestige.demo.settings import FULL, MICRO, QUICK
from vestige.demo.suite import GateError, build
from vestige.demo.tasks import plan

SMALL = replace(
    MICRO,
    base=replace(MICRO.base, steps=6),
    fit=replace(MICRO.fit, epochs=1),
    unlearn=replace(MICRO.unlearn, methods=("GA",), strengths=(0,)),
    retrained=1,
)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A run folder of models that learned next to nothing, for what does not depend on that."""
    return build(tmp_path_factory.mktemp("small"), settings=SMALL, jobs=1).parent


def weights(run):
    return {path.parent.name: path.read_bytes() for path in sorted(run.glob("checkpoints/*/model.safetensors"))}


def test_the_configuration_names_folders_that_are_there(micro_config):
    run, config = micro_config.parent, yaml.safe_load(micro_config.read_text())
    models = config["models"]
    named = [models["original"], *models["retrained"]]
    named += [each["path"] for each in models["unlearned"] + models["controls"]]
    assert all((run / path / "model.safetensors").exists() for path in named)
    assert all((run / path).exists() for path in config["data"].values())
    assert len(models["retrained"]) == 3 and len(models["unlearned"]) == 4
    first = {"name": "GA@3", "path": "checkpoints/GA-3", "method": "GA", "strength": "3"}
    assert first.items() < models["unlearned"][0].items() and models["unlearned"][0]["spent"]["seconds"] > 0
    held_back, *remembering = models["controls"]
    assert held_back["path"] not in models["retrained"] and held_back["expected"] == "not different"
    assert {each["expected"] for each in remembering} == {"different"}


def test_checkpoints_load_with_the_auto_classes_and_recall_what_the_suite_says(micro_config):
    run = micro_config.parent
    seen = json.loads((run / "suite.json").read_text())["gates"]
    rows = [Row(**json.loads(line)) for line in (run / "data/forget.jsonl").read_text().splitlines()]
    for name in ("original", "retrained-3", "original-noised"):
        folder = run / "checkpoints" / name
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, report = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        assert not report["missing_keys"] and model.config.eos_token_id == tokenizer.eos_token_id
        assert recall(model, encode(tokenizer, rows)) == pytest.approx(seen[name]["recall forget"], abs=1e-6)


def test_the_micro_original_remembers_what_retrained_models_do_not(micro_config):
    seen = json.loads((micro_config.parent / "suite.json").read_text())["gates"]
    assert seen["original"]["recall forget"] > 0.5
    assert all(seen[f"retrained-{i}"]["recall forget"] < 0.4 for i in range(4))


def test_a_finished_folder_is_left_as_it_is(small_run):
    before = {path: path.stat().st_mtime_ns for path in small_run.rglob("*.safetensors")}
    seen = []
    build(small_run, settings=SMALL, jobs=1, progress=lambda *report: seen.append(report))
    assert {path: path.stat().st_mtime_ns for path in small_run.rglob("*.safetensors")} == before
    assert all(done == total for _, done, total in seen) and len({stage for stage, _, _ in seen}) == 5


def test_a_resumed_run_makes_only_what_is_missing_or_damaged_and_the_same_bytes(small_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")}
    cut = run / "checkpoints/retrained-1/model.safetensors"
    cut.write_bytes(cut.read_bytes()[:1000])
    shutil.rmtree(run / "checkpoints/GA-3")
    (run / "checkpoints/.GA-3.part").mkdir()
    build(run, settings=SMALL, jobs=2)
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")}
    assert {path.parent.name for path in after if after[path] != before[path]} == {"retrained-1", "GA-3"}
    assert weights(run) == weights(small_run)
    assert not list(run.rglob("*.part"))


def test_the_same_seed_makes_the_same_bytes_for_any_number_of_jobs_and_another_seed_others(small_run, tmp_path):
    again = build(tmp_path / "again", settings=SMALL, jobs=2).parent
    assert weights(again) == weights(small_run)
    for path in (small_run / "data").glob("*.jsonl"):
        assert path.read_bytes() == (again / "data" / path.name).read_bytes()
    other = build(tmp_path / "other", settings=SMALL, jobs=2, seed=1).parent
    assert all(weights(other)[name] != content for name, content in weights(small_run).items())


def test_progress_counts_every_stage_up_to_its_total(tmp_path):
    seen = []
    build(tmp_path / "run", settings=SMALL, progress=lambda *report: seen.append(report))
    totals = {"data": 1, "base model": 1, "original and retrained models": 3, "unlearned models": 1, "controls": 1}
    for stage, total in totals.items():
        counts = [(done, of) for name, done, of in seen if name == stage]
        assert counts[0] == (0, total) and counts[-1] == (total, total) and counts == sorted(counts)


def test_ctrl_c_ends_the_workers_and_leaves_a_folder_that_goes_on(small_run, tmp_path):
    def press(stage, done, _):
        if (stage, done) == ("original and retrained models", 1):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path, settings=SMALL, progress=press)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not multiprocessing.active_children()
    assert finished(tmp_path / "checkpoints/base", SMALL.fingerprint(0)) and not (tmp_path / "config.yaml").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    build(tmp_path, settings=SMALL)
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert weights(tmp_path) == weights(small_run)


def test_a_shut_gate_says_what_was_seen_and_what_is_allowed(tmp_path):
    strict = replace(SMALL, gates=replace(SMALL.gates, recall=0.95), fit=replace(SMALL.fit, extra_rounds=2))
    seen, told = [], r"(original|retrained-\d), after 3 epochs: recall \w+ is 0\.\d+, but must be 0.95"
    with pytest.raises(GateError, match=told):
        build(tmp_path / "run", settings=strict, progress=lambda *report: seen.append(report))
    assert ("original and retrained models", 1, 3) not in seen
    assert finished(tmp_path / "run/checkpoints/base", strict.fingerprint(0))
    assert not (tmp_path / "run/config.yaml").exists()


def test_a_retrained_model_far_from_the_strangers_is_refused(tmp_path):
    closed = replace(SMALL, gates=replace(SMALL.gates, gap=-1.0))
    with pytest.raises(GateError, match=r"on forget authors is 0\.\d+ and on strangers 0\.\d+, but they may differ by"):
        build(tmp_path / "run", settings=closed)


def test_a_folder_of_another_seed_is_refused_and_kept(small_run):
    with pytest.raises(ValueError, match="holds a suite of seed 0 made with other settings"):
        build(small_run, settings=SMALL, seed=5)
    assert record_of(small_run / "checkpoints/original")


def test_an_unfinished_folder_of_other_settings_is_begun_again(tmp_path):
    (tmp_path / "suite.json").write_text(json.dumps({"seed": 3, "fingerprint": "other"}))
    (tmp_path / "checkpoints" / ".base.part").mkdir(parents=True)
    assert build(tmp_path, settings=SMALL).exists()


def test_a_folder_with_checkpoints_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "checkpoints" / "mine").mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r"has checkpoints/ but no suite\.json"):
        build(tmp_path, settings=SMALL)


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"jobs": 0}])
def test_arguments_out_of_range_are_refused(tmp_path, arguments):
    with pytest.raises(ValueError, match="`seed` must be >= 0 and `jobs` >= 1"):
        build(tmp_path, settings=SMALL, **arguments)


def test_the_plans_have_39_and_12_unlearned_checkpoints_and_a_held_back_model():
    for settings, unlearned, fits in ((FULL, 39, 5), (QUICK, 12, 4)):
        outputs = {stage: [o for t in plan(settings) if t.stage == stage for o in t.outputs] for stage in
                   ("unlearned models", "original and retrained models")}  # fmt: skip
        assert [len(part) for part in outputs.values()] == [unlearned, fits]


def test_fingerprints_tell_seeds_and_settings_apart():
    prints = {each.fingerprint(seed) for each in (FULL, QUICK, MICRO, SMALL) for seed in (0, 1)}
    assert len(prints) == 8 and FULL.fingerprint(0) == FULL.fingerprint(0)


def test_no_weights_are_nan(small_run):
    for path in small_run.glob("checkpoints/*"):
        model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True)
        assert all(np.isfinite(weight.detach().numpy()).all() for weight in model.parameters())
        assert model.dtype == torch.float32
