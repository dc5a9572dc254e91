"""Asks a metric about many items at once, in one event loop beside the main thread, which writes what comes."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

from calf.engine.crew import Crew
from calf.errors import CalfError
from calf.runs.plan import check_outcome
from calf.runs.troubles import describe_error, redact
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from calf.runs.plan import Outcome, Unit

__all__ = ["WINDOW", "ask_concurrently"]

WINDOW = 32
"""Items under way at once, for a metric that does not say."""

_POLL_SECONDS = 1.0  # a wait without end would not hear an interrupt on every system


def ask_concurrently(
    instance: Any, kind: str, units: Sequence[Unit], secrets: Sequence[str] = ()
) -> Generator[dict[str, Outcome]]:
    """Outcomes by key, as they come, from a metric with `score_one` or `judge_one`.

    When the metric says that it cannot go on (a CalfError), no further item is begun, but what is under way is waited
    for, since it may be paid for; then the error is raised. When the caller stops (an interrupt, the generator's end),
    what is under way is cancelled.

    Args:
        instance: the metric; its `window` says how many items may be under way.
        kind: response or comparison.
        units: what to ask, each once.
        secrets: what no message may hold.

    Raises:
        CalfError: what the metric says.
    """
    work = _Work(instance, kind, units, secrets)
    work.start()
    try:
        while True:
            done = work.take()
            if done is None:
                break
            yield done
    finally:
        work.stop()
    if work.error is not None:
        raise work.error


class _Work(Crew):
    """As many workers as items may be under way, which share one list of units."""

    def __init__(self, instance: Any, kind: str, units: Sequence[Unit], secrets: Sequence[str]) -> None:
        super().__init__("calf-judgments", max(1, min(int(getattr(instance, "window", WINDOW)), len(units))))
        self._instance = instance
        self._kind = kind
        self._units = iter(units)
        self._secrets = secrets
        self._done: queue.SimpleQueue[tuple[str, Outcome] | None] = queue.SimpleQueue()

    def finished(self) -> None:
        """Lets `take` end."""
        self._done.put(None)

    def take(self) -> dict[str, Outcome] | None:
        """All outcomes that are there, at least one; None when there will be no more."""
        first = self._wait()
        if first is None:
            return None
        batch = dict([first])
        while True:
            try:
                item = self._done.get_nowait()
            except queue.Empty:
                return batch
            if item is None:
                self._done.put(None)
                return batch
            batch[item[0]] = item[1]

    def _wait(self) -> tuple[str, Outcome] | None:
        while True:
            try:
                return self._done.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue

    async def close(self) -> None:
        """Closes the metric, if it can be."""
        close = getattr(self._instance, "close", None)
        if close is not None:
            await close()

    async def work(self) -> None:
        """Takes units until there are none, or one says that the metric cannot go on."""
        ask = self._instance.score_one if self._kind == "response" else self._instance.judge_one
        for unit in self._units:
            if self.error is not None:
                return
            try:
                outcome = check_outcome(self._kind, await ask(unit.item))
            except CalfError as error:
                self.error = self.error or error
                return
            except (Exception, SystemExit) as error:  # a metric may raise anything; its item fails, the run goes on
                outcome = Failure("error", describe_error(error, self._secrets))
            self._done.put((unit.key, redact(outcome, self._secrets)))
