"""Ranks by significance of the runs of a leaderboard, kept beside the runs as a small file without texts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.comparing import compare_runs
from calf.errors import UserError
from calf.runs.outcomes import dataset_of
from calf.runs.store import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.runs.run import Run

__all__ = ["RANKS_FOLDER", "Ranking", "ranking_of"]

RANKS_FOLDER = "ranks"
"""The folder, among the runs, of what `ranking_of` computed: one file per dataset and seed."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Ranks of runs on one dataset.

    Attributes:
        ranks: by id of run, None for one that failed too often; empty if they cannot be made.
        reason: why they cannot.
    """

    ranks: Mapping[str, int | None]
    reason: str = ""


def ranking_of(runs: Sequence[Run]) -> Ranking:
    """Rank = 1 + the number of the other runs that are significantly better over all comparisons (see `calf.compare`).

    What is stored is used if it was made from exactly these results; else it is made anew from the runs' scores and the
    dataset, if they are there.
    """
    made_from = {run.id: _digest(run) for run in sorted(runs, key=lambda run: run.id)}
    folder = RunFolder(runs[0].path.parent / RANKS_FOLDER)
    name = str(runs[0].manifest["floors"])
    stored = folder.read(name)
    if stored is not None and stored["made_from"] == made_from:
        return Ranking(stored["ranks"])
    if len(runs) == 1:
        return Ranking({runs[0].id: 1})
    try:
        found = compare_runs(runs, dataset_of(runs, None), overall=True)
    except UserError as error:
        return Ranking({}, str(error))
    ranks = {row["run"]: row["rank"] for row in found.ranks}
    folder.write(name, {"dataset": found.dataset, "made_from": made_from, "ranks": ranks, "pairs": found.pairs})
    return Ranking(ranks)


def _digest(run: Run) -> str:
    return hashlib.sha256((run.path / "result.json").read_bytes()).hexdigest()[:16]
