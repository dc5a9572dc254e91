"""What a reader makes of a file, before its columns mean anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from calf.datasets.problems import Problem
from calf.datasets.values import JsonError, parse_json

__all__ = ["Row", "Table", "unpack_extra"]

Row = tuple[int, dict[str, Any]]
"""The line (or row number) where a record begins, and the record."""


@dataclass(slots=True)
class Table:
    """Records with their lines.

    Attributes:
        rows: in the file's order.
        problems: what could not be read as a record.
        columns: the names of the columns, where the file fixes them for all records.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    columns: tuple[str, ...] | None = None


def unpack_extra(table: Table) -> None:
    """Put what a column `extra` holds (a JSON object, as CALF writes it) in its place, row by row.

    In tables every column has one type, so `calf.datasets.writing` puts there what has no column of its own; within
    annotations too.
    """
    for line, record in table.rows:
        annotations = record.get("annotations")
        inner = annotations if isinstance(annotations, list) else []
        try:
            for holder in (record, *(annotation for annotation in inner if isinstance(annotation, dict))):
                _unpack(holder)
        except JsonError as error:
            table.problems.append(Problem(line, f"the column 'extra': {error.reason}"))


def _unpack(holder: dict[str, Any]) -> None:
    text = holder.get("extra", False)
    if text is None or text == "":
        del holder["extra"]
    elif isinstance(text, str) and text.startswith("{"):
        del holder["extra"]
        unpacked = parse_json(text)
        holder.update({name: value for name, value in unpacked.items() if name not in holder})
