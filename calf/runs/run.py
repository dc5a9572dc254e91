"""A run as its user sees it: what was run, what it says, how long it took."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.errors import DataError, UnknownNameError, UserError
from calf.runs.store import RunFolder
from calf.runs.usage import spent_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from calf.decide import Judgment

__all__ = ["FLOORS_FOLDER", "Run", "describe_runs", "find_run", "list_runs", "open_run"]

FLOORS_FOLDER = "floors"
"""The folder, among the runs, of the floors' rows: one file per dataset and seed."""


@dataclass(frozen=True)
class Run:
    """One metric on one dataset.

    Attributes:
        path: its folder.
        manifest: what was run (see `calf.runs.identity.manifest_of`).
        rows: one flat row per slice of what was asked for.
        beside: the same of people, where there are annotations, and of the floors.
        failures: how many judgments failed, by kind.
        timing: seconds and sessions.
        judgments: what the metric said; () for a run read from disk.
        messages: of each kind of failure, what the first one said.
    """

    path: Path
    manifest: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    beside: Sequence[Mapping[str, Any]]
    failures: Mapping[str, int]
    timing: Mapping[str, Any]
    judgments: Sequence[Judgment] = ()
    messages: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The run's id: the name of its folder."""
        return self.path.name

    @property
    def title(self) -> str:
        """The metric's name, with the order and the seed where they are not the usual ones."""
        order, seed = self.manifest["order"], self.manifest["seed"]
        marks = [] if order == "given" else [f"{order} orders" if order in ("both", "mixed") else f"{order} order"]
        marks += [f"seed {seed}"] if seed else []
        return str(self.manifest["metric"]) + (f" ({', '.join(marks)})" if marks else "")

    @property
    def is_floor(self) -> bool:
        """Whether it is one of the floors, judged as these are in every table."""
        return bool(self.manifest["family"] == "floor" and self.manifest["order"] == "given")

    @property
    def others(self) -> list[Mapping[str, Any]]:
        """The rows of people and floors, without those of this very run, if it is a floor."""
        own = self.manifest["metric"] if self.is_floor else None
        return [row for row in self.beside if row["metric"] != own]

    def table(self, floors: bool = True) -> pd.DataFrame:
        """The rows as a frame, one per metric and slice, unrounded; undefined values are missing.

        Args:
            floors: with the rows of people and of the floors behind the metric's own (which a floor's run has once).
        """
        import pandas as pd

        return pd.DataFrame([*self.rows, *(self.others if floors else ())])


def list_runs(runs: Path) -> list[Path]:
    """The folders of all runs in `runs`, sorted by name."""
    return sorted(path.parent for path in runs.glob("*/manifest.json"))


def find_run(runs: Path, name: str) -> Path:
    """The run of that id, or of the only id that begins so.

    Raises:
        UnknownNameError: there is none.
        UserError: there are several.
    """
    folders = {path.name: path for path in list_runs(runs)}
    if name in folders:
        return folders[name]
    matches = sorted(known for known in folders if known.startswith(name))
    if len(matches) > 1:
        raise UserError(f"{name!r} is the beginning of several runs: {', '.join(matches)}")
    if not matches:
        raise UnknownNameError("run", name, folders, "`calf runs list` shows all")
    return folders[matches[0]]


def open_run(path: Path) -> Run:
    """A finished run from its folder, without the dataset or the metric.

    Raises:
        UserError: it has no result yet.
        DataError: its files are broken.
    """
    folder = RunFolder(path)
    manifest, result = folder.read("manifest"), folder.read("result")
    if manifest is None or result is None:
        raise UserError(f"run {path.name} has no result yet; continue it with: {(manifest or {}).get('command', '?')}")
    beside = result["beside"]
    if beside is None:
        stored = _read_or_none(RunFolder(path.parent / FLOORS_FOLDER), Path(manifest["floors"]).name)
        beside = (stored or {}).get("rows", [])
    timing = _read_or_none(folder, "timing") or {}
    return Run(path, manifest, result["rows"], beside, result["failures"], timing)


def _read_or_none(folder: RunFolder, name: str) -> dict[str, Any] | None:
    """A file that is made again when it is gone; a broken one is as good as none."""
    try:
        return folder.read(name)
    except DataError:
        return None


def describe_runs(runs: Path) -> list[dict[str, Any]]:
    """One record per run of a folder, sorted by id: what was run, how far it is, what it took; or its problem."""
    records: list[dict[str, Any]] = []
    for path in list_runs(runs):
        folder = RunFolder(path)
        try:
            manifest, result = folder.read("manifest") or {}, folder.read("result")
        except DataError as error:
            records.append({"id": path.name, "state": "broken", "problem": str(error)})
            continue
        timing: dict[str, Any] = {}
        with contextlib.suppress(DataError):  # what it took is no part of what it says
            timing = folder.read("timing") or {}
        rows: list[dict[str, Any]] = [] if result is None else result["rows"]
        overall = next((row for row in rows if row["slice"] == "overall"), None)
        complete = result is not None and result["complete"]
        records.append(
            {
                "id": path.name,
                "metric": manifest["metric"],
                "dataset": manifest["dataset"],
                "fingerprint": manifest["dataset_fingerprint"],
                "order": manifest["order"],
                "seed": manifest["seed"],
                "comparisons": 0 if result is None else result["comparisons"],
                "of": manifest["dataset_comparisons"],
                "repeats": 0 if result is None else result["repeats"],
                "failures": {} if result is None else result["failures"],
                "accuracy": None if overall is None else overall["accuracy"],
                "state": "complete" if complete else "not finished" if result is None else "part",
                "signature": manifest["signature"],
                "command": manifest["command"],
                "seconds": timing.get("seconds"),
                **spent_columns(timing),
            }
        )
    return records
