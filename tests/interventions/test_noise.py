import numpy as np
import pytest
import torch

from vestige.interventions.noise import noised


def layers():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(200, 100), torch.nn.LayerNorm(100), torch.nn.Linear(100, 50))


def test_noise_has_the_size_asked_for_and_leaves_vectors_and_the_model_alone():
    model = layers()
    before = [weight.clone() for weight in model.parameters()]
    after = noised(model, 0.1, seed=3)
    for old, same, new in zip(before, model.parameters(), after.parameters(), strict=True):
        assert torch.equal(old, same)
        if old.ndim == 1:
            assert torch.equal(old, new)
        else:
            np.testing.assert_allclose((new - old).std().item(), 0.1 * old.std().item(), rtol=0.05)


def test_the_seed_decides_the_noise():
    first, second, other = (noised(layers(), 0.1, seed)[0].weight for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_low_precision_is_kept():
    assert noised(layers().to(torch.bfloat16), 0.1, 0)[0].weight.dtype == torch.bfloat16


def test_tied_weights_stay_tied_and_get_noise_once():
    model = layers()
    model[2].weight = torch.nn.Parameter(model[0].weight[:50, :100].detach().clone())
    tied = torch.nn.ModuleList([model[2], model[2]])
    after = noised(tied, 0.1, 0)
    assert after[0].weight is after[1].weight
    moved = (after[0].weight - model[2].weight).std().item()
    np.testing.assert_allclose(moved, 0.1 * model[2].weight.std().item(), rtol=0.05)


@pytest.mark.parametrize("sigma", [-0.1, float("nan")])
def test_a_negative_or_undefined_size_is_an_error(sigma):
    with pytest.raises(ValueError, match="`sigma` must be a number >= 0"):
        noised(layers(), sigma, 0)
