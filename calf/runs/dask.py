"""Dask clusters as executors: one of its own on this machine, or one that is there."""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import tempfile
import time
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import calf
from calf.errors import StoppedError, UserError
from calf.runs.chunks import KEPT, Workers, interrupts_held
from calf.runs.troubles import describe_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calf.runs.workers import Setup

__all__ = ["open_dask", "probe"]

_CONNECT_SECONDS = 5
_CLOSE_SECONDS = 10
_LONELY_SECONDS = 20.0  # a cluster without workers may be getting some
_ANY_PORT = "127.0.0.1:0"  # Dask always reports on its health over HTTP: to nobody but this machine


@contextlib.contextmanager
def open_dask(setup: Setup, jobs: int, address: str) -> Iterator[Workers]:
    """Workers of a cluster.

    Args:
        setup: sent once to each worker.
        jobs: how many worker processes a cluster of its own has.
        address: of a cluster that is there; "" for one of its own.

    Raises:
        UserError: none answers there, it has no workers, or they lack CALF.
        StoppedError: one of its own cannot be started.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        client = stack.enter_context(_client_of(address) if address else _own_cluster(jobs))
        threads = _threads_of(client)
        if not threads:
            raise UserError(f"the Dask cluster at {address} has no workers; start some with: dask worker {address}")
        try:
            given = client.scatter(setup, broadcast=True, hash=False)
        except Exception as error:  # of any kind: it is the workers' own
            raise UserError(
                f"the Dask workers cannot take the metric: {' '.join(str(error).split())}; each needs CALF "
                f"{calf.__version__}, and what this metric needs"
            ) from None
        executor = client.get_executor(pure=False)
        try:
            yield _Dask(executor, given, threads, client)
        finally:
            with contextlib.suppress(Exception):  # a cluster that is gone needs no goodbye
                executor.shutdown(wait=False)


class _Dask(Workers):
    """Workers of a Dask cluster."""

    def __init__(self, executor: Executor, given: Any, count: int, client: Any) -> None:
        super().__init__(executor, given, count)
        self._client = client
        self._seen = time.monotonic()

    def check(self) -> None:
        if self._client.status != "running":
            raise StoppedError(self.explain(CancelledError()))
        now = time.monotonic()
        if _threads_of(self._client):
            self._seen = now
        elif now - self._seen > _LONELY_SECONDS:
            raise StoppedError(f"the Dask cluster has no workers any more; {KEPT}")

    def explain(self, error: BaseException) -> str:
        if type(error).__name__ == "KilledWorker":
            return f"a Dask worker died (out of memory?); {KEPT}"
        if isinstance(error, (CancelledError, OSError)) or type(error).__name__ == "FutureCancelledError":
            return f"the connection to the Dask cluster, or a worker with the metric, was lost; {KEPT}"
        return f"a Dask worker failed: {describe_error(error)}; {KEPT}"


def _threads_of(client: Any) -> int:
    try:
        return sum(client.nthreads().values())
    except Exception:  # the scheduler does not answer: as good as no workers
        return 0


@contextlib.contextmanager
def _client_of(address: str) -> Iterator[Any]:
    """A client of a running cluster."""
    probe(address)  # a client that cannot connect is hard to get rid of
    client = _distributed().Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=1)


def probe(address: str) -> None:
    """Asks a scheduler who it is; what listens there may be anything, and answer anything.

    Raises:
        UserError: it is no scheduler.
    """
    import asyncio

    async def ask() -> None:
        async with _distributed().rpc(address, timeout=_CONNECT_SECONDS) as scheduler:
            if (await scheduler.identity())["type"] != "Scheduler":
                raise ValueError("a worker's address")

    try:
        with _quiet(), ThreadPoolExecutor(1) as beside:  # the caller may have an event loop of its own
            beside.submit(asyncio.run, asyncio.wait_for(ask(), _CONNECT_SECONDS)).result()
    except Exception:  # whatever it is, it is not a scheduler
        raise UserError(
            f"no Dask scheduler answers at {address}; give HOST:PORT of one, or --executor dask for one of its own"
        ) from None


@contextlib.contextmanager
def _own_cluster(jobs: int) -> Iterator[Any]:
    """A cluster of processes on this machine, which ends with the block; its files are in a temporary folder."""
    import dask

    before = set(multiprocessing.active_children())
    with (
        tempfile.TemporaryDirectory(prefix="calf-dask-", ignore_cleanup_errors=True) as folder,
        # A worker that died once would die again on the same chunk: the run says so at once.
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        ThreadPoolExecutor(1) as beside,
    ):
        starting = beside.submit(_start, jobs, folder)  # an interrupt ends the wait for it, not what it is at
        try:
            try:
                _, client = starting.result()
            except (OSError, RuntimeError, TimeoutError) as error:
                raise StoppedError(f"a local Dask cluster cannot be started: {describe_error(error)}") from None
            yield client
        except BaseException:
            wait([starting])
            for process in set(multiprocessing.active_children()) - before:
                process.kill()  # nobody waits for chunks that are not wanted any more
            raise
        finally:
            if starting.exception() is None:
                for opened in reversed(starting.result()):
                    with contextlib.suppress(Exception):  # nothing of it is wanted any more
                        opened.close(timeout=_CLOSE_SECONDS)


def _start(jobs: int, folder: str) -> tuple[Any, Any]:
    """A cluster, with its files in a folder, and a client of it."""
    with interrupts_held():
        cluster = _distributed().LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=True, host="127.0.0.1", memory_limit=0,
            dashboard_address=_ANY_PORT, worker_dashboard_address=_ANY_PORT, local_directory=folder,
            silence_logs=logging.CRITICAL,
        )  # fmt: skip
    try:
        client = _distributed().Client(cluster, set_as_default=False)
        client.run(_ignore_interrupts)
    except BaseException:
        cluster.close(timeout=_CLOSE_SECONDS)
        raise
    return cluster, client


def _ignore_interrupts() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # this side stops the workers


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Dask's own reports, for what goes wrong becomes one line; and without its memory of what it has sent."""
    import warnings

    import dask

    _distributed()  # which sets up the loggers when it is imported first
    roots = ("distributed", "tornado", "asyncio")  # some of those below have levels of their own
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in roots]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        # It would keep the last thousand messages, each with a chunk.
        with warnings.catch_warnings(), dask.config.set({"distributed.admin.low-level-log-length": 0}):
            warnings.filterwarnings("ignore", module="distributed")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _distributed() -> Any:
    """The package, which has no types."""
    return importlib.import_module("distributed")
