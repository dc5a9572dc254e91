"""Figures as people and programs read them, the same in every table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["duration", "interval", "money", "number", "reasons", "whole", "write_csv"]


def write_csv(rows: Sequence[Mapping[str, Any]], stream: Any) -> None:
    """Writes rows as CSV; a value that is undefined is an empty field."""
    import csv

    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def number(value: Any) -> str:
    """A share or a correlation with three decimals; "-" where it is undefined.

    Of what is a little below 0 the sign stays, since it says on which side of 0 an interval ends.
    """
    return "-" if value is None else f"{value + 0.0:.3f}"  # -0.0 itself has no sign


def whole(value: float | None) -> str:
    """A count, thousands apart; "-" where it is unknown."""
    return "-" if value is None else f"{value:,.0f}"


def money(value: float | None) -> str:
    """An amount, to the cent, a small one to two digits; "-" where it is unknown."""
    if value is None:
        return "-"
    return f"{value:,.2f}" if value >= 0.1 or value == 0 else f"{value:.2g}"


def duration(seconds: float | None) -> str:
    """A time as people say it: "0.25 s", "12.3 s", "5 min", "3.2 h"; "-" where it is unknown."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def interval(row: Mapping[str, Any], name: str) -> str:
    """A statistic with its 95 % interval: "0.521 [0.490, 0.552]"; "failed" where no judgment was made."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if row["coverage"] == 0 and not row["slice"].startswith("gap:"):  # where it is a difference of coverages
        return "failed"
    if row[name] is None:
        return "-"
    return number(row[name]) + (f" [{number(low)}, {number(high)}]" if low is not None else "")


def reasons(row: Mapping[str, Any]) -> list[tuple[list[str], str]]:
    """What is undefined in a row: names, and why."""
    parts = (part.partition(": ") for part in str(row["undefined"]).split("; ") if part)
    return [(names.split(", "), reason) for names, _, reason in parts]
