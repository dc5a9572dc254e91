"""From a run's judgments to its result: everything here depends on judgments and dataset alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calf.datasets.dataset import MANY
from calf.runs.facts import POOLED
from calf.runs.identity import analysis_code
from calf.runs.rows import View, floor_rows, people_rows, rows_of
from calf.runs.run import FLOORS_FOLDER, Run
from calf.runs.store import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.decide import Judgment

__all__ = ["conclude", "write_conclusion"]


def conclude(
    folder: RunFolder,
    whole: Dataset,
    covered: Mapping[str, int],
    judgments: Sequence[Judgment],
    asked: Dataset,
    repeat: int,
    view: View,
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
        view: how the caller wants to look at them; what is written is the usual view.
    """
    manifest = folder.read("manifest") or {}
    seed = manifest["seed"]
    part = whole.replace([c for c in whole if c.id in covered])
    rows = _rows(manifest, part, judgments, View())
    folder.write_scores(judgments)
    beside = write_conclusion(folder, whole, part, rows, _failures(judgments), max(covered.values(), default=0))
    wanted = {c.id for c in asked}
    seen = [j for j in judgments if j.id in wanted and j.repeat < repeat]
    if len(seen) != len(judgments) or view != View():
        same = [c.id for c in asked] == [c.id for c in part]
        asked = part if same else asked  # what is known of these comparisons is known already
        rows = _rows(manifest, asked, seen, view)
        if not same or view != View(rule=view.rule):
            beside = [*people_rows(asked, view), *floor_rows(asked, whole, seed, view)]
    return Run(folder.path, manifest, rows, beside, _failures(seen), folder.read("timing") or {}, tuple(seen))


def write_conclusion(
    folder: RunFolder,
    whole: Dataset,
    part: Dataset,
    rows: Sequence[Mapping[str, Any]],
    failures: Mapping[str, int],
    repeats: int,
) -> list[dict[str, Any]]:
    """Writes `result.json`, and returns the rows of people and floors.

    Args:
        folder: with a manifest.
        whole: the dataset.
        part: what the run covers of it.
        rows: the metric's.
        failures: judgments that failed, by kind.
        repeats: how often comparisons were judged at most.
    """
    manifest = folder.read("manifest") or {}
    seed = manifest["seed"]
    complete = len(part) == len(whole)
    if complete:
        beside = _beside(RunFolder(folder.path.parent / FLOORS_FOLDER), manifest["floors"], whole, seed)
    else:
        beside = [*people_rows(part), *floor_rows(part, whole, seed)]
    if complete or not (folder.read("result") or {"complete": False})["complete"]:
        folder.write(
            "result",
            {
                "comparisons": len(part),
                "complete": complete,
                "repeats": repeats,
                "failures": failures,
                **({"intervals": POOLED} if len(part) > MANY else {}),
                "rows": rows,
                "beside": None if complete else beside,
            },
        )
    return beside


def _beside(folder: RunFolder, name: str, whole: Dataset, seed: int) -> list[dict[str, Any]]:
    """The rows of people and floors on a whole dataset, which all runs on it share: made once, and kept."""
    about = {"dataset": whole.name, "fingerprint": whole.fingerprint, "seed": seed, "code": analysis_code()}
    stored = folder.read(name)
    if stored is not None and all(stored.get(key) == value for key, value in about.items()):
        return list(stored["rows"])
    rows = [*people_rows(whole), *floor_rows(whole, whole, seed)]
    folder.write(name, {**about, "rows": rows})
    return rows


def _rows(
    manifest: Mapping[str, Any], dataset: Dataset, judgments: Sequence[Judgment], view: View
) -> list[dict[str, Any]]:
    return rows_of(
        manifest["metric"], dataset, judgments,
        order=manifest["order"], kind=manifest["kind"], view=view, scales=manifest["scales"],
    )  # fmt: skip


def _failures(judgments: Sequence[Judgment]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for judgment in judgments:
        if judgment.failure is not None:
            counts[judgment.failure] = counts.get(judgment.failure, 0) + 1
    return dict(sorted(counts.items()))
