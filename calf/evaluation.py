"""Runs a metric on a dataset: the one way from comparisons to a result on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.analysis.measures import EPSILON
from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.datasets.selecting import select
from calf.datasets.streamed import StreamedDataset
from calf.decide import RULES
from calf.engine.budget import Spending
from calf.errors import StoppedError, UserError
from calf.metrics.base import Preparation
from calf.metrics.registry import load_metric
from calf.runs.conclude import conclude
from calf.runs.executors import check_executor, reach
from calf.runs.facts import check_columns
from calf.runs.identity import manifest_of, run_id
from calf.runs.judging import PERMANENT, Asked, judge, judge_parts
from calf.runs.plan import assemble, plan
from calf.runs.rows import View
from calf.runs.store import Journal, RunFolder
from calf.runs.streaming import StreamedRun, can_stream
from calf.runs.timing import write_taken
from calf.runs.transcripts import turns_of, write_turns
from calf.runs.usage import Spender
from calf.types import Failure
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.decide import Judgment, OrderChoice, Rule
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.judging import Progress
    from calf.runs.plan import Outcome
    from calf.runs.run import Run
    from calf.types import Comparison

__all__ = ["evaluate"]


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
    order: OrderChoice | None = None,
    repeat: int = 1,
    options: Mapping[str, Any] | None = None,
    jobs: int = 1,
    executor: str = "local",
    seed: int = 0,
    runs: str | Path | None = None,
    fresh: bool = False,
    rule: Rule | None = None,
    by: str | Sequence[str] = (),
    alt_epsilon: float = EPSILON,
    spending: Spending | None = None,
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
        order: which response is shown first: given (the dataset's response_a), swapped, or both; None: as the metric
            says, which is both for prompted judges of pairs and given for all others.
        repeat: how often each comparison is judged in each order.
        options: the metric's options, when `metric` is text.
        jobs: worker processes.
        executor: where a metric works that does not ask many at once itself: local (in this process, or in as many as
            `jobs`), dask (a Dask cluster of `jobs` processes on this machine) or dask:ADDRESS (one that is there). The
            results are the same.
        seed: for everything that is drawn by hash.
        runs: the folder of runs; default: the workspace's, or `./runs`.
        fresh: judge everything again; older judgments are kept beside the new ones. To continue such a call, call
            again without it.
        rule: how the verdicts of both orders become one: agree-or-same (the default), mean-probabilities, first-order.
        by: further columns to slice by.
        alt_epsilon: the epsilon of the alternative annotator test, from 0 to 1.
        spending: what a metric that asks a server may send and pay (`calf.engine.budget.Spending`); default: no limit.
        progress: is told how it goes.

    Raises:
        UserError: a name, an option, a file or a selection is wrong.
        StoppedError: the run stopped before its end; calling again continues it.
    """
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    loaded = load_metric(metric, **(options or {})) if isinstance(metric, str) else metric
    _check_numbers(limit=1 if limit is None else limit, repeat=repeat, jobs=jobs)
    check_executor(loaded, jobs, executor)
    order = order or loaded.traits.default_order
    view = _view(order, rule, by, alt_epsilon)
    report = progress or _Silent()
    data = _fitting(data, loaded, repeat, report)
    chosen = select(data, setting, subject, language, limit, seed)
    check_columns(chosen, view.by)
    preparation = Preparation(
        data.columns.examples if isinstance(data, StreamedDataset) else data.comparisons,
        seed,
        frozenset(chosen.languages),
        spending or Spending(),
    )
    signature = loaded.signature(data.languages)
    folder = RunFolder(
        (Path(runs) if runs else find_workspace().runs) / run_id(loaded.name, signature, data, order, seed)
    )
    if isinstance(data, StreamedDataset) and folder.journal.exists():  # begun with repeats, and so in memory
        data, chosen = data.in_memory(), chosen.replace(tuple(chosen))
    asked = Asked(loaded, preparation)
    try:
        with folder.lock(lambda: report.say(f"another process works on {folder.id}; waiting for it")):
            if fresh or folder.read("manifest") is None:
                with folder.removed_if_empty():
                    asked.prepare({})  # a metric that refuses the dataset leaves nothing behind,
                    reach(executor)  # nor does a cluster that is not there
            if fresh:
                folder.set_aside()
            if folder.read("manifest") is None:
                folder.write("manifest", manifest_of(loaded, signature, data, order, seed))
            if isinstance(data, StreamedDataset) and isinstance(chosen, StreamedDataset):
                streamed = StreamedRun(folder, data, chosen, order, PERMANENT.__contains__)
                judge_parts(asked, streamed, folder, jobs, executor, report)
                return streamed.conclude(view)
            covered = folder.covered()
            covered |= {name: max(covered.get(name, 0), repeat) for name in chosen.ids}
            earlier = folder.read("timing") if folder.journal.exists() else None
            journal = Journal(folder.journal)
            try:
                units = plan(loaded, chosen.comparisons, order, repeat)
                judge(asked, units, journal, folder, earlier, jobs, executor, report)
            finally:
                journal.close()
            kept = journal.outcomes
            part = [c for c in data if c.id in covered and _is_kept(loaded, c, order, covered[c.id], kept)]
            covered = {c.id: covered[c.id] for c in part}
            judgments = _assemble(folder, loaded, part, order, covered, kept)
            run = conclude(folder, data, covered, judgments, chosen, repeat, view)
            return dataclasses.replace(run, messages=_messages(kept))
    except OSError as error:
        problem = f"cannot write the run to {folder.path}: {error.strerror or error}"
        if folder.journal.exists() or folder.parts.exists():
            raise StoppedError(f"{problem}; what is judged is kept, and the same command continues") from None
        raise UserError(problem) from None


def _fitting(data: Dataset, metric: LoadedMetric, repeat: int, report: Progress) -> Dataset:
    """The dataset in a form that the metric can judge."""
    if isinstance(data, StreamedDataset):
        if can_stream(metric, repeat):
            return data
        report.say(f"{metric.name} cannot judge a dataset in parts: reading {len(data)} comparisons into the memory")
        return data.in_memory()
    if not all(c.group for c in data):
        raise UserError("a comparison has no group; calf.datasets.groups.linked_groups makes groups for all")
    return data


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise UserError(f"{name} must be a whole number, 1 or more, not {number!r}")


def _view(order: OrderChoice, rule: Rule | None, by: str | Sequence[str], alt_epsilon: float) -> View:
    if order not in ("given", "swapped", "both"):
        raise UserError(f"order must be given, swapped or both, not {order!r}")
    if rule is not None and rule not in RULES[order]:
        raise UserError(f"the rule {rule!r} does not fit the order {order!r}; possible: {', '.join(RULES[order])}")
    if not 0 <= alt_epsilon <= 1:
        raise UserError(f"alt_epsilon must be from 0 to 1, not {alt_epsilon!r}")
    return View(rule, (by,) if isinstance(by, str) else tuple(by), alt_epsilon)


def _assemble(
    folder: RunFolder,
    metric: LoadedMetric,
    part: Sequence[Comparison],
    order: OrderChoice,
    covered: Mapping[str, int],
    kept: Mapping[str, Outcome],
) -> list[Judgment]:
    """The judgments of all covered comparisons; what they took, and of agents the turns, are written beside them."""
    if metric.kind == "comparison":
        write_turns(folder.path / "turns.csv", turns_of(part, order, covered, kept))
    if isinstance(metric.instance, Spender):
        made = dict.fromkeys(unit.key for c in part for unit in plan(metric, [c], order, covered[c.id]))
        write_taken(folder, (kept[key] for key in made))
    return assemble(metric, part, order, covered, kept)


def _is_kept(
    metric: LoadedMetric, comparison: Comparison, order: OrderChoice, repeats: int, outcomes: Mapping[str, Outcome]
) -> bool:
    """Whether the journal holds all of a comparison that earlier calls covered (somebody may have cut it)."""
    return all(unit.key in outcomes for unit in plan(metric, [comparison], order, repeats))


def _messages(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """Of each kind of failure, what the first one said."""
    found: dict[str, str] = {}
    for outcome in outcomes.values():
        if isinstance(outcome, Failure):
            found.setdefault(outcome.kind, outcome.message)
    return found
