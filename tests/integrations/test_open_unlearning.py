import json
import math

import pytest

from vestige.data.columns import TableError
from vestige.integrations.open_unlearning import find_evaluations, read_evaluations, values_by_index


def evaluation(path, prob, strength=None):
    content = {
        "forget_Q_A_Prob": {
            "agg_value": prob,
            "value_by_index": {"0": {"prob": prob, "avg_loss": -math.log(prob)}, "1": None},
        }
    }
    if strength is not None:
        content["extraction_strength"] = {"agg_value": strength}
    path.write_text(json.dumps(content))
    return path


def test_summaries_become_a_table_with_missing_cells(tmp_path):
    files = {name: evaluation(tmp_path / name, p, s) for name, p, s in (("a", 0.5, 0.1), ("b", 0.25, None))}
    table = read_evaluations(files, better={"forget_Q_A_Prob": "lower", "extraction_strength": "lower"})
    assert table.models == ("a", "b")
    assert table.columns["forget_Q_A_Prob"].tolist() == [0.5, 0.25]
    assert table.columns["extraction_strength"][0] == 0.1 and math.isnan(table.columns["extraction_strength"][1])


def test_examples_come_by_index_without_the_skipped(tmp_path):
    assert values_by_index(evaluation(tmp_path / "a", 0.5), "forget_Q_A_Prob", "prob") == {"0": 0.5}


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is not JSON"), ("[]", "no evaluation of"), ('{"a": {}}', "needs an `agg_value`")]
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "a").write_text(content)
    with pytest.raises(TableError, match=message):
        read_evaluations({"a": tmp_path / "a"}, better={"x": "lower"})


def test_an_unknown_metric_or_field_is_named(tmp_path):
    path = evaluation(tmp_path / "a", 0.5)
    with pytest.raises(TableError, match="no file has metric 'x'; there are forget_Q_A_Prob"):
        read_evaluations({"a": path}, better={"x": "lower"})
    with pytest.raises(TableError, match="has no 'rouge' by index"):
        values_by_index(path, "forget_Q_A_Prob", "rouge")
    with pytest.raises(TableError, match="no evaluation at"):
        values_by_index(tmp_path / "none", "x", "y")


def test_runs_below_a_folder_are_found_and_values_by_index_preferred(tmp_path):
    for model, names in (("npo/a", ("TOFU_EVAL.json", "TOFU_SUMMARY.json")), ("npo/b", ("TOFU_SUMMARY.json",))):
        (tmp_path / model).mkdir(parents=True)
        for name in names:
            content = {"x": {"agg_value": 0.5}} if name.endswith("EVAL.json") else {"x": 0.25}
            (tmp_path / model / name).write_text(json.dumps(content))
    found = find_evaluations(tmp_path)
    assert {model: path.name for model, path in found.items()} == {
        "npo/a": "TOFU_EVAL.json",
        "npo/b": "TOFU_SUMMARY.json",
    }
    table = read_evaluations(found, better={}, distance=("x",))
    assert table.models == ("npo/a", "npo/b") and table.columns["x"].tolist() == [0.5, 0.25] and not table.metrics


def test_a_folder_without_evaluations_or_with_two_suites_is_refused(tmp_path):
    with pytest.raises(TableError, match=r"no \*_EVAL\.json"):
        find_evaluations(tmp_path)
    for name in ("MUSE_EVAL.json", "TOFU_EVAL.json"):
        evaluation(tmp_path / name, 0.5)
    with pytest.raises(TableError, match=r"holds MUSE_EVAL\.json and TOFU_EVAL\.json"):
        find_evaluations(tmp_path)


def test_without_orientations_the_metrics_that_need_them_are_listed(tmp_path):
    with pytest.raises(TableError, match=r"better is missing: .* of forget_Q_A_Prob"):
        read_evaluations({"a": evaluation(tmp_path / "a", 0.5)}, better={})
