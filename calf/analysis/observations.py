"""What the statistics see: one row per judgment of a comparison, as arrays of equal length."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calf.types import FAILED, LABELS, NOT_JUDGED

__all__ = ["Codes", "Floats", "Integers", "Observations", "integer_weights"]

Codes = NDArray[np.int8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LARGEST_UNIT = 1 << 32


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Decided judgments beside the people's labels. All arrays have shape (n,).

    Attributes:
        label: int8; what people said: 0 response_a, 1 response_b, 2 same (the places in `calf.types.LABELS`).
        verdict: int8; what the metric said: 0, 1, 2, or `calf.types.FAILED` (3).
        difference: float64; score of response_a minus score of response_b (or p(A) - p(B), or +1, -1, 0 for a bare
            verdict); finite; ignored where the verdict is FAILED.
        group: int64; which rows are resampled together: any integers. Their order decides which group stands for
            which in a resample, so two metrics are paired if the same groups have the same codes.
        weight: float64; 1, or 1/K for each of the K rows of a comparison that was judged K times.
        scale: int64; which rows have scores of one scale (a metric that uses one model a language has several).
        comparison: int64; which rows are repeats of one comparison: any integers.
        given, swapped: int8; the verdict in each single order, in the dataset's sides, or FAILED, or NOT_JUDGED (-1).
        fold: int64; what is fitted is judged on the rows of the other folds. The rows of a group share their fold.
        length_a, length_b: int64; the responses' lengths, not negative.
        human: int8; the side that a human wrote, 0 or 1, where a model wrote the other; else -1.
        overlap: float64; how high the preferred response's lexical overlap with the reference ranks, in [0, 1]; NaN
            where there is no reference or no preferred response.

    Raises:
        ValueError: the shapes differ, or a value is outside of what is said above.
    """

    label: Codes
    verdict: Codes
    difference: Floats
    group: Integers
    weight: Floats
    scale: Integers
    comparison: Integers
    given: Codes
    swapped: Codes
    fold: Integers
    length_a: Integers
    length_b: Integers
    human: Codes
    overlap: Floats

    @classmethod
    def of(
        cls,
        label: Codes,
        verdict: Codes,
        difference: Floats,
        group: Integers,
        *,
        weight: Floats | None = None,
        scale: Integers | None = None,
        comparison: Integers | None = None,
        given: Codes | None = None,
        swapped: Codes | None = None,
        fold: Integers | None = None,
        length_a: Integers | None = None,
        length_b: Integers | None = None,
        human: Codes | None = None,
        overlap: Floats | None = None,
    ) -> Observations:
        """Observations of which only a part is known; what needs the rest is undefined.

        By default every row is a comparison of its own, judged once, on one scale, in no known order; all are in one
        fold, of no length, by nobody known, without a reference.
        """
        n = label.size

        def constant(array: NDArray[Any] | None, value: float, kind: type) -> NDArray[Any]:
            return np.full(n, value, dtype=kind) if array is None else array

        return cls(
            label, verdict, difference, group,
            weight=constant(weight, 1.0, np.float64),
            scale=constant(scale, 0, np.int64),
            comparison=np.arange(n, dtype=np.int64) if comparison is None else comparison,
            given=constant(given, NOT_JUDGED, np.int8),
            swapped=constant(swapped, NOT_JUDGED, np.int8),
            fold=constant(fold, 0, np.int64),
            length_a=constant(length_a, 0, np.int64),
            length_b=constant(length_b, 0, np.int64),
            human=constant(human, -1, np.int8),
            overlap=constant(overlap, np.nan, np.float64),
        )  # fmt: skip

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name).shape != (len(self),):
                raise ValueError(f"Observations.{field.name} must have the shape ({len(self)},)")
        if len(self) == 0:
            return
        if self.label.min() < 0 or self.label.max() >= len(LABELS):
            raise ValueError("Observations.label must be 0, 1 or 2")
        if self.verdict.min() < 0 or self.verdict.max() > FAILED:
            raise ValueError("Observations.verdict must be 0, 1, 2 or 3")
        if not np.isfinite(self.difference[self.judged]).all():
            raise ValueError("Observations.difference must be finite where the verdict is not FAILED")

    def __len__(self) -> int:
        return int(self.label.size)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which rows did not fail, shape (n,)."""
        return np.not_equal(self.verdict, FAILED)

    def select(self, rows: NDArray[np.bool_] | Integers) -> Observations:
        """The rows that a mask or an index names: a slice of the table."""
        return Observations(*(getattr(self, field.name)[rows] for field in fields(self)))


def integer_weights(weight: Floats) -> tuple[Floats, int]:
    """The weights as whole numbers, and the unit that stands for 1: the least common multiple of the K.

    No statistic here depends on the unit of the weights. Sums of whole numbers in float64 are exact (below 2^53), so
    with these the counts of a resample depend neither on the order of the rows nor on how many threads add them up.
    Where so many different K meet that their multiple exceeds 2^32, the unit is 2^32 and the weights are rounded.

    Args:
        weight: 1 or 1/K each, shape (n,).

    Raises:
        ValueError: a weight is not 1/K for a whole number K.
    """
    distinct, row = np.unique(weight, return_inverse=True)
    if distinct.size and not (np.isfinite(distinct).all() and distinct[0] > 1.0 / _LARGEST_UNIT):
        raise ValueError("Observations.weight must be 1 or 1/K")
    times = np.rint(1.0 / distinct).astype(np.int64)
    if np.any(np.abs(distinct * times - 1.0) > 1e-9):
        raise ValueError("Observations.weight must be 1 or 1/K")
    unit = min(lcm(*times.tolist()), _LARGEST_UNIT)
    return np.rint(unit / times)[row], unit
