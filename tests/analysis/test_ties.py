from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples

from calf.analysis.row import ONE_GROUP
from calf.analysis.ties import best_threshold, chance_levels, cross_fitted, tie_shares, verdicts_at

SWAPPED = np.array([1, 0, 2], dtype=np.int8)


def verdict_of(difference: float, threshold: float) -> int:
    """The definition, for one row."""
    if abs(difference) <= threshold:
        return 2
    return 0 if difference > 0 else 1


def right_at(rows, threshold: float) -> float:
    return sum(weight for difference, label, weight in rows if verdict_of(difference, threshold) == label)


def brute_threshold(rows) -> float:
    """Every candidate, one by one, from the smallest; a later one must be better."""
    candidates = sorted({0.0, *(abs(row[0]) for row in rows)})
    best = candidates[0]
    for threshold in candidates[1:]:
        if right_at(rows, threshold) > right_at(rows, best):
            best = threshold
    return best


def brute_cross_fitted(rows, fold) -> list[float]:
    return [
        brute_threshold([row for row, of in zip(rows, fold, strict=True) if of != own])
        if any(of != own for of in fold)
        else math.nan
        for own in fold
    ]


def brute_chance(difference, label, weight, fold, seed, shuffles) -> tuple[float, float]:
    """A plain loop over the same shuffles: of sorted labels, over rows by fold, |difference|, verdict and weight."""
    place = {code: position for position, code in enumerate(sorted({*fold}))}
    rows = sorted(
        zip(fold, difference, weight, strict=True),
        key=lambda row: (place[row[0]], abs(row[1]), verdict_of(row[1], 0.0), row[2]),
    )
    chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(len(rows),))))
    in_sample, held_out = [], []
    for _ in range(shuffles):
        shuffled = chance.permuted(np.sort(label)).tolist()
        seen = [(d, new, w) for (_, d, w), new in zip(rows, shuffled, strict=True)]
        in_sample.append(right_at(seen, brute_threshold(seen)) / sum(weight))
        if len(place) > 1:
            of_row = brute_cross_fitted(seen, [row[0] for row in rows])
            right = sum(row[2] for row, t in zip(seen, of_row, strict=True) if verdict_of(row[0], t) == row[1])
            held_out.append(right / sum(weight))
    return np.mean(in_sample), np.mean(held_out) if held_out else math.nan


@st.composite
def data(draw, least: int = 0, most: int = 16):
    """(difference, label, weight, fold, judged) with ties, constants, missing classes, weights, one fold or more."""
    n = draw(st.integers(least, most))
    values = draw(
        st.sampled_from(
            [
                st.sampled_from([1.0, -1.0, 0.0]),
                st.just(-0.25),
                st.integers(-3, 3).map(lambda x: x / 2),
                st.floats(-4, 4),
                st.floats(allow_nan=False, allow_infinity=False),
                st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.7e308, -1.7e308]),
            ]
        )
    )
    labels = st.sampled_from(draw(st.sampled_from([(0, 1, 2), (0, 1), (0,), (2,), (1, 2)])))
    folds = st.integers(0, draw(st.integers(0, 4))).map(lambda code: 5 * code - 7)

    def many(each, kind):
        return np.array(draw(st.lists(each, min_size=n, max_size=n)), dtype=kind)

    return (
        many(values, np.float64),
        many(labels, np.int8),
        many(st.sampled_from([1, 2, 3, 6]), np.float64),
        many(folds, np.int64),
        many(st.booleans() if draw(st.booleans()) else st.just(True), np.bool_),
    )


def plain(*arrays):
    return list(zip(*(array.tolist() for array in arrays), strict=True))


def value(share) -> float:
    total = share.denominator.sum()
    return share.numerator.sum() / total if total else math.nan


def test_verdicts_at_the_edges_of_the_threshold():
    difference = np.array([0.5, 0.5 + 2**-53, -0.5, -0.75, 0.0, -0.0, 5e-324])
    assert verdicts_at(difference, 0.5).tolist() == [2, 0, 2, 1, 2, 2, 2]
    assert verdicts_at(difference, 0.0).tolist() == [0, 0, 1, 1, 2, 2, 0]
    assert verdicts_at(difference, np.array([0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0])).tolist() == [0, 2, 1, 2, 2, 2, 0]
    assert verdicts_at(difference, 0.5).dtype == np.int8
    assert verdicts_at(np.zeros(0), 0.5).shape == (0,)


@examples(70)
@given(data(least=1))
def test_the_best_threshold_is_that_of_brute_force(drawn):
    difference, label, weight, _, _ = drawn
    assert best_threshold(difference, label, weight) == brute_threshold(plain(difference, label, weight))


@examples(60)
@given(data())
def test_cross_fitted_thresholds_are_those_of_brute_force(drawn):
    difference, label, weight, fold, _ = drawn
    expected = brute_cross_fitted(plain(difference, label, weight), fold.tolist())
    np.testing.assert_array_equal(cross_fitted(difference, label, weight, fold), expected)


def test_the_smallest_of_several_best_thresholds():
    """First: at 1 and at 3 three of four are right, at 0, 2 and 4 two."""
    difference, label = np.array([1.0, 2.0, -3.0, 4.0]), np.array([2, 0, 2, 0], dtype=np.int8)
    weight = np.ones(4)
    assert best_threshold(difference, label, weight) == 1.0
    assert best_threshold(difference, np.array([0, 2, 2, 0], dtype=np.int8), weight) == 3.0
    assert best_threshold(difference, np.array([0, 2, 1, 0], dtype=np.int8), weight) == 0.0
    assert best_threshold(difference, np.full(4, 2, dtype=np.int8), weight) == 4.0
    # Rows of one |difference| change sides together: what lies inside of a tie is no candidate.
    tied = np.array([1.0, -1.0, 1.0])
    assert best_threshold(tied, np.array([2, 1, 0], dtype=np.int8), np.ones(3)) == 0.0


@examples(60)
@given(data())
def test_shares_equal_brute_force(drawn):
    difference, label, weight, fold, judged = drawn
    difference[~judged] = np.nan  # what a failed row holds must not matter
    shares, threshold = tie_shares(label, difference, judged, weight, fold)
    assert list(shares) == ["acc_eq", "acc_eq_cv"]
    seen = plain(difference[judged], label[judged], weight[judged])
    total = weight.sum()
    if not label.size:
        assert threshold is None
        assert all(math.isnan(value(share)) and share.reason == "no comparison" for share in shares.values())
        return
    best = max((right_at(seen, t) for t in {0.0, *(abs(row[0]) for row in seen)}), default=0.0)
    assert value(shares["acc_eq"]) == best / total
    assert threshold == (brute_threshold(seen) if seen else None)
    of_row = brute_cross_fitted(seen, fold[judged].tolist())
    if np.unique(fold).size < 2:
        assert math.isnan(value(shares["acc_eq_cv"]))
        assert shares["acc_eq_cv"].reason == ONE_GROUP
    elif any(math.isnan(t) for t in of_row):
        assert math.isnan(value(shares["acc_eq_cv"]))
        assert shares["acc_eq_cv"].reason == "all judged comparisons are in one fold"
    else:
        right = sum(row[2] for row, t in zip(seen, of_row, strict=True) if verdict_of(row[0], t) == row[1])
        assert value(shares["acc_eq_cv"]) == right / total
    for share in shares.values():
        assert share.numerator.shape == share.denominator.shape == label.shape
        assert not share.numerator[~judged].any()


@examples(60)
@given(data(least=1))
def test_neither_sides_nor_scale_nor_repeated_rows_matter(drawn):
    difference, label, weight, fold, _ = drawn
    difference = np.round(np.clip(difference, -8, 8), 3)
    threshold = best_threshold(difference, label, weight)
    folded = cross_fitted(difference, label, weight, fold)
    turned = np.arange(label.size) % 2 == 0
    sides = np.where(turned, -difference, difference), np.where(turned, SWAPPED[label], label)
    assert best_threshold(*sides, weight) == threshold
    np.testing.assert_array_equal(cross_fitted(*sides, weight, fold), folded)
    assert best_threshold(difference * 1024, label, weight * 7) == threshold * 1024
    times = weight.astype(int)
    repeated = np.repeat(difference, times), np.repeat(label, times), np.ones(times.sum())
    assert best_threshold(*repeated) == threshold
    np.testing.assert_array_equal(cross_fitted(*repeated, np.repeat(fold, times)), np.repeat(folded, times))


@examples(40)
@given(data(least=1, most=10), st.integers(0, 5))
def test_chance_levels_equal_a_plain_loop(drawn, seed):
    difference, label, weight, fold, _ = drawn
    found = chance_levels(difference, label, weight, fold, seed, shuffles=7)
    expected = brute_chance(difference.tolist(), label, weight.tolist(), fold.tolist(), seed, 7)
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)
    alone = chance_levels(difference, label, weight, None, seed, shuffles=7)
    assert math.isnan(alone[1])
    if np.unique(fold).size == 1:
        assert alone[0] == found[0]


def test_chance_levels_over_many_blocks_equal_a_plain_loop():
    """So many rows that the shuffles go by blocks, the last of them smaller; with ties and without."""
    chance = np.random.default_rng(8)
    n = 9000
    label = chance.choice(3, n, p=[0.4, 0.3, 0.3]).astype(np.int8)
    weight = chance.integers(1, 4, n).astype(float)
    fold = chance.integers(0, 3, n)
    for difference in (chance.normal(size=n), np.round(chance.normal(size=n), 1)):
        found = chance_levels(difference, label, weight, fold, 1, shuffles=5)
        order = np.lexsort((weight, verdicts_at(difference, 0.0), np.abs(difference), fold))
        d, w, f = difference[order], weight[order], fold[order]
        stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(1, spawn_key=(n,))))
        in_sample, held_out = [], []
        for _ in range(5):
            new = stream.permuted(np.sort(label))
            in_sample.append(w[verdicts_at(d, best_threshold(d, new, w)) == new].sum() / w.sum())
            held_out.append(w[verdicts_at(d, cross_fitted(d, new, w, f)) == new].sum() / w.sum())
        assert found == pytest.approx((np.mean(in_sample), np.mean(held_out)), abs=1e-9)


def test_the_order_of_the_rows_does_not_move_the_chance_levels():
    chance = np.random.default_rng(2)
    n = 300
    arrays = (
        np.round(chance.normal(size=n), 1),
        chance.integers(0, 3, n).astype(np.int8),
        chance.integers(1, 3, n).astype(float),
        chance.integers(0, 4, n),
    )
    first = chance_levels(*arrays, 0)
    order = chance.permutation(n)
    assert chance_levels(*(array[order] for array in arrays), 0) == first
    assert chance_levels(*arrays, 1) != first


def test_chance_levels_are_what_a_metric_without_knowledge_reaches():
    """On independent data acc_eq is at its chance level, and the cross-fitted one at that of the commonest outcome."""
    chance = np.random.default_rng(5)
    n = 4000
    found = []
    for _ in range(30):
        label = chance.choice(3, n, p=[0.25, 0.25, 0.5]).astype(np.int8)
        difference, fold = chance.normal(size=n), chance.integers(0, 10, n)
        shares, _ = tie_shares(label, difference, np.ones(n, dtype=bool), np.ones(n), fold)
        level = chance_levels(difference, label, np.ones(n), fold, 0, shuffles=40)
        found.append([value(shares["acc_eq"]) - level[0], value(shares["acc_eq_cv"]) - level[1], *level])
    gap, gap_cv, level, level_cv = np.mean(found, axis=0)
    # Means of 30 accuracies whose standard deviation is below sqrt(0.25 / 4000) = 0.008.
    assert gap == pytest.approx(0.0, abs=0.004)
    assert gap_cv == pytest.approx(0.0, abs=0.004)
    assert level == pytest.approx(0.5, abs=0.01)
    assert level_cv < level


def test_choosing_in_sample_flatters_on_few_rows():
    chance = np.random.default_rng(6)
    difference, label = chance.normal(size=30), chance.integers(0, 3, 30).astype(np.int8)
    in_sample, held_out = chance_levels(difference, label, np.ones(30), np.arange(30) % 10, 0)
    assert in_sample > 1 / 3 + 0.05
    assert held_out < in_sample - 0.05


def test_chance_levels_without_rows_or_folds():
    empty = np.zeros(0), np.zeros(0, dtype=np.int8), np.zeros(0)
    assert all(math.isnan(v) for v in chance_levels(*empty, np.zeros(0, dtype=np.int64), 0))
    one = np.array([0.5]), np.array([2], dtype=np.int8), np.array([6.0])
    assert chance_levels(*one, np.array([4]), 0) == pytest.approx((1.0, math.nan), nan_ok=True)


def test_speed_is_far_from_a_loop_over_candidates():
    """7,323 distinct differences, 10 folds, 200 shuffles: a loop over candidates would take minutes."""
    chance = np.random.default_rng(7)
    n = 7323
    difference, label = chance.normal(size=n), chance.integers(0, 3, n).astype(np.int8)
    start = time.process_time()
    chance_levels(difference, label, np.ones(n), chance.integers(0, 10, n), 0)
    assert time.process_time() - start < 2.0
