"""What samples are drawn from: cut as transformers does, with the same random number for every model."""

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from vestige.scoring.batching import OutOfMemory, fitting
from vestige.scoring.generation import _cut, _draw


def kept_by_transformers(logits, temperature, top_p, top_k):
    for warper in (TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k or logits.shape[-1])):
        logits = warper(None, logits)
    return torch.softmax(TopPLogitsWarper(top_p)(None, logits) if top_p < 1 else logits, -1)


@pytest.mark.parametrize(("temperature", "top_p", "top_k"), [(0.7, 0.9, 0), (1.5, 1.0, 7), (2.0, 0.05, 3)])
def test_the_distribution_is_cut_as_transformers_cuts_it(temperature, top_p, top_k):
    logits = torch.randn(50, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cut = _cut(torch.softmax(logits / temperature, -1), top_p, top_k)
    expected = kept_by_transformers(logits, temperature, top_p, top_k)
    torch.testing.assert_close(cut / cut.sum(-1, keepdim=True), expected)


def test_draws_have_the_frequencies_of_the_cut_distribution():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)).expand(20_000, 4)
    uniforms = torch.from_numpy(np.random.default_rng(0).random(20_000))
    drawn = np.bincount(_draw(logits, uniforms, 1.0, 0.75, 0).numpy(), minlength=4) / 20_000
    np.testing.assert_allclose(drawn, [0.625, 0.375, 0, 0], atol=0.01)
    own = np.bincount(_draw(logits, uniforms, 1.0, 1.0, 0).numpy(), minlength=4) / 20_000
    np.testing.assert_allclose(own, [0.5, 0.3, 0.15, 0.05], atol=0.01)


def test_what_does_not_fit_is_done_again_with_half_and_a_given_size_is_kept():
    tried = []

    def work(size):
        tried.append(size)
        if size > 5:
            raise torch.OutOfMemoryError("no room")
        return size

    assert fitting(work, "auto") == 4 and tried == [64, 32, 16, 8, 4]
    with pytest.raises(OutOfMemory, match="out of memory with 8 sequences a forward pass"):
        fitting(work, 8)
    with pytest.raises(KeyError):
        fitting(lambda size: {}["no such thing"], "auto")
