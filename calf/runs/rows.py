"""The rows of every table: one per metric and slice, from decisions and the dataset, and the floors beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from calf.analysis import Observations, measure
from calf.decide import RULES, decide
from calf.hashing import digest
from calf.metrics.base import Preparation
from calf.metrics.registry import load_floor
from calf.runs.execute import execute, prepare
from calf.runs.plan import assemble, plan
from calf.types import LABELS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from calf.datasets.dataset import Dataset
    from calf.decide import Judgment, OrderChoice

__all__ = ["FLOORS", "floor_rows", "rows_of", "slices_of"]

FLOORS = ("always-a", "always-b", "random", "longer", "shorter", "always-model")
"""The metrics that stand in every table, judged in the order given."""

Row = dict[str, Any]


def slices_of(dataset: Dataset) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The slices of a dataset: a name such as "setting=human_vs_model", and which comparisons are in it, bool (n,)."""
    yield "overall", np.ones(len(dataset), dtype=np.bool_)
    for column, order in (("setting", SETTINGS), ("language", ()), ("subject", ())):
        values = [getattr(comparison, column) for comparison in dataset]
        known = sorted({value for value in values if value is not None})
        for value in sorted(known, key=lambda v: (order.index(v) if v in order else 0, v)):
            yield f"{column}={value}", np.array([v == value for v in values], dtype=np.bool_)


def rows_of(
    metric: str,
    dataset: Dataset,
    judgments: Sequence[Judgment],
    *,
    order: OrderChoice = "given",
    scales: Mapping[str, str] | None = None,
    floor: bool = False,
) -> list[Row]:
    """One flat row per slice.

    Args:
        metric: its name in tables.
        dataset: the comparisons that the rows are about.
        judgments: of all of them (others are ignored).
        order: the orders that were judged; decides the rule.
        scales: the score scale by language; correlations are not pooled over several.
        floor: whether the metric is one of `FLOORS`.
    """
    decisions = decide([c.id for c in dataset], judgments, order)
    where = decisions.comparison
    labels = np.array([LABELS.index(c.label) for c in dataset], dtype=np.int8)
    codes = np.unique(np.array([c.group for c in dataset], dtype=object), return_inverse=True)[1].astype(np.int64)
    kinds: dict[str, int] = {}
    scale = np.array(
        [kinds.setdefault((scales or {}).get(c.language, ""), len(kinds)) for c in dataset], dtype=np.int64
    )
    seen = Observations(
        labels[where], decisions.verdict, decisions.difference, codes[where], decisions.weight, scale[where]
    )
    rows = []
    done: dict[bytes, dict[str, Any]] = {}
    for name, mask in slices_of(dataset):
        measured = done.get(mask.tobytes())
        if measured is None:
            measured = done[mask.tobytes()] = measure(seen.select(mask[where]))
        head = {"metric": metric, "floor": floor, "dataset": dataset.name, "slice": name}
        rows.append({**head, "order": order, "rule": RULES[order], **measured})
    return rows


def floor_rows(dataset: Dataset, whole: Dataset, seed: int) -> list[Row]:
    """The rows of all floors, judged here and now; not to be changed, since the next call may get the same.

    Args:
        dataset: the selection that the rows are about.
        whole: all of the dataset, which the random floor takes its prior from.
        seed: the run's.
    """
    key = (whole.name, whole.fingerprint, digest([c.id for c in dataset]), seed)
    if key not in _floors:
        if len(_floors) >= _MOST_FLOORS:
            _floors.pop(next(iter(_floors)))
        _floors[key] = _judge_floors(dataset, whole, seed)
    return _floors[key]


_MOST_FLOORS = 8
_floors: dict[tuple[str, str, str, int], list[Row]] = {}  # the metrics of one command share their floors


def _judge_floors(dataset: Dataset, whole: Dataset, seed: int) -> list[Row]:
    preparation = Preparation(whole.comparisons, seed)
    rows = []
    for name in FLOORS:
        metric = load_floor(name)
        prepare(metric, preparation)
        outcomes: dict[str, Any] = {}
        for part in execute(metric, plan(metric, dataset.comparisons, "given", 1), preparation):
            outcomes.update(part)
        once = dict.fromkeys((c.id for c in dataset), 1)
        judgments = assemble(metric, dataset.comparisons, "given", once, outcomes)
        rows += rows_of(name, dataset, judgments, floor=True)
    return rows
