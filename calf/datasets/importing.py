"""`import_file`: a file of one's own becomes a known dataset; `install`: so does one that CALF made."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
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
    from collections.abc import Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.workspace import Workspace

__all__ = ["Place", "find_place", "import_file", "install"]

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
    place = find_place(name, workspace, force=force, copy=path)
    dataset, problems = validate_file(path, mapping)
    if dataset is None:
        raise problems_error(problems, path)
    origin = f" (sha256 {_sha256(path)})" if path.is_file() else ""
    about = {
        "title": f"Imported from {path.name}",
        "licence": "unknown",
        "card": f"Imported from {path.name}{origin}; the columns may have been mapped.",
    }
    return install(dataset, place, about, f"it was imported from {path.name}; import that again, with --force")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a dataset of the workspace is, or will be.

    Attributes:
        folder: `NAME/` of the workspace's data.
        taken: whether a dataset is there, which is to be replaced.
    """

    folder: Path
    taken: bool

    @property
    def name(self) -> str:
        """The dataset's."""
        return self.folder.name


def find_place(name: str, workspace: Workspace, *, force: bool = False, copy: Path | None = None) -> Place:
    """Where a new dataset of this name goes.

    Args:
        name: as `import_file` takes it.
        workspace: where it will be.
        force: whether a dataset of the workspace may be replaced.
        copy: the file that it is made from, for the message that names what is known.

    Raises:
        UserError: the name is taken or cannot be a name, or something else is there.
    """
    folder = workspace.data / name
    if not _NAME.fullmatch(name) or name.endswith(SUFFIXES):
        raise UserError(
            f"{name!r} cannot be a dataset's name: lower-case letters, digits, '.', '_' and '-', beginning with a "
            "letter or digit, and not ending like a file"
        )
    taken = definition_files(workspace).get(name)
    if taken is not None and taken != folder / "dataset.toml":
        copied = f", or if this is a copy of its file: `calf datasets fetch {name} --from {copy}`" if copy else ""
        raise UserError(f"{name!r} is a known dataset ({taken}); take another name{copied}")
    if taken is not None and not force:
        raise UserError(f"{name!r} is here already ({taken}); take another name, or replace it with --force")
    if taken is None and folder.exists():
        raise UserError(f"{folder} is in the way; take another name, or move it")
    return Place(folder, taken is not None)


def install(dataset: Dataset, place: Place, about: Mapping[str, str | Sequence[str]], unavailable: str) -> Path:
    """Keep a dataset as JSON Lines in CALF's own columns, with a definition: at once, or not at all.

    Args:
        dataset: what to keep.
        place: see `find_place`.
        about: the definition's title and licence, and what else it says (card, notes, ...).
        unavailable: what is said where the file is gone: how to make it again.

    Returns:
        The definition's file.

    Raises:
        UserError: another process was quicker, or the folder cannot be written.
    """
    try:
        _write(dataset, place, about, unavailable)
    except FileExistsError:
        raise UserError(f"{place.name!r} is here already; another import was quicker") from None
    except OSError as error:
        raise UserError(f"cannot write to {place.folder}: {error.strerror or error}") from None
    return place.folder / "dataset.toml"


def _write(dataset: Dataset, place: Place, about: Mapping[str, str | Sequence[str]], unavailable: str) -> None:
    """The new folder is made whole elsewhere, two levels down, where no definition is looked for; then it moves.

    Raises:
        FileExistsError: the folder is there, and is not to be replaced.
        OSError: something cannot be written.
    """
    folder, name = place.folder, place.name
    workshop = folder.with_name(".import")
    made, old = (workshop / f"{name}-{secrets.token_hex(6)}" for _ in range(2))
    try:
        made.mkdir(parents=True)
        data = made / f"{name}.jsonl"
        write(dataset, data)
        (made / "dataset.toml").write_text(_definition(dataset, name, about, data, unavailable), encoding="utf-8")
        if place.taken:
            folder.rename(old)
        try:
            made.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not place.taken:
                raise FileExistsError from None
            with suppress(OSError):  # unless another import was quicker
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        with suppress(OSError):  # in use by another import
            workshop.rmdir()


def _definition(
    dataset: Dataset, name: str, about: Mapping[str, str | Sequence[str]], data: Path, unavailable: str
) -> str:
    source = {"file": data.name, "sha256": _sha256(data), "unavailable": unavailable}
    settings = ", ".join(
        f"{setting} = {count}"
        for setting in dict.fromkeys(c.setting for c in dataset)
        if (count := sum(c.setting == setting for c in dataset))
    )
    expect = f"comparisons = {len(dataset)}\nsettings = {{ {settings} }}\n"
    return f"{_table({'name': name, **about})}\n[source]\n{_table(source)}\n[expect]\n{expect}"


def _table(values: Mapping[str, str | Sequence[str]]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: str | Sequence[str]) -> str:
    """A TOML string, one that ends with a line break over several lines; or a list of strings."""
    if not isinstance(value, str):
        return f"[{', '.join(map(_string, value))}]"
    if not value.endswith("\n"):
        return _string(value)
    return '"""\n' + "\n".join(_string(line)[1:-1] for line in value.split("\n")) + '"""'


def _string(value: str) -> str:
    """A TOML string: as in JSON, but for what a file's name can hold and TOML cannot."""
    plain = value.encode("utf-8", "replace").decode()
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
