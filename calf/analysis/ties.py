"""Tie-calibrated accuracy: the accuracy of a score whose small differences count as the verdict same.

Scores are almost never equal, while people often say same. Tie calibration (Deutsch, Foster and Freitag 2023, "Ties
Matter: Meta-Evaluating Modern Metrics with Pairwise Accuracy and Tie Calibration") chooses a threshold on the score
difference: from it downwards the verdict is same. In their setting the pairs are made of all responses to one question;
here every comparison is a pair, and all possible thresholds are tried, not a sample.

A threshold that is chosen on the very comparisons it is judged by flatters, hence the cross-fitted form beside it, and
the level that both reach by chance.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.row import ONE_GROUP, Share
from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from calf.analysis.observations import Floats, Integers

__all__ = ["best_threshold", "chance_levels", "cross_fitted", "tie_shares", "verdicts_at"]

_SAME = LABELS.index("same")
_NO_COMPARISON = "no comparison"
_ONE_FOLD = "all judged comparisons are in one fold"
_NUMBERS_AT_ONCE = 1 << 15  # of a work array, so that it stays in a cache


def verdicts_at(difference: Floats, threshold: float | Floats) -> NDArray[np.int8]:
    """The verdicts that follow from a threshold: same (2) if |difference| <= threshold, else the higher score wins.

    Args:
        difference: score of response_a minus score of response_b, finite, shape (n,).
        threshold: not negative; one for all, or one a row, shape (n,).

    Returns:
        0, 1 or 2, shape (n,).
    """
    return np.where(np.abs(difference) <= threshold, _SAME, difference < 0).astype(np.int8)


def best_threshold(difference: Floats, label: NDArray[np.int8], weight: Floats) -> float:
    """The threshold with the highest weighted accuracy; the smallest of several.

    Between two neighbouring values of |difference| no verdict changes, so 0 and these values are all there is to try.
    One sort and one cumulative sum do.

    Args:
        difference: finite, shape (n,), n at least 1, of judged rows only: a failed one is wrong at any threshold.
        label: 0, 1 or 2, shape (n,).
        weight: whole numbers (`integer_weights`), shape (n,).

    Returns:
        0 or one of the |difference|.
    """
    levels, place = _levels(difference)
    gain = np.bincount(place, weights=_gains(difference, label, weight), minlength=levels.size)
    return float(levels[np.cumsum(gain).argmax()])


def cross_fitted(difference: Floats, label: NDArray[np.int8], weight: Floats, fold: Integers) -> Floats:
    """The threshold that each row gets from the rows of the other folds: `best_threshold` of these.

    Args:
        difference, label, weight: as in `best_threshold`, n may be 0.
        fold: any integers, shape (n,); rows of one group must be in one fold.

    Returns:
        Shape (n,). All NaN if there is one fold only, whose rows have no others to learn from.
    """
    codes, fold = np.unique(fold, return_inverse=True)
    threshold = np.full(label.size, np.nan)
    if codes.size < 2:
        return threshold
    levels, place = _levels(difference)
    gain = _gains(difference, label, weight)
    total = np.bincount(place, weights=gain, minlength=levels.size)
    # Differences that only the fold itself has change nothing for the others, so they are never the first maximum.
    for code in range(codes.size):
        own = fold == code
        others = total - np.bincount(place[own], weights=gain[own], minlength=levels.size)
        threshold[own] = levels[np.cumsum(others).argmax()]
    return threshold


def tie_shares(
    label: NDArray[np.int8], difference: Floats, judged: NDArray[np.bool_], weight: Floats, fold: Integers
) -> tuple[dict[str, Share], float | None]:
    """Tie-calibrated accuracy over all rows, of which the failed ones are wrong.

    `acc_eq` uses the one threshold that is best on these very rows. It stays the same in the resamples, so the interval
    is that of the accuracy at this threshold and leaves out what choosing it adds. `acc_eq_cv` gives each row the
    threshold of the other folds, which stays the same likewise. The gap between the two is what the choosing flatters.

    Args:
        label: 0, 1 or 2, shape (n,).
        difference: finite where judged, of scores of one scale, shape (n,).
        judged: which rows did not fail, shape (n,).
        weight: whole numbers, shape (n,).
        fold: any integers, shape (n,); rows of one group must be in one fold.

    Returns:
        The shares `acc_eq` and `acc_eq_cv`, and the threshold of `acc_eq`; None if no row was judged (then `acc_eq` is
        0, as no threshold makes a failed row right). `acc_eq_cv` is undefined if the rows, or those that were judged,
        are of one fold.
    """
    seen = difference[judged], label[judged], weight[judged]
    threshold = best_threshold(*seen) if judged.any() else None
    shares = {"acc_eq": Share(_right(label, difference, judged, weight, threshold or 0.0), weight, _NO_COMPARISON)}

    of_row = np.zeros(label.size)
    of_row[judged] = cross_fitted(*seen, fold[judged])
    if np.isnan(of_row).any() or np.unique(fold).size < 2:
        none = np.zeros(label.size)
        reason = ONE_GROUP if np.unique(fold).size < 2 else _ONE_FOLD
        shares["acc_eq_cv"] = Share(none, none, reason if label.size else _NO_COMPARISON)
    else:
        shares["acc_eq_cv"] = Share(_right(label, difference, judged, weight, of_row), weight, _NO_COMPARISON)
    return shares, threshold


def chance_levels(
    difference: Floats, label: NDArray[np.int8], weight: Floats, fold: Integers | None, seed: int, shuffles: int = 200
) -> tuple[float, float]:
    """What `acc_eq` and `acc_eq_cv` would be if the differences had nothing to do with the labels.

    The labels are shuffled among the rows, and the thresholds chosen anew, in-sample and from the other folds; the mean
    accuracy over the shuffles. Differences, weights and folds stay together. So a label moves by rows: it may come to
    one of a comparison's K rows of weight 1/K and not to its others, and the weighted share of a label varies about its
    share of the rows. Labels also move across groups and folds.

    The shuffles come from (seed, n) alone, and the rows are put into an order of their own first: the order in which
    they are given changes nothing.

    Args:
        difference, label, weight: as in `best_threshold`, judged rows only, n may be 0. The levels are accuracies among
            the judged; times the coverage they compare with `tie_shares`.
        fold: any integers, shape (n,); None for the in-sample level alone.
        seed: not negative.
        shuffles: how many, at least 1.

    Returns:
        The in-sample and the cross-fitted level. NaN: both if n is 0, the second if there are fewer than 2 folds.
    """
    if label.size == 0:
        return np.nan, np.nan
    folds = np.zeros(label.size, dtype=np.int64) if fold is None else np.unique(fold, return_inverse=True)[1]
    levels, place = _levels(difference)
    verdict = verdicts_at(difference, 0.0)
    order = np.lexsort((weight, verdict, place, folds))
    folds, place, verdict, weight = folds[order], place[order], verdict[order], weight[order]
    # Rows of one fold with one |difference| change sides at the same threshold: they make one cell.
    starts = np.flatnonzero(np.diff(folds, prepend=-1) | np.diff(place, prepend=-1))
    level, bounds = place[starts], np.searchsorted(folds[starts], np.arange(folds[-1] + 2))
    cells_of = [slice(begin, end) for begin, end in pairwise(bounds)]
    whole = weight.astype(np.int64)  # sums of integers are several times as fast as those of floats

    in_sample = held_out = 0
    for shuffled in _shuffled(label, seed, shuffles, max(1, _NUMBERS_AT_ONCE // label.size)):
        right = shuffled == verdict
        at_zero = int((right @ weight).sum())
        gain = ((shuffled == _SAME).view(np.int8) - right.view(np.int8)) * whole
        if starts.size < label.size:
            gain = np.add.reduceat(gain, starts, axis=1)
        total = np.zeros((len(gain), levels.size), dtype=np.int64)
        for cells in cells_of:
            total[:, level[cells]] += gain[:, cells]
        in_sample += at_zero + int(np.cumsum(total, axis=1).max(axis=1).sum())
        if len(cells_of) > 1:
            held_out += at_zero + sum(_held_out(total, gain[:, cells], level[cells]) for cells in cells_of)
    everything = shuffles * int(whole.sum())
    return in_sample / everything, held_out / everything if len(cells_of) > 1 else np.nan


def _held_out(total: Integers, own: Integers, level: Integers) -> int:
    """What a fold gains over threshold 0, summed over the shuffles, at the thresholds that are best for the others.

    Args:
        total: what all rows gain as the threshold reaches each level, shape (shuffles, levels).
        own: what the fold's do, shape (shuffles, cells).
        level: of these cells, rising, shape (cells,).
    """
    others = total.copy()
    others[:, level] -= own
    best = np.cumsum(others, axis=1).argmax(axis=1)
    reached = np.searchsorted(level, best, side="right")
    running = np.cumsum(own, axis=1)
    return int(np.where(reached > 0, running[np.arange(len(own)), reached - 1], 0).sum())


def _shuffled(label: NDArray[np.int8], seed: int, shuffles: int, at_once: int) -> Iterator[NDArray[np.int8]]:
    """The sorted labels shuffled, in blocks (some shuffles, n); the size of the blocks changes no shuffle."""
    chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(label.size,))))
    ordered = np.sort(label)
    for start in range(0, shuffles, at_once):
        yield chance.permuted(np.tile(ordered, (min(at_once, shuffles - start), 1)), axis=1)


def _levels(difference: Floats) -> tuple[Floats, Integers]:
    """The thresholds to try, rising from 0, and the first of them at which each row's verdict is same."""
    levels, place = np.unique(np.append(np.abs(difference), 0.0), return_inverse=True)
    return levels, place[:-1]


def _gains(difference: Floats, label: NDArray[np.int8], weight: Floats) -> Floats:
    """By how much each row counts more as the verdict same than by threshold 0: its weight times 1, 0 or -1."""
    right = label == verdicts_at(difference, 0.0)
    return np.asarray(weight * ((label == _SAME).astype(np.float64) - right))


def _right(
    label: NDArray[np.int8], difference: Floats, judged: NDArray[np.bool_], weight: Floats, threshold: float | Floats
) -> Floats:
    """The weight of each row that is judged and right at the threshold, else 0."""
    return np.where(judged & (verdicts_at(difference, threshold) == label), weight, 0.0)
