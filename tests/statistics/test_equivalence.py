"""Equivalence to retraining with 3, 5 and 10 retrained seeds: how often a verdict at the margin is wrong."""

import numpy as np
import pytest

from vestige.stats.equivalence import equivalence_to_retraining

MARGIN = 1.25


def simulated(rng, m, sd, ratio):
    """Distances with a log-normal effect of each retrained seed: E d(U, R) / E d(R, R') is `ratio`."""
    seed = np.exp(rng.normal(0, sd, m) - sd**2 / 2)
    noise = np.exp(rng.normal(0, 0.05, (m, m)))
    between = np.outer(seed, seed) * np.sqrt(noise * noise.T)
    return ratio * seed * np.exp(rng.normal(0, 0.05, m)), between


def verdicts(m, sd, ratio, n):
    rng = np.random.default_rng([m, int(100 * sd), int(100 * ratio)])
    return np.array([equivalence_to_retraining(*simulated(rng, m, sd, ratio), margin=MARGIN).verdict for _ in range(n)])


@pytest.mark.parametrize("sd", [0.15, 0.3, 0.5])
@pytest.mark.parametrize("m", [3, 5, 10])
def test_a_model_at_the_margin_is_seldom_called_equivalent(judge, repetitions, m, sd):
    found = verdicts(m, sd, MARGIN, repetitions)
    cell = f"{m} retrained seeds, SD {sd}, ratio at the margin"
    judge("equivalence, size of “equivalent”", cell, found == "equivalent", 0.0, 0.06)
    # Skewed seed effects make the other side liberal: 5 to 11 %, as `equivalence_to_retraining` says.
    judge("equivalence, size of “different”", cell, found == "different", 0.0, 0.12)


@pytest.mark.parametrize("m, sd, power", [(3, 0.15, 0.3), (5, 0.15, 0.75), (10, 0.15, 0.95), (10, 0.3, 0.6)])
def test_an_equal_model_is_found_equivalent(judge, repetitions, m, sd, power):
    found = verdicts(m, sd, 1.0, repetitions)
    judge("equivalence, power", f"{m} retrained seeds, SD {sd}, ratio 1", found == "equivalent", power, 1.0)


@pytest.mark.parametrize("m", [3, 5])
def test_a_far_model_is_found_different(judge, repetitions, m):
    found = verdicts(m, 0.15, 2.0, repetitions)
    judge("equivalence, “different” at ratio 2", f"{m} retrained seeds, SD 0.15", found == "different", 0.9, 1.0)
