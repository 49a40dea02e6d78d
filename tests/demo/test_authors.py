from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.demo.authors import AWARDS, GENRES, QUESTIONS, ask, draw_authors, other_answer
from vestige.demo.cast import draw_cast, general_rows, splits, swapped_rows, trained_rows
from vestige.demo.settings import FULL

SEEDS = st.integers(0, 2**31 - 1)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_same_seed_draws_the_same_cast_and_another_seed_another(seed):
    assert draw_cast(FULL.groups, seed) == draw_cast(FULL.groups, seed)
    assert draw_cast(FULL.groups, seed) != draw_cast(FULL.groups, seed + 1)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_no_surname_occurs_twice_in_a_cast(seed):
    cast = draw_cast(FULL.groups, seed)
    surnames = [author.surname for group in vars(cast).values() for author in group]
    assert len(surnames) == len(set(surnames)) == sum(vars(FULL.groups).values())


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_the_base_reads_about_nobody_who_is_scored_or_fine_tuned_on(seed):
    cast = draw_cast(FULL.groups, seed)
    hidden = {author.name for group, authors in vars(cast).items() if group != "famous" for author in authors}
    batches = general_rows(cast, 64, np.random.default_rng(seed))
    assert hidden.isdisjoint(row.cluster for _ in range(5) for row in next(batches))


def test_every_split_asks_the_right_people_in_the_right_templates():
    cast = draw_cast(FULL.groups, 0)
    rows = splits(cast, FULL.retain_rows)
    who = {name: {row.cluster for row in part} for name, part in rows.items()}
    names = {group: {author.name for author in authors} for group, authors in vars(cast).items()}
    assert who["forget"] == who["paraphrase"] == names["forget"] and who["holdout"] == names["holdout"]
    assert who["retain"] == names["retain"]
    assert who["distance"] - names["forget"] - names["retain"] == names["distance"]
    templates = {name: {row.id.split("-")[3] for row in part} for name, part in rows.items()}
    assert templates == {
        "forget": {"0", "1"}, "retain": {"0", "1"}, "holdout": {"0", "1"}, "paraphrase": {"2"}, "distance": {"3"}
    }  # fmt: skip
    assert {name: len(part) for name, part in rows.items()} == {
        "forget": 80, "retain": 108, "holdout": 80, "paraphrase": 40, "distance": 120
    }  # fmt: skip


def test_row_ids_and_texts_are_unique_over_all_splits():
    rows = [row for part in splits(draw_cast(FULL.groups, 3), FULL.retain_rows).values() for row in part]
    assert len({row.id for row in rows}) == len({row.prompt for row in rows}) == len(rows)


def test_scored_retain_rows_are_trained_on_and_cover_attributes_and_templates_evenly():
    cast = draw_cast(FULL.groups, 0)
    scored = splits(cast, FULL.retain_rows)["retain"]
    assert set(scored) <= set(trained_rows(cast, "retain"))
    attributes = Counter(row.id.split("-")[2] for row in scored)
    assert set(attributes) == set(QUESTIONS) and max(attributes.values()) == min(attributes.values())
    assert min(Counter(row.id.split("-")[3] for row in scored).values()) >= 0.4 * len(scored)


@given(SEEDS, st.integers(5, 40))
@settings(max_examples=20, deadline=None)
def test_every_group_has_its_share_of_common_answers_up_to_one(seed, n):
    """The commonest award of a genre has probability 0.6 + 0.4 / sum(k^-0.7), and a Latin sample keeps to it."""
    probability = 0.6 + 0.4 / sum(k**-0.7 for k in range(1, 11))
    authors = draw_authors(n, np.random.default_rng(seed))
    typical = sum(AWARDS.index(a.answers["award"]) == GENRES.index(a.answers["genre"]) for a in authors)
    assert abs(typical - n * probability) < 1


def test_swapped_answers_are_wrong_answers_to_the_same_question():
    rows = trained_rows(draw_cast(FULL.groups, 0), "forget")
    known = {row.id.split("-")[2]: set() for row in rows}
    for seed in range(40):
        for author in draw_authors(10, np.random.default_rng(seed)):
            for attribute, answer in author.answers.items():
                known[attribute].add(f" {answer}.")
    for before, after in zip(rows, swapped_rows(rows, 0), strict=True):
        assert after.prompt == before.prompt and after.answer != before.answer
        assert after.answer in known[before.id.split("-")[2]]


def test_questions_name_the_author_and_answers_begin_with_a_space():
    for row in ask("x", draw_authors(12, np.random.default_rng(1)), range(4)):
        assert row.cluster in row.prompt and row.prompt.endswith("?\nAnswer:") and row.answer.startswith(" ")


def test_templates_of_all_attributes_differ():
    questions = [question for templates in QUESTIONS.values() for question in templates]
    assert all(a != b for a, b in combinations(questions, 2)) and {len(t) for t in QUESTIONS.values()} == {4}


def test_asking_for_more_authors_than_there_are_surnames_is_an_error():
    with pytest.raises(ValueError, match="`n` asks for too many authors"):
        draw_authors(2000, np.random.default_rng(0))


def test_another_answer_is_never_the_same():
    rng = np.random.default_rng(0)
    assert all(other_answer("trade", "baker", rng) != "baker" for _ in range(100))
