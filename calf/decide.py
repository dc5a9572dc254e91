"""From judgments to decisions: the tie rule and the reconciliation of orders, both pure.

A judgment speaks of the dataset's own sides, whatever was shown first. Scores that are exactly equal are a tie. With
both orders, the rule is `agree-or-same`: the verdict that both orders give, else same; if either failed, the decision
failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from calf.types import FAILED, LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from calf.types import Order, Verdict

__all__ = ["RULES", "Decisions", "Judgment", "OrderChoice", "decide", "orders_of", "verdict_of_scores"]

OrderChoice = Literal["given", "swapped", "both", "mixed"]
"""Which orders were judged; mixed: one each comparison, not always the same (imported judgments)."""

RULES: Mapping[OrderChoice, str] = {
    "given": "given",
    "swapped": "swapped",
    "both": "agree-or-same",
    "mixed": "as-judged",
}
"""The name of the rule by the orders that were judged."""


@dataclass(frozen=True, slots=True)
class Judgment:
    """What a metric said of one comparison in one order, in the dataset's sides.

    Attributes:
        score_a, score_b: a response metric's scores, or a comparison metric's probabilities of its two verdicts;
            None if it gave none.
        verdict: None if it failed.
        failure: the kind of failure; None if it did not fail.
    """

    id: str
    order: Order
    repeat: int
    score_a: float | None = None
    score_b: float | None = None
    verdict: Verdict | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """One row per comparison and repeat.

    Attributes:
        comparison: int64 (m,): index into the ids that were decided.
        verdict: int8 (m,): the code of the verdict in `LABELS`, or `FAILED`.
        difference: float64 (m,): score_a - score_b, +1, -1 or 0 for a bare verdict; mean over orders; 0 if failed.
        weight: float64 (m,): 1 / the comparison's number of repeats.
    """

    comparison: npt.NDArray[np.int64]
    verdict: npt.NDArray[np.int8]
    difference: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]


def orders_of(order: OrderChoice) -> tuple[Order, ...]:
    """The single orders that a choice stands for."""
    return (order,) if order in ("given", "swapped") else ("given", "swapped")


def verdict_of_scores(score_a: float, score_b: float) -> Verdict:
    """The tie rule: the higher score wins; exactly equal scores are the same."""
    return "response_a" if score_a > score_b else "response_b" if score_b > score_a else "same"


def decide(ids: Sequence[str], judgments: Sequence[Judgment], order: OrderChoice) -> Decisions:
    """Reconciles the orders of every comparison and repeat.

    Args:
        ids: the comparisons, in the order of the result.
        judgments: for every id and repeat, one per order that `order` names; others are ignored.
        order: given, swapped, both (rule `agree-or-same`), or mixed (rule `as-judged`: the one order there is).

    Raises:
        ValueError: an order of a comparison is missing.
    """
    wanted = orders_of(order)
    by_place: dict[tuple[str, int], dict[Order, Judgment]] = {}
    for judgment in judgments:
        by_place.setdefault((judgment.id, judgment.repeat), {})[judgment.order] = judgment
    repeats: dict[str, int] = {}
    for name, repeat in by_place:
        repeats[name] = max(repeats.get(name, 0), repeat + 1)
    comparison, verdict, difference, weight = [], [], [], []
    for index, name in enumerate(ids):
        count = repeats.get(name, 0)
        for repeat in range(max(count, 1)):
            found = by_place.get((name, repeat), {})
            here = tuple(found) if order == "mixed" and len(found) == 1 else wanted
            absent = [o for o in here if o not in found]
            if absent:
                raise ValueError(f"comparison {name!r}, repeat {repeat}: order {absent[0]} is not judged")
            code, value = _reconcile([found[o] for o in here])
            comparison.append(index)
            verdict.append(code)
            difference.append(value)
            weight.append(1.0 / count)
    return Decisions(
        np.array(comparison, dtype=np.int64),
        np.array(verdict, dtype=np.int8),
        np.array(difference, dtype=np.float64),
        np.array(weight, dtype=np.float64),
    )


def _reconcile(judgments: Sequence[Judgment]) -> tuple[int, float]:
    if any(j.verdict is None for j in judgments):
        return FAILED, 0.0
    verdicts = {j.verdict for j in judgments}
    code = LABELS.index(verdicts.pop()) if len(verdicts) == 1 else LABELS.index("same")
    return code, sum(map(_difference, judgments)) / len(judgments)


def _difference(judgment: Judgment) -> float:
    if judgment.score_a is not None and judgment.score_b is not None:
        return judgment.score_a - judgment.score_b
    return {"response_a": 1.0, "response_b": -1.0}.get(judgment.verdict or "", 0.0)
