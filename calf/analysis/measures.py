"""All statistics of one metric on one slice, as the flat row that tables and JSON show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.bootstrap import (
    COUNT_RESAMPLES,
    RANK_RESAMPLES,
    resample_sums,
)
from calf.analysis.counts import COUNT_STATISTICS, confusion
from calf.analysis.observations import integer_weights
from calf.analysis.rank import Cells, Correlations, both_orders, correlations, resample_correlations
from calf.analysis.row import Row

if TYPE_CHECKING:
    from calf.analysis.observations import Floats, Observations
    from calf.analysis.row import Value

__all__ = ["STATISTICS", "measure"]

_CORRELATIONS = tuple(f"{name}{form}" for name in Correlations._fields for form in ("", "_symmetric"))

STATISTICS: tuple[str, ...] = (
    *(name for name in COUNT_STATISTICS if name != "tie_rate"),
    *_CORRELATIONS,
    "tie_rate",
)
"""The statistics of a row, in its order; each has `<name>_low` and `<name>_high`, its 95 % interval."""

_NO_COMPARISON = "no comparison"
_NOT_JUDGED = "no comparison was judged"
_EQUAL_DIFFERENCES = "every score difference is equal"
_EQUAL_LABELS = "every label is equal"
_SCALES = "scores of different models are not pooled over languages"

_WHY_UNDEFINED = {
    "decided_accuracy": "every label is same",
    "kappa": "every label and every verdict is the same outcome",
    "kappa_symmetric": "every label and every verdict is same",
    "tie_rate": _NOT_JUDGED,
}


def measure(observations: Observations, *, seed: int = 0) -> dict[str, Value]:
    """Every statistic of a slice with its 95 % interval by bootstrap over groups.

    10,000 resamples for what follows from counts, 1,000 for correlations, which leave failed judgments out. The order
    of the rows changes nothing, not even a last digit.

    Args:
        observations: the rows of the slice.
        seed: of the resamples; not negative.

    Returns:
        `n` (comparisons: the sum of the weights) and `groups`; each of `STATISTICS` as `<name>`, `<name>_low` and
        `<name>_high`, unrounded, None where undefined; and `undefined`: "name, name: reason; ..." for these, "" if
        there is none ("interval of <name>" where only that is).

    Raises:
        ValueError: a weight is not 1/K.
    """
    row = Row()
    weight, unit = integer_weights(observations.weight)
    codes, group = np.unique(observations.group, return_inverse=True)
    if not len(observations):
        for name in STATISTICS:
            row.undefined(name, _NO_COMPARISON)
    else:
        _put_counts(row, observations, weight, group, codes.size, seed)
        _put_correlations(row, observations, weight, group, codes.size, seed)
    ordered = {key: row.values[key] for name in STATISTICS for key in (name, f"{name}_low", f"{name}_high")}
    return {"n": round(weight.sum() / unit), "groups": codes.size, **ordered, "undefined": row.reasons()}


def _put_counts(
    row: Row, observations: Observations, weight: Floats, group: np.ndarray, groups: int, seed: int
) -> None:
    counts = confusion(observations.label, observations.verdict, weight, group, groups)
    total = counts.sum(axis=0)
    resampled = resample_sums(counts, COUNT_RESAMPLES, seed) if groups > 1 else None
    for name, statistic in COUNT_STATISTICS.items():
        value = float(statistic(total))
        if np.isnan(value):
            row.undefined(name, _WHY_UNDEFINED[name])
        else:
            row.put(name, value, None if resampled is None else statistic(resampled))


def _put_correlations(
    row: Row, observations: Observations, weight: Floats, group: np.ndarray, groups: int, seed: int
) -> None:
    judged = observations.judged
    reason = _NOT_JUDGED if not judged.any() else ""
    if np.unique(observations.scale[judged]).size > 1:
        reason = _SCALES
    if reason:
        for name in _CORRELATIONS:
            row.undefined(name, reason)
        return
    stored = observations.difference[judged], observations.label[judged], weight[judged], group[judged]
    for form, (difference, label, weights, codes) in (("", stored), ("_symmetric", both_orders(*stored))):
        cells = Cells.of(difference, label, weights, codes, groups)
        values = correlations(cells, cells.total)
        resampled = resample_correlations(cells, groups, RANK_RESAMPLES, seed) if groups > 1 else None
        for name in Correlations._fields:
            value = float(getattr(values, name)[0])
            if np.isnan(value):
                row.undefined(name + form, _EQUAL_DIFFERENCES if cells.level_starts.size == 1 else _EQUAL_LABELS)
            else:
                row.put(name + form, value, None if resampled is None else getattr(resampled, name))
