from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special
from simulated import examples, observations
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from calf.analysis import logistic
from calf.analysis.logistic import fit, length_gain
from calf.analysis.observations import integer_weights

SWAPPED = np.array([1, 0, 2], dtype=np.int8)


def penalised(coefficients, features, target, weight):
    """The sum that `fit` makes smallest, and its gradient."""
    sign = np.where(target == 1, 1.0, -1.0)
    margin = sign * (features @ coefficients)
    value = np.sum(weight * -special.log_expit(margin)) + coefficients @ coefficients / 2
    return value, coefficients - features.T @ (weight * sign * special.expit(-margin))


def scikit_learn(features, target, weight):
    if len({*target}) < 2:
        # It refuses a single class; each row beside its mirror image, half a weight each, is the same problem.
        features, weight = np.concatenate((features, -features)), np.concatenate((weight, weight)) / 2
        target = np.concatenate((target, 1 - target))
    model = LogisticRegression(fit_intercept=False, C=1.0, tol=1e-12, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rounding ends its line search before 1e-12
        return model.fit(features, target, sample_weight=weight).coef_[0]


@st.composite
def problems(draw, least: int = 1):
    n, k = draw(st.integers(least, 40)), draw(st.integers(1, 3))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    features = chance.normal(size=(n, k))
    target = (features[:, 0] + draw(st.sampled_from([0.0, 0.5, 3.0])) * chance.normal(size=n) > 0).astype(np.int8)
    match draw(st.sampled_from(["normal", "coarse", "zero", "copied", "one class", "outlier"])):
        case "coarse":
            features = np.round(features)
        case "zero":
            features[:, -1] = 0.0
        case "copied":
            features[:, -1] = features[:, 0]
        case "one class":
            target[:] = draw(st.integers(0, 1))
        case "outlier":
            features[0] *= 80.0
    weight = 1.0 / chance.integers(1, 4, n) if draw(st.booleans()) else np.ones(n)
    return features, target, weight


@examples(40)
@given(problems())
def test_fit_equals_scikit_learn_and_its_gradient_is_zero(problem):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = fit(*problem)
    np.testing.assert_allclose(found, scikit_learn(*problem), rtol=0, atol=1e-6)
    assert np.abs(penalised(found, *problem)[1]).max() < 1e-9


@examples(25)
@given(problems())
def test_fit_is_not_above_what_scipy_finds(problem):
    start = np.zeros(problem[0].shape[1])
    other = optimize.minimize(penalised, start, args=problem, jac=True, method="BFGS", options={"gtol": 1e-10})
    np.testing.assert_allclose(fit(*problem), other.x, rtol=0, atol=1e-6)
    assert penalised(fit(*problem), *problem)[0] <= other.fun * (1 + 1e-12)


@examples(60)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 3.0), st.floats(0.0, 80.0))
def test_fit_converges_with_heavy_tails_and_outliers_on_the_wrong_side(seed, shape, outlier):
    chance = np.random.default_rng(seed)
    features = np.clip(chance.standard_t(shape, size=(300, 2)), -80, 80)
    target = (features[:, 0] > 0).astype(np.int8)
    features[:3, 0] = np.where(target[:3] == 1, -outlier, outlier)
    found = fit(features, target, np.ones(300))
    assert np.abs(penalised(found, features, target, np.ones(300))[1]).max() < 1e-9


def test_fit_converges_where_full_steps_of_newton_do_not():
    features = np.array([[-36.7, 63.9], [14.1, -2.2], [-0.6, 3.8]])
    target, weight = np.ones(3, dtype=np.int8), np.array([653.0, 3.2, 30.0])
    full = np.zeros(2)
    for _ in range(100):
        wrong = special.expit(-features @ full)
        curvature = np.eye(2) + (features.T * weight * wrong * (1 - wrong)) @ features
        full -= np.linalg.solve(curvature, penalised(full, features, target, weight)[1])
    assert np.abs(penalised(full, features, target, weight)[1]).max() > 1.0
    assert np.abs(penalised(fit(features, target, weight), features, target, weight)[1]).max() < 1e-9


def test_fit_of_nothing_and_of_what_is_not_finite():
    np.testing.assert_array_equal(fit(np.zeros((0, 2)), np.zeros(0, dtype=np.int8), np.zeros(0)), [0.0, 0.0])
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            fit(np.array([[value]]), np.ones(1, dtype=np.int8), np.ones(1))


def scaled(feature, trained, weight):
    """By the definition: over the root mean square of the trained rows, none beyond their largest."""
    largest = np.abs(feature[trained]).max()
    if largest == 0:
        return np.zeros(feature.size)
    capped = np.sign(feature) * np.minimum(np.abs(feature), largest)
    return capped / math.sqrt(np.average(capped[trained] ** 2, weights=weight[trained]))


def brute_force(label, difference, judged, weight, length_a, length_b, fold):
    """The rows' gains, and which rows take part; weights 1/K. With scikit-learn, the sides as they are stored."""
    takes_part = judged & (label != 2)
    gain = np.zeros(label.size)
    features = np.stack([np.log((1 + length_a) / (1 + length_b)), difference], axis=1)
    target = (label == 0).astype(np.int8)
    for code in {*fold[takes_part]}:
        trained, held = takes_part & (fold != code), takes_part & (fold == code)
        if not trained.any():
            return gain, np.zeros(label.size, dtype=bool)
        both = np.stack([scaled(feature, trained, weight) for feature in features.T], axis=1)
        for x, sign in ((both[:, :1], 1), (both, -1)):
            margin = x[held] @ scikit_learn(x[trained], target[trained], weight[trained])
            gain[held] += sign * -special.log_expit(np.where(target[held] == 1, margin, -margin))
    return gain, takes_part


@st.composite
def cases(draw, least: int = 0):
    """What `length_gain` takes: the columns of observations, lengths that are often equal, and few folds or one."""
    seen = draw(observations(least=least))
    n, folds = len(seen), draw(st.integers(1, 4))
    # Repeats of a comparison are in one group here, so they share the fold.
    columns = [np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=np.int64) for _ in range(2)]
    return [seen.label, seen.difference, seen.judged, seen.weight, *columns, seen.group % folds]


def gain_of(case):
    label, difference, judged, weight, length_a, length_b, fold = case
    weights, unit = integer_weights(weight)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        return length_gain(label, difference, judged, weights, length_a, length_b, fold, unit=unit)


@examples(30)
@given(cases())
def test_length_gain_equals_scikit_learn_fold_by_fold(case):
    share = gain_of(case)
    gain, takes_part = brute_force(*case)
    weight, _ = integer_weights(case[3])
    np.testing.assert_array_equal(share.denominator, np.where(takes_part, weight, 0.0))
    np.testing.assert_allclose(share.numerator, np.where(takes_part, weight * gain, 0.0), rtol=0, atol=1e-5)
    assert takes_part.any() or share.reason
    per_row = share.numerator[takes_part] / weight[takes_part] * 2.0**32
    np.testing.assert_array_equal(per_row, np.rint(per_row))


@examples(40)
@given(cases(), st.integers(0, 2**32 - 1))
def test_neither_sides_nor_row_order_nor_scale_nor_unit_change_a_digit(case, seed):
    share = gain_of(case)
    chance = np.random.default_rng(seed)
    label, difference, judged, weight, length_a, length_b, fold = case
    swap, order = chance.random(label.size) < 0.5, chance.permutation(label.size)
    other = [
        np.where(swap, SWAPPED[label], label),
        np.where(swap, -difference, difference) * 2.0**300,
        judged,
        weight,
        np.where(swap, length_b, length_a),
        np.where(swap, length_a, length_b),
        fold,
    ]
    again = gain_of([column[order] for column in other])
    np.testing.assert_array_equal(again.numerator, share.numerator[order])
    np.testing.assert_array_equal(again.denominator, share.denominator[order])
    weights, unit = integer_weights(weight)
    larger = length_gain(label, difference, judged, 4 * weights, length_a, length_b, fold, unit=4 * unit)
    np.testing.assert_array_equal(larger.numerator, 4 * share.numerator)


def many(n: int = 2000, seed: int = 0):
    chance = np.random.default_rng(seed)
    label = chance.choice(3, n, p=[0.45, 0.4, 0.15]).astype(np.int8)
    side = np.array([1.0, -1.0, 0.0])[label]
    length_a = chance.integers(50, 150, n)
    length_b = np.maximum(0, length_a - (20 * side).astype(int) + chance.integers(-60, 60, n))
    rest = [np.ones(n, dtype=bool), np.ones(n), length_a, length_b, np.arange(n) // 7 % 10]
    return label, side, chance, rest


def mean(share) -> float:
    return float(share.numerator.sum() / share.denominator.sum())


def test_many_rows_are_the_same_in_any_order_to_the_last_digit(monkeypatch):
    # Rounding hides what another order of a sum changes in all but a few rows; without it nothing may differ either.
    monkeypatch.setattr(logistic, "_GRID", 2.0**60)
    label, side, chance, rest = many()
    case = [label, 0.3 * side + chance.normal(size=label.size), *rest]
    order = chance.permutation(label.size)
    np.testing.assert_array_equal(gain_of([c[order] for c in case]).numerator, gain_of(case).numerator[order])


def test_a_metric_gains_by_what_length_does_not_say():
    label, side, chance, rest = many()
    assert mean(gain_of([label, side + chance.normal(size=label.size), *rest])) > 0.2
    assert abs(mean(gain_of([label, chance.normal(size=label.size), *rest]))) < 0.005
    log_ratio = np.log((1 + rest[2]) / (1 + rest[3]))
    assert abs(mean(gain_of([label, log_ratio, *rest]))) < 0.001
    # A constant says nothing of the sides if it is 0: the gain is nothing, to the last digit.
    assert not gain_of([label, np.zeros(label.size), *rest]).numerator.any()


def test_length_alone_is_chance_where_all_are_equally_long():
    # Two rows to fit, all turned to the preferred response: b = 2 / (1 + exp(b)).
    label = np.array([0, 1, 0, 1], dtype=np.int8)
    equal, fold = np.full(4, 30), np.array([5, 5, -3, -3])
    b = optimize.brentq(lambda x: x - 2 * special.expit(-x), 0, 5, xtol=1e-14)
    share = gain_of([label, np.array([7.0, -7.0, 7.0, -7.0]), np.ones(4, dtype=bool), np.ones(4), equal, equal, fold])
    assert mean(share) == pytest.approx(math.log(2) - math.log1p(math.exp(-b)), abs=1e-9)


@pytest.mark.parametrize("size", [1e100, 1e300, 1e-100, 1e-300])
def test_a_metric_of_any_scale(size):
    label, side, chance, rest = many()
    difference = side + chance.normal(size=label.size)
    assert mean(gain_of([label, size * difference, *rest])) == pytest.approx(
        mean(gain_of([label, difference, *rest])), abs=1e-9
    )


@pytest.mark.parametrize("outlier", [1e9, 1e100, 1.7e308, -1e100])
def test_an_outlier_is_finite_and_counts_as_the_largest_of_the_others(outlier):
    label, side, chance, rest = many()
    difference = side + chance.normal(size=label.size)
    difference[np.flatnonzero(label == 1)[0]] = outlier
    share = gain_of([label, difference, *rest])
    assert np.isfinite(share.numerator).all()
    # Its own fold's model knows only common values; in the others it drowns the metric.
    assert abs(mean(share)) < 0.1


@pytest.mark.parametrize(
    ("label", "judged", "fold", "reason"),
    [
        ([], [], [], "no comparison with a preferred response was judged"),
        ([2, 2], [True, True], [0, 1], "no comparison with a preferred response was judged"),
        ([0, 1], [False, False], [0, 1], "no comparison with a preferred response was judged"),
        ([0], [True], [0], "fewer than 2 groups"),
        ([0, 1, 2], [True, True, True], [4, 4, 5], "fewer than 2 groups"),
        ([0, 1], [True, False], [4, 5], "fewer than 2 groups"),
    ],
)
def test_undefined(label, judged, fold, reason):
    n = len(label)
    lengths = np.arange(n)
    columns = np.array(label, np.int8), np.ones(n), np.array(judged, bool), np.ones(n)
    share = gain_of([*columns, lengths, lengths, np.array(fold, np.int64)])
    assert share.reason == reason
    assert not share.numerator.any()
    assert not share.denominator.any()


def test_the_largest_dataset_takes_no_time():
    label, side, chance, rest = many(7323)
    case = [label, side + chance.normal(size=label.size), *rest]
    gain_of(case)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        gain_of(case)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5  # 20 ms on one idle core
