import numpy as np
import pytest
from scipy import stats

from vestige.meta.power import Design, equivalence_power, power
from vestige.stats.equivalence import equivalence_to_retraining


def nested(rng, n_entities, n_prompts, n_samples, sds, difference=0.0):
    """Values with effects of entities, prompts within entities, and samples; labels of entities and prompts."""
    shape = (n_entities, n_prompts, n_samples)
    x = sum(sd * rng.normal(size=shape[: k + 1] + (1,) * (2 - k)) for k, sd in enumerate(sds)) + difference
    entity, prompt, _ = np.meshgrid(*map(np.arange, shape), indexing="ij")
    return np.broadcast_to(x, shape).ravel(), entity.ravel(), prompt.ravel()


def moments_reference(x):
    """Balanced nested ANOVA from its mean squares."""
    a, b, n = x.shape
    prompt, entity = x.mean(axis=2), x.mean(axis=(1, 2))
    ms_s = ((x - prompt[:, :, None]) ** 2).sum() / (a * b * (n - 1))
    ms_p = n * ((prompt - entity[:, None]) ** 2).sum() / (a * (b - 1))
    ms_e = b * n * ((entity - x.mean()) ** 2).sum() / (a - 1)
    return {"entity": (ms_e - ms_p) / (b * n), "prompt": (ms_p - ms_s) / n, "sample": ms_s}


def test_components_of_a_balanced_pilot_are_those_of_its_mean_squares():
    x, entity, prompt = nested(np.random.default_rng(0), 12, 4, 3, (2, 1, 1))
    plan = power(x, entity, prompt, difference=0.5)
    assert plan.variances == pytest.approx(moments_reference(x.reshape(12, 4, 3)))
    assert plan.pilot == Design(12, 4, 3)


def test_components_of_an_unbalanced_pilot_are_right_on_average():
    found = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x, entity, prompt = nested(rng, 30, 4, 3, (2, 1.5, 1))
        keep = np.random.default_rng(0).random(len(x)) < 0.6
        found.append(list(power(x[keep], entity[keep], prompt[keep], difference=1.0).variances.values()))
    np.testing.assert_allclose(np.mean(found, axis=0), [4, 2.25, 1], rtol=0.06)


def test_entities_needed_are_those_of_the_t_test():
    plan = power(np.array([-1.0, 1, -2, 2, 0, 3]), difference=0.8)
    sd = np.std([-1.0, 1, -2, 2, 0, 3], ddof=1)
    n = plan.designs[0].n_entities

    def reached(n):
        shift, critical = 0.8 / sd * np.sqrt(n), stats.t.ppf(0.975, n - 1)
        return stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)

    assert reached(n) >= 0.8 > reached(n - 1)
    assert [design.n_prompts for design in plan.designs] == [1]
    assert len(plan.notes) == 2


def test_the_smallest_difference_of_the_pilot_needs_the_pilots_entities():
    x, entity, prompt = nested(np.random.default_rng(1), 16, 4, 2, (1, 1, 1))
    plan = power(x, entity, prompt, difference=0.5)
    again = power(x, entity, prompt, difference=plan.smallest_difference * 1.0001)
    assert Design(16, 4, 2) in again.designs


def test_a_design_finds_the_difference_as_often_as_promised():
    rng = np.random.default_rng(2)
    x, entity, prompt = nested(rng, 400, 4, 4, (1, 1, 2))
    plan = power(x, entity, prompt, difference=0.6)
    design = next(d for d in plan.designs if (d.n_prompts, d.n_samples) == (2, 2))
    found = 0
    for _ in range(400):
        y = nested(rng, design.n_entities, 2, 2, (1, 1, 2), difference=0.6)[0]
        found += stats.ttest_1samp(y.reshape(design.n_entities, -1).mean(axis=1), 0).pvalue < 0.05
    assert found / 400 == pytest.approx(0.8, abs=0.07)


def test_more_prompts_and_samples_never_need_more_entities():
    plan = power(*nested(np.random.default_rng(3), 20, 4, 3, (1, 2, 3)), difference=0.5)
    needed = {(d.n_prompts, d.n_samples): d.n_entities for d in plan.designs}
    assert len(needed) == 20
    for (prompts, samples), n in needed.items():
        assert needed.get((2 * prompts, samples), 0) <= n
        assert needed.get((prompts, 2 * samples), 0) <= n


def test_more_seeds_and_less_spread_make_equivalence_easier_to_declare():
    by_seeds = [equivalence_power(m, 0.2) for m in (3, 6, 12)]
    by_spread = [equivalence_power(5, sd) for sd in (0.4, 0.2, 0.1)]
    assert by_seeds == sorted(by_seeds) and by_seeds[0] < by_seeds[-1]
    assert by_spread == sorted(by_spread) and by_spread[0] < by_spread[-1]


def test_equivalence_power_is_the_share_of_verdicts_of_the_test_itself():
    rng, equivalent = np.random.default_rng(0), 0
    for _ in range(400):
        effect = np.exp(rng.normal(0, 0.3, 4) - 0.045)
        noise = np.exp(rng.normal(0, 0.05 / np.sqrt(2), (4, 4)))
        to = effect * np.exp(rng.normal(0, 0.05, 4))
        between = np.outer(effect, effect) * noise * noise.T
        equivalent += equivalence_to_retraining(to, between).verdict == "equivalent"
    assert equivalence_power(4, 0.3) == pytest.approx(equivalent / 400, abs=0.07)


def test_retrained_seeds_are_the_fewest_that_reach_the_power():
    plan = power(np.arange(6.0), difference=1.0, retrained_sd=0.3)
    assert plan.equivalence_power[str(plan.n_retrained)] >= 0.8
    assert plan.equivalence_power[str(plan.n_retrained - 1)] < 0.8
    hopeless = power(np.arange(6.0), difference=1.0, retrained_sd=3.0)
    assert hopeless.n_retrained is None
    assert "more than 40 retrained seeds" in hopeless.notes[-1]


def test_non_members_by_threshold_and_by_noethers_formula():
    assert power(np.arange(6.0), difference=1.0, fpr=0.001).n_non_members == 10_000
    n = power(np.arange(6.0), difference=1.0, auc=0.6).n_non_members
    assert n == 131
    rng = np.random.default_rng(0)
    shift = np.sqrt(2) * stats.norm.ppf(0.6)
    found = [stats.mannwhitneyu(rng.normal(shift, 1, n), rng.normal(size=n)).pvalue < 0.05 for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)
    assert power(np.arange(6.0), difference=1.0).n_non_members is None


@pytest.mark.parametrize(
    "change, message",
    [
        ({"difference": 0.0}, "difference must be above 0, got 0.0"),
        ({"power": 1.0}, r"power must lie within \(0, 1\), got 1.0"),
        ({"power": 0.01}, "power must be above the level of the test, 0.05, got 0.01"),
        ({"auc": 0.5}, "auc must differ from 0.5"),
        ({"margin": 1.0}, "margin must be above 1"),
        ({"retrained_sd": -1.0}, "retrained_sd must be 0 or above"),
        ({"entities": [0, 0, 1, 1, 1, 1]}, "a pilot needs 3 entities, got 2"),
        ({"entities": [0, 0]}, r"entities must hold one label a sample, 6 in all, got shape \(2,\)"),
        ({"values": [1.0, np.nan]}, "values must be finite"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"values": np.arange(6.0), "difference": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        power(arguments.pop("values"), **arguments)
