import numpy as np
import pytest
import torch

from vestige.kernels import group_mean, min_k, sequence_nll


def batch(quick):
    """Answers of some 200 tokens each."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 400, size=50 if quick else 20_000)
    return -rng.exponential(size=lengths.sum()), np.concatenate([[0], np.cumsum(lengths)])


def numpy_nll(tokens, offsets):
    return -np.add.reduceat(tokens, offsets[:-1]) / np.diff(offsets)


def torch_nll(tokens, offsets):
    return -torch.segment_reduce(torch.from_numpy(tokens), "mean", offsets=torch.from_numpy(offsets)).numpy()


def vestige_sequence_nll(tokens, offsets):
    return sequence_nll(tokens, offsets)


@pytest.mark.parametrize("implementation", [numpy_nll, torch_nll, vestige_sequence_nll])
def test_sequence_nll(benchmark, implementation, quick):
    benchmark.group = "sequence_nll, 20000 sequences of 20 to 400 tokens, float64"
    tokens, offsets = batch(quick)
    np.testing.assert_allclose(benchmark(implementation, tokens, offsets), sequence_nll(tokens, offsets), rtol=1e-12)


def n_lowest(offsets):
    return np.maximum(1, (0.4 * np.diff(offsets)).astype(int))


def numpy_min_k(tokens, offsets):
    rows = zip(offsets[:-1], offsets[1:], n_lowest(offsets), strict=True)
    return np.array([np.partition(tokens[start:end], n - 1)[:n].mean() for start, end, n in rows])


def padded_min_k(tokens, offsets):
    """All sequences at once: sorted in a padded table."""
    lengths = np.diff(offsets)
    padded = np.full((len(lengths), lengths.max()), np.inf)
    padded[np.arange(lengths.max()) < lengths[:, None]] = tokens
    padded.sort(axis=1)
    n = n_lowest(offsets)
    return np.where(np.arange(padded.shape[1]) < n[:, None], padded, 0).sum(axis=1) / n


def vestige_min_k(tokens, offsets):
    return min_k(tokens, offsets)


@pytest.mark.parametrize("implementation", [numpy_min_k, padded_min_k, vestige_min_k])
def test_min_k(benchmark, implementation, quick):
    benchmark.group = "min_k, 20000 sequences of 20 to 400 tokens, float64"
    tokens, offsets = batch(quick)
    np.testing.assert_allclose(benchmark(implementation, tokens, offsets), min_k(tokens, offsets), rtol=1e-12)


def numpy_group_mean(values, groups, weights):
    return np.bincount(groups, weights * values) / np.bincount(groups, weights)


def torch_group_mean(values, groups, weights):
    values, groups, weights = map(torch.from_numpy, (values, groups, weights))
    sums = [torch.zeros(1000, dtype=torch.float64).index_add_(0, groups, x) for x in (weights * values, weights)]
    return (sums[0] / sums[1]).numpy()


def vestige_group_mean(values, groups, weights):
    return group_mean(values, groups, weights)


@pytest.mark.parametrize("implementation", [numpy_group_mean, torch_group_mean, vestige_group_mean])
def test_group_mean(benchmark, implementation, quick):
    benchmark.group = "group_mean, 1000000 rows in 1000 groups, with weights, float64"
    rng, n = np.random.default_rng(0), 20_000 if quick else 1_000_000
    values, groups, weights = rng.random(n), rng.integers(0, 1000, n), rng.random(n)
    np.testing.assert_allclose(
        benchmark(implementation, values, groups, weights), group_mean(values, groups, weights), rtol=1e-10
    )
