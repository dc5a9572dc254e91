"""Plans comparisons: what a dataset can show of a difference between metrics, from runs that are stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from calf.analysis.power import SMALLEST_PLANNED, paired_power
from calf.analysis.row import FEW_GROUPS
from calf.errors import UserError
from calf.runs.facts import facts_of, notes_of
from calf.runs.outcomes import outcomes_of
from calf.titles import titles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.datasets.dataset import Dataset
    from calf.runs.run import Run

__all__ = ["Plan", "check_plan", "plan_runs"]


@dataclass(frozen=True)
class Plan:
    """What a dataset can show of the differences between runs.

    Attributes:
        dataset: its name.
        fingerprint: SHA-256 of the dataset.
        notes: what every table made from the dataset must say.
        difference, wanted_power, alpha: what was asked for.
        runs: for every run `run` (its id), `metric` (its name in tables), `floor`.
        pairs: for every two runs `a`, `b` (ids), the values of `calf.analysis.power.Power` on the comparisons that both
            judged (of these `power` is what is reached here), and `few_groups` (fewer than 50).
    """

    dataset: str
    fingerprint: str
    notes: tuple[str, ...]
    difference: float
    wanted_power: float
    alpha: float
    runs: list[dict[str, Any]]
    pairs: list[dict[str, Any]]


def check_plan(difference: float, power: float, alpha: float) -> None:
    """Says what cannot be planned for.

    Raises:
        UserError: a number is out of its range.
    """
    if not 0.0 < alpha < power < 1.0:
        raise UserError(f"alpha and power must be between 0 and 1, and power above alpha, not {alpha:g} and {power:g}")
    if not SMALLEST_PLANNED <= difference <= 1.0:
        raise UserError(f"the difference must be a share from {SMALLEST_PLANNED:f} to 1, not {difference:g}")


def plan_runs(
    runs: Sequence[Run], dataset: Dataset, *, difference: float = 0.03, power: float = 0.8, alpha: float = 0.05
) -> Plan:
    """Plans the comparison of every two of the runs, from the paired variance of what they have judged.

    Args:
        runs: two or more, on this dataset.
        dataset: the whole of it.
        difference: in accuracy, to plan for.
        power: the wanted probability of finding it.
        alpha: the level of the two-sided test.

    Raises:
        UserError: a number is out of its range, or a run's scores are not there.
    """
    check_plan(difference, power, alpha)
    seen = outcomes_of(runs, dataset)
    right, judged, group = seen.right, seen.judged, facts_of(dataset).group
    pairs = []
    for a, b in combinations(range(len(runs)), 2):
        rows = judged[:, a] & judged[:, b]
        found = paired_power(
            right[rows, a], right[rows, b], group[rows], alpha=alpha, power=power, difference=difference
        )
        said = asdict(found)
        names = [name for name, value in said.items() if value is None]
        said["undefined"] = f"{', '.join(names)}: {found.undefined}" if found.undefined else ""
        pairs.append({"a": runs[a].id, "b": runs[b].id, **said, "few_groups": found.groups < FEW_GROUPS})
    about = [
        {"run": run.id, "metric": title, "floor": run.is_floor}
        for run, title in zip(runs, titles_of(runs), strict=True)
    ]
    return Plan(dataset.name, dataset.fingerprint, notes_of(dataset), difference, power, alpha, about, pairs)
