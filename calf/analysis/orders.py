"""What the order in which responses are shown, and asking again, do to a metric's verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.row import Share
from calf.types import FAILED, LABELS, NOT_JUDGED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers

__all__ = ["Retest", "order_shares", "retest"]

_A, _B = LABELS.index("response_a"), LABELS.index("response_b")
_LARGEST_SUM = 2.0**50  # sums are exact below 2^53, and a resample may have more than the sample

_NO_COMPARISON = "no comparison"
_NOT_JUDGED = "no comparison was judged"
_ONE_ORDER = "judged in one order"
_FAILED_ONCE = "no comparison was judged in both orders without a failure"
_ALL_FLIPPED = "no two orders have the same verdict"
_NO_PREFERENCE = "every verdict is same"
_ONCE = "judged once"


def order_shares(label: Codes, given: Codes, swapped: Codes, weight: Floats) -> dict[str, Share]:
    """How far verdicts depend on which response is shown first.

    - `flip_rate`: of the rows judged in both orders, neither failed, the share whose two verdicts differ: the conflict
      rate of Wang et al. 2023 ("Large Language Models are not Fair Evaluators", section 2).
    - `accuracy_consistent`: of those whose two verdicts are equal, the share whose verdict is the label.
    - `first_position_rate`: of all verdicts that prefer a response, in whatever orders there are, the share that prefer
      the one shown first (given: response_a, swapped: response_b). With both orders 1/2 is unbiased; with one it also
      depends on how often the first response is the better one.

    Args:
        label: 0, 1 or 2, shape (n,).
        given, swapped: the verdict in each order, in the dataset's sides: 0, 1, 2, `FAILED`, or -1 if it was not
            judged in that order, shape (n,).
        weight: whole numbers, shape (n,).
    """
    in_given, in_swapped = _answered(given), _answered(swapped)
    both = in_given & in_swapped
    equal = both & (given == swapped)
    first = np.equal(given, _A).astype(np.float64) + np.equal(swapped, _B)
    preferring = first + np.equal(given, _B) + np.equal(swapped, _A)
    none = _NO_COMPARISON if not label.size else "" if (in_given | in_swapped).any() else _NOT_JUDGED
    twice = np.not_equal(given, NOT_JUDGED) & np.not_equal(swapped, NOT_JUDGED)
    unpaired = none or (_FAILED_ONCE if twice.any() else _ONE_ORDER)
    return {
        "flip_rate": Share(weight * (both & ~equal), weight * both, unpaired),
        "accuracy_consistent": Share(
            weight * (equal & (given == label)), weight * equal, _ALL_FLIPPED if both.any() else unpaired
        ),
        "first_position_rate": Share(weight * first, weight * preferring, none or _NO_PREFERENCE),
    }


def _answered(verdict: Codes) -> NDArray[np.bool_]:
    return np.not_equal(verdict, NOT_JUDGED) & np.not_equal(verdict, FAILED)


@dataclass(frozen=True, slots=True, eq=False)
class Retest:
    """What asking again changes.

    Attributes:
        agreement: `retest_agreement`: mean over comparisons of the share of pairs of repeats with equal verdict.
        variance: `rerun_variance`: the variance that one rerun adds to the accuracy; NaN if nothing was repeated.
        reason: why these are undefined, if they are.
    """

    agreement: Share
    variance: float
    reason: str


def retest(label: Codes, verdict: Codes, weight: Floats, comparison: Integers) -> Retest:
    """How far verdicts repeat. Comparisons with one repeat are left out.

    Failed is a verdict like the others for the agreement, and wrong for the accuracy. The variance is (1/n^2) sum s_i^2
    over the n comparisons, s_i^2 the unbiased variance of being right over comparison i's K repeats: that of the
    accuracy when all are judged once more, the comparisons being the same. The mean over K repeats has 1/K of it.

    Args:
        label: 0, 1 or 2, shape (n,).
        verdict: 0, 1, 2 or `FAILED`, shape (n,).
        weight: whole numbers; of a comparison's K rows equal, and over comparisons as 1/K, shape (n,).
        comparison: any codes; rows of one code are repeats of one comparison, shape (n,).
    """
    place = np.unique(comparison, return_inverse=True)[1].astype(np.int64)
    repeats = np.bincount(place)
    again = repeats > 1
    reason = _ONCE if label.size else _NO_COMPARISON

    # Each row's share of the other repeats that say the same; over a comparison's rows, its mean is that of the pairs.
    kinds = FAILED + 1
    alike = np.bincount(place * kinds + verdict, minlength=repeats.size * kinds)[place * kinds + verdict] - 1
    others = repeats[place] - 1
    # Times a multiple of all K - 1, so that the numerators are whole numbers (rounded if it would be too large).
    multiple = min(lcm(*np.unique(others[others > 0]).tolist()), max(1, int(_LARGEST_SUM / max(weight.sum(), 1.0))))
    agreeing = np.rint(weight * alike * multiple / np.maximum(others, 1))
    agreement = Share(agreeing, weight * multiple * (others > 0), reason)

    count = int(again.sum())
    if not count:
        return Retest(agreement, np.nan, reason)
    right = np.bincount(place, weights=label == verdict)[again]
    times = repeats[again]
    # The unbiased variance of r ones and K - r zeros.
    variances = right * (times - right) / (times * (times - 1.0))
    return Retest(agreement, float(variances.sum()) / count**2, reason)
