"""Problems: what is wrong in a file of comparisons, one value each, so that all of them can be listed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Problem", "did_you_mean", "problems_error", "shown"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        line: the 1-based line (Parquet and Hugging Face datasets: row) where it is; None if it concerns the file.
        text: what is wrong and how to mend it, one line.
    """

    line: int | None
    text: str


def problems_error(problems: Sequence[Problem], path: Path | str) -> DataError:
    """The first of `problems` as an error, which says how many more there are."""
    first, others = problems[0], len(problems) - 1
    more = f" (and {others} more; `calf datasets validate {path}` lists all)" if others else ""
    return DataError(first.text + more, path, first.line)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` if something known is near, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value in a message: one short line."""
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    if value is None:
        return "null"
    if isinstance(value, (bool, int, float)):
        return str(value)[:40].lower()
    return {"dict": "an object", "list": "a list"}.get(type(value).__name__, type(value).__name__)
