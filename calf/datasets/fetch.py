"""`fetch`: the file of a known dataset, from its source or from a copy, checked before it is put in place."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import re
import secrets
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import calf
from calf.datasets.definitions import definition_files, read_definition
from calf.datasets.formats import SUFFIXES
from calf.datasets.known import find_data_file
from calf.datasets.load import load_definition
from calf.errors import DataError, UnknownNameError, UserError
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from calf.datasets.definitions import Definition
    from calf.workspace import Workspace

__all__ = ["Fetched", "fetch"]

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""

LIMIT = 4 * 2**30
"""Bytes: no dataset of comparisons is larger."""

_CHUNK = 2**20
_URL = re.compile(r"https?://", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What `fetch` did.

    Attributes:
        path: where the file is.
        origin: the URL or path that it was read from; None if it was here already.
        sha256: of the file.
        verified: whether the definition has a checksum (which then holds).
        comparisons: how many it holds.
    """

    path: Path
    origin: str | None
    sha256: str
    verified: bool
    comparisons: int


def fetch(
    name: str,
    from_: str | Path | None = None,
    *,
    workspace: Workspace | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Fetched:
    """Get the file of a known dataset, so that its name works.

    It is read into a hidden file beside its place, checked (checksum, form, expected counts), and only then put
    there, at once: a reader, or another process that does the same, never sees half a file. A file that is here
    already and right is left alone unless `from_` names another.

    Args:
        name: of a known dataset.
        from_: a local file or an http(s) URL to read instead of the definition's source.
        workspace: where it is written: `NAME/` in the workspace's `data/`, or in the user's cache.
        progress: called now and then with the bytes read, and those to read if that is known.

    Raises:
        UnknownNameError: no such dataset.
        UserError: nothing to fetch from, or it cannot be reached or written.
        DataError: the checksum or a count differs, or the file is not as it must be; nothing is written.
    """
    workspace = workspace or find_workspace()
    files = definition_files(workspace)
    if name not in files:
        raise UnknownNameError("dataset", name, files, "`calf datasets list` shows them")
    definition = read_definition(files[name])
    source = definition.source
    here = find_data_file(definition, workspace)
    if from_ is None and here is not None and (found := _if_right(definition, here, workspace)) is not None:
        return found
    if source.url is None and source.file is not None and (definition.path.parent / source.file).is_file():
        raise UserError(f"dataset {name!r} lies beside its definition {definition.path}; there is nothing to fetch")
    if from_ is None and source.url is None:
        raise UserError(
            f"dataset {name!r} has no address to fetch from: {source.unavailable or 'none is known'}; "
            f"if you have the file: `calf datasets fetch {name} --from FILE`"
        )
    origin = str(source.url if from_ is None else from_)
    file_name = _file_name(definition, origin)
    target = workspace.data / name / file_name
    with _partial(workspace.data, target.suffix) as partial:
        sha256 = _read(origin, partial, progress)
        if source.sha256 is not None and sha256 != source.sha256:
            raise DataError(
                f"its sha256 is {sha256}, but that of {name!r} is {source.sha256}; nothing is written (to use it all "
                "the same, give the file to --dataset, or import it under a name of its own)",
                origin,
            )
        count = _count(definition, partial, origin, workspace)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
        # An earlier copy in another form must not be taken for the dataset.
        for other in {source.file or file_name, *(name + suffix for suffix in SUFFIXES)} - {file_name}:
            (workspace.data / name / other).unlink(missing_ok=True)
    return Fetched(target, origin, sha256, source.sha256 is not None, count)


def _if_right(definition: Definition, path: Path, workspace: Workspace) -> Fetched | None:
    """The file that is here, if it is the dataset."""
    try:
        count = len(load_definition(definition, workspace))
    except DataError:
        return None
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Fetched(path, None, sha256, definition.source.sha256 is not None, count)


def _file_name(definition: Definition, origin: str) -> str:
    """Under what name a file is kept: its extension says its form."""
    path = origin.partition("?")[0].partition("#")[0] if _URL.match(origin) else origin
    suffix = Path(path).suffix.lower()
    named = definition.source.file
    if named is not None and (suffix == Path(named).suffix.lower() or suffix not in SUFFIXES):
        return named
    if suffix not in SUFFIXES:
        raise UserError(f"{origin}: its extension says no form that CALF reads ({', '.join(SUFFIXES)})")
    return definition.name + suffix


@contextmanager
def _partial(folder: Path, extension: str) -> Iterator[Path]:
    """A hidden file of one's own in a folder, which is gone afterwards; what cannot be written is a UserError."""
    partial = folder / f".partial-{secrets.token_hex(6)}{extension}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield partial
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            partial.unlink()


def _read(origin: str, partial: Path, progress: Callable[[int, int | None], None] | None) -> str:
    """Copies a file or URL; gives its SHA-256."""
    if _URL.match(origin):
        return _download(origin, partial, progress)
    if _SCHEME.match(origin):
        raise UserError(f"{origin}: only files, http and https addresses can be read")
    path = Path(origin).expanduser()
    if not path.is_file():
        raise DataError("no such file" if not path.exists() else "not a file; give the data file itself", origin)
    try:
        source = path.open("rb")
    except OSError as error:
        raise UserError(f"{origin}: cannot be read: {error.strerror or error}") from None
    with source:
        return _copy(source.read, partial, path.stat().st_size, progress)[0]


def _download(url: str, partial: Path, progress: Callable[[int, int | None], None] | None) -> str:
    try:
        # A host or path that is not ASCII must be quoted.
        request = urllib.request.Request(  # noqa: S310  # only http(s) comes here
            quote(url, safe="%/:=&?~#+!$,;'@()*[]"),
            headers={"User-Agent": f"calf/{calf.__version__}", "Accept-Encoding": "identity"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310  # as above
            length = response.headers.get("Content-Length", "")
            whole = int(length) if length.isdecimal() else None
            if whole is not None and whole > LIMIT:
                raise UserError(f"{url}: {whole} bytes are more than a dataset can have")

            def read(size: int) -> bytes:
                # Errors of reading must not be taken for errors of writing.
                try:
                    data: bytes = response.read(size)
                except (OSError, http.client.HTTPException) as error:
                    raise UserError(f"{url}: the connection broke off: {_reason(error)}; try again") from None
                return data

            sha256, size = _copy(read, partial, whole, progress)
    except urllib.error.HTTPError as error:
        hint = "; is the address right?" if error.code in (404, 410) else ""
        raise UserError(f"{url}: the server answers {error.code} {' '.join(str(error.reason).split())}{hint}") from None
    except urllib.error.URLError as error:
        raise UserError(f"{url}: cannot be reached: {_reason(error.reason)}") from None
    except (http.client.HTTPException, UnicodeError, ValueError) as error:
        raise UserError(f"{url}: cannot be read: {_reason(error)}") from None
    except (TimeoutError, ConnectionError) as error:  # between the request and the answer
        raise UserError(f"{url}: cannot be reached: {_reason(error)}") from None
    if whole is not None and size != whole:
        raise UserError(f"{url}: the connection broke off after {size} of {whole} bytes; try again")
    return sha256


def _reason(error: object) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _copy(
    read: Callable[[int], bytes],
    partial: Path,
    whole: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> tuple[str, int]:
    """Writes what is read; gives its SHA-256 and size."""
    sha256 = hashlib.sha256()
    size = 0
    with partial.open("xb") as file:
        while chunk := read(_CHUNK):
            size += len(chunk)
            if size > LIMIT:
                raise UserError(f"more than {LIMIT} bytes, which is more than a dataset can have")
            sha256.update(chunk)
            file.write(chunk)
            if progress is not None:
                progress(size, whole)
        file.flush()
        os.fsync(file.fileno())
    return sha256.hexdigest(), size


def _count(definition: Definition, partial: Path, origin: str, workspace: Workspace) -> int:
    """How many comparisons a file holds, if the definition's form and counts hold; a problem names the origin."""
    stand_in = dataclasses.replace(
        definition,
        path=partial.parent / definition.path.name,
        source=dataclasses.replace(definition.source, file=partial.name),
    )
    try:
        return len(load_definition(stand_in, workspace))
    except DataError as error:
        # Its hint at `validate` names the hidden file, which is gone by then.
        problem = re.sub(r" \(and (\d+) more;.*\)$", r" (and \1 more)", error.problem)
        raise DataError(f"{problem}; nothing is written", origin, error.line) from None
