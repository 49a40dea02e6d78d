"""Training on the answers alone: it learns, leaves the model alone, and its seed decides it."""

import math

import numpy as np
import pytest
import torch

from vestige.interventions.relearning import _batch, anamnesis_index, relearned, relearning_curve
from vestige.scoring.language import score
from vestige.scoring.loading import LanguageModel


def mean_log_prob(tiny, sequences):
    return lambda model: float(
        score(LanguageModel(model, tiny.tokenizer, "x", tiny.folder), sequences, batch_size=4)["token_log_prob"].mean()
    )


def test_answers_become_likelier_and_the_model_stays_as_it_was(tiny, sequences):
    before = [weight.clone() for weight in tiny.model.parameters()]
    likely = mean_log_prob(tiny, sequences)
    start = likely(tiny.model)
    after = relearned(tiny, sequences, steps=15, lr=3e-3, batch_size=4)
    assert likely(after) > start + 1 and not after.training
    assert all(torch.equal(a, b) for a, b in zip(before, tiny.model.parameters(), strict=True))
    assert likely(tiny.model) == start


def test_the_loss_is_over_answers_alone(tiny, sequences):
    batch = _batch(list(sequences[:3]), torch.device("cpu"))
    with torch.no_grad():
        loss = tiny.model(**batch).loss.item()
    assert loss == pytest.approx(-mean_log_prob(tiny, sequences[:3])(tiny.model), rel=1e-4)


def test_the_seed_decides_the_result_and_leaves_others_random_numbers_alone(tiny, sequences):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (
        relearned(tiny, sequences, steps=2, lr=1e-3, batch_size=4, seed=seed).lm_head.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.rand(1), expected)


def test_every_sequence_is_used_before_any_is_used_again(tiny, sequences, monkeypatch):
    from vestige.interventions import relearning

    seen = []
    whole = relearning._batch
    monkeypatch.setattr(relearning, "_batch", lambda chosen, device: seen.extend(chosen) or whole(chosen, device))
    relearned(tiny, sequences, steps=3, batch_size=4)
    assert sorted(s.ids for s in seen) == sorted(s.ids for s in sequences)


def test_a_curve_begins_before_the_first_step_and_ends_with_the_trained_model(tiny, sequences):
    likely = mean_log_prob(tiny, sequences)
    curve = relearning_curve(tiny, sequences, likely, steps=3, lr=1e-3, batch_size=6, seed=2)
    assert curve.shape == (4,) and curve[0] == likely(tiny.model)
    assert curve[-1] == likely(relearned(tiny, sequences, steps=3, lr=1e-3, batch_size=6, seed=2))
    assert np.all(np.diff(curve) > 0)


def test_the_index_is_a_ratio_of_steps():
    fast, slow, never = [0.1, 0.95], [0.1, 0.2, 0.3, 0.4, 0.91], [0.1, 0.1]
    assert anamnesis_index(fast, slow, 1.0).value == 0.25
    assert anamnesis_index(slow, slow, 1.0).value == 1
    assert anamnesis_index([0.95], slow, 1.0).value == 0
    assert anamnesis_index(never, slow, 1.0).value == math.inf
    assert anamnesis_index(slow, fast, 1.0, alpha=0.05).value == math.inf
    for retrained in (never, [0.99]):
        undefined = anamnesis_index(fast, retrained, 1.0)
        assert math.isnan(undefined.value) and undefined.reason


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t, s: relearned(t, s, steps=0), "`steps` must be at least 1"),
        (lambda t, s: relearned(t, [], steps=1), "there must be sequences"),
        (lambda t, s: relearned(t, s, steps=1, lr=0), "`lr` above 0"),
        (lambda t, s: anamnesis_index([0.5], [0.5], 1.0, alpha=1), "`alpha` must lie"),
        (lambda t, s: anamnesis_index([], [0.5], 1.0), "before any step"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(tiny, sequences, call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny, sequences)
