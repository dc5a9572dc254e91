"""A chat completion, and what came of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from calf.errors import CalfError
from calf.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.engine.server import Server

__all__ = [
    "NO_USAGE", "Addressed", "AskError", "Choice", "Message", "Origin", "Reply", "Request", "Token", "Usage", "total",
]  # fmt: skip

Message = tuple[Literal["system", "user", "assistant"], str]
"""Who speaks, and what is said."""

Origin = Literal["server", "cache", "replay", "shared"]
"""Where a reply is from: `shared` is that of the same request, in flight when this one was asked."""


@dataclass(frozen=True, slots=True)
class Request:
    """One chat completion: everything that changes the answer.

    Attributes:
        messages: the conversation so far.
        max_tokens: the most tokens of one choice.
        temperature: None: the server's default. Not sent where the server does not honour it.
        n: choices. Where the server does not honour it, `n` single requests are sent.
        seed: not sent where the server does not honour it.
        schema: JSON schema of the answer. Not sent where the server does not honour it.
        logprobs: alternatives per token; 0: no probabilities. Not sent where the server does not honour it.
        repeat: changes the key alone: the same question asked again.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 1024
    temperature: float | None = 0.0
    n: int = 1
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    logprobs: int = 0
    repeat: int = 0

    def key(self, server: Server) -> str:
        """A digest of the server's place, all that is sent to it, and the repeat number."""
        return digest("chat", server.place, self.body(server), self.n, self.repeat)

    def sent_as(self, server: Server) -> tuple[Request, ...]:
        """The requests that are really sent: `n` with one choice each, where the server does not honour `n`."""
        if self.n == 1 or "n" in server.honours:
            return (self,)
        return tuple(map(self.sample, range(self.n)))

    def sample(self, index: int) -> Request:
        """One of its `n` choices alone: known and, where a seed is sent, drawn apart from the others."""
        seed = None if self.seed is None else self.seed * self.n + index
        return replace(self, n=1, seed=seed, repeat=self.repeat * self.n + index)

    def body(self, server: Server) -> dict[str, Any]:
        """What is sent, as the server honours it."""
        body: dict[str, Any] = {
            "model": server.model,
            "messages": [{"role": role, "content": text} for role, text in self.messages],
            server.max_tokens_parameter: self.max_tokens,
        }
        honours = server.honours
        if self.temperature is not None and "temperature" in honours:
            body["temperature"] = self.temperature
        if self.n > 1 and "n" in honours:
            body["n"] = self.n
        if self.seed is not None and "seed" in honours:
            body["seed"] = self.seed
        if self.schema is not None and "json_schema" in honours:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": dict(self.schema)},
            }
        if self.logprobs and "logprobs" in honours:
            body |= {"logprobs": True, "top_logprobs": self.logprobs}
        return body | dict(server.extra)


class Addressed(NamedTuple):
    """A request, and where it goes."""

    server: Server
    request: Request


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer, the natural logarithm of its probability, and the most probable ones in its place."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its text, why it ended (`stop`, `length`, ...), and the thoughts that the server shows apart."""

    text: str
    finish: str = "stop"
    reasoning: str | None = None
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counts them; `cached_input` is part of `input`. All 0 where it does not say."""

    input: int = 0
    cached_input: int = 0
    output: int = 0

    @property
    def known(self) -> bool:
        """Whether the server said anything: a prompt has at least a token."""
        return self.input > 0 or self.output > 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input + other.input, self.cached_input + other.cached_input, self.output + other.output)


NO_USAGE = Usage()
"""Of a server that does not count."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes:
        choices: at least one, none of them withheld by a filter.
        usage: tokens of this answer, whenever it was paid for.
        model: as the server names it.
        seconds: from the sending of the request that succeeded to its last byte; that of then, if it is from a cache.
        origin: where it is from this time.
        spent: what this asking sent and paid, failed attempts included: requests, retries, input_tokens,
            cached_input_tokens, output_tokens, cost (absent if unknown), cache_hits; kept_input_tokens,
            kept_output_tokens, kept_cost: what answers from the cache or a record took; charged: the cost, or where it
            is not known the most that it can be; unsure: requests without an answer that may have to be paid, and are
            not in the cost. Sum them with `total`.
        failed: where choices were asked for one by one, why there are fewer than were wanted.
    """

    choices: tuple[Choice, ...]
    usage: Usage = NO_USAGE
    model: str = ""
    seconds: float = 0.0
    origin: Origin = "server"
    spent: Mapping[str, float] = field(default_factory=dict)
    failed: AskError | None = None

    def to_json(self) -> dict[str, Any]:
        """The answer as plain values, without `origin`, `spent` and `failed`, which are of one asking."""
        return {
            "choices": [_choice_to_json(choice) for choice in self.choices],
            "usage": [self.usage.input, self.usage.cached_input, self.usage.output],
            "model": self.model,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], origin: Origin, spent: Mapping[str, float]) -> Reply:
        """The reverse of `to_json`. Raises KeyError, TypeError or ValueError if the value is not one of its."""
        choices = tuple(_choice_from_json(choice) for choice in value["choices"])
        return cls(choices, Usage(*value["usage"]), value["model"], value["seconds"], origin, spent)


class AskError(CalfError):
    """A request that failed for good; the run goes on.

    Args:
        kind: `timeout`, `rate_limited`, `server_error`, `connection`, `bad_request`, `content_filter`,
            `too_long` (the prompt, for the model's window), `empty_answer`, `malformed` (not JSON, or not the choices
            that were asked for) or `not_recorded`.
        message: one line.
        raw: what the server sent, if that could not be read.
        spent: as a reply's: a failed request may have been paid for.
    """

    def __init__(
        self, kind: str, message: str, raw: str | None = None, spent: Mapping[str, float] | None = None
    ) -> None:
        self.kind = kind
        self.message = message
        self.raw = raw
        self.spent: Mapping[str, float] = spent or {}
        super().__init__(message)


def total(*parts: Mapping[str, float]) -> dict[str, float]:
    """The sums of what several askings spent. The cost is absent where one that sent requests does not know its own."""
    sums: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0) + value
    if any("cost" not in part and part.get("requests", 0) for part in parts):
        sums.pop("cost", None)
    return sums


def _choice_to_json(choice: Choice) -> dict[str, Any]:
    value: dict[str, Any] = {"text": choice.text, "finish": choice.finish}
    if choice.reasoning is not None:
        value["reasoning"] = choice.reasoning
    if choice.tokens:
        value["tokens"] = [[t.text, t.logprob, [list(pair) for pair in t.alternatives]] for t in choice.tokens]
    return value


def _choice_from_json(value: Mapping[str, Any]) -> Choice:
    tokens = tuple(
        Token(text, logprob, tuple((other, number) for other, number in alternatives))
        for text, logprob, alternatives in value.get("tokens", ())
    )
    return Choice(value["text"], value["finish"], value.get("reasoning"), tokens)
