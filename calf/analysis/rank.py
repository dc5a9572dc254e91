"""Correlations of the score difference with the label, each under many weightings at once.

They are Kendall's tau-b, Stuart's tau-c, Spearman's rho and Pearson's r.

The label is coded +1 (response_a), 0 (same), -1 (response_b). With three classes, the rank correlations follow from
three Mann-Whitney sums, U(hi, lo) = sum of w_i w_j sign(d_i - d_j) over i in class hi, j in class lo, from the totals
of the classes and from those of tied differences. One sort serves all resamples: a resample is a vector of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from calf.analysis.bootstrap import multiplicities, weighted_sums
from calf.analysis.counts import ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Integers

__all__ = [
    "Cells",
    "Correlations",
    "Work",
    "accumulate",
    "correlations",
    "distinct",
    "rank_correlations",
    "resample_correlations",
    "wins",
]

_FEW_CELLS = 64
_FEW_LEVELS = 32
_LABELS = 3
# So many that work arrays fit a cache; not a power of two, since a cache maps such strides to few places.
_RESAMPLES_AT_ONCE = 60
_NUMBERS_AT_ONCE = 1 << 21  # of a work array; from 35,000 cells on this bounds the memory


class Correlations(NamedTuple):
    """Each an array (resamples,) in [-1, 1]; NaN where the differences are all equal, or the labels are.

    Attributes:
        kendall_tau: tau-b. It is 1 only where differences tie if and only if labels do.
        tau_c: Stuart's tau-c: 1 can be reached, or nearly, by many different differences and few labels.
    """

    kendall_tau: Floats
    tau_c: Floats
    spearman: Floats
    pearson: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Rows summed up by (label, difference): rows that agree in both count as one cell with their total weight.

    Make one with `Cells.of`. Cells stand by label (response_a, response_b, same), then by rising difference.

    Attributes:
        value: the difference, shifted and scaled so that squares neither overflow nor cancel, shape (cells,).
        bounds: where each label's cells begin, and the end, shape (4,).
        below: for the pairs of labels (A, B), (A, same), (same, B): how many cells of the second lie below each cell of
            the first, and how many lie below it or level with it, shape (2, cells of the first).
        level_order: cells by rising difference, shape (cells,).
        level_starts: where in `level_order` each distinct difference begins, shape (levels,).
        group, weight: of the rows, cell by cell, shape (n,).
        row_starts: where in these each cell begins, shape (cells,).
        table: weight of each group in each cell, shape (cells, groups), if cells are few; else None.
    """

    value: Floats
    bounds: tuple[int, int, int, int]
    below: tuple[Integers, Integers, Integers]
    level_order: Integers
    level_starts: Integers
    group: Integers
    weight: Floats
    row_starts: Integers
    table: Floats | None

    @classmethod
    def of(cls, difference: Floats, label: NDArray[np.int8], weight: Floats, group: Integers, groups: int) -> Cells:
        """Sort once.

        Args:
            difference: finite, shape (n,), n at least 1.
            label: 0, 1 or 2, shape (n,).
            weight: whole numbers (`integer_weights`), shape (n,).
            group: each in range(groups), shape (n,).
            groups: the number of groups, those without a row among them.
        """
        order = np.lexsort((difference, label))
        sorted_difference, sorted_label = difference[order], label[order]
        new = np.ones(order.size, dtype=np.bool_)
        new[1:] = (sorted_difference[1:] != sorted_difference[:-1]) | (sorted_label[1:] != sorted_label[:-1])
        row_starts = np.flatnonzero(new)
        value = sorted_difference[row_starts]
        cells = value.size
        first, second, third = (int(b) for b in np.searchsorted(sorted_label[row_starts], (0, 1, 2)))
        of_a, of_b, of_s = value[first:second], value[second:third], value[third:]
        level_order = np.argsort(value, kind="stable")
        levels = value[level_order]
        level_starts = np.flatnonzero(np.concatenate(([True], levels[1:] != levels[:-1])))
        group, weight = group[order], weight[order]
        table = None
        if cells <= _FEW_CELLS:
            place = (np.cumsum(new) - 1) * groups + group
            table = np.asarray(np.bincount(place, weights=weight, minlength=cells * groups), dtype=np.float64)
            table = table.reshape(cells, groups)
        return cls(
            value=_scaled(value),
            bounds=(first, second, third, cells),
            below=(_below(of_a, of_b), _below(of_a, of_s), _below(of_s, of_b)),
            level_order=level_order,
            level_starts=level_starts,
            group=group,
            weight=weight,
            row_starts=row_starts,
            table=table,
        )

    @property
    def total(self) -> Floats:
        """The weights of the cells as they are, shape (cells, 1)."""
        return np.add.reduceat(self.weight, self.row_starts)[:, np.newaxis]

    def resampled(self, drawn: NDArray[np.uint8], out: Floats | None = None) -> Floats:
        """The weights of the cells in each resample, shape (cells, resamples), from (groups, resamples).

        `out`, shape (n, resamples), saves new memory, which is slow.
        """
        if self.table is not None:
            return weighted_sums(self.table, drawn)
        rows = np.empty((self.group.size, drawn.shape[1])) if out is None else out
        rows[...] = drawn[self.group]
        if (self.weight != 1.0).any():
            rows *= self.weight[:, np.newaxis]
        return rows if self.row_starts.size == self.group.size else np.add.reduceat(rows, self.row_starts, axis=0)


def resample_correlations(
    cells: Cells,
    groups: int,
    resamples: int,
    seed: int = 0,
    statistic: Callable[[Cells, Floats, Work], Correlations] | None = None,
) -> Correlations:
    """The correlations (or what `statistic` has instead of them) in each resample of the groups, shape (resamples,)."""
    statistic = statistic or correlations
    step = min(_RESAMPLES_AT_ONCE, max(1, _NUMBERS_AT_ONCE // cells.value.size))
    rows, work = np.empty(cells.group.size * step), Work.of(cells, step)
    parts = []
    for block in multiplicities(groups, resamples, seed):
        for start in range(0, block.shape[1], step):
            drawn = block[:, start : start + step]
            out = rows[: cells.group.size * drawn.shape[1]].reshape(-1, drawn.shape[1])
            parts.append(statistic(cells, cells.resampled(drawn, out), work))
    return Correlations(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class Work(NamedTuple):
    """Memory for two arrays of numbers by cell and resample, to be used again and again, since new memory is slow."""

    first: Floats
    second: Floats

    @classmethod
    def of(cls, cells: Cells, resamples: int) -> Work:
        """For at most so many resamples at once."""
        size = (cells.value.size + 2) * resamples  # two cumulative sums begin with 0
        return cls(np.empty(size), np.empty(size))

    def arrays(self, resamples: int) -> tuple[Floats, Floats]:
        """Both, shape (cells + 2, resamples)."""
        rows = self.first.size // resamples
        size = rows * resamples
        return self.first[:size].reshape(rows, -1), self.second[:size].reshape(rows, -1)


def correlations(cells: Cells, weight: Floats, work: Work | None = None) -> Correlations:
    """Kendall's tau-b, Stuart's tau-c, Spearman's rho (mid-ranks) and Pearson's r under each weighting.

    A whole weight counts as that many rows. With W the total, T_l the total of a distinct difference, A, B, S those of
    the labels, and U as above: tau-b = (U_ab + U_as + U_sb) / sqrt((W^2 - sum T^2)/2 (W^2 - A^2 - B^2 - S^2)/2)
    (Kendall 1945; pairs of a row with itself cancel). tau-c = 2 (U_ab + U_as + U_sb) / (W^2 (m - 1) / m), where m is
    how many distinct differences, or how many labels if these are fewer, have weight (Stuart 1953). rho is the Pearson
    correlation of the mid-ranks, whose sums of squares are (W^3 - sum T^3)/12 and (W^3 - A^3 - B^3 - S^3)/12 (Kendall
    and Gibbons 1990, section 3.8).

    Args:
        weight: whole numbers, not negative, shape (cells, resamples).
    """
    first, second, third, end = cells.bounds
    of_a, of_b, of_s = weight[first:second], weight[second:third], weight[third:]
    one, other = (work or Work.of(cells, weight.shape[1])).arrays(weight.shape[1])
    running_b, running_s = one[: third - second + 1], one[third - second + 1 : end - second + 2]
    a, b, s = of_a.sum(axis=0), accumulate(of_b, running_b), accumulate(of_s, running_s)
    w = a + b + s
    u_ab = wins(of_a, running_b, cells.below[0], other) - a * b
    u_as = wins(of_a, running_s, cells.below[1], other) - a * s
    u_sb = wins(of_s, running_b, cells.below[2], other) - s * b

    tied = weight
    if cells.level_starts.size < cells.value.size:
        ordered = np.take(weight, cells.level_order, axis=0, out=other[:end], mode="clip")
        tied = np.add.reduceat(ordered, cells.level_starts, axis=0, out=one[: cells.level_starts.size])
    squares = np.multiply(tied, tied, out=other[: tied.shape[0]])
    tau, tau_c, rho = rank_correlations(
        a, b, s, (u_ab, u_as, u_sb), squares.sum(axis=0), np.einsum("lr,lr->r", squares, tied), distinct(tied)
    )

    # Two passes (deviations from each resample's own mean), as moments about 0 cancel. The labels' moments are exact.
    mean = ratio(np.einsum("c,cr->r", cells.value, weight), w)
    deviation = np.subtract(cells.value[:, np.newaxis], mean, out=one[:end])
    weighted = np.multiply(weight, deviation, out=other[:end])
    sum_a, sum_b = weighted[first:second].sum(axis=0), weighted[second:third].sum(axis=0)
    # What rounding left of the sum of deviations, which is 0.
    rest = sum_a + sum_b + weighted[third:].sum(axis=0)
    sum_xx = np.einsum("cr,cr->r", weighted, deviation) - ratio(rest * rest, w)
    sum_xy = sum_a - sum_b - ratio(rest * (a - b), w)
    sum_yy = ratio(w * (a + b) - (a - b) ** 2, w)
    # Whether the differences are all equal is known exactly from the ranks, not from a sum of rounded squares.
    spread = np.where(np.isnan(tau), 0.0, np.sqrt(np.maximum(sum_xx, 0.0)))
    r = ratio(sum_xy, spread * np.sqrt(sum_yy))
    return Correlations(*(np.clip(values, -1.0, 1.0) for values in (tau, tau_c, rho, r)))


def rank_correlations(
    a: Floats,
    b: Floats,
    s: Floats,
    won: tuple[Floats, Floats, Floats],
    squares: Floats,
    cubes: Floats,
    levels: Integers,
) -> tuple[Floats, Floats, Floats]:
    """tau-b, tau-c and rho from what they are made of, all (resamples,).

    Args:
        a, b, s: the total of each label.
        won: U_ab, U_as, U_sb.
        squares, cubes: sum of T_l^2, of T_l^3.
        levels: how many distinct differences have weight; 3 if they are more.
    """
    u_ab, u_as, u_sb = won
    u, w = u_ab + u_as + u_sb, a + b + s
    free_x = w * w - squares
    free_y = w * w - (a * a + b * b + s * s)
    tau = ratio(u, np.sqrt(free_x) * np.sqrt(free_y) / 2.0)
    fewest = np.minimum(levels, np.count_nonzero((a, b, s), axis=0))
    tau_c = ratio(2.0 * u * fewest, w * w * (fewest - 1))
    rank_x = w * w * w - cubes
    rank_y = w * w * w - (a * a * a + b * b * b + s * s * s)
    product = (w + s) * u_ab + (w - b) * u_as + (w - a) * u_sb
    return tau, tau_c, ratio(3.0 * product, np.sqrt(rank_x) * np.sqrt(rank_y))


def _scaled(value: Floats) -> Floats:
    """The values minus their middle one, in [-1, 1]."""
    exponent = int(np.frexp(np.abs(value).max())[1])  # scaling by a power of two keeps the difference from overflowing
    small = np.ldexp(value, -exponent)
    small = small - np.sort(small)[small.size // 2]
    largest = np.abs(small).max()
    return np.asarray(small / largest if largest > 0 else small)


def distinct(tied: Floats) -> Integers:
    """How many distinct differences have weight, but 3 (as many as labels) if they are more, shape (resamples,)."""
    found = np.count_nonzero(tied[:_FEW_LEVELS], axis=0)
    # The first of them mostly settle it: three have weight in every resample.
    if tied.shape[0] > _FEW_LEVELS and found.min() < _LABELS:
        found = np.count_nonzero(tied, axis=0)
    return np.asarray(np.minimum(found, _LABELS), dtype=np.int64)


def accumulate(weight: Floats, running: Floats) -> Floats:
    """Puts cumulative weights, beginning with 0, into an array (cells + 1, resamples); returns the last ones."""
    running[0] = 0.0
    np.cumsum(weight, axis=0, out=running[1:])
    return np.array(running[-1])


def _below(high: Floats, low: Floats) -> Integers:
    """For each of `high`, how many of the sorted `low` are below it, and how many are not above, shape (2, high)."""
    return np.stack([np.searchsorted(low, high, side="left"), np.searchsorted(low, high, side="right")])


def wins(of_high: Floats, running_low: Floats, below: Integers, work: Floats) -> Floats:
    """Sum over the cells of one class of weight times (the other's weight below it, plus that not above it)."""
    under, level = (
        np.einsum("cr,cr->r", of_high, np.take(running_low, cells, axis=0, out=work[: cells.size], mode="clip"))
        for cells in below
    )
    return np.asarray(under + level)
