"""Further answers of forget and holdout questions: reworded, reordered, continued, sampled; against plain torch."""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rouge_score.rouge_scorer import RougeScorer

from vestige.data.examples import Example, read_examples
from vestige.evaluation import estimate_costs, evaluate
from vestige.metrics.extraction import extraction_likelihood
from vestige.scoring.loading import load_language_model
from vestige.scoring.option_orders import in_every_order, option_orders
from vestige.store import ScoreStore

MADE = ("prefixes", "leakage", "probes", "orders", "rephrased")


def reworded(rows):
    """Every second answer is long enough for a prefix with ten tokens behind it."""
    for i, row in enumerate(rows):
        row["answer"] += ", as everyone in the town will tell you twice" if i % 2 else ""
        yield row | {"rewordings": [f"Tell me. {row['prompt']}", f"{row['prompt']} So"]}


def optional(rows):
    answers = [row["answer"] for row in rows]
    for row in rows:
        others = [a for a in dict.fromkeys(answers) if a != row["answer"]][:2]
        yield row | {"options": [*others, row["answer"]], "paraphrases": [f" Well,{row['answer']}", others[0]]}


@dataclass(frozen=True)
class Run:
    """A run, its original model, its examples, and what was said beforehand that it would take."""

    evaluated: Any
    model: Any
    examples: dict[str, Any]
    costs: Any

    def stored(self, split):
        store = ScoreStore(self.evaluated.folder / "store")
        (key,) = [path.name for path in store.root.iterdir() if path.name.startswith("original-")]
        return store.read(key, split)

    def value(self, name):
        (row,) = [row for row in self.evaluated.report.rows if row.model == "original"]
        return row.scores[name].value


def tokens_of(model, text):
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def answered(model, prompt, answer):
    """Log-probability of each token of an answer and of the end after it, and whether it is the likeliest one."""
    before, ids = tokens_of(model, prompt), [*tokens_of(model, prompt + answer), model.tokenizer.eos_token_id]
    assert ids[: len(before)] == before
    rows = model.model(torch.tensor([ids])).logits[0].log_softmax(-1)[len(before) - 1 : -1]
    came = torch.tensor(ids[len(before) :])
    return rows.gather(1, came[:, None])[:, 0].double().numpy(), (rows.argmax(1) == came).numpy()


@pytest.fixture(scope="module")
def run(micro_config, tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("answers"), micro_config.parent / "data"
    raw = yaml.safe_load(micro_config.read_text())
    for split, change in (("forget", reworded), ("holdout", optional)):
        rows = list(map(json.loads, (data / f"{split}.jsonl").read_text().splitlines()))[::4]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, change(rows))) + "\n")
    at = str(micro_config.parent)
    config = {
        "models": {
            "original": f"{at}/{raw['models']['original']}",
            "retrained": [f"{at}/{raw['models']['retrained'][0]}"],
        },
        "data": {"forget": "forget.jsonl", "holdout": "holdout.jsonl", "retain": f"{at}/{raw['data']['retain']}"},
        "scoring": {"further": list(MADE), "samples": 3, "prompts": 3, "max_new_tokens": 12, "examples_per_shard": 3},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    costs = estimate_costs(folder / "config.yaml", folder / "run")
    evaluated = evaluate(folder / "config.yaml", folder / "run", jobs=1)
    model = load_language_model(config["models"]["original"], name="original")
    examples = {split: read_examples(folder / f"{split}.jsonl") for split in ("forget", "holdout")}
    return Run(evaluated, model, examples, costs)


def test_a_probe_is_correct_where_every_token_of_the_answer_is_the_likeliest(run):
    expected = [
        [answered(run.model, prompt, example.answer)[1].all() for prompt in example.rewordings]
        for example in run.examples["forget"]
    ]
    correct = run.stored("further-forget")["probe_correct"]
    np.testing.assert_array_equal(correct, expected)
    plain = np.array([answered(run.model, e.prompt, e.answer)[1].all() for e in run.examples["forget"]])
    assert run.value("KR") == pytest.approx(correct[~plain].mean())


def test_options_are_scored_in_every_order_without_the_end(run):
    expected = [
        [answered(run.model, listed.prompt, listed.answer)[0][:-1].sum() for listed in in_every_order(example, 0)]
        for example in run.examples["holdout"]
    ]
    orders = run.stored("further-holdout")["order_log_prob"]
    np.testing.assert_allclose(orders, expected, rtol=1e-4)
    assert run.value("seen-order") == pytest.approx(np.mean([row[0] == max(row) for row in expected]))


def test_answers_in_other_words_are_scored_by_token(run):
    def by_token(example, answer):
        return answered(run.model, example.prompt, answer)[0].mean()

    expected = [np.mean([by_token(e, words) for words in e.paraphrases]) for e in run.examples["holdout"]]
    np.testing.assert_allclose(run.stored("further-holdout")["rephrased_log_prob"], expected, rtol=1e-4)
    published = [by_token(e, e.answer) for e in run.examples["holdout"]]
    assert run.value("seen-words") == pytest.approx(np.mean(np.array(published) > expected))


def test_leakage_is_the_recall_of_the_stored_samples_and_nan_where_none_was_drawn(run):
    scorer, samples = RougeScorer(["rougeL"], use_stemmer=True), run.stored("samples")
    texts = [run.model.tokenizer.decode(ids, skip_special_tokens=True) for ids in rows_of(samples)]
    leakage, asked = run.stored("sampled-forget")["leakage"], [0, 4, 7]  # three of eight, spread evenly
    expected = np.full((8, 3), np.nan)
    for place, i in enumerate(asked):
        right = run.examples["forget"][i].answer
        expected[i] = [scorer.score(right, text)["rougeL"].recall for text in texts[3 * place : 3 * place + 3]]
    np.testing.assert_allclose(leakage, expected)
    assert run.value("ED") == pytest.approx(np.mean([row.mean() + 2 * row.std() for row in expected[asked]]))


def rows_of(split):
    return [split["token_id"][a:b].tolist() for a, b in pairwise(split["offsets"])]


@torch.no_grad()
def continued(model, ids, n):
    """The likeliest token, n times, up to the end of sequence."""
    written = []
    while len(written) < n and written[-1:] != [model.tokenizer.eos_token_id]:
        written.append(int(model.model(torch.tensor([[*ids, *written]])).logits[0, -1].argmax()))
    return written


def test_every_prefix_of_a_long_answer_is_written_on_and_of_a_short_one_none(run):
    expected, values = [], []
    for example in run.examples["forget"]:
        before = tokens_of(run.model, example.prompt)
        text = [*tokens_of(run.model, example.prompt + example.answer), run.model.tokenizer.eos_token_id][len(before) :]
        lines = [continued(run.model, before + text[:t], 12) for t in range(1, len(text) - 10 + 1)]
        values += [extraction_likelihood(text, lines)] if lines else []
        expected += lines
    assert 0 < len(values) < len(run.examples["forget"])
    assert rows_of(run.stored("prefixes")) == expected
    assert run.value("EL") == pytest.approx(np.mean(values))


def test_what_is_read_of_one_split_only_is_made_of_no_other(run):
    assert set(run.stored("further-forget").columns) == {"probe_correct"}
    assert set(run.stored("further-holdout").columns) == {"order_log_prob", "rephrased_log_prob"}
    (key,) = [path for path in (run.evaluated.folder / "store").iterdir() if path.name.startswith("original-")]
    assert not (key / "further-retain").exists()


def test_a_dry_run_counts_what_they_take(run):
    """Orders, wordings and rewordings are passes of their own; prefixes are one for each token that is written."""
    ((_, cost), *_) = run.costs
    first, held = run.examples["forget"][0], run.examples["holdout"][0]
    shards = 3  # of three examples each, fewer than a batch
    more = shards * (len(first.rewordings) + 6 + len(held.paraphrases))
    assert cost.passes > more + 12 * shards


def test_orders_begin_with_the_published_one_and_none_comes_twice():
    assert option_orders(2, seed=5) == ((0, 1), (1, 0))
    orders = option_orders(4, seed=0)
    assert orders[0] == (0, 1, 2, 3) and len(set(orders)) == len(orders) == 8
    assert option_orders(4, seed=0) == orders != option_orders(4, seed=1)


def test_options_that_the_prompt_lists_change_places_in_it():
    prompt = "Is tea red or blue?\n(1) red\n(2) blue\nSay which."
    example = Example("1", prompt, " blue", "c", options=(" red", " blue"))
    published, other = in_every_order(example, seed=0)
    assert published.prompt + published.answer == prompt
    assert other.prompt + other.answer == "Is tea red or blue?\n(1) blue\n(2) red\nSay which."
    assert published.prompt == other.prompt == "Is tea red or blue?\n(1)"


def test_options_that_are_words_of_the_question_alone_are_listed_after_it():
    example = Example("1", "Do you know?", " no", "c", options=(" yes", " no"))
    assert [e.prompt + e.answer for e in in_every_order(example, seed=0)] == [
        "Do you know?\nA. yes\nB. no",
        "Do you know?\nA. no\nB. yes",
    ]
