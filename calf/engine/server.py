"""A server and a model behind it: where it is, what it honours, how fast and how dear it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

from calf.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calf.engine.prices import Prices

__all__ = ["FEATURES", "OPENAI_URL", "Feature", "Server", "find_endpoint", "is_local"]

Feature = Literal["json_schema", "logprobs", "seed", "n", "temperature"]

FEATURES: frozenset[str] = frozenset(get_args(Feature))
"""What a server may honour."""

_OURS = frozenset({
    "model", "messages", "n", "best_of", "max_tokens", "max_completion_tokens", "temperature", "logprobs",
    "top_logprobs", "stream", "stream_options",
})  # fmt: skip
"""Fields of a request's body that CALF itself decides: what an answer may cost, and how it is read, hangs on them."""

OPENAI_URL = "https://api.openai.com/v1"

_LIKE = "https://host/v1"
_NO_ADDRESS = f"base_url is not an address; it looks like {_LIKE}"

_KEY_FIELD = re.compile(
    r"(.*[_-])?(api[_-]?key|passw(or)?d|secret|authorization|credentials?)|((access|auth|bearer)[_-])?token",
    re.IGNORECASE,
)

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - recognised, not bound to


@dataclass(frozen=True, slots=True)
class Server:
    """One model behind an OpenAI-compatible server.

    Attributes:
        base_url: up to and without `/chat/completions`, e.g. `https://api.openai.com/v1`.
        model: its name there.
        api_key: shown nowhere and written nowhere; None for a server that needs none.
        honours: which of `FEATURES` the server really honours. What is not in it is never sent and never relied on.
        max_tokens_parameter: what the server calls the limit of an answer's length.
        extra: more fields of the request's body, e.g. `{"reasoning_effort": "low"}`; they change the answer.
        concurrency: requests in flight at once, at most.
        requests_per_minute, tokens_per_minute: the rates that the provider allows; None: no limit of ours.
        timeout: seconds that one request may take from its sending to the last byte of its answer.
        retries: how often a request is sent again after a fault that may pass.
        prices: None if unknown.
        identity: what stands for `base_url` in the keys of requests, where the address says nothing (a server that
            is started on any free port): e.g. the digest of the model's file.

    Raises:
        UserError: a value cannot be.
    """

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    honours: frozenset[str] = frozenset()
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout: float = 120.0
    retries: int = 6
    prices: Prices | None = None
    identity: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _checked_url(self.base_url))
        if not self.model:
            raise UserError("no model is named; say which one with -o model=NAME")
        unknown = sorted(set(self.honours) - FEATURES)
        if unknown:
            raise UserError(f"honours: unknown {', '.join(unknown)}; known: {', '.join(sorted(FEATURES))}")
        if self.max_tokens_parameter not in ("max_tokens", "max_completion_tokens"):
            raise UserError(
                f"max_tokens_parameter is max_tokens or max_completion_tokens, not {self.max_tokens_parameter!r}"
            )
        ours = sorted(_OURS & set(self.extra))
        if ours:
            raise UserError(f"extra must not set {', '.join(ours)}: CALF does; most have options of their own")
        for name, value in (
            ("concurrency", self.concurrency),
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("timeout", self.timeout),
        ):
            if value is not None and not value > 0:
                raise UserError(f"{name} must be more than 0, not {value}")
        if any(_KEY_FIELD.fullmatch(name) for name in _names(self.extra)):
            raise UserError(
                "extra has a field that holds a key; it would be written down: give the key as api_key, "
                "or in the environment variable that key_variable names"
            )
        if self.retries < 0:
            raise UserError(f"retries must be 0 or more, not {self.retries}")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise UserError("the API key has a character that no key has (a line break, perhaps); set it again")

    @property
    def place(self) -> str:
        """What stands for the server in the keys of requests."""
        return self.identity or self.base_url

    def scrub(self, text: str) -> str:
        """`text` without the key: whatever a server says goes through this before it is kept or shown."""
        return text.replace(self.api_key, "***") if self.api_key else text


def find_endpoint(base_url: str | None, api_key: str | None, variable: str | None = None) -> tuple[str, str | None]:
    """Where to send requests, and with which key.

    Args:
        base_url: as the options say; None: `OPENAI_BASE_URL`, else OpenAI's own.
        api_key: as the options say; None: the environment's `variable`.
        variable: the environment variable that holds the key for this address. None: `OPENAI_API_KEY`, but for OpenAI's
            own address and that of `OPENAI_BASE_URL` alone: it is no other's business.

    Returns:
        The address, and the key: None where a local server is asked and there is none.

    Raises:
        UserError: no key for a server that is not on this machine. Nothing was sent.
    """
    environment = os.environ.get("OPENAI_BASE_URL")
    url = _checked_url(base_url or environment or OPENAI_URL)
    if variable is None and url in {OPENAI_URL, *([_checked_url(environment)] if environment else ())}:
        variable = "OPENAI_API_KEY"
    key = (api_key or os.environ.get(variable or "") or "").strip() or None
    if key is None and variable is not None and re.fullmatch(r"\w+", variable) is None:
        raise UserError("key_variable is the name of an environment variable, not the key itself")
    if key is None and not is_local(url):
        if variable is None:
            raise UserError(f"no API key for {url}; name the environment variable that holds it: -o key_variable=NAME")
        raise UserError(f"no API key for {url}; set {variable} in the environment")
    return url, key


def is_local(base_url: str) -> bool:
    """Whether the address is this machine's own."""
    return (urlsplit(base_url).hostname or "") in _LOCAL


def _names(value: Any) -> Iterator[str]:
    """The names of all fields, however deep."""
    if isinstance(value, Mapping):
        yield from map(str, value)
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _names(part)


def _checked_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise UserError(_NO_ADDRESS) from None
    if parts.username or parts.password or parts.query or parts.fragment:  # keys may stand there: not repeated
        raise UserError("base_url must have no user, password, ? or #; it looks like " + _LIKE)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(_NO_ADDRESS if "@" in url else f"base_url {url!r} is not an address; it looks like {_LIKE}")
    return url.rstrip("/").removesuffix("/chat/completions")
