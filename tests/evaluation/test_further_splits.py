"""Splits that only some metrics read, named under `data.further`: scored as far as they are read, and read right."""

import json
from itertools import pairwise

import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from rouge_score.rouge_scorer import RougeScorer
from scipy.stats import hmean

from vestige.data.examples import DataError
from vestige.evaluation import evaluate, read_config
from vestige.evaluation.config import Config, Data, further_splits
from vestige.evaluation.measures import Reader
from vestige.evaluation.plan import plan_run
from vestige.evaluation.wanted import wanted
from vestige.metrics.muse import utility_curve
from vestige.metrics.tofu import MODEL_UTILITY
from vestige.store import ScoreStore

PROBES = ("forget_fill_in_blank", "forget_question_answer", "forget_adversarial")
NEIGHBOURS = ("neighbour_fill_in_blank", "neighbour_question_answer")
TEXTS_ONLY = ("passages", *PROBES, *NEIGHBOURS)


def with_wrong_answers(rows):
    return [row | {"perturbed_answers": [rows[i - k]["answer"] for k in (1, 2)]} for i, row in enumerate(rows)]


@pytest.fixture(scope="module")
def run(micro_config, tmp_path_factory):
    """Original, one retrained and one unlearned model, with every split that metrics of texts and answers read."""
    folder, data = tmp_path_factory.mktemp("splits"), micro_config.parent / "data"
    raw = yaml.safe_load(micro_config.read_text())
    rows = {s: list(map(json.loads, (data / f"{s}.jsonl").read_text().splitlines())) for s in ("forget", "retain")}
    files = dict.fromkeys(("forget", *PROBES, "passages", "reintroduced"), rows["forget"][::6])
    kept = ("retain", *NEIGHBOURS, "real_authors", "world_facts")
    files |= {name: rows["retain"][i::5] for i, name in enumerate(kept)}
    for name in ("retain", "real_authors", "world_facts"):
        files[name] = with_wrong_answers(files[name])
    for name, examples in files.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, examples)) + "\n")
    at = str(micro_config.parent)
    models = {
        "original": f"{at}/{raw['models']['original']}",
        "retrained": [f"{at}/{raw['models']['retrained'][0]}"],
        "unlearned": [{**raw["models"]["unlearned"][0], "path": f"{at}/{raw['models']['unlearned'][0]['path']}"}],
    }
    further = {name: f"{name}.jsonl" for name in files if name not in ("forget", "retain")}
    config = {
        "models": models,
        "data": {"forget": "forget.jsonl", "retain": "retain.jsonl", "further": further},
        "scoring": {"further": ["alternatives", "texts"], "samples": 2, "prompts": 2, "max_new_tokens": 6},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return evaluate(folder / "config.yaml", folder / "run", jobs=1), files


def stored(run, model, split):
    store = ScoreStore(run.folder / "store")
    (key,) = [path.name for path in store.root.iterdir() if path.name.startswith(f"{model}-")]
    names = [name for name in (split, f"further-{split}") if (store.root / key / name).is_dir()]
    return {c: store.read(key, name)[c] for name in names for c in store.read(key, name).columns}


def scores(run, model):
    (row,) = [row for row in run.report.rows if row.model == model]
    return row.scores


def test_every_metric_that_reads_such_a_split_is_there(run):
    evaluated, _ = run
    found = {name for model in evaluated.report.rows for name in model.scores}
    assert {"ModelUtility", "VerbMem", "RWKU", "RWKU-N", "FA-context"} <= found
    assert all(np.isfinite(scores(evaluated, "original")[name].value) for name in ("ModelUtility", "VerbMem", "RWKU"))


def test_model_utility_is_the_harmonic_mean_of_its_nine_parts(run):
    """From what the store has of each split, in plain Python, with SciPy's mean and Google's ROUGE."""
    evaluated, files = run
    scorer, parts, as_tofu = RougeScorer(["rougeL"], use_stemmer=True), [], []
    for split in ("retain", "real_authors", "world_facts"):
        columns = stored(evaluated, "original", split)
        tokens = [columns["token_log_prob"][a:b].astype(float) for a, b in pairwise(columns["offsets"])]
        right = np.exp([np.mean(t) for t in tokens])
        wrong = np.exp(columns["wrong_log_prob"])
        parts.append(np.mean(right if split == "retain" else right / (right + wrong.sum(axis=1) + 1e-10)))
        raw = columns["text"].tobytes()
        said = [raw[a:b].decode() for a, b in pairwise(columns["text_offsets"])]
        recalls = [
            scorer.score(e["answer"].strip(), t)["rougeL"].recall for e, t in zip(files[split], said, strict=True)
        ]
        parts.append(np.mean(recalls))
        means = np.exp(columns["wrong_log_prob"].mean(axis=1)), wrong.mean(axis=1)
        geometric, plain = (np.mean(np.maximum(0, 1 - m / np.exp(columns["right_log_prob"]))) for m in means)
        as_tofu += [*parts[-2:], plain]
        parts.append(geometric)
    assert min(parts) > 0
    assert scores(evaluated, "original")["ModelUtility"].value == pytest.approx(hmean(parts), rel=1e-6)
    planned = plan_run(read_config(evaluated.folder / "config.yaml"), evaluated.folder)
    other = MODEL_UTILITY.variant("tofu")
    arrays = Reader(planned).arrays(other, planned.of("original")[0], None)
    assert other.summary(other.values(arrays).arrays) == pytest.approx(hmean(as_tofu), rel=1e-6)


def test_sustainability_is_a_curve_over_the_models_of_a_run(run):
    evaluated, _ = run
    kept = {row.model: row.scores["KnowMem-retain"].value for row in evaluated.report.rows}
    (unlearned,) = kept.keys() - {"original", "retrained-0"}
    curve = utility_curve([1, 2], [kept["original"], kept[unlearned]], kept["original"])
    assert curve.kept == (1.0, pytest.approx(kept[unlearned] / kept["original"]))


def test_of_a_further_split_only_what_metrics_read_is_scored(run):
    evaluated, _ = run
    for split in TEXTS_ONLY:
        assert set(stored(evaluated, "original", split)) == {"text", "text_offsets"}
    assert "text" not in stored(evaluated, "original", "reintroduced")
    assert "argmax_hit" in stored(evaluated, "original", "reintroduced")
    assert {"text", "wrong_log_prob", "token_log_prob"} <= set(stored(evaluated, "original", "world_facts"))


def test_a_split_that_no_metric_can_be_had_with_is_refused_with_what_is_lacking():
    splits = ("forget", "retain", "real_authors", "world_facts")
    assert set(wanted(splits, ["alternatives", "texts"], ["world_facts"])) == {"real_authors", "world_facts"}
    assert wanted(splits, ["alternatives"]) == {}
    with pytest.raises(
        DataError, match=r"no metric can be had with world_facts.*ModelUtility needs.*retain\.rouge.*texts"
    ):
        wanted(splits, ["alternatives"], ["world_facts"])
    with pytest.raises(DataError, match=r"RWKU needs `unlearned\.forget_adversarial\.text`: name a file"):
        wanted(("forget", "retain", *PROBES[:2]), [], PROBES[:2])
    # A layout has it without being asked, so that its texts are made on request.
    assert wanted(("forget", "retain", "passages"), []) == {}
    assert wanted(("forget", "retain", "passages"), ["texts"]) == {"passages": {"texts"}}
    assert wanted(("forget", "retain", "passages"), [], ["passages"]) == {"passages": {"texts"}}


@pytest.mark.parametrize(
    ("kind", "split"), [("classifier", "passages"), ("diffusion", "real_authors"), ("language", "images")]
)
def test_splits_that_are_read_of_another_kind_of_model_are_refused(kind, split):
    data = {"forget": "f", "retain": "r", "further": {split: "p"}}
    with pytest.raises(ValidationError, match=rf"data\.further: no metric reads {split} of a {kind}"):
        Config.model_validate({"kind": kind, "models": {"original": "m"}, "data": data})


def test_names_that_no_metric_reads_are_refused_with_those_that_are_read():
    assert {"real_authors", "world_facts", "passages", "reintroduced", *PROBES, *NEIGHBOURS} <= set(further_splits())
    assert not {"samples", "prefixes", "words", "forget"} & set(further_splits())
    with pytest.raises(ValidationError, match=r"no metric reads passage; the names are .*passages"):
        Data(forget="f", retain="r", further={"passage": "p"})
    with pytest.raises(ValidationError, match=r"holdout must be named beside `further`"):
        Data(forget="f", retain="r", further={"holdout": "p"})
