"""Hugging Face datasets: a folder, or an id on the hub."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.datasets.formats.arrow import ParquetChunks, rows_of
from calf.errors import DataError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calf.datasets.formats.table import Table

__all__ = ["HUB_ID", "parquet_files", "read_folder", "read_hub"]

HUB_ID = re.compile(
    r"(?P<name>[\w.-]+/[\w.-]+)(:(?P<config>[\w.-]+))?(@(?P<revision>[\w./-]+))?(#(?P<split>[\w.-]+))?", re.ASCII
)
"""owner/name[:config][@revision][#split]"""

_SAVED = ("dataset_info.json", "dataset_dict.json")
_DATA = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")


def read_folder(path: Path, split: str | None) -> Table:
    """A folder written by `save_to_disk`, or one with data files (and a README that says which).

    Args:
        path: the folder.
        split: which of several splits; a folder with one split needs none.
    """
    saved = any((path / name).is_file() for name in _SAVED)
    if not saved and not any(file.suffix in _DATA for file in path.rglob("*") if file.is_file()):
        raise DataError("a folder, but no dataset: neither written by `datasets` nor with data files in it", path)
    import datasets

    with _quiet(), tempfile.TemporaryDirectory(prefix="calf-") as cache:
        try:
            found = datasets.load_from_disk(str(path)) if saved else datasets.load_dataset(str(path), cache_dir=cache)
        except Exception as error:  # a damaged folder makes `datasets` raise almost anything
            raise DataError(f"not a dataset that `datasets` can read: {_one_line(error)}", path) from error
        return _table(found, split, path)


def parquet_files(path: Path, split: str | None) -> list[ParquetChunks]:
    """The Parquet files that `read_folder` would read, in order.

    [] if there are others among them, or the folder is not as it must be, which `read_folder` says.
    """
    saved = any((path / name).is_file() for name in _SAVED)
    if saved or not any(file.suffix == ".parquet" for file in path.rglob("*") if file.is_file()):
        return []
    import datasets

    with _quiet(), tempfile.TemporaryDirectory(prefix="calf-") as cache:
        try:
            builder = datasets.load_dataset_builder(str(path), cache_dir=cache)
        except Exception:  # as above
            return []
    splits = builder.config.data_files or {}
    if (split is None and len(splits) > 1) or (split is not None and split not in splits):
        return []
    found = [Path(name) for name in splits[split or next(iter(splits))]]
    if not all(file.suffix.lower() == ".parquet" and file.is_file() for file in found):
        return []
    features = builder.info.features
    return [ParquetChunks(file, None if features is None else features.to_dict()) for file in found]


def read_hub(hub_id: re.Match[str]) -> Table:
    """A dataset on the hub; it is kept in the cache of `datasets`.

    Args:
        hub_id: what `HUB_ID` matched.

    Raises:
        UserError: it cannot be had, with the reason that `datasets` gives.
    """
    import datasets

    with _quiet():
        try:
            found = datasets.load_dataset(hub_id["name"], hub_id["config"], revision=hub_id["revision"])
        except Exception as error:  # no network, no such dataset, a gated one, a damaged one: each its own class
            raise UserError(f"{hub_id[0]}: not had from the Hugging Face hub: {_one_line(error)}") from error
        return _table(found, hub_id["split"], hub_id[0])


def _table(found: Any, split: str | None, where: Path | str) -> Table:
    if isinstance(found, dict):  # a DatasetDict
        splits = ", ".join(str(name) for name in found)
        if split is None and len(found) > 1:
            raise DataError(f"it has several splits ({splits}); name one, as in {where}#{next(iter(found))}", where)
        if split is not None and split not in found:
            raise DataError(f"no split {split!r}; it has {splits}", where)
        found = found[split or next(iter(found))]
    elif split is not None:
        raise DataError(f"no split {split!r}; it has no splits", where)
    return rows_of(found.with_format("arrow")[:], found.features.to_dict())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of the library's own."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
