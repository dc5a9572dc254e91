"""Any other table, by a mapping from CALF's fields to its columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from calf.datasets.formats.derived import derive_ids
from calf.datasets.formats.table import Table
from calf.datasets.problems import shown
from calf.datasets.records import FIELDS
from calf.errors import UnknownNameError
from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calf.types import Label

__all__ = ["apply_mapping"]

_COMMON: dict[str, Label] = {
    "response_a": "response_a",
    "a": "response_a",
    "response_b": "response_b",
    "b": "response_b",
    "same": "same",
    "tie": "same",
}
"""How labels are often written, in any case; anything else needs `label:VALUE=...`."""


def apply_mapping(table: Table, mapping: Mapping[str, str], path: Path | str) -> Table:
    """The table in CALF's columns.

    Args:
        table: as read.
        mapping: from a field to a column; `:text` instead of a column is a constant. `label:VALUE` translates a
            label, e.g. `{"label:model_a": "response_a"}`; a few common spellings (`A`, `b`, `tie`) need none.
            Columns that already have a field's name need no entry, other columns are kept as they are.
        path: for messages.

    Raises:
        UnknownNameError: no such field, column or label.
    """
    columns = dict.fromkeys(table.columns or (key for _, record in table.rows for key in record))
    fields: dict[str, str] = {}
    labels: dict[str, str] = {}
    for key, value in mapping.items():
        if key.startswith("label:"):
            if value not in LABELS:
                raise UnknownNameError("label", value, LABELS, f"in the mapping of {key!r}")
            labels[key.removeprefix("label:")] = value
        elif key not in FIELDS:
            raise UnknownNameError("field", key, FIELDS, "on the left of a mapping stands one of CALF's fields")
        elif not value.startswith(":") and value not in columns:
            raise UnknownNameError("column", value, columns, f"of {path}")
        else:
            fields[key] = value
    taken = {*fields.values(), *fields}
    made = Table(problems=table.problems)
    for line, record in table.rows:
        converted = {name: value for name, value in record.items() if name not in taken}
        for name, column in fields.items():
            if column.startswith(":"):
                converted[name] = column[1:]
            elif column in record:
                converted[name] = record[column]
        if "label" in converted:
            converted["label"] = _label(converted["label"], labels)
        made.rows.append((line, converted))
    derive_ids(made)
    return made


def _label(value: Any, labels: Mapping[str, str]) -> Any:
    """The label that a value means; the value itself, which becomes a problem, if that is unknown."""
    text = value if isinstance(value, str) else json.dumps(value) if isinstance(value, (int, float)) else shown(value)
    known = labels.get(text) or _COMMON.get(text.strip().casefold())
    return known if known is not None else value
