"""The alternative annotator test: may a metric stand in for one of the annotators?

Calderon, Reichart and Dror 2025, "The Alternative Annotator Test for LLM-as-a-Judge" (ACL 2025, arXiv 2501.10970), with
their alignment score for categories (accuracy). One annotator at a time is left out, and it is asked who agrees more
with the others, that annotator or the metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.annotators import others_counts
from calf.types import FAILED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.annotators import Annotations
    from calf.analysis.observations import Codes, Floats, Integers

__all__ = ["AlternativeTest", "alternative_test"]

_FEWEST_ANNOTATORS = 3


@dataclass(frozen=True, slots=True, eq=False)
class AlternativeTest:
    """What the test says. Arrays have shape (j,): the annotators with enough comparisons, by rising code.

    Attributes:
        annotators: int64; their codes.
        n: int64; how many comparisons each shares with another annotator.
        p_value: float64; of "the annotator is better than the metric by epsilon or more"; not adjusted.
        rejected: whether the metric is shown to stand in for this annotator, adjusted for the number of annotators.
        advantage: float64; share of the comparisons on which the metric agrees with the others at least as much as the
            annotator does.
        winning_rate: the share of rejected; from 0.5 on, the paper concludes that the metric may replace annotators.
            NaN if undefined.
        average_advantage: the mean of `advantage`; for comparing metrics, as it does not depend on epsilon. NaN if
            undefined.
        reason: why these two are undefined, and the arrays empty; "" if they are not.
    """

    annotators: Integers
    n: Integers
    p_value: Floats
    rejected: NDArray[np.bool_]
    advantage: Floats
    winning_rate: float
    average_advantage: float
    reason: str


def alternative_test(
    annotations: Annotations, verdict: Codes, epsilon: float = 0.2, *, least: int = 30, rate: float = 0.05
) -> AlternativeTest:
    """Test a metric against each annotator, on the comparisons with two or more annotations.

    On each comparison of an annotator h, the score of h and of the metric f is the share of the other annotators who
    gave the same label; W_f = 1 if f's score is at least h's, W_h = 1 if h's is at least f's. A one-sided t-test of the
    hypothesis that mean(W_h - W_f) >= epsilon (section 3 of the paper); where every difference is the same, p is 0 if
    that mean is below epsilon, else 1. Benjamini and Yekutieli (2001) over the annotators.

    A failed verdict has the label of nobody, so it scores 0 (the authors' program leaves out what has no verdict).
    Fewer than three annotators are no group that a metric could represent better than one of them does: the paper
    advises three, here they are required.

    Args:
        annotations: with comparisons in range(c).
        verdict: int8 (c,), the metric's verdict of each comparison, or FAILED; where it was judged several times, one.
        epsilon: what replacing an annotator is worth; the paper advises 0.2 for experts, 0.15 for trained annotators,
            0.1 for crowd workers.
        least: an annotator with fewer such comparisons is not tested; at least 2. The paper's 30 is for the t-test.
        rate: the false discovery rate.

    Raises:
        ValueError: `verdict` is not of that kind, a comparison is not in range(c), or `least` is below 2.
    """
    _check(annotations, verdict, least)
    row, rest = others_counts(annotations)
    codes, place, n = np.unique(annotations.annotator[row], return_inverse=True, return_counts=True)
    tested = np.flatnonzero(n >= least)
    if codes.size < _FEWEST_ANNOTATORS:
        return _undefined(f"fewer than {_FEWEST_ANNOTATORS} annotators share comparisons")
    if not tested.size:
        return _undefined(f"no annotator shares {least} or more comparisons with another")

    # Both scores have the same divisor, the number of others: their numerators are compared, so ties are exact.
    counts = np.concatenate((rest, np.zeros((row.size, 1), dtype=np.int64)), axis=1)  # nobody says FAILED
    every = np.arange(row.size)
    of_human = counts[every, annotations.label[row]]
    of_metric = counts[every, verdict[annotations.comparison[row]]]
    wins = of_metric >= of_human
    difference = (of_human >= of_metric).astype(np.float64) - wins
    p_value = np.array([_p_value(difference[place == j], epsilon) for j in tested])
    advantage = (np.bincount(place, weights=wins) / n)[tested]
    rejected = _rejected(p_value, rate)
    return AlternativeTest(
        annotators=codes[tested],
        n=n[tested],
        p_value=p_value,
        rejected=rejected,
        advantage=advantage,
        winning_rate=float(rejected.mean()),
        average_advantage=float(advantage.mean()),
        reason="",
    )


def _check(annotations: Annotations, verdict: Codes, least: int) -> None:
    if verdict.ndim != 1 or (verdict.size and not 0 <= verdict.min() <= verdict.max() <= FAILED):
        raise ValueError("verdict must be 0, 1, 2 or 3, shape (c,)")
    if len(annotations) and not 0 <= annotations.comparison.min() <= annotations.comparison.max() < verdict.size:
        raise ValueError(f"Annotations.comparison must be in range({verdict.size})")
    if least < 2:
        raise ValueError("least must be 2 or more: one comparison has no variance")


def _p_value(difference: Floats, epsilon: float) -> float:
    """Of the hypothesis that the mean is epsilon or more."""
    from scipy.stats import ttest_1samp

    if np.all(difference == difference[0]):
        return 0.0 if difference[0] < epsilon else 1.0
    return float(ttest_1samp(difference, epsilon, alternative="less").pvalue)


def _rejected(p_value: Floats, rate: float) -> NDArray[np.bool_]:
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p_value, method="by") <= rate)


def _undefined(reason: str) -> AlternativeTest:
    no_codes, no_numbers = np.zeros(0, dtype=np.int64), np.zeros(0)
    return AlternativeTest(
        annotators=no_codes,
        n=no_codes,
        p_value=no_numbers,
        rejected=no_numbers.astype(np.bool_),
        advantage=no_numbers,
        winning_rate=np.nan,
        average_advantage=np.nan,
        reason=reason,
    )
