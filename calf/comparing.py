"""Compares stored runs on one dataset: which metric is better, by how much, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, resample_sums
from calf.analysis.counts import ratio
from calf.analysis.ensemble import kappa_matrix, majority_vote, oracle_right, wrong_counts
from calf.analysis.observations import integer_weights
from calf.analysis.paired import paired_tests, ranks
from calf.analysis.row import FEW_GROUPS, Row
from calf.errors import UserError
from calf.runs.choosing import choose
from calf.runs.costing import cost_lines, turn_lines
from calf.runs.facts import facts_of, notes_of, slices_of
from calf.runs.outcomes import outcomes_of
from calf.runs.rows import View, people_rows
from calf.titles import titles_of
from calf.types import FAILED
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from calf.analysis.observations import Integers
    from calf.datasets.dataset import Dataset
    from calf.decide import Rule
    from calf.runs.outcomes import Outcomes
    from calf.runs.run import Run

__all__ = ["LEAST_COVERAGE", "Differences", "compare", "compare_runs"]

Line = dict[str, Any]

LEAST_COVERAGE = 0.95
"""A run that judged a smaller share of what it covers has no rank."""

_FIGURES = ("difference", "low", "high", "p_permutation", "p_adjusted", "p_mcnemar")
_HARDEST = 20
_NOT_COVERED = "no comparison is covered"
_NO_COMMON = "kappa: no comparison that both judged"
_NOT_RANKED = f"rank: judged less than {LEAST_COVERAGE:.0%}".replace("%", " %")


@dataclass(frozen=True)
class Differences:
    """What `compare` found; from `runs` on, lists of flat rows, unrounded, None where undefined (`undefined` says why).

    Attributes:
        dataset: its name.
        fingerprint: SHA-256 of the dataset.
        notes: what every table made from the dataset must say.
        runs: for every run `run` (its id), `metric` (its name in tables), `floor`, `order`, `rule` (how both orders
            were reconciled), `covered` (comparisons, judged or failed), `judged` (in any repeat), `command`.
        pairs: for every slice and every two runs `a`, `b` (ids), `slice`, `n` (comparisons that both judged), `groups`,
            `difference` of their accuracies there (a minus b) with its 95 % interval `low`, `high` by bootstrap over
            groups, `p_permutation` (two-sided sign-flip test over groups), `p_adjusted` (the same, adjusted for all
            pairs of the slice by step-down max-T), `p_mcnemar` (a description: it ignores groups), `few_groups` (fewer
            than 50: intervals are too short), `undefined`. Of repeats, the share of the judged ones that is right.
        ranks: for every slice and run `run`, `metric`, `floor`, `slice`, `rank` (1 + the number of runs that are
            significantly better: `p_adjusted` at most 0.05; None, and better than none, if it failed on more than one
            in twenty there, since what it judged may be the easier part); and over the comparisons that the run covers,
            a failed one wrong, as `calf.evaluate` has it: `n`, `groups`, `few_groups`, `coverage` (the share that was
            judged), `accuracy` with `accuracy_low` and `accuracy_high`, and `undefined`.
        agreement: for every two runs `a`, `b`, `n` (comparisons that both judged), `kappa` (Cohen's) of their verdicts.
        ensembles: for every slice the accuracy of `majority-vote` (the most frequent verdict, same if several are) and
            of `oracle` (right if any run is) over the comparisons that all runs cover: `ensemble`, `slice`, and from
            `n` on as in `ranks`.
        hardest: at most 20 comparisons that more than half of the runs that judged them get wrong, those that most do
            first: `id`, `label`, `wrong`, `judged` (numbers of runs), `setting`, `subject`, `language`.
        people: where there are annotations, for every slice how far people agree, each annotator against the majority
            of the others (`calf.evaluate` has it as the metric human): `metric`, `slice`, `n` (annotated comparisons),
            `groups`, `few_groups`, `accuracy`, `accuracy_low`, `accuracy_high`, `undefined`.
        costs: where a run asked a model, for every run what a decision cost (`cost`, in `unit`: a currency, or tokens),
            `tokens`, `requests`, and on the `n` comparisons that all these runs cover `accuracy`, `accuracy_low`,
            `accuracy_high`, whether it is on the Pareto front (`on_front`: none is better at the same cost or less),
            and in which share of resamples of the groups it is (`front_share`); `undefined`.
        turns: of every run by agents that state verdicts more than once, or several of them, how often they agree and
            whether turns change verdicts: `calf.analysis.turns.turn_row`.

    `agreement`, `ensembles` and `hardest` take a run's verdict in the first repeat.
    """

    dataset: str
    fingerprint: str
    notes: tuple[str, ...]
    runs: list[Line]
    pairs: list[Line]
    ranks: list[Line]
    agreement: list[Line]
    ensembles: list[Line]
    hardest: list[Line]
    people: list[Line]
    costs: list[Line]
    turns: list[Line]


def compare(
    runs: Sequence[str | Run] = (),
    dataset: str | Path | Dataset | None = None,
    *,
    rule: Rule | None = None,
    by: str | Sequence[str] = (),
    folder: str | Path | None = None,
) -> Differences:
    """Compares stored runs pair by pair, on the comparisons that both judged. Nothing is judged anew, nothing written.

    All that a run has stored is compared, whatever the call that returned it had asked for.

    Args:
        runs: runs, ids of runs or their beginnings, or names of metrics that no other run on the dataset has; () for
            all complete runs on the dataset.
        dataset: what the runs are about: where to read it, or the dataset. None: where the runs read it.
        rule: how both orders are reconciled, for runs that have both: agree-or-same (the default), mean-probabilities,
            first-order.
        by: further columns to slice by.
        folder: the folder of runs; default: the workspace's, or `./runs`.

    Raises:
        UserError: fewer than two runs, runs on different datasets, or scores or a dataset that are not there.
    """
    names = (runs,) if isinstance(runs, str) else runs
    chosen = choose(names, dataset, find_workspace().runs if folder is None else Path(folder))
    return compare_runs(chosen.runs, chosen.dataset, rule=rule, by=(by,) if isinstance(by, str) else by)


def compare_runs(
    runs: Sequence[Run], dataset: Dataset, *, rule: Rule | None = None, by: Sequence[str] = (), overall: bool = False
) -> Differences:
    """`compare` for two or more opened runs on their dataset; `overall` leaves the slices out."""
    if rule is not None and not any(run.manifest["order"] == "both" for run in runs):
        raise UserError(f"the rule {rule!r} is for runs in both orders, and none of these is one")
    everywhere = np.ones(len(dataset), dtype=np.bool_)
    slices = {"overall": everywhere} if overall else dict(slices_of(dataset, by))  # a wrong column is said at once
    seen = outcomes_of(runs, dataset, rule)
    group = facts_of(dataset).group
    covered = seen.covered.any(axis=1)
    about = _about(runs, seen)
    pairs: list[Line] = []
    ranking: list[Line] = []
    ensembles: list[Line] = []
    done: dict[bytes, tuple[list[Line], list[Line], list[Line]]] = {}
    for name, mask in slices.items():
        rows = mask & covered  # groups that no run covers would be flipped and resampled for nothing
        if not rows.any() and name != "overall":
            continue
        key = rows.tobytes()
        if key not in done:
            done[key] = _slice(about, seen, rows, group)
        for whole, part in zip((pairs, ranking, ensembles), done[key], strict=True):
            whole += [{**line, "slice": name} for line in part]
    return Differences(
        dataset.name,
        dataset.fingerprint,
        notes_of(dataset),
        about,
        pairs,
        ranking,
        list(_agreement(about, seen)),
        ensembles,
        list(_hardest(dataset, seen)),
        [] if overall else list(_people(dataset, by)),
        [] if overall else cost_lines(about, runs, seen, group),
        [] if overall else list(turn_lines(about, runs, dataset)),
    )


def _about(runs: Sequence[Run], seen: Outcomes) -> list[Line]:
    return [
        {
            "run": run.id,
            "metric": title,
            "floor": run.is_floor,
            "order": run.manifest["order"],
            "rule": rule,
            "covered": int(covered),
            "judged": int(judged),
            "command": run.manifest["command"],
        }
        for run, title, rule, covered, judged in zip(
            runs, titles_of(runs), seen.rules, seen.covered.sum(axis=0), seen.judged.sum(axis=0), strict=True
        )
    ]


def _slice(
    about: Sequence[Line], seen: Outcomes, mask: NDArray[np.bool_], group: Integers
) -> tuple[list[Line], list[Line], list[Line]]:
    """The lines of `pairs`, `ranks` and `ensembles` of one slice, whose name is not known here."""
    group, verdict, label, repeats = group[mask], seen.verdict[mask], seen.label[mask], seen.repeats[mask]
    tests = paired_tests(seen.right[mask], seen.judged[mask], group)
    pairs = [
        {
            "a": about[tests.a[at]]["run"],
            "b": about[tests.b[at]]["run"],
            "slice": "",
            "n": int(tests.n[at]),
            "groups": int(tests.groups[at]),
            **{key: _plain(getattr(tests, key)[at]) for key in _FIGURES},
            "few_groups": bool(tests.groups[at] < FEW_GROUPS),
            "undefined": tests.undefined[at],
        }
        for at in range(tests.a.size)
    ]
    common = (repeats > 0).all(axis=1)
    vote = majority_vote(verdict)
    right = {"majority-vote": common & (vote == label), "oracle": common & oracle_right(verdict, label)}
    answered = common & (vote != FAILED)
    lines = _accuracies(  # of each run, then of both ways to take them together
        np.column_stack((seen.correct[mask], *right.values())),
        np.column_stack((seen.answered[mask], answered, answered)),
        np.column_stack((repeats, common, common)).astype(np.int64),
        group,
    )
    ranked = np.array([(line["coverage"] or 0.0) >= LEAST_COVERAGE for line in lines[: len(about)]])
    ranking = [
        {
            **{key: run[key] for key in ("run", "metric", "floor")},
            "slice": "",
            "rank": int(rank) if takes_part else None,
            **line,
            "undefined": "; ".join(part for part in ("" if takes_part else _NOT_RANKED, line["undefined"]) if part),
        }
        for run, rank, takes_part, line in zip(
            about, ranks(tests, len(about), ranked=ranked), ranked, lines, strict=False
        )
    ]
    ensembles = [{"ensemble": kind, "slice": "", **line} for kind, line in zip(right, lines[len(about) :], strict=True)]
    return pairs, ranking, ensembles


def _accuracies(correct: Integers, answered: Integers, repeats: Integers, group: Integers) -> list[Line]:
    """The accuracy of each column, over the comparisons that it covers, each with weight 1, a failed repeat wrong.

    Weights are whole numbers, so that sums are exact and the figures are those of `calf.analysis.measure`.

    Args:
        correct, answered, repeats: as in `Outcomes`.
        group: shape (n,).
    """
    lines: list[Line] = [{} for _ in repeats.T]
    columns: dict[bytes, list[int]] = {}  # what covers the same is resampled together
    for column, counts in enumerate(repeats.T):
        columns.setdefault(counts.tobytes(), []).append(column)
    for alike in columns.values():
        rows = repeats[:, alike[0]] > 0
        weight, unit = integer_weights(1.0 / repeats[rows, alike[0]])
        codes, place = np.unique(group[rows], return_inverse=True)
        weighted = [weight * correct[rows, column] for column in alike] + [np.full(weight.size, float(unit))]
        by_group = [np.bincount(place, weights=values, minlength=codes.size) for values in weighted]
        sums = np.stack(by_group, axis=1).astype(np.float64)
        drawn = resample_sums(sums, COUNT_RESAMPLES) if codes.size > 1 else None
        for index, column in enumerate(alike):
            line = Row()
            line.plain("n", weight.size)
            line.plain("groups", codes.size)
            line.plain("few_groups", codes.size < FEW_GROUPS)
            if weight.size:
                line.plain("coverage", float((weight * answered[rows, column]).sum()) / (unit * weight.size))
                accuracy = float(sums[:, index].sum()) / (unit * weight.size)
                line.put("accuracy", accuracy, None if drawn is None else ratio(drawn[:, index], drawn[:, -1]))
            else:
                line.undefined("coverage", _NOT_COVERED, interval=False)
                line.undefined("accuracy", _NOT_COVERED)
            lines[column] = {**line.values, "undefined": line.reasons()}
    return lines


def _agreement(about: Sequence[Line], seen: Outcomes) -> Iterator[Line]:
    matrix = kappa_matrix(seen.verdict)
    judged = (seen.verdict != FAILED).astype(np.int64)
    common = judged.T @ judged
    for a, first in enumerate(about):
        for b, second in enumerate(about[a + 1 :], a + 1):
            kappa = _plain(matrix[a, b])
            why = (
                "" if kappa is not None else "kappa: every verdict is one and the same" if common[a, b] else _NO_COMMON
            )
            yield {"a": first["run"], "b": second["run"], "n": int(common[a, b]), "kappa": kappa, "undefined": why}


def _people(dataset: Dataset, by: Sequence[str]) -> Iterator[Line]:
    names = ("metric", "slice", "n", "groups", "few_groups", "accuracy", "accuracy_low", "accuracy_high")
    for row in people_rows(dataset, View(by=tuple(by))):
        if ":" not in row["slice"]:
            why = "" if row["accuracy_low"] is not None else "accuracy_low, accuracy_high: fewer than 2 groups"
            yield {**{name: row[name] for name in names}, "undefined": why}


def _hardest(dataset: Dataset, seen: Outcomes) -> Iterator[Line]:
    failed = (seen.verdict == FAILED).sum(axis=1)
    wrong = wrong_counts(seen.verdict, seen.label) - failed
    judged = seen.verdict.shape[1] - failed
    hard = [place for place in range(len(dataset)) if 2 * wrong[place] > judged[place]]
    for place in sorted(hard, key=lambda place: (-wrong[place], judged[place], place))[:_HARDEST]:
        comparison = dataset.comparisons[place]
        yield {
            "id": comparison.id,
            "label": comparison.label,
            "wrong": int(wrong[place]),
            "judged": int(judged[place]),
            "setting": comparison.setting,
            "subject": comparison.subject,
            "language": comparison.language,
        }


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
