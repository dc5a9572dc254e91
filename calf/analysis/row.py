"""Collects what one row of a table says: values, their intervals, and the reasons for those that are undefined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.analysis.bootstrap import MOST_UNDEFINED, percentile_interval

if TYPE_CHECKING:
    from calf.analysis.observations import Floats

__all__ = ["FEW_GROUPS", "ONE_GROUP", "Row", "Share", "Value"]

Value = float | int | str | bool | None

FEW_GROUPS = 50
"""Below so many groups a percentile interval is too short."""

ONE_GROUP = "fewer than 2 groups"
_RARE = f"undefined in more than {MOST_UNDEFINED:.0%} of the resamples".replace("%", " %")


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """A statistic that is a ratio of two sums over rows, so that one pass resamples many of them.

    Attributes:
        numerator, denominator: float64 (n,), weights within; whole numbers or multiples of 2^-32: sums are exact.
        reason: why it is undefined if the denominators sum to 0.
    """

    numerator: Floats
    denominator: Floats
    reason: str


class Row:
    """Values by name, each with `<name>_low` and `<name>_high` where it has an interval."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self._reasons: dict[str, list[str]] = {}

    def undefined(self, name: str, reason: str, *, interval: bool = True) -> None:
        """A statistic without a value."""
        for key in (name, f"{name}_low", f"{name}_high") if interval else (name,):
            self.values[key] = None
        self._reasons.setdefault(reason, []).append(name)

    def plain(self, name: str, value: Value) -> None:
        """A value that has no interval."""
        self.values[name] = value

    def plain_or_undefined(self, name: str, value: float, reason: str) -> None:
        """A value that has no interval; undefined for that reason if it is NaN."""
        if math.isnan(value):
            self.undefined(name, reason, interval=False)
        else:
            self.plain(name, value)

    def put(self, name: str, value: float, resampled: Floats | None) -> None:
        """A defined value, and its interval; None for the resampled values if there is one group."""
        interval = None if resampled is None else percentile_interval(resampled)
        if interval is None:
            self._reasons.setdefault(ONE_GROUP if resampled is None else _RARE, []).append(f"interval of {name}")
        self.values[name] = value
        self.values[f"{name}_low"], self.values[f"{name}_high"] = interval or (None, None)

    def without_interval(self, name: str, value: float, reason: str) -> None:
        """A defined value whose interval would say nothing."""
        self._reasons.setdefault(reason, []).append(f"interval of {name}")
        self.values[name] = value
        self.values[f"{name}_low"] = self.values[f"{name}_high"] = None

    def take(self, other: Row) -> None:
        """All that another row holds."""
        self.values.update(other.values)
        for reason, names in other._reasons.items():
            self._reasons.setdefault(reason, []).extend(names)

    def reasons(self) -> str:
        """ "name, name: reason; ..." for all that is undefined."""
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in self._reasons.items())
