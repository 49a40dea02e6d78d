"""The columns that metrics read: one line each, with shape, meaning and where it comes from.

A metric's need is `<model>.<split>.<column>`. Token columns of a split share its `offsets`; everything by example has
the order of the split's examples, in all models.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of the store, or of arrays that are handed in to `estimate`.

    Attributes:
        name: the last part of a need.
        shape: its axes; the first one is what is counted.
        what: what a value means, with its unit.
        source: what must be done to have it; empty where `vestige evaluate` stores it by itself.
        made_of: columns of the same split that it is worked out from when it is read; empty where it is stored.
    """

    name: str
    shape: str
    what: str
    source: str = ""
    made_of: tuple[str, ...] = ()

    def made_of_split(self, model: str) -> frozenset[str]:
        """Likewise as a column of a model's split; of the data's own a run makes only what judges see in images."""
        if model == "versus":
            return frozenset()
        return frozenset(p for p in self.passes if model != "data" or p.startswith("judge"))

    @property
    def passes(self) -> frozenset[str]:
        """What a run does to have it: "tokens" (every split's pass) or names of `scoring.further`; or nothing."""
        if self.made_of:
            return frozenset(each for name in self.made_of for each in BY_NAME[name].passes)
        if asked := re.match(r"`scoring\.further: \[(.*?)\]", self.source):
            return frozenset(asked[1].split(", "))
        if judge := re.match(r"`models\.judge: \{(\w+)", self.source):
            return frozenset({f"judge {judge[1]}"})
        return frozenset() if self.source and not self.source.startswith("`scoring") else frozenset({TOKENS})


SPLITS = ("forget", "retain", "paraphrase", "holdout", "distance")
"""Splits that every run may have: each has a field of its own in a configuration's `data`."""

MADE = ("samples", "prefixes")
"""Splits that are made of the forget examples; no file holds them."""

TOKENS = "tokens"
"""The forward pass over an example and its answer, which `scoring.further` need not ask for."""


_TEXT = "`scoring.further: [texts]`"
_CLASSIFIER, _REGRESSION = "give a classifier (`kind: classifier`)", "give a regression model (`kind: regression`)"
_TOP = "`scoring.top_k: 64`, for instance"
_OTHERS = "`scoring.further: [alternatives]`, with such answers in the data"
_ENSEMBLE = "`ensemble` of an unlearned model and `models.retrained_ensemble`, three models of each kind or more"
_SHADOWS = "`models.shadows`, two at least that saw each split and two that did not"
_PATCHED = "`scoring.further: [patched]`"
_CONCEPTS = "name where concepts are in the weights, `data.concepts: FILE`"
_UNTRAINED = "`scoring.further: [untrained]`, of a classifier"
_LENS = "`scoring.further: [lens]`"
_ORDERS = "`scoring.further: [orders]`, with `options` in the holdout"
_REPHRASED = "`scoring.further: [rephrased]`, with `paraphrases` in the holdout"
_PROBES = "`scoring.further: [probes]`, with `rewordings` of the forget questions"

_RESTORED = "`scoring.further: [restored]`, of an image generator"
_RELEARN = "`interventions: {relearn: ...}`"


def _judge(name: str) -> str:
    return f"`models.judge: {{{name}: FOLDER}}`"


COLUMNS: tuple[Column, ...] = (
    Column("offsets", "(n_examples + 1,)", "where each example's scored tokens begin, and the end of the last"),
    Column("token_id", "(n_tokens,)", "the token that came; of a classifier, the right class"),
    Column("token_log_prob", "(n_tokens,)", "its log-probability, nats"),
    Column("logsumexp", "(n_tokens,)", "of the logits"),
    Column("entropy", "(n_tokens,)", "of the next token's distribution, nats"),
    Column("log_prob_variance", "(n_tokens,)", "variance of ln p under p, nats squared"),
    Column("max_log_prob", "(n_tokens,)", "log-probability of the likeliest token, nats"),
    Column("argmax_hit", "(n_tokens,)", "whether the token that came is the likeliest"),
    Column("hidden", "(n_examples, n_features)", "hidden state of `scoring.layer`, by `scoring.pooling`"),
    Column("js", "(n_tokens,)", "Jensen-Shannon divergence of u and r at this token, nats"),
    Column("kl", "(n_tokens,)", "KL(p_u, p_r), nats"),
    Column("reverse_kl", "(n_tokens,)", "KL(p_r, p_u), nats"),
    Column("tv", "(n_tokens,)", "total variation of u and r at this token"),
    Column("log_prob", "(n_samples,)", "log-probability of a sampled answer under its own model, nats"),
    Column("truncated", "(n_samples,)", "whether the sample was cut before it ended"),
    Column("by_reference", "(n_samples,)", "log-probability of u's samples under r, nats"),
    Column("of_reference", "(n_samples,)", "log-probability of r's samples under u, nats"),
    Column("l2", "(n_tensors,)", "Euclidean distance of each weight tensor of u to r's"),
    Column("weight_distances", "(n_layers,)", "Euclidean distance of each layer's weights of u to r's"),
    Column("relative_update", "(n_modules,)", "distance of LoRA updates of u to r's, relative to r's, by module"),
    Column("loss", "(n_examples, n_timesteps, n_draws)", "squared norm of a diffusion model's noise error"),
    Column(
        "weight", "(n_examples, n_timesteps)", "with which losses sum to the likelihood bound's diffusion term, nats"
    ),
    Column("n_values", "(n_examples,)", "values of an image as the denoiser sees it"),
    Column("gap", "(n_noised,)", "squared distance of the noise that u and r see, image by image, timestep, draw"),
    Column("gap_on_u", "(n_samples, n_timesteps, n_draws)", "likewise in images that u drew"),
    Column("gap_on_r", "(n_samples, n_timesteps, n_draws)", "likewise in images that r drew"),
    Column("loss_uu", "(n_samples, n_timesteps, n_draws)", "squared noise error of u on images that u drew"),
    Column("loss_ru", "(n_samples, n_timesteps, n_draws)", "of r on images that u drew"),
    Column("loss_rr", "(n_samples, n_timesteps, n_draws)", "of r on images that r drew"),
    Column("loss_ur", "(n_samples, n_timesteps, n_draws)", "of u on images that r drew"),
    Column("cluster", "(n_examples,)", "number of the entity that an example is about"),
    Column("answer", "(n_examples,)", "the right answer as text"),
    Column("topk_id", "(n_tokens, k)", "the k likeliest tokens", _TOP),
    Column("topk_log_prob", "(n_tokens, k)", "their log-probabilities, nats", _TOP),
    Column("tail_log_mass", "(n_tokens,)", "ln of the mass of all others, nats", _TOP),
    Column("step_kl_forward", "(n_tokens,)", "KL(p_u, p_r) along u's samples, nats", "`scoring.further: [steps]`"),
    Column("step_kl_reverse", "(n_tokens,)", "KL(p_r, p_u) along r's samples, nats", "`scoring.further: [steps]`"),
    Column("text", "(n_bytes,)", "generated answers, UTF-8, one after another", _TEXT),
    Column("text_offsets", "(n_examples + 1,)", "where each answer's bytes begin, and the end of the last", _TEXT),
    Column(
        "leakage",
        "(n_examples, n_draws)",
        "ROUGE-L recall of the answer in each sample, 0 to 1; NaN where none was drawn",
        "`scoring.further: [leakage]`",
    ),
    Column(
        "class_log_prob",
        "(n_examples, n_classes)",
        "whole distribution of a classifier, nats",
        _CLASSIFIER,
    ),
    Column("random_log_prob", "(n_examples, n_classes)", "of a randomly initialised model", _UNTRAINED),
    Column("label", "(n_examples,)", "the right option, integer", "give it with the options"),
    Column("target", "(n_examples,)", "the true value of a regression", _REGRESSION),
    Column(
        "prediction",
        "(n_examples,)",
        "predicted value, in the target's unit",
        _REGRESSION,
    ),
    Column("features", "(n_examples, n_features)", "features of an image", _judge("features")),
    Column("own_features", "(n_examples, n_features)", "an image's values as the denoiser sees it", _RESTORED),
    Column(
        "restored_features", "(n_examples, n_copies, n_features)", "of noised copies, restored by the model", _RESTORED
    ),
    Column("concept", "(n_examples,)", "concept that was asked for, or that a classifier sees", _judge("concept")),
    Column("other_concept", "(n_examples,)", "likewise of the other domain (style or object)", _judge("other_concept")),
    Column("forgotten", "(n_examples,)", "whether a label of the forget split was asked for", ""),
    Column("right_log_prob", "(n_examples,)", "mean log-probability a token, paraphrased answer, nats", _OTHERS),
    Column("wrong_log_prob", "(n_examples, n_wrong)", "likewise of each wrong answer", _OTHERS),
    Column("option_log_prob", "(n_examples, n_options)", "log-probability of each option, nats", _OTHERS),
    Column(
        "order_log_prob",
        "(n_examples, n_orders)",
        "of the list of options by their order, published first, nats",
        _ORDERS,
    ),
    Column(
        "rephrased_log_prob", "(n_examples,)", "mean log-probability a token of the answer reworded, nats", _REPHRASED
    ),
    Column("probe_correct", "(n_examples, n_probes)", "whether each rewording of the question is answered", _PROBES),
    Column(
        "probability",
        "(n_examples,)",
        "of the answer; of real authors and world facts among it and the wrong ones, within [0, 1]",
        _OTHERS,
        ("token_log_prob", "offsets", "wrong_log_prob"),
    ),
    Column("rouge", "(n_examples,)", "ROUGE-L recall of the generated answer", _TEXT, ("text", "text_offsets")),
    Column("truth_ratio", "(n_examples,)", "max(0, 1 - R)", _OTHERS, ("right_log_prob", "wrong_log_prob")),
    Column(
        "arithmetic_truth_ratio",
        "(n_examples,)",
        "likewise, with the arithmetic mean over wrong answers in R",
        _OTHERS,
        ("right_log_prob", "wrong_log_prob"),
    ),
    Column(
        "gradient_norm",
        "(n_examples, n_tensors)",
        "norm of the loss's gradient by weight tensor",
        "`scoring.further: [gradients]`",
    ),
    Column(
        "patched_log_probs",
        "(n_tokens, n_layers)",
        "the original's with one layer's states of this model, nats; NaN at an end token",
        _PATCHED,
    ),
    Column("lens_budget", "(n_examples,)", "candidates to try for the answer's first token, read off layers", _LENS),
    Column("change_budget", "(n_examples,)", "likewise read off changes from layer to layer; NaN of one layer", _LENS),
    Column("vectors", "(n_concepts, n_features)", "value vectors of concepts in the weights", _CONCEPTS),
    Column("unembedding", "(n_words, n_features)", "output embeddings", _CONCEPTS),
    Column("margin", "(n_examples,)", "log-odds of the right class, or of an answer's mean probability a token, nats"),
    Column("seen_margin", "(n_examples, n_models)", "margin under models that saw the example, nats", _SHADOWS),
    Column("unseen_margin", "(n_examples, n_models)", "margin under models that never saw it, nats", _SHADOWS),
    Column("ensemble_margin", "(n_examples, n_models)", "margin under each model of this kind, nats", _ENSEMBLE),
    Column("ensemble_hit", "(n_examples, n_models)", "whether each model of this kind is right", _ENSEMBLE),
    Column("steps", "(n_runs,)", "mini-batches of relearning until the original's accuracy is nearly back", _RELEARN),
)
"""All columns; those that `vestige evaluate` stores by itself come first."""

BY_NAME = {column.name: column for column in COLUMNS}


def origin(need: str) -> str:
    """A need, and what must be done to have it.

    >>> origin("unlearned.forget.gradient_norm")
    '`unlearned.forget.gradient_norm`: ask for it in the configuration, `scoring.further: [gradients]`'
    """
    model, split, column = need.split(".", 2)
    known = BY_NAME.get(column)
    judged = known is not None and known.source.startswith("`models.judge")
    if known is not None and known.passes and not judged and split not in (*SPLITS, *MADE, "parameters"):
        return f"`{need}`: name a file of it in the configuration, `data.further: {{{split}: FILE}}`"
    if known is not None and known.source.startswith("`"):
        return f"`{need}`: ask for it in the configuration, {known.source}"
    if known is None or known.source:
        return f"`{need}`: {known.source if known else 'not a column of ours'}, or hand it in to `estimate`"
    if column == "relative_update":
        return f"`{need}`: give LoRA adapters of the same modules on one base"
    if split == "prefixes":
        return f"`{need}`: ask for it in the configuration, `scoring.further: [prefixes]`"
    if model in ("retrained", "versus"):
        return f"`{need}`: give a retrained model"
    where = "forget" if split == "samples" else split
    return f"`{need}`: give the split {where!r} and score it" + (" (`scoring.samples`)" if split == "samples" else "")
