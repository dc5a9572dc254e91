"""What stands on the leaderboard: the complete runs of each dataset, ranked, and the floors beside them."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.datasets.load import load_dataset
from calf.errors import UserError
from calf.ranking import ranking_of
from calf.runs.rows import PEOPLE
from calf.runs.run import describe_runs, open_run
from calf.runs.usage import spent_of
from calf.titles import shorten, titles_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.runs.run import Run
    from calf.runs.usage import Spent

__all__ = ["Board", "Entry", "boards_of"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a board.

    Attributes:
        metric: the name in tables, with the order where it is not "given".
        rows: the metric's rows by slice.
        run: None for people, and for a floor, which is no run but judged beside every one.
        command: what makes it again.
        signature: all that its values depend on.
        rank: 1 + how many runs of the board are significantly better; None if it is no run, or could not be made.
    """

    metric: str
    rows: Mapping[str, Mapping[str, Any]]
    run: Run | None
    command: str
    signature: str
    rank: int | None = None

    @property
    def spent(self) -> Spent | None:
        """What was sent and paid for it; None if it is no run, or no server was asked."""
        return None if self.run is None else spent_of(self.run.timing)

    @property
    def people(self) -> bool:
        """Whether it is no metric, but how far people agree with each other."""
        return self.run is None and self.metric == PEOPLE

    @property
    def floor(self) -> bool:
        """Whether it is a floor, be it a run of its own or one that stands in every table."""
        return not self.people if self.run is None else self.run.manifest["family"] == "floor"


@dataclass(frozen=True, slots=True)
class Board:
    """All complete runs on one dataset, best accuracy first, the floors among them.

    Attributes:
        partial: ids of runs that cover only a part of the dataset, which are left out.
        unranked: why there are no ranks; "" if there are.
    """

    dataset: str
    fingerprint: str
    notes: Sequence[str]
    comparisons: int
    groups: int
    entries: Sequence[Entry]
    partial: Sequence[str]
    unranked: str

    def shortened(self) -> tuple[Board, str]:
        """The board with the names that its tables show, and what is left out of them, as `calf.titles.shorten`."""
        short, shared = shorten(entry.metric for entry in self.entries)
        entries = [dataclasses.replace(entry, metric=short[entry.metric]) for entry in self.entries]
        return dataclasses.replace(self, entries=entries), shared


def boards_of(runs: Path, datasets: Sequence[str] = ()) -> list[Board]:
    """The boards of all runs in a folder, by dataset name.

    Args:
        runs: the folder.
        datasets: only these, by name or by path; () for all. A path says where a dataset is that the runs do not find.

    Raises:
        UserError: one of `datasets` has no complete run.
        DataError: a run's files are broken.
    """
    known = describe_runs(runs)
    broken = [record["problem"] for record in known if record["state"] == "broken"]
    if broken:
        raise UserError(broken[0])
    complete = [open_run(runs / run["id"]) for run in known if run["state"] == "complete"]
    by_dataset: dict[tuple[str, str], list[Run]] = {}
    for run in complete:
        by_dataset.setdefault((run.manifest["dataset"], run.manifest["dataset_fingerprint"]), []).append(run)
    given: dict[str, Dataset] = {}
    wanted: set[tuple[str, str]] = set()
    for name in datasets:
        found = {key for key in by_dataset if key[0] == name}
        if not found:
            data = _dataset_at(name, [run for of_one in by_dataset.values() for run in of_one])
            found = {key for key in by_dataset if data is not None and key[1] == data.fingerprint}
            given |= {} if data is None else {data.fingerprint: data}
        if not found:
            raise UserError(f"no complete run on dataset {name!r} in {runs}; make one with: calf evaluate -d {name}")
        wanted |= found
    return [
        _board(
            name, mark, of_one, [r["id"] for r in known if r["state"] == "part" and r["fingerprint"] == mark],
            given.get(mark),
        )
        for (name, mark), of_one in sorted(by_dataset.items())
        if not datasets or (name, mark) in wanted
    ]  # fmt: skip


def _dataset_at(path: str, runs: Sequence[Run]) -> Dataset | None:
    """The dataset at a path, read as one of the runs on a file of that name read it; None if there is none."""
    if not Path(path.partition("#")[0]).exists():
        return None
    name = Path(path).name
    mappings = [
        run.manifest.get("dataset_mapping") for run in runs if Path(run.manifest["dataset_source"]).name == name
    ]
    return load_dataset(path, mapping=next((mapping for mapping in mappings if mapping), None))


def _board(name: str, mark: str, runs: Sequence[Run], partial: Sequence[str], dataset: Dataset | None) -> Board:
    entries = []
    ranking = ranking_of(runs, dataset)
    for run, title in zip(runs, titles_of(runs), strict=True):
        rows = {row["slice"]: row for row in run.rows}
        manifest = run.manifest
        order, rule = manifest["order"], rows["overall"]["rule"]
        signature = manifest["signature"] + ("" if rule == "given" else f"|order:{order}|rule:{rule}")
        entries.append(Entry(title, rows, run, manifest["command"], signature, ranking.ranks.get(run.id)))
    floors: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in runs[0].beside:
        floors.setdefault(row["metric"], {})[row["slice"]] = row
    named = {run.manifest["metric"] for run in runs if run.is_floor}
    manifest = runs[0].manifest
    for floor, rows in floors.items():
        if floor not in named:
            words = ["calf", "evaluate", "--metric", runs[0].manifest["metric"] if floor == PEOPLE else floor]
            command = shlex.join([*words, "--dataset", manifest["dataset_source"]])
            signature = "leave-one-out" if floor == PEOPLE else f"{floor}|seed:{manifest['seed']}"
            entries.append(Entry(floor, rows, None, command, signature))
    entries.sort(key=lambda entry: (-entry.rows["overall"]["accuracy"], entry.metric))
    size = (manifest["dataset_comparisons"], manifest["dataset_groups"])
    return Board(name, mark, manifest["dataset_notes"], *size, entries, sorted(partial), ranking.reason)
