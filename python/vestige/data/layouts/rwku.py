"""RWKU: famous people that a model is to forget, asked about in three ways, and their neighbours in two."""

from pathlib import Path

from vestige.data.rows import DataError, Row, named_rows

PROBES = {
    "forget_level1": "forget_fill_in_blank",
    "forget_level2": "forget_question_answer",
    "forget_level3": "forget_adversarial",
    "neighbor_level1": "neighbour_fill_in_blank",
    "neighbor_level2": "neighbour_question_answer",
}
"""Table to the split that it is read as."""

_BLANK, _ANSWER = (
    "Please complete the blank in the following question.",
    "Please briefly answer the following question.",
)


def read(folder: Path, part: str, prompt: str) -> dict[str, list[Row]]:
    """The splits of RWKU for one person, or for all of them.

    Args:
        folder: with `forget_level1` to `forget_level3`, `neighbor_level1` and `neighbor_level2`, as the hub has them in
            `All`, or as the authors' script writes them for a person (`Target/1_Stephen_King`).
        part: the person, as `subject` names it; empty for all.
        prompt: wording around instruction and question.

    Returns:
        The five sets of probes, `forget_fill_in_blank`, `forget_question_answer`, `forget_adversarial`,
        `neighbour_fill_in_blank` and `neighbour_question_answer`; and as `forget` and `retain` the plain questions
        about the person and the neighbours once more. Clusters are people; of one person every question stands for
        itself.

    Source: jinzhuoran/RWKU a23df67, `data/data_process.py`, `llmtuner/eval/eval_forget.py` and `eval_neighbor.py`. The
        authors wrap the prompt in the model's chat template, end answers at the end of a line or after 30 tokens, and
        take ROUGE without stems.
    """
    splits = {split: _probes(named_rows(folder, table), table, part, prompt) for table, split in PROBES.items()}
    if not splits["forget_question_answer"] or not splits["neighbour_question_answer"]:
        raise DataError(f"{folder} has no questions about {part!r}: the part must be a `subject` of its tables")
    return {"forget": splits["forget_question_answer"], "retain": splits["neighbour_question_answer"], **splits}


def _probes(rows: list[Row], table: str, part: str, prompt: str) -> list[Row]:
    asked = [row for row in rows if not part or row.text("subject") == part]
    return [_probe(row, table, prompt, alone=bool(part)) for row in asked]


def _probe(row: Row, table: str, prompt: str, *, alone: bool) -> Row:
    query, kind = row.required("query"), row.text("type")
    instruction = _BLANK if table.endswith("1") else _ANSWER
    question = query if kind == "incontext learning" else f"Question: {query}"  # which says so itself
    begun = "" if kind == "affirmative suffix" else "\nAnswer:"  # which begins the answer itself
    return row.given(
        id=row.number,
        prompt=prompt.replace("{question}", f"{instruction}\n{question}{begun}"),
        answer=f" {row.required('answer')}",
        cluster=None if alone else row.text("subject"),
    )
