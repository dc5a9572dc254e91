"""Resamples of correlations over very many rows, to first order: one pass over the rows serves all resamples.

A correlation is a function of a few sums over the groups' multiplicities m (how often each was drawn): the labels'
totals and the moments are sums over groups, Mann-Whitney's are over pairs of groups, those of tied differences over
pairs and triples. Of a sum over pairs or triples, what is linear in m - 1 is kept (Hajek's projection; van der Vaart
1998, section 12.1); the correlation itself is the usual function of these sums. What is left out shrinks with the
number of rows and groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.bootstrap import resample_sums
from calf.analysis.counts import ratio
from calf.analysis.rank import Correlations, rank_correlations
from calf.types import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Integers

__all__ = ["resample_projected"]

_MIRROR = np.array([1, 0, 2], dtype=np.int8)
_A, _B, _S = range(len(LABELS))
_SIGN = np.array([1.0, -1.0, 0.0])


def resample_projected(
    difference: Floats,
    label: NDArray[np.int8],
    weight: Floats,
    group: Integers,
    groups: int,
    resamples: int,
    seed: int = 0,
    *,
    both_orders: bool = False,
) -> Correlations:
    """The correlations in each resample of the groups, shape (resamples,), to first order.

    Args:
        difference: finite, not all equal, shape (n,).
        label: 0, 1 or 2, shape (n,).
        weight: whole numbers (`calf.analysis.observations.integer_weights`), shape (n,).
        group: each in range(groups), shape (n,).
        groups: the number of groups.
        resamples, seed: as in `calf.analysis.bootstrap.multiplicities`.
        both_orders: of every row as it is and with A and B changed (`calf.analysis.mirrored`).
    """
    if both_orders:
        difference = np.concatenate([difference, -difference])
        label = np.concatenate([label, _MIRROR[label]])
        weight, group = np.tile(weight, 2), np.tile(group, 2)
    columns: list[Floats] = []
    constants: list[float] = []

    def put(derivative: Floats, value: float) -> None:
        """A sum over the rows' groups: each group's derivative, and its value where every group is drawn once."""
        of_group = np.bincount(group, weights=derivative, minlength=groups)
        columns.append(np.asarray(of_group, dtype=np.float64))
        constants.append(value - float(of_group.sum()))

    for code in (_A, _B, _S):
        mine = np.where(label == code, weight, 0.0)
        put(mine, float(mine.sum()))
    for high, low in ((_A, _B), (_A, _S), (_S, _B)):
        derivative = weight * _won(difference, label, weight, high, low)
        put(derivative, float(derivative.sum()) / 2.0)
    level = np.unique(difference, return_inverse=True)[1]
    tied = np.bincount(level, weights=weight).astype(np.float64)
    of_row = tied[level]
    put(2.0 * weight * of_row, float((tied**2).sum()))
    put(3.0 * weight * of_row**2, float((tied**3).sum()))
    x = _standard(difference, weight)
    for moment in (x, x * x, x * _SIGN[label]):
        put(weight * moment, float((weight * moment).sum()))

    sums = resample_sums(np.stack(columns, axis=1), resamples, seed) + np.array(constants)
    a, b, s, u_ab, u_as, u_sb, squares, cubes, sum_x, sum_xx, sum_xy = sums.T
    levels = np.full(resamples, min(tied.size, len(LABELS)))
    tau, tau_c, rho = rank_correlations(a, b, s, (u_ab, u_as, u_sb), squares, cubes, levels)
    w = a + b + s
    spread = np.sqrt(np.maximum(sum_xx - ratio(sum_x * sum_x, w), 0.0) * ((a + b) - ratio((a - b) ** 2, w)))
    r = ratio(sum_xy - ratio(sum_x * (a - b), w), spread)
    return Correlations(*(np.clip(values, -1.0, 1.0) for values in (tau, tau_c, rho, r)))


def _won(difference: Floats, label: NDArray[np.int8], weight: Floats, high: int, low: int) -> Floats:
    """By how much each row of two labels adds to U(high, low): the other label's weight on its right side, minus that
    on its wrong one; 0 for the rows of the third label."""
    found = np.zeros(label.size)
    for own, other, sign in ((high, low, 1.0), (low, high, -1.0)):
        others = np.flatnonzero(label == other)
        others = others[np.argsort(difference[others], kind="stable")]
        mine = np.flatnonzero(label == own)
        mine = mine[np.argsort(difference[mine], kind="stable")]  # in order, so that the search is quick
        running = np.concatenate([[0.0], np.cumsum(weight[others])])
        below, level = (np.searchsorted(difference[others], difference[mine], side) for side in ("left", "right"))
        found[mine] = sign * (running[below] + running[level] - running[-1])
    return found


def _standard(difference: Floats, weight: Floats) -> Floats:
    """The differences minus their mean, of about unit size."""
    small = np.ldexp(difference, -int(np.frexp(np.abs(difference).max())[1]))  # squares do not overflow
    centred = small - np.average(small, weights=weight)
    return np.asarray(centred / np.abs(centred).max())
