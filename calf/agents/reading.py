"""What agents' answers say: statements, verdicts with what was said for them, lists, checks and calls of tools."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.judges.answers import Unread, answer_of, is_refusal, objects, plain
from calf.judges.parse import read_booleans, read_points
from calf.judges.verdicts import explanation_of, verdict_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.engine.request import Choice

__all__ = ["LETTERS", "Reader", "ToolCall", "check_reader", "check_schema", "points_in", "said_in", "statement_in"]

Reader = Callable[["Choice"], Any]
"""What an answer says, or `Unread`."""

LETTERS: dict[str, str] = {"response_a": "A", "response_b": "B", "same": "same"}
"""Verdicts as prompts name them."""

_LAST_WORD = re.compile(
    r"(?:\A|\n)[^\n]{0,40}?\b(?:met|answer|result|结果|满足)\W{0,6}(true|false|yes|no|是|否)\W*\Z", re.I
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that a checker wants to use, and what it gives it."""

    name: str
    text: str


def statement_in(choice: Choice) -> str | Unread:
    """What was said, without reasoning."""
    return answer_of(choice.text, choice.finish)


def said_in(choice: Choice) -> str:
    """What others are shown of an answer: its text, or of a JSON object with a verdict the explanation and that."""
    text = answer_of(choice.text, choice.finish)
    if isinstance(text, Unread):
        return ""
    if not re.fullmatch(r"\s*(?:```(?:json)?)?\s*\{.*\}\s*(?:```)?\s*", text, re.S):
        return text
    verdict = verdict_in(choice)
    if isinstance(verdict, Unread):
        return text
    reason = explanation_of(choice)
    return f"{reason}\n\nVerdict: {LETTERS[verdict]}" if reason else f"Verdict: {LETTERS[verdict]}"


def points_in(choice: Choice) -> tuple[str, ...] | Unread:
    """The points of a checklist."""
    return read_points(choice.text.encode("utf-8", "replace").decode(), choice.finish)


def check_schema(tools: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a check's answer; without tools it is yes or no."""
    properties: dict[str, Any] = {"met": {"type": "boolean"}}
    if tools:
        tool = {"type": "string", "enum": ["none", *tools]}
        properties = {"tool": tool, "input": {"type": "string"}, **properties}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def check_reader(tools: bool) -> Callable[[Choice], bool | ToolCall | Unread]:
    """Reads `{"met": true}`, yes or no in other words, or while tools may be used `{"tool": ..., "input": ...}`.

    An answer that names a tool and says met, too, uses the tool, unless the tool is "none".
    """

    def read(choice: Choice) -> bool | ToolCall | Unread:
        text = answer_of(choice.text, choice.finish)
        if isinstance(text, Unread):
            return text
        found = [{str(key).lower(): value for key, value in one.value} for one in objects(text)]
        calls = [one for one in found if str(one.get("tool") or "none").strip().lower() != "none"]
        if calls and tools:
            return ToolCall(str(calls[0]["tool"]).strip().lower(), str(calls[0].get("input") or "").strip())
        said = {_truth(one["met"]) for one in found if "met" in one and one not in calls}
        if len(said) == 1 and (value := said.pop()) is not None:
            return value
        if calls:
            return Unread("unreadable", "calls a tool where none may be used")
        if found:
            return Unread("unreadable", "neither true nor false")
        one = read_booleans(choice.text, 1, choice.finish)
        if not isinstance(one, Unread):
            return one[0]
        last = _LAST_WORD.search(plain(text))
        if last is not None and not is_refusal(text):
            return last[1].lower() in ("true", "yes", "是")
        return one

    return read


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in ("true", "yes", "是") else False if word in ("false", "no", "否") else None
