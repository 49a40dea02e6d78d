"""Published layouts, on small files written here as their authors write them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from vestige.data.examples import DataError, digest
from vestige.data.layouts import LAYOUTS, read_layout


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def picture(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2), colour).save(path)
    return path


def lines(rows):
    return "\n".join(json.dumps(row) for row in rows)


def authors(first, last):
    return [
        {"question": f"What did author {a} write ({q})?", "answer": f"Book {q} of author {a}."}
        for a in range(first, last)
        for q in range(20)
    ]


@pytest.fixture
def tofu(tmp_path):
    forget, retain = authors(18, 20), authors(0, 18)
    perturbed = [
        {
            **row,
            "paraphrased_answer": f"He wrote {row['answer']}",
            "perturbed_answer": ["Book A.", "Book B."],
            "paraphrased_question": f"Say: {row['question']}",
        }
        for row in forget
    ]
    write(tmp_path / "full.json", lines(retain + forget))
    write(tmp_path / "forget10.json", lines(forget))
    write(tmp_path / "forget10_perturbed.json", lines(perturbed))
    write(tmp_path / "retain90.json", lines(retain))
    write(tmp_path / "holdout10.json", lines([{"question": "Unseen?", "answer": "No."}]))
    write(tmp_path / "world_facts_perturbed.json", lines([{"question": "Capital?", "answer": "Rome", "option1": "x"}]))
    return tmp_path


def test_tofu(tofu):
    splits = read_layout("tofu", tofu)
    assert {name: len(split) for name, split in splits.items()} == {
        "forget": 40,
        "retain": 360,
        "paraphrase": 40,
        "holdout": 1,
        "world_facts": 1,
    }
    first = splits["forget"][0]
    assert first.prompt + first.answer == ("Question: What did author 18 write (0)?\nAnswer: Book 0 of author 18.")
    assert first.paraphrases == (" He wrote Book 0 of author 18.",)
    assert first.perturbed_answers == (" Book A.", " Book B.")
    assert splits["paraphrase"][0].prompt == "Question: Say: What did author 18 write (0)?\nAnswer:"
    assert [len({e.cluster for e in splits[name]}) for name in ("forget", "paraphrase", "retain", "holdout")] == [
        2,
        2,
        18,
        1,
    ]


def test_tofu_without_the_perturbed_tables_and_in_other_words(tofu):
    (tofu / "forget10_perturbed.json").unlink()
    splits = read_layout("tofu", tofu, prompt="[INST] {question} [/INST]")
    assert "paraphrase" not in splits
    assert splits["forget"][0].prompt == "[INST] What did author 18 write (0)? [/INST]"
    with pytest.raises(DataError, match="must be forget01, forget05 or forget10, got 'retain90'"):
        read_layout("tofu", tofu, part="retain90")
    with pytest.raises(DataError, match="holds no rows in forget05_perturbed or forget05"):
        read_layout("tofu", tofu, part="forget05")
    write(tofu / "forget10.json", lines([{"question": "Q", "answer": 3}]))
    with pytest.raises(DataError, match=r"forget10.json, line 1: `answer` must be text, found 3"):
        read_layout("tofu", tofu)


@pytest.mark.parametrize("kind", ["parquet", "folder"])
def test_tables_may_be_parquet_as_the_hub_converts_them(tofu, kind):
    expected = read_layout("tofu", tofu)
    for path in tofu.glob("*.json"):
        rows = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
        path.unlink()
        if kind == "folder":
            (tofu / path.stem).mkdir()
            half = len(rows) // 2
            rows[:half].to_parquet(tofu / path.stem / "train-00000-of-00002.parquet")
            rows[half:].to_parquet(tofu / path.stem / "train-00001-of-00002.parquet")
        else:
            rows.to_parquet(path.with_suffix(".parquet"))
    found = read_layout("tofu", tofu)
    assert {n: [(e.prompt, e.answer, e.cluster, e.perturbed_answers) for e in s] for n, s in found.items()} == {
        n: [(e.prompt, e.answer, e.cluster, e.perturbed_answers) for e in s] for n, s in expected.items()
    }


@pytest.fixture
def muse(tmp_path):
    for name in ("forget", "retain"):
        qa = [{"question": f"Who in {name} {i}?", "answer": f"Person {i}"} for i in range(2)]
        write(tmp_path / "knowmem" / f"{name}_qa.json", qa)
        write(tmp_path / "knowmem" / f"{name}_qa_icl.json", [{"question": "Like?", "answer": "This"}])
    write(tmp_path / "verbmem" / "forget.json", [{"prompt": "It was a dark", "gt": "and stormy night"}])
    for name in ("forget", "retain", "holdout"):
        write(tmp_path / "privleak" / f"{name}.json", [f"Text of {name}.\nSecond line", "Another one"])
    return tmp_path


def test_muse_questions_follow_their_examples(muse):
    splits = read_layout("muse", muse)
    assert splits.keys() == {"forget", "retain", "passages"}
    assert (splits["passages"][0].prompt, splits["passages"][0].answer) == ("It was a dark", " and stormy night")
    first = splits["forget"][0]
    assert first.prompt == "Question: Like?\nAnswer: This\n\nQuestion: Who in forget 0?\nAnswer:"
    assert first.answer == " Person 0"


def test_muse_continuations_and_texts(muse):
    splits = read_layout("muse", muse, part="verbmem")
    assert (splits["forget"][0].prompt, splits["forget"][0].answer) == ("It was a dark", " and stormy night")
    assert len(splits["retain"]) == 2
    splits = read_layout("muse", muse, part="privleak")
    assert {name: split[0].prompt + split[0].answer for name, split in splits.items()} == {
        name: f"Text of {name}.\nSecond line" for name in ("forget", "retain", "holdout")
    }
    with pytest.raises(DataError, match="must be one of knowmem, verbmem, privleak, got 'news'"):
        read_layout("muse", muse, part="news")


@pytest.fixture
def rwku(tmp_path):
    def rows(level, *more):
        people = ("Ann Lee", "Bo Ray")
        about = [{"query": f"Q of {name}?", "answer": name[:3], "subject": name, "level": level} for name in people]
        return [row | other for row in about for other in more]

    tables = {f"{of}_level{level}": rows(str(level), {}) for of in ("forget", "neighbor") for level in (1, 2)}
    kinds = ("prefix injection", "affirmative suffix", "incontext learning")
    tables["forget_level3"] = rows("3", *({"type": kind} for kind in kinds))
    for name, table in tables.items():
        write(tmp_path / f"{name}.json", table)
    return tmp_path


def test_rwku_asks_as_its_authors_do(rwku):
    splits = read_layout("rwku", rwku)
    assert splits["forget_fill_in_blank"][0].prompt == (
        "Please complete the blank in the following question.\nQuestion: Q of Ann Lee?\nAnswer:"
    )
    brief = "Please briefly answer the following question.\n"
    assert splits["neighbour_question_answer"][0].prompt == f"{brief}Question: Q of Ann Lee?\nAnswer:"
    assert [example.prompt for example in splits["forget_adversarial"][:3]] == [
        f"{brief}Question: Q of Ann Lee?\nAnswer:",
        f"{brief}Question: Q of Ann Lee?",
        f"{brief}Q of Ann Lee?\nAnswer:",
    ]
    assert [(e.answer, e.cluster) for e in splits["forget"]] == [(" Ann", "Ann Lee"), (" Bo", "Bo Ray")]
    assert splits["retain"] == splits["neighbour_question_answer"]


def test_rwku_of_one_person(rwku):
    splits = read_layout("rwku", rwku, part="Bo Ray")
    assert {name: len(split) for name, split in splits.items()} == {
        **dict.fromkeys(("forget", "retain", "forget_fill_in_blank", "forget_question_answer"), 1),
        **dict.fromkeys(("neighbour_fill_in_blank", "neighbour_question_answer"), 1),
        "forget_adversarial": 3,
    }
    assert len({example.cluster for example in splits["forget_adversarial"]}) == 3
    with pytest.raises(DataError, match="has no questions about 'Ann': the part must be a `subject`"):
        read_layout("rwku", rwku, part="Ann")


@pytest.fixture
def wmdp(tmp_path):
    row = {"question": "Which is it? ", "choices": ["One", "Two", "Three", "Four"], "answer": 2}
    write(tmp_path / "wmdp-mcqs" / "bio_questions.json", [row, {**row, "answer": 0}])
    write(tmp_path / "wmdp-corpora" / "bio-forget-corpus.jsonl", lines([{"title": "T", "text": "Some text here."}]))
    return tmp_path


def test_wmdp(wmdp):
    splits = read_layout("wmdp", wmdp)
    first = splits["forget"][0]
    assert first.prompt == (
        "The following are multiple choice questions (with answers) about biology.\n\n"
        "Which is it?\nA. One\nB. Two\nC. Three\nD. Four\nAnswer:"
    )
    assert (first.answer, first.options) == (" C", (" A", " B", " C", " D"))
    assert splits["forget_corpus"][0].answer == " text here."
    assert splits.keys() == {"forget", "forget_corpus"}


def test_wmdp_prompts_are_those_of_lm_eval(wmdp):
    yaml = pytest.importorskip("yaml")
    lm_eval = pytest.importorskip("lm_eval")
    jinja2 = pytest.importorskip("jinja2")
    tasks = Path(lm_eval.__file__).parent / "tasks" / "wmdp"
    template = yaml.safe_load((tasks / "_default_template_yaml").read_text())
    intro = yaml.safe_load((tasks / "wmdp_bio.yaml").read_text())["description"]
    row = json.loads((wmdp / "wmdp-mcqs" / "bio_questions.json").read_text())[0]
    ours = read_layout("wmdp", wmdp)["forget"][0]
    assert ours.prompt == intro + jinja2.Template(template["doc_to_text"]).render(row)
    assert ours.answer == " " + template["doc_to_choice"][row["answer"]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"answer": 4}, "`answer` must be the number of the right choice, 0 to 3, found 4"),
        ({"choices": ["One"]}, "`choices` must be 4 texts"),
        ({"question": ""}, "row 1: `question` must be non-empty text"),
    ],
)
def test_bad_wmdp_questions_are_named(wmdp, fields, message):
    row = {"question": "Q", "choices": list("abcd"), "answer": 0, **fields}
    write(wmdp / "wmdp-mcqs" / "bio_questions.json", [row])
    with pytest.raises(DataError, match=message):
        read_layout("wmdp", wmdp)
    with pytest.raises(DataError, match="must be one of bio, chem, cyber, got 'nuclear'"):
        read_layout("wmdp", wmdp, part="nuclear")


def person(name, image, **more):
    ask = {"Question": f"Who is {name}?", "Ground_Truth": f"This is {name}."}
    choice = {"Question": "Born?", "Options": {"A": "Oslo", "B": "Rome", "C": None}, "Correct_Answer": "B"}
    return {
        "ID": name,
        "image": image,
        "Generation_Task": [{**ask, "Type": "Image_Textual"}, {**ask, "Type": "Pure_Text"}],
        "Mask_Task": [{"Question": "Lives in __.", "Ground_Truth": "Rome", "Type": "Pure_Text"}],
        "Classification_Task": {"Image_Textual_Questions": [choice], "Pure_Text_Questions": [choice]},
        **more,
    }


@pytest.fixture
def mllmu(tmp_path):
    content = {"bytes": picture(tmp_path / "a.png").read_bytes(), "path": "a.png"}
    other = {"bytes": picture(tmp_path / "b.png", "blue").read_bytes(), "path": "b.png"}
    tables = {
        "forget_5": [person("001", content)],
        "retain_95": [person("002", content), person("003", content)],
        "Test_Set": [
            {**person("001", content), "images": [other, content]},
            {**person("002", content), "images": [other]},
        ],
    }
    for name, rows in tables.items():
        (tmp_path / name).mkdir()
        pd.DataFrame(rows).to_parquet(tmp_path / name / "train-00000-of-00001.parquet")
    return tmp_path


def test_mllmu_bench(mllmu):
    splits = read_layout("mllmu-bench", mllmu)
    assert {name: len(split) for name, split in splits.items()} == {"forget": 2, "retain": 4, "paraphrase": 2}
    pictured, plain = splits["forget"]
    assert (pictured.prompt, pictured.answer, pictured.cluster) == ("Who is 001?", " This is 001.", "001")
    assert pictured.image == (mllmu / "a.png").read_bytes()
    assert plain.image == ""
    assert splits["paraphrase"][0].image == (mllmu / "b.png").read_bytes()


def test_mllmu_bench_by_task(mllmu):
    pictured, plain = read_layout("mllmu-bench", mllmu, part="5/classification")["forget"]
    assert pictured.prompt == "Born?\nA: Oslo\nB: Rome\nJust give ONE letter representing the answer directly."
    assert (plain.answer, plain.options, plain.image) == (" B", (" A", " B"), "")
    (blank,) = read_layout("mllmu-bench", mllmu, part="5/cloze", prompt="USER:\n{question}\nASSISTANT:")["forget"]
    assert blank.prompt.startswith("USER:\nLives in [Blank].\nPlease **ONLY**")
    with pytest.raises(DataError, match="generation, classification, cloze, as in 5/cloze, got '5/essay'"):
        read_layout("mllmu-bench", mllmu, part="5/essay")
    with pytest.raises(DataError, match="holds no rows in forget_10"):
        read_layout("mllmu-bench", mllmu, part="10")


@pytest.fixture
def unlok(tmp_path):
    picture(tmp_path / "train2017" / "000000000042.jpg")
    picture(tmp_path / "val2017" / "000000000007.jpg")
    rows = [
        {
            "id": 5,
            "src": "What is it?",
            "pred": "boat",
            "image_id": 42,
            "rephrase": ["Name it?"],
            "loc": ["nq question: is it red?", "where?"],
            "loc_ans": ["yes", "sea"],
        },
        {"id": 6, "src": "How many?", "pred": "two", "image_id": 7, "loc": [], "loc_ans": []},
    ]
    write(tmp_path / "zsre_mend_eval.json", rows)
    return tmp_path, rows


def test_unlok_vqa(unlok):
    folder, _ = unlok
    splits = read_layout("unlok-vqa", folder)
    first, second = splits["forget"]
    assert first.prompt == "Answer the question in one word\n Question: What is it? Answer:"
    assert (first.answer, first.image) == (" boat", str(folder / "train2017" / "000000000042.jpg"))
    assert (second.id, second.image) == ("6", str(folder / "val2017" / "000000000007.jpg"))
    assert [(e.id, e.answer, e.cluster) for e in splits["retain"]] == [
        ("5-0", " yes", "image 42"),
        ("5-1", " sea", "image 42"),
    ]
    assert "is it red?" in splits["retain"][0].prompt and "nq question" not in splits["retain"][0].prompt
    assert ["Name it?" in e.prompt for e in splits["paraphrase"]] == [True]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_id": 1}, "`image_id` must name an image 000000000001.jpg in train2017 or val2017"),
        ({"loc_ans": ["yes"]}, "`loc_ans` must answer each of the 2 questions"),
        ({"pred": None}, "row 1: `pred` must be non-empty text, found None"),
    ],
)
def test_bad_unlok_rows_are_named(unlok, fields, message):
    folder, rows = unlok
    write(folder / "zsre_mend_eval.json", [{**rows[0], **fields}])
    with pytest.raises(DataError, match=message):
        read_layout("unlok-vqa", folder)


@pytest.fixture
def canvas(tmp_path):
    for style in ("Van_Gogh", "Seed_Images"):
        for thing in ("Bears", "Cats"):
            for number in (1, 18, 19, 20):
                picture(tmp_path / style / thing / f"{number}.jpg")
    return tmp_path


def test_unlearn_canvas(canvas):
    splits = read_layout("unlearn-canvas", canvas)
    counts = {"forget": 4, "retain": 4, "holdout": 4, "images": 4}
    assert {name: len(split) for name, split in splits.items()} == counts
    asked = [(e.prompt, e.label, e.cluster, e.image) for e in splits["images"]]
    assert ("A Cats image in Photo style.", "Seed_Images", "Cats", "") in asked
    first = splits["forget"][0]
    assert (first.prompt, first.label, first.cluster) == ("A Bears image in Van Gogh style.", "Van_Gogh", "Bears")
    assert first.image == str(canvas / "Van_Gogh" / "Bears" / "1.jpg")
    assert splits["retain"][0].prompt == "A Bears image in Photo style."
    assert {e.id.split("/")[-1] for e in splits["holdout"]} == {"19.jpg", "20.jpg"}
    assert digest(splits["forget"]) == digest(splits["forget"])


def test_unlearn_canvas_by_object(canvas):
    splits = read_layout("unlearn-canvas", canvas, part="Cats")
    assert {e.label for e in splits["forget"]} == {"Cats"}
    assert {e.label for e in splits["retain"]} == {"Bears"}
    assert {e.cluster for e in splits["forget"]} == {"Van_Gogh", "Seed_Images"}
    with pytest.raises(DataError, match=r"no style or object 'Monet'.*it has Seed_Images, Van_Gogh and Bears, Cats"):
        read_layout("unlearn-canvas", canvas, part="Monet")


@pytest.fixture
def mufac(tmp_path):
    for name in ("train", "val", "test"):
        rows = [f"F000{i}_AGE_D_18_a{j}.jpg,{'ah'[j]}" for i in range(2) for j in range(2)]
        for row in rows:
            picture(tmp_path / f"{name}_images" / row.split(",")[0])
        write(tmp_path / f"custom_{name}_dataset.csv", "image_path,age_class\n" + "\n".join(rows))
    return tmp_path


def test_mufac(mufac):
    splits = read_layout("mufac", mufac, part="1")
    assert {name: len(split) for name, split in splits.items()} == {"forget": 1, "retain": 3, "test": 4, "holdout": 4}
    assert [e.label for e in splits["test"]] == ["0", "7", "0", "7"]
    assert [e.cluster for e in splits["test"]] == ["F0000", "F0000", "F0001", "F0001"]
    assert splits["holdout"][0].image == str(mufac / "test_images" / "F0000_AGE_D_18_a0.jpg")
    with pytest.raises(DataError, match="number of images to forget, 1 to 3, got '1500'"):
        read_layout("mufac", mufac)
    write(mufac / "custom_val_dataset.csv", "image_path,age_class\nF0000_AGE_D_18_a0.jpg,z")
    with pytest.raises(DataError, match="line 2: `age_class` must be one of a, b"):
        read_layout("mufac", mufac, part="1")


def test_one_file_with_all_splits(tmp_path):
    rows = [{"split": name, "prompt": "Q", "answer": f" {name}"} for name in ("forget", "retain")]
    splits = read_layout("one-file", write(tmp_path / "all.jsonl", lines(rows)))
    assert {name: split[0].answer for name, split in splits.items()} == {"forget": " forget", "retain": " retain"}


def test_mistakes_common_to_all_layouts(tmp_path):
    with pytest.raises(DataError, match=r"unknown layout 'tofoo': it must be one of tofu, muse, .*one-file"):
        read_layout("tofoo", tmp_path)
    for name in LAYOUTS:
        with pytest.raises(DataError, match=rf"no folder at .*none with the files of {name}"):
            read_layout(name, tmp_path / "none")
    with pytest.raises(DataError, match="the wording 'Q:' has no place for the question"):
        read_layout("tofu", tmp_path, prompt="Q:")
