"""Arrow tables: Parquet files, and what the `datasets` library holds."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import TYPE_CHECKING, Any

from calf.datasets.formats.table import Table, unpack_extra
from calf.datasets.problems import shown
from calf.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

__all__ = ["read_parquet", "rows_of"]


def read_parquet(path: Path) -> Table:
    """A Parquet file; a row's number stands for its line."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or _one_line(error)}", path) from None
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"not a Parquet file: {_one_line(error)}", path) from None
    return rows_of(found, _features_of(found.schema))


def rows_of(table: pa.Table, features: dict[str, Any]) -> Table:
    """The rows of an Arrow table as plain JSON values.

    Args:
        table: of any columns.
        features: the `datasets` features of the columns as plain values: the numbers of a `ClassLabel` become
            its names. Empty where there are none.
    """
    columns = {}
    for name in table.column_names:
        try:
            columns[name] = table.column(name).to_pylist()
        except UnicodeDecodeError:
            raise DataError(f"column {shown(name)} holds text that is not UTF-8") from None
    for name, values in columns.items():
        feature = features.get(name)
        columns[name] = [_plain(value, feature) for value in values]
    names = tuple(columns)
    rows = [(row, dict(zip(names, cells, strict=True))) for row, cells in enumerate(zip(*columns.values()), 1)]  # noqa: B905 -- columns of one table have one length, and there may be none
    read = Table(rows, columns=names)
    unpack_extra(read)
    return read


def _features_of(schema: pa.Schema) -> dict[str, Any]:
    """The features that the `datasets` library writes into a Parquet file's schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _plain(value: Any, feature: Any) -> Any:
    """A value as JSON has it; what has no form there stays, and becomes a problem of its row."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, list):
        inner = feature[0] if isinstance(feature, list) and feature else None
        if isinstance(feature, dict):
            inner = feature.get("feature")
        return [_plain(item, inner) for item in value]
    if isinstance(value, dict):
        features = feature if isinstance(feature, dict) else {}
        return {key: _plain(item, features.get(key)) for key, item in value.items()}
    if isinstance(value, int) and isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        names = feature.get("names") or []
        return names[value] if 0 <= value < len(names) else None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal) else value


def _one_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
