"""Distances between hidden states and between weights.

Two honest retrained models are apart too. A distance is read as a multiple of theirs by
`stats.equivalence.equivalence_to_retraining(to_retrained, between).ratio`, with its interval over retrained seeds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vestige.metrics.base import Arrays, Metric, Values, by_example, mean_of

Floats = NDArray[np.float64]
_FEWEST_FOR_HSIC = 4
_UP_TO_FIRST_NUMBER = re.compile(r"^.*?\.\d+(?=\.|$)")


def activation_distance(hidden: ArrayLike, reference: ArrayLike) -> Floats:
    """Euclidean distance between two models' features of each example, or of each example and layer.

    Args:
        hidden: features, shape (n_examples, n_features) or (n_examples, n_layers, n_features).
        reference: the other model's, same shape.

    Returns:
        Shape (n_examples,) or (n_examples, n_layers), float64, in the features' own unit, at least 0. Lower = closer.

    Raises:
        ValueError: if the shapes differ.

    Source: Golatkar et al. (2020) on final activations; arXiv 2605.02206, AD; released models/llava_model.py
        (mean-pooled output of block -2).

    >>> activation_distance([[0.0, 0.0]], [[3.0, 4.0]])
    array([5.])
    """
    p, q = np.asarray(hidden, np.float64), np.asarray(reference, np.float64)
    if p.shape != q.shape:
        raise ValueError(f"`hidden` has shape {p.shape} but `reference` {q.shape}; compare the same layer and examples")
    return np.asarray(np.linalg.norm(p - q, axis=-1))


def pool_tokens(hidden: ArrayLike, offsets: ArrayLike, how: Literal["mean", "last"] = "mean") -> Floats:
    """Hidden states of tokens as one vector an example.

    Args:
        hidden: shape (n_tokens, n_features).
        offsets: where each example's tokens begin, and the end of the last, shape (n_examples + 1,), int.
        how: "mean" over an example's tokens (UQS) or its "last" (where a causal model has read everything).

    Returns:
        Shape (n_examples, n_features), float64, in the features' own unit.

    Raises:
        ValueError: if an example has no token, `offsets` do not end at n_tokens, or `how` is unknown.

    Source: defined here.

    >>> pool_tokens([[1.0], [3.0], [5.0]], [0, 2, 3]).tolist()
    [[2.0], [5.0]]
    """
    states, ends = np.asarray(hidden, np.float64), np.asarray(offsets)
    if ends[0] != 0 or ends[-1] != len(states) or (np.diff(ends) < 1).any():
        raise ValueError(f"`offsets` must rise from 0 to the {len(states)} tokens of `hidden`, one token an example")
    match how:
        case "mean":
            return np.asarray(np.add.reduceat(states, ends[:-1], axis=0) / np.diff(ends)[:, None])
        case "last":
            return states[ends[1:] - 1]
    raise ValueError(f"`how` must be 'mean' or 'last', but it is {how!r}")


def probability_distance(p: ArrayLike, q: ArrayLike) -> Floats:
    """Euclidean distance between two models' output probabilities, bad teaching's "activation distance".

    Args:
        p: class probabilities, shape (n_examples, n_classes).
        q: the other model's, same shape.

    Returns:
        Shape (n_examples,), float64, without unit, within [0, sqrt(2)]. Lower = closer. Not comparable with a distance
        of hidden states, whatever its paper calls it.

    Raises:
        ValueError: if the shapes differ, or a row is no distribution (apply softmax to logits first).

    Source: Chundawat et al. (2023), arXiv 2205.08096, released metrics.py.

    >>> probability_distance([[1.0, 0.0]], [[0.0, 1.0]]).round(6)
    array([1.414214])
    """
    for name, rows in (("p", np.asarray(p)), ("q", np.asarray(q))):
        if (rows < 0).any() or not np.allclose(rows.sum(axis=-1), 1, atol=1e-4):
            raise ValueError(f"`{name}` must hold probabilities that sum to 1 a row; apply softmax to logits first")
    return activation_distance(p, q)


def weight_distances(weights: Mapping[str, ArrayLike], reference: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Euclidean distance between two models' weights, layer by layer.

    Args:
        weights: name to tensor; names up to their first number make a layer ("model.layers.3"), others their first
            part and last one but one ("model.norm").
        reference: the other model's, same names and shapes.

    Returns:
        Layer to the norm of all differences in it, at least 0. Lower = closer. Depends on the parameterisation.

    Raises:
        ValueError: if names or shapes differ.

    Source: layer-wise distance of Golatkar et al. (2020) and later work; grouping: defined here.

    >>> weight_distances({"h.0.a": [3.0], "h.0.b": [4.0]}, {"h.0.a": [0.0], "h.0.b": [0.0]})
    {'h.0': 5.0}
    """
    if weights.keys() != reference.keys():
        raise ValueError(f"only one of the models has {', '.join(sorted(weights.keys() ^ reference.keys())[:3])}")
    squares: dict[str, float] = {}
    for name, ours in weights.items():
        a, b = np.asarray(ours, np.float64), np.asarray(reference[name], np.float64)
        if a.shape != b.shape:
            raise ValueError(f"{name} has shape {a.shape} in one model and {b.shape} in the other")
        squares[name] = float(((a - b) ** 2).sum())
    return by_layer({name: square**0.5 for name, square in squares.items()})


def by_layer(distances: Mapping[str, float]) -> dict[str, float]:
    """Distances of weight tensors, or of modules, as distances of layers.

    Args:
        distances: name to Euclidean distance; names up to their first number make a layer ("model.layers.3"), others
            their first part and last one but one ("model.norm").

    Returns:
        Layer to the norm of all that it holds, in the order of their first names.

    Source: defined here.

    >>> by_layer({"h.0.a": 3.0, "h.0.b": 4.0, "ln_f.weight": 1.0})
    {'h.0': 5.0, 'ln_f': 1.0}
    """
    squares: dict[str, float] = {}
    for name, distance in distances.items():
        numbered = _UP_TO_FIRST_NUMBER.match(name)
        layer = numbered.group() if numbered else name.rpartition(".")[0] or name
        squares[layer] = squares.get(layer, 0.0) + distance**2
    return {layer: square**0.5 for layer, square in squares.items()}


Adapter = tuple[ArrayLike, ArrayLike]
"""LoRA's A, shape (rank, n_inputs), and B, shape (n_outputs, rank), scaled so that the update is B A."""


def adapter_distance(adapters: Mapping[str, Adapter], reference: Mapping[str, Adapter]) -> float:
    r"""Distance of the updates that adapters make, relative to the reference's, averaged over modules.

    $\frac1L \sum_l \|\Delta W_l - \Delta W^*_l\|_F / \|\Delta W^*_l\|_F$ with $\Delta W = B A$. The updates are never
    written out. Unlike a distance of A and B themselves it is the same for $(SA, BS^{-1})$.

    Args:
        adapters: module to (A, B); multiply one of them with alpha / r first.
        reference: the retrained model's, same modules; ranks may differ.

    Returns:
        At least 0, without unit; 0 = the same update. Lower = closer. NaN where the reference leaves a module as it is.

    Raises:
        ValueError: if the modules differ, or the factors do not fit.

    Source: effective-update distance of arXiv 2605.02206's successor, with 0 in place of its epsilon.

    >>> round(adapter_distance({"q": ([[1.0, 0.0]], [[3.0]])}, {"q": ([[2.0, 0.0]], [[1.0]])}), 6)
    0.5
    """
    norms = update_norms(adapters, reference).values()
    return float(np.mean([apart / whole if whole > 0 else float("nan") for apart, whole in norms]))


def update_norms(adapters: Mapping[str, Adapter], reference: Mapping[str, Adapter]) -> dict[str, tuple[float, float]]:
    r"""Distance of the updates that two adapters make to each module, and the size of the reference's.

    Args:
        adapters: as for `adapter_distance`; a module's factors are asked for once.
        reference: the retrained model's, same modules; ranks may differ.

    Returns:
        Module to $\|\Delta W - \Delta W^*\|_F$ and $\|\Delta W^*\|_F$, both at least 0, in the weights' unit.

    Raises:
        ValueError: as `adapter_distance`.

    Source: as `adapter_distance`.

    >>> update_norms({"q": ([[1.0, 0.0]], [[3.0]])}, {"q": ([[2.0, 0.0]], [[1.0]])})
    {'q': (1.0, 2.0)}
    """
    if adapters.keys() != reference.keys() or not adapters:
        raise ValueError(
            f"both must adapt the same modules, at least one, but have {sorted(adapters)} and {sorted(reference)}"
        )
    return {name: _update_norms(adapters[name], reference[name], name) for name in adapters}


def _update_norms(ours: Adapter, theirs: Adapter, name: str) -> tuple[float, float]:
    (a, b), (other_a, other_b) = (tuple(np.asarray(part, np.float64) for part in pair) for pair in (ours, theirs))
    fits = a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1] and other_a.shape[0] == other_b.shape[1]
    if not fits or a.shape[1] != other_a.shape[1] or b.shape[0] != other_b.shape[0]:
        shapes = [part.shape for part in (a, b, other_a, other_b)]
        raise ValueError(f"{name}: A must be (rank, n_inputs) and B (n_outputs, rank) in both, but have {shapes}")
    apart = _product_norm(np.concatenate([b, -other_b], axis=1), np.concatenate([a, other_a], axis=0))
    return apart, _product_norm(other_b, other_a)


def _product_norm(left: Floats, right: Floats) -> float:
    """Frobenius norm of `left @ right` through the triangular factors of both, which are as small as the rank."""
    of_left, of_right = np.linalg.qr(left)[1], np.linalg.qr(right.T)[1]
    return float(np.linalg.norm(of_left @ of_right.T))


def linear_cka(hidden: ArrayLike, reference: ArrayLike, variant: Literal["unbiased", "plain"] = "unbiased") -> float:
    r"""Linear centred kernel alignment: how alike two models see the examples, up to rotation and scale.

    $\mathrm{HSIC}(K, L) / \sqrt{\mathrm{HSIC}(K, K)\, \mathrm{HSIC}(L, L)}$ with $K = XX^\top$, $L = YY^\top$.

    Args:
        hidden: features, shape (n_examples, n_features).
        reference: the other model's on the same examples, shape (n_examples, other_n_features).
        variant: "unbiased" estimates of HSIC, or "plain" ones as usually released, which are near 1 for unrelated
            features once there are more features than examples.

    Returns:
        1 = the same up to rotation and scale, 0 = unrelated ("unbiased" may fall below). Higher = closer. NaN where
        features are constant.

    Raises:
        ValueError: if the examples differ in number, or there are fewer than 4.

    Source: Kornblith et al. (2019), Similarity of neural network representations revisited; unbiased HSIC: Song et al.
        (2012), Feature selection via dependence maximization.

    >>> x = np.random.default_rng(0).normal(size=(9, 3))
    >>> round(linear_cka(x, 2 * x[:, ::-1]), 6)
    1.0
    """
    x, y = np.asarray(hidden, np.float64), np.asarray(reference, np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < _FEWEST_FOR_HSIC:
        raise ValueError(f"both must have shape (n_examples >= 4, n_features), but have {x.shape} and {y.shape}")
    if variant not in ("unbiased", "plain"):
        raise ValueError(f"`variant` must be 'unbiased' or 'plain', but it is {variant!r}")
    hsic = _unbiased_hsic if variant == "unbiased" else _plain_hsic
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = hsic(x, x) * hsic(y, y)
    return float(hsic(x, y) / scale**0.5) if scale > 0 else float("nan")


def _plain_hsic(x: Floats, y: Floats) -> float:
    """Sum of the products of both Gram matrices, by whichever product is smaller."""
    if len(x) < min(x.shape[1], y.shape[1]):
        return float(((x @ x.T) * (y @ y.T)).sum())
    return float(((y.T @ x) ** 2).sum())


def _unbiased_hsic(x: Floats, y: Floats) -> float:
    """Of centred features, whose Gram matrices without diagonal have rows that sum to minus the diagonal."""
    n, diagonal, other = len(x), (x**2).sum(axis=1), (y**2).sum(axis=1)
    whole = _plain_hsic(x, y) + diagonal.sum() * other.sum() / ((n - 1) * (n - 2))
    return float((whole - (1 + 2 / (n - 2)) * (diagonal @ other)) / (n * (n - 3)))


def _activation_values(arrays: Arrays) -> Values:
    distance = activation_distance(arrays["unlearned.forget.hidden"], arrays["retrained.forget.hidden"])
    return Values({"distance": distance}, {"distance": arrays["data.forget.cluster"]})


def _parameter_values(arrays: Arrays) -> Values:
    return Values({"distance": arrays["versus.parameters.l2"]}, {})


def _hidden_values(arrays: Arrays) -> Values:
    states = {name: arrays[f"{name}.forget.hidden"] for name in ("unlearned", "retrained")}
    return Values(states, dict.fromkeys(states, arrays["data.forget.cluster"]))


def _cka(arrays: Arrays) -> float:
    few = len(arrays["unlearned"]) < _FEWEST_FOR_HSIC
    return float("nan") if few else linear_cka(arrays["unlearned"], arrays["retrained"])


def _probability_values(arrays: Arrays) -> Values:
    p, q = (np.exp(np.asarray(arrays[f"{m}.forget.class_log_prob"], np.float64)) for m in ("unlearned", "retrained"))
    return by_example(probability_distance(p, q), arrays)


def at_layer(metric: Metric, layer: int) -> Metric:
    """AD or CKA of the hidden states of another layer, which a run stores as `hidden.LAYER`.

    Args:
        metric: one that needs `hidden` and nothing else but the data.
        layer: as in `scoring.layers`.
    """
    named = {need.replace(".hidden", f".hidden.{layer}"): need for need in metric.needs}

    def values(arrays: Arrays) -> Values:
        return metric.values({named[name]: array for name, array in arrays.items()})

    return replace(metric, name=f"{metric.name}@layer{layer}", needs=tuple(named), values=values)


def _by_part(column: str) -> Callable[[Arrays], Values]:
    return lambda arrays: Values({"distance": arrays[f"versus.parameters.{column}"]}, {})


def mean_distance(arrays: Arrays) -> float:
    """Mean over examples (or weight tensors)."""
    return float(np.mean(arrays["distance"]))


AD = Metric(
    name="AD",
    title="activation distance",
    family="activation",
    asks="How far are the hidden states on forget questions from the retrained model's?",
    formula="mean over forget questions of ||h_u - h_r||, h = hidden state of `scoring.layer` (block -2), by "
    "`scoring.pooling` (mean over the prompt's tokens)",
    better="lower",
    bounds=(0, float("inf")),
    scale="log",
    needs=("unlearned.forget.hidden", "retrained.forget.hidden", "data.forget.cluster"),
    values=_activation_values,
    summary=mean_distance,
    source="arXiv 2605.02206, AD",
    pitfalls="Two honest retrained seeds can be as far apart as the original is from them: read it beside its floor.",
    main=True,
)
PARAMETER_DISTANCE = Metric(
    name="d_parameters",
    title="distance to the retrained model in parameters",
    family="activation",
    asks="How far are the weights from the retrained model's?",
    formula="mean over weight tensors of ||theta_u - theta_r||",
    better="lower",
    bounds=(0, float("inf")),
    scale="log",
    needs=("versus.parameters.l2",),
    values=_parameter_values,
    summary=mean_distance,
    source="arXiv 2605.02206, oracle distance (released code: mean of per-tensor L2 norms)",
    machinery="parameters",
    no_interval="one number a model, nothing to resample",
    pitfalls="Depends on parameterisation and says little about behaviour; most unlearned models lie at about the "
    "same distance.",
)

CKA = Metric(
    name="CKA",
    title="centred kernel alignment with the retrained model",
    family="activation",
    asks="Do both models see the forget questions alike, up to rotation and scale?",
    formula="unbiased linear CKA of the hidden states of `scoring.layer` (block -2), by `scoring.pooling`",
    better="higher",
    bounds=(-1, 1),
    scale="identity",
    needs=("unlearned.forget.hidden", "retrained.forget.hidden", "data.forget.cluster"),
    values=_hidden_values,
    summary=_cka,
    source="Kornblith et al. (2019); unbiased HSIC by Song et al. (2012)",
    pitfalls="Two honest retrained seeds are not at 1 either. With few examples the biased form is near 1 for all.",
)

PROBABILITY_DISTANCE = Metric(
    name="AD-prob",
    title="bad teaching's activation distance",
    family="activation",
    asks="How far are a classifier's outputs on forget examples from the retrained model's?",
    formula="mean over forget examples of ||p_u - p_r||, class probabilities",
    better="lower",
    bounds=(0, 2**0.5),
    scale="log",
    needs=("unlearned.forget.class_log_prob", "retrained.forget.class_log_prob", "data.forget.cluster"),
    values=_probability_values,
    summary=mean_of,
    source="arXiv 2205.08096, released metrics.py",
    machinery="output divergence",
    pitfalls="A distance of outputs, whatever its paper calls it: not comparable with AD.",
)


def _weights(name: str, title: str, asks: str, formula: str, column: str, source: str, pitfalls: str) -> Metric:
    return Metric(
        name=name,
        title=title,
        family="activation",
        asks=asks,
        formula=formula,
        better="lower",
        bounds=(0, float("inf")),
        scale="log",
        needs=(f"versus.parameters.{column}",),
        values=_by_part(column),
        summary=mean_distance,
        source=source,
        machinery="parameters",
        no_interval="one number a model, nothing to resample",
        pitfalls=pitfalls,
    )


LAYER_DISTANCE = _weights(
    "d_layers",
    "distance to the retrained model by layer",
    "Which layers did unlearning move away from the retrained model's?",
    "mean over layers of ||theta_l,u - theta_l,r||; its values are the profile by layer",
    "weight_distances",
    "Golatkar et al. (2020), arXiv 1911.04933",
    "Depends on parameterisation, and on how many tensors make a layer.",
)
ADAPTER_DISTANCE = _weights(
    "d_update",
    "relative distance of LoRA updates",
    "How far is what the adapters do from what the retrained model's do?",
    "mean over modules of ||B_u A_u - B_r A_r|| / ||B_r A_r||",
    "relative_update",
    "arXiv 2605.02206's successor; see `adapter_distance`",
    "The same for (SA, BS^-1), unlike a distance of A and B. Undefined where the reference leaves a module as is.",
)

METRICS = (AD, CKA, PROBABILITY_DISTANCE, LAYER_DISTANCE, ADAPTER_DISTANCE)
