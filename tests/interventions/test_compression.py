"""Pruning, quantisation, mixing and merging against plain arithmetic; copies are scored like any checkpoint."""

import numpy as np
import pytest
import torch

from vestige.interventions.checkpoints import save_changed
from vestige.interventions.mixing import mixed, with_adapter
from vestige.interventions.pruning import pruned
from vestige.interventions.quantisation import quantised
from vestige.scoring.language import score
from vestige.scoring.loading import load_language_model


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Embedding(9, 8), torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4)
    )


def test_the_smallest_weights_of_all_matrices_become_zero_and_nothing_else_changes():
    model = net()
    after = pruned(model, 0.25)
    before = torch.cat([model[1].weight.flatten(), model[3].weight.flatten()]).abs()
    limit = before.sort().values[int(0.25 * len(before))]
    for layer in (1, 3):
        kept = model[layer].weight.abs() >= limit
        assert torch.equal(after[layer].weight, torch.where(kept, model[layer].weight, 0.0))
        assert torch.equal(after[layer].bias, model[layer].bias)
    assert torch.equal(after[0].weight, model[0].weight)
    assert set(dict(after.named_parameters())) == set(dict(model.named_parameters()))
    assert (model[1].weight != 0).all()


def test_rounding_is_to_the_nearest_of_so_many_steps_of_the_channel():
    model = net()
    for bits in (8, 4, 2):
        after, largest = quantised(model, bits), 2 ** (bits - 1) - 1
        for row, new in zip(model[1].weight.detach().numpy(), after[1].weight.detach().numpy(), strict=True):
            step = np.abs(row).max() / largest
            np.testing.assert_allclose(new, np.round(row / step) * step, atol=step * 1e-4)
            assert len(np.unique(np.round(new / step))) <= 2 * largest + 1
        assert torch.equal(after[0].weight, model[0].weight) and torch.equal(after[1].bias, model[1].bias)


NORMAL_QUANTILES = (  # QLoRA's appendix E
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334),
    *(-0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)


def test_nf4_is_the_nearest_quantile_of_a_normal_law_by_blocks_of_64():
    """Up to the scales' own 8 bits; a matrix that does not fill its last block is whole again, in its own shape."""
    pytest.importorskip("torchao")
    for model in (net(), torch.nn.Sequential(torch.nn.Embedding(2, 2), torch.nn.Linear(10, 30))):
        weight, after = model[1].weight.detach(), quantised(model, 4, nf4=True)[1].weight.detach()
        flat = weight.flatten().numpy()
        for begin in range(0, len(flat), 64):
            block = flat[begin : begin + 64]
            scale = np.abs(block).max()
            nearest = [min(NORMAL_QUANTILES, key=lambda q, w=w: abs(q - w)) for w in block / scale]
            np.testing.assert_allclose(after.flatten()[begin : begin + 64], scale * np.array(nearest), rtol=0.02)
        assert after.shape == weight.shape and not torch.equal(after, weight)


def test_rounding_twice_is_rounding_once_and_a_channel_of_zeros_stays():
    model = net()
    with torch.no_grad():
        model[1].weight[3] = 0
    once = quantised(model, 4)
    torch.testing.assert_close(quantised(once, 4)[1].weight, once[1].weight)
    assert (once[1].weight[3] == 0).all()


def test_a_change_below_half_a_step_is_undone_by_rounding():
    """What the attack is for: the original and the unlearned model become one."""
    original, unlearned = net(), net()
    with torch.no_grad():
        steps = original[1].weight.abs().amax(dim=1, keepdim=True) / 7
        original[1].weight.copy_((original[1].weight / steps).round() * steps)
        largest = original[1].weight.abs() == original[1].weight.abs().amax(dim=1, keepdim=True)
        unlearned[1].weight.copy_(torch.where(largest, original[1].weight, original[1].weight + 0.2 * steps))
    assert not torch.allclose(original[1].weight, unlearned[1].weight)
    torch.testing.assert_close(quantised(original, 4)[1].weight, quantised(unlearned, 4)[1].weight)


def test_low_precision_is_kept():
    model = net().to(torch.bfloat16)
    assert quantised(model)[1].weight.dtype == pruned(model, 0.5)[1].weight.dtype == torch.bfloat16
    assert mixed(model, model, 0.3)[1].weight.dtype == torch.bfloat16


def test_tied_output_weights_are_left_alone(tiny):
    for changed in (pruned(tiny.model, 0.9), quantised(tiny.model, 2)):
        assert changed.lm_head.weight is changed.model.embed_tokens.weight
        assert torch.equal(changed.lm_head.weight, tiny.model.lm_head.weight)
        assert not torch.equal(
            changed.model.layers[0].mlp.up_proj.weight, tiny.model.model.layers[0].mlp.up_proj.weight
        )


def test_mixtures_lie_between():
    ours, theirs = net(), pruned(net(), 0.5)
    torch.testing.assert_close(mixed(ours, theirs, 0.25)[1].weight, 0.75 * ours[1].weight + 0.25 * theirs[1].weight)
    assert torch.equal(mixed(ours, theirs, 0.0)[3].weight, ours[3].weight)


def test_a_merged_adapter_says_what_base_and_adapter_say_together(tiny, sequences, tmp_path):
    peft = pytest.importorskip("peft")
    from copy import deepcopy

    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(0)
    both = peft.get_peft_model(deepcopy(tiny.model), config).eval()
    both.save_pretrained(tmp_path / "adapter")
    merged = with_adapter(tiny.model, tmp_path / "adapter")
    ids = torch.tensor([sequences[0].ids])
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, both(ids).logits, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(merged(ids).logits, tiny.model(ids).logits)
    assert type(merged) is type(tiny.model)
    assert not any("lora" in name for name, _ in tiny.model.named_parameters())


def test_a_changed_model_is_a_checkpoint_like_any_other(tiny, sequences, tmp_path):
    changed = quantised(tiny.model, 3)
    folder = save_changed(tiny, changed, tmp_path / "int3")
    loaded = load_language_model(folder)
    before, after = (score(model, sequences, batch_size=4)["token_log_prob"] for model in (tiny, loaded))
    assert not np.allclose(before, after)
    for name, weight in changed.named_parameters():
        assert torch.equal(dict(loaded.model.named_parameters())[name], weight)
    with pytest.raises(FileExistsError, match="no checkpoint is overwritten"):
        save_changed(tiny, changed, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["int3"]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: pruned(net(), 1.0), ValueError, "`share` must lie within"),
        (lambda: pruned(torch.nn.Sequential(torch.nn.Embedding(3, 2)), 0.5), ValueError, "no layer with a weight"),
        (lambda: quantised(net(), 16), ValueError, "`bits` must be a whole number from 2 to 8"),
        (lambda: quantised(net(), True), ValueError, "`bits` must be"),
        (lambda: quantised(net(), 8, nf4=True), ValueError, "NF4 has 4 bits"),
        (lambda: mixed(net(), net(), 1.5), ValueError, "`share` must lie within"),
        (lambda: mixed(net(), net()[:2], 0.5), ValueError, "the same weights"),
        (lambda: with_adapter(net(), "nowhere"), FileNotFoundError, "no adapter_config.json"),
    ],
)
def test_bad_input_is_an_error_with_the_argument_s_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
