"""Features of pairs of responses, as two tables: what turns its sign when the responses are swapped, and what stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pairs", "Table"]


@dataclass(frozen=True)
class Table:
    """Features of n pairs.

    Attributes:
        names: of the k columns, each once in all tables of a `Pairs`.
        families: of each column, one of `calf.training.features.FAMILIES`.
        values: (n, k), finite.

    Raises:
        ValueError: names, families and columns are not equally many, or a value is not finite.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not len(self.names) == len(self.families) == self.values.shape[1]:
            raise ValueError(f"{len(self.names)} names, {len(self.families)} families for {self.values.shape} values")
        if not np.isfinite(self.values).all():
            wrong = sorted({self.names[column] for column in np.flatnonzero(~np.isfinite(self.values).all(axis=0))})
            raise ValueError(f"features that are not finite: {', '.join(wrong)}")

    def __len__(self) -> int:
        return len(self.values)

    def of(self, families: tuple[str, ...]) -> Table:
        """The columns of some families, in order."""
        kept = [place for place, family in enumerate(self.families) if family in families]
        names = tuple(self.names[place] for place in kept)
        return Table(names, tuple(self.families[place] for place in kept), self.values[:, kept])


@dataclass(frozen=True)
class Pairs:
    """Features of n pairs of responses.

    Attributes:
        odd: each value turns its sign, exactly, when the two responses are swapped.
        even: each stays the same, exactly. The absolute values of `odd` are not repeated here.
    """

    odd: Table
    even: Table

    def __len__(self) -> int:
        return len(self.odd)

    def swapped(self) -> Pairs:
        """The same pairs in the other order."""
        # 0.0 - x, so that no zero gets a sign.
        return Pairs(Table(self.odd.names, self.odd.families, 0.0 - self.odd.values), self.even)

    def of(self, families: tuple[str, ...]) -> Pairs:
        """The columns of some families."""
        return Pairs(self.odd.of(families), self.even.of(families))

    def rows(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Pairs:
        """Some of the pairs, by place or by a mask."""
        odd, even = self.odd, self.even
        return Pairs(
            Table(odd.names, odd.families, odd.values[which]), Table(even.names, even.families, even.values[which])
        )
