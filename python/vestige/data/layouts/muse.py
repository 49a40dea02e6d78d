"""MUSE: news or books that are forgotten, asked about, continued, and told apart from unseen ones."""

from pathlib import Path

from vestige.data.layouts.texts import whole_text
from vestige.data.rows import DataError, Row, has_table, named_rows

PARTS = ("knowmem", "verbmem", "privleak")


def read(folder: Path, part: str, prompt: str) -> dict[str, list[Row]]:
    """The splits of one corpus of MUSE for one of its tests.

    Args:
        folder: of the corpus, such as `data/news`, with the subfolders that `load_data.py` writes.
        part: `knowmem` (questions with answers), `verbmem` (beginnings with continuations; what is kept is asked as in
            `knowmem`) or `privleak` (texts of members and non-members).
        prompt: wording of a question.

    Returns:
        `forget` and `retain`; with `knowmem` also `passages`, the beginnings and continuations of `verbmem`, where the
        corpus has them; with `privleak` also `holdout`. Questions follow the few examples of the `_icl` files,
        each with its answer. A text of `privleak` is its first word as prompt and the rest as answer, so that all but
        the first word is scored.

    Source: swj0419/muse_bench fcd6651, `load_data.py`, `metrics/knowmem.py`, `metrics/verbmem.py`.
    """
    if part not in PARTS:
        raise DataError(f"the part of MUSE must be one of {', '.join(PARTS)}, got {part!r}")
    if part == "privleak":
        names = ("forget", "retain", "holdout")
        return {name: [whole_text(row) for row in named_rows(folder / part, name)] for name in names}
    splits = {name: _questions(folder / "knowmem", f"{name}_qa", prompt) for name in ("forget", "retain")}
    if part == "verbmem" or has_table(folder / "verbmem", "forget"):
        begun = [_continuation(row) for row in named_rows(folder / "verbmem", "forget")]
        splits["forget" if part == "verbmem" else "passages"] = begun
    return splits


def _questions(folder: Path, table: str, prompt: str) -> list[Row]:
    shown = named_rows(folder, f"{table}_icl") if has_table(folder, f"{table}_icl") else []
    asked = [prompt.replace("{question}", row.required("question")) for row in shown]
    before = "".join(f"{ask} {row.required('answer')}\n\n" for ask, row in zip(asked, shown, strict=True))
    return [
        row.given(
            id=row.number,
            prompt=before + prompt.replace("{question}", row.required("question")),
            answer=f" {row.required('answer')}",
        )
        for row in named_rows(folder, table)
    ]


def _continuation(row: Row) -> Row:
    """The spaces between beginning and continuation belong to the continuation, as tokenizers see it."""
    prompt = row.required("prompt")
    space = "" if row.text("gt")[:1].isspace() else " "
    return row.given(id=row.number, prompt=prompt, answer=space + row.text("gt"))
