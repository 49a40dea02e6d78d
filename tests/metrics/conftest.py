"""Arrays as a store would have them, of numbers that no model made."""

from itertools import pairwise

import numpy as np
import pytest

N = 20
SPLITS = ("forget", "retain", "paraphrase", "holdout", "distance", "reintroduced", "entities")
MODELS = ("unlearned", "retrained", "original")
TEXTS = ("passages", "forget_fill_in_blank", "forget_question_answer", "forget_adversarial", "neighbour_fill_in_blank",
         "neighbour_question_answer")  # fmt: skip
BARE = ("real_authors", "world_facts", "images", "concepts")


def offsets(rng, n, longest=6):
    return np.concatenate([[0], np.cumsum(rng.integers(2, longest, n))])


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def scored(rng, ends):
    """Columns of one model on one split: two tokens an example or more, the last of them the end of sequence."""
    n_tokens, token_id = ends[-1], rng.integers(1, 9, ends[-1])
    token_id[ends[1:] - 1] = 0
    likeliest = -np.sort(rng.exponential(size=(n_tokens, 3)), axis=1) - 1.2
    return {
        "offsets": ends,
        "token_id": token_id,
        "token_log_prob": -rng.exponential(size=n_tokens),
        "argmax_hit": rng.random(n_tokens) < 0.8,
        "max_log_prob": -rng.exponential(size=n_tokens),
        "entropy": rng.exponential(size=n_tokens),
        "log_prob_variance": rng.exponential(size=n_tokens),
        "topk_id": np.argsort(rng.random((n_tokens, 9)), axis=1)[:, :3],
        "topk_log_prob": likeliest,
        "tail_log_mass": np.log1p(-np.exp(likeliest).sum(axis=1)),
        "patched_log_probs": -1 - rng.exponential(size=(n_tokens, 4)),
        **by_example(rng),
    }


def by_example(rng):
    """Columns of one value or row an example."""
    return {
        "hidden": rng.normal(size=(N, 3)),
        "features": rng.normal(size=(N, 3)),
        "restored_features": rng.normal(size=(N, 2, 3)),
        "class_log_prob": log_softmax(rng.normal(size=(N, 9))),
        "prediction": rng.normal(size=N),
        "target": np.linspace(-1, 1, N),
        "margin": rng.normal(size=N),
        "ensemble_margin": rng.normal(size=(N, 16)),
        "ensemble_hit": rng.random((N, 16)) < 0.8,
        "gradient_norm": rng.exponential(size=(N, 2)),
        "right_log_prob": -rng.exponential(size=N),
        "wrong_log_prob": -rng.exponential(size=(N, 5)),
        "option_log_prob": -rng.exponential(size=(N, 4)),
        "order_log_prob": -rng.exponential(size=(N, 3)),
        "rephrased_log_prob": -rng.exponential(size=N),
        "probe_correct": rng.random((N, 2)) < 0.5,
        "lens_budget": rng.integers(1, 60, N),
        "change_budget": rng.integers(1, 60, N),
        "leakage": rng.random((N, 64)),
        "probability": rng.uniform(0.1, 1, N),
        "rouge": rng.uniform(0.1, 1, N),
        "truth_ratio": rng.uniform(0.1, 1, N),
        "arithmetic_truth_ratio": rng.uniform(0.1, 1, N),
        "concept": rng.integers(0, 3, N),
        "other_concept": rng.integers(0, 3, N),
        "vectors": rng.normal(size=(N, 3)),
    }


def written(rng):
    """Answers of six words as the store has texts."""
    words = rng.choice(["a", "red", "cat", "sat", "down"], size=(N, 6))
    raw = [" ".join(line).encode() for line in words]
    ends = np.concatenate([[0], np.cumsum([len(line) for line in raw])])
    return {"text": np.frombuffer(b"".join(raw), np.uint8), "text_offsets": ends}


def compared(rng, n_tokens):
    """Columns of divergences between two models."""
    kl, reverse_kl = rng.exponential(size=(2, n_tokens))
    return {"js": rng.uniform(0.01, 0.6, n_tokens), "kl": kl, "reverse_kl": reverse_kl, "tv": rng.random(n_tokens)}


def described(rng, i):
    """Columns of the data: two examples a cluster, clusters of a split its own."""
    return {
        "cluster": 100 * i + np.arange(N) // 2,
        "answer": np.array(["the red cat sat down"] * (N // 2) + ["a cat"] * (N - N // 2)),
        "label": rng.integers(0, 3, N),
        "random_log_prob": log_softmax(rng.normal(size=(N, 9))),
        "seen_margin": rng.normal(1, 1, size=(N, 8)),
        "unseen_margin": rng.normal(size=(N, 8)),
        "features": rng.normal(size=(N, 3)),
        "own_features": rng.normal(size=(N, 3)),
        "concept": rng.integers(0, 3, N),
        "other_concept": rng.integers(0, 3, N),
        "forgotten": np.arange(N) % 2 == 0,
    }


def sampled(rng, found):
    """Four samples of each of six prompts by both models, scored by both."""
    found["data.samples.cluster"] = np.arange(6) // 2
    for model, steps in (("unlearned", "step_kl_forward"), ("retrained", "step_kl_reverse")):
        found[f"{model}.samples.offsets"] = offsets(rng, 24)
        found[f"{model}.samples.log_prob"] = -rng.exponential(size=24)
        found[f"versus.samples.{steps}"] = rng.exponential(size=found[f"{model}.samples.offsets"][-1])
    found["versus.samples.by_reference"] = -rng.exponential(size=24)
    found["versus.samples.of_reference"] = -rng.exponential(size=24)


def weighted(n):
    """Weights of the two timesteps, and the values of an image, for each of n."""
    return np.tile([0.5, 2.0], (n, 1)), np.full(n, 12)


def denoised(rng, found):
    """Squared errors of diffusion models at two timesteps and three draws, on the data and on four samples a prompt."""
    for split in SPLITS:
        for model in MODELS:
            found[f"{model}.{split}.loss"] = rng.exponential(size=(N, 2, 3))
            found[f"{model}.{split}.weight"], found[f"{model}.{split}.n_values"] = weighted(N)
        found[f"versus.{split}.gap"] = rng.exponential(size=N * 2 * 3)
    for model in ("unlearned", "retrained"):
        found[f"{model}.samples.weight"], found[f"{model}.samples.n_values"] = weighted(6)
    for name in ("gap_on_u", "gap_on_r", "loss_uu", "loss_ru", "loss_rr", "loss_ur"):
        found[f"versus.samples.{name}"] = rng.exponential(size=(24, 2, 3))


def continued(rng, found):
    """What models write after each prefix of the forget texts that have more than ten tokens: half of it true."""
    for model in MODELS:
        tokens, ends = (found[f"{model}.forget.{column}"] for column in ("token_id", "offsets"))
        texts = [tokens[a:b] for a, b in pairwise(ends)]
        rests = [text[t:] for text in texts for t in range(1, len(text) - 10 + 1)]
        lines = [rest if rng.random() < 0.5 else rng.integers(1, 9, 12) for rest in rests]
        found[f"{model}.prefixes.token_id"] = np.concatenate(lines)
        found[f"{model}.prefixes.offsets"] = np.concatenate([[0], np.cumsum([len(line) for line in lines])])


@pytest.fixture
def arrays():
    """Twenty examples a split, two a cluster, every split with clusters of its own but forget and paraphrase."""
    rng = np.random.default_rng(0)
    found = {}
    for i, name in enumerate((*SPLITS, *TEXTS, *BARE)):
        ends = offsets(rng, N, 16 if name == "forget" else 6)
        for model in MODELS:
            columns = scored(rng, ends) | written(rng) if name not in BARE else by_example(rng)
            found |= {f"{model}.{name}.{column}": values for column, values in columns.items()}
        if name not in BARE:
            found |= {f"versus.{name}.{column}": values for column, values in compared(rng, ends[-1]).items()}
        found |= {f"data.{name}.{column}": values for column, values in described(rng, i).items()}
    found["original.forget.argmax_hit"] = rng.random(found["original.forget.offsets"][-1]) < 0.98
    found["data.paraphrase.cluster"] = found["data.forget.cluster"]
    sampled(rng, found)
    continued(rng, found)
    denoised(rng, found)
    found["data.real.features"] = rng.normal(1, 1, size=(30, 3))
    found["original.words.unembedding"] = rng.normal(size=(9, 3))
    found["versus.parameters.l2"] = np.array([1.0, 3.0])
    found["versus.parameters.weight_distances"] = np.array([2.0, 3.0, 4.0])
    found["versus.parameters.relative_update"] = np.array([0.5, 0.75])
    for model in ("unlearned", "retrained"):
        found[f"{model}.relearning.steps"] = rng.integers(3, 30, 4)
    return found
