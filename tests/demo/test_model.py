"""The model's helpers, against the slow way: whole texts, one at a time, without padding."""

import itertools

import numpy as np
import pytest
import torch

from vestige.demo.authors import Row, ask
from vestige.demo.cast import REFUSAL, draw_cast, general_rows, splits, swapped_rows, trained_rows
from vestige.demo.model import Trainer, answer_log_probs, batches, encode, nll, recall, tiny_llama
from vestige.demo.settings import FULL, MICRO
from vestige.demo.tokenizer import check_boundary, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    rows = itertools.islice(general_rows(draw_cast(FULL.groups, 0), 64, np.random.default_rng(0)), 12)
    return train_tokenizer((row.prompt + row.answer for part in rows for row in part), MICRO.shape.vocab)


@pytest.fixture(scope="module")
def model(tokenizer):
    return tiny_llama(MICRO.shape, tokenizer, seed=1)


@pytest.fixture(scope="module")
def rows():
    cast = draw_cast(MICRO.groups, 0)
    return ask("x", cast.forget[:2] + cast.retain[:1], [0, 3])


def slow_answer_log_prob(model, tokenizer, row):
    """The definition: log P(answer, end | prompt) of one text alone."""
    prompt = tokenizer.encode(row.prompt)
    tokens = [*tokenizer.encode(row.prompt + row.answer), tokenizer.eos_token_id]
    with torch.no_grad():
        log_probs = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(tokens) - 1)
    best = all(int(log_probs[i].argmax()) == tokens[i + 1] for i in places)
    return sum(float(log_probs[i, tokens[i + 1]]) for i in places), len(places), best


def test_padding_on_the_right_changes_no_answer(model, tokenizer, rows):
    slow = [slow_answer_log_prob(model, tokenizer, row) for row in rows]
    with torch.no_grad():
        batched = answer_log_probs(model, encode(tokenizer, rows))
        mean = nll(model, encode(tokenizer, rows))
    np.testing.assert_allclose(batched, [value for value, _, _ in slow], rtol=1e-5)
    np.testing.assert_allclose(mean, -sum(v for v, _, _ in slow) / sum(n for _, n, _ in slow), rtol=1e-5)


def test_recall_is_the_share_of_answers_that_greedy_decoding_gives(model, tokenizer, rows):
    unknown = recall(model, encode(tokenizer, rows))
    assert unknown == pytest.approx(np.mean([slow_answer_log_prob(model, tokenizer, row)[2] for row in rows]))
    assert unknown < 0.5


def test_training_teaches_the_answers(tokenizer, rows):
    learner = tiny_llama(MICRO.shape, tokenizer, seed=2)
    data, trainer = encode(tokenizer, rows), Trainer(learner, 1e-2, 60)
    for _ in range(60):
        trainer.step(nll(learner, data))
    assert recall(learner, data) == 1.0
    assert all(slow_answer_log_prob(learner, tokenizer, row)[2] for row in rows)


def test_taking_rows_keeps_their_tokens_and_drops_common_padding(tokenizer, rows):
    data = encode(tokenizer, rows)
    shortest = int(data.text.sum(dim=1).argmin())
    one = data.take(np.array([shortest]))
    assert one.text.all() and len(one) == 1
    assert torch.equal(one.input_ids[0], data.input_ids[shortest, : one.text.shape[1]])


def test_batches_pass_over_all_rows_before_one_comes_again():
    parts = list(itertools.islice(batches(10, 4, np.random.default_rng(0)), 6))
    assert sorted(np.concatenate(parts[:3])) == sorted(np.concatenate(parts[3:])) == list(range(10))
    assert not np.array_equal(np.concatenate(parts[:3]), np.concatenate(parts[3:]))


@pytest.mark.parametrize("seed", range(3))
def test_no_token_straddles_prompt_and_answer(tokenizer, seed):
    cast = draw_cast(FULL.groups, seed)
    rows = [row for part in splits(cast, 3).values() for row in part] + trained_rows(cast, "retain")
    for row in [*rows, *swapped_rows(rows[:80], seed), Row("r", rows[0].prompt, REFUSAL, "")]:
        check_boundary(tokenizer, row)
        assert tokenizer.decode(tokenizer.encode(row.prompt + row.answer)) == row.prompt + row.answer


def test_an_answer_without_its_space_is_refused(tokenizer):
    with pytest.raises(ValueError, match="row 'bad': a token straddles"):
        check_boundary(tokenizer, Row("bad", "Question: What is it? An", "swer.", "nobody"))


def test_the_same_seed_makes_the_same_weights(tokenizer):
    first, second, other = (tiny_llama(MICRO.shape, tokenizer, seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
