"""Whether a metric follows what should not matter: a response's length, who wrote it, the reference's wording.

Each statistic is a `Share`: a ratio of two sums over rows. None changes when the two sides of a comparison change
places, and none depends on the unit of the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.row import Share
from calf.types import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers

__all__ = ["length_shares", "origin_shares", "overlap_shares"]

_A, _B = LABELS.index("response_a"), LABELS.index("response_b")


def length_shares(
    label: Codes, verdict: Codes, weight: Floats, length_a: Integers, length_b: Integers
) -> dict[str, Share]:
    """Accuracy where people preferred the longer response, and where they preferred the shorter one.

    A metric that follows length alone has 1 and 0. Rows whose label is same, or whose responses are equally long, are
    in neither. A verdict is right if it is the label, of three outcomes: same and failed are wrong.

    Args:
        label, verdict, length_a, length_b: shape (n,), as in `Observations`.
        weight: whole numbers (`integer_weights`), shape (n,).

    Returns:
        `accuracy_longer_preferred` and `accuracy_shorter_preferred`.
    """
    longer_a, longer_b = length_a > length_b, length_b > length_a
    longer = ((label == _A) & longer_a) | ((label == _B) & longer_b)
    shorter = ((label == _A) & longer_b) | ((label == _B) & longer_a)
    return {
        "accuracy_longer_preferred": _accuracy(label, verdict, weight, longer, "no preferred response is the longer"),
        "accuracy_shorter_preferred": _accuracy(
            label, verdict, weight, shorter, "no preferred response is the shorter"
        ),
    }


def origin_shares(label: Codes, verdict: Codes, weight: Floats, human: Codes) -> dict[str, Share]:
    """How often the metric, and how often people, preferred the human of a human and a model.

    Each rate is among its own decisions: verdicts that are neither same nor failed, and labels that are not same. So
    the people's rate on given comparisons is one and the same beside every metric.

    Args:
        label, verdict, human: shape (n,), as in `Observations`; only rows whose `human` is 0 or 1 count.
        weight: whole numbers (`integer_weights`), shape (n,).

    Returns:
        `human_preferred_rate` (the metric's) and `human_preferred_rate_people` (the labels').
    """
    known = human >= 0

    def rate(choice: Codes, undecided: str) -> Share:
        decided = known & ((choice == _A) | (choice == _B))
        reason = undecided if known.any() else "no comparison is known to be of a human and a model"
        return Share(np.where(decided & (choice == human), weight, 0.0), np.where(decided, weight, 0.0), reason)

    return {
        "human_preferred_rate": rate(verdict, "no verdict prefers the human or the model"),
        "human_preferred_rate_people": rate(label, "no label prefers the human or the model"),
    }


def overlap_shares(label: Codes, verdict: Codes, weight: Floats, overlap: Floats) -> dict[str, Share]:
    """Accuracy where the preferred response shares few words with the reference, and where it shares many.

    The rows that have an overlap are split at their weighted median: the smallest overlap such that those up to and at
    it weigh more than half of all. Low is below it, high is at it or above. Without equal overlaps at the median the
    halves are equal but for at most one comparison (the middle one is high). If more than half of the rows have the
    lowest overlap, as when all are equal, none is low. A verdict is right if it is the label: same and failed are
    wrong.

    The median is the slice's own and stays where it is in resamples: intervals are conditional on it.

    Args:
        label, verdict: shape (n,), as in `Observations`.
        weight: whole numbers (`integer_weights`), shape (n,).
        overlap: of the preferred response with the reference; NaN where there is no reference or the label is same;
            shape (n,).

    Returns:
        `accuracy_low_overlap` and `accuracy_high_overlap`.
    """
    has = ~np.isnan(overlap)
    why_low = why_high = "no comparison has a reference and a preferred response"
    low = high = has
    if has.any():
        # The comparison with NaN is false, as wanted.
        median = _median(overlap[has], weight[has])
        low, high = overlap < median, overlap >= median
        why_low = "no overlap is below the median"
    return {
        "accuracy_low_overlap": _accuracy(label, verdict, weight, low, why_low),
        "accuracy_high_overlap": _accuracy(label, verdict, weight, high, why_high),
    }


def _accuracy(label: Codes, verdict: Codes, weight: Floats, rows: NDArray[np.bool_], reason: str) -> Share:
    return Share(np.where(rows & (verdict == label), weight, 0.0), np.where(rows, weight, 0.0), reason)


def _median(value: Floats, weight: Floats) -> float:
    """The smallest value such that the weights up to and at it are more than half of all; n at least 1."""
    order = np.argsort(value, kind="stable")
    running = np.cumsum(weight[order])  # of whole numbers: exact
    return float(value[order[np.searchsorted(2.0 * running, running[-1], side="right")]])
