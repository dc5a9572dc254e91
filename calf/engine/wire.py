"""Reads the body of a chat completion, as the many servers write it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from calf.engine.faults import Fault, from_status, one_line
from calf.engine.request import NO_USAGE, Choice, Reply, Token, Usage

if TYPE_CHECKING:
    from calf.engine.request import Request
    from calf.engine.server import Server

__all__ = ["read_reply"]


def read_reply(raw: bytes, request: Request, server: Server, seconds: float) -> Reply:
    """The answer in a response's body.

    An answer that was cut off (`finish` is "length") is an answer, even if it is blank.

    Raises:
        Fault: it is not one (`malformed`), or there is nothing in it (`empty_answer`, `content_filter`), or it is
            an error that came with status 200.
    """
    text = server.scrub(raw.decode("utf-8", "replace"))
    try:
        body = json.loads(text)
    except ValueError:
        return _malformed("the answer is not JSON", text)
    if not isinstance(body, dict):
        return _malformed("the answer is not a JSON object", text)
    error = body.get("error")
    if error and not body.get("choices"):
        code = error.get("code") if isinstance(error, dict) else None
        raise from_status(code if isinstance(code, int) and 400 <= code < 600 else 500, {}, body, server)
    usage = _usage(body.get("usage"))
    try:
        choices = tuple(_choice(choice, server) for choice in body.get("choices") or ())
    except (AttributeError, KeyError, TypeError, ValueError):
        return _malformed("the answer's choices are not as they must be", text, usage)
    if not choices:
        return _malformed("the answer has no choices", text, usage)
    asked = request.n if "n" in server.honours else 1
    if not usage.output and any(choice.text or choice.reasoning for choice in choices):
        usage = NO_USAGE  # it does not count what it says
    if len(choices) < asked:  # no request would fare better, and all would have to be paid
        raise Fault(
            "malformed",
            f"{len(choices)} of {asked} choices came: {server.base_url} does not honour n; say with -o honours=... "
            f"what it does ({','.join(sorted(server.honours - {'n'})) or 'none'}), then the same command continues",
            text,
            fatal=True,
            usage=usage,
            billed=not usage.known,
        )
    if all(choice.finish == "content_filter" for choice in choices):
        raise Fault("content_filter", "a filter withheld the answer", text, usage=usage, billed=not usage.known)
    if not any(choice.text.strip() or choice.finish == "length" for choice in choices):
        raise Fault("empty_answer", "the answer is blank", text, passing=True, usage=usage, billed=not usage.known)
    return Reply(choices, usage, server.scrub(str(body.get("model") or server.model)), seconds)


def _malformed(what: str, text: str, usage: Usage = NO_USAGE) -> Reply:
    raise Fault(
        "malformed", f"{what}: {one_line(text)[:80]!r}", text, passing=True, usage=usage, billed=not usage.known
    )


def _writable(text: str) -> str:
    """Without halves of characters, which JSON can hold and no file: else it would be another text once it was kept."""
    return text.encode("utf-8", "replace").decode()


def _choice(value: dict[str, Any], server: Server) -> Choice:
    """One choice; scrubbed again, since JSON may have written the key in another way."""
    message = value["message"]
    text = _text(message.get("content")) or message.get("refusal") or ""
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    return Choice(
        _writable(server.scrub(text)),
        str(value.get("finish_reason") or "stop"),
        _writable(server.scrub(reasoning)) if isinstance(reasoning, str) else None,
        tuple(_token(token) for token in (value.get("logprobs") or {}).get("content") or ()),
    )


def _text(content: Any) -> str:
    """A text, or the text parts of a list of parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError
    return content or ""


def _token(value: dict[str, Any]) -> Token:
    alternatives = tuple((str(one["token"]), float(one["logprob"])) for one in value.get("top_logprobs") or ())
    return Token(str(value["token"]), float(value["logprob"]), alternatives)


def _usage(value: Any) -> Usage:
    """Tokens, in OpenAI's words, or DeepSeek's for those from its cache; 0 for what is not said."""
    if not isinstance(value, dict):
        return NO_USAGE
    details = value.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    numbers = (
        value.get("prompt_tokens"),
        cached or value.get("prompt_cache_hit_tokens"),
        value.get("completion_tokens"),
    )
    return Usage(*(number if isinstance(number, int) and number > 0 else 0 for number in numbers))
