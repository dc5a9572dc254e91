"""Asks until answers can be read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from calf.engine.request import AskError, total
from calf.judges.answers import Unread
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from calf.engine.engine import Engine
    from calf.engine.request import Choice, Reply, Request
    from calf.judges.prompt import Prompt

__all__ = ["Read", "ask_until_read"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What was read in the answers to one request.

    Attributes:
        values: of the samples that could be read, in order; more than half of those that were asked for.
        choices: the answers that they were read in.
        usage: what all the asking took, as `Opinion.usage`.
        seconds: from the first request to the last answer, without waits and failed attempts.
    """

    values: tuple[T, ...]
    choices: tuple[Choice, ...]
    usage: dict[str, float]
    seconds: float

    @property
    def value(self) -> T:
        """The first sample's."""
        return self.values[0]


async def ask_until_read(
    engine: Engine,
    request: Request,
    reader: Callable[[Choice], T | Unread],
    prompt: Prompt,
    retries: int,
    heard: list[Reply],
) -> Read[T] | Failure:
    """Ask, read every choice, and ask again for those that cannot be read, at most `retries` times each.

    Args:
        engine: sends the requests.
        request: its `n` says how many samples are wanted.
        reader: what an answer says, or why it says nothing.
        prompt: the prompt of the request, for its reminder.
        retries: 0 or more.
        heard: every reply is appended to it, those that cannot be read too.

    Returns:
        What was read; a failure if that is not more than half of the samples.

    Raises:
        StoppedError: no request can be sent any more.
    """
    try:
        reply = await engine.ask(request)
    except AskError as error:
        return Failure(error.kind, str(error), error.raw, total(error.spent))
    heard.append(reply)
    # All are waited for, whatever one raises: what is under way is paid for.
    outcomes = await asyncio.gather(
        *(
            _settle(engine, request, i, choice, reader, prompt, retries, heard)
            for i, choice in enumerate(reply.choices)
        ),
        return_exceptions=True,
    )
    samples = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        samples.append(outcome)
    usage = total(reply.spent, *(sample.spent for sample in samples))
    read = [sample for sample in samples if sample.failure is None]
    if 2 * len(read) <= max(request.n, len(samples)):
        failures = [sample.failure for sample in samples if sample.failure is not None]
        if reply.failed is not None:
            failures.append(Failure(reply.failed.kind, str(reply.failed), reply.failed.raw))
        return replace(failures[0], usage=usage)
    return Read(
        tuple(sample.value for sample in read),  # type: ignore[misc]  # without a failure there is a value
        tuple(sample.choice for sample in read),
        usage,
        reply.seconds + max(sample.seconds for sample in samples),
    )


async def _settle(
    engine: Engine,
    request: Request,
    index: int,
    choice: Choice,
    reader: Callable[[Choice], T | Unread],
    prompt: Prompt,
    retries: int,
    heard: list[Reply],
) -> _Sample[T]:
    """One sample, asked for again until it can be read."""
    spent: list[Mapping[str, float]] = []
    seconds = 0.0
    request = request.sample(index)
    asked = 0
    while True:
        if choice.finish == "content_filter":
            failure = Failure("content_filter", "a filter withheld the answer", choice.text)
            break
        value = reader(choice)
        if not isinstance(value, Unread):
            return _Sample(value, choice, None, total(*spent), seconds)
        times = f" (asked {asked + 1} times)" if asked else ""
        failure = Failure(value.kind, value.reason + times, choice.text or choice.reasoning or "")
        if asked == retries:
            break
        asked += 1
        # The conversation grows, so each asking is another request, whatever the answer.
        schema = _without_explanation(request.schema)
        request = replace(request, messages=prompt.again(request.messages, choice.text), schema=schema)
        try:
            reply = await engine.ask(request)
        except AskError as error:
            spent.append(error.spent)
            failure = Failure(error.kind, str(error), error.raw)
            break
        heard.append(reply)
        spent.append(reply.spent)
        seconds += reply.seconds
        choice = reply.choices[0]
    return _Sample(None, choice, failure, total(*spent), seconds)


def _without_explanation(schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The schema of an answer that is asked for again: reminders ask for what could not be read, not for reasons."""
    if schema is None or "explanation" not in schema.get("properties", {}):
        return schema
    properties = {name: kind for name, kind in schema["properties"].items() if name != "explanation"}
    return {**schema, "properties": properties, "required": list(properties)}


@dataclass(frozen=True, slots=True)
class _Sample(Generic[T]):
    """What came of one sample: a value, or a failure; what asking again took."""

    value: T | None
    choice: Choice
    failure: Failure | None
    spent: Mapping[str, float]
    seconds: float
