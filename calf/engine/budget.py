"""Limits of requests, money and time, that are never passed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.engine.request import Usage
from calf.errors import StoppedError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calf.engine.prices import Prices

__all__ = ["Budget", "Reservation", "Spending"]


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run may send and pay, and where its answers are kept.

    Attributes:
        max_requests, max_cost: of the whole run, earlier sessions included; None: no limit. The cost is in the currency
            of the prices.
        cache: whether answers are looked up and kept on disk.
        record: a file to which every request and reply is appended.
        replay: a file of that kind, which answers in the server's place.
        max_seconds: of one session, after which no request is begun; None: no limit.
    """

    max_requests: int | None = None
    max_cost: float | None = None
    cache: bool = True
    record: Path | None = None
    replay: Path | None = None
    max_seconds: float | None = None


@dataclass(slots=True, eq=False)
class Reservation:
    """The most that a request on its way can cost; `settle` says what it did cost, or that it was never sent."""

    bound: float
    budget: Budget
    open: bool = True

    def settle(self, cost: float = 0.0, sent: bool = True) -> None:
        """Put the actual cost in the bound's place; only the first call counts."""
        if self.open:
            self.open = False
            self.budget._settle(self, cost, sent)


class Budget:
    """What may be sent and paid. One budget may serve several engines of one event loop.

    Before a request is sent, its upper bound is reserved; the actual cost replaces it. So the limit is not passed,
    however many requests are in flight, as far as servers keep to `max_tokens`.

    Args:
        max_requests: HTTP requests, repeated ones included.
        max_cost: in the currency of the prices.
        max_seconds: from the first reservation; later ones are refused, what is in flight may end.
        requests, cost: what earlier sessions of the same run sent and paid.

    Raises:
        UserError: a limit below 0.
    """

    def __init__(
        self,
        max_requests: int | None = None,
        max_cost: float | None = None,
        max_seconds: float | None = None,
        *,
        requests: int = 0,
        cost: float = 0.0,
    ) -> None:
        for name, value in (("requests", max_requests), ("cost", max_cost), ("seconds", max_seconds)):
            if value is not None and not value >= 0:
                raise UserError(f"--max-{name} must be 0 or more, not {value}")
        self.max_requests = max_requests
        self.max_cost = max_cost
        self.max_seconds = max_seconds
        self.requests = requests
        self.cost = cost
        self._under_way: set[Reservation] = set()
        self._started: float | None = None
        self._stopped: str | None = None
        self._changed: asyncio.Future[None] | None = None

    @classmethod
    def of(cls, spending: Spending, spent: Mapping[str, float], prices: Prices | None) -> Budget:
        """The budget of a session of a run.

        Args:
            spending: what the whole run may.
            spent: what its earlier sessions did, as `calf.engine.request.Reply.spent`. What may have been paid counts.
            prices: by which a cost that those did not know is computed from their tokens.

        Raises:
            UserError: a limit below 0.
        """
        cost = max(spent.get("charged", 0.0), spent.get("cost", 0.0))
        if prices is not None and not cost:
            tokens = (int(spent.get(name, 0)) for name in ("input_tokens", "cached_input_tokens", "output_tokens"))
            cost = prices.cost(Usage(*tokens))
        return cls(
            spending.max_requests,
            spending.max_cost,
            spending.max_seconds,
            requests=int(spent.get("requests", 0)),
            cost=cost,
        )

    async def reserve(self, bound: float = 0.0) -> Reservation:
        """Wait until a request that costs at most `bound` fits.

        Where it cannot fit, whatever the requests in flight turn out to cost, nothing more is let through; the
        error comes when those have ended, so that none that is paid for is cut off.

        Raises:
            StoppedError: the budget is spent.
        """
        if self._started is None:
            self._started = time.monotonic()
        while True:
            if self._stopped is None:
                self._stopped = self._refusal(bound)
            if self._stopped is None and self._fits(bound):
                reservation = Reservation(bound, self)
                self._under_way.add(reservation)
                return reservation
            if self._stopped is not None and not self._under_way:
                raise StoppedError(self._stopped)
            if self._changed is None:
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)

    def check_time(self) -> None:
        """That there is some left.

        Raises:
            StoppedError: there is none.
        """
        if self.max_seconds is not None and time.monotonic() - (self._started or 0.0) > self.max_seconds:
            raise StoppedError(f"the limit of {self.max_seconds:g} seconds is reached; the same command continues")

    def _fits(self, bound: float) -> bool:
        """With all that is under way at its upper bound."""
        if self.max_requests is not None and self.requests + len(self._under_way) + 1 > self.max_requests:
            return False
        reserved = sum(reservation.bound for reservation in self._under_way) if self.max_cost is not None else 0.0
        return self.max_cost is None or self.cost + reserved + bound <= self.max_cost

    def _refusal(self, bound: float) -> str | None:
        """Why the request cannot be sent even if all that is under way turns out to be free."""
        if self.max_requests is not None and self.requests + 1 > self.max_requests:
            return (
                f"the limit of {self.max_requests} requests is reached; "
                "the same command with a higher --max-requests continues"
            )
        if self.max_cost is not None and self.cost + bound > self.max_cost:
            return (
                f"the limit of cost is reached: {self.cost:.6g} of {self.max_cost:.6g} is spent, and the next request "
                f"may cost {bound:.6g}; the same command with a higher --max-cost continues"
            )
        try:
            self.check_time()
        except StoppedError as error:
            return str(error)
        return None

    def _settle(self, reservation: Reservation, cost: float, sent: bool) -> None:
        self._under_way.discard(reservation)
        if sent:
            self.requests += 1
            self.cost += cost
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None
