"""Statistics that follow from counts of (label, verdict).

Counts are arrays (..., 3, 4): the label (response_a, response_b, same) by the verdict (the same three, then failed).
Every function takes such an array and returns an array of the leading shape, so ten thousand resamples are one call.
An undefined value is NaN in it. None depends on the unit of the counts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from calf.types import FAILED, LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Integers

__all__ = [
    "COUNT_STATISTICS",
    "accuracy",
    "accuracy_failed_right",
    "confusion",
    "coverage",
    "decided_accuracy",
    "f1",
    "kappa",
    "macro_f1",
    "precision",
    "ratio",
    "recall",
    "symmetric",
    "tie_rate",
]

_SAME = LABELS.index("same")
_CLASSES = len(LABELS)
_SWAPPED = (1, 0, 2)


def confusion(
    label: NDArray[np.int8], verdict: NDArray[np.int8], weight: Floats, group: Integers, groups: int
) -> Floats:
    """Weighted counts of each group, shape (groups, 3, 4).

    Args:
        label, verdict, weight: shape (n,), as in `Observations`.
        group: shape (n,), each in range(groups).
        groups: the number of groups.
    """
    cell = (group * _CLASSES + label) * (_CLASSES + 1) + verdict
    counts = np.bincount(cell, weights=weight, minlength=groups * _CLASSES * (_CLASSES + 1))
    return np.asarray(counts, dtype=np.float64).reshape(groups, _CLASSES, _CLASSES + 1)


def symmetric(counts: Floats) -> Floats:
    """Every comparison in both orders, half weight each: response_a and response_b change places in both axes."""
    other = counts[..., _SWAPPED, :][..., (*_SWAPPED, FAILED)]
    return np.asarray((counts + other) / 2.0)


def accuracy(counts: Floats) -> Floats:
    """Share of the comparisons whose verdict is the label, of three outcomes; a failed one is wrong."""
    return ratio(_right(counts), counts.sum(axis=(-2, -1)))


def accuracy_failed_right(counts: Floats) -> Floats:
    """Accuracy if every failed judgment had been right: the upper end of what failures leave open."""
    return ratio(_right(counts) + counts[..., FAILED].sum(axis=-1), counts.sum(axis=(-2, -1)))


def coverage(counts: Floats) -> Floats:
    """Share of the comparisons that were judged."""
    return ratio(counts[..., :FAILED].sum(axis=(-2, -1)), counts.sum(axis=(-2, -1)))


def decided_accuracy(counts: Floats) -> Floats:
    """Accuracy where the label is not same: right 1, the verdict same 1/2, wrong or failed 0. NaN if all are same."""
    decided = counts[..., :_SAME, :]
    right = counts[..., 0, 0] + counts[..., 1, 1] + decided[..., _SAME].sum(axis=-1) / 2.0
    return ratio(right, decided.sum(axis=(-2, -1)))


def tie_rate(counts: Floats) -> Floats:
    """Share of the verdict same among the judged. NaN if none was judged."""
    return ratio(counts[..., _SAME].sum(axis=-1), counts[..., :FAILED].sum(axis=(-2, -1)))


def precision(counts: Floats, code: int) -> Floats:
    """Of the verdicts that are one of the three outcomes, the share whose label is the same one.

    Args:
        code: the outcome: 0, 1 or 2.

    Returns:
        NaN where there is no such verdict.
    """
    return ratio(counts[..., code, code], counts[..., code].sum(axis=-1))


def recall(counts: Floats, code: int) -> Floats:
    """Of the labels that are one outcome, the share whose verdict is, too; a failed one is none. NaN without such."""
    return ratio(counts[..., code, code], counts[..., code, :].sum(axis=-1))


def f1(counts: Floats, code: int) -> Floats:
    """An outcome's F1: 2 tp / (labels + verdicts), a failed judgment being a verdict of no outcome.

    It is the harmonic mean of precision and recall where both are defined. NaN where no label and no verdict is of
    this outcome.
    """
    return ratio(2.0 * counts[..., code, code], _labels_and_verdicts(counts, code))


def macro_f1(counts: Floats) -> Floats:
    """Mean F1 over those of the three classes that occur among the labels or the verdicts.

    A failed judgment is a verdict of no class: it lowers the recall of its label only. This is scikit-learn's
    `f1_score(average="macro", zero_division=0)` with `labels` the occurring ones of the three classes.
    """
    classes = [f1(counts, code) for code in range(_CLASSES)]
    occurs = [~np.isnan(values) for values in classes]
    total = sum(np.where(there, values, 0.0) for there, values in zip(occurs, classes, strict=True))
    return ratio(np.asarray(total), np.asarray(sum(there.astype(np.float64) for there in occurs)))


def kappa(counts: Floats) -> Floats:
    """Cohen's kappa (Cohen 1960), with failed as a fourth category that people never use.

    NaN if labels and verdicts are all one and the same outcome: then there is no disagreement even by chance.
    """
    total = counts.sum(axis=(-2, -1))
    chance = (counts.sum(axis=-1) * counts[..., :FAILED].sum(axis=-2)).sum(axis=-1)
    return ratio(total * _right(counts) - chance, total * total - chance)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient; NaN where the denominator is 0, without a warning."""
    quotient = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def _labels_and_verdicts(counts: Floats, code: int) -> Floats:
    return np.asarray(counts[..., code, :].sum(axis=-1) + counts[..., code].sum(axis=-1))


def _right(counts: Floats) -> Floats:
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1))


COUNT_STATISTICS: dict[str, Callable[[Floats], Floats]] = {
    "coverage": coverage,
    "accuracy": accuracy,
    "accuracy_failed_right": accuracy_failed_right,
    "decided_accuracy": decided_accuracy,
    "macro_f1": macro_f1,
    "macro_f1_symmetric": lambda counts: macro_f1(symmetric(counts)),
    "kappa": kappa,
    "kappa_symmetric": lambda counts: kappa(symmetric(counts)),
    **{
        f"{name}_{label}": partial(statistic, code=code)
        for code, label in enumerate(LABELS)
        for name, statistic in (("precision", precision), ("recall", recall), ("f1", f1))
    },
    "tie_rate": tie_rate,
}
"""The statistics that tables show, by name. Those that stay when A and B change places need no symmetric form."""
