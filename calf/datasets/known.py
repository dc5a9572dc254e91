"""Known datasets: where their file is, and what their definition makes of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from calf.datasets.formats import SUFFIXES
from calf.datasets.groups import group_by, linked_groups
from calf.errors import DataError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from calf.datasets.definitions import Definition, Marker
    from calf.types import Comparison
    from calf.workspace import Workspace

__all__ = ["check_counts", "conclude", "data_file", "find_data_file", "strip_markers"]


def find_data_file(definition: Definition, workspace: Workspace) -> Path | None:
    """A known dataset's file: bundled beside its definition, or fetched; None if it is not here.

    It is looked for in the definition's folder, then in `NAME/` of the workspace's data and of each `data/` folder
    that definitions come from: `source.file` first, else the only file there that CALF reads.

    Raises:
        DataError: several files could be meant.
    """
    parents = (workspace.data, *(folder / "data" for folder in workspace.definitions))
    folders = [parent / definition.name for parent in dict.fromkeys(parents)]
    if definition.source.file is not None:
        for folder in (definition.path.parent, *folders):
            if (folder / definition.source.file).is_file():
                return folder / definition.source.file
    for folder in folders:
        files = sorted(f for f in folder.glob("*") if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise DataError(f"several files here ({names}); keep the one that is the dataset {definition.name}", folder)
        if files:
            return files[0]
    return None


def data_file(definition: Definition, workspace: Workspace) -> Path:
    """A known dataset's file, which must be here and be the one that the definition means.

    Raises:
        UserError: not fetched yet.
        DataError: it has another checksum.
    """
    path = find_data_file(definition, workspace)
    name, source = definition.name, definition.source
    if path is None:
        if source.url is None:
            why = source.unavailable or "its definition names no source"
            raise UserError(
                f"dataset {name!r} is not here: {why}; if you have the file: `calf datasets fetch {name} --from FILE`"
            )
        raise UserError(f"dataset {name!r} is not fetched yet; do so with: `calf datasets fetch {name}`")
    if source.sha256 is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != source.sha256:
            raise DataError(
                f"its sha256 is {found[:12]}..., but that of {name!r} is {source.sha256[:12]}...; "
                f"fetch it again: `calf datasets fetch {name}`",
                path,
            )
    return path


def conclude(
    definition: Definition, comparisons: Sequence[Comparison], path: Path, *, strip: bool = True
) -> list[Comparison]:
    """The comparisons as the definition says: markers removed, subjects by block, groups by key; counts checked.

    Args:
        definition: of the dataset.
        comparisons: as its file holds them.
        path: the file, for messages.
        strip: False leaves the responses as they are.

    Raises:
        DataError: a count does not hold, or the group's key is missing somewhere.
    """
    subjects: list[str | None] = [c.subject for c in comparisons]
    if definition.subjects:
        subjects = [subject for subject, rows in definition.subjects for _ in range(rows)]
        if len(subjects) != len(comparisons):
            raise DataError(
                f"{definition.name} has {len(subjects)} comparisons in blocks by subject, the file {len(comparisons)}",
                path,
            )
    if definition.group_key:
        groups = group_by(comparisons, definition.group_key)
    elif all(c.group for c in comparisons):
        groups = [c.group for c in comparisons]
    else:
        groups = linked_groups(comparisons)
    markers = definition.strip if strip else ()
    made = [
        dataclasses.replace(
            c,
            subject=subject,
            group=group,
            response_a=strip_markers(c.response_a, markers),
            response_b=strip_markers(c.response_b, markers),
        )
        for c, subject, group in zip(comparisons, subjects, groups, strict=True)
    ]
    check_counts(definition, made, path)
    return made


def check_counts(definition: Definition, comparisons: Sequence[Comparison], path: Path) -> None:
    """Raises DataError with both numbers where a count is not the expected one."""
    expect = definition.expect
    settings: Counter[str] = Counter(c.setting for c in comparisons)
    counts: Iterable[tuple[str, int | None, int]] = (
        ("comparisons", expect.comparisons, len(comparisons)),
        ("questions", expect.questions, len({c.question.strip() for c in comparisons})),
        ("groups", expect.groups, len({c.group for c in comparisons})),
        *((f"{setting} comparisons", number, settings[setting]) for setting, number in expect.settings.items()),
    )
    for what, expected, found in counts:
        if expected is not None and expected != found:
            raise DataError(f"{definition.name} has {expected} {what}, this file {found}; it is not the same", path)


def strip_markers(text: str, markers: Iterable[Marker]) -> str:
    """A response without the markers, in their order; one without any of them is returned as it is."""
    for marker in markers:
        if marker.marker not in text:
            continue
        if marker.where == "anywhere":
            text = text.replace(marker.marker, "")
        elif marker.where == "start" and text.lstrip().startswith(marker.marker):
            text = text.lstrip().removeprefix(marker.marker).lstrip()
        elif marker.where == "end" and text.rstrip().endswith(marker.marker):
            text = text.rstrip().removesuffix(marker.marker).rstrip()
    return text
