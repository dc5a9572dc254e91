"""Figures over several slices at once: macro-averages, and gaps between slices.

The slices share groups (a question may stand in two settings), so each resample of the groups gives all of them
together, and the interval of a gap is that of a paired difference.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, resample_sums
from calf.analysis.counts import COUNT_STATISTICS, confusion
from calf.analysis.observations import integer_weights
from calf.analysis.row import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Observations

__all__ = ["gaps", "macro_average"]

_UNDEFINED = "undefined in one of the slices"
_NOT_JUDGED = "no comparison of one of the slices was judged"


def macro_average(
    observations: Observations, parts: Mapping[str, NDArray[np.bool_]], seed: int = 0
) -> tuple[Row, int, int, int]:
    """The mean of each count statistic over the slices, each slice with the same weight.

    Args:
        observations: all rows.
        parts: the slices by name, bool (n,).
        seed: of the resamples of the groups of all slices together.

    Returns:
        The row, how many comparisons and groups the slices have together, and how many groups the smallest has.
    """
    return _combined(observations, list(parts.values()), lambda values: values.mean(axis=-1), seed)


def gaps(
    observations: Observations, parts: Mapping[str, NDArray[np.bool_]], seed: int = 0
) -> Iterator[tuple[str, str, Row, int, int, int]]:
    """For every two slices their names and each count statistic's difference, first minus second; then as above.

    Where nothing was judged in one of two slices there is no gap: all is undefined.
    """
    for first, second in combinations(parts, 2):
        masks = [parts[first], parts[second]]
        row, n, groups, fewest = _combined(observations, masks, _difference, seed)
        if not all(observations.judged[mask].any() for mask in masks):
            row = Row()
            for name in COUNT_STATISTICS:
                row.undefined(name, _NOT_JUDGED)
        yield first, second, row, n, groups, fewest


def _difference(values: Floats) -> Floats:
    return np.asarray(values[..., 0] - values[..., 1])


def _combined(
    observations: Observations, masks: list[NDArray[np.bool_]], function: Callable[[Floats], Floats], seed: int
) -> tuple[Row, int, int, int]:
    """A row of what a function makes of the slices' values, which are the last axis of its argument."""
    union = np.logical_or.reduce(masks)
    seen = observations.select(union)
    masks = [mask[union] for mask in masks]
    weight, unit = integer_weights(seen.weight)
    codes, group = np.unique(seen.group, return_inverse=True)
    counts = np.stack(
        [confusion(seen.label[m], seen.verdict[m], weight[m], group[m], codes.size) for m in masks], axis=1
    )
    resampled = resample_sums(counts, COUNT_RESAMPLES, seed) if codes.size > 1 else None
    row = Row()
    for name, statistic in COUNT_STATISTICS.items():
        value = float(function(statistic(counts.sum(axis=0))))
        if np.isnan(value):
            row.undefined(name, _UNDEFINED)
        else:
            row.put(name, value, None if resampled is None else function(statistic(resampled)))
    return row, round(weight.sum() / unit), codes.size, min(np.unique(group[mask]).size for mask in masks)
