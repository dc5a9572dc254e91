"""Workers that share one list of work, in an event loop of their own beside the main thread."""

from __future__ import annotations

import asyncio
import threading

__all__ = ["Crew"]


class Crew:
    """An event loop in a thread (a notebook's main thread has a loop already), with some workers in it.

    A subclass says in `work` what each worker does, and in `close` what is done when all have ended.

    Args:
        name: of the thread.
        workers: how many, at least 1.

    Attributes:
        error: what stopped the work; the owner raises it in the main thread.
    """

    def __init__(self, name: str, workers: int) -> None:
        self.error: BaseException | None = None
        self._workers = workers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    async def work(self) -> None:
        """What one worker does, until there is nothing left."""
        raise NotImplementedError

    async def close(self) -> None:
        """What is done when all workers have ended, however they did."""

    def finished(self) -> None:
        """Is told in the crew's thread that there will be nothing more."""

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Waits so long for the end; whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Cancels what is under way, if anything is, and waits for the end."""
        self._ready.wait()
        loop, main = self._loop, self._main
        if loop is not None and main is not None and not loop.is_closed():
            loop.call_soon_threadsafe(main.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # raised again in the main thread
            self.error = self.error or error
        finally:
            self._ready.set()
            self.finished()

    async def _all(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        self._ready.set()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self.work())
        finally:
            await self.close()
