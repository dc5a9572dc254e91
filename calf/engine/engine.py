"""Asks a server: what is asked twice is sent once, what was answered is not paid for again, and no limit is passed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from calf.engine.budget import Budget
from calf.engine.client import Client
from calf.engine.faults import Fault
from calf.engine.limits import Limits
from calf.engine.prices import check_prices, count, most_tokens
from calf.engine.refusals import Refusals
from calf.engine.request import NO_USAGE, AskError, Reply, Usage, total
from calf.engine.tokens import estimate_tokens
from calf.engine.trace import Recorder, Replayer
from calf.engine.wire import read_reply
from calf.errors import StoppedError
from calf.hashing import uniform

if TYPE_CHECKING:
    from calf.engine.cache import Cache
    from calf.engine.client import Sender
    from calf.engine.request import Request
    from calf.engine.server import Server

__all__ = ["Engine"]

_FIRST_WAIT = 0.5  # seconds; doubled for each retry
_LONGEST_WAIT = 30.0
_EMPTY_RETRIES = 2  # a blank answer was paid for: it is asked for again less often than what cost nothing


class Engine:
    """Asks one server, from one event loop.

    A request is looked for among those in flight, then among the answers of this run, then in the cache or the record;
    else it is sent, within budget and limits, and again after a fault that may pass: after what the server asks
    for, else after 0.5 s, doubled each time up to 30 s, times a number between 0 and 1 (full jitter).

    Args:
        server: whom to ask.
        cache: None: answers are kept for this run alone.
        budget: default: none.
        trace: a `Recorder`, or a `Replayer`, which answers in the server's place: nothing is sent, nothing is cached.
        answered: whether this server has given good answers to requests of this kind before. Else it refuses all, and
            not some for their texts, when it has refused the first 32.
        sender: what requests are sent through; None: HTTP.
        limits: those of others who ask the same servers; None: its own, as the server says.

    Attributes:
        spent: what all askings together sent and paid, as `Reply.spent`; those that were cut off too.

    Raises:
        UserError: a limit of cost, and no prices.
    """

    def __init__(
        self,
        server: Server,
        *,
        cache: Cache | None = None,
        budget: Budget | None = None,
        trace: Recorder | Replayer | None = None,
        answered: bool = False,
        sender: Sender | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.server = server
        self.spent: dict[str, float] = {"cost": 0.0}
        self.budget = budget or Budget()
        replayed = isinstance(trace, Replayer)
        if not replayed:
            check_prices(server, self.budget.max_cost)
        self._cache = None if replayed else cache
        self._trace = trace
        self._client = sender or Client(server)
        self.limits = limits or Limits(server.concurrency, server.requests_per_minute, server.tokens_per_minute)
        self._flights: dict[str, asyncio.Future[Reply | AskError | StoppedError]] = {}
        self._answers: dict[str, Reply] = {}  # of this run, where there is no cache
        self._refusals = Refusals(answered)

    def beside(self, server: Server, sender: Sender | None = None, limits: Limits | None = None) -> Engine:
        """An engine for another server, or through another sender, with this one's budget, cache and record.

        Raises:
            UserError: a limit of cost, and no prices.
        """
        other = Engine(
            server,
            cache=self._cache,
            budget=self.budget,
            trace=self._trace,
            answered=self._refusals.answered,
            sender=sender,
            limits=limits,
        )
        other._answers = self._answers
        return other

    async def ask(self, request: Request) -> Reply:
        """The answer.

        Raises:
            AskError: this request failed for good.
            StoppedError: no request can be sent any more: the server refuses all, is not there, or the budget is spent.
            UserError: the cache or the record cannot be used.
        """
        if request.n > 1 and "n" not in self.server.honours:
            return await self._ask_singly(request)
        key = request.key(self.server)
        while (flight := self._flights.get(key)) is not None:
            try:
                outcome = await asyncio.shield(flight)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not flight.cancelled() or (task is not None and task.cancelling()):
                    raise
                continue  # who had sent it was cancelled, we were not
            return _shared(outcome)
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._look_up_or_send(request, key)
        except (AskError, StoppedError) as error:
            flight.set_result(error)
            raise
        else:
            flight.set_result(reply)
            return reply
        finally:
            del self._flights[key]
            flight.cancel()  # without effect where there is an outcome

    async def close(self) -> None:
        """Close the connections, the record and the cache."""
        await self._client.close()
        self.release()

    def release(self) -> None:
        """Close the record and the cache; enough where nothing was sent."""
        if self._trace is not None:
            self._trace.close()
        if self._cache is not None:
            self._cache.close()

    async def _ask_singly(self, request: Request) -> Reply:
        """`n` choices from `n` requests with one choice each; fewer, if some of them failed."""
        outcomes = await asyncio.gather(*map(self.ask, request.sent_as(self.server)), return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for error in errors:
            if not isinstance(error, AskError):
                raise error
        spent = total(*(outcome.spent for outcome in outcomes if isinstance(outcome, (Reply, AskError))))
        failed = next((error for error in errors if isinstance(error, AskError)), None)
        replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
        if failed is not None and not replies:
            raise AskError(failed.kind, failed.message, failed.raw, spent)
        first = next((reply for reply in replies if reply.origin == "server"), replies[0])
        return replace(
            first,
            choices=tuple(choice for reply in replies for choice in reply.choices),
            usage=sum((reply.usage for reply in replies), Usage()),
            seconds=max(reply.seconds for reply in replies),
            spent=spent,
            failed=failed,
        )

    async def _look_up_or_send(self, request: Request, key: str) -> Reply:
        if isinstance(self._trace, Replayer):
            reply = self._trace.answer(key)
            reply = replace(reply, spent=self._kept(reply.usage))
            self.spent = total(self.spent, reply.spent)
            return reply
        known = self._answers.get(key) if self._cache is None else self._cache.get(key)
        if known is not None:
            reply = replace(known, origin="cache", spent={"cache_hits": 1, "cost": 0.0, **self._kept(known.usage)})
            self.spent = total(self.spent, reply.spent)
        else:
            spent: dict[str, float] = {"cost": 0.0}
            try:
                reply = await self._send(request, key, spent)
            except AskError as error:
                self._record(request, error)
                raise
            finally:
                self.spent = total(self.spent, spent)
        self._record(request, reply)
        return reply

    def _kept(self, usage: Usage) -> dict[str, float]:
        """What an answer from the cache or a record would have taken."""
        if not usage.known:
            return {}
        kept: dict[str, float] = {"kept_input_tokens": usage.input, "kept_output_tokens": usage.output}
        prices = self.server.prices
        return kept if prices is None else {**kept, "kept_cost": prices.cost(usage)}

    def _record(self, request: Request, outcome: Reply | AskError) -> None:
        if isinstance(self._trace, Recorder) and self._refusals.stopped is None:
            with self._refusals.last():
                self._trace.write(request, self.server, outcome)

    async def _send(self, request: Request, key: str, spent: dict[str, float]) -> Reply:
        """Send a request until it is answered, or fails for good; what that takes is added to `spent`."""
        server = self.server
        body = request.body(server)
        most_input = most_tokens(body)
        bound = server.prices.bound(most_input, request.max_tokens * request.n) if server.prices else 0.0
        attempt = 0
        while True:
            self._refusals.check()
            try:
                return await self._send_once(request, key, body, bound, spent)
            except Fault as fault:
                self._refusals.add(fault)
                allowed = min(server.retries, _EMPTY_RETRIES) if fault.kind == "empty_answer" else server.retries
                if not fault.passing or attempt >= allowed:
                    if fault.unreachable:
                        self._refusals.stop(
                            f"cannot connect to {server.base_url}: {fault.message}; "
                            "check base_url and that the server runs, then the same command continues"
                        )
                    tries = f" (after {attempt + 1} attempts)" if attempt else ""
                    raise AskError(fault.kind, fault.message + tries, fault.raw, spent) from None
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * uniform("jitter", key, attempt)
                if fault.after is not None:
                    wait = fault.after + min(1.0, 0.1 * fault.after) * uniform("jitter", key, attempt)
                    if fault.limited:
                        self.limits.pause(fault.after)
                attempt += 1
                spent["retries"] = attempt
                await asyncio.sleep(wait)

    async def _send_once(
        self, request: Request, key: str, body: dict[str, Any], bound: float, spent: dict[str, float]
    ) -> Reply:
        """Send a request once. What is not known to be free is charged to the budget at its upper bound."""
        server = self.server
        reservation = await self.budget.reserve(bound)
        sent, charge, good, limited, usage = False, bound, False, False, NO_USAGE
        billed = True
        expected = 0
        if server.tokens_per_minute is not None:
            expected = sum(estimate_tokens(text) for _, text in request.messages) + request.max_tokens * request.n
        try:
            sent_in = await self.limits.enter(expected)
            try:
                self._refusals.check()
                self.budget.check_time()  # to enter may have taken long
                sent = True
                spent["requests"] = spent.get("requests", 0) + 1
                started = time.perf_counter()
                reply = read_reply(await self._client.post(body), request, server, time.perf_counter() - started)
                good = True
                self._refusals.good()
                usage = reply.usage
                self._keep(key, reply)
            except Fault as fault:
                limited, usage, billed = fault.limited, fault.usage, fault.billed
                if not billed:
                    charge = 0.0
                raise
            finally:
                self.limits.leave(
                    sent_in,
                    good=good,
                    limited=limited,
                    unused_tokens=expected - usage.input - usage.output if good and usage.known else 0,
                )
                if usage.known:
                    charge = server.prices.cost(usage) if server.prices else 0.0
                if sent:
                    count(spent, usage, charge, good=good, billed=billed, priced=server.prices is not None)
        finally:
            reservation.settle(charge if sent else 0.0, sent)
        return replace(reply, spent=spent)

    def _keep(self, key: str, reply: Reply) -> None:
        if self._cache is None:
            self._answers[key] = reply
            return
        with self._refusals.last():
            self._cache.put(key, self.server.place, reply)


def _shared(outcome: Reply | AskError | StoppedError) -> Reply:
    """What came of a twin's request, for one who did not pay."""
    if isinstance(outcome, Reply):
        return replace(outcome, origin="shared", spent={"cost": 0.0})
    if isinstance(outcome, AskError):
        raise AskError(outcome.kind, outcome.message, outcome.raw)
    raise StoppedError(str(outcome))
