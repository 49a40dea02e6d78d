"""Sampled answers of models that speak in tokens: drawn once, scored under any model by the very same token ids."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vestige.scoring.batching import AUTO_START, BatchSize, batch_options
from vestige.scoring.language import sequence_log_probs
from vestige.store import Split

Columns = dict[str, NDArray[Any]]
Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Sampling:
    """How answers are sampled.

    Attributes:
        n_samples: samples a prompt.
        max_new_tokens: a sample that has not ended by then is cut there.
        seed: of the random numbers.
        batch_size: sequences a forward pass.
        max_tokens: tokens a forward pass with padding, at most.
        temperature: logits are divided by it.
        top_p: mass of the likeliest tokens that are drawn from.
        top_k: number of them; 0 for all.
    """

    n_samples: int
    max_new_tokens: int
    seed: int
    batch_size: BatchSize
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0

    @property
    def is_own(self) -> bool:
        """Whether samples are drawn from the model's own distribution, as FADE needs them."""
        return (self.temperature, self.top_p, self.top_k) == (1.0, 1.0, 0)

    @property
    def sequences(self) -> int:
        """Of one forward pass at first."""
        return AUTO_START if self.batch_size == "auto" else self.batch_size

    @property
    def batches(self) -> dict[str, Any]:
        """Arguments of the kind's scorer."""
        return batch_options(self.batch_size, self.max_tokens)


def sample_tokens(
    generate: Callable[..., list[Tokens]],
    score: Callable[..., Columns],
    model: Any,
    items: Sequence[Any],
    sampling: Sampling,
) -> Columns:
    """Samples after each item's prompt, with the log-probability that their author gives them.

    Args:
        generate: the kind's sampler.
        score: the kind's scorer.
        model: the author.
        items: encoded examples, of which only the prompt is used.
        sampling: the settings.

    Returns:
        `offsets` (n_items * n_samples + 1,) int64, `token_id` int32, `log_prob` (n_items * n_samples,) float64 nats,
        `truncated` bool; no `log_prob` where they are not drawn from the author's own distribution.
    """
    samples = generate(
        model,
        items,
        n_samples=sampling.n_samples,
        max_new_tokens=sampling.max_new_tokens,
        seed=sampling.seed,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        batch_size="auto" if sampling.batch_size == "auto" else AUTO_START,
    )
    columns = score(model, _continued(items, samples, sampling), **sampling.batches)
    end = model.tokenizer.eos_token_id
    return {
        "offsets": columns["offsets"],
        "token_id": columns["token_id"],
        **({"log_prob": sequence_log_probs(columns)} if sampling.is_own else {}),
        "truncated": np.array([tokens[-1] != end for tokens in samples]),
    }


def rescore_tokens(
    score: Callable[..., Columns], model: Any, items: Sequence[Any], samples: Split, sampling: Sampling
) -> NDArray[np.float64]:
    """Log-probability under `model` of what another model sampled: token ids as sampled, never decoded in between."""
    return sequence_log_probs(score(model, sampled_items(items, samples, sampling), **sampling.batches))


def sampled_items(items: Sequence[Any], samples: Split, sampling: Sampling) -> list[Any]:
    """Each item's prompt with every stored sample after it."""
    tokens = (tuple(map(int, ids)) for ids in np.split(samples["token_id"], samples["offsets"][1:-1]))
    return _continued(items, tokens, sampling)


def sampled_texts(tokenizer: Any, samples: Split) -> list[str]:
    """Every stored sample as text, without special tokens and without spaces at the ends."""
    ids = np.split(samples["token_id"], samples["offsets"][1:-1])
    return [tokenizer.decode(tokens.tolist(), skip_special_tokens=True).strip() for tokens in ids]


def _continued(items: Sequence[Any], samples: Iterable[Tokens], sampling: Sampling) -> list[Any]:
    prompts = [item for item in items for _ in range(sampling.n_samples)]
    return [
        replace(item, ids=(*item.ids[: item.start], *tokens)) for item, tokens in zip(prompts, samples, strict=True)
    ]
