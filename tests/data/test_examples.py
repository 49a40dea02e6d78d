import json

import pytest

from vestige.data.examples import DataError, digest, read_examples


def write(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_rows_come_back_in_order_with_defaults(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        {"prompt": "Q?", "answer": " A."},
        "",
        {"prompt": "P", "answer": " ü", "cluster": "x", "id": "b"},
    )
    first, second = read_examples(path)
    assert (first.id, first.cluster, first.answer) == ("1", "a:1", " A.")
    assert (second.id, second.cluster, second.answer) == ("b", "x", " ü")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no examples"),
        (["{"], r"line 1: not JSON"),
        (["3"], "line 1: expected an object"),
        ([{"prompt": "Q"}], "`answer` must be non-empty text, found None"),
        ([{"prompt": "Q", "answer": " "}], "`answer` must be non-empty text"),
        ([{"prompt": 3, "answer": "A"}], "`prompt` must be non-empty text, found 3"),
        ([{"id": 1, "prompt": "Q", "answer": "A"}] * 2, "id '1' occurs twice"),
    ],
)
def test_bad_rows_are_named(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read_examples(write(tmp_path / "a.jsonl", *rows))


def test_a_missing_and_a_binary_file_are_clear(tmp_path):
    with pytest.raises(DataError, match="no data file at"):
        read_examples(tmp_path / "none.jsonl")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_examples(tmp_path / "b")


def test_the_digest_sees_every_field_and_the_order(tmp_path):
    rows = [{"id": i, "prompt": "Q", "answer": f" {i}", "cluster": "c"} for i in "ab"]
    base = digest(read_examples(write(tmp_path / "a", *rows)))
    assert base == digest(read_examples(write(tmp_path / "b", *rows)))
    assert base != digest(read_examples(write(tmp_path / "c", *rows[::-1])))
    assert base != digest(read_examples(write(tmp_path / "d", rows[0], {**rows[1], "answer": " c"})))
