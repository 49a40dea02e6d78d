import numpy as np
import pytest
import scipy.stats
import torch

from vestige.kernels import klom, logit_margins


def torch_margins(logits, labels):
    """As released: the label's logit is hidden from a logsumexp."""
    logits, labels = torch.from_numpy(logits), torch.from_numpy(labels)[:, None]
    others = logits.scatter(1, labels, -torch.inf).logsumexp(1)
    return (logits.gather(1, labels)[:, 0] - others).numpy()


def vestige_margins(logits, labels):
    return logit_margins(logits, labels)


@pytest.mark.parametrize("n_classes", [10, 1000])
@pytest.mark.parametrize("implementation", [torch_margins, vestige_margins])
def test_logit_margins(benchmark, implementation, n_classes, quick):
    n_rows = 100 if quick else 5_000_000 // n_classes
    benchmark.group = f"logit_margins, {n_rows} x {n_classes}, float32"
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(n_rows, n_classes)).astype(np.float32), rng.integers(0, n_classes, n_rows)
    result = benchmark(implementation, logits, labels)
    np.testing.assert_allclose(result, logit_margins(logits, labels), rtol=1e-4, atol=1e-5)


def scipy_klom(unlearned, retrained):
    """One example at a time, with the last bin closed."""
    values = []
    for p, q in zip(unlearned.T, retrained.T, strict=True):
        edges = np.linspace(min(p.min(), q.min()), max(p.max(), q.max()), 21)
        p, q = (np.histogram(x, edges)[0] / x.size for x in (p, q))
        values.append(scipy.stats.entropy(p, np.where(p > 0, np.maximum(q, 1e-5), q)))
    return np.array(values)


def vestige_klom(unlearned, retrained):
    return klom(unlearned, retrained)


@pytest.mark.parametrize("implementation", [scipy_klom, vestige_klom])
def test_klom(benchmark, implementation, quick):
    n_examples = 20 if quick else 2000
    benchmark.group = f"klom, 100 + 100 models x {n_examples} examples"
    rng = np.random.default_rng(0)
    arguments = rng.normal(size=(100, n_examples)), rng.normal(0.5, size=(100, n_examples))
    np.testing.assert_allclose(benchmark(implementation, *arguments), klom(*arguments), rtol=1e-9, atol=1e-12)
