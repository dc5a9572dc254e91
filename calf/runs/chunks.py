"""Hands items to a `concurrent.futures.Executor`, chunk by chunk.

A chunk is some tenths of a second of work: its size in characters, which stand for tokens, follows from how quickly the
chunks before it were judged. How items fall into chunks changes no outcome.
"""

from __future__ import annotations

import contextlib
import signal
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, wait
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from calf.errors import CalfError, StoppedError
from calf.metrics.base import Pair
from calf.runs.workers import pack, unpack, work

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from concurrent.futures import Future

    from calf.runs.plan import Outcome, Unit

__all__ = ["KEPT", "Workers", "interrupts_held"]

KEPT = "what is judged is kept, and the same command continues"

_CHUNK_SECONDS = 0.3
_FIRST_CHUNK = 5_000  # characters: little for a lexical metric, a few texts for a model
_LARGEST_CHUNK = 1_000_000  # what is sent at once stays small
_LARGEST_STEP = 4  # a chunk is at most so many times the one before
_CHUNKS_A_WORKER = 2  # one is judged, one waits
_POLL_SECONDS = 2.0


class Workers(ABC):
    """An executor whose processes hold the metric.

    Args:
        executor: where chunks go.
        given: the setup, or what stands for it in the executor; None: its processes have it.
        count: how many chunks it judges at once.
    """

    def __init__(self, executor: Executor, given: Any, count: int) -> None:
        self._executor = executor
        self._given = given
        self._count = count

    def outcomes(self, units: Iterable[Unit]) -> Generator[dict[str, Outcome]]:
        """The outcomes of units by key, chunk by chunk as they come; few units are taken before they are needed.

        Raises:
            CalfError: what the metric says, if it cannot go on.
            StoppedError: a worker died.
        """
        chunks = _Chunks(units)
        waiting: dict[Future[Any], int] = {}
        more = True
        while True:
            while more and len(waiting) < _CHUNKS_A_WORKER * self._count:
                chunk, size = chunks.take()
                more = bool(chunk)
                if more:
                    waiting[self.submit(chunk)] = size
            if not waiting:
                return
            done, _ = wait(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            if not done:
                self.check()
            for future in done:
                found, seconds = self._result(future)
                chunks.learn(waiting.pop(future), seconds)
                yield unpack(found)

    def submit(self, chunk: list[Unit]) -> Future[Any]:
        """Hands a chunk to the executor."""
        try:
            return self._executor.submit(work, self._given, pack(chunk))
        except CalfError:
            raise
        except Exception as error:  # the executor is broken, and says so by an exception of its own
            raise StoppedError(self.explain(error)) from None

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except CalfError:
            raise
        except (Exception, CancelledError) as error:  # as above; the metric's own exceptions are failures of items
            raise StoppedError(self.explain(error)) from None

    @abstractmethod
    def check(self) -> None:
        """Looks after the workers, of which nothing was heard for a while.

        Raises:
            StoppedError: they are not there any more.
        """

    @abstractmethod
    def explain(self, error: BaseException) -> str:
        """One line about an exception of the executor."""


class _Chunks:
    """Cuts units into chunks of about `_CHUNK_SECONDS`."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._units = iter(units)
        self._most = _FIRST_CHUNK

    def take(self) -> tuple[list[Unit], int]:
        """The next chunk and its size; an empty one at the end."""
        chunk: list[Unit] = []
        size = 0
        while size < self._most:
            unit = next(self._units, None)
            if unit is None:
                break
            chunk.append(unit)
            size += _size_of(unit)
        return chunk, size

    def learn(self, size: int, seconds: float) -> None:
        """A chunk of that size took so long: the next ones are made accordingly."""
        wanted = size * _CHUNK_SECONDS / max(seconds, 1e-6)
        self._most = int(max(1, min(wanted, self._most * _LARGEST_STEP, _LARGEST_CHUNK)))


def _size_of(unit: Unit) -> int:
    item = unit.item
    answers = (item.response_a, item.response_b) if isinstance(item, Pair) else (item.response,)
    return 1 + sum(map(len, (item.question, item.context, item.reference or "", *answers)))


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Holds interrupts of this thread back until the block ends; processes that are started in it never hear of any.

    Ctrl-C reaches them too, and one that is not up yet would tell of it by a traceback of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which, when it is started later, lets interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
