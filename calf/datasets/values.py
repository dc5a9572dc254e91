"""Strict JSON: what CALF takes as a value, and one-line reasons for what it does not."""

from __future__ import annotations

import json
import math
from typing import Any

from calf.datasets.problems import shown

__all__ = ["MAX_DEPTH", "JsonError", "decode_json", "is_encodable", "not_plain", "parse_json"]

MAX_DEPTH = 100
"""How deep the value of a column may be nested; what reads it later recurses."""


class JsonError(ValueError):
    """Text that is not JSON as CALF takes it.

    Args:
        reason: why, one line.
        position: where in the text, in characters.
    """

    def __init__(self, reason: str, position: int) -> None:
        self.reason = reason
        self.position = position
        super().__init__(reason)


class _RefusedError(ValueError):
    """Valid for Python's JSON reader, not for CALF."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"the key {shown(twice)} stands twice in one object")
    return made


def _constant(name: str) -> Any:
    raise _RefusedError(f"{name} is not JSON; write null or a finite number")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def decode_json(text: str, position: int = 0) -> tuple[Any, int]:
    """The JSON value that starts at `position`, and where it ends.

    Raises:
        JsonError: not JSON, NaN or Infinity, a key twice in one object, nested too deep.
    """
    try:
        return _decoder.raw_decode(text, position)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            raise JsonError("not JSON: it ends in the middle of a record", error.pos) from None
        raise JsonError(f"not JSON: {error.msg} (column {error.colno})", error.pos) from None
    except StopIteration:  # what raw_decode raises where no value starts, in some versions
        raise JsonError("not JSON: a value is missing", position) from None
    except RecursionError:
        raise JsonError(f"nested more than {MAX_DEPTH} deep", position) from None
    except _RefusedError as error:
        raise JsonError(str(error), position) from None
    except ValueError:  # an integer of thousands of digits
        raise JsonError("not JSON: a number has too many digits", position) from None


def parse_json(text: str) -> Any:
    """The one JSON value that `text` holds; raises JsonError like `decode_json`."""
    start = len(text) - len(text.lstrip(" \t\r\n"))
    value, end = decode_json(text, start)
    if text[end:].strip(" \t\r\n"):
        raise JsonError("not JSON: more text after the value", end)
    return value


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can hold the text: false for half a surrogate pair, which a JSON escape can smuggle in."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def not_plain(value: Any, depth: int = MAX_DEPTH) -> str | None:
    """Why a value cannot be written as JSON and read again as the same; None if it can."""
    if value is None or isinstance(value, (bool, int)):
        return None
    if isinstance(value, str):
        return None if is_encodable(value) else "holds half of a surrogate pair, which is no character"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}; write null or a finite number"
    if not isinstance(value, (dict, list)):
        return f"holds {type(value).__name__} values, which JSON has no form for"
    if depth == 0:
        return f"is nested more than {MAX_DEPTH} deep"
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        return "has keys that are not strings"
    return next((why for item in inner if (why := not_plain(item, depth - 1))), None)
