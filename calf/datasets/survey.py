"""Two passes over a file of many comparisons, of which all is kept but the texts.

The first links groups, the second checks every row and takes down what analyses need. Neither holds more than one chunk
of rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.datasets.dataset import sign
from calf.datasets.formats import to_records
from calf.datasets.problems import Problem, problems_error, shown
from calf.datasets.records import build_comparison
from calf.datasets.texts import overlaps_of
from calf.errors import DataError
from calf.metrics.tokenize import length_of
from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calf.datasets.formats.arrow import ParquetChunks
    from calf.datasets.formats.table import Table
    from calf.types import Comparison

__all__ = ["CHUNK", "CODED", "Columns", "Linked", "comparisons_of", "link_groups", "survey"]

CHUNK = 5_000
"""Rows that are read at once."""

CODED = ("setting", "label", "language", "subject", "source_a", "source_b")
"""Fields with few values."""

_EXAMPLES = 1_000
_UNGROUPED = "no group here, but other rows have one; give every row a group, or none"


@dataclass(frozen=True, slots=True, eq=False)
class Linked:
    """The groups of the rows of a file.

    Attributes:
        group: the code of each row's group, shape (n,).
        first: the first row of each group, shape (groups,); a linked group has the id of this row.
        names: the names of the groups, if the file gives them.
    """

    group: NDArray[np.int64]
    first: NDArray[np.int64]
    names: Sequence[str] | None


@dataclass(slots=True, eq=False)
class Columns:
    """What is kept of all rows. Arrays have shape (n,).

    Attributes:
        ids: the ids.
        codes: of each of `CODED` the places of the values in `words`.
        words: of each of `CODED` its values, None perhaps among them.
        linked: the groups.
        length_a, length_b: the responses' lengths (`calf.metrics.tokenize.length_of`).
        overlap: of the preferred response with the reference (`calf.datasets.texts.overlaps_of`).
        reference: whether there is a reference.
        annotated, annotator, annotation: of each annotation its row, annotator and the code of its label.
        extra_names: the names of the columns that CALF does not know.
        examples: some comparisons of each language, evenly spread.
        fingerprint: the dataset's.
    """

    linked: Linked
    ids: list[str] = field(default_factory=list)
    codes: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    words: dict[str, list[Any]] = field(default_factory=dict)
    length_a: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    length_b: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    overlap: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    reference: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    annotated: list[int] = field(default_factory=list)
    annotator: list[str] = field(default_factory=list)
    annotation: list[int] = field(default_factory=list)
    extra_names: set[str] = field(default_factory=set)
    examples: list[Comparison] = field(default_factory=list)
    fingerprint: str = ""


def link_groups(files: Sequence[ParquetChunks], mapping: Mapping[str, str]) -> Linked:
    """The groups that `calf.datasets.groups.linked_groups` would make, or those that the file names.

    Texts are compared by 64 bits of a hash: of a million, two different ones are taken for the same with a probability
    of 3 in 100 million.
    """
    texts: dict[str, list[NDArray[np.uint64]]] = {"question": [], "context": []}
    names: list[str] = []
    for file in files:
        places = {name: mapping.get(name, name) for name in ("question", "context", "group")}
        columns = [column for column in places.values() if column in file.columns]
        for _, table in file.tables(CHUNK, columns=columns):
            cells = {
                name: table.column(column).to_pylist() if column in file.columns else [column[1:]] * table.num_rows
                for name, column in places.items()
                if column in file.columns or column.startswith(":")
            }
            if "group" in cells:
                names += ("" if name is None else str(name) for name in cells["group"])
            for name, found in texts.items():
                values = cells.get(name) or [""] * table.num_rows
                found.append(np.fromiter(map(_mark, values), dtype=np.uint64, count=table.num_rows))
    if any(map(str.strip, names)):
        distinct, first, group = np.unique(np.array(names, dtype=object), return_index=True, return_inverse=True)
        return Linked(group.astype(np.int64), first.astype(np.int64), distinct.tolist())
    group = _linked(*(np.concatenate(found) for found in texts.values()))
    first = np.full(int(group.max()) + 1, group.size, dtype=np.int64)
    np.minimum.at(first, group, np.arange(group.size))
    return Linked(group, first, None)


def _mark(text: Any) -> int:
    stripped = text.strip() if isinstance(text, str) else ""
    if not stripped:
        return 0
    digest = hashlib.blake2b(stripped.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _linked(question: NDArray[np.uint64], context: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The component of each row: rows with one question, or one context that is not 0, are in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = question.size
    marks = np.stack([question, context])
    ends, starts = [], []
    offset = n  # rows come first, then the distinct texts
    for of_kind in marks:
        rows = np.flatnonzero(of_kind)
        distinct, place = np.unique(of_kind[rows], return_inverse=True)
        starts.append(rows)
        ends.append(place + offset)
        offset += distinct.size
    row, column = np.concatenate(starts), np.concatenate(ends)
    edges = coo_array((np.ones(row.size, dtype=np.int8), (row, column)), shape=(offset, offset))
    component = connected_components(edges, directed=False)[1][:n]
    return np.unique(component, return_inverse=True)[1].astype(np.int64)


def comparisons_of(
    table: Table, file: ParquetChunks, before: int, mapping: Mapping[str, str] | None, columns: Columns
) -> Iterator[tuple[int, Comparison | None, list[Problem]]]:
    """The comparisons of a chunk: the row's number in its file, the comparison or None, and what is wrong.

    Args:
        table: the chunk.
        file: where it is from.
        before: how many rows the files before it have.
        columns: with the groups of all rows, and at least the ids of the rows before each that is asked for.
    """
    linked, ids = columns.linked, columns.ids
    records = to_records(table, file.path, mapping)
    told: dict[int, list[Problem]] = {}
    for problem in records.problems:
        told.setdefault(problem.line or 0, []).append(problem)
    rows = dict(records.rows)
    for line in sorted({*rows, *told}):
        problems = told.get(line, [])
        comparison = None
        if line in rows:
            record = rows[line]
            if linked.names is None:
                row = before + line - 1
                first = int(linked.first[linked.group[row]])
                name = str(record.get("id")) if first == row else ids[first]
                record = {**record, "group": name or "of a row that is wrong"}
            comparison = build_comparison(line, record, problems)
        yield line, comparison, problems


class _Spread:
    """At most `_EXAMPLES` of a stream, evenly spread."""

    def __init__(self) -> None:
        self.kept: list[Comparison] = []
        self._step = 1
        self._seen = 0

    def add(self, comparison: Comparison) -> None:
        if self._seen % self._step == 0:
            self.kept.append(comparison)
            if len(self.kept) >= 2 * _EXAMPLES:
                self.kept = self.kept[::2]
                self._step *= 2
        self._seen += 1


def survey(files: Sequence[ParquetChunks], where: Path, mapping: Mapping[str, str] | None, linked: Linked) -> Columns:
    """Reads every row.

    Args:
        files: in order.
        where: what the user named, for messages.

    Raises:
        DataError: a row is not as it must be; names the first problem, and how many more there are.
    """
    made = Columns(linked)
    measured: dict[str, list[Any]] = {name: [] for name in ("length_a", "length_b", "overlap", "reference")}
    codes: dict[str, list[Any]] = {name: [] for name in CODED}
    words: dict[str, dict[Any, int]] = {name: {} for name in CODED}
    spread: dict[str, _Spread] = {}
    seen: set[str] = set()
    sha = hashlib.sha256()
    wrong: list[tuple[Path, Problem]] = []
    before, ungrouped = 0, False
    for file in files:
        for _, table in file.read(CHUNK):
            good: list[Comparison] = []
            for line, comparison, problems in comparisons_of(table, file, before, mapping, made):
                if comparison is not None and not comparison.group and not ungrouped:
                    ungrouped = True  # is said once
                    problems.append(Problem(line, _UNGROUPED))
                name = "" if comparison is None else comparison.id
                if name and name in seen:
                    problems.append(Problem(line, _twice(name, made.ids, files)))
                seen.add(name)
                made.ids.append(name)
                wrong += ((file.path, problem) for problem in problems)
                if comparison is not None and not wrong:  # once something is wrong, the rest is only checked
                    good.append(comparison)
                    sha.update(sign(comparison))
                    spread.setdefault(comparison.language, _Spread()).add(comparison)
                    made.extra_names |= comparison.extra.keys()
                    for annotation in comparison.annotations:
                        made.annotated.append(before + line - 1)
                        made.annotator.append(annotation.annotator)
                        made.annotation.append(LABELS.index(annotation.label))
            for field_, known in words.items():
                places = [known.setdefault(getattr(c, field_), len(known)) for c in good]
                codes[field_].append(np.array(places, dtype=np.int32))
            measured["length_a"].append(np.array([length_of(c.response_a, c.language) for c in good], dtype=np.int64))
            measured["length_b"].append(np.array([length_of(c.response_b, c.language) for c in good], dtype=np.int64))
            measured["overlap"].append(overlaps_of(good))
            measured["reference"].append(np.array([c.reference is not None for c in good], dtype=np.bool_))
        before += file.rows
    if wrong:
        path, problem = wrong[0]
        told = problems_error([problem for _, problem in wrong], where)
        raise DataError(told.problem, path, problem.line)
    for name, parts in measured.items():
        setattr(made, name, np.concatenate(parts))
    made.codes = {name: np.concatenate(parts) for name, parts in codes.items()}
    made.words = {name: list(known) for name, known in words.items()}
    made.examples = [c for _, of_language in sorted(spread.items()) for c in of_language.kept]
    made.fingerprint = sha.hexdigest()
    return made


def _twice(name: str, ids: Sequence[str], files: Sequence[ParquetChunks]) -> str:
    place, of_file = ids.index(name), ""
    for file in files:
        of_file = f" of {file.path.name}" if len(files) > 1 else ""
        if place < file.rows:
            break
        place -= file.rows
    return f"the id {shown(name)} is already on line {place + 1}{of_file}; ids are unique"
