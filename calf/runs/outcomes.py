"""What stored runs say of a dataset's comparisons, side by side: one column a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.datasets.load import load_dataset
from calf.decide import RULES, decide
from calf.errors import DataError, UserError
from calf.runs.facts import facts_of
from calf.runs.store import RunFolder, read_scores
from calf.types import FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers
    from calf.datasets.dataset import Dataset
    from calf.decide import Decisions, Rule
    from calf.runs.run import Run

__all__ = ["Outcomes", "dataset_of", "decided", "outcomes_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Arrays (n, M): n comparisons by M runs.

    Attributes:
        label: int8 (n,).
        verdict: int8; the decision of the first repeat; FAILED where it failed, or where the run does not cover it.
        repeats: int64; how many decisions there are; 0 where the run does not cover the comparison.
        answered: int64; how many of them did not fail.
        correct: int64; how many of them are the label.
        rules: by which each run's orders were reconciled, (M,).
    """

    label: Codes
    verdict: Codes
    repeats: Integers
    answered: Integers
    correct: Integers
    rules: tuple[Rule, ...]

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Which comparisons each run covers, judged or failed, (n, M)."""
        return np.greater(self.repeats, 0)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which comparisons each run judged in any repeat, (n, M)."""
        return np.greater(self.answered, 0)

    @property
    def right(self) -> Floats:
        """The share of the judged repeats that are right, float64 (n, M); 0 where none was judged."""
        return self.correct / np.maximum(self.answered, 1)


def dataset_of(runs: Sequence[Run], given: Dataset | None = None) -> Dataset:
    """The dataset that all runs are about.

    Args:
        runs: at least one.
        given: what it should be; None: it is read where the runs read it.

    Raises:
        UserError: the runs are about several, or the dataset is gone, or not what it was when they were made.
    """
    first = runs[0]
    second = next((r for r in runs if r.manifest["dataset_fingerprint"] != first.manifest["dataset_fingerprint"]), None)
    if second is not None:
        raise UserError(
            f"runs {first.id} and {second.id} are on different datasets ({first.manifest['dataset']} and "
            f"{second.manifest['dataset']}, or different versions of one); compare runs on one dataset"
        )
    manifest = first.manifest
    if given is None:
        try:
            given = load_dataset(manifest["dataset_source"], mapping=manifest.get("dataset_mapping") or None)
        except UserError as error:
            raise UserError(f"{error}; say where the runs' dataset is now with --dataset") from None
    if given.fingerprint != manifest["dataset_fingerprint"]:
        raise UserError(
            f"dataset {given.name!r} is not what run {first.id} judged ({manifest['dataset']!r}, or what it was "
            "then); evaluate again, or say with --dataset where the runs' dataset is"
        )
    return given


def outcomes_of(runs: Sequence[Run], dataset: Dataset, rule: Rule | None = None) -> Outcomes:
    """Reads the runs' stored scores.

    Args:
        runs: on this dataset.
        dataset: the whole of it.
        rule: for runs in both orders; None is their default.

    Raises:
        UserError: a run's scores are not there, as in a checkout that keeps only the small files; or the rule is none
            of both orders.
        DataError: they are broken.
    """
    shape = (len(dataset), len(runs))
    label = facts_of(dataset).label
    place = {name: index for index, name in enumerate(dataset.ids)}
    verdict = np.full(shape, FAILED, dtype=np.int8)
    repeats, answered, correct = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    rules = []
    for column, run in enumerate(runs):
        order = run.manifest["order"]
        chosen = rule if rule is not None and order == "both" else RULES[order][0]
        rows, decisions = decided(run, place, chosen)
        first = decisions.repeat == 0
        verdict[rows[first], column] = decisions.verdict[first]
        for counts, mask in (
            (repeats, np.ones(rows.size, dtype=np.bool_)),
            (answered, decisions.verdict != FAILED),
            (correct, decisions.verdict == label[rows]),
        ):
            counts[:, column] = np.bincount(rows[mask], minlength=len(dataset))
        rules.append(chosen)
    return Outcomes(label, verdict, repeats, answered, correct, tuple(rules))


def decided(run: Run, place: Mapping[str, int], rule: Rule | None = None) -> tuple[Integers, Decisions]:
    """The decisions of a run, and the comparison in the dataset that each is about.

    Args:
        run: its scores are read.
        place: of each id in the dataset.
        rule: of the run's order; None is its default.

    Raises:
        UserError: the scores are not there.
        DataError: they are broken.
    """
    path = run.path / "scores.csv"
    try:
        judgments = read_scores(path)
    except FileNotFoundError:
        raise UserError(f"run {run.id} has no scores here; make them with: {run.manifest['command']}") from None
    ids = list(dict.fromkeys(judgment.id for judgment in judgments))
    strange = next((name for name in ids if name not in place), None)
    if strange is not None:
        raise DataError(f"comparison {strange!r} is not in the dataset; delete the file and run again", path)
    expected = (RunFolder(run.path).read("result") or {}).get("comparisons", len(ids))
    if len(ids) != expected:
        problem = f"holds {len(ids)} of the {expected} comparisons that the run has judged; delete it and run again"
        raise DataError(problem, path)
    try:
        decisions = decide(ids, judgments, run.manifest["order"], rule, run.manifest["kind"])
    except ValueError as error:  # a line is missing
        raise DataError(f"{error}; delete the file and run again", path) from None
    return np.array([place[name] for name in ids], dtype=np.int64)[decisions.comparison], decisions
