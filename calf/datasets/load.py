"""`load_dataset`: from a known name, a file, a folder or a hub id to a `Dataset`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from calf.datasets.dataset import Dataset
from calf.datasets.definitions import definition_files, find_definition
from calf.datasets.formats import SUFFIXES, read_file, to_records
from calf.datasets.formats.huggingface import HUB_ID, read_hub
from calf.datasets.groups import linked_groups
from calf.datasets.known import conclude, data_file
from calf.datasets.problems import Problem, problems_error
from calf.datasets.records import build_comparisons
from calf.errors import DataError, UnknownNameError, UserError
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.datasets.definitions import Definition
    from calf.datasets.formats.table import Table
    from calf.types import Comparison
    from calf.workspace import Workspace

__all__ = ["load_dataset", "load_definition", "validate_file"]


def load_dataset(
    name_or_path: str | Path,
    *,
    mapping: Mapping[str, str] | None = None,
    strip: bool = True,
    workspace: Workspace | None = None,
) -> Dataset:
    """A dataset, read strictly: every comparison is right, or nothing is returned.

    Parquet of more than 8,000 rows in CALF's columns, or mapped to them with ids, is not held in memory
    (`calf.datasets.streamed.StreamedDataset`).

    Args:
        name_or_path: a known name (`calf datasets list`), a file (JSON Lines, JSON, CSV, TSV, Parquet), the folder
            of a Hugging Face dataset (`FOLDER#split` for one of several splits), or an id on its hub
            (`owner/name:config@revision#split`). A word without `/` and extension is a known name first.
        mapping: for a file in a form of its own, from CALF's fields to its columns
            (see `calf.datasets.formats.mapped.apply_mapping`).
        strip: False leaves in the responses what the definition of a known dataset says gives them away.
        workspace: where known datasets are looked for (default: around the current folder).

    Raises:
        DataError: the file is not as it must be; names the first problem and how many more there are.
        UnknownNameError: no such dataset, nor such a file.
        UserError: a known dataset that is not fetched yet, or a hub that cannot be reached.
    """
    text = os.fspath(name_or_path)
    workspace = workspace or find_workspace()
    bare = isinstance(name_or_path, str) and not {"/", os.sep} & set(text) and not _has_data_suffix(text)
    definition = find_definition(text, workspace) if bare else None
    if definition is not None:
        if mapping:
            raise UserError(f"{text!r} is a known dataset, which needs no mapping; to read a file, write ./{text}")
        return load_definition(definition, workspace, strip=strip)
    path, split = _path_and_split(text)
    if (text and _exists(path)) or isinstance(name_or_path, Path) or _looks_like_a_path(text):
        if _exists(path) and (path.is_dir() or path.suffix.lower() == ".parquet"):
            from calf.datasets.streamed import stream  # brings numpy

            streamed = stream(path, split, path.stem, text, mapping)
            if streamed is not None:
                return streamed
        return _load(read_file(path, split), path, path.stem, text, mapping)
    if (hub_id := HUB_ID.fullmatch(text)) is not None:
        return _load(read_hub(hub_id), text, text, text, mapping)
    raise UnknownNameError("dataset", text, definition_files(workspace), "nor is there such a file")


def load_definition(definition: Definition, workspace: Workspace, *, strip: bool = True) -> Dataset:
    """The dataset of a definition, from its bundled or fetched file.

    Raises:
        UserError: not fetched yet; says how.
        DataError: the file differs from what the definition says (checksum, counts), or has problems.
    """
    path = data_file(definition, workspace)
    comparisons, problems = _read(read_file(path), path, None, definition.language)
    if problems:
        raise problems_error(problems, path)
    return Dataset(
        name=definition.name,
        comparisons=tuple(conclude(definition, comparisons, path, strip=strip)),
        notes=definition.notes,
        source=definition.name,
        card=definition.card,
    )


def validate_file(path: Path | str, mapping: Mapping[str, str] | None = None) -> tuple[Dataset | None, list[Problem]]:
    """All problems of a file (or folder), by line, and the dataset if there are none.

    Raises:
        UnknownNameError: the mapping names what does not exist.
    """
    given = os.fspath(path)
    found, split = _path_and_split(given)
    try:
        comparisons, problems = _read(read_file(found, split), found, mapping)
    except DataError as error:
        return None, [Problem(error.line, error.problem)]
    if problems:
        return None, problems
    return Dataset(found.stem, tuple(_grouped(comparisons)), source=given), []


def _load(table: Table, where: Path | str, name: str, source: str, mapping: Mapping[str, str] | None) -> Dataset:
    comparisons, problems = _read(table, where, mapping)
    if problems:
        raise problems_error(problems, where)
    return Dataset(name, tuple(_grouped(comparisons)), source=source, mapping=dict(mapping or {}))


def _read(
    table: Table, where: Path | str, mapping: Mapping[str, str] | None, language: str | None = None
) -> tuple[list[Comparison], list[Problem]]:
    """What is right in a table, and what is not, by line."""
    records = to_records(table, where, mapping)
    problems = list(records.problems)
    comparisons = build_comparisons(records.rows, problems, language)
    return comparisons, sorted(problems, key=lambda problem: problem.line or 0)


def _grouped(comparisons: list[Comparison]) -> list[Comparison]:
    """With groups linked by question and context, unless the file names them."""
    if all(c.group for c in comparisons):
        return comparisons
    groups = linked_groups(comparisons)
    return [dataclasses.replace(c, group=group) for c, group in zip(comparisons, groups, strict=True)]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


def _path_and_split(text: str) -> tuple[Path, str | None]:
    path = Path(text).expanduser()
    before, mark, split = text.rpartition("#")
    if mark and before and split and not _exists(path):
        return Path(before).expanduser(), split
    return path, None


def _has_data_suffix(text: str) -> bool:
    return text.partition("#")[0].lower().endswith(SUFFIXES)


def _looks_like_a_path(text: str) -> bool:
    return (
        _has_data_suffix(text)
        or text.startswith((".", "/", "~"))
        or text.count("/") > 1
        or ("/" in text and Path(text).parent.is_dir())
    )
