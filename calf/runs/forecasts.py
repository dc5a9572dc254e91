"""What judging would send, without sending it: the requests of items, each once, and their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from calf.engine.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from calf.engine.request import Request
    from calf.engine.server import Server
    from calf.metrics.base import Pair, Response

__all__ = ["Counter", "Forecaster", "Tally", "requests_of"]

_MESSAGE_TOKENS = 4  # what a chat template adds to each message, as OpenAI counts them
_ANSWER_TOKENS = 3  # and for the answer that it begins


@runtime_checkable
class Forecaster(Protocol):
    """A metric that asks a server and can say beforehand what it will ask.

    It may also have `answer_tokens`: about how many tokens an answer has, hidden reasoning included; absent or None
    where nobody can say before a run has shown it.
    """

    def forecast(self, item: Response | Pair) -> Iterable[Request]:
        """The requests that judging the item sends at first."""
        ...

    def server(self, *, needs_key: bool = True) -> Server:
        """Whom it asks."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """Some requests together: how many, their answers, the tokens of their prompts, the most that answers may have."""

    requests: int = 0
    answers: int = 0
    input_tokens: int = 0
    most_output: int = 0


class Counter:
    """Counts the tokens of requests to one model, each text once.

    Attributes:
        exact: whether the model's own tokenizer counted all of them so far.
    """

    def __init__(self, model: str) -> None:
        self.exact = True
        self._model = model
        self._known: dict[str, int] = {}

    def tally(self, requests: Iterable[Request]) -> Tally:
        """The sums of some requests."""
        count = answers = tokens = most = 0
        for request in requests:
            count += 1
            answers += request.n
            tokens += _ANSWER_TOKENS + sum(_MESSAGE_TOKENS + self._count(text) for _, text in request.messages)
            most += request.max_tokens * request.n
        return Tally(count, answers, tokens, most)

    def _count(self, text: str) -> int:
        if text not in self._known:
            self._known[text], exact = count_tokens(text, self._model)
            self.exact = self.exact and exact
        return self._known[text]


def requests_of(metric: Forecaster, server: Server, item: Response | Pair) -> dict[str, Request]:
    """What judging an item sends at first, by the key under which an answer is kept."""
    sent = (single for request in metric.forecast(item) for single in request.sent_as(server))
    return {request.key(server): request for request in sent}
