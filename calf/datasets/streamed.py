"""A dataset of so many comparisons that its texts stay in its Parquet files, to be read chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from calf.datasets.dataset import MANY, Dataset, limited_groups
from calf.datasets.formats.arrow import ParquetChunks
from calf.datasets.formats.huggingface import parquet_files
from calf.datasets.formats.lfqa_e import is_older, is_published
from calf.datasets.formats.xu2023 import is_xu2023
from calf.datasets.survey import CHUNK, CODED, Columns, comparisons_of, link_groups, survey
from calf.errors import DataError
from calf.types import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Part", "StreamedDataset", "stream"]

STREAMED_FROM = MANY
"""Files with more rows are streamed."""


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk of rows of one file.

    Attributes:
        file: its place among the files.
        first: its first row in that file, from 0.
        start, stop: its rows in the dataset.
    """

    file: int
    first: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class StreamedDataset(Dataset):
    """A dataset, or a selection of one, whose comparisons are read from its files whenever they are asked for.

    What is known of it without the texts is in memory: `values` of the fields with few values, `ids`, and what
    `columns` has. Everything else reads the files anew.

    Attributes:
        comparisons: read chunk by chunk.
        files: in order.
        columns: of all rows of the files.
        rows: the rows that belong to the dataset, rising.
    """

    comparisons: Sequence[Comparison] = field(init=False, repr=False)
    files: Sequence[ParquetChunks] = field(kw_only=True)
    columns: Columns = field(kw_only=True)
    rows: NDArray[np.int64] = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "comparisons", _Comparisons(self))  # the dataclass is frozen

    def __len__(self) -> int:
        return int(self.rows.size)

    @property
    def whole(self) -> bool:
        """Whether all rows of the files belong to it."""
        return len(self) == len(self.columns.ids)

    @cached_property
    def fingerprint(self) -> str:
        """As `Dataset.fingerprint`."""
        return self.columns.fingerprint if self.whole else super().fingerprint

    @cached_property
    def ids(self) -> Sequence[str]:
        """The comparisons' ids."""
        return self.columns.ids if self.whole else [self.columns.ids[row] for row in self.rows]

    @cached_property
    def group(self) -> NDArray[np.int64]:
        """The code of each comparison's group."""
        return self.columns.linked.group[self.rows]

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return int(np.unique(self.group).size)

    def group_names(self) -> list[str]:
        """The name of each comparison's group."""
        linked = self.columns.linked
        if linked.names is not None:
            return [linked.names[code] for code in self.group.tolist()]
        return [self.columns.ids[row] for row in linked.first[self.group].tolist()]

    @property
    def extra_names(self) -> set[str]:
        """The names of all other columns of the file."""
        return self.columns.extra_names

    def values(self, column: str) -> list[Any]:
        """As `Dataset.values`; but for a few fields this reads the files."""
        if column in CODED:
            words = self.columns.words[column]
            return [words[code] for code in self.columns.codes[column][self.rows].tolist()]
        if column in ("id", "group"):
            return list(self.ids) if column == "id" else self.group_names()
        return super().values(column)

    def code(self, column: str, words: Sequence[Any]) -> NDArray[np.int64]:
        """The places of a field's values in `words`; -1 for those that are not there. For one of `CODED`."""
        known = [words.index(word) if word in words else -1 for word in self.columns.words[column]]
        return np.array([*known, -1], dtype=np.int64)[self.columns.codes[column][self.rows]]

    def select(
        self,
        *,
        settings: Sequence[str] = (),
        subjects: Sequence[str] = (),
        languages: Sequence[str] = (),
        limit: int | None = None,
        seed: int = 0,
    ) -> StreamedDataset:
        """As `Dataset.select`."""
        kept = np.ones(len(self), dtype=np.bool_)
        for column, wanted in (("setting", settings), ("subject", subjects), ("language", languages)):
            if wanted:
                kept &= self.code(column, list(wanted)) >= 0
        found = self.subset(self.rows[kept])
        if limit is None or limit >= len(found):
            return found
        names = found.group_names()
        chosen = limited_groups(names, limit, seed)
        return self.subset(found.rows[np.array([name in chosen for name in names], dtype=np.bool_)])

    def subset(self, rows: NDArray[np.int64]) -> StreamedDataset:
        """Only these rows of the files; itself if they are the same."""
        return self if np.array_equal(rows, self.rows) else replace(self, rows=rows)

    def replace(self, comparisons: Sequence[Comparison]) -> Dataset:
        """The same dataset with other comparisons, which are in memory."""
        if comparisons is self.comparisons:
            return self
        return Dataset(self.name, tuple(comparisons), self.notes, self.source, self.card, self.mapping)

    def in_memory(self) -> Dataset:
        """The same dataset as an ordinary one, with all its texts."""
        return self.replace(tuple(self.comparisons))

    @cached_property
    def parts(self) -> Sequence[Part]:
        """The chunks of all rows of the files."""
        found, before = [], 0
        for place, file in enumerate(self.files):
            for first in range(0, file.rows, CHUNK):
                stop = min(first + CHUNK, file.rows)
                found.append(Part(place, first, before + first, before + stop))
            before += file.rows
        return found

    def rows_in(self, part: Part) -> NDArray[np.int64]:
        """The dataset's rows that are in a part, as rows of the files."""
        begin, end = np.searchsorted(self.rows, (part.start, part.stop))
        return self.rows[begin:end]

    def read(self, wanted: Callable[[Part], bool]) -> Iterator[tuple[Part, list[Comparison]]]:
        """The wanted parts, in order, with those of their comparisons that belong to the dataset.

        Raises:
            DataError: a file is not what it was.
        """
        before = 0
        for place, file in enumerate(self.files):
            of_file = {part.first: part for part in self.parts if part.file == place}
            for first, table in file.read(CHUNK, lambda first, parts=of_file: wanted(parts[first])):  # type: ignore[misc]  # mypy takes no default for a variable of the loop
                part = of_file[first]
                mine = set(self.rows_in(part).tolist())
                found = []
                for line, comparison, _ in comparisons_of(table, file, before, self.mapping, self.columns):
                    row = before + line - 1
                    if comparison is None or comparison.id != self.columns.ids[row]:
                        raise DataError("the file is not what it was when it was opened; start again", file.path, line)
                    if row in mine:
                        found.append(comparison)
                yield part, found
            before += file.rows


class _Comparisons(Sequence[Comparison]):
    """The comparisons of a streamed dataset, read when they are asked for."""

    def __init__(self, dataset: StreamedDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Comparison]:
        data = self._dataset
        for _, found in data.read(lambda part: data.rows_in(part).size > 0):
            yield from found

    @overload
    def __getitem__(self, place: int) -> Comparison: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Comparison]: ...
    def __getitem__(self, place: int | slice) -> Comparison | Sequence[Comparison]:
        rows = self._dataset.rows[place]
        found = list(self._dataset.subset(np.atleast_1d(rows)).comparisons) if np.size(rows) else []
        return found if isinstance(place, slice) else found[0]


def stream(
    path: Path, split: str | None, name: str, source: str, mapping: Mapping[str, str] | None
) -> StreamedDataset | None:
    """The dataset of a Parquet file, or of a folder with such files, if it has many rows, in CALF's columns.

    Args:
        path: the file or folder.
        split: of the folder.
        name, source: of the dataset.
        mapping: as `load_dataset` has it.

    Returns:
        None if it is to be read whole: it has few rows, or no ids, or is in a form whose rows are not comparisons.

    Raises:
        DataError: it cannot be read, or a row is not as it must be.
    """
    files = parquet_files(path, split) if path.is_dir() else [ParquetChunks(path)] if _is_parquet(path, split) else []
    if sum(file.rows for file in files) <= STREAMED_FROM:
        return None
    columns = dict.fromkeys(files[0].columns)
    if is_published(columns) or is_older(columns) or is_xu2023(columns):
        return None
    if "id" not in columns and "id" not in (mapping or {}):
        return None
    files = [file for file in files if file.rows]
    made = survey(files, path, mapping, link_groups(files, mapping or {}))
    rows = np.arange(len(made.ids), dtype=np.int64)
    return StreamedDataset(name, source=source, mapping=dict(mapping or {}), files=files, columns=made, rows=rows)


def _is_parquet(path: Path, split: str | None) -> bool:
    return split is None and path.is_file() and path.suffix.lower() == ".parquet"
