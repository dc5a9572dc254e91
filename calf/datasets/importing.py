"""`import_file`: a file of one's own becomes a known dataset."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from calf.datasets.definitions import definition_files
from calf.datasets.formats import SUFFIXES
from calf.datasets.load import validate_file
from calf.datasets.problems import problems_error
from calf.datasets.writing import write
from calf.errors import UserError
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.datasets.dataset import Dataset
    from calf.workspace import Workspace

__all__ = ["import_file"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def import_file(
    path: str | Path,
    name: str,
    mapping: Mapping[str, str] | None = None,
    *,
    force: bool = False,
    workspace: Workspace | None = None,
) -> Path:
    """Check a file, and keep it as JSON Lines in CALF's own columns, with a definition, under a name.

    Both are written to the folder `NAME/` of the workspace's `data/` (or of the user's cache), at once or not at
    all. The definition can be completed by hand (title, licence, card, markers to strip).

    Args:
        path: a file that CALF reads, or the folder of a Hugging Face dataset.
        name: lower-case letters, digits, ".", "_" and "-"; not one that is known.
        mapping: for a file in a form of its own.
        force: replace a dataset that was imported under this name before.
        workspace: where it is written.

    Returns:
        The definition's file.

    Raises:
        UserError: the name is taken or cannot be a name, or the folder cannot be written.
        DataError: the file is not as it must be; names the first problem and how many more there are.
    """
    workspace = workspace or find_workspace()
    path = Path(path).expanduser()
    folder = workspace.data / name
    if not _NAME.fullmatch(name) or name.endswith(SUFFIXES):
        raise UserError(
            f"{name!r} cannot be a dataset's name: lower-case letters, digits, '.', '_' and '-', beginning with a "
            "letter or digit, and not ending like a file"
        )
    taken = definition_files(workspace).get(name)
    if taken is not None and taken != folder / "dataset.toml":
        raise UserError(
            f"{name!r} is a known dataset ({taken}); take another name, or if this is a copy of its file: "
            f"`calf datasets fetch {name} --from {path}`"
        )
    if taken is not None and not force:
        raise UserError(f"{name!r} is here already ({taken}); take another name, or replace it with --force")
    if taken is None and folder.exists():
        raise UserError(f"{folder} is in the way; take another name, or move it")
    dataset, problems = validate_file(path, mapping)
    if dataset is None:
        raise problems_error(problems, path)
    try:
        _write(dataset, path, name, folder, replace=taken is not None)
    except FileExistsError:
        raise UserError(f"{name!r} is here already; another import was quicker") from None
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from None
    return folder / "dataset.toml"


def _write(dataset: Dataset, path: Path, name: str, folder: Path, *, replace: bool) -> None:
    """The new folder is made whole elsewhere, two levels down, where no definition is looked for; then it moves.

    Raises:
        FileExistsError: the folder is there, and is not to be replaced.
        OSError: something cannot be written.
    """
    workshop = folder.with_name(".import")
    made, old = (workshop / f"{name}-{secrets.token_hex(6)}" for _ in range(2))
    try:
        made.mkdir(parents=True)
        data = made / f"{name}.jsonl"
        write(dataset, data)
        (made / "dataset.toml").write_text(_definition(dataset, path, name, _sha256(data)), encoding="utf-8")
        if replace:
            folder.rename(old)
        try:
            made.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not replace:
                raise FileExistsError from None
            with suppress(OSError):  # unless another import was quicker
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        with suppress(OSError):  # in use by another import
            workshop.rmdir()


def _definition(dataset: Dataset, path: Path, name: str, sha256: str) -> str:
    origin = f" (sha256 {_sha256(path)})" if path.is_file() else ""
    values = {
        "name": name,
        "title": f"Imported from {path.name}",
        "licence": "unknown",
        "card": f"Imported from {path.name}{origin}; the columns may have been mapped.",
    }
    source = {
        "file": f"{name}.jsonl",
        "sha256": sha256,
        "unavailable": f"it was imported from {path.name}; import that again, with --force",
    }
    settings = ", ".join(
        f"{setting} = {count}"
        for setting in dict.fromkeys(c.setting for c in dataset)
        if (count := sum(c.setting == setting for c in dataset))
    )
    expect = f"comparisons = {len(dataset)}\nsettings = {{ {settings} }}\n"
    return f"{_table(values)}\n[source]\n{_table(source)}\n[expect]\n{expect}"


def _table(values: Mapping[str, str]) -> str:
    return "".join(f"{key} = {_string(value)}\n" for key, value in values.items())


def _string(value: str) -> str:
    """A TOML string: as in JSON, but for what a file's name can hold and TOML cannot."""
    plain = value.encode("utf-8", "replace").decode()
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
