"""From which confidence on a cheap metric decides."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["threshold_for_accuracy", "threshold_for_share"]


def threshold_for_share(confidence: Sequence[float], share: float, failed: int = 0) -> float:
    """The threshold that leaves about this share of the comparisons to others; infinite if that is all.

    Args:
        confidence: of the cheap metric, where it says something.
        share: what others are to judge, from 0 to 1.
        failed: comparisons of which the cheap metric says nothing; they are left to others in any case.
    """
    ordered = sorted(confidence)
    left = round(share * (len(ordered) + failed)) - failed
    if left <= 0:
        return -math.inf
    if left >= len(ordered):
        return math.inf
    # Equal ones stay together, on the side that comes nearer to the share.
    first, end = bisect_left(ordered, ordered[left]), bisect_right(ordered, ordered[left])
    if left - first <= end - left:
        return ordered[left]
    return math.inf if end == len(ordered) else ordered[end]


def threshold_for_accuracy(confidence: Sequence[float], right: Sequence[bool], accuracy: float) -> float:
    """The lowest threshold from which on the cheap metric is right at least so often; infinite if there is none.

    Args:
        confidence: of the cheap metric.
        right: whether its verdict is the label.
        accuracy: from 0 to 1.
    """
    best = math.inf
    correct = 0
    ordered = sorted(zip(confidence, right, strict=True), reverse=True)
    for count, (value, good) in enumerate(ordered, 1):
        correct += good
        ends = count == len(ordered) or ordered[count][0] < value  # equal ones are sure together
        if ends and correct >= accuracy * count:
            best = value
    return best
