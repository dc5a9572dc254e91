"""Reading: from a file, a folder or a hub id to records in CALF's own columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.datasets.formats import lfqa_e, xu2023
from calf.datasets.formats.huggingface import read_folder
from calf.datasets.formats.mapped import apply_mapping
from calf.datasets.formats.text import read_delimited, read_json, read_lines
from calf.datasets.problems import did_you_mean, shown
from calf.datasets.records import REQUIRED
from calf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calf.datasets.formats.table import Table

__all__ = ["SUFFIXES", "read_file", "to_records"]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""The extensions of files that CALF reads."""


def read_file(path: Path, split: str | None = None) -> Table:
    """What a file or folder holds, as it stands there.

    Args:
        path: a file with one of `SUFFIXES`, or the folder of a Hugging Face dataset.
        split: which split of the folder.

    Raises:
        DataError: it cannot be read at all. What is wrong with single records stands in the table's problems.
    """
    if path.is_dir():
        return read_folder(path, split)
    if not path.exists():
        raise DataError("no such file", path)
    if not path.is_file():
        raise DataError("neither a file nor a folder", path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"unknown kind of file {suffix!r}; CALF reads {', '.join(SUFFIXES)}", path)
    if split is not None:
        raise DataError(f"no split {split!r}: a file has no splits", path)
    if suffix in (".jsonl", ".ndjson"):
        return read_lines(path)
    if suffix == ".json":
        return read_json(path)
    if suffix == ".parquet":
        from calf.datasets.formats.arrow import read_parquet

        return read_parquet(path)
    return read_delimited(path, "\t" if suffix == ".tsv" else ",")


def to_records(table: Table, path: Path | str, mapping: Mapping[str, str] | None = None) -> Table:
    """The records in CALF's columns; which form they have is told from the first one's keys.

    Args:
        table: as read.
        path: for messages.
        mapping: for a table in another form (see `formats.mapped.apply_mapping`).

    Raises:
        DataError: there are no records, or they have no form that CALF knows.
        UnknownNameError: the mapping names what does not exist.
    """
    if not table.rows:
        if table.problems:
            return table
        raise DataError("no records in it", path)
    if mapping:
        return apply_mapping(table, mapping, path)
    line, first = table.rows[0]
    if lfqa_e.is_published(first):
        return lfqa_e.from_published(table)
    if lfqa_e.is_older(first):
        return lfqa_e.from_older(table)
    if xu2023.is_xu2023(first):
        return xu2023.from_xu2023(table)
    columns = table.columns or tuple(first)
    missing = [name for name in (*REQUIRED[1:], REQUIRED[0]) if name not in columns]
    if missing and (table.columns is not None or len(missing) >= len(REQUIRED) - 1):
        name = missing[0]
        near = did_you_mean(name, (column for column in columns if column not in REQUIRED))
        derived = ", or let CALF derive ids with --map question=question" if name == "id" else ""
        raise DataError(
            f"no column {name!r} (it has {', '.join(map(shown, columns[:12])) or 'none'}){near}; "
            f"say which one it is with --map {name}=COLUMN{derived}",
            path,
            line if table.columns is None else 1,
        )
    return table
