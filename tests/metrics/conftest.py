"""Arrays as a store would have them, of numbers that no model made."""

import numpy as np
import pytest


def offsets(rng, n):
    return np.concatenate([[0], np.cumsum(rng.integers(2, 6, n))])


def scored(rng, offsets):
    """Columns of one model on one split: 2 to 5 tokens an example, the last of them the end of sequence."""
    n_tokens, token_id = offsets[-1], rng.integers(1, 9, offsets[-1])
    token_id[offsets[1:] - 1] = 0
    return {
        "offsets": offsets,
        "token_id": token_id,
        "token_log_prob": -rng.exponential(size=n_tokens),
        "argmax_hit": rng.random(n_tokens) < 0.8,
        "max_log_prob": -rng.exponential(size=n_tokens),
        "entropy": rng.exponential(size=n_tokens),
        "log_prob_variance": rng.exponential(size=n_tokens),
        "hidden": rng.normal(size=(len(offsets) - 1, 3)),
    }


def compared(rng, n_tokens):
    """Columns of divergences between two models."""
    kl, reverse_kl = rng.exponential(size=(2, n_tokens))
    return {"js": rng.uniform(0.01, 0.6, n_tokens), "kl": kl, "reverse_kl": reverse_kl, "tv": rng.random(n_tokens)}


def sampled(rng, found):
    """Four samples of each of six prompts by both models, scored by both."""
    found["data.samples.cluster"] = np.arange(6) // 2
    for model, steps in (("unlearned", "step_kl_forward"), ("retrained", "step_kl_reverse")):
        found[f"{model}.samples.offsets"] = offsets(rng, 24)
        found[f"{model}.samples.log_prob"] = -rng.exponential(size=24)
        found[f"versus.samples.{steps}"] = rng.exponential(size=found[f"{model}.samples.offsets"][-1])
    found["versus.samples.by_reference"] = -rng.exponential(size=24)
    found["versus.samples.of_reference"] = -rng.exponential(size=24)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.fixture
def arrays():
    """Twenty examples a split, two a cluster, every split with clusters of its own but forget and paraphrase."""
    rng = np.random.default_rng(0)
    found = {}
    for i, name in enumerate(("forget", "retain", "paraphrase", "holdout", "distance")):
        ends = offsets(rng, 20)
        for model in ("unlearned", "retrained"):
            found |= {f"{model}.{name}.{column}": values for column, values in scored(rng, ends).items()}
        found |= {f"versus.{name}.{column}": values for column, values in compared(rng, ends[-1]).items()}
        found[f"data.{name}.answer"] = np.array(["x" * int(length) for length in rng.integers(1, 60, 20)])
        found[f"data.{name}.cluster"] = 100 * (0 if name == "paraphrase" else i) + np.arange(20) // 2
    sampled(rng, found)
    found["versus.parameters.l2"] = np.array([1.0, 3.0])
    for model in ("unlearned", "retrained"):
        found[f"{model}.forget.class_log_prob"] = log_softmax(rng.normal(size=(20, 3)))
        found[f"{model}.forget.ensemble_margin"] = rng.normal(size=(20, 16))
        found[f"{model}.forget.right_log_prob"] = -rng.exponential(size=20)
        found[f"{model}.forget.wrong_log_prob"] = -rng.exponential(size=(20, 5))
        words = rng.choice(["a", "red", "cat", "sat", "down"], size=(2, 20, 6))
        found[f"{model}.forget.generated"], found[f"{model}.forget.continuation"] = (
            np.array([" ".join(line) for line in lines]) for lines in words
        )
        for split in ("retain", "real_authors", "world_facts"):
            for part in ("probability", "rouge", "truth_ratio"):
                found[f"{model}.{split}.{part}"] = rng.uniform(0.1, 1, 20)
    found["data.forget.answer"] = np.array(["the red cat sat down"] * 10 + ["a cat"] * 10)
    for i, split in enumerate(("real_authors", "world_facts"), 10):
        found[f"data.{split}.cluster"] = 100 * i + np.arange(20) // 2
    found["data.forget.random_log_prob"] = log_softmax(rng.normal(size=(20, 3)))
    return found
