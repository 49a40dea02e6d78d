"""What a person at a terminal meets: help that teaches, one sentence for a mistake, exit codes that scripts can use."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from vestige.cli import main

TABLE = """model,method,FA,RA,distance
a,x,0.0,0.5,3
b,x,0.1,0.9,1
c,y,0.5,0.7,2
d,y,0.3,0.2,4
e,z,0.4,0.8,1.5
f,z,0.2,0.6,2.5
"""
BETTER = ("--better", "FA=lower,RA=higher", "--distance", "distance")


def vestige(*arguments, cwd="."):
    """The command in this process, which has loaded its libraries already."""
    out, err = StringIO(), StringIO()
    with (
        patch.object(sys, "argv", ["vestige", *map(str, arguments)]),
        patch.dict(os.environ, {"COLUMNS": "100"}),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(arguments, ended.value.code, out.getvalue(), err.getvalue())


def refused(result, *words):
    """Exit code 2, one sentence, no traceback."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr + result.stdout
    for word in words:
        assert word in " ".join(result.stderr.split()), result.stderr


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_help_names_every_command():
    """In a process of its own, as a shell starts it."""
    command = [sys.executable, "-c", "from vestige.cli import main; main()", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for command in ("demo", "evaluate", "score", "plan", "work", "reliability", "power", "report", "metrics"):
        assert command in shown


def test_a_table_is_judged_and_written_in_three_forms(table, tmp_path):
    page, data, text = (tmp_path / name for name in ("page.html", "report.json", "report.md"))
    written = ("--html", page, "--json", data, "--markdown", text)
    result = vestige("reliability", table, *BETTER, "--clusters", "method", *written)
    assert result.returncode == 0, result.stderr
    assert "Kendall's tau" in result.stdout
    shown = [line for line in result.stdout.splitlines() if str(tmp_path) not in line]  # paths stay whole
    assert max(map(len, shown)) <= 100
    assert "\x1b" not in result.stdout
    assert json.loads(data.read_text())["schema"] == "vestige.report/1"
    assert "<table" in page.read_text()
    assert text.read_text().startswith("# Reliability of table.csv")


def test_a_report_can_be_shown_again(table, tmp_path):
    data = tmp_path / "report.json"
    first = vestige("reliability", table, *BETTER, "--json", data).stdout
    again = vestige("report", data).stdout
    assert again.strip() and again.strip() in first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("reliability", "none.csv", *BETTER), ("none.csv",)),
        (("reliability", "TABLE", "--better", "FA=lower", "--distance", "distance"), ("RA", "--better")),
        (("reliability", "TABLE", "--better", "FA=lower,RA=higher,XY=lower"), ("XY",)),
        (("reliability", "TABLE", "--better", "FA"), ("FA",)),
        (("reliability", "TABLE", *BETTER, "--clusters", "nothing"), ("nothing",)),
        (("reliability", "TABLE", *BETTER, "--convention", "mine"), ("mine", "published")),
        (("reliability", "TABLE", *BETTER, "--convention", "published"), ("published",)),
        (("reliability", "TABLE", *BETTER, "--least", "RA=0.8,FA=0.4"), ("least ones sum to 1.2",)),
        (("reliability", "TABLE", *BETTER, "--most", "RA"), ("largest weight 'RA'", "NAME=NUMBER")),
        (("evaluate", "none.yaml"), ("no configuration at",)),
        (("score", "none.yaml"), ("no configuration at",)),
        (("report", "none"), ("none",)),
        (("metrics", "XY"), ("unknown metric", "FA")),
        (("demo", "--jobs", "0"), ("--jobs",)),
        (("reliability", "TABLE", "--beter", "FA=lower"), ("--beter",)),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(table, tmp_path, arguments, words):
    refused(vestige(*(table if a == "TABLE" else a for a in arguments), cwd=tmp_path), *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("empty",)),
        (b"\xff\xfe\x00", ("UTF-8",)),
        (b"model,FA,RA,distance\na,1,2,3\n", ("at least 2",)),
        (b"model,FA,RA,distance\na,,1,2\nb,nan,2,1\n", ("'FA'", "no number at all")),
        (b"model,FA,RA,distance\na,1,2,3\nb,low,2,1\n", ("row 2", "'FA'", "'low'")),
        (b"model,FA,FA,RA,distance\na,1,1,2,3\nb,2,2,2,1\n", ("FA, FA", "twice")),
        (b"model,FA,RA,distance\na,1,2\n", ("row 1", "3 cells", "4")),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused(tmp_path, content, words):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    refused(vestige("reliability", path, *BETTER), *words)


def test_weights_obey_what_is_asked_of_them(table, tmp_path):
    data = tmp_path / "report.json"
    asked = ("--least", "FA=0.6", "--priority", "RA=2", "--draws", "250", "--json", data)
    assert vestige("reliability", table, *BETTER, *asked).returncode == 0
    judged = json.loads(data.read_text())["reliability"]
    assert judged["quality"]["weights"]["FA"] >= 0.6 - 1e-12
    assert {law["n_draws"] for law in judged["robustness"]} == {250}


def test_an_empty_forget_set_is_refused_before_anything_is_loaded(micro_run, tmp_path):
    folder = shutil.copytree(micro_run.folder, tmp_path / "run")
    (folder / "data" / "forget.jsonl").write_text("\n")
    refused(vestige("evaluate", folder / "config.yaml"), "forget.jsonl", "holds no examples")


def test_missing_weights_are_refused_and_nothing_is_lost(micro_run, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(micro_run.folder, tmp_path / "run")
    weights = folder / "checkpoints" / "GA-3" / "model.safetensors"
    tensors = load_file(weights)
    del tensors[sorted(tensors)[-1]]
    save_file(tensors, weights, metadata={"format": "pt"})
    stored = {path: path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file()}
    refused(vestige("evaluate", folder / "config.yaml", "--jobs", "1"), "GA@3", "weights are missing", "are kept")
    assert all(path.read_bytes() == content for path, content in stored.items())


def test_nan_logits_and_another_tokenizer_are_refused(micro_run, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(micro_run.folder, tmp_path / "run")
    checkpoint = folder / "checkpoints" / "GA-3"
    tensors = {name: tensor.fill_(float("nan")) for name, tensor in load_file(checkpoint / "model.safetensors").items()}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    refused(vestige("evaluate", folder / "config.yaml", "--jobs", "1"), "GA@3: NaN or infinite logits", "are kept")
    parts = json.loads((checkpoint / "tokenizer.json").read_text())
    parts["model"]["merges"] = parts["model"]["merges"][:-1]
    (checkpoint / "tokenizer.json").write_text(json.dumps(parts))
    refused(vestige("evaluate", folder / "config.yaml"), "GA@3 and original have different tokenizers")


def test_a_disk_that_cannot_be_written_is_named(table, tmp_path):
    (tmp_path / "file").write_text("")
    refused(vestige("reliability", table, *BETTER, "--json", tmp_path / "file" / "report.json"), "file")


def test_a_missing_checkpoint_is_named(micro_run, tmp_path):
    folder = shutil.copytree(micro_run.folder, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "SSD-30")
    refused(vestige("evaluate", folder / "config.yaml"), "SSD@30", "no checkpoint folder at")


def test_a_finished_run_is_evaluated_again_from_its_store(micro_run):
    result = vestige("evaluate", micro_run.folder / "config.yaml")
    assert result.returncode == 0, result.stderr
    assert "Planted controls" in result.stdout
    assert (micro_run.folder / "report.html").stat().st_size > 0
    config = yaml.safe_load((micro_run.folder / "config.yaml").read_text())
    assert not Path(config["models"]["original"]).is_absolute()


def test_an_interrupt_keeps_what_is_finished_and_the_same_command_goes_on(micro_run, tmp_path):
    folder = shutil.copytree(micro_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("store", "report*"))
    command = [sys.executable, "-c", "from vestige.cli import main; main()", "evaluate", str(folder / "config.yaml")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs in the background hands down an ignored interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not any((folder / "store").glob("retrained-0-*/samples/00000.json")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "Interrupted. What was finished is kept" in shown
    kept = {path: path.stat().st_mtime_ns for path in (folder / "store").glob("retrained-0-*/forget/00000.safetensors")}
    again = vestige("evaluate", folder / "config.yaml")
    assert again.returncode == 0, again.stderr
    assert kept
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_a_run_is_planned_and_a_task_that_comes_too_early_says_what_comes_first(micro_config, tmp_path):
    planned = vestige("plan", micro_config, "--out", tmp_path / "run")
    assert planned.returncode == 0, planned.stderr
    assert "rough estimate" in planned.stdout
    assert f"--array=0-2 --gpus=1 --wrap 'vestige work {tmp_path}/run --task $SLURM_ARRAY_TASK_ID'" in planned.stdout
    first = "task 0 (retrained-0), task 1 (retrained-1), task 2 (retrained-2) makes; do that first"
    refused(vestige("work", tmp_path / "run", "--task", "3"), "task 3 (original) needs what", first)
    refused(vestige("work", tmp_path), "no plan at", "vestige plan CONFIG")


def test_a_dry_run_says_what_a_run_will_take_and_writes_nothing(micro_config, tmp_path):
    told = vestige("evaluate", micro_config, "--out", tmp_path / "run", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "forward passes" in told.stdout and "MB" in told.stdout
    assert not (tmp_path / "run").exists()


def test_the_catalogue_prints_every_card():
    from vestige.metrics import DISTANCES, METRICS

    listed = vestige("metrics").stdout
    for metric in (*METRICS, *DISTANCES):
        assert metric.name in listed
    card = " ".join(vestige("metrics", "FADE").stdout.split())
    assert "L_uu - L_ru" in card and "arXiv 2510.12981" in card


def test_power_says_what_a_comparison_needs(tmp_path):
    pilot = tmp_path / "pilot.csv"
    rows = [f"{a},{a}{q},{a % 3 + 0.5 * q}" for a in range(9) for q in range(2)]
    pilot.write_text("author,question,gap\n" + "\n".join(rows))
    columns = ("--value", "gap", "--entity", "author", "--prompt", "question")
    result = vestige("power", pilot, *columns, "--difference", "0.5", "--fpr", "0.01")
    assert result.returncode == 0, result.stderr
    assert "To find 0.5 with probability 0.8:" in result.stdout
    assert "entities x 2 prompts x 1 samples" in result.stdout
    assert "Non-members, with as many members: 1000." in result.stdout
    refused(vestige("power", pilot, "--value", "gapp", "--difference", "0.5"), "gapp", "gap")
    refused(vestige("power", pilot, *columns, "--difference", "0"), "difference must be above 0")


LONG = "model,example,cluster,RA\n" + "".join(
    f"{model},e{i},c{i // 2},{base + 0.125 * (i % 3)}\n" for model, base in (("a", 1.0), ("b", 0.0)) for i in range(16)
)


def test_models_are_compared_on_the_examples_of_a_long_file(tmp_path):
    path, data, page = tmp_path / "long.csv", tmp_path / "pairs.json", tmp_path / "pairs.html"
    path.write_text(LONG.replace("a,e0,c0,1.0", "a,e0,c0,1.5"))
    result = vestige("compare", path, "--better", "RA=higher", "--margins", "RA=0.5", "--json", data, "--html", page)
    assert result.returncode == 0, result.stderr
    assert "better" in result.stdout
    assert "Models in pairs" in page.read_text()
    (entry,) = json.loads(data.read_text())["comparisons"]
    assert (entry["verdict"], entry["difference"]["value"], entry["p"]) == ("better", 1.03125, 2 / 2**8)
    refused = vestige("compare", path, "--better", "FA=higher")
    assert refused.returncode == 2 and "no column 'FA'" in refused.stderr


def test_a_table_is_judged_with_pairs_of_models_and_metrics_under_intervention(table, tmp_path):
    examples, changed, data = tmp_path / "long.csv", tmp_path / "changed.json", tmp_path / "all.json"
    models = [line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    rows = [f"{model},e{i},{(7 * j + i * i) % 5}" for j, model in enumerate(models) for i in range(6)]
    examples.write_text("\n".join(["model,example,RA", *rows]))
    parts = {"with_knowledge": [0.9, 0.8, 0.7], "without_knowledge": [0.1, 0.2, 0.3], "unlearned_change": [0.6, 0.6]}
    fields = {**parts, "retrained_change": 0.4, "before": [0.1, 0.1], "after": [0.15, 0.15]}
    changed.write_text(json.dumps({"RA": fields}))
    asked = ("--examples", examples, "--pairs", ",".join(models[:2]), "--interventions", changed)
    result = vestige("reliability", table, *BETTER, *asked, "--json", data)
    assert result.returncode == 0, result.stderr
    assert "Models in pairs" in result.stdout and "Metrics under intervention" in result.stdout
    written = json.loads(data.read_text())
    assert [entry["first"] for entry in written["comparisons"]] == models[:1]
    assert written["interventions"][0]["bottleneck"] == "relearning"
    changed.write_text(json.dumps({"RA": {**fields, "befor": []}}))
    refused(vestige("reliability", table, *BETTER, "--interventions", changed), "befor", "unlearned_change")
