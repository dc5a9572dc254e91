"""Definitions of known datasets: one TOML file each, in the `data/` folders of `Workspace.definitions`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from calf.datasets.problems import did_you_mean, shown
from calf.errors import DataError
from calf.types import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.workspace import Workspace

__all__ = [
    "Definition",
    "Expected",
    "Marker",
    "Published",
    "Source",
    "definition_files",
    "find_definition",
    "read_definition",
]

Where = Literal["start", "end", "anywhere"]
_WHERE: tuple[Where, ...] = ("start", "end", "anywhere")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a dataset's file comes from.

    Attributes:
        url: what `fetch` downloads; None if it is nowhere to be had.
        revision: the commit or version that the url names.
        sha256: of the file; None means unverified.
        file: its path, from the definition's folder (bundled data) or from the folder `NAME` of fetched data.
        unavailable: why there is no url, a clause: "announced, but not published".
    """

    url: str | None = None
    revision: str | None = None
    sha256: str | None = None
    file: str | None = None
    unavailable: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """Counts that must hold after reading; None where it is not known."""

    comparisons: int | None = None
    questions: int | None = None
    groups: int | None = None
    settings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marker:
    """A text that is removed from responses, with the white space that sets it off; at the start or end only once."""

    marker: str
    where: Where = "anywhere"


@dataclass(frozen=True, slots=True)
class Published:
    """A figure as its source reports it, in percent; None where it reports none."""

    metric: str
    what: str
    source: str
    accuracy: float | None = None
    macro_f1: float | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A known dataset.

    Attributes:
        name: what `--dataset` takes.
        path: the definition's file.
        title, summary: a line each.
        card: what a reader must know of it, Markdown.
        notes: sentences that every table made from it must say.
        licence: as found, or "none stated".
        homepage: address of its repository or paper.
        source: where its file comes from.
        expect: counts that must hold.
        language: of every comparison that names none; None: told from the texts, one by one.
        subjects: (subject, rows) of contiguous blocks, in order, for a file that names none.
        group_key: columns whose values make a group; empty: linked by question and context.
        strip: texts that give a response away.
        published: figures to compare with.
    """

    name: str
    path: Path
    title: str
    summary: str = ""
    card: str = ""
    notes: tuple[str, ...] = ()
    licence: str = "none stated"
    homepage: str = ""
    source: Source = field(default_factory=Source)
    expect: Expected = field(default_factory=Expected)
    language: str | None = None
    subjects: tuple[tuple[str, int], ...] = ()
    group_key: tuple[str, ...] = ()
    strip: tuple[Marker, ...] = ()
    published: tuple[Published, ...] = ()


def definition_files(workspace: Workspace) -> dict[str, Path]:
    """The files of all known datasets by name, sorted: `data/NAME.toml` or `data/NAME/dataset.toml`, first wins."""
    found: dict[str, Path] = {}
    for folder in workspace.definitions:
        data = folder / "data"
        for file in sorted(data.glob("*.toml")):
            found.setdefault(file.stem, file)
        for file in sorted(data.glob("*/dataset.toml")):
            found.setdefault(file.parent.name, file)
    return dict(sorted(found.items()))


def find_definition(name: str, workspace: Workspace) -> Definition | None:
    """The definition of that name; None if there is none. Raises DataError if its file is wrong."""
    file = definition_files(workspace).get(name)
    return None if file is None else read_definition(file)


def read_definition(path: Path) -> Definition:
    """A definition from its file.

    Raises:
        DataError: not TOML, an unknown or missing key, a value of the wrong type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path) from None
    except UnicodeDecodeError:
        raise DataError("not UTF-8", path) from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"not TOML: {error}", path) from None
    return _Parser(path).definition(table)


class _Parser:
    """Reads the tables of one definition file; every method raises DataError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def bad(self, text: str) -> DataError:
        return DataError(text, self.path)

    def definition(self, table: dict[str, Any]) -> Definition:
        name = self.path.parent.name if self.path.name == "dataset.toml" else self.path.stem
        read = self.table(table, "", _TOP, ("title",))
        if not _NAME.fullmatch(name):
            raise self.bad(f"{name!r} cannot be a dataset's name: lower-case letters, digits, '.', '_' and '-'")
        if read.pop("name", name) != name:
            raise self.bad(f"name must be {name!r}, as the file is named")
        source = self.source(read.pop("source", {}))
        expect = self.expected(read.pop("expect", {}))
        subjects = [self.table(t, "subjects", {"subject": str, "rows": int}) for t in read.pop("subjects", [])]
        strip = [self.marker(t) for t in read.pop("strip", [])]
        published = [
            Published(**self.table(t, "published", _PUBLISHED, ("metric", "what", "source")))
            for t in read.pop("published", [])
        ]
        group_key = read.pop("group_key", [])
        return Definition(
            name=name,
            path=self.path,
            source=source,
            expect=expect,
            subjects=tuple((block["subject"], block["rows"]) for block in subjects),
            strip=tuple(strip),
            published=tuple(published),
            group_key=self.texts("group_key", [group_key] if isinstance(group_key, str) else group_key),
            notes=self.texts("notes", read.pop("notes", [])),
            **read,
        )

    def source(self, table: Any) -> Source:
        source = Source(**self.table(table, "source", dict.fromkeys(Source.__dataclass_fields__, str), ()))
        if source.sha256 is not None and not _SHA256.fullmatch(source.sha256):
            raise self.bad("source.sha256 must be 64 lower-case hexadecimal digits")
        file = source.file
        if file is None and source.url is not None:
            file = PurePosixPath(unquote(urlsplit(source.url).path)).name or None
        if file is not None and (".." in PurePosixPath(file).parts or PurePosixPath(file).is_absolute()):
            raise self.bad(f"source.file must stay inside the folder, not {shown(file)}")
        return Source(source.url, source.revision, source.sha256, file, source.unavailable)

    def expected(self, table: Any) -> Expected:
        kinds = {"comparisons": int, "questions": int, "groups": int, "settings": dict}
        read = self.table(table, "expect", kinds, ())
        self.table(read.get("settings", {}), "expect.settings", dict.fromkeys(SETTINGS, int), ())
        return Expected(**read)

    def marker(self, table: Any) -> Marker:
        marker = Marker(**self.table(table, "strip", {"marker": str, "where": str}, ("marker",)))
        if marker.where not in _WHERE or not marker.marker.strip():
            raise self.bad(f"strip needs a marker that is not blank, and where = one of {', '.join(_WHERE)}")
        return marker

    def texts(self, key: str, values: Any) -> tuple[str, ...]:
        if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
            raise self.bad(f"{key} must be a list of strings")
        return tuple(values)

    def table(
        self, table: Any, name: str, kinds: Mapping[str, Any], required: tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        """A table whose keys are all known, of the right type, and there if `required` (default: all)."""
        dotted = f"{name}." if name else ""
        if not isinstance(table, dict):
            raise self.bad(f"{name} must be a table, not {shown(table)}")
        for key, value in table.items():
            if key not in kinds:
                raise self.bad(f"unknown key {dotted + key!r}{did_you_mean(key, kinds)}")
            if not isinstance(value, kinds[key]) or isinstance(value, bool):
                raise self.bad(f"{dotted + key} has a value of the wrong type: {shown(value)}")
        for key in kinds if required is None else required:
            if key not in table:
                raise self.bad(f"no {dotted + key!r}")
        return dict(table)


_TOP = {
    "name": str,
    "title": str,
    "summary": str,
    "card": str,
    "notes": list,
    "licence": str,
    "homepage": str,
    "source": dict,
    "expect": dict,
    "language": str,
    "subjects": list,
    "group_key": (str, list),
    "strip": list,
    "published": list,
}
_PUBLISHED = {"metric": str, "what": str, "source": str, "accuracy": (int, float), "macro_f1": (int, float)}
