"""The correlations over every row as it is and with A and B changed, from the rows as they are.

In half the time that twice the rows would take. With both orders, a row whose label is
decided counts once as response_a, with its difference turned towards the preferred response, e, and once as response_b,
with -e; a row with the label same counts once with its difference d and once with -d.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.counts import ratio
from calf.analysis.rank import (
    Cells,
    Correlations,
    Work,
    accumulate,
    distinct,
    rank_correlations,
    resample_correlations,
    wins,
)
from calf.types import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Integers

__all__ = ["Mirrored"]

_A, _SAME = LABELS.index("response_a"), LABELS.index("same")


@dataclass(frozen=True, slots=True, eq=False)
class Mirrored:
    """Rows summed up by whether they are decided, and by e, or by |d| where the label is same.

    Make one with `Mirrored.of`. Decided cells come first; each part is sorted.

    Attributes:
        cells: these, as cells of the labels response_a and same.
        value: e or |d|, scaled so that squares do not overflow, shape (cells,).
        opposite: for each decided cell how many are below -e, and how many below it or level with it, shape (2, k).
        same: for each decided cell how many of the label same are below |e|, and below it or level with it, (2, k).
        signs: where the decided cells with e = 0 begin, and where those above begin.
        level_order: cells by rising |value|, shape (cells,).
        level_starts: where in `level_order` each distinct |value| begins, shape (levels,).
    """

    cells: Cells
    value: Floats
    opposite: Integers
    same: Integers
    signs: tuple[int, int]
    level_order: Integers
    level_starts: Integers

    @classmethod
    def of(cls, difference: Floats, label: NDArray[np.int8], weight: Floats, group: Integers, groups: int) -> Mirrored:
        """Sort once; the arguments are those of `Cells.of`."""
        decided = label != _SAME
        turned = np.where(decided, np.where(label == _A, difference, -difference), np.abs(difference))
        folded = np.where(decided, _A, _SAME).astype(np.int8)
        cells = Cells.of(turned, folded, weight, group, groups)
        value = turned[np.lexsort((turned, folded))][cells.row_starts]
        few = cells.bounds[1]
        ahead, same = value[:few], value[few:]
        level_order = np.argsort(np.abs(value), kind="stable")
        levels = np.abs(value)[level_order]
        return cls(
            cells=cells,
            value=np.ldexp(value, -int(np.frexp(levels[-1])[1])),
            opposite=np.stack([np.searchsorted(ahead, -ahead, side) for side in ("left", "right")]),
            same=np.stack([np.searchsorted(same, np.abs(ahead), side) for side in ("left", "right")]),
            signs=(int(np.searchsorted(ahead, 0.0, "left")), int(np.searchsorted(ahead, 0.0, "right"))),
            level_order=level_order,
            level_starts=np.flatnonzero(np.concatenate(([True], levels[1:] != levels[:-1]))),
        )

    def correlations(self) -> Correlations:
        """Of the rows as they are, arrays (1,)."""
        return _correlations(self.cells, self.cells.total, Work.of(self.cells, 1), mirrored=self)

    def resample(self, groups: int, resamples: int, seed: int = 0) -> Correlations:
        """In each resample of the groups, arrays of shape (resamples,)."""
        return resample_correlations(self.cells, groups, resamples, seed, partial(_correlations, mirrored=self))


def _correlations(cells: Cells, weight: Floats, work: Work, *, mirrored: Mirrored) -> Correlations:
    """`calf.analysis.rank.correlations` of both orders, from the weights of the rows in one, (cells, resamples).

    With k and s the weights of the decided and of the same: U_ab = sum w_i w_j sign(e_i + e_j) over the decided, and
    U_as = U_sb = sum w_i w_j (sign(e_i - |d_j|) + sign(e_i + |d_j|)) = sum over e_i != 0 of sign(e_i) w_i times (the
    weight of the same with |d| below |e_i|, plus that not above it). Each |value| but 0 is two distinct differences.
    """
    few, end = cells.bounds[1], cells.bounds[3]
    one, other = work.arrays(weight.shape[1])
    of_decided, of_same = weight[:few], weight[few:]
    running, running_same = one[: few + 1], one[few + 1 : end + 2]
    decided, same = accumulate(of_decided, running), accumulate(of_same, running_same)
    below, above = mirrored.signs
    u_ab = decided * decided - wins(of_decided, running, mirrored.opposite, other)
    u_as = wins(of_decided[above:], running_same, mirrored.same[:, above:], other)
    u_as -= wins(of_decided[:below], running_same, mirrored.same[:, :below], other)

    tied, zero = weight, int(mirrored.level_order[0])
    if mirrored.level_starts.size < end:
        ordered = np.take(weight, mirrored.level_order, axis=0, out=other[:end], mode="clip")
        tied, zero = np.add.reduceat(ordered, mirrored.level_starts, axis=0, out=one[: mirrored.level_starts.size]), 0
    at_zero = tied[zero] if mirrored.value[mirrored.level_order[0]] == 0 else np.zeros(weight.shape[1])
    squares = np.multiply(tied, tied, out=other[: tied.shape[0]])
    tau, tau_c, rho = rank_correlations(
        decided,
        decided,
        2.0 * same,
        (u_ab, u_as, u_as),
        2.0 * (squares.sum(axis=0) + at_zero**2),
        2.0 * np.einsum("lr,lr->r", squares, tied) + 6.0 * at_zero**3,
        np.minimum(2 * distinct(tied) - (at_zero > 0), len(LABELS)),
    )

    # The means of differences and labels are 0.
    value = mirrored.value
    spread = np.where(np.isnan(tau), 0.0, np.sqrt(np.einsum("c,cr->r", value * value, weight)))
    r = ratio(np.einsum("c,cr->r", value[:few], of_decided), spread * np.sqrt(decided))
    return Correlations(*(np.clip(values, -1.0, 1.0) for values in (tau, tau_c, rho, r)))
