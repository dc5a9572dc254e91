"""From a run's judgments to its result: everything here depends on judgments and dataset alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.runs.rows import floor_rows, rows_of
from calf.runs.run import FLOORS_FOLDER, Run
from calf.runs.store import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.decide import Judgment

__all__ = ["conclude"]


def conclude(
    folder: RunFolder,
    whole: Dataset,
    covered: Mapping[str, int],
    judgments: Sequence[Judgment],
    asked: Dataset,
    repeat: int,
) -> Run:
    """Writes `scores.csv` and `result.json` for all that the run covers, and returns the run for what was asked.

    A result of the whole dataset is never replaced by one of a part of it: where only the small files of a run were
    kept, judging a few comparisons again does not take the rest away.

    Args:
        folder: with a manifest.
        whole: the dataset.
        covered: how often each comparison (by id) has been judged in this and earlier calls.
        judgments: of all covered comparisons, in the dataset's order.
        asked: the selection that the caller wants to see; a part of `covered`.
        repeat: how many repeats the caller wants to see.
    """
    manifest = folder.read("manifest") or {}
    seed = manifest["seed"]
    part = whole.replace([c for c in whole if c.id in covered])
    complete = len(part) == len(whole)
    rows = _rows(manifest, part, judgments)
    floors = floor_rows(part, whole, seed)
    if complete:
        RunFolder(folder.path.parent / FLOORS_FOLDER).write(
            manifest["floors"], {"dataset": whole.name, "fingerprint": whole.fingerprint, "seed": seed, "rows": floors}
        )
    folder.write_scores(judgments)
    if complete or not (folder.read("result") or {"complete": False})["complete"]:
        folder.write(
            "result",
            {
                "comparisons": len(part),
                "complete": complete,
                "repeats": max(covered.values(), default=0),
                "failures": _failures(judgments),
                "rows": rows,
                "floors": None if complete else floors,
            },
        )
    wanted = {c.id for c in asked}
    seen = [j for j in judgments if j.id in wanted and j.repeat < repeat]
    if len(seen) != len(judgments):
        rows = _rows(manifest, asked, seen)
        floors = floors if len(asked) == len(part) else floor_rows(asked, whole, seed)
    return Run(folder.path, manifest, rows, floors, _failures(seen), folder.read("timing") or {}, tuple(seen))


def _rows(manifest: Mapping[str, Any], dataset: Dataset, judgments: Sequence[Judgment]) -> list[dict[str, Any]]:
    return rows_of(manifest["metric"], dataset, judgments, order=manifest["order"], scales=manifest["scales"])


def _failures(judgments: Sequence[Judgment]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for judgment in judgments:
        if judgment.failure is not None:
            counts[judgment.failure] = counts.get(judgment.failure, 0) + 1
    return dict(sorted(counts.items()))
