from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples, observations, whole

from calf.analysis.biases import length_shares, origin_shares, overlap_shares
from calf.analysis.observations import integer_weights

SWAPPED = np.array([1, 0, 2, 3], dtype=np.int8)


@st.composite
def cases(draw):
    """Rows with repeats, lengths that are often equal, unknown origins, and overlaps that are often missing or tied."""
    seen = draw(observations())
    n = len(seen)

    def column(values, kind):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=kind)

    return seen, {
        "length_a": column(st.integers(0, 3), np.int64),
        "length_b": column(st.integers(0, 3), np.int64),
        "human": column(st.integers(-1, 1), np.int8),
        "overlap": np.where(seen.label == 2, np.nan, column(st.sampled_from([0.0, 0.25, 0.3, 1.0, np.nan]), float)),
    }


def all_shares(seen, more):
    weight, _ = integer_weights(seen.weight)
    return {
        **length_shares(seen.label, seen.verdict, weight, more["length_a"], more["length_b"]),
        **origin_shares(seen.label, seen.verdict, weight, more["human"]),
        **overlap_shares(seen.label, seen.verdict, weight, more["overlap"]),
    }


def values_of(shares) -> dict[str, float]:
    sums = {name: (share.numerator.sum(), share.denominator.sum()) for name, share in shares.items()}
    return {name: float(top / below) if below else math.nan for name, (top, below) in sums.items()}


def oracle(seen, more) -> dict[str, float]:
    """Row by row from the definitions, every row as often as its weight says."""
    names = ("longer_preferred", "shorter_preferred", "low_overlap", "high_overlap")
    found = {f"accuracy_{name}": [] for name in names} | {"human_preferred_rate": [], "human_preferred_rate_people": []}
    times = whole(seen)
    overlaps = [x for x in np.repeat(more["overlap"], times) if not math.isnan(x)]
    for i in range(len(seen)):
        label, verdict, human, overlap = seen.label[i], seen.verdict[i], more["human"][i], more["overlap"][i]
        right = [bool(label == verdict)] * times[i]
        if label != 2:
            sides = (more["length_a"][i], more["length_b"][i])
            preferred, other = sides[label], sides[1 - label]
            if preferred > other:
                found["accuracy_longer_preferred"] += right
            if preferred < other:
                found["accuracy_shorter_preferred"] += right
        if human >= 0 and verdict in (0, 1):
            found["human_preferred_rate"] += [bool(verdict == human)] * times[i]
        if human >= 0 and label in (0, 1):
            found["human_preferred_rate_people"] += [bool(label == human)] * times[i]
        if not math.isnan(overlap):
            side = "low" if overlap < statistics.median_high(overlaps) else "high"
            found[f"accuracy_{side}_overlap"] += right
    return {name: statistics.fmean(rows) if rows else math.nan for name, rows in found.items()}


@examples(50)
@given(cases())
def test_shares_equal_their_definitions(case):
    with np.errstate(all="raise"):
        shares = all_shares(*case)
    assert values_of(shares) == pytest.approx(oracle(*case), abs=1e-9, nan_ok=True)
    for share in shares.values():
        assert share.numerator.shape == share.denominator.shape == (len(case[0]),)
        np.testing.assert_array_equal(share.numerator, np.rint(share.numerator))
        np.testing.assert_array_equal(share.denominator, np.rint(share.denominator))
        assert np.all(share.numerator <= share.denominator)
        assert share.denominator.any() or share.reason


@examples(40)
@given(cases(), st.integers(0, 2**16 - 1))
def test_the_sides_of_a_row_do_not_matter(case, bits):
    seen, more = case
    swap = (bits >> np.arange(len(seen)) % 16) & 1 == 1
    a, b = more["length_a"], more["length_b"]
    human = np.where(swap & (more["human"] >= 0), 1 - more["human"], more["human"]).astype(np.int8)
    other = {
        **length_shares(
            np.where(swap, SWAPPED[seen.label], seen.label),
            np.where(swap, SWAPPED[seen.verdict], seen.verdict),
            integer_weights(seen.weight)[0],
            np.where(swap, b, a),
            np.where(swap, a, b),
        ),
        **origin_shares(
            np.where(swap, SWAPPED[seen.label], seen.label),
            np.where(swap, SWAPPED[seen.verdict], seen.verdict),
            integer_weights(seen.weight)[0],
            human,
        ),
    }
    shares = all_shares(seen, more)
    for name, share in other.items():
        np.testing.assert_array_equal(share.numerator, shares[name].numerator)
        np.testing.assert_array_equal(share.denominator, shares[name].denominator)


def test_a_metric_that_follows_length_is_right_only_where_the_longer_is_preferred():
    label = np.array([0, 0, 1, 1, 2, 0], dtype=np.int8)
    length_a, length_b = np.array([9, 1, 2, 8, 9, 5]), np.array([3, 4, 7, 6, 1, 5])
    verdict = np.where(length_a > length_b, 0, np.where(length_b > length_a, 1, 2)).astype(np.int8)
    values = values_of(length_shares(label, verdict, np.ones(6), length_a, length_b))
    assert values == {"accuracy_longer_preferred": 1.0, "accuracy_shorter_preferred": 0.0}


def test_same_and_failed_are_wrong_verdicts_but_no_preference():
    label, verdict = np.array([0, 0, 0, 0], dtype=np.int8), np.array([0, 1, 2, 3], dtype=np.int8)
    ones = np.ones(4)
    lengths = length_shares(label, verdict, ones, np.full(4, 2), np.full(4, 1))
    assert values_of(lengths)["accuracy_longer_preferred"] == 0.25
    origin = values_of(origin_shares(label, verdict, ones, np.zeros(4, dtype=np.int8)))
    assert origin == {"human_preferred_rate": 0.5, "human_preferred_rate_people": 1.0}


@pytest.mark.parametrize(
    ("overlap", "weight", "low"),
    [
        ([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1], [True, True, False, False]),
        ([0.3, 0.1, 0.2], [1, 1, 1], [False, True, False]),
        ([0.1, 0.2, 0.3], [1, 1, 3], [True, True, False]),
        ([0.1, 0.2, 0.3], [2, 1, 1], [True, False, False]),
        ([0.1, 0.1, 0.3], [1, 1, 1], [False, False, False]),
        ([0.1, 0.3, 0.3], [1, 1, 1], [True, False, False]),
        ([0.1, np.nan, 0.2], [1, 9, 1], [True, False, False]),
        ([0.5], [1], [False]),
    ],
)
def test_where_the_overlaps_are_split(overlap, weight, low):
    label = np.zeros(len(overlap), dtype=np.int8)
    shares = overlap_shares(label, label, np.array(weight, dtype=float), np.array(overlap))
    assert (shares["accuracy_low_overlap"].denominator > 0).tolist() == low
    assert (shares["accuracy_high_overlap"].denominator > 0).tolist() == [
        not math.isnan(x) and not below for x, below in zip(overlap, low, strict=True)
    ]


def test_reasons():
    label, ones = np.array([0, 0], dtype=np.int8), np.ones(2)
    unknown, human = np.full(2, -1, dtype=np.int8), np.zeros(2, dtype=np.int8)
    same = np.full(2, 2, dtype=np.int8)
    lengths = length_shares(same, label, ones, np.array([1, 2]), np.array([2, 1]))
    assert lengths["accuracy_longer_preferred"].reason == "no preferred response is the longer"
    assert lengths["accuracy_shorter_preferred"].reason == "no preferred response is the shorter"
    nobody = origin_shares(label, label, ones, unknown)
    assert {share.reason for share in nobody.values()} == {"no comparison is known to be of a human and a model"}
    undecided = origin_shares(same, same, ones, human)
    assert undecided["human_preferred_rate"].reason == "no verdict prefers the human or the model"
    assert undecided["human_preferred_rate_people"].reason == "no label prefers the human or the model"
    for overlap, reason in ((0.5, "no overlap is below the median"), (np.nan, "no comparison has a reference")):
        share = overlap_shares(label, label, ones, np.full(2, overlap))["accuracy_low_overlap"]
        assert not share.denominator.any()
        assert share.reason.startswith(reason)
