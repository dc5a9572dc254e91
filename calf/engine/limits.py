"""How many requests are in flight, and how fast they follow each other: within what the server allows."""

from __future__ import annotations

import asyncio
import time
from collections import deque

__all__ = ["Limits"]

_FEWEST = 8  # requests that say anything about the share of 429s


class _Rate:
    """A bucket that fills at `per_minute` and holds one second's worth.

    More than it holds may be taken from it when it is full; later takers wait until that is filled up again.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._per_second = None if per_minute is None else per_minute / 60
        self._empty_until = 0.0  # when it would be empty no more

    def take(self, amount: float) -> float:
        """Take so much; the seconds to wait before it may be used."""
        if self._per_second is None:
            return 0.0
        now = time.monotonic()
        start = max(self._empty_until, now - 1.0)
        self._empty_until = start + amount / self._per_second
        return max(0.0, start - now)

    def give_back(self, amount: float) -> None:
        """Put back what was taken and not used (a negative amount: what was used beyond)."""
        if self._per_second is not None:
            self._empty_until -= amount / self._per_second


class Limits:
    """Limits of concurrency and rates, which adapt to the server's 429s.

    The concurrency is halved when more than a quarter of the requests of late, whatever came of them, ended with a 429
    (once for all requests that were in flight together, and after eight at least; a single one now and then is no sign
    of too much), and one is added after as many good answers as are in flight, up to the setting.

    Args:
        concurrency: requests in flight at once, at most.
        requests_per_minute, tokens_per_minute: None: no limit.
    """

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.most = concurrency
        self._active = 0
        self._ended = self._limited = 0  # requests of this round: all that ended, those with a 429
        self._more = 0  # good ones since the concurrency was changed
        self._round = 0  # requests sent between two halvings are of one round
        self._resume = 0.0
        self._requests = _Rate(requests_per_minute)
        self._tokens = _Rate(tokens_per_minute)
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, tokens: int = 0) -> int:
        """Wait until a request of about so many tokens may be sent; `leave` must follow.

        Returns:
            The round that it is sent in, for `leave`.
        """
        waited = False
        try:
            while True:
                if self._active >= self.concurrency:
                    turn = asyncio.get_running_loop().create_future()
                    (self._waiting.appendleft if waited else self._waiting.append)(turn)
                    waited = True
                    await turn
                elif (pause := self._resume - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                else:
                    break
        except asyncio.CancelledError:
            self._wake()  # the turn may have been given to this one
            raise
        self._active += 1
        delay = max(self._requests.take(1), self._tokens.take(tokens))
        try:
            while delay > 0:
                await asyncio.sleep(delay)
                delay = self._resume - time.monotonic()
        except asyncio.CancelledError:
            self.leave(self._round)
            raise
        return self._round

    def leave(self, sent_in: int, *, good: bool = False, limited: bool = False, unused_tokens: int = 0) -> None:
        """A request ended: well (`good`), with a 429 (`limited`), or otherwise."""
        self._active -= 1
        self._tokens.give_back(unused_tokens)
        if sent_in == self._round:
            self._limited += limited
            self._ended += 1
            if limited and self._limited * 4 > self._ended >= max(_FEWEST, self.concurrency // 2):
                self.concurrency = max(1, self.concurrency // 2)
                self._round += 1
                self._ended = self._limited = self._more = 0
            elif self._ended >= 2 * max(_FEWEST, self.concurrency):
                self._ended = self._limited = 0
        if good and self.concurrency < self.most:
            self._more += 1
            if self._more >= self.concurrency:
                self.concurrency += 1
                self._more = 0
        self._wake()

    def pause(self, seconds: float) -> None:
        """Let nothing be sent for so long."""
        self._resume = max(self._resume, time.monotonic() + seconds)

    def _wake(self) -> None:
        free = self.concurrency - self._active
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
