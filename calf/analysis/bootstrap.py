"""Bootstrap over groups: how far a statistic would move had other groups been asked.

A resample draws as many groups as there are, with replacement; the comparisons of one group stay together (Davison and
Hinkley 1997, section 3.8). It is written as multiplicities: how often each group was drawn. These come from (seed,
number of groups) alone, so all metrics on one slice share their resamples, and their differences are paired.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from calf.analysis.observations import Floats

__all__ = [
    "COUNT_RESAMPLES",
    "MOST_UNDEFINED",
    "RANK_RESAMPLES",
    "multiplicities",
    "percentile_interval",
    "resample_sums",
    "weighted_sums",
]

COUNT_RESAMPLES = 10_000
"""Resamples for a statistic that follows from counts."""

RANK_RESAMPLES = 1_000
"""Resamples for a correlation; they are the first of `COUNT_RESAMPLES`."""

MOST_UNDEFINED = 0.05
"""An interval is undefined if the statistic is undefined in more than this share of the resamples."""

_LEVEL = 0.95
_BLOCK_BYTES = 1 << 20
_KEPT_BLOCKS = 256
_DRAWN_AT_ONCE = 1 << 15
_GROUPS_AT_ONCE = 256
_ROWS_AT_ONCE = 32
_PRODUCTS_AT_ONCE = 1 << 18
_EXACT_FLOAT32 = 1 << 24


def multiplicities(groups: int, resamples: int, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """How often each group was drawn in each resample, in blocks of shape (groups, some resamples).

    The blocks together have `resamples` columns, and each column sums to `groups`. Fewer resamples are the first ones
    of more. A block holds about a megabyte and is read-only. The last 256 are kept, but none of a slice with so many
    groups that they would not all find room.

    Args:
        groups: the number of groups, at least 1.
        resamples: the number of resamples.
        seed: not negative.
    """
    size = max(1, min(COUNT_RESAMPLES, _BLOCK_BYTES // groups))
    draw = _kept_draw if groups * COUNT_RESAMPLES <= _KEPT_BLOCKS * _BLOCK_BYTES else _draw
    for index, start in enumerate(range(0, resamples, size)):
        yield draw(seed, groups, size, index)[:, : resamples - start]


def _draw(seed: int, groups: int, size: int, index: int) -> NDArray[np.uint8]:
    # A generator per block makes blocks independent of each other, so that any can be made again when it was dropped.
    chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(groups, index))))
    # A group is never drawn 256 times: the odds with 256 groups or more are below 1 in 10^500.
    counts = np.zeros(groups * size, dtype=np.uint8)
    column = np.arange(size)
    # By so few rows that what is drawn stays in a cache: new memory costs more than the drawing.
    rows = max(1, _DRAWN_AT_ONCE // size)
    for top in range(0, groups, rows):
        drawn = chance.integers(groups, size=(min(rows, groups - top), size), dtype=np.int64)
        drawn *= size
        drawn += column
        np.add.at(counts, drawn.ravel(), np.uint8(1))
    block = counts.reshape(groups, size)
    block.flags.writeable = False
    return block


_kept_draw = lru_cache(maxsize=_KEPT_BLOCKS)(_draw)


def resample_sums(table: Floats, resamples: int, seed: int = 0) -> Floats:
    """Each resample's sum over the groups of a table of whole numbers.

    Args:
        table: shape (groups, ...), whole numbers, so that the sums are exact.
        resamples: the number of resamples.
        seed: not negative.

    Returns:
        Shape (resamples, ...).
    """
    groups = table.shape[0]
    flat = np.ascontiguousarray(table.reshape(groups, -1).T)
    sums = np.concatenate([weighted_sums(flat, block) for block in multiplicities(groups, resamples, seed)], axis=1)
    return sums.T.reshape(resamples, *table.shape[1:])


def weighted_sums(table: Floats, drawn: NDArray[np.uint8]) -> Floats:
    """The matrix product of a table of numbers, shape (k, groups), and multiplicities (groups, resamples).

    It goes by small tiles: these stay in the cache as floating point, and are below the size from which a BLAS calls on
    threads, which for so flat a product cost more than they save, by far so on a busy machine. float32 is twice as
    fast, and exact for whole numbers as long as no sum can reach 2^24. Multiples of 2^-32 are summed exactly, too.
    """
    rows, groups = table.shape
    largest = float(np.abs(table).sum(axis=1).max(initial=0.0)) * int(drawn.max(initial=0))
    exact = largest < _EXACT_FLOAT32 and bool((table == np.rint(table)).all())
    kind: type[np.float32] | type[np.float64] = np.float32 if exact else np.float64
    small = table.astype(kind)
    sums = np.zeros((rows, drawn.shape[1]))
    height = min(rows, _ROWS_AT_ONCE)
    width = max(1, _PRODUCTS_AT_ONCE // (height * min(groups, _GROUPS_AT_ONCE)))
    for left in range(0, drawn.shape[1], width):
        for top in range(0, groups, _GROUPS_AT_ONCE):
            tile = drawn[top : top + _GROUPS_AT_ONCE, left : left + width].astype(kind)
            for first in range(0, rows, height):
                part: NDArray[Any] = small[first : first + height, top : top + _GROUPS_AT_ONCE]
                sums[first : first + height, left : left + width] += part @ tile
    return sums


def percentile_interval(values: Floats) -> tuple[float, float] | None:
    """The 95 % percentile interval (Efron and Tibshirani 1993, section 13.3) of a statistic's values in the resamples.

    Resamples in which it is undefined (NaN) are left out; None if they are more than `MOST_UNDEFINED` of all.

    Args:
        values: shape (resamples,), at least one.
    """
    defined = values[~np.isnan(values)]
    if defined.size < (1.0 - MOST_UNDEFINED) * values.size:
        return None
    if defined[0] == defined[-1] and np.all(defined == defined[0]):  # as everything is of a metric that always says A
        return float(defined[0]), float(defined[0])
    # numpy's default quantiles, ten times as fast: tables have thousands of intervals.
    places = [share * (defined.size - 1) for share in ((1.0 - _LEVEL) / 2.0, (1.0 + _LEVEL) / 2.0)]
    around = [(int(place), min(int(place) + 1, defined.size - 1)) for place in places]
    defined.partition([*around[0], *around[1]])
    low, high = (
        _between(float(defined[below]), float(defined[above]), place - below)
        for place, (below, above) in zip(places, around, strict=True)
    )
    return low, high


def _between(low: float, high: float, part: float) -> float:
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)
