"""What a judgment of several agents would send, by playing it with answers that say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from calf.agents.reading import check_reader, points_in, statement_in
from calf.agents.session import Bounds, EndedError, Heard, Session
from calf.engine.request import Addressed, Choice
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from calf.agents.session import Call
    from calf.engine.server import Server
    from calf.judges.base import Judge
    from calf.metrics.base import Pair

__all__ = ["Rehearsal"]

T = TypeVar("T")

_TOKENS = 200.0
_POINTS = 5
_WORD = "word "  # about a token


class Rehearsal(Session):
    """A session in which nobody is asked.

    Args:
        item: what would be judged.
        bounds: its limits; the rehearsal has that of turns alone, and ends there as a judgment would.
        tokens: about how long an answer is; None: 200 tokens.
        longest: every answer is as long as its model may make it.

    Attributes:
        requests: what would be sent.
    """

    def __init__(self, item: Pair, bounds: Bounds, tokens: float | None, *, longest: bool = False) -> None:
        super().__init__(item, Bounds(bounds.turns))
        self.requests: list[Addressed] = []
        self._servers: dict[Judge, Server] = {}
        self._answer = None if longest else round(_TOKENS if tokens is None else tokens)

    def run(self, playing: Coroutine[Any, Any, T]) -> T | None:
        """Play to the end, or to the limit: nothing is waited for, so no event loop is needed.

        Raises:
            RuntimeError: something is waited for.
        """
        try:
            playing.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        except EndedError:
            return None
        raise RuntimeError("a rehearsal waits for something")

    async def ask(self, calls: Sequence[Call]) -> list[Heard]:
        """Answers that say nothing."""
        if len(self.requests) + len(calls) > self._bounds.turns:
            raise EndedError(Failure("turn_limit"))
        return [self._pretend(call) for call in calls]

    def _pretend(self, call: Call) -> Heard:
        voice = call.member.voice
        if voice not in self._servers:
            self._servers[voice] = voice.server(needs_key=False)
        self.requests.append(Addressed(self._servers[voice], self.request(call)))
        text = _WORD * (voice.max_tokens if self._answer is None else self._answer)
        record: dict[str, Any] = {}
        value: Any = "same"
        if call.reader is statement_in:
            value = text
        elif call.reader is points_in:
            value = tuple(f"{number} {text[: len(text) // _POINTS]}" for number in range(_POINTS))
        elif call.step == "check":
            value = check_reader(tools=False)(Choice('{"met": true}'))
        return Heard(value, None, Choice(text), text, text, record)
