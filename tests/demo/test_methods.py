import itertools

import numpy as np
import pytest
import torch

from vestige.demo.cast import draw_cast, general_rows, refused_rows, swapped_rows, trained_rows
from vestige.demo.methods import METHODS, Case, descend
from vestige.demo.model import encode, nll, tiny_llama
from vestige.demo.settings import FULL, MICRO
from vestige.demo.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def case():
    """A model that learned the forget and retain authors a little, on a base that learned nothing."""
    cast = draw_cast(MICRO.groups, 0)
    general = itertools.islice(general_rows(cast, 64, np.random.default_rng(0)), 8)
    tokenizer = train_tokenizer((row.prompt + row.answer for rows in general for row in rows), MICRO.shape.vocab)
    forget = trained_rows(cast, "forget")
    base, original = (tiny_llama(MICRO.shape, tokenizer, seed=0) for _ in range(2))
    rows = {
        "forget": encode(tokenizer, forget),
        "swapped": encode(tokenizer, swapped_rows(forget, 0)),
        "refused": encode(tokenizer, refused_rows(forget)),
        "retain": encode(tokenizer, trained_rows(cast, "retain")),
    }
    blank = Case(original, base, **rows, lr=5e-3, batch=(16, 16), seed=0)
    learn = descend(lambda model, step, _: nll(model, step.forget) + nll(model, step.retain))
    return Case(next(learn(blank, [40])), base, **rows, lr=2e-3, batch=(16, 16), seed=0)


def flat(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_yields_one_changed_model_for_each_strength_and_leaves_the_original(method, case):
    before = flat(case.original).clone()
    strengths = method.strengths[:2]
    models = list(method.run(case, strengths))
    assert len(models) == len(strengths)
    moved = [float((flat(model) - before).norm()) for model in models]
    assert all(np.isfinite(moved)) and min(moved) > 0 and moved[0] != moved[1]
    assert torch.equal(flat(case.original), before)


@pytest.mark.parametrize("name", ["GA", "GradDiff", "KL", "NPO", "IdkDPO", "RandLabel", "TaskVec", "SSD"])
def test_methods_that_attack_the_forget_answers_make_them_less_likely(name, case):
    method = next(method for method in METHODS if method.name == name)
    after = list(method.run(case, method.strengths))[-1]
    with torch.no_grad():
        assert nll(after, case.forget) > nll(case.original, case.forget)


def test_keeping_on_training_makes_the_retain_answers_likelier(case):
    after = next(next(method for method in METHODS if method.name == "FT").run(case, [12]))
    with torch.no_grad():
        assert nll(after, case.retain) < nll(case.original, case.retain)


def test_snapshots_of_one_trajectory_are_those_of_shorter_ones(case):
    run = next(method for method in METHODS if method.name == "GradDiff").run
    together = list(run(case, [2, 4]))
    apart = [next(run(case, [steps])) for steps in (2, 4)]
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(flat(one), flat(other))


def test_dampening_only_shrinks_weights_and_more_of_them_when_stronger(case):
    run = next(method for method in METHODS if method.name == "SSD").run
    weak, strong = (flat(model) for model in run(case, [20, 2]))
    original = flat(case.original)
    assert (weak.abs() <= original.abs()).all() and (strong.abs() <= original.abs()).all()
    assert 0 < (weak != original).sum() < (strong != original).sum()


def test_task_vectors_scale_with_strength(case):
    run = next(method for method in METHODS if method.name == "TaskVec").run
    one, three = (flat(model) - flat(case.original) for model in run(case, [1, 3]))
    torch.testing.assert_close(3 * one, three, rtol=1e-3, atol=1e-5)


def test_thirteen_methods_with_papers_and_three_strengths_each():
    assert len(METHODS) == len({method.name for method in METHODS}) == 13
    assert all(len(method.strengths) == 3 and method.paper for method in METHODS)
    assert FULL.unlearn.methods == tuple(method.name for method in METHODS)
