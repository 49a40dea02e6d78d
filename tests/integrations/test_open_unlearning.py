import json
import math

import pytest

from vestige.data.columns import TableError
from vestige.integrations.open_unlearning import read_evaluations, values_by_index


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
