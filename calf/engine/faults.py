"""What can go wrong with one sending of a request: whether it may pass, when to try again, whether it may be billed."""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calf.engine.request import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.engine.server import Server

__all__ = ["Fault", "from_status", "one_line", "retry_after"]

_LONGEST = 300  # characters of a server's message that are shown
_PATIENCE = 600.0  # seconds that a server may ask us to wait, within a run

_ADVICE = {
    401: "check the API key",
    402: "the account has no credit left",
    403: "check the API key and its rights",
    404: "check base_url and model",
    405: "check base_url",
}

_FILTERS = frozenset({"content_filter", "content_policy_violation", "data_inspection_failed"})
_NO_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})  # OpenAI's, llama.cpp's


@dataclass(slots=True, eq=False)
class Fault(Exception):  # noqa: N818 - caught within the engine, which makes an error of it
    """One sending that failed.

    Attributes:
        kind: as `AskError`'s.
        message: one line, without the key.
        raw: what came, if it could not be read.
        passing: it may go well if it is sent again.
        fatal: no other request will go well either: the run stops.
        limited: the server said that it gets too much at once.
        after: seconds that the server asks to wait.
        billed: the server may have worked for it, and it is not known how much.
        unreachable: no connection was made at all.
        usage: tokens that the server counted.
    """

    kind: str
    message: str
    raw: str | None = None
    passing: bool = False
    fatal: bool = False
    limited: bool = False
    after: float | None = None
    billed: bool = False
    unreachable: bool = False
    usage: Usage = NO_USAGE

    def __str__(self) -> str:
        return self.message


def from_status(status: int, headers: Mapping[str, str], body: Any, server: Server) -> Fault:
    """What an HTTP status other than 2xx means.

    Args:
        status: the status.
        headers: of the response, their names in any case.
        body: of the response: JSON's value, or its text.
        server: whose key is kept out of the message.
    """
    said, codes = _said(body)
    message = one_line(server.scrub(f"status {status}: {said}" if said else f"status {status}"))
    after = retry_after(headers)
    if status < 400 or status in _ADVICE or codes & _NO_QUOTA:
        advice = _ADVICE.get(status, _ADVICE[405 if status < 400 else 402])
        if status in (401, 403) and server.api_key is None:
            advice = "no key was sent: -o key_variable=NAME names the environment variable that holds it"
        text = f"{server.base_url} refuses model {server.model!r}: {message}; {advice}, then the same command continues"
        return Fault("refused", text, fatal=True)
    if after is not None and after > _PATIENCE:
        text = f"{server.base_url} asks to wait {after:.0f} seconds: {message}; the same command continues later"
        return Fault("rate_limited", text, fatal=True)
    if status == 429:
        return Fault("rate_limited", message, passing=True, limited=True, after=after)
    if codes & _TOO_LONG:
        return Fault("too_long", message)
    if status in (408, 409) or status >= 500:
        return Fault("timeout" if status == 408 else "server_error", message, passing=True, after=after)
    return Fault("content_filter" if codes & _FILTERS else "bad_request", message)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds that a response asks to wait, by `retry-after-ms` or `Retry-After` (seconds or an HTTP date).

    None if it does not say, or not so that it can be read.
    """
    values = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(values[name]) * unit
        except (KeyError, ValueError):
            continue
        return seconds if 0 <= seconds < float("inf") else None
    date = email.utils.parsedate_tz(values.get("retry-after", ""))
    if date is None:
        return None
    return max(0.0, email.utils.mktime_tz(date) - (time.time() if now is None else now))


def one_line(text: str) -> str:
    """A text from elsewhere, fit for a message."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _said(body: Any) -> tuple[str, set[str]]:
    """The message, the code and the type of an error's body, in the forms that servers have."""
    if isinstance(body, (bytes, str)):
        try:
            body = json.loads(body)
        except ValueError:
            return (body.decode("utf-8", "replace") if isinstance(body, bytes) else body), set()
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return ("" if error is None else str(error)), set()
    said = error.get("message") or error.get("detail") or ""
    return str(said), {str(error.get("code")), str(error.get("type"))}
