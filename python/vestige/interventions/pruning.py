"""Small weights set to 0."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch.nn.utils import prune

from vestige.interventions.matrices import inner_layers

Model = TypeVar("Model", bound=torch.nn.Module)


def pruned(model: Model, share: float) -> Model:
    """A copy of a model without its smallest weights.

    Forgetting that hides in small changes of weights does not survive it.

    Args:
        model: the model; it is not changed.
        share: share of the weights of all matrices together, embeddings and output layer left out, that becomes 0;
            those of smallest magnitude. Within [0, 1).

    Returns:
        The pruned copy.

    Raises:
        ValueError: if the share is out of range, or there is no matrix to prune.

    Source: Han et al. (2015), Learning both weights and connections; `torch.nn.utils.prune.global_unstructured`.

    >>> layer = torch.nn.Linear(2, 2)
    >>> int((pruned(layer, 0.5).weight == 0).sum())
    2
    """
    if not 0 <= share < 1:
        raise ValueError(f"`share` must lie within [0, 1), but it is {share}")
    copy = deepcopy(model)
    targets = [(layer, "weight") for layer in inner_layers(copy)]
    prune.global_unstructured(targets, prune.L1Unstructured, amount=share)
    for layer, name in targets:
        prune.remove(layer, name)
    return copy
