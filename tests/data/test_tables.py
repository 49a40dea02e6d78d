import json
import math
import sys

import numpy as np
import pytest

from vestige.data.columns import TableError
from vestige.data.tables import parse_better, read_table, table_from_columns
from vestige.metrics.table import ScoreTable

COLUMNS = {
    "dataset": ["d", "d", "e"],
    "method": ["GA", "SSD", "GA"],
    "seed": [1, 1, 2],
    "FA": [0.5, 0.25, None],
    "RA": [1.0, 0.5, 0.75],
    "gap": [3.0, 2.0, 1.0],
}
ASKED = {"better": {"FA": "lower", "RA": "higher"}, "distance": ("gap",), "labels": ("seed",)}


def expected() -> ScoreTable:
    return table_from_columns(COLUMNS, **ASKED)


def rows():
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in zip(*COLUMNS.values(), strict=True)]


def write(folder, suffix):
    path = folder / f"table{suffix}"
    if suffix == ".csv":
        lines = [",".join(COLUMNS), *(",".join("" if c is None else str(c) for c in r.values()) for r in rows())]
        path.write_text("\n".join(lines) + "\n")
    elif suffix == ".json":
        path.write_text(json.dumps(rows()))
    elif suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows())))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        parquet.write_table(pyarrow.table(COLUMNS), path)
    return path


def assert_same(table, other):
    assert (table.models, table.labels, table.better) == (other.models, other.labels, other.better)
    assert list(table.columns) == list(other.columns)
    for name in table.columns:
        np.testing.assert_array_equal(table.columns[name], other.columns[name])


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_table(tmp_path, suffix):
    assert_same(read_table(write(tmp_path, suffix), **ASKED), expected())


def test_data_frames_and_arrow_tables_give_the_same_table():
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    assert_same(table_from_columns(pandas.DataFrame(COLUMNS), **ASKED), expected())
    assert_same(table_from_columns(pandas.DataFrame(COLUMNS).convert_dtypes(), **ASKED), expected())
    assert_same(table_from_columns(pyarrow.table(COLUMNS), **ASKED), expected())

    class OnlyAStream:
        def __arrow_c_stream__(self, requested_schema=None):
            return pyarrow.table(COLUMNS).__arrow_c_stream__(requested_schema)

    assert_same(table_from_columns(OnlyAStream(), **ASKED), expected())


def test_text_columns_and_named_numbers_are_labels_and_the_method_names_the_row():
    table = expected()
    assert table.models == ("GA", "SSD", "GA")
    assert table.labels == {"dataset": ("d", "d", "e"), "method": ("GA", "SSD", "GA"), "seed": ("1", "1", "2")}
    assert table.metrics == ("FA", "RA")
    assert math.isnan(table.columns["FA"][2])


def test_the_model_column_is_preferred_and_rows_are_numbered_without_one():
    better = {"RA": "higher"}
    both = table_from_columns({"method": ["x", "y"], "model": ["a", "b"], "RA": [1, 2]}, better=better)
    assert both.models == ("a", "b")
    assert table_from_columns({"RA": [1, 2]}, better=better).models == ("row 1", "row 2")
    named = table_from_columns({"method": ["x", "y"], "run": ["a", "b"], "RA": [1, 2]}, better=better, item="run")
    assert named.models == ("a", "b")


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "N/A", None, float("nan")])
def test_missing_cells_are_nan(cell):
    table = table_from_columns({"RA": [1.0, cell]}, better={"RA": "higher"})
    assert math.isnan(table.columns["RA"][1])


def test_a_reference_is_a_number_or_a_row():
    columns = {"model": ["retrained", "a", "b"], "FA": [0.25, 0.0, 0.5]}
    by_number = table_from_columns(columns, better={"FA": "reference:0.25"})
    by_row = table_from_columns(columns, better={"FA": "reference:retrained"})
    assert by_number.reference == by_row.reference == {"FA": 0.25}
    assert by_row.oriented("FA").tolist() == [0.0, -0.25, -0.25]


def test_orientations_are_read_from_the_command_line_form():
    assert parse_better("FA=lower, RA=higher,X=reference:a=b") == {"FA": "lower", "RA": "higher", "X": "reference:a=b"}
    with pytest.raises(TableError, match="NAME=higher"):
        parse_better("FA")
    with pytest.raises(TableError, match="'FA' has two orientations"):
        parse_better("FA=lower,RA=higher, FA =higher")


def spoiled(**changes):
    return {**COLUMNS, **changes}


@pytest.mark.parametrize(
    "columns, asked, words",
    [
        (COLUMNS, {**ASKED, "better": {"FAA": "lower", "RA": "higher"}}, r"no column 'FAA'; did you mean FA"),
        (COLUMNS, {**ASKED, "better": {"RA": "higher"}}, r"no orientation for FA: add --better FA=higher\|lower"),
        (COLUMNS, {**ASKED, "labels": ()}, "no orientation for seed"),
        (COLUMNS, {**ASKED, "better": {"FA": "less", "RA": "higher"}}, "'FA' must be higher, lower or reference:VALUE"),
        (COLUMNS, {**ASKED, "better": {"FA": "reference", "RA": "higher"}}, "reference:VALUE"),
        (COLUMNS, {**ASKED, "better": {"FA": "reference:GA", "RA": "higher"}}, "2 rows are called 'GA'"),
        (spoiled(FA=[0.5, "high", 1.0]), ASKED, "row 2 of column 'FA' holds 'high'"),
        (spoiled(FA=[None, "", "nan"]), ASKED, "'FA' holds no number"),
        (spoiled(seed=[1, 1, 1], dataset=["d", "d", "d"]), ASKED, r"rows 1 and 3 are the same model \(GA, d, 1\)"),
        ({name: values[:1] for name, values in COLUMNS.items()}, ASKED, "the table has 1"),
        (spoiled(RA=[1.0]), ASKED, "differ in length"),
        ([1, 2], ASKED, "from list"),
        (COLUMNS, {**ASKED, "distance": ("gap", "RA")}, "'RA' is a distance and has an orientation"),
        (COLUMNS, {**ASKED, "distance": ("gap", "gap")}, "'gap' is named twice"),
        (spoiled(FA=[0.5, "high", 1.0]), {**ASKED, "better": {"RA": "higher"}}, "'FA' holds numbers and texts"),
        (spoiled(method=["GA", None, "r"]), ASKED, "row 2 has no model name"),
        (COLUMNS, {**ASKED, "better": {"FA": "reference:inf", "RA": "higher"}}, "FA=reference:inf is infinite"),
        (COLUMNS, {**ASKED, "better": {"FA": "reference:-1e999", "RA": "higher"}}, "infinite"),
        (
            spoiled(method=["GA", "SSD", "r"]),
            {**ASKED, "better": {"FA": "reference:r", "RA": "higher"}},
            "the row 'r' has no FA",
        ),
        (spoiled(FA=[0.5, "inf", 1.0]), ASKED, "row 2 of column 'FA' is infinite"),
        (spoiled(gap=[3.0, 2.0, -math.inf]), ASKED, "row 3 of column 'gap' is infinite"),
        (spoiled(RA=[10**400, 1, 2]), ASKED, "row 1 of column 'RA' is infinite"),
        (spoiled(gap=["-1e301", 1, 2]), ASKED, "row 1 of column 'gap' is beyond 1e300, as good as infinite"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence_that_names_the_trouble(columns, asked, words):
    with pytest.raises(TableError, match=words) as caught:
        table_from_columns(columns, **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("none.csv", None, "no file"),
        ("table.xlsx", "x", ".csv, .json, .jsonl, .parquet"),
        ("table.csv", "", "empty"),
        ("table.csv", "a,a\n1,2\n", "twice"),
        ("table.csv", "a,b\n1\n", "row 1 of table.csv has 1 cells"),
        ("table.json", "{", "not JSON"),
        ("table.json", "[1, 2]", "one list of objects"),
        ("table.jsonl", '{"a": 1}\n{', "line 2"),
        ("table.jsonl", '{"a": 1, "a": 2}', "a JSON object names a column twice: a, a"),
        ("table.parquet", "PAR1 and no more", "table.parquet is not Parquet"),
        ("table.csv", 'model,FA\na,1\n"b,2\n', "table.csv is not CSV: unexpected end of data"),
        ("table.csv", "model,FA\n" + "a" * 200_000 + ",1\n", "table.csv is not CSV: field larger"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(TableError, match=words):
        read_table(tmp_path / name, **ASKED)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl"])
def test_a_file_in_another_encoding_is_named(tmp_path, suffix):
    (tmp_path / f"t{suffix}").write_bytes("modèle".encode("latin-1"))
    with pytest.raises(TableError, match=rf"t{suffix} is not UTF-8 text \(byte 4\): save it as UTF-8"):
        read_table(tmp_path / f"t{suffix}", **ASKED)


@pytest.mark.parametrize("digits", [310, 5_000])
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_an_integer_too_large_for_a_number_is_infinite(tmp_path, suffix, digits):
    line = '{"model": "a", "RA": 1}\n'
    huge = f'{{"model": "b", "RA": -{"9" * digits}}}'
    (tmp_path / f"t{suffix}").write_text(line + huge if suffix == ".jsonl" else f"[{line},{huge}]")
    with pytest.raises(TableError, match="row 2 of column 'RA' is infinite"):
        read_table(tmp_path / f"t{suffix}", better={"RA": "higher"})


def test_a_line_separator_inside_a_json_string_ends_no_line(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"model": "a\u2028b", "RA": 1}\r\n{"model": "c", "RA": 2}\r\n', encoding="utf-8")
    assert read_table(tmp_path / "t.jsonl", better={"RA": "higher"}).models == ("a\u2028b", "c")


def test_a_json_object_with_one_list_of_models_is_read(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"note": "x", "models": rows(), "counts": {"GA": 2}}))
    assert_same(read_table(tmp_path / "t.json", **ASKED), expected())


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(TableError, match=r"pip install 'vestige\[tables\]'"):
        read_table(tmp_path / "t.parquet", **ASKED)
