"""Text files: JSON Lines, JSON, CSV and TSV."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from calf.datasets.formats.table import Table, unpack_extra
from calf.datasets.problems import Problem, shown
from calf.datasets.values import JsonError, decode_json, parse_json
from calf.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_delimited", "read_json", "read_lines"]

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_LFS = b"version https://git-lfs.github.com/spec/"
_BLANK = re.compile(r"[ \t\r\n]*")


def read_lines(path: Path) -> Table:
    """JSON Lines: an object a line; blank lines are skipped. A bad line is a problem, and the next is read."""
    return _read_lines(path, _read_bytes(path))


def _read_lines(path: Path, data: bytes) -> Table:
    table = Table()
    lines = data.split(b"\n")
    for line, raw in enumerate(lines, 1):
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            if b"\0" in data:
                raise DataError("not text: the file holds binary data", path, line) from None
            table.problems.append(Problem(line, _not_utf8(error)))
            continue
        if not text.strip(" \t\r"):
            continue
        try:
            _add(table, line, parse_json(text))
        except JsonError as error:
            torn = line == len(lines) and "in the middle" in error.reason
            table.problems.append(Problem(line, error.reason + ("; the file seems cut short" if torn else "")))
    return table


def read_json(path: Path) -> Table:
    """A JSON file: a list of objects, or an object whose key `data` holds such a list.

    The list is read record by record, so that a bad one is named by its line and those before it are kept.
    A file of JSON Lines with this extension is read as such.
    """
    data = _read_bytes(path)
    text = _decode(data, path)
    start = begin = _after_blank(text, 0)
    if text[start : start + 1] == "{":
        start = _find_data(text, start)
        if start < 0:
            return _read_lines(path, data)
    if text[start : start + 1] != "[":
        raise DataError(
            'not JSON: expected a list of objects, or {"data": [...]}', path, text.count("\n", 0, start) + 1
        )
    table = Table()
    try:
        _read_array(text, start + 1, table, inside=text[begin] == "{")
    except JsonError as error:
        line = text.count("\n", 0, error.position) + 1
        table.problems.append(Problem(line, f"{error.reason}; what follows was not read"))
    return table


def _read_array(text: str, position: int, table: Table, inside: bool) -> None:
    line, counted = 1, 0
    position = _after_blank(text, position)
    while text[position : position + 1] != "]":
        line, counted = line + text.count("\n", counted, position), position
        value, position = decode_json(text, position)
        _add(table, line, value)
        position = _after_blank(text, position)
        separator = text[position : position + 1]
        if separator == "]":
            break
        if separator != ",":
            raise JsonError(
                "not JSON: " + ("expected , or ]" if separator else "the file ends inside the list"), position
            )
        position = _after_blank(text, position + 1)
    _check_rest(text, _after_blank(text, position + 1), inside)


def _check_rest(text: str, position: int, inside: bool) -> None:
    """After the list only the rest of the object that it stands in may come, if it stands in one."""
    if inside:
        while text[position : position + 1] == ",":
            position = _after_blank(text, position + 1)
            _, position = decode_json(text, position)
            position = _after_blank(text, position)
            if text[position : position + 1] != ":":
                raise JsonError("not JSON: expected :", position)
            _, position = decode_json(text, _after_blank(text, position + 1))
            position = _after_blank(text, position)
        if text[position : position + 1] != "}":
            raise JsonError("not JSON: expected , or }", position)
        position = _after_blank(text, position + 1)
    if position < len(text):
        raise JsonError("there is more text after the list", position)


def _find_data(text: str, position: int) -> int:
    """Where the value of the key `data` begins in the object at `position`, if it is a list; else -1."""
    try:
        position = _after_blank(text, position + 1)
        while text[position : position + 1] == '"':
            key, position = decode_json(text, position)
            position = _after_blank(text, position)
            if text[position : position + 1] != ":":
                return -1
            position = _after_blank(text, position + 1)
            if key == "data":
                return position if text[position : position + 1] == "[" else -1
            _, position = decode_json(text, position)
            position = _after_blank(text, position)
            if text[position : position + 1] != ",":
                return -1
            position = _after_blank(text, position + 1)
    except JsonError:
        pass  # read as JSON Lines, it is named with its line
    return -1


def read_delimited(path: Path, delimiter: str) -> Table:
    """CSV or TSV with a header; quoted fields may hold line breaks, and be of any length."""
    text = _decode(_read_bytes(path), path)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table = Table()
    line = 1
    try:
        table.columns = _header(next(reader, []), delimiter, path)
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(table.columns):
                table.rows.append((line, dict(zip(table.columns, cells, strict=True))))
            elif cells:
                told = f"{len(cells)} columns, but the header has {len(table.columns)}"
                table.problems.append(Problem(line, told))
            line = reader.line_num + 1
    except csv.Error as error:
        open_quote = "unexpected end" in str(error)
        why = "a quoted field that begins in this row never ends" if open_quote else f"not CSV: {error}"
        table.problems.append(Problem(line, f"{why}; what follows was not read"))
    unpack_extra(table)
    return table


def _header(cells: list[str], delimiter: str, path: Path) -> tuple[str, ...]:
    if len(cells) == 1 and (other := next((c for c in ",;\t|" if c != delimiter and c in cells[0]), None)):
        raise DataError(f"the columns are separated by {other!r}; expected {delimiter!r}", path, 1)
    seen = set()
    for number, name in enumerate(cells, 1):
        if not name.strip():
            raise DataError(f"column {number} has no name", path, 1)
        if name in seen:
            raise DataError(f"two columns are named {shown(name)}", path, 1)
        seen.add(name)
    return tuple(cells)


def _add(table: Table, line: int, value: Any) -> None:
    if isinstance(value, dict):
        table.rows.append((line, value))
    else:
        table.problems.append(Problem(line, f"a record must be an object, not {shown(value)}"))


def _after_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return position if match is None else match.end()


def _read_bytes(path: Path) -> bytes:
    """A file's bytes without a UTF-8 byte order mark."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path) from None
    if data.startswith(_WIDE_BOMS):
        raise DataError("UTF-16 text; save the file as UTF-8", path, 1)
    if data.startswith(_LFS):
        raise DataError("a Git LFS pointer, not the file itself; get the file with `git lfs pull`", path, 1)
    data = data.removeprefix(_BOM)
    if not data.strip():
        raise DataError("the file is empty", path)
    return data


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if b"\0" in data:
            raise DataError("not text: the file holds binary data", path, line) from None
        raise DataError(_not_utf8(error), path, line) from None


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not UTF-8 (byte 0x{error.object[error.start]:02x}); save the file as UTF-8"
