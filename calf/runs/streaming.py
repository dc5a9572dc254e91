"""Judges a streamed dataset part by part, so that neither its texts nor its judgments are ever all in memory.

Each part (5,000 rows) becomes one file of scores, written when all of it is judged, and before that every half minute
and when the run stops: the next one continues with what is not there. A response that occurs again in its part is
judged once, unless the run stopped between the two.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from calf.decide import Decisions, Judgment, decide
from calf.errors import DataError
from calf.runs.conclude import write_conclusion
from calf.runs.execute import execute
from calf.runs.plan import Unit, assemble, plan, precluded
from calf.runs.rows import View, floor_rows, people_rows, rows_of_decisions
from calf.runs.run import Run
from calf.runs.scores import join_scores, read_scores, write_scores
from calf.types import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from calf.datasets.streamed import Part, StreamedDataset
    from calf.decide import OrderChoice, Rule
    from calf.metrics.base import Preparation
    from calf.metrics.loaded import LoadedMetric
    from calf.runs.plan import Outcome
    from calf.runs.store import RunFolder
    from calf.runs.timing import Session
    from calf.types import Comparison

__all__ = ["StreamedRun", "can_stream"]


_KEEP_SECONDS = 30.0  # what a killed process may lose


def can_stream(metric: LoadedMetric, repeat: int) -> bool:
    """Whether a metric can judge a dataset part by part: it must need to see nothing of the whole before."""
    sees = not hasattr(metric.cls, "prepare") or metric.traits.examples_suffice
    return sees and not metric.concurrent and repeat == 1


@dataclass(slots=True)
class _Open:
    """A part that is being judged: its comparisons that are not kept yet, and what is known of them.

    Attributes:
        waiting: the units without outcomes.
        outcomes: of the others.
        new: those of them that came since something of the part was kept.
    """

    part: Part
    comparisons: Sequence[Comparison]
    waiting: set[str]
    outcomes: dict[str, Outcome]
    new: dict[str, Outcome]


class StreamedRun:
    """A run on a streamed dataset.

    Args:
        folder: the run's, locked.
        whole: the dataset.
        chosen: the selection that is asked for.
        order: in which the responses are shown.
        settled: whether a failure of this kind is final.
    """

    def __init__(
        self,
        folder: RunFolder,
        whole: StreamedDataset,
        chosen: StreamedDataset,
        order: OrderChoice,
        settled: Callable[[str], bool],
    ) -> None:
        self._folder = folder
        self._whole = whole
        self._chosen = chosen
        self._order = order
        self._settled = settled
        self.messages: dict[str, str] = {}

    def missing(self) -> tuple[dict[int, int], int]:
        """How many comparisons of each part must be judged, by the part's first row, and how many are asked for."""
        counts = {part.start: len(self._missing(part, self._kept(part))) for part in self._whole.parts}
        return {start: count for start, count in counts.items() if count}, len(self._chosen)

    def judge(
        self,
        metric: LoadedMetric,
        todo: Mapping[int, int],
        preparation: Preparation,
        jobs: int,
        executor: str,
        session: Session,
        advance: Callable[[int], None],
    ) -> None:
        """Judges what is missing, and keeps it part by part; when it is stopped, also what it has of a part.

        Args:
            todo: what `missing` said.
            advance: is told how many comparisons are done.
        """
        opened: dict[int, _Open] = {}

        def keep(start: int) -> None:
            here = opened[start]
            done = self._complete(metric, here)
            if done:
                self._write(metric, here.part, done, here.outcomes)
                names = {comparison.id for comparison in done}
                here.comparisons = [comparison for comparison in here.comparisons if comparison.id not in names]
                advance(len(done))
            session.add(here.new)
            here.new = {}
            if not here.comparisons:
                del opened[start]

        self._folder.parts.mkdir(parents=True, exist_ok=True)
        units = self._units(metric, todo, opened, keep)
        kept = time.monotonic()
        try:
            with contextlib.closing(execute(metric, units, preparation, jobs, executor)) as outcomes:
                for found in outcomes:
                    for name, outcome in found.items():
                        start, _, key = name.partition("/")
                        self._take(opened[int(start)], key, outcome)
                    late = time.monotonic() - kept > _KEEP_SECONDS
                    for place in [place for place, part in opened.items() if late or not part.waiting]:
                        keep(place)
                    if late:
                        kept = time.monotonic()
        finally:
            for place in list(opened):
                keep(place)

    def _units(
        self, metric: LoadedMetric, todo: Mapping[int, int], opened: dict[int, _Open], keep: Callable[[int], None]
    ) -> Iterator[Unit]:
        """What the metric can be asked; parts of which it can be asked nothing are kept on the way."""
        for part, comparisons in self._whole.read(lambda part: part.start in todo):
            wanted = self._missing(part, self._kept(part))
            left = [comparison for comparison in comparisons if comparison.id in wanted]
            units = {unit.key: unit for unit in plan(metric, left, self._order, 1)}
            here = opened[part.start] = _Open(part, left, set(units), {}, {})
            for unit in units.values():
                failure = precluded(metric, unit.item)
                if failure is not None:
                    self._take(here, unit.key, failure)
            if not here.waiting:
                keep(part.start)
            for unit in [units[key] for key in units if key in here.waiting]:
                yield Unit(f"{part.start}/{unit.key}", unit.item)

    def _take(self, part: _Open, key: str, outcome: Outcome) -> None:
        part.outcomes[key] = part.new[key] = outcome
        part.waiting.discard(key)
        if isinstance(outcome, Failure):
            self.messages.setdefault(outcome.kind, outcome.message)

    def _complete(self, metric: LoadedMetric, here: _Open) -> Sequence[Comparison]:
        """The comparisons of a part of which every outcome is known."""
        if not here.waiting:
            return here.comparisons
        return [
            comparison
            for comparison in here.comparisons
            if not any(unit.key in here.waiting for unit in plan(metric, [comparison], self._order, 1))
        ]

    def _write(
        self, metric: LoadedMetric, part: Part, comparisons: Sequence[Comparison], outcomes: Mapping[str, Outcome]
    ) -> None:
        """Puts these comparisons' judgments to what is kept of the part."""
        once = dict.fromkeys((c.id for c in comparisons), 1)
        judged = assemble(metric, comparisons, self._order, once, outcomes)
        by_id: dict[str, list[Judgment]] = {}
        for judgment in (*(j for j in self._kept(part) if j.id not in once), *judged):
            by_id.setdefault(judgment.id, []).append(judgment)
        ids = self._whole.columns.ids[part.start : part.stop]
        write_scores(self._path(part), [judgment for name in ids for judgment in by_id.get(name, ())])

    def _path(self, part: Part) -> Path:
        return self._folder.parts / f"{part.start:09d}.csv"

    def _kept(self, part: Part) -> list[Judgment]:
        path = self._path(part)
        return read_scores(path) if path.exists() else []

    def _missing(self, part: Part, kept: Sequence[Judgment]) -> set[str]:
        """The ids of the chosen comparisons of a part that are not judged, or failed in a way that may pass."""
        wanted = {self._whole.columns.ids[row] for row in self._chosen.rows_in(part).tolist()}
        if not wanted:
            return wanted
        again = {j.id for j in kept if j.failure is not None and not self._settled(j.failure)}
        return wanted - ({j.id for j in kept} - again)

    def conclude(self, view: View) -> Run:
        """Writes `scores.csv` and `result.json` for all that the run covers, and returns the run for what was asked.

        As `calf.runs.conclude.conclude` does, by the same statistics.
        """
        folder, whole = self._folder, self._whole
        manifest = folder.read("manifest") or {}
        rows, decisions, failures = self._decided(manifest["kind"], None, None)
        part = whole.subset(rows)
        lines = self._rows(manifest, part, decisions, View())
        join_scores(folder.path / "scores.csv", [path for p in whole.parts if (path := self._path(p)).exists()])
        beside = write_conclusion(folder, whole, part, lines, failures, 1)
        if view != View() or not np.array_equal(self._chosen.rows, part.rows):
            same = np.array_equal(self._chosen.rows, part.rows)
            asked = part if same else self._chosen
            rows, decisions, failures = self._decided(manifest["kind"], view.rule, asked.rows)
            lines = self._rows(manifest, asked, decisions, view)
            if not same or view != View(rule=view.rule):
                beside = [*people_rows(asked, view), *floor_rows(asked, whole, manifest["seed"], view)]
        judgments = _Stored(folder.path / "scores.csv", set(asked_ids(self._chosen, part)))
        return Run(
            folder.path, manifest, lines, beside, failures, folder.read("timing") or {}, judgments, self.messages
        )

    def _rows(self, manifest: Mapping[str, Any], data: StreamedDataset, decisions: Decisions, view: View) -> list[Any]:
        return rows_of_decisions(
            manifest["metric"], data, decisions, order=self._order, view=view, scales=manifest["scales"]
        )

    def _decided(
        self, kind: str, rule: Rule | None, wanted: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], Decisions, dict[str, int]]:
        """The rows that are judged (of the wanted ones), their decisions, and how many judgments failed, by kind."""
        rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        found: list[Decisions] = [decide([], [], self._order, rule, kind)]
        failures: dict[str, int] = {}
        count = 0
        for part in self._whole.parts:
            kept = self._kept(part)
            ids = list(dict.fromkeys(judgment.id for judgment in kept))
            of_id = {name: part.start + at for at, name in enumerate(self._whole.columns.ids[part.start : part.stop])}
            if not of_id.keys() >= set(ids):
                raise DataError("not of this dataset; delete the file and run again", self._path(part))
            here = np.array([of_id[name] for name in ids], dtype=np.int64)
            if wanted is not None:
                mine = np.isin(here, wanted)
                here, ids = here[mine], [name for name, there in zip(ids, mine.tolist(), strict=True) if there]
                kept = [judgment for judgment in kept if judgment.id in set(ids)] if len(ids) < mine.size else kept
            decided = decide(ids, kept, self._order, rule, kind)
            found.append(Decisions(decided.comparison + count, *_rest(decided)))
            rows.append(here)
            count += here.size
            for judgment in kept:
                if judgment.failure is not None:
                    failures[judgment.failure] = failures.get(judgment.failure, 0) + 1
        joined = Decisions(*(np.concatenate(parts) for parts in zip(*map(_all, found), strict=True)))
        return np.concatenate(rows), joined, dict(sorted(failures.items()))


def asked_ids(chosen: StreamedDataset, part: StreamedDataset) -> Sequence[str]:
    """The ids whose judgments a run shows; () for all that are stored."""
    return () if np.array_equal(chosen.rows, part.rows) else chosen.ids


def _all(decisions: Decisions) -> list[Any]:
    return [getattr(decisions, field.name) for field in fields(decisions)]


def _rest(decisions: Decisions) -> list[Any]:
    return _all(decisions)[1:]


class _Stored(Sequence[Judgment]):
    """Judgments that are read from a file of scores when they are asked for.

    Args:
        path: the file.
        ids: of the comparisons that are meant; all if empty.
    """

    def __init__(self, path: Path, ids: set[str]) -> None:
        self._path = path
        self._ids = ids
        self._count: int | None = None

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self)
        return self._count

    def __iter__(self) -> Iterator[Judgment]:
        return (j for j in read_scores(self._path) if not self._ids or j.id in self._ids)

    @overload
    def __getitem__(self, place: int) -> Judgment: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Judgment]: ...
    def __getitem__(self, place: int | slice) -> Judgment | Sequence[Judgment]:
        return list(self)[place]
