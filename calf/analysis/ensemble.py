"""Several metrics on the same comparisons: how alike they are, and what they know together.

Verdicts are arrays (n, M): the metrics' verdicts side by side, 0 response_a, 1 response_b, 2 same, 3 failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.counts import ratio
from calf.types import FAILED, LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers

__all__ = ["kappa_matrix", "majority_vote", "oracle_right", "wrong_counts"]

_SAME = LABELS.index("same")


def kappa_matrix(verdict: Codes) -> Floats:
    """Cohen's kappa (Cohen 1960) of every two metrics on the rows that both judged, shape (M, M).

    NaN where there is no such row, or both metrics give one and the same verdict on all of them: then there is no
    disagreement even by chance. The diagonal is 1 where it is defined.

    Args:
        verdict: int8, shape (n, M).
    """
    judged = (verdict != FAILED).astype(np.float64)
    total = judged.T @ judged
    agree, chance = np.zeros_like(total), np.zeros_like(total)
    for code in range(len(LABELS)):
        said = (verdict == code).astype(np.float64)
        agree += said.T @ said
        # How often the first metric said it where the second judged, times how often the second did where the first.
        said_in_common = said.T @ judged
        chance += said_in_common * said_in_common.T
    return ratio(total * agree - chance, total * total - chance)


def majority_vote(verdict: Codes) -> Codes:
    """The most frequent verdict of each row, int8 (n,): same if several are, FAILED if every metric failed.

    Failed judgments do not vote.

    Args:
        verdict: int8, shape (n, M).
    """
    votes = np.stack([np.count_nonzero(verdict == code, axis=1) for code in range(len(LABELS))], axis=1)
    most = votes.max(axis=1)
    unique = np.count_nonzero(votes == most[:, np.newaxis], axis=1) == 1
    winner = np.where(unique, votes.argmax(axis=1), _SAME)
    return np.where(most > 0, winner, FAILED).astype(np.int8)


def oracle_right(verdict: Codes, label: Codes) -> NDArray[np.bool_]:
    """Whether any metric gives the label, bool (n,): what an ideal choice of the metric in each row would reach.

    Args:
        verdict: int8, shape (n, M).
        label: int8, shape (n,).
    """
    return np.asarray((verdict == label[:, np.newaxis]).any(axis=1))


def wrong_counts(verdict: Codes, label: Codes) -> Integers:
    """How many metrics do not give the label, int64 (n,); a failed judgment is wrong, as in accuracy.

    Args:
        verdict: int8, shape (n, M).
        label: int8, shape (n,).
    """
    return np.asarray(np.count_nonzero(verdict != label[:, np.newaxis], axis=1), dtype=np.int64)
