"""Reads lists in a model's answer: the points of a reference, and which of them a response covers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from calf.judges.answers import Object, Unread, answer_of, arrays, is_refusal, objects, plain, shortened, was_cut

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_booleans", "read_points"]

_YES = frozenset(
    (
        "true",
        "yes",
        "y",
        "t",
        "1",
        "covered",
        "present",
        "included",
        "mentioned",
        "supported",
        "✓",
        "✔",
        "✅",
        "√",
        "是",
        "是的",
        "有",
        "对",
        "真",
        "覆盖",
        "已覆盖",
        "包含",
        "涵盖",
        "提到",
        "提及",
        "正确",
    )
) | {"fully covered", "is covered"}
_NO = frozenset(
    (
        "false",
        "no",
        "n",
        "f",
        "0",
        "missing",
        "absent",
        "uncovered",
        "✗",
        "✘",
        "❌",
        "×",
        "否",
        "无",
        "没有",
        "不",
        "不是",
        "不是的",
        "假",
        "未覆盖",
        "没有覆盖",
        "不包含",
        "未包含",
        "未涵盖",
        "未提到",
        "未提及",
        "没有提到",
        "错误",
    )
) | {"not covered", "not present", "not included", "not mentioned", "not supported", "is not covered"}
_EDGE = " \t\n\"'`*_#[](){}<>.。,;:、|-–—"

_ITEM = re.compile(
    (
        r"^[ \t]*(?:(?:point|key point|item|要点|第)[ \t]*)?\(?(\d{1,3})(?:[ \t]*[.)、:]|[ \t]*(?:点"
        r"|条)[:、,]?|[ \t]+-)[ \t]*(.+)$"
    ),
    re.I | re.M,
)
_INLINE_ITEM = re.compile(
    r"(?<![\w.])(\d{1,3})[ \t]*[.)、:\-=]+[ \t]*(.+?)(?=[\s,;。、]*(?<![\w.])\d{1,3}[ \t]*[.)、:\-=]|\s*\Z)", re.S
)
_BULLET = re.compile(
    r"^[ \t]{0,3}(?:[-*+•·–●▪①-⑳]|[(（]?\d{1,3}[.)、:：）．]|(?:point|key point"
    r"|要点)\s*\d{1,3}\s*[.:：、])[ \t]*(.*)$",
    re.I,
)
_KEYS = (
    "covered",
    "value",
    "answer",
    "present",
    "result",
    "verdict",
    "included",
    "mentioned",
    "覆盖",
    "是否覆盖",
    "结果",
)
_OPPOSITE = re.compile(r"(?:\b|_)(?:not|un\w+|missing|absent|omitted|lacking|wrong)(?:\b|_)|未|没|缺|遗漏|不|漏", re.I)
# What follows a yes or no and takes some of it back.
_HEDGED = re.compile(
    r"\b(?:but|however|although|though|partly|partial\w*|wrong\w*|incorrect\w*|yes and|and no|does not|doesn't"
    r"|in part|only)\b"
    r"|但|不过|部分|不完整|错|有误",
    re.I,
)
_TEXT_KEYS = ("point", "text", "key_point", "content", "statement", "fact", "claim", "要点", "内容")


def read_booleans(text: str, count: int, finish: str | None = None) -> tuple[bool, ...] | Unread:
    """Which of `count` points are covered: a JSON list, "1. yes 2. no", one word a line, 是 and 否.

    A list with another number of entries, numbers that are not 1 to `count` in order, entries that are neither yes
    nor no ("partly", "yes, but wrong"), and JSON lists that differ are unreadable, and so is a list of what is missing.

    Args:
        text: the answer as the model gave it.
        count: how many points were asked for, at least 1.
        finish: the choice's finish reason; with "length", only a closed JSON list counts.
    """
    answer = answer_of(text, finish)
    if isinstance(answer, Unread):
        return answer
    listed = _json_list(answer := shortened(answer))
    if isinstance(listed, Unread):
        return listed
    if listed is not None:
        return _all_read([_boolean(entry) for entry in listed], count)
    if was_cut(finish):
        return Unread("cut_off", "cut off before the list ended")
    clear = re.sub(r"\*+|`+", "", plain(answer)).strip().translate(str.maketrans("【】", "[]"))
    bracketed = re.fullmatch(r"(?:[^\[\]\n]{0,60}[:\n]\s*)?\[([^\[\]]*)\]\W*", clear)
    if bracketed and bracketed[1].strip() and not _OPPOSITE.search(clear[: bracketed.start(1)]):
        return _all_read([_boolean(part) for part in re.split(r"[,;、\n]", bracketed[1]) if part.strip()], count)
    for pattern in (_ITEM, _INLINE_ITEM):
        items = [(int(match[1]), match[2]) for match in pattern.finditer(clear)]
        said = [_boolean(_head(part)) for _, part in items]
        if items and any(value is not None for value in said) and (len(items) == count or pattern is _INLINE_ITEM):
            if [number for number, _ in items] != list(range(1, count + 1)):
                return Unread("unreadable", f"{len(items)} numbered answers, not 1 to {count}")
            return _all_read(said, count)
    parts = [part for part in re.split(r"[\n,;、\s]+", clear) if part.strip(_EDGE) or part.strip() in _YES | _NO]
    said = [_boolean(part) for part in parts]
    if all(value is not None for value in said):
        return _all_read(said, count)
    lines = [_boolean(re.sub(r"^\s*[-•+]\s*", "", line)) for line in clear.splitlines() if line.strip()]
    if all(value is not None for value in lines):
        return _all_read(lines, count)
    return Unread("refusal", "declines") if is_refusal(clear) else Unread("unreadable", "no list of yes and no in it")


def read_points(text: str, finish: str | None = None) -> tuple[str, ...] | Unread:
    """The points of a reference: a JSON list of strings, a numbered list or bullets; at least one.

    Args:
        text: the answer as the model gave it.
        finish: the choice's finish reason; with "length", only a closed JSON list counts.
    """
    answer = answer_of(text, finish)
    if isinstance(answer, Unread):
        return answer
    listed = _json_list(answer)
    if isinstance(listed, Unread):
        return listed
    if listed is not None:
        points = [_point(entry) for entry in listed]
        if not points or not all(points):
            return Unread("unreadable", "no points in the list" if not points else "an entry of the list is no point")
        return tuple(dict.fromkeys(point for point in points if point))
    if was_cut(finish):
        return Unread("cut_off", "cut off before the list ended")
    found: list[str] = []
    for line in answer.splitlines():
        if match := _BULLET.match(line):
            found.append(match[1].strip())
        elif found and line.startswith((" ", "\t")) and line.strip():  # a point goes on
            found[-1] = f"{found[-1]} {re.sub(r'^[-*+•·]+[ ]*', '', line.strip())}"
    bulleted = [point.replace("**", "").strip() for point in found]
    if any(re.search(r"\w", point) for point in bulleted):
        return tuple(dict.fromkeys(point for point in bulleted if re.search(r"\w", point)))
    return Unread("refusal", "declines") if is_refusal(plain(answer)) else Unread("unreadable", "no list in it")


def _json_list(answer: str) -> list[Any] | Unread | None:
    """The JSON list of an answer, alone or the only one in an object; one inside prose ("[1]") is none."""
    for version in (answer, plain(answer)):
        found = [*_lists_in_objects(version)] or [*_lists_alone(version)]
        if found:
            differ = any(other != found[0] for other in found)
            return Unread("unreadable", "ambiguous: gives different lists") if differ else found[0]
    return None


def _lists_in_objects(text: str) -> Iterator[list[Any]]:
    for found in objects(text):
        lists = [value for key, value in found.value if isinstance(value, list) and not _OPPOSITE.search(key)]
        if found.exact and len(lists) == 1:
            yield lists[0]
        elif found.exact and not lists and (flat := _numbered(found.value)) is not None:
            yield flat


def _lists_alone(text: str) -> Iterator[list[Any]]:
    for found in arrays(text):
        before = text[text.rfind("\n", 0, found.start) + 1 : found.start]
        after = text[found.end :].partition("\n")[0]
        if (
            re.fullmatch(r"[\s`]*|.{0,80}[:：]\s*", before)
            and not after.strip("`.。 ")
            and not _OPPOSITE.search(before)
        ):
            yield list(found.value)


def _numbered(value: Object) -> list[Any] | None:
    """The values of {"1": true, "2": false}."""
    numbers = [re.sub(r"\D", "", key) for key, _ in value]
    return [part for _, part in value] if numbers and numbers == [str(n) for n in range(1, len(value) + 1)] else None


def _boolean(entry: Any) -> bool | None:
    if isinstance(entry, bool):
        return entry
    if isinstance(entry, Object):
        values = {key.strip().lower(): value for key, value in entry}
        return next((_boolean(values[key]) for key in _KEYS if key in values), None)
    if isinstance(entry, int) and entry in (0, 1):
        return bool(entry)
    if not isinstance(entry, str):
        return None
    word = plain(entry).strip(_EDGE).lower() or entry.strip()
    return True if word in _YES else False if word in _NO else None


def _head(part: str) -> str:
    """The yes or no of a line such as "yes - it names the year" or "The year is named: yes"."""
    part = part.strip()
    if _boolean(part) is not None:
        return part
    word = re.split(r"[.,;:(。、]|\s[-–—]+\s|\s*→\s*", part)[0]
    if _boolean(word) is not None:
        return part if _HEDGED.search(part, len(word)) else word
    word = re.split(r"[:→]|\s[-–—]+\s", part)[-1]
    return word if _boolean(word) is not None else part


def _point(entry: Any) -> str | None:
    if isinstance(entry, Object):
        values = {key.strip().lower(): value for key, value in entry}
        entry = next((values[key] for key in _TEXT_KEYS if key in values), None)
    return entry.strip() if isinstance(entry, str) and re.search(r"\w", entry) else None


def _all_read(said: list[bool | None], count: int) -> tuple[bool, ...] | Unread:
    if len(said) != count:
        return Unread("unreadable", f"{len(said)} answers to {count} points")
    values = tuple(value for value in said if value is not None)
    return values if len(values) == count else Unread("unreadable", "an entry is neither yes nor no")
