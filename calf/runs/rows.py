"""The rows of every table: one per metric and slice, from decisions and the dataset; people and floors beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.analysis import Observations, measure
from calf.analysis.across import gaps, macro_average
from calf.analysis.annotators import leave_one_out
from calf.analysis.measures import EPSILON, blank
from calf.datasets.streamed import StreamedDataset
from calf.decide import RULES, decide
from calf.hashing import digest
from calf.metrics.base import Preparation
from calf.metrics.registry import load_floor
from calf.runs.execute import execute, prepare
from calf.runs.facts import facts_of, slices_of
from calf.runs.floors import decide_floor
from calf.runs.plan import assemble, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from calf.analysis.annotators import Annotations
    from calf.datasets.dataset import Dataset
    from calf.decide import Decisions, Judgment, OrderChoice, Rule

__all__ = ["FLOORS", "PEOPLE", "View", "floor_rows", "people_rows", "rows_of", "rows_of_decisions"]

FLOORS = ("always-a", "always-b", "random", "longer", "shorter", "always-model")
"""The metrics that stand in every table, judged in the order given."""

PEOPLE = "human"
"""The metric of the rows that say how well people agree with each other."""

Row = dict[str, Any]

_NOT_ACROSS = "not taken across slices"


@dataclass(frozen=True, slots=True)
class View:
    """How judgments are looked at. Nothing of it changes what was judged.

    Attributes:
        rule: how both orders are reconciled (`calf.decide.RULES`); None is the order's default.
        by: further columns to slice by.
        epsilon: of the alternative annotator test.
    """

    rule: Rule | None = None
    by: tuple[str, ...] = ()
    epsilon: float = EPSILON


def rows_of(
    metric: str,
    dataset: Dataset,
    judgments: Sequence[Judgment],
    *,
    order: OrderChoice = "given",
    kind: str = "comparison",
    view: View | None = None,
    scales: Mapping[str, str] | None = None,
    floor: bool = False,
) -> list[Row]:
    """One flat row per slice, then the macro-averages and gaps over slices.

    Args:
        metric: its name in tables.
        dataset: the comparisons that the rows are about.
        judgments: of all of them (others are ignored).
        order: the orders that were judged.
        kind: response, comparison or imported: what the scores are.
        view: how the judgments are looked at.
        scales: the score scale by language; what needs one scale is not pooled over several.
        floor: whether the metric is one of `FLOORS`.

    Raises:
        UserError: the rule does not fit the order, or a column cannot be sliced by.
    """
    view = view or View()
    decisions = decide(dataset.ids, judgments, order, view.rule, kind)
    long = {judgment.id for judgment in judgments if judgment.beyond}
    beyond = np.array([name in long for name in dataset.ids], dtype=np.bool_) if long else None
    return rows_of_decisions(
        metric, dataset, decisions, order=order, view=view, scales=scales, floor=floor, beyond=beyond
    )


def rows_of_decisions(
    metric: str,
    dataset: Dataset,
    decisions: Decisions,
    *,
    order: OrderChoice = "given",
    view: View | None = None,
    scales: Mapping[str, str] | None = None,
    floor: bool = False,
    beyond: NDArray[np.bool_] | None = None,
) -> list[Row]:
    """The same from decisions: `comparison` is the place in the dataset.

    Args:
        beyond: of each comparison, whether a text of it was longer than the metric's model takes at once; there are
            rows for both kinds then, `window=within` and `window=beyond`.
    """
    view = view or View()
    return list(
        _of_decisions(metric, dataset, decisions, order=order, view=view, scales=scales, floor=floor, beyond=beyond)
    )


def _of_decisions(
    metric: str,
    dataset: Dataset,
    decisions: Decisions,
    *,
    order: OrderChoice,
    view: View,
    scales: Mapping[str, str] | None,
    floor: bool,
    beyond: NDArray[np.bool_] | None,
) -> Iterator[Row]:
    facts = facts_of(dataset)
    where = decisions.comparison
    kinds: dict[str, int] = {}
    scale = np.array(
        [kinds.setdefault((scales or {}).get(language, ""), len(kinds)) for language in dataset.values("language")],
        dtype=np.int64,
    )
    seen = Observations(
        facts.label[where], decisions.verdict, decisions.difference, facts.group[where],
        weight=decisions.weight, scale=scale[where], comparison=where,
        given=decisions.given, swapped=decisions.swapped, fold=facts.fold[where],
        length_a=facts.length_a[where], length_b=facts.length_b[where],
        human=facts.human[where], overlap=facts.overlap[where],
    )  # fmt: skip
    head = {"metric": metric, "floor": floor, "dataset": dataset.name}
    about = {"order": order, "rule": view.rule or RULES[order][0]}
    more = {} if beyond is None else {"window=within": ~beyond, "window=beyond": beyond}
    return _rows(head, about, dataset, seen, where, view, more=more)


def people_rows(dataset: Dataset, view: View | None = None) -> list[Row]:
    """The rows of people: each annotator against the majority of the others; [] if no comparison has two annotators."""
    facts = facts_of(dataset)
    if facts.annotations is None or not (facts.annotated > 1).any():
        return []
    others = leave_one_out(facts.annotations)
    where = facts.annotations.comparison[others.row]
    verdict = facts.annotations.label[others.row]
    seen = Observations.of(
        others.target, verdict, np.array([1.0, -1.0, 0.0])[verdict], facts.group[where],
        weight=others.weight, fold=facts.fold[where],
        length_a=facts.length_a[where], length_b=facts.length_b[where], human=facts.human[where],
    )  # fmt: skip
    head = {"metric": PEOPLE, "floor": False, "dataset": dataset.name}
    about = {"order": "given", "rule": "leave-one-out"}
    return [row for row in _rows(head, about, dataset, seen, where, view or View(), people=True) if row["n"]]


def _rows(
    head: Row,
    about: Row,
    dataset: Dataset,
    seen: Observations,
    where: NDArray[np.int64],
    view: View,
    people: bool = False,
    more: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Iterator[Row]:
    """The rows of all slices, and of `more`; `where` is the comparison of each observation."""
    facts = facts_of(dataset)
    split = (facts.annotated > 1) & ~facts.majority
    done: dict[bytes, Row] = {}

    def groups_in(mask: NDArray[np.bool_]) -> int:
        """How many groups there are, not pools of them."""
        seen_there = np.zeros(len(dataset), dtype=np.bool_)
        seen_there[where] = True
        return int(np.unique(facts.named[mask & seen_there]).size)

    slices = {**dict(slices_of(dataset, view.by)), **(more or {})}
    for name, mask in slices.items():
        found = done.get(mask.tobytes())
        if found is None:
            part = _part(facts.annotations, mask)
            measured = measure(
                seen.select(mask[where]), annotations=part, people=people, epsilon=view.epsilon, many=facts.many
            )
            named = {"groups": groups_in(mask)} if facts.many else {}
            found = done[mask.tobytes()] = {"no_majority": int((split & mask).sum()), **measured, **named}
        yield {**head, "slice": name, **about, **found}
    for column in ("setting", "language"):
        parts = {name: mask[where] for name, mask in slices.items() if name.startswith(f"{column}=")}
        parts = {name: mask for name, mask in parts.items() if mask.any()}
        if len(parts) < 2:
            continue
        both = int((split & np.logical_or.reduce([slices[name] for name in parts])).sum())
        row, n, groups, fewest = macro_average(seen, parts)
        groups = groups_in(np.logical_or.reduce([slices[name] for name in parts])) if facts.many else groups
        rest = {**about, "no_majority": both, **blank(row, n, groups, _NOT_ACROSS, view.epsilon, fewest)}
        yield {**head, "slice": f"macro:{column}", **rest}
        if column == "setting":
            for first, second, row, n, groups, fewest in gaps(seen, parts):
                name = f"gap:{first.partition('=')[2]}-{second.partition('=')[2]}"
                both = int((split & (slices[first] | slices[second])).sum())
                count = groups_in(slices[first] | slices[second]) if facts.many else groups
                rest = {**about, "no_majority": both, **blank(row, n, count, _NOT_ACROSS, view.epsilon, fewest)}
                yield {**head, "slice": name, **rest}


def _part(annotations: Annotations | None, mask: NDArray[np.bool_]) -> Annotations | None:
    return None if annotations is None else annotations.select(mask[annotations.comparison])


def floor_rows(dataset: Dataset, whole: Dataset, seed: int, view: View | None = None) -> list[Row]:
    """The rows of all floors, judged here and now; not to be changed, since the next call may get the same.

    Args:
        dataset: the selection that the rows are about.
        whole: all of the dataset, which the random floor takes its prior from.
        seed: the run's.
        view: how the judgments are looked at; floors are judged in one order, which no rule reconciles.
    """
    view = replace(view or View(), rule=None)
    key = (whole.name, whole.fingerprint, digest(dataset.ids), seed, view)
    if key not in _floors:
        if len(_floors) >= _MOST_FLOORS:
            _floors.pop(next(iter(_floors)))
        _floors[key] = _judge_floors(dataset, whole, seed, view)
    return _floors[key]


_MOST_FLOORS = 32
_floors: dict[tuple[str, str, str, int, View], list[Row]] = {}  # the metrics of one command share their floors


_TOGETHER = 100_000
"""So many comparisons at most have the rows of all floors made side by side, which takes memory for each of them."""


def _judge_floors(dataset: Dataset, whole: Dataset, seed: int, view: View) -> list[Row]:
    each = (
        _of_decisions(name, dataset, decisions, order="given", view=view, scales=None, floor=True, beyond=None)
        for name, decisions in _decide_floors(dataset, whole, seed)
    )
    if len(dataset) > _TOGETHER:  # there slices have as many pools of groups as there are, hence the same resamples
        return [row for rows in each for row in rows]
    # Slice by slice, since all floors share a slice's resamples, and those of all slices are too many to keep.
    by_slice = list(zip(*each, strict=True))
    return [row for rows in zip(*by_slice, strict=True) for row in rows]


def _decide_floors(dataset: Dataset, whole: Dataset, seed: int) -> Iterator[tuple[str, Decisions]]:
    """Each of `FLOORS`, and what it decides."""
    if isinstance(dataset, StreamedDataset):
        for name in FLOORS:
            yield name, decide_floor(name, dataset, whole, seed)
        return
    preparation = Preparation(whole.comparisons, seed)
    once = dict.fromkeys((c.id for c in dataset), 1)
    for name in FLOORS:
        metric = load_floor(name)
        prepare(metric, preparation)
        outcomes: dict[str, Any] = {}
        for part in execute(metric, plan(metric, dataset.comparisons, "given", 1), preparation):
            outcomes.update(part)
        judgments = assemble(metric, dataset.comparisons, "given", once, outcomes)
        yield name, decide(dataset.ids, judgments, "given", None, metric.kind)
