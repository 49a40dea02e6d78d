import numpy as np
import pytest

from vestige.data.columns import TableError
from vestige.meta.reliability import reliability
from vestige.stats.equivalence import equivalence_to_retraining

FLOOR = np.array([[0.0, 1.0, 1.1, 0.9], [1.0, 0.0, 1.05, 0.95], [1.1, 1.05, 0.0, 1.0], [0.9, 0.95, 1.0, 0.0]])
CLOSE, FAR, ORIGINAL = [1.0, 0.98, 1.02, 0.99], [2.0, 2.1, 1.9, 2.0], [5.0, 5.2, 4.9, 5.1]
RETRAINED = ("r0", "r1", "r2", "r3")
DISTANCES = [f"d{i}" for i in range(4)]


def table(**changes):
    columns = {
        "model": ["close", "far", "third", "full", *RETRAINED],
        "RA": [0.90, 0.70, 0.90, 0.95, 0.90, 0.91, 0.89, 0.90],
        "FA": [0.21, 0.60, 0.00, 0.95, 0.20, 0.22, 0.18, 0.20],
    }
    rows = [CLOSE, FAR, FAR, ORIGINAL, *FLOOR.tolist()]
    columns |= {name: [row[i] for row in rows] for i, name in enumerate(DISTANCES)}
    return {**columns, **changes}


def judge(source=None, **changes):
    asked = {
        "better": {"RA": "higher", "FA": "lower"},
        "distance": DISTANCES,
        "retrained": RETRAINED,
        "original": "full",
        "margins": {"RA": 0.03, "FA": 0.1},
    }
    return reliability(source or table(), **{**asked, **changes})


def test_models_are_judged_by_the_distances_between_retrained_ones():
    result = judge()
    found = {entry.model: entry for entry in result.equivalence}
    assert list(found) == ["close", "far", "third"]
    assert found["close"].distance == equivalence_to_retraining(CLOSE, FLOOR)
    assert (found["close"].distance.verdict, found["far"].distance.verdict) == ("equivalent", "different")
    assert found["far"].distance.smallest_margin > 1.9
    assert found["close"].smallest_p == 1 / 5


def test_the_gap_closed_is_the_share_of_the_way_to_the_floor():
    found = {entry.model: entry.gap_closed for entry in judge().equivalence}
    floor = FLOOR[~np.eye(4, dtype=bool)].mean()
    expected = (np.mean(ORIGINAL) - np.mean(FAR)) / (np.mean(ORIGINAL) - floor)
    assert found["far"].value == pytest.approx(expected)
    assert found["far"].low < expected < found["far"].high
    assert found["close"].value == pytest.approx(1, abs=0.01)


def test_an_original_within_the_floor_leaves_the_gap_undefined():
    rows = table()
    for i, name in enumerate(DISTANCES):
        rows[name][3] = 1.0 + 0.01 * i
    gap = judge(rows).equivalence[0].gap_closed
    assert np.isnan(gap.value) and "does not clear the floor" in gap.reason


def test_utility_may_not_be_worse_and_forgetting_may_not_differ_either_way():
    found = {entry.model: {m.metric: m for m in entry.metrics} for entry in judge().equivalence}
    assert [found[name]["RA"].verdict for name in found] == ["not inferior", "inferior", "not inferior"]
    assert [found[name]["FA"].verdict for name in found] == ["equivalent", "different", "different"]  # 0.00 is too low
    entry = found["close"]["FA"]
    retrained = np.array([0.20, 0.22, 0.18, 0.20])
    half = 2.3534 * retrained.std(ddof=1) / 2  # t(3) at 95 %, one side
    assert (entry.difference.low, entry.difference.high) == pytest.approx((0.01 - half, 0.01 + half), abs=1e-4)
    assert entry.smallest_margin == pytest.approx(0.01 + half, abs=1e-4)
    assert judge(margins={}).equivalence[0].metrics[0].verdict == "no margin"


def test_reference_rows_are_not_ranked_and_their_number_is_known():
    result = judge()
    assert result.n_models == 3 and result.distance == "mean distance"
    assert "full" not in result.robustness[0].items
    assert not any(finding.code == "one_retrained_seed" for finding in result.findings)


def test_what_is_missing_is_said():
    no_rows = judge(
        retrained=(),
        original="",
        distance="d0",
        margins={},
        source={"model": ["a", "b", "c"], "RA": [1, 2, 3], "FA": [3, 1, 2], "d0": [1, 2, 3]},
    )
    assert no_rows.equivalence == () and any("No rows of retrained models" in s for s in no_rows.missing)
    one = {k: v for k, v in table().items() if k not in DISTANCES[1:]}
    single = judge(one, distance="d0")
    assert single.equivalence[0].distance is None
    assert any("one distance column for each of the 4" in s for s in single.missing)
    assert single.equivalence[1].gap_closed.value == pytest.approx((5.0 - 2.0) / (5.0 - FLOOR[0, 1:].mean()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distance": DISTANCES[::-1]}, "must be in the order of the retrained rows"),
        ({"retrained": ("r9",)}, "there is no row 'r9'"),
        ({"margins": {"XX": 1.0}}, "'XX' is no metric"),
        ({"utility": ("XX",)}, "'XX' is no metric"),
    ],
)
def test_wrong_references_are_named(changes, words):
    with pytest.raises(TableError, match=words):
        judge(**changes)
