"""What turns do to verdicts: how often agents agree at first and at last, and whether they change for the better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, resample_sums
from calf.analysis.counts import ratio
from calf.analysis.row import FEW_GROUPS, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.analysis.row import Value
    from calf.types import Label, Verdict

__all__ = ["Talk", "turn_row"]

_NO_TWO = "no judgment in which two agents state a verdict"
_NO_TURNS = "no agent states a verdict twice"


@dataclass(frozen=True, slots=True)
class Talk:
    """One judgment by agents.

    Attributes:
        label: what people said.
        group: of the comparison.
        verdicts: what each agent said, in order; those that could not be read left out.
    """

    label: Label
    group: str
    verdicts: Mapping[str, Sequence[Verdict]]


def turn_row(talks: Sequence[Talk]) -> dict[str, Value]:
    """Statistics of some judgments, with 95 % intervals by bootstrap over groups.

    Of judgments in which at least two agents state a verdict: `agree_first`, the share in which their first verdicts
    are the same, and `agree_last`. Of agents that state a verdict twice or more in a judgment: `changed`, the share
    whose last verdict is not their first; of them `to_label`, from a wrong one to the label, `from_label`, the other
    way, and `elsewhere`, from one wrong verdict to another, all as shares of the same whole; `net` is to_label -
    from_label.

    Returns:
        These, each with `_low` and `_high`; `judgments`, `sequences` (agents in judgments that state one twice),
        `groups`, `few_groups`, `undefined`.
    """
    groups = sorted({talk.group for talk in talks})
    place = {name: index for index, name in enumerate(groups)}
    # Pairs of agents at first, at last, the whole; then changes to, from, elsewhere, the whole.
    table = np.zeros((len(groups), 7))
    for talk in talks:
        said = [verdicts for verdicts in talk.verdicts.values() if verdicts]
        row = table[place[talk.group]]
        if len(said) > 1:
            row[0] += len({verdicts[0] for verdicts in said}) == 1
            row[1] += len({verdicts[-1] for verdicts in said}) == 1
            row[2] += 1
        for verdicts in said:
            if len(verdicts) > 1:
                first, last = verdicts[0], verdicts[-1]
                row[3] += first != last == talk.label
                row[4] += last != first == talk.label
                row[5] += talk.label not in (first, last) and first != last
                row[6] += 1
    whole = table.sum(axis=0)
    drawn = resample_sums(table, COUNT_RESAMPLES) if len(groups) > 1 else None
    made = Row()
    made.plain("judgments", len(talks))
    made.plain("sequences", int(whole[6]))
    made.plain("groups", len(groups))
    made.plain("few_groups", len(groups) < FEW_GROUPS)
    for name, parts, size, reason in (
        ("agree_first", {0: 1}, 2, _NO_TWO),
        ("agree_last", {1: 1}, 2, _NO_TWO),
        ("changed", {3: 1, 4: 1, 5: 1}, 6, _NO_TURNS),
        ("to_label", {3: 1}, 6, _NO_TURNS),
        ("from_label", {4: 1}, 6, _NO_TURNS),
        ("elsewhere", {5: 1}, 6, _NO_TURNS),
        ("net", {3: 1, 4: -1}, 6, _NO_TURNS),
    ):
        if not whole[size]:
            made.undefined(name, reason)
            continue
        sums = sum(sign * whole[column] for column, sign in parts.items())
        resampled = None
        if drawn is not None:
            resampled = ratio(
                np.sum([sign * drawn[:, column] for column, sign in parts.items()], axis=0), drawn[:, size]
            )
        made.put(name, float(sums / whole[size]), resampled)
    return {**made.values, "undefined": made.reasons()}
