"""Weights mixed back with the original's, and adapters merged into them."""

from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import torch

Model = TypeVar("Model", bound=torch.nn.Module)


@torch.no_grad()
def mixed(unlearned: Model, original: Model, share: float) -> Model:
    """A model between an unlearned one and the original, for comparison at equal utility.

    Args:
        unlearned: the unlearned model; it is not changed.
        original: the model before unlearning, of the same architecture.
        share: share of the original, within [0, 1].

    Returns:
        A copy with weights (1 - share) unlearned + share original; see `metrics.tradeoff.utility_matched`.

    Raises:
        ValueError: if the share is out of range or the models do not have the same weights.

    Source: Wang et al. (2025), arXiv 2406.09179 (UWC).

    >>> a, b = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    >>> torch.equal(mixed(a, b, 1.0).weight, b.weight)
    True
    """
    if not 0 <= share <= 1:
        raise ValueError(f"`share` must lie within [0, 1], but it is {share}")
    copy, theirs = deepcopy(unlearned), dict(original.named_parameters())
    ours = dict(copy.named_parameters())
    if {name: w.shape for name, w in ours.items()} != {name: w.shape for name, w in theirs.items()}:
        raise ValueError("`unlearned` and `original` must have the same weights; merge adapters first")
    for name, weight in ours.items():
        blend = (1 - share) * weight.float() + share * theirs[name].to(weight.device).float()
        weight.copy_(blend.to(weight.dtype))
    return copy


def with_adapter(base: torch.nn.Module, adapter: str | Path) -> Any:
    """A copy of a model with a LoRA adapter merged into its weights.

    An adapter beside its base can be taken off again, and some methods forget in the adapter alone; merging shows what
    a user of the published weights gets.

    Args:
        base: the model that the adapter was trained on, a transformers model; it is not changed.
        adapter: folder that peft's `save_pretrained` wrote.

    Returns:
        The merged model, of the base's class.

    Raises:
        FileNotFoundError: if there is no adapter in the folder.
        ModuleNotFoundError: without peft.

    Source: Hu et al. (2022), LoRA, arXiv 2106.09685; `peft`'s `merge_and_unload`.
    """
    from peft import PeftModel

    folder = Path(adapter)
    if not (folder / "adapter_config.json").is_file():
        raise FileNotFoundError(f"`adapter` ({folder}) has no adapter_config.json; give the folder that peft saved")
    copy: Any = deepcopy(base)
    model: Any = PeftModel.from_pretrained(copy, str(folder))
    return model.merge_and_unload()
