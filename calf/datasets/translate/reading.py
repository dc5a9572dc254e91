"""How the answers of a translator are read: from JSON or from tags, whichever they are in.

What cannot be read whole (a text that was cut off, a tag that is not closed) counts as not there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.judges.answers import Unread, answer_of, is_refusal, plain, was_cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Answer", "read_answer"]

_TERM = re.compile(r"^[\s*•-]*(.+?)\s*(?:=+>?|→|->|：|:)\s*(.+?)\s*$")
_LONGEST_TERM = 60
_REFUSAL_PLACE = 400  # characters from the beginning


@dataclass(frozen=True, slots=True)
class Answer:
    """What could be read: translations by key, the terms to carry on, and why nothing could, or not all."""

    translations: Mapping[str, str]
    terms: Mapping[str, str]
    unread: Unread | None = None


def read_answer(answer: str, finish: str, keys: Mapping[str, str], mark: str, *, structured: bool) -> Answer:
    """The translations in an answer.

    Args:
        answer: as the model gave it, with its reasoning.
        finish: the choice's finish reason.
        keys: the key of each text, by its id in the request.
        mark: the code of the request's tags.
        structured: whether JSON was asked for; the other form is read where that one is not there.
    """
    cleaned = answer_of(answer, finish)
    if isinstance(cleaned, Unread):
        return Answer({}, {}, cleaned)
    made, terms = _read_json(cleaned, keys) if structured else _read_tags(cleaned, keys, mark)
    if not made:
        made, terms = _read_tags(cleaned, keys, mark) if structured else _read_json(cleaned, keys)
    unread = None
    if was_cut(finish):
        unread = Unread("cut_off", "the answer ends before the last translation; a higher max_tokens may help")
    elif not made:
        refused = is_refusal(plain(cleaned[:_REFUSAL_PLACE]))
        unread = Unread("refusal", "declines") if refused else Unread("unreadable", "no translations in the answer")
    return Answer(made, terms, unread)


def _read_tags(answer: str, keys: Mapping[str, str], mark: str) -> tuple[dict[str, str], dict[str, str]]:
    """From tags; of two with one id the last counts. One ends where it is closed, or where the next begins."""
    opening = rf"<\s*text_{mark}\s+id\s*=\s*[\"'“”]?(t\d+)[\"'“”]?[^>\n]*>"
    closing = rf"(?:</\s*text_{mark}\s*>|(?=<\s*text_{mark}\s))"
    made: dict[str, str] = {}
    for match in re.finditer(rf"{opening}[ \t]*\n?(.*?)\n?[ \t]*{closing}", answer, re.S):
        if match[1] in keys:
            made[keys[match[1]]] = match[2]
    listed = re.search(rf"<\s*terms_{mark}\s*>(.*?)(?:</\s*terms_{mark}|\Z)", answer, re.S)
    lines = (_TERM.match(line) for line in (listed[1].splitlines() if listed else ()))
    return made, _terms([(match[1], match[2]) for match in lines if match])


def _read_json(answer: str, keys: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """From objects with id and text, wherever they stand: an answer that was cut off has whole ones too."""
    made: dict[str, str] = {}
    terms: list[tuple[Any, Any]] = []
    pending: list[Any] = _objects(answer)
    while pending:
        value = pending.pop(0)
        if isinstance(value, list):
            pending = [*value, *pending]
        if not isinstance(value, dict):
            continue
        name, text = value.get("id"), value.get("text", value.get("translation"))
        if isinstance(text, str) and isinstance(name, str) and name in keys:
            made[keys[name]] = text
        elif "source" in value:
            terms.append((value["source"], value.get("target")))
        else:
            made |= {keys[key]: part for key, part in value.items() if key in keys and isinstance(part, str)}
            pending = [*(part for part in value.values() if isinstance(part, (list, dict))), *pending]
    return made, _terms(terms)


def _objects(answer: str) -> list[Any]:
    """The JSON objects of an answer, outermost ones; of one that does not end, those inside it."""
    decoder = json.JSONDecoder(strict=False)
    found: list[Any] = []
    start = answer.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(answer, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found.append(value)
        start = answer.find("{", end)
    return found


def _terms(pairs: Sequence[tuple[Any, Any]]) -> dict[str, str]:
    return {
        source.strip(): made.strip()
        for source, made in pairs
        if isinstance(source, str) and isinstance(made, str) and 0 < len(source.strip()) <= _LONGEST_TERM
        and 0 < len(made.strip()) <= _LONGEST_TERM and "\n" not in source + made
    }  # fmt: skip
