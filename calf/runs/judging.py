"""Lets a metric judge what a run does not hold yet, and keeps the time and the usage whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING, Any, Protocol

from calf.runs.execute import execute, prepare
from calf.runs.timing import Session, spent_before
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.metrics.base import Preparation
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.plan import Outcome, Unit
    from calf.runs.store import Journal, RunFolder
    from calf.runs.streaming import StreamedRun

__all__ = ["PERMANENT", "Asked", "Progress", "is_settled", "judge", "judge_parts"]

PERMANENT = frozenset(
    [
        "no_reference",
        "not_applicable",
        "unsupported_language",
        "no_tokens",
        "missing",
        "bad_output",
        "too_long",
        "content_filter",
        "trained_on",
    ]
)
"""Kinds of failure that another try cannot mend; others are tried again by the next `evaluate` of the run."""


def is_settled(outcome: Outcome | None) -> bool:
    """Whether it stays as it is: neither missing, nor a failure that another try can mend."""
    return outcome is not None and not (isinstance(outcome, Failure) and outcome.kind not in PERMANENT)


class Progress(Protocol):
    """Is told how a run goes."""

    def start(self, metric: str, total: int, done: int) -> None:
        """`total` items must be judged, `done` of them are already."""

    def advance(self, count: int) -> None:
        """`count` more are judged."""

    def finish(self) -> None:
        """The last one is judged, or the run stops."""

    def say(self, message: str) -> None:
        """Something that the user should know."""


class Asked:
    """A metric and what it may look at before it judges, which it does once.

    Attributes:
        seconds: that this took: a metric may learn all that it knows there.
    """

    def __init__(self, metric: LoadedMetric, preparation: Preparation) -> None:
        self.metric = metric
        self.preparation = preparation
        self._prepared = False
        self.seconds = 0.0

    def prepare(self, spent: Mapping[str, float]) -> None:
        """Shows the metric the dataset, and what the run has spent; nothing the second time."""
        if not self._prepared:
            started = time.perf_counter()
            prepare(self.metric, dataclasses.replace(self.preparation, spent=spent))
            self.seconds = time.perf_counter() - started
            self._prepared = True


def judge(
    asked: Asked,
    units: Sequence[Unit],
    journal: Journal,
    folder: RunFolder,
    earlier: Mapping[str, Any] | None,
    jobs: int,
    executor: str,
    report: Progress,
) -> None:
    """Judges what the journal does not hold yet; keeps the time and the usage whatever happens."""
    left = [unit for unit in units if not is_settled(journal.outcomes.get(unit.key))]
    if not left:
        return
    spent = spent_before(earlier, journal.usage)
    asked.prepare(spent)
    metric = asked.metric
    with Session(folder, metric.instance, jobs, earlier, spent, asked.seconds) as session:
        report.start(metric.name, len(units), len(units) - len(left))
        try:
            with contextlib.closing(execute(metric, left, asked.preparation, jobs, executor)) as parts:
                for outcomes in parts:
                    journal.append(outcomes)
                    session.add(outcomes)
                    report.advance(len(outcomes))
        finally:
            report.finish()


def judge_parts(asked: Asked, run: StreamedRun, folder: RunFolder, jobs: int, executor: str, report: Progress) -> None:
    """The same for a streamed dataset, whose parts are kept one by one."""
    todo, total = run.missing()
    if not todo:
        return
    earlier = folder.read("timing") if folder.parts.exists() else None
    spent = spent_before(earlier, {})
    asked.prepare(spent)
    metric = asked.metric
    with Session(folder, metric.instance, jobs, earlier, spent, asked.seconds) as session:
        report.start(metric.name, total, total - sum(todo.values()))
        try:
            run.judge(metric, todo, asked.preparation, jobs, executor, session, report.advance)
        finally:
            report.finish()
