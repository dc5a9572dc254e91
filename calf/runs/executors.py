"""Worker processes and Dask clusters, by one way: chunks of items go to a `concurrent.futures.Executor`.

A chunk is some tenths of a second of work: its size in characters, which stand for tokens, follows from how quickly the
chunks before it were judged. How items fall into chunks changes no outcome.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import signal
import uuid
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import calf
from calf.errors import CalfError, MissingDependencyError, StoppedError, UserError
from calf.metrics.adapters import code_digest
from calf.metrics.base import Pair
from calf.runs.troubles import describe_error
from calf.runs.workers import Setup, pack, start_process, unpack, work

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from concurrent.futures import Future

    from calf.metrics.base import Preparation
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.plan import Outcome, Unit

__all__ = ["KEPT", "Workers", "check_executor", "interrupts_held", "open_workers", "reach"]

LOCAL, DASK = "local", "dask"

_CHUNK_SECONDS = 0.3
_FIRST_CHUNK = 5_000  # characters: little for a lexical metric, a few texts for a model
_LARGEST_CHUNK = 1_000_000  # what is sent at once stays small
_LARGEST_STEP = 4  # a chunk is at most so many times the one before
_CHUNKS_A_WORKER = 2  # one is judged, one waits
_POLL_SECONDS = 2.0

KEPT = "what is judged is kept, and the same command continues"
_DIED = f"a worker process died (out of memory?); {KEPT}"


def check_executor(metric: LoadedMetric, jobs: int, executor: str) -> None:
    """Says what cannot be before anything is begun.

    Raises:
        UserError: there is no such executor, or the metric is not for one.
        MissingDependencyError: Dask is not installed.
    """
    name, colon, address = executor.partition(":")
    if name not in (LOCAL, DASK) or (colon and (name == LOCAL or not address)):
        raise UserError(f"unknown executor {executor!r}; known: local, dask, dask:ADDRESS")
    if metric.concurrent and (jobs > 1 or name == DASK):
        option = "--jobs" if name == LOCAL else f"--executor {name}"
        raise UserError(f"metric {metric.name!r} asks many at once in one process; {option} is not for it")
    if name == DASK and importlib.util.find_spec("distributed") is None:
        raise MissingDependencyError("--executor dask", "distributed", "dask")


def reach(executor: str) -> None:
    """Makes sure that a cluster answers, if one is named.

    Raises:
        UserError: it does not.
    """
    address = executor.partition(":")[2]
    if address:
        from calf.runs.dask import probe

        probe(address)


@contextlib.contextmanager
def open_workers(metric: LoadedMetric, preparation: Preparation, jobs: int, executor: str) -> Iterator[Workers]:
    """Workers that judge with a metric, until the block ends: then they are stopped, whatever they do.

    Args:
        metric: not one that asks many at once.
        preparation: what it may look at; sent once to each worker, if the metric has `prepare`.
        jobs: how many worker processes; a cluster that is named has its own.
        executor: local, dask or dask:ADDRESS.

    Raises:
        UserError: a cluster does not answer, or has no workers.
    """
    setup = Setup(
        key=uuid.uuid4().hex,
        recipe=metric.recipe,
        kind=metric.kind,
        batch_size=metric.traits.batch_size,
        secrets=metric.secret_values,
        preparation=preparation if hasattr(metric.cls, "prepare") else None,
        code=(calf.__version__, code_digest(metric.cls)),
    )
    name, _, address = executor.partition(":")
    if name == LOCAL:
        opened = _local(setup, jobs)
    else:
        from calf.runs.dask import open_dask

        opened = open_dask(setup, jobs, address)
    with opened as workers:
        yield workers


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


@contextlib.contextmanager
def _local(setup: Setup, jobs: int) -> Iterator[Workers]:
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    pool = ProcessPoolExecutor(jobs, context, start_process, (setup,))
    workers = _Processes(pool, jobs, before)
    try:
        yield workers
    except BaseException:
        for process in workers.processes():
            process.kill()  # nobody waits for chunks that are not wanted any more
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Processes(Workers):
    """Processes on this machine; the pool starts one when there is a chunk for it.

    Args:
        before: children of this process that are none of them.
    """

    def __init__(self, pool: ProcessPoolExecutor, jobs: int, before: set[Any]) -> None:
        super().__init__(pool, None, jobs)
        self._before = before
        self._started: set[Any] = set()

    def processes(self) -> list[Any]:
        return [child for child in multiprocessing.active_children() if child not in self._before]

    def submit(self, chunk: list[Unit]) -> Future[Any]:
        with interrupts_held():
            future = super().submit(chunk)
        self._started.update(self.processes())
        return future

    def check(self) -> None:
        if not self._started <= set(self.processes()):
            raise StoppedError(_DIED)  # the pool does not always notice

    def explain(self, error: BaseException) -> str:
        if isinstance(error, BrokenProcessPool):
            return _DIED
        return f"a worker process failed: {describe_error(error)}; {KEPT}"
