"""What judging would send, without sending it: the requests of items, each once, their tokens, and what they cost."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from calf.engine.request import Addressed, Usage
from calf.engine.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from calf.engine.prices import Prices
    from calf.engine.request import Request
    from calf.engine.server import Server
    from calf.metrics.base import Pair, Response

__all__ = ["Counter", "Forecast", "Forecaster", "Share", "Tally", "requests_of"]

_MESSAGE_TOKENS = 4  # what a chat template adds to each message, as OpenAI counts them
_ANSWER_TOKENS = 3  # and for the answer that it begins


@runtime_checkable
class Forecaster(Protocol):
    """A metric that asks a server and can say beforehand what it will ask.

    It may also have `answer_tokens`: about how many tokens an answer has, hidden reasoning included; absent or None
    where nobody can say before a run has shown it. And `longest_forecast(item)`, where answers become part of later
    prompts: the same as `forecast`, with every answer as long as it may be.
    """

    def forecast(self, item: Response | Pair) -> Iterable[Request | Addressed]:
        """The requests that judging the item sends at first; addressed, if they do not go to `server`."""
        ...

    def server(self, *, needs_key: bool = True) -> Server:
        """Whom it asks; of several, the first."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """Some requests together: how many, their answers, the tokens of their prompts, the most that answers may have."""

    requests: int = 0
    answers: int = 0
    input_tokens: int = 0
    most_output: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Share:
    """What of some requests goes to one model.

    Attributes:
        model, server: the model, and where it is.
        sent: its requests.
        prices: None if unknown.
    """

    model: str
    server: str
    sent: Tally
    prices: Prices | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Some requests, by the models that they go to."""

    shares: tuple[Share, ...]

    @property
    def sent(self) -> Tally:
        """All together."""
        return sum((share.sent for share in self.shares), start=Tally())

    @property
    def currency(self) -> str | None:
        """That of the prices; None if a model has none, or not the same as another."""
        found = {None if share.prices is None else share.prices.currency for share in self.shares}
        return found.pop() if len(found) == 1 else None

    def cost(self, longer: float, cached: float, answer: float) -> float | None:
        """What they cost, in `currency`; None if there is none and they are something.

        Args:
            longer: tokens of a prompt for each that was counted.
            cached: the share of them that servers have in their caches.
            answer: tokens of an answer.
        """
        total = 0.0
        for share in self.shares:
            tokens = share.sent.input_tokens * longer
            usage = Usage(round(tokens), round(tokens * cached), round(share.sent.answers * answer))
            total += share.prices.cost(usage) if share.prices else 0.0
        return total if self._priced else None

    def bound(self, longer: float) -> float | None:
        """The most that they cost, if every answer is as long as it may be; None as in `cost`."""
        total = 0.0
        for share in self.shares:
            tokens = round(share.sent.input_tokens * max(longer, 1.0))
            total += share.prices.bound(tokens, share.sent.most_output) if share.prices else 0.0
        return total if self._priced else None

    @property
    def _priced(self) -> bool:
        return self.currency is not None or not self.shares


class Counter:
    """Counts the tokens of requests, each text once for a model.

    Attributes:
        exact: whether the models' own tokenizers counted all of them so far.
    """

    def __init__(self) -> None:
        self.exact = True
        self._known: dict[tuple[str, str], int] = {}

    def forecast(self, requests: Iterable[Addressed]) -> Forecast:
        """The sums of some requests, by model, in the order in which models are first asked."""
        sums: dict[tuple[str, str, Prices | None], Tally] = {}
        for server, request in requests:
            key = (server.model, server.place, server.prices)
            tokens = sum(_MESSAGE_TOKENS + self._count(text, server.model) for _, text in request.messages)
            one = Tally(1, request.n, tokens + _ANSWER_TOKENS, request.max_tokens * request.n)
            sums[key] = sums.get(key, Tally()) + one
        return Forecast(tuple(Share(model, place, sent, prices) for (model, place, prices), sent in sums.items()))

    def _count(self, text: str, model: str) -> int:
        if (model, text) not in self._known:
            self._known[model, text], exact = count_tokens(text, model)
            self.exact = self.exact and exact
        return self._known[model, text]


def requests_of(
    metric: Forecaster, server: Server, item: Response | Pair, *, longest: bool = False
) -> dict[str, Addressed]:
    """What judging an item sends at first, by the key under which an answer is kept.

    Args:
        metric: says it.
        server: where what is not addressed goes.
        item: what is judged.
        longest: as `longest_forecast` says, where there is one.
    """
    found: dict[str, Addressed] = {}
    for forecast in (getattr(metric, "longest_forecast", metric.forecast) if longest else metric.forecast)(item):
        to, request = forecast if isinstance(forecast, Addressed) else Addressed(server, forecast)
        found |= {single.key(to): Addressed(to, single) for single in request.sent_as(to)}
    return found
