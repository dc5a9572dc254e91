"""Other runs' stored scores as features: a learned ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calf.errors import UserError
from calf.runs.choosing import named_run
from calf.runs.outcomes import dataset_of, decided
from calf.training.examples import SCORES
from calf.training.features import Table
from calf.types import FAILED
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.datasets.dataset import Dataset
    from calf.types import Comparison

__all__ = ["scores_table"]

_LEARNERS = ("calf.metrics.cross_fitted.", "calf.metrics.trained.")


def scores_table(
    names: Sequence[str], dataset: Dataset, comparisons: Sequence[Comparison], runs: str | Path | None = None
) -> tuple[Table | None, tuple[str, ...]]:
    """The score differences of runs on a dataset, one column a run, and the runs' ids.

    The scores of response_a minus those of response_b (of repeats the mean, of verdicts 1, -1 or 0), as
    `calf.compare` decides them; 0 where the metric failed.

    Args:
        names: ids of runs, their beginnings, or metrics' names; () gives no table.
        dataset: the whole of it.
        comparisons: the rows.
        runs: the folder of runs; default: the workspace's, or `./runs`.

    Raises:
        UnknownNameError: there is no such run.
        UserError: a run is about something else, does not cover a comparison, or has learned from the labels.
    """
    if not names:
        return None, ()
    folder = find_workspace().runs if runs is None else Path(runs)
    found = [named_run(name, dataset, folder) for name in names]
    twice = next((run.id for place, run in enumerate(found) if run.id in {other.id for other in found[:place]}), None)
    if twice is not None:
        raise UserError(f"run {twice} is named twice in --scores")
    dataset_of(found, dataset)
    place = {name: index for index, name in enumerate(dataset.ids)}
    wanted = np.array([place[c.id] for c in comparisons], dtype=np.int64)
    columns = []
    for run in found:
        if any(f"|class:{name}" in run.manifest["signature"] for name in _LEARNERS):
            raise UserError(
                f"run {run.id} is of a trained evaluator, which may have learned the labels it is judged by"
            )
        rows, decisions = decided(run, place)
        weight = decisions.weight * (decisions.verdict != FAILED)
        sums = np.bincount(rows, weights=weight * decisions.difference, minlength=len(place))
        covered = np.bincount(rows, minlength=len(place)) > 0
        if not covered[wanted].all():
            missing = int((~covered[wanted]).sum())
            command = run.manifest["command"]
            raise UserError(f"run {run.id} does not cover {missing} of the comparisons; continue it with: {command}")
        columns.append(sums[wanted])
    ids = tuple(run.id for run in found)
    names_of = tuple(f"{SCORES}.{run.manifest['metric']}#{run.id[-6:]}" for run in found)
    return Table(names_of, (SCORES,) * len(ids), np.stack(columns, axis=1)), ids
