"""Is an unlearned model as close to the retrained models as these are to one another?"""

from dataclasses import dataclass
from typing import Literal

from vestige.stats.estimate import Estimate

EquivalenceVerdict = Literal["equivalent", "different", "undecided"]


@dataclass(frozen=True)
class Equivalence:
    """The verdict on a model.

    Attributes:
        verdict: "equivalent" (the interval lies below the margin), "different" (above it) or "undecided".
        ratio: mean distance to the retrained models over the mean distance between them, 1 at equality.
        margin: the largest ratio that counts as equivalent, as declared.
        smallest_margin: the smallest margin at which the verdict would be "equivalent".
        distance: name of the distance.
        n_retrained: number of retrained seeds.
    """

    verdict: EquivalenceVerdict
    ratio: Estimate
    margin: float
    smallest_margin: float
    distance: str
    n_retrained: int
