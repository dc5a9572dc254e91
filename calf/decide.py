"""From judgments to decisions: the tie rule and the rules that reconcile two orders, all pure.

A judgment speaks of the dataset's own sides, whatever was shown first. Scores that are exactly equal are a tie. Where
both orders were judged, a rule of `RULES` makes one decision of two judgments:

- `agree-or-same` (default): the verdict that both orders give, else same.
- `mean-probabilities`: the verdict with the highest mean probability, same if it is not the only one. A bare verdict
  has probability 1. For a response metric, and for imported scores of both orders, the side with the higher mean score.
- `first-order`: the verdict in the order given; the other is not looked at.

If a judgment that the rule looks at failed, the decision failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from calf.errors import UserError
from calf.types import FAILED, LABELS, NOT_JUDGED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from calf.types import Order, Verdict

__all__ = ["RULES", "Decisions", "Judgment", "OrderChoice", "Rule", "decide", "orders_of", "verdict_of_scores"]

OrderChoice = Literal["given", "swapped", "both", "mixed"]
"""Which orders were judged; mixed: one each comparison, not always the same (imported judgments)."""

Rule = Literal["given", "swapped", "agree-or-same", "mean-probabilities", "first-order", "as-judged"]
"""How the judgments of a comparison become one decision."""

RULES: Mapping[OrderChoice, tuple[Rule, ...]] = {
    "given": ("given",),
    "swapped": ("swapped",),
    "both": ("agree-or-same", "mean-probabilities", "first-order"),
    "mixed": ("as-judged",),
}
"""The rules that fit the orders that were judged; the first is the default."""

_SAME = LABELS.index("same")
_TOLERANCE = 1e-12  # probabilities that differ by less are equal: what sums of a few of them leave is below 1e-15


@dataclass(frozen=True, slots=True)
class Judgment:
    """What a metric said of one comparison in one order, in the dataset's sides.

    Attributes:
        score_a, score_b: a response metric's scores, or a comparison metric's probabilities of its two verdicts;
            None if it gave none.
        verdict: None if it failed.
        failure: the kind of failure; None if it did not fail.
        beyond: whether a text was longer than what the metric's model takes at once.
    """

    id: str
    order: Order
    repeat: int
    score_a: float | None = None
    score_b: float | None = None
    verdict: Verdict | None = None
    failure: str | None = None
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Decisions:
    """One row per comparison and repeat.

    Attributes:
        comparison: int64 (m,): index into the ids that were decided.
        repeat: int64 (m,): counted from 0.
        verdict: int8 (m,): the code of the verdict in `LABELS`, or `FAILED`.
        difference: float64 (m,): score_a - score_b, +1, -1 or 0 for a bare verdict; mean over the orders that the rule
            looks at; 0 if failed.
        weight: float64 (m,): 1 / the comparison's number of repeats.
        given, swapped: int8 (m,): the verdict in each single order, in the dataset's sides, or `FAILED`, or -1 if that
            order was not judged. A response metric's scores do not depend on the order: both are what it said in any.
    """

    comparison: npt.NDArray[np.int64]
    repeat: npt.NDArray[np.int64]
    verdict: npt.NDArray[np.int8]
    difference: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    given: npt.NDArray[np.int8]
    swapped: npt.NDArray[np.int8]


def orders_of(order: OrderChoice) -> tuple[Order, ...]:
    """The single orders that a choice stands for."""
    return (order,) if order in ("given", "swapped") else ("given", "swapped")


def verdict_of_scores(score_a: float, score_b: float) -> Verdict:
    """The tie rule: the higher score wins; exactly equal scores are the same."""
    return "response_a" if score_a > score_b else "response_b" if score_b > score_a else "same"


def decide(
    ids: Sequence[str],
    judgments: Sequence[Judgment],
    order: OrderChoice,
    rule: Rule | None = None,
    kind: str = "comparison",
) -> Decisions:
    """Reconciles the orders of every comparison and repeat.

    Args:
        ids: the comparisons, in the order of the result.
        judgments: for every id and repeat, one per order that `order` names; others are ignored.
        order: given, swapped, both, or mixed (the one order there is).
        rule: one of `RULES[order]`; None for the first of them.
        kind: response, comparison or imported: only a comparison metric's scores are probabilities.

    Raises:
        UserError: the rule does not fit the order.
        ValueError: an order of a comparison is missing.
    """
    rules = RULES[order]
    rule = rules[0] if rule is None else rule
    if rule not in rules:
        raise UserError(f"the rule {rule!r} does not fit the order {order!r}; possible: {', '.join(rules)}")
    wanted = orders_of(order)
    by_place: dict[tuple[str, int], dict[Order, Judgment]] = {}
    for judgment in judgments:
        by_place.setdefault((judgment.id, judgment.repeat), {})[judgment.order] = judgment
    repeats: dict[str, int] = {}
    for name, repeat in by_place:
        repeats[name] = max(repeats.get(name, 0), repeat + 1)
    places, values, singles = [], [], []
    for index, name in enumerate(ids):
        count = repeats.get(name, 0)
        for repeat in range(max(count, 1)):
            found = by_place.get((name, repeat), {})
            here = tuple(found) if order == "mixed" and len(found) == 1 else wanted
            absent = [o for o in here if o not in found]
            if absent:
                raise ValueError(f"comparison {name!r}, repeat {repeat}: order {absent[0]} is not judged")
            code, difference = _reconcile([found[o] for o in here], rule, kind)
            places.append((index, repeat))
            values.append((code, difference, 1.0 / count))
            single = {o: _code(found[o]) for o in here}
            other = single[here[0]] if kind == "response" else NOT_JUDGED
            singles.append((single.get("given", other), single.get("swapped", other)))
    place = np.array(places, dtype=np.int64).reshape(-1, 2)
    value = np.array(values, dtype=np.float64).reshape(-1, 3)
    orders = np.array(singles, dtype=np.int8).reshape(-1, 2)
    return Decisions(
        comparison=place[:, 0].copy(),
        repeat=place[:, 1].copy(),
        verdict=value[:, 0].astype(np.int8),
        difference=value[:, 1].copy(),
        weight=value[:, 2].copy(),
        given=orders[:, 0].copy(),
        swapped=orders[:, 1].copy(),
    )


def _reconcile(judgments: Sequence[Judgment], rule: Rule, kind: str) -> tuple[int, float]:
    """The decision's code and difference, from the judgments in the order given and then the other."""
    if rule == "first-order":
        judgments = judgments[:1]
    if any(j.verdict is None for j in judgments):
        return FAILED, 0.0
    if rule == "mean-probabilities":
        return _mean(judgments, kind)
    codes = {_code(j) for j in judgments}
    return codes.pop() if len(codes) == 1 else _SAME, sum(map(_difference, judgments)) / len(judgments)


def _mean(judgments: Sequence[Judgment], kind: str) -> tuple[int, float]:
    if kind != "comparison" and all(_scores(j) is not None for j in judgments):
        a, b = (sum(side) / len(judgments) for side in zip(*map(_scores, judgments), strict=True))
        return LABELS.index(verdict_of_scores(a, b)), a - b
    shares = zip(*(_distribution(j, kind) for j in judgments), strict=True)
    means = [sum(share) / len(judgments) for share in shares]
    highest = [code for code, mean in enumerate(means) if mean >= max(means) - _TOLERANCE]
    return highest[0] if len(highest) == 1 else _SAME, means[0] - means[1]


def _distribution(judgment: Judgment, kind: str) -> tuple[float, float, float]:
    """The probabilities of the verdicts; all on its own verdict if it gave none."""
    scores = _scores(judgment) if kind == "comparison" else None
    if scores is not None:
        return *scores, 1.0 - (scores[0] + scores[1])
    a, b, same = (1.0 if code == _code(judgment) else 0.0 for code in range(len(LABELS)))
    return a, b, same


def _code(judgment: Judgment) -> int:
    return FAILED if judgment.verdict is None else LABELS.index(judgment.verdict)


def _scores(judgment: Judgment) -> tuple[float, float] | None:
    return None if judgment.score_a is None or judgment.score_b is None else (judgment.score_a, judgment.score_b)


def _difference(judgment: Judgment) -> float:
    scores = _scores(judgment)
    if scores is not None:
        return scores[0] - scores[1]
    return {"response_a": 1.0, "response_b": -1.0}.get(judgment.verdict or "", 0.0)
