"""Ids for rows that have none, or none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.hashing import digest

if TYPE_CHECKING:
    from calf.datasets.formats.table import Table

__all__ = ["derive_ids"]


def derive_ids(table: Table) -> None:
    """Give every row without an id one that follows from its question, context and responses.

    It stays the same when rows are added, removed or sorted; rows with the same texts are told apart by a
    number, in the file's order.
    """
    seen: dict[str, int] = {}
    for _, record in table.rows:
        if "id" not in record:
            name = digest(
                *(_key(record.get(f)) for f in ("question", "context", "response_a", "response_b")), length=12
            )
            seen[name] = seen.get(name, 0) + 1
            record["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"


def _key(value: Any) -> str:
    return value if isinstance(value, str) else ""
