"""Worker processes on this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from calf.errors import StoppedError
from calf.runs.chunks import KEPT, Workers, interrupts_held
from calf.runs.troubles import describe_error
from calf.runs.workers import Setup, start_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from calf.runs.plan import Unit

__all__ = ["open_processes"]

_DIED = f"a worker process died (out of memory?); {KEPT}"


@contextlib.contextmanager
def open_processes(setup: Setup, jobs: int) -> Iterator[Workers]:
    """As many processes, which end with the block."""
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
