"""Ranks by significance of the runs of a leaderboard, kept beside the runs as a small file without texts."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.comparing import compare_runs
from calf.errors import DataError, UserError
from calf.runs.identity import analysis_code
from calf.runs.outcomes import dataset_of
from calf.runs.store import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.datasets.dataset import Dataset
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


def ranking_of(runs: Sequence[Run], dataset: Dataset | None = None) -> Ranking:
    """Rank = 1 + the number of the other runs that are significantly better over all comparisons (see `calf.compare`).

    What is stored is used if it was made from exactly these results; else it is made anew from the runs' scores and the
    dataset, if they are there. Where they are not, as in a checkout that keeps only the small files, what is stored
    from these results is used also if CALF has changed since.

    Args:
        runs: complete ones, on one dataset.
        dataset: what they are on; None: it is read where they read it.
    """
    made_from = {run.id: _digest(run) for run in sorted(runs, key=lambda run: run.id)}
    code = analysis_code()
    folder = RunFolder(runs[0].path.parent / RANKS_FOLDER)
    name = str(runs[0].manifest["floors"])
    try:
        stored = folder.read(name)
    except DataError:  # it is made again
        stored = None
    if stored is not None and (stored.get("made_from") != made_from or set(stored.get("ranks", ())) != set(made_from)):
        stored = None
    if stored is not None and stored.get("code") == code:
        return Ranking(stored["ranks"])
    if len(runs) == 1:
        return Ranking({runs[0].id: 1})
    try:
        found = compare_runs(runs, dataset_of(runs, dataset), overall=True)
    except UserError as error:
        return Ranking({}, str(error)) if stored is None else Ranking(stored["ranks"])
    ranks = {row["run"]: row["rank"] for row in found.ranks}
    about = {"dataset": found.dataset, "made_from": made_from, "code": code}
    with contextlib.suppress(OSError):  # a folder that cannot be written is no reason to show nothing
        folder.write(name, {**about, "ranks": ranks, "pairs": found.pairs})
    return Ranking(ranks)


def _digest(run: Run) -> str:
    return hashlib.sha256((run.path / "result.json").read_bytes()).hexdigest()[:16]
