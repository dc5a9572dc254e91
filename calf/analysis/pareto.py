"""Which metrics are worth what they cost: those that no other one beats at the same cost or less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, percentile_interval, resample_sums
from calf.analysis.observations import integer_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Integers

__all__ = ["Front", "pareto_front"]

_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """The Pareto front of cost and accuracy; arrays of shape (M,), one entry for each metric.

    Attributes:
        accuracy: on the rows that were given, each with weight 1.
        low, high: its 95 % interval by bootstrap over groups; NaN with fewer than two groups.
        on: whether no other metric is better at the same cost, or as good for less.
        share: the share of the resamples in which that is so; NaN with fewer than two groups.
    """

    accuracy: Floats
    low: Floats
    high: Floats
    on: NDArray[np.bool_]
    share: Floats


def pareto_front(correct: Integers, repeats: Integers, cost: Floats, group: Integers) -> Front:
    """The front, and how sure it is.

    A metric is dominated if another one costs no more and is right no less often, and one of the two is strict. Costs
    are taken as they are; only accuracies vary between resamples, in which whole groups are drawn.

    Args:
        correct: int64 (n, M); in how many of its repeats a metric is right about a comparison.
        repeats: int64 (n, M); how many there are, at least 1.
        cost: float64 (M,), finite.
        group: int64 (n,).
    """
    codes, place = np.unique(group, return_inverse=True)
    columns, units = [], []
    for column in range(correct.shape[1]):
        weight, unit = integer_weights(1.0 / repeats[:, column])
        columns.append(np.bincount(place, weights=weight * correct[:, column], minlength=codes.size))
        units.append(unit)
    size = np.bincount(place, minlength=codes.size)
    sums = np.stack([*columns, size], axis=1).astype(np.float64)
    scale = np.array(units, dtype=np.float64)
    whole = sums.sum(axis=0)
    accuracy = whole[:-1] / scale / whole[-1]
    nothing = np.full(accuracy.shape, np.nan)
    if codes.size < 2:
        return Front(accuracy, nothing, nothing, _undominated(accuracy[None], cost)[0], nothing)
    drawn = resample_sums(sums, COUNT_RESAMPLES)
    resampled = drawn[:, :-1] / scale / drawn[:, -1:]
    ends = np.array([percentile_interval(np.ascontiguousarray(values)) or (np.nan, np.nan) for values in resampled.T])
    on = _undominated(accuracy[None], cost)[0]
    return Front(accuracy, ends[:, 0], ends[:, 1], on, _undominated(resampled, cost).mean(axis=0))


def _undominated(accuracy: Floats, cost: Floats) -> NDArray[np.bool_]:
    """Of each row of accuracies (R, M), which metrics no other one dominates."""
    on = np.ones(accuracy.shape, dtype=np.bool_)
    for one in range(cost.size):
        for other in range(cost.size):
            if other == one or cost[other] > cost[one]:
                continue
            better = accuracy[:, other] - accuracy[:, one]
            on[:, one] &= ~(better > _TOLERANCE if cost[other] == cost[one] else better >= -_TOLERANCE)
    return on
