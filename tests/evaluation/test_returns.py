"""Interventions in a run: changed models are scored like others and judged against a retrained model changed alike."""

import json
import shutil
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import yaml

from vestige.data.examples import read_examples
from vestige.evaluation import ConfigError, evaluate, read_config
from vestige.evaluation.changes import Changed
from vestige.evaluation.relearnt import relearning_steps
from vestige.meta.intervention import read_interventions
from vestige.report.json import read_json
from vestige.store import ScoreStore

CHANGES = {
    "models": ["GA@12"],
    "relearn": {"steps": 12, "lr": 2e-3},
    "quantise": [{"bits": 3}],
    "ask": ["paraphrase", "multiple choice", "in context", "reintroduction"],
    "templates": {"shout": "Tell me!\n{prompt}"},
    "rewritten": {"by hand": "data/by-hand.jsonl"},
}
PROBES = {
    "paraphrase": "paraphrase",
    "multiple choice": "probe-multiple-choice",
    "in context": "probe-in-context",
    "reintroduction": "reintroduced",
    "shout": "probe-shout",
    "by hand": "probe-by-hand",
}


def with_interventions(micro_run, tmp_path, wanted):
    folder = tmp_path / "run"
    shutil.copytree(micro_run.folder, folder, ignore=shutil.ignore_patterns("tables", "report.*"))
    raw = yaml.safe_load((folder / "config.yaml").read_text())
    raw["interventions"] = wanted
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    first, second, *_ = read_examples(folder / "data" / "forget.jsonl")
    rows = [{"id": first.id, "prompt": f"Well? {first.prompt}"}, {"id": "b", "of": second.id, "answer": " Nobody."}]
    (folder / "data" / "by-hand.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def changed_run(micro_run, tmp_path_factory):
    config = with_interventions(micro_run, tmp_path_factory.mktemp("changed"), CHANGES)
    return evaluate(config, config.parent, jobs=1)


def correct(run, name, split="forget"):
    """Whole answers right, by example, straight from the store."""
    key = next(path.name for path in (run.folder / "store").iterdir() if path.name.startswith(f"{name}-"))
    shard = ScoreStore(run.folder / "store").read(key, split)
    return np.array([hits.all() for hits in np.split(shard["argmax_hit"], shard["offsets"][1:-1])], float)


def test_each_model_and_change_has_an_entry_and_changed_models_are_not_ranked(changed_run, micro_run):
    report = changed_run.report
    assert [(r.model, r.change) for r in report.returns] == [
        ("GA@12", "relearn 12"),
        ("GA@12", "3 bits"),
        *(("GA@12", f"ask: {name}") for name in PROBES),
    ]
    assert [row.model for row in report.rows if row.rank] == [row.model for row in micro_run.report.rows if row.rank]
    assert sum(row.role == "changed" for row in report.rows) == 4


def test_the_gain_is_what_the_model_won_beyond_the_retrained_one(changed_run):
    for entry in changed_run.report.returns:
        plain = (entry.after - entry.before) - (entry.retrained_after - entry.retrained_before)
        assert entry.gain.value == pytest.approx(plain, abs=1e-12)
        assert (entry.verdict == "comes back") == (entry.gain.low > 0)


def test_relearning_teaches_half_of_the_clusters_and_is_judged_by_the_others(changed_run):
    clusters = [example.cluster for example in read_examples(changed_run.folder / "data" / "forget.jsonl")]
    order = list(dict.fromkeys(clusters))
    untaught = np.array([order.index(cluster) % 2 == 1 for cluster in clusters])
    relearnt, rounded, *_ = changed_run.report.returns
    assert relearnt.before == correct(changed_run, "GA@12")[untaught].mean()
    assert relearnt.after == correct(changed_run, "GA@12_relearn_12")[untaught].mean()
    assert rounded.before == correct(changed_run, "GA@12").mean()
    taught = correct(changed_run, "retrained-0_relearn_12")[~untaught].mean()
    assert taught > correct(changed_run, "retrained-0")[~untaught].mean()
    assert np.isnan(rounded.anamnesis)


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_is_put_to_the_named_the_original_and_a_retrained_model_alone(changed_run, probe):
    split = PROBES[probe]
    folders = {path.parent.name.rsplit("-", 1)[0] for path in (changed_run.folder / "store").glob(f"*/{split}")}
    asked = {"GA@12", "original", "retrained-0"}
    assert folders == asked if split != "paraphrase" else folders > asked


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_s_gain_is_what_asking_otherwise_wins_beyond_the_retrained_model(changed_run, probe):
    """By hand: means over the examples that are asked about, straight from the store."""
    entry = next(e for e in changed_run.report.returns if e.change == f"ask: {probe}")
    n_plain = 2 if probe == "by hand" else None
    names = ("GA@12", "retrained-0")
    plain = [correct(changed_run, name)[:n_plain].mean() for name in names]
    asked = [correct(changed_run, name, PROBES[probe]).mean() for name in names]
    assert (entry.before, entry.after, entry.retrained_before, entry.retrained_after) == pytest.approx(
        (plain[0], asked[0], plain[1], asked[1])
    )
    assert entry.gain.value == pytest.approx((asked[0] - plain[0]) - (asked[1] - plain[1]), abs=1e-12)
    original = correct(changed_run, "original", PROBES[probe]).mean()
    assert entry.original == pytest.approx(original)
    assert (entry.verdict == "undefined") == (original - asked[1] < 0.1 or np.isnan(entry.gain.low))


def test_what_is_told_is_asked_for_and_gives_fa_context(changed_run):
    scores = {row.model: row.scores["FA-context"] for row in changed_run.report.rows}
    assert scores["GA@12"].value == correct(changed_run, "GA@12", "reintroduced").mean()
    assert np.isnan(scores["SSD@30"].value) and scores["SSD@30"].reason


def test_the_metric_of_relearning_is_made_of_the_curves(changed_run):
    """By hand: steps until nine tenths of the original's accuracy, or all of them; undefined without an end."""
    found = next(row for row in changed_run.report.rows if row.model == "GA@12").scores["AIN"].value
    target = 0.9 * correct(changed_run, "original").mean()
    curves = [json.loads(path.read_text()) for path in (changed_run.folder / "changed").glob("*-curve.json")]
    steps = {min(len(list(takewhile(lambda a: a < target, curve))), 12) for curve in curves}
    assert np.isnan(found) or any(found == pytest.approx(u / r) for u in steps for r in steps if r)
    assert np.isnan(next(row for row in changed_run.report.rows if row.model == "SSD@30").scores["AIN"].value)


@pytest.mark.parametrize(
    "name, curve, steps",
    [
        ("u", (0.1, 0.3, 0.95), [2.0]),
        ("u", (0.95, 1.0), [0.0]),
        ("u", (0.1, 0.2, 0.3), [2.0]),
        ("retrained-0", (0.1, 0.2, 0.3), []),
        ("other", (), None),
    ],
)
def test_steps_until_the_original_s_accuracy_is_nearly_back(name, curve, steps):
    made = (Changed("c", name, "relearn 2", Path(), curve, ()),)
    found = relearning_steps(made, name, original=1.0)
    assert found is None if steps is None else found.tolist() == steps


def test_what_metrics_did_can_be_handed_to_reliability(changed_run):
    path = changed_run.folder / "tables" / "interventions.json"
    fields, value = json.loads(path.read_text())["FA"], {r.model: r.scores["FA"].value for r in changed_run.report.rows}
    assert fields["unlearned_change"] == [pytest.approx(value["GA@12, relearn 12"] - value["GA@12"])]
    assert fields["retrained_change"] == pytest.approx(value["retrained-0, relearn 12"] - value["retrained-0"])
    assert fields["before"] == [value["GA@12"]] and fields["after"] == [value["GA@12, 3 bits"]]
    assert value["original"] in fields["with_knowledge"] and value["retrained-0"] in fields["without_knowledge"]
    read = {quality.metric for quality in read_interventions(path)}
    assert read >= {"FA", "FA-para", "ES"} and not read & {"RA", "JS", "AD"}


def test_a_second_run_changes_and_scores_nothing(changed_run, monkeypatch, no_forward_pass):
    import vestige.evaluation.changes as changes

    monkeypatch.setattr(changes, "_make", lambda _: pytest.fail("changed again"))
    again = evaluate(changed_run.folder / "config.yaml", changed_run.folder, jobs=1)
    assert str(again.report.returns) == str(changed_run.report.returns)


def test_the_report_shows_it_and_reads_back(changed_run):
    assert "Does it come back?" in (changed_run.folder / "report.html").read_text()
    back = read_json(changed_run.folder / "report.json")
    assert [entry.verdict for entry in back.returns] == [entry.verdict for entry in changed_run.report.returns]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"models": ["nobody"], "quantise": {}}, "no unlearned model is called nobody"),
        ({"models": ["GA@12"]}, "say which"),
        ({"models": []}, "at least 1 item"),
        ({"models": ["GA@12"], "ask": ["nicely"]}, "no probe 'nicely' is made of the examples, these are: paraphrase"),
        ({"models": ["GA@12"], "templates": {"mine": "Tell me."}}, "`templates.mine` must hold {prompt} once"),
        ({"models": ["GA@12"], "quantise": [{}, {"bits": 4}]}, "found twice: 4 bits"),
        ({"models": ["GA@12"], "ask": ["role play"], "templates": {"role play": "{prompt}"}}, "found twice: role play"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(micro_run, tmp_path, wanted, message):
    with pytest.raises(ConfigError, match=message):
        read_config(with_interventions(micro_run, tmp_path, wanted))


def test_a_file_without_settings_is_no_configuration(tmp_path):
    (tmp_path / "scores.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="is no configuration: expected `models:` and `data:`"):
        read_config(tmp_path / "scores.csv")
