"""Runs a metric on a dataset: the one way from comparisons to a result on disk."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import calf
from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.errors import StoppedError, UserError
from calf.metrics.base import Preparation
from calf.metrics.registry import LoadedMetric, load_metric
from calf.runs.conclude import conclude
from calf.runs.execute import execute, prepare
from calf.runs.identity import code_revision, manifest_of, run_id
from calf.runs.plan import assemble, plan
from calf.runs.store import Journal, RunFolder
from calf.types import Failure
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.decide import OrderChoice
    from calf.runs.plan import Outcome, Unit
    from calf.runs.run import Run
    from calf.types import Comparison

__all__ = ["PERMANENT", "Progress", "evaluate"]

PERMANENT = frozenset({"no_reference", "not_applicable", "unsupported_language", "no_tokens", "missing", "bad_output"})
"""Kinds of failure that another try cannot mend; others are tried again by the next `evaluate` of the run."""


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


class _Silent:
    def start(self, metric: str, total: int, done: int) -> None: ...
    def advance(self, count: int) -> None: ...
    def finish(self) -> None: ...
    def say(self, message: str) -> None: ...


def evaluate(
    metric: str | LoadedMetric,
    dataset: str | Path | Dataset = "sample",
    *,
    setting: str | Sequence[str] = (),
    subject: str | Sequence[str] = (),
    language: str | Sequence[str] = (),
    limit: int | None = None,
    order: OrderChoice = "given",
    repeat: int = 1,
    options: Mapping[str, Any] | None = None,
    jobs: int = 1,
    seed: int = 0,
    runs: str | Path | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Judges a dataset with a metric, or what is not judged yet of it, and measures the agreement with people.

    The run is identified by the metric's signature, the dataset's fingerprint, `order` and `seed`; everything else
    selects from it. Called again it continues, or reuses what is there.

    Args:
        metric: a name, a variant, `package.module:Name`, `path/to/file.py:Name`, or what `load_metric` returned.
        dataset: a known name, a file, a folder, a hub id, or a `Dataset`.
        setting, subject, language: keep only comparisons of these; one value or several.
        limit: at most this many comparisons, in whole groups chosen by hash.
        order: which response is shown first: as given, swapped, or both.
        repeat: how often each comparison is judged in each order.
        options: the metric's options, when `metric` is text.
        jobs: worker processes.
        seed: for everything that is drawn by hash.
        runs: the folder of runs; default: the workspace's, or `./runs`.
        fresh: judge everything again; older judgments are kept beside the new ones.
        progress: is told how it goes.

    Raises:
        UserError: a name, an option, a file or a selection is wrong.
        StoppedError: the run stopped before its end; calling again continues it.
    """
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    loaded = load_metric(metric, **(options or {})) if isinstance(metric, str) else metric
    if repeat < 1 or jobs < 1 or (limit is not None and limit < 1):
        raise UserError("limit, repeat and jobs must be 1 or more")
    chosen = select(data, setting, subject, language, limit, seed)
    report = progress or _Silent()
    preparation = Preparation(data.comparisons, seed)
    signature = loaded.signature(preparation.languages)
    folder = RunFolder(
        (Path(runs) if runs else find_workspace().runs) / run_id(loaded.name, signature, data, order, seed)
    )
    with folder.lock(lambda: report.say(f"another process works on {folder.id}; waiting for it")):
        if fresh:
            folder.set_aside()
        if folder.read("manifest") is None:
            folder.write("manifest", manifest_of(loaded, signature, data, order, seed))
        covered = folder.covered()
        for comparison in chosen:
            covered[comparison.id] = max(covered.get(comparison.id, 0), repeat)
        journal = Journal(folder.journal)
        try:
            _judge(loaded, plan(loaded, chosen.comparisons, order, repeat), preparation, journal, folder, jobs, report)
        finally:
            journal.close()
        part = [c for c in data if c.id in covered and _is_kept(loaded, c, order, covered[c.id], journal.outcomes)]
        covered = {c.id: covered[c.id] for c in part}
        judgments = assemble(loaded, part, order, covered, journal.outcomes)
        return conclude(folder, data, covered, judgments, chosen, repeat)


def select(
    dataset: Dataset,
    setting: str | Sequence[str],
    subject: str | Sequence[str],
    language: str | Sequence[str],
    limit: int | None,
    seed: int,
) -> Dataset:
    """The selected comparisons.

    Raises:
        UserError: a value does not occur, or nothing is left.
    """
    wanted = {}
    for column, values in (("setting", setting), ("subject", subject), ("language", language)):
        asked = (values,) if isinstance(values, str) else tuple(values)
        known = {getattr(comparison, column) for comparison in dataset} - {None}
        for value in asked:
            if value not in known:
                has = ", ".join(sorted(known)) or "none"
                raise UserError(f"dataset {dataset.name!r} has no {column} {value!r}; it has: {has}")
        wanted[column] = asked
    chosen = dataset.select(
        settings=wanted["setting"], subjects=wanted["subject"], languages=wanted["language"], limit=limit, seed=seed
    )
    if not len(chosen):
        raise UserError(f"no comparison of dataset {dataset.name!r} passes the filters")
    return chosen


def _judge(
    metric: LoadedMetric,
    units: Sequence[Unit],
    preparation: Preparation,
    journal: Journal,
    folder: RunFolder,
    jobs: int,
    report: Progress,
) -> None:
    """Judges what the journal does not hold yet; keeps the time whatever happens."""
    left = [unit for unit in units if not _settled(journal.outcomes.get(unit.key))]
    if not left:
        return
    prepare(metric, preparation)
    report.start(metric.name, len(units), len(units) - len(left))
    started, count = time.perf_counter(), 0
    moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        for outcomes in execute(metric, left, preparation, jobs):
            journal.append(outcomes)
            count += len(outcomes)
            report.advance(len(outcomes))
    finally:
        report.finish()
        _note_time(folder, moment, time.perf_counter() - started, count, jobs)
    if count < len(left):
        raise StoppedError(f"run {folder.id} stopped after {count} of {len(left)} items; run the command again")


def _is_kept(
    metric: LoadedMetric, comparison: Comparison, order: OrderChoice, repeats: int, outcomes: Mapping[str, Outcome]
) -> bool:
    """Whether the journal holds all of a comparison that earlier calls covered (somebody may have cut it)."""
    return all(unit.key in outcomes for unit in plan(metric, [comparison], order, repeats))


def _settled(outcome: Outcome | None) -> bool:
    return outcome is not None and not (isinstance(outcome, Failure) and outcome.kind not in PERMANENT)


def _note_time(folder: RunFolder, moment: str, seconds: float, count: int, jobs: int) -> None:
    timing = folder.read("timing") or {}
    session = {"started": moment, "seconds": round(seconds, 3), "judged": count, "jobs": jobs}
    session |= {"calf": calf.__version__, "revision": code_revision()}
    sessions = [*timing.get("sessions", []), session]
    total = round(sum(s["seconds"] for s in sessions), 3)
    folder.write("timing", {"seconds": total, "judged": sum(s["judged"] for s in sessions), "sessions": sessions})
