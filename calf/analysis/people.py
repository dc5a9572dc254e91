"""What a row says where single people's labels are known: people beside each other, and a metric beside people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.alternative import alternative_test
from calf.analysis.annotators import AGREEMENTS, agreement_row, leave_one_out
from calf.analysis.row import Share
from calf.types import FAILED, LABELS

if TYPE_CHECKING:
    from calf.analysis.annotators import Annotations
    from calf.analysis.observations import Floats, Observations
    from calf.analysis.row import Row

__all__ = ["ALTERNATIVE", "put_beside_people", "put_nobody", "put_people"]

ALTERNATIVE = ("alt_winning_rate", "alt_advantage", "alt_annotators")
"""What the alternative annotator test says, without an interval."""

# Nobody knows in which order people saw the responses, and overlap is of the preferred one, not of each target.
_METRICS_ONLY = (
    *("flip_rate", "accuracy_consistent", "first_position_rate"),
    *("accuracy_low_overlap", "accuracy_high_overlap"),
)
_GRID = 2.0**32  # shares of it add up exactly

_NOT_ANNOTATED = "no comparison has two annotators"
_OF_PEOPLE = "said of people: the rows of the metric human have it"
_OF_METRICS = "said of metrics, not of people"


def put_nobody(row: Row, shares: dict[str, Share], seen: Observations) -> None:
    """That nobody annotated."""
    nothing = np.zeros(len(seen))
    shares["accuracy_leave_one_out"] = Share(nothing, nothing, _NOT_ANNOTATED)
    for name in AGREEMENTS:
        row.undefined(name, _NOT_ANNOTATED)
    for name in ALTERNATIVE:
        row.undefined(name, _NOT_ANNOTATED, interval=False)


def put_people(
    row: Row, shares: dict[str, Share], seen: Observations, weight: Floats, annotations: Annotations, seed: int
) -> None:
    """What people say of each other."""
    shares["accuracy_leave_one_out"] = Share(weight * (seen.verdict == seen.label), weight, _NOT_ANNOTATED)
    for name in _METRICS_ONLY:
        shares[name] = replace(shares[name], reason=_OF_METRICS)
    row.take(agreement_row(annotations, seed=seed))
    for name in ALTERNATIVE:
        row.undefined(name, _OF_METRICS, interval=False)


def put_beside_people(
    row: Row,
    shares: dict[str, Share],
    seen: Observations,
    weight: Floats,
    annotations: Annotations,
    epsilon: float,
) -> None:
    """A metric in the place of each annotator, against the others."""
    top = int(max(seen.comparison.max(), annotations.comparison.max())) + 1
    others = leave_one_out(annotations)
    target = np.zeros((top, len(LABELS) + 1))  # nobody says FAILED
    np.add.at(target, (annotations.comparison[others.row], others.target), others.weight)
    expected = np.rint(target[seen.comparison, seen.verdict] * _GRID) / _GRID
    annotated = target[seen.comparison].sum(axis=1) > 0.5
    shares["accuracy_leave_one_out"] = Share(weight * expected, weight * annotated, _NOT_ANNOTATED)
    for name in AGREEMENTS:
        row.undefined(name, _OF_PEOPLE)
    verdict = np.full(top, FAILED, dtype=np.int8)
    verdict[seen.comparison[::-1]] = seen.verdict[::-1]  # of repeats the first
    test = alternative_test(annotations, verdict, epsilon=epsilon)
    for name, value in (("alt_winning_rate", test.winning_rate), ("alt_advantage", test.average_advantage)):
        row.plain_or_undefined(name, value, test.reason)
    row.plain("alt_annotators", int(test.annotators.size))
