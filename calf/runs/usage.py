"""What a run of a metric that asks a server sent, got and paid, from its `timing.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from calf.formatting import money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calf.engine.prices import Prices

__all__ = ["Spender", "Spent", "spent_columns", "spent_of"]


@runtime_checkable
class Spender(Protocol):
    """A metric that asks a server, and knows what that took.

    Attributes:
        concurrency: requests in flight at once, at most.
        prices: by which it computes costs; None if it knows none.
    """

    concurrency: int
    prices: Prices | None

    @property
    def spent(self) -> Mapping[str, float]:
        """What was sent and paid since `prepare`, as `calf.engine.request.Reply.spent`."""
        ...


@dataclass(frozen=True, slots=True)
class Spent:
    """Sums over all sessions of a run, failed judgments included.

    Attributes:
        requests: sent, those that were sent again included.
        retries: of these, sent again after a fault.
        cache_hits: answers that were in the cache.
        input_tokens, cached_input_tokens, output_tokens: as the server counted them; the second is part of the first.
            None where it counted none.
        cost: None where the metric's prices, or what was to be paid, are not known.
        unsure: requests without an answer that may have to be paid, and are not in the cost.
        currency: of the cost, ISO 4217; None where it is not known.
        latency: seconds that a judgment waited for its answers, on average; None if none was sent for.
    """

    requests: int
    retries: int
    cache_hits: int
    input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    unsure: int
    currency: str | None
    latency: float | None

    @property
    def priced(self) -> str:
        """The cost as people read it."""
        if self.cost is None:
            return "unknown"
        return f"{money(self.cost)} {self.currency or ''}".rstrip() + (" or more" if self.unsure else "")

    @property
    def tokens(self) -> int | None:
        """In and out together."""
        return None if self.input_tokens is None else self.input_tokens + (self.output_tokens or 0)


def spent_of(timing: Mapping[str, Any]) -> Spent | None:
    """What a run spent; None if its metric asks no server."""
    usage = timing.get("usage") or {}
    if not usage.keys() & {"requests", "cache_hits"}:
        return None
    counted = "input_tokens" in usage or not usage.get("requests")
    waited = timing.get("waited") or {}

    def count(name: str) -> int:
        return int(usage.get(name, 0))

    return Spent(
        requests=count("requests"),
        retries=count("retries"),
        cache_hits=count("cache_hits"),
        input_tokens=count("input_tokens") if counted else None,
        cached_input_tokens=count("cached_input_tokens") if counted else None,
        output_tokens=count("output_tokens") if counted else None,
        cost=usage.get("cost"),
        unsure=count("unsure"),
        currency=next((s["currency"] for s in reversed(timing.get("sessions") or ()) if s.get("currency")), None),
        latency=waited["seconds"] / waited["judgments"] if waited.get("judgments") else None,
    )


def spent_columns(timing: Mapping[str, Any]) -> dict[str, Any]:
    """The same as columns of a table for programs; all None if the metric asks no server."""
    spent = spent_of(timing)
    return asdict(spent) if spent else {field.name: None for field in fields(Spent)}
