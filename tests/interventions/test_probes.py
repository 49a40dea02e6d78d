"""Probes keep ids, clusters and, where they should, answers; nothing gives the answer away by accident."""

from dataclasses import replace

import pytest

from vestige.data.examples import Example, read_examples
from vestige.interventions.probes import (
    TEMPLATES,
    from_template,
    in_context,
    multiple_choice,
    rewritten,
    write_examples,
)
from vestige.scoring.spans import encode


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_keep_everything_but_the_prompt_and_can_be_scored(tiny, examples, name):
    asked = from_template(examples, TEMPLATES[name])
    for before, after in zip(examples, asked, strict=True):
        assert (after.id, after.answer, after.cluster) == (before.id, before.answer, before.cluster)
        assert before.prompt in after.prompt != before.prompt and before.answer.strip() not in after.prompt
        assert tiny.tokenizer.decode(encode(tiny.tokenizer, after).ids).count(before.answer.strip()) == 1


def test_choices_hold_the_answer_once_and_wrong_ones_of_other_clusters(examples):
    answers = {e.answer.strip(): set() for e in examples}
    for e in examples:
        answers[e.answer.strip()].add(e.cluster)
    letters = []
    for before, after in zip(examples, multiple_choice(examples, 4, seed=1), strict=True):
        options = dict(line.split(". ", 1) for line in after.prompt.splitlines()[1:-1])
        assert list(options) == ["A", "B", "C", "D"] and len(set(options.values())) == 4
        assert options[after.answer.strip()] == before.answer.strip()
        wrong = set(options.values()) - {before.answer.strip()}
        assert all(answers[option] - {before.cluster} for option in wrong)
        letters.append(after.answer)
    assert len(set(letters)) > 1


def test_an_example_s_own_options_come_before_answers_of_others(examples):
    own = replace(examples[0], options=("Oslo", "Lima", "Cairo"), answer=" Oslo", perturbed_answers=(" Quito",))
    for chosen, wrong in ((own, {"Lima", "Cairo"}), (replace(own, options=()), {"Quito"})):
        (asked,) = multiple_choice([chosen], len(wrong) + 1)
        assert {line.split(". ")[1] for line in asked.prompt.splitlines()[1:-1]} == {"Oslo", *wrong}


def test_a_fact_in_other_words_is_no_reminder_of_itself():
    facts = [
        Example(ask, ask, answer, "a") for ask, answer in (("Born?", " 1900"), ("In?", " 1900"), ("Died?", " 1980"))
    ]
    assert in_context(facts[:1], facts)[0].prompt == "Died? 1980\nBorn?"


def test_the_right_letter_is_anywhere_equally_often():
    examples = [Example(str(i), "?", f" answer {i}", str(i)) for i in range(300)]
    letters = [e.answer for e in multiple_choice(examples, 3, seed=0)]
    assert all(70 < letters.count(letter) < 130 for letter in (" A", " B", " C"))


def test_the_seed_decides_the_choices(examples):
    assert multiple_choice(examples, 4, seed=1) == multiple_choice(examples, 4, seed=1) != multiple_choice(examples, 4)


def test_reminders_are_of_the_same_cluster_and_never_the_question_itself(examples):
    for before, after in zip(examples, in_context(examples, examples, 5), strict=True):
        told = after.prompt.splitlines()[:-1]
        assert told == [e.prompt + e.answer for e in examples if e.cluster == before.cluster and e is not before]
        assert after.prompt.endswith(before.prompt) and after.answer == before.answer


def test_rewritten_prompts_may_change_the_answer_too(examples):
    prompts = {e.id: f"Wo? {e.prompt}" for e in examples}
    first = examples[0].id
    asked = rewritten(examples, prompts, {first: " Anders."})
    assert asked[0].answer == " Anders." and asked[1].answer == examples[1].answer
    assert [e.prompt for e in asked] == list(prompts.values())


def test_a_probe_is_a_data_file_like_any_other(examples, tmp_path):
    asked = from_template(examples, TEMPLATES["role play"])
    assert read_examples(write_examples(asked, tmp_path / "probe.jsonl")) == asked
    with pytest.raises(FileExistsError):
        write_examples(asked, tmp_path / "probe.jsonl")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda e: from_template(e, "Tell me."), "`template` must hold {prompt} once"),
        (lambda e: from_template(e, "{prompt} "), "not end with a space"),
        (lambda e: rewritten(e, {}), "`prompts` must hold every example"),
        (lambda e: rewritten(e[:1], {e[0].id: "?"}, {"other": "!"}), "but 'other' differs"),
        (lambda e: multiple_choice(e, 9), "`n_options` must lie in 2 to 8"),
        (lambda e: multiple_choice(e[:2], 4), "needs 3 wrong options, but there are 0"),
        (lambda e: in_context(e, e, 0), "`n_told` must be at least 1"),
        (lambda e: in_context(e[:1], e[:1]), "no other fact of the cluster"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(examples, call, message):
    with pytest.raises(ValueError, match=message):
        call(examples)
