"""What stored runs say of a dataset's comparisons, side by side: one column a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.decide import RULES, decide
from calf.errors import UserError
from calf.runs.store import read_scores
from calf.types import FAILED, LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats
    from calf.decide import Rule
    from calf.runs.run import Run

__all__ = ["Outcomes", "dataset_of", "outcomes_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Arrays (n, M): n comparisons by M runs.

    Attributes:
        label: int8 (n,).
        verdict: int8; the decision of the first repeat; FAILED where it failed, or where the run does not cover it.
        judged: bool; whether any repeat was judged.
        right: float64 in [0, 1]; the share of the judged repeats whose verdict is the label; 0 where none was judged.
        rules: by which each run's orders were reconciled, (M,).
    """

    label: Codes
    verdict: Codes
    judged: NDArray[np.bool_]
    right: Floats
    rules: tuple[str, ...]


def dataset_of(runs: Sequence[Run], given: str | Path | Dataset | None) -> Dataset:
    """The dataset that all runs are about.

    Args:
        runs: at least one.
        given: where to read it; None: where the runs read it.

    Raises:
        UserError: the runs are about several, or the dataset is not what it was when they were made.
    """
    sources = {run.manifest["dataset_fingerprint"]: run for run in runs}
    if len(sources) > 1:
        first, second = list(sources.values())[:2]
        raise UserError(
            f"runs {first.id} and {second.id} are on different datasets ({first.manifest['dataset']} and "
            f"{second.manifest['dataset']}, or different versions of one); compare runs on one dataset"
        )
    manifest = runs[0].manifest
    if isinstance(given, Dataset):
        data = given
    else:
        source = manifest["dataset_source"] if given is None else given
        try:
            data = load_dataset(source, mapping=manifest.get("dataset_mapping") or None)
        except UserError as error:
            if given is not None:
                raise
            raise UserError(f"{error}; say where the runs' dataset is now with --dataset") from None
    if data.fingerprint != manifest["dataset_fingerprint"]:
        raise UserError(f"dataset {data.name!r} is not what run {runs[0].id} judged; evaluate again, or give --dataset")
    return data


def outcomes_of(runs: Sequence[Run], dataset: Dataset, rule: Rule | None = None) -> Outcomes:
    """Reads the runs' stored scores.

    Args:
        rule: for runs in both orders; None is each order's own.

    Raises:
        UserError: a run's scores are not there, as in a checkout that keeps only the small files.
        DataError: they are broken.
    """
    n = len(dataset)
    label = np.array([LABELS.index(c.label) for c in dataset], dtype=np.int8)
    place = {c.id: index for index, c in enumerate(dataset)}
    verdict = np.full((n, len(runs)), FAILED, dtype=np.int8)
    right = np.zeros((n, len(runs)))
    count = np.zeros((n, len(runs)))
    rules = []
    for column, run in enumerate(runs):
        path = run.path / "scores.csv"
        if not path.exists():
            raise UserError(f"run {run.id} has no scores here; make them with: {run.manifest['command']}")
        judgments = [j for j in read_scores(path) if j.id in place]
        ids = list(dict.fromkeys(j.id for j in judgments))
        order = run.manifest["order"]
        chosen = rule if rule is not None and order == "both" else RULES[order][0]
        decisions = decide(ids, judgments, order, chosen, run.manifest["kind"])
        rows = np.array([place[name] for name in ids], dtype=np.int64)[decisions.comparison]
        first = decisions.repeat == 0
        verdict[rows[first], column] = decisions.verdict[first]
        judged = decisions.verdict != FAILED
        np.add.at(count[:, column], rows[judged], 1.0)
        np.add.at(right[:, column], rows[judged], (decisions.verdict[judged] == label[rows[judged]]).astype(np.float64))
        rules.append(chosen)
    judged_any = count > 0
    np.divide(right, count, out=right, where=judged_any)
    return Outcomes(label, verdict, judged_any, right, tuple(rules))
