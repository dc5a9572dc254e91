from __future__ import annotations

import itertools
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples

from calf.analysis.observations import integer_weights
from calf.analysis.orders import order_shares, retest

MIRROR = np.array([1, 0, 2, 3, -1])


def value(share) -> float | None:
    total = share.denominator.sum()
    return None if total == 0 else share.numerator.sum() / total


@st.composite
def rows(draw, most: int = 10, largest: int = 4) -> dict[str, np.ndarray]:
    """Comparisons with some repeats, each in one order or in both."""
    verdicts = st.sampled_from(draw(st.sampled_from([(0, 1, 2, 3, -1), (0, 1), (2,), (3, -1), (0, 1, 2, 3), (-1,)])))
    found = []
    for code in range(draw(st.integers(0, most))):
        label, times = draw(st.integers(0, 2)), draw(st.integers(1, largest))
        found += [(label, draw(verdicts), draw(verdicts), 1 / times, 10 - 3 * code) for _ in range(times)]
    found = draw(st.permutations(found))
    columns = list(zip(*found, strict=True)) if found else [()] * 5
    types = {"label": "i1", "given": "i1", "swapped": "i1", "weight": "f8", "comparison": "i8"}
    return {name: np.array(column, dtype=kind) for (name, kind), column in zip(types.items(), columns, strict=True)}


def shares(data) -> dict:
    weight, _ = integer_weights(data["weight"])
    return order_shares(data["label"], data["given"], data["swapped"], weight)


@examples(80)
@given(rows())
def test_order_shares_equal_a_plain_loop(data):
    flips, right, first = [], [], []
    for label, a, b, weight in zip(
        *(data[name].tolist() for name in ("label", "given", "swapped", "weight")), strict=True
    ):
        part = Fraction(round(12 * weight), 12)
        if a in (0, 1, 2) and b in (0, 1, 2):
            flips.append((part, a != b))
            if a == b:
                right.append((part, a == label))
        if a in (0, 1):
            first.append((part, a == 0))
        if b in (0, 1):
            first.append((part, b == 1))
    found = shares(data)
    assert list(found) == ["flip_rate", "accuracy_consistent", "first_position_rate"]
    for name, pairs in zip(found, (flips, right, first), strict=True):
        total = sum(part for part, _ in pairs)
        expected = sum(part for part, there in pairs if there) / total if total else None
        assert value(found[name]) == (None if expected is None else pytest.approx(float(expected), abs=1e-12))
        assert found[name].numerator.shape == found[name].denominator.shape == data["label"].shape
        assert found[name].numerator.dtype == found[name].denominator.dtype == np.float64
        assert np.all(found[name].numerator <= found[name].denominator)
        assert found[name].reason


@examples(40)
@given(rows(), st.integers(0, 2**32 - 1))
def test_which_response_the_dataset_calls_a_changes_nothing(data, seed):
    """Mirrored rows: the other side is a, and so what was swapped is given."""
    turned = np.random.default_rng(seed).integers(0, 2, data["label"].size).astype(bool)
    other = data | {
        "label": np.where(turned, MIRROR[data["label"]], data["label"]).astype(np.int8),
        "given": np.where(turned, MIRROR[data["swapped"]], data["given"]).astype(np.int8),
        "swapped": np.where(turned, MIRROR[data["given"]], data["swapped"]).astype(np.int8),
    }
    before, after = shares(data), shares(other)
    for name in before:
        assert np.array_equal(before[name].numerator, after[name].numerator)
        assert np.array_equal(before[name].denominator, after[name].denominator)


def test_a_metric_that_always_takes_the_first_and_one_that_never_looks_at_it():
    label = np.array([0, 1, 1, 2], dtype=np.int8)
    always = order_shares(label, np.zeros(4, dtype=np.int8), np.ones(4, dtype=np.int8), np.ones(4))
    assert value(always["flip_rate"]) == value(always["first_position_rate"]) == 1.0
    assert (value(always["accuracy_consistent"]), always["accuracy_consistent"].reason) == (
        None,
        "no two orders have the same verdict",
    )
    never = order_shares(label, label, label, np.ones(4))
    assert value(never["flip_rate"]) == 0.0
    assert value(never["first_position_rate"]) == 0.5
    assert value(never["accuracy_consistent"]) == 1.0


@pytest.mark.parametrize(
    ("given_", "swapped", "reasons"),
    [
        ([], [], ["no comparison"] * 3),
        ([3, 3], [-1, -1], ["no comparison was judged"] * 3),
        ([-1, -1], [-1, -1], ["no comparison was judged"] * 3),
        ([3, 2], [2, 3], [*["no comparison was judged in both orders without a failure"] * 2, "every verdict is same"]),
        ([0, -1], [-1, 0], [*["judged in one order"] * 2, None]),
        ([2, 3], [-1, -1], [*["judged in one order"] * 2, "every verdict is same"]),
        ([2, 2], [2, 2], [None, None, "every verdict is same"]),
    ],
)
def test_reasons(given_, swapped, reasons):
    a, b = (np.array(codes, dtype=np.int8) for codes in (given_, swapped))
    found = order_shares(np.zeros(a.size, dtype=np.int8), a, b, np.ones(a.size))
    assert [share.reason if value(share) is None else None for share in found.values()] == reasons


def asked_again(data):
    weight, unit = integer_weights(data["weight"])
    verdict = np.where(data["given"] == -1, 3, data["given"]).astype(np.int8)
    return retest(data["label"], verdict, weight, data["comparison"]), verdict, unit


@examples(80)
@given(rows())
def test_retest_equals_pairs_and_variances_one_by_one(data):
    found, verdict, _ = asked_again(data)
    agreement, variances = [], []
    for code in {*data["comparison"].tolist()}:
        here = data["comparison"] == code
        pairs = list(itertools.combinations(verdict[here].tolist(), 2))
        if pairs:
            agreement.append(statistics.mean(float(a == b) for a, b in pairs))
            variances.append(statistics.variance((verdict == data["label"])[here].astype(float).tolist()))
    if not agreement:
        assert value(found.agreement) is None
        assert np.isnan(found.variance)
        assert found.reason == found.agreement.reason == ("judged once" if verdict.size else "no comparison")
        return
    assert value(found.agreement) == pytest.approx(statistics.mean(agreement), abs=1e-9)
    assert found.variance == pytest.approx(sum(variances) / len(variances) ** 2, abs=1e-9)
    assert np.array_equal(found.agreement.numerator, np.rint(found.agreement.numerator))


@examples(40)
@given(rows(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_digit(data, chance):
    order = list(range(data["label"].size))
    chance.shuffle(order)
    other = {name: column[np.array(order, dtype=np.int64)] for name, column in data.items()}
    (before, *_), (after, *_) = asked_again(data), asked_again(other)
    assert value(before.agreement) == value(after.agreement)
    assert before.variance == after.variance or np.isnan([before.variance, after.variance]).all()


def test_comparisons_of_many_different_repeats():
    """So many K that no common multiple is kept: the agreement is rounded, and still of nine digits."""
    times = np.arange(2, 60)
    comparison = np.repeat(np.arange(times.size), times)
    chance = np.random.default_rng(0)
    label, verdict = (chance.integers(0, 3, comparison.size).astype(np.int8) for _ in range(2))
    weight, _ = integer_weights(1.0 / times[comparison])
    each = []
    for code in range(times.size):
        counts = np.bincount(verdict[comparison == code])
        each.append((counts * (counts - 1)).sum() / (times[code] * (times[code] - 1)))
    found = retest(label, verdict, weight, comparison)
    assert value(found.agreement) == pytest.approx(np.mean(each), abs=1e-9)
    assert np.array_equal(found.agreement.numerator, np.rint(found.agreement.numerator))
    assert found.agreement.denominator.sum() < 2**53


def test_the_variance_is_that_of_reruns():
    """Simulated: right with a chance of its own in each comparison; the accuracies of many runs vary by as much."""
    chance = np.random.default_rng(1)
    right = chance.random((80, 4000)) < chance.random(80)[:, np.newaxis]
    runs = right.mean(axis=0).var(ddof=1)
    few = right[:, :400]
    comparison = np.repeat(np.arange(80), 400)
    label = np.zeros(comparison.size, dtype=np.int8)
    found = retest(label, np.where(few.ravel(), 0, 3).astype(np.int8), np.ones(comparison.size), comparison)
    assert found.variance == pytest.approx(runs, rel=0.1)
