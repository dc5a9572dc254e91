"""Compares stored runs on one dataset: which metric is better, by how much, and how sure that is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, percentile_interval, resample_sums
from calf.analysis.counts import ratio
from calf.analysis.ensemble import kappa_matrix, majority_vote, oracle_right, wrong_counts
from calf.analysis.paired import paired_tests, ranks
from calf.analysis.row import FEW_GROUPS
from calf.errors import UserError
from calf.runs.facts import facts_of, slices_of
from calf.runs.outcomes import dataset_of, outcomes_of
from calf.runs.run import describe_runs, find_run, open_run
from calf.types import FAILED
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calf.analysis.observations import Floats
    from calf.datasets.dataset import Dataset
    from calf.decide import Rule
    from calf.runs.outcomes import Outcomes
    from calf.runs.run import Run

__all__ = ["Differences", "chosen_runs", "compare", "titles_of"]

Row = dict[str, Any]

_HARDEST = 20


@dataclass(frozen=True)
class Differences:
    """What `compare` found; every attribute but the first two is a list of flat rows, unrounded, None where undefined.

    Attributes:
        dataset: its name.
        fingerprint: SHA-256 of the dataset.
        notes: what every table made from the dataset must say.
        runs: `run`, `metric` (its name in tables), `order`, `rule`, `comparisons`, `judged`, `command`.
        pairs: for every slice and every two runs `a`, `b` (ids of runs), `slice`, `n` (comparisons that both judged),
            `groups`, `difference` of their accuracies there (a minus b) with its 95 % interval `low`, `high` by
            bootstrap over groups, `p_permutation` (two-sided sign-flip test over groups), `p_adjusted` (the same,
            adjusted for all pairs of the slice by step-down max-T), `p_mcnemar` (a description: it ignores groups),
            `few_groups` (fewer than 50: intervals are too short), `undefined` (why a value is None).
        ranks: for every slice and run `rank` (1 + the number of runs with a higher accuracy and `p_adjusted` of 0.05 or
            less), and `accuracy` with its interval over all comparisons of the slice, a failed one wrong; `judged`.
        agreement: for every two runs `kappa` (Cohen's) of their verdicts, and `n`.
        ensembles: for every slice the accuracy of `majority-vote` (plurality; a tied vote is same) and of `oracle`
            (right if any run is), with intervals.
        hardest: the comparisons that most runs get wrong: `id`, `label`, `wrong`, `judged`, `setting`, `subject`.
    """

    dataset: str
    fingerprint: str
    notes: tuple[str, ...]
    runs: list[Row]
    pairs: list[Row]
    ranks: list[Row]
    agreement: list[Row]
    ensembles: list[Row]
    hardest: list[Row]


def compare(
    runs: Sequence[str] = (),
    dataset: str | Path | Dataset | None = None,
    *,
    rule: Rule | None = None,
    by: Sequence[str] = (),
    folder: Path | None = None,
) -> Differences:
    """Compares stored runs pair by pair, on the comparisons that both judged. Nothing is judged anew.

    Args:
        runs: ids of runs or their beginnings, or metrics' names; () for all complete runs on the dataset.
        dataset: the dataset on which the runs are compared: where to read it, or its name. None: that of the runs.
        rule: how both orders are reconciled, for runs that have both; None is `agree-or-same`.
        by: further columns to slice by.
        folder: the folder of runs; default: the workspace's, or `./runs`.

    Raises:
        UserError: fewer than two runs, runs on different datasets, or scores or a dataset that are not there.
    """
    chosen = chosen_runs(runs, dataset, folder or find_workspace().runs)
    if len(chosen) < 2:
        raise UserError("two runs or more are needed for a comparison; `calf runs list` shows what there is")
    return compare_runs(chosen, dataset_of(chosen, dataset), rule=rule, by=by)


def compare_runs(
    runs: Sequence[Run], dataset: Dataset, *, rule: Rule | None = None, by: Sequence[str] = (), overall: bool = False
) -> Differences:
    """`compare` for opened runs on their dataset; `overall` leaves the slices out."""
    if rule is not None and not any(run.manifest["order"] == "both" for run in runs):
        raise UserError(f"the rule {rule!r} is for runs in both orders, and none of these is one")
    seen = outcomes_of(runs, dataset, rule)
    titles = titles_of(runs)
    pairs: list[Row] = []
    ranking: list[Row] = []
    ensembles: list[Row] = []
    group = facts_of(dataset).group
    everywhere = [("overall", np.ones(len(dataset), dtype=np.bool_))]
    voted = majority_vote(seen.verdict)
    together = {
        "majority-vote": (voted == seen.label).astype(np.float64),
        "oracle": oracle_right(seen.verdict, seen.label).astype(np.float64),
    }
    for name, mask in everywhere if overall else slices_of(dataset, by):
        tests = paired_tests(seen.right[mask], seen.judged[mask], group[mask])
        few = bool(np.unique(group[mask]).size < FEW_GROUPS)
        pairs += [
            {
                "a": runs[tests.a[at]].id,
                "b": runs[tests.b[at]].id,
                "slice": name,
                "n": int(tests.n[at]),
                "groups": int(tests.groups[at]),
                **{key: _plain(getattr(tests, key)[at]) for key in _FIGURES},
                "few_groups": few,
                "undefined": tests.undefined[at],
            }
            for at in range(tests.a.size)
        ]
        columns = np.concatenate((seen.right[mask], np.stack([v[mask] for v in together.values()], axis=1)), axis=1)
        shares = list(_accuracies(columns, group[mask]))
        for place, (run, rank) in enumerate(zip(runs, ranks(tests, len(runs)), strict=True)):
            ranking.append(
                {
                    "run": run.id,
                    "metric": titles[place],
                    "slice": name,
                    "rank": int(rank),
                    "n": int(mask.sum()),
                    "judged": int(seen.judged[mask, place].sum()),
                    **shares[place],
                }
            )
        for kind, share in zip(together, shares[len(runs) :], strict=True):
            ensembles.append({"ensemble": kind, "slice": name, "n": int(mask.sum()), **share})
    return Differences(
        dataset.name,
        dataset.fingerprint,
        dataset.notes,
        list(_about(runs, titles, seen)),
        pairs,
        ranking,
        list(_agreement(runs, seen)),
        ensembles,
        _hardest(dataset, seen),
    )


_FIGURES = ("difference", "low", "high", "p_permutation", "p_adjusted", "p_mcnemar")


def chosen_runs(names: Sequence[str], dataset: str | Path | Dataset | None, folder: Path) -> list[Run]:
    """The runs of these ids, beginnings of ids or metrics' names; all complete ones on the dataset if none is named."""
    known = [record for record in describe_runs(folder) if record["state"] in ("complete", "part")]
    if dataset is not None:
        known = [record for record in known if _is_on(record, dataset)]
        if not known:
            raise UserError(f"no run on dataset {getattr(dataset, 'name', dataset)!r} in {folder}")
    if not names:
        if dataset is None:
            raise UserError("name two runs or more, or a dataset with --dataset")
        return [open_run(folder / record["id"]) for record in known if record["state"] == "complete"]
    found = []
    for name in names:
        mine = [record["id"] for record in known if record["metric"] == name]
        if len(mine) > 1:
            raise UserError(f"{name!r} is the metric of several runs: {', '.join(mine)}; name the run, or --dataset")
        found.append(open_run(folder / mine[0] if mine else find_run(folder, name)))
    twice = [run_id for run_id, count in Counter(run.id for run in found).items() if count > 1]
    if twice:
        raise UserError(f"run {twice[0]} is named twice")
    return found


def _is_on(record: Row, dataset: str | Path | Dataset) -> bool:
    from pathlib import Path

    from calf.datasets.dataset import Dataset

    if isinstance(dataset, Dataset):
        return bool(record["fingerprint"] == dataset.fingerprint)
    return record["dataset"] in (str(dataset), Path(str(dataset).partition("#")[0]).stem)


def titles_of(runs: Sequence[Run]) -> list[str]:
    """The runs' names in tables, each its own."""
    counts = Counter(run.title for run in runs)
    return [run.title if counts[run.title] == 1 else f"{run.title} #{run.id[-6:]}" for run in runs]


def _about(runs: Sequence[Run], titles: Sequence[str], seen: Outcomes) -> Iterator[Row]:
    for place, run in enumerate(runs):
        yield {
            "run": run.id,
            "metric": titles[place],
            "order": run.manifest["order"],
            "rule": seen.rules[place],
            "comparisons": run.manifest["dataset_comparisons"],
            "judged": int(seen.judged[:, place].sum()),
            "command": run.manifest["command"],
        }


def _agreement(runs: Sequence[Run], seen: Outcomes) -> Iterator[Row]:
    matrix = kappa_matrix(seen.verdict)
    covered = seen.verdict != FAILED
    for a in range(len(runs)):
        for b in range(a + 1, len(runs)):
            common = int((covered[:, a] & covered[:, b]).sum())
            yield {"a": runs[a].id, "b": runs[b].id, "n": common, "kappa": _plain(matrix[a, b])}


def _hardest(dataset: Dataset, seen: Outcomes) -> list[Row]:
    wrong = wrong_counts(seen.verdict, seen.label)
    judged = (seen.verdict != FAILED).sum(axis=1)
    order = sorted(range(len(dataset)), key=lambda i: (-wrong[i], i))[:_HARDEST]
    return [
        {
            "id": dataset.comparisons[i].id,
            "label": dataset.comparisons[i].label,
            "wrong": int(wrong[i]),
            "judged": int(judged[i]),
            "setting": dataset.comparisons[i].setting,
            "subject": dataset.comparisons[i].subject,
        }
        for i in order
        if 2 * wrong[i] > judged[i] > 0
    ]


def _accuracies(right: Floats, group: NDArray[np.int64]) -> Iterator[Row]:
    """Each column's mean over all rows, with its interval."""
    codes, place = np.unique(group, return_inverse=True)
    table = np.zeros((codes.size, right.shape[1] + 1))
    np.add.at(table[:, :-1], place, np.rint(right * 2.0**32))
    np.add.at(table[:, -1], place, 2.0**32)
    total = table.sum(axis=0)
    drawn = resample_sums(table, COUNT_RESAMPLES) if codes.size > 1 else None
    for column in range(right.shape[1]):
        value = _plain(ratio(total[column], total[-1]))
        interval = None
        if drawn is not None:
            interval = percentile_interval(ratio(drawn[:, column], drawn[:, -1]))
        yield {"accuracy": value, **dict(zip(("low", "high"), interval or (None, None), strict=True))}


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
