"""Progress: a bar with rate and time left on a terminal, a few quiet lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Lines"]

_LINE_SECONDS = 30.0
_BAR_AFTER = 0.3


class Lines:
    """Tells how a run goes, on `stream`; see `calf.runs.judging.Progress`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._metric = ""
        self._total = self._done = self._before = 0
        self._started = self._said = 0.0

    def start(self, metric: str, total: int, done: int) -> None:
        """A metric begins; `done` of `total` items are judged already."""
        self._metric, self._total, self._done, self._before = metric, total, done, done
        self._started = self._said = time.monotonic()
        if done:
            self.say(f"{metric}: continues, {done} of {total} items are judged")

    def advance(self, count: int) -> None:
        """`count` more items are judged."""
        self._done += count
        now = time.monotonic()
        if self._stream.isatty():
            if self._bar is None and now - self._started > _BAR_AFTER:  # what is quick needs no bar
                self._open_bar()
            if self._bar is not None and self._task is not None:
                rate = (self._done - self._before) / max(now - self._started, 1e-9)
                self._bar.update(self._task, completed=self._done, rate=f"{rate:.1f}/s")
        elif now - self._said > _LINE_SECONDS:
            self._said = now
            rate = (self._done - self._before) / (now - self._started)
            left = (self._total - self._done) / rate
            self.say(f"{self._metric}: {self._done}/{self._total}, {rate:.1f}/s, {left:.0f} s left")

    def finish(self) -> None:
        """The metric has ended, or stopped."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, message: str) -> None:
        """One line."""
        print(f"calf: {message}", file=self._stream, flush=True)  # this is the way to the user

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._metric, total=self._total, completed=self._done, rate="")
