"""What a metric's score adds to the length of the responses: logistic regression, judged out of fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calf.analysis.row import ONE_GROUP, Share
from calf.types import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calf.analysis.observations import Codes, Floats, Integers

__all__ = ["fit", "length_gain"]

_A, _B = LABELS.index("response_a"), LABELS.index("response_b")
_NOT_DECIDED = "no comparison with a preferred response was judged"

_CLOSE = 1e-12
_MOST_STEPS = 100
_ROUNDING = 1e-13  # of a sum of thousands of losses, relative
_GRID = 2.0**32


def fit(features: Floats, target: NDArray[np.int8], weight: Floats) -> Floats:
    """Logistic regression without an intercept, with an L2 penalty of C = 1.

    The coefficients b minimise sum_i weight_i log(1 + exp(-s_i features_i . b)) + b . b / 2, where s_i is +1 for the
    target 1 and -1 for 0: scikit-learn's `LogisticRegression(C=1.0, fit_intercept=False)`. The penalty gives separable
    data, and a feature that is constantly 0, a solution, always one. Found by Newton's method (Hastie, Tibshirani and
    Friedman 2009, section 4.4.1), whose step is halved while it raises the sum, until a step changes no coefficient
    by more than 1e-12 (of it, where it is above 1).

    Args:
        features: of about unit size, as `length_gain` makes them, shape (n, k); n may be 0 (all coefficients are 0).
        target: 0 or 1, shape (n,).
        weight: not negative, shape (n,); its unit matters, as it is weighed against the penalty.

    Returns:
        Shape (k,).

    Raises:
        ValueError: a feature is not finite.
    """
    if not np.isfinite(features).all():
        raise ValueError("features must be finite")
    towards = np.ascontiguousarray(np.where(target == 1, features.T, -features.T))
    coefficients = np.zeros(towards.shape[0])
    margin = np.zeros(towards.shape[1])
    value = _penalised(margin, weight, coefficients)
    for _ in range(_MOST_STEPS):
        small = np.exp(-np.abs(margin))
        odd = 1.0 / (1.0 + small)
        wrong = np.where(margin > 0, small * odd, odd)  # the probability of the other target
        # einsum and not BLAS: the sums of one row order are then the same with any number of threads.
        gradient = coefficients - np.einsum("kn,n->k", towards, weight * wrong)
        curved = towards * (weight * small * odd * odd)
        hessian = np.eye(coefficients.size) + np.einsum("kn,jn->kj", curved, towards)
        step = np.linalg.solve(hessian, gradient)
        while True:
            proposed = coefficients - step
            margin = np.einsum("k,kn->n", proposed, towards)
            lower = _penalised(margin, weight, proposed)
            close = bool(np.all(np.abs(step) <= _CLOSE * np.maximum(1.0, np.abs(proposed))))
            if close or lower <= value + _ROUNDING * value:
                break
            step /= 2.0
        coefficients, value = proposed, lower
        if close:
            break
    return coefficients


def length_gain(
    label: Codes,
    difference: Floats,
    judged: NDArray[np.bool_],
    weight: Floats,
    length_a: Integers,
    length_b: Integers,
    fold: Integers,
    *,
    unit: int,
) -> Share:
    """How much better length and metric together foretell the people's preference than length alone.

    Two logistic regressions (`fit`) foretell whether the label is response_a, of the judged rows whose label is not
    same: one from log((1 + length_a) / (1 + length_b)), one from this and the metric's score difference. Each row is
    foretold by the model of the other folds' rows. The share is the mean over rows of the first's loss, -ln of the
    probability that it gave to the label, minus the second's: above 0, the metric says something that length does not.

    Each feature is divided by its root mean square in the rows that the model is fitted to (one that is 0 there stays
    0), and where it is larger than any of these it counts as the largest, so that no outlier alone decides the mean.
    There is no intercept and both features change sign with the sides: no row's sides matter, nor do the order of the
    rows, the unit of the weights, and the metric's scale. Intervals are conditional on the fitted models.

    Args:
        label, length_a, length_b, fold: shape (n,), as in `Observations`.
        difference: finite where judged, shape (n,).
        judged: which rows did not fail, shape (n,).
        weight: whole numbers (`integer_weights`), shape (n,).
        unit: the whole number that stands for a weight of 1; the penalty counts as one row of it.

    Returns:
        The rows' gains are multiples of 2^-32. Undefined if no row takes part, or if these are all in one fold.
    """
    numerator, denominator = np.zeros(label.size), np.zeros(label.size)
    rows = np.flatnonzero(judged & ((label == _A) | (label == _B)))
    folds = np.unique(fold[rows])
    if folds.size < 2:
        return Share(numerator, denominator, ONE_GROUP if folds.size else _NOT_DECIDED)

    # Every row is turned so that the preferred response comes first, and rows are brought into an order of their own:
    # then the sums below are the same to the last digit however the table was sorted and its sides were placed.
    sign = np.where(label[rows] == _A, 1.0, -1.0)
    length = sign * (np.log(1.0 + length_a[rows]) - np.log(1.0 + length_b[rows]))
    score = sign * difference[rows]
    order = np.lexsort((weight[rows], score, length))
    rows, features = rows[order], np.stack((length[order], score[order]))
    row_weight, row_fold = weight[rows], fold[rows]
    gain = np.zeros(rows.size)
    for code in folds:
        held = row_fold == code
        trained = row_weight[~held] / unit
        scaled = np.stack([_scaled(feature, ~held, trained) for feature in features], axis=1)
        gain[held] = _held_out_loss(scaled[:, :1], held, trained) - _held_out_loss(scaled, held, trained)
    numerator[rows] = row_weight * (np.rint(gain * _GRID) / _GRID)
    denominator[rows] = row_weight
    return Share(numerator, denominator, "")


def _held_out_loss(features: Floats, held: NDArray[np.bool_], weight: Floats) -> Floats:
    """The loss of each held-out row, all of target 1, by the model of the others, which have the weights."""
    trained = features[~held]
    coefficients = fit(trained, np.ones(trained.shape[0], dtype=np.int8), weight)
    return _loss(np.einsum("nk,k->n", features[held], coefficients))


def _scaled(feature: Floats, trained: NDArray[np.bool_], weight: Floats) -> Floats:
    """The feature over its root mean square in the trained rows, none larger than their largest."""
    largest = np.abs(feature[trained]).max()
    if largest == 0:
        return np.zeros(feature.size)
    # A power of two brings any size near 1 without rounding, so that squares neither overflow nor vanish.
    near = np.ldexp(np.clip(feature, -largest, largest), -int(np.frexp(largest)[1]))
    return np.asarray(near / np.sqrt(np.average(near[trained] ** 2, weights=weight)))


def _penalised(margin: Floats, weight: Floats, coefficients: Floats) -> float:
    return float(np.sum(weight * _loss(margin)) + np.sum(coefficients * coefficients) / 2.0)


def _loss(margin: Floats) -> Floats:
    """log(1 + exp(-margin)), without overflow."""
    return np.asarray(np.maximum(-margin, 0.0) + np.log1p(np.exp(-np.abs(margin))))
