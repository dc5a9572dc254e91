"""Arrow tables: Parquet files, and what the `datasets` library holds."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
from typing import TYPE_CHECKING, Any

from calf.datasets.formats.table import Table, unpack_extra
from calf.datasets.problems import shown
from calf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

__all__ = ["ParquetChunks", "read_parquet", "rows_of"]

_BUFFER = 1 << 20


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


class ParquetChunks:
    """A Parquet file that is read some rows at a time, so that never much of it is in memory.

    Args:
        path: the file.
        features: as `rows_of` has them; None: those that the file names.

    Raises:
        DataError: it is no Parquet file, or cannot be read.
    """

    def __init__(self, path: Path, features: dict[str, Any] | None = None) -> None:
        self.path = path
        with self._opened() as file:
            self.rows: int = file.metadata.num_rows
            self.columns: tuple[str, ...] = tuple(file.schema_arrow.names)
            self.features = _features_of(file.schema_arrow) if features is None else features

    def tables(
        self, size: int, wanted: Callable[[int], bool] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Chunks of `size` rows (the last has what is left), each with the number of its first row, from 0.

        Args:
            size: rows in a chunk.
            wanted: which chunks to read, by their first row; None: all.
            columns: which columns to read; None: all.

        Raises:
            DataError: the file is damaged.
        """
        import pyarrow as pa

        wants = wanted or (lambda _: True)
        with self._opened() as file:
            here = 0
            pieces: list[Any] = []
            for number in range(file.metadata.num_row_groups):
                end = here + file.metadata.row_group(number).num_rows
                if not any(map(wants, range(here - here % size, end, size))):
                    here, pieces = end, []
                    continue
                for batch in file.iter_batches(size, row_groups=[number], columns=columns):
                    taken = 0
                    while taken < batch.num_rows:
                        first = here - here % size
                        count = min(first + size - here, batch.num_rows - taken)
                        pieces.append(batch.slice(taken, count))
                        here, taken = here + count, taken + count
                        if here == first + size or here == self.rows:
                            if wants(first):
                                yield first, pa.Table.from_batches(pieces)
                            pieces = []

    def read(self, size: int, wanted: Callable[[int], bool] | None = None) -> Iterator[tuple[int, Table]]:
        """The same chunks as plain rows, numbered as in the whole file."""
        for first, table in self.tables(size, wanted):
            yield first, rows_of(table, self.features, first + 1)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # A file may be one row group: it is read page by page.
            with pq.ParquetFile(self.path, buffer_size=_BUFFER, pre_buffer=False) as file:
                yield file
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or _one_line(error)}", self.path) from None
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"not a Parquet file: {_one_line(error)}", self.path) from None


def rows_of(table: pa.Table, features: dict[str, Any], first: int = 1) -> Table:
    """The rows of an Arrow table as plain JSON values.

    Args:
        table: of any columns.
        features: the `datasets` features of the columns as plain values: the numbers of a `ClassLabel` become
            its names. Empty where there are none.
        first: the number of the first row.
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
    rows = [(row, dict(zip(names, cells, strict=True))) for row, cells in enumerate(zip(*columns.values()), first)]  # noqa: B905 -- columns of one table have one length, and there may be none
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
    """What Arrow says, without the path, which stands before it in any case."""
    return str(error).partition("\n")[0].rpartition("': ")[2]
