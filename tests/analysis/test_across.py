"""Macro-averages and gaps against a plain loop over the slices and the resamples."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from few_resamples import with_few_resamples
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples, make, observations, simulate

from calf.analysis import measure
from calf.analysis.across import gaps, macro_average
from calf.analysis.bootstrap import multiplicities
from calf.analysis.counts import COUNT_STATISTICS


@st.composite
def sliced(draw):
    """Rows, and two or three slices that overlap or not; none is empty."""
    seen = draw(observations(least=2))
    comparisons = sorted({*seen.comparison.tolist()})
    parts = {}
    for name in draw(st.sampled_from(["xy", "xyz"])):
        chosen = draw(st.lists(st.sampled_from(comparisons), min_size=1, unique=True))
        parts[name] = np.isin(seen.comparison, chosen)
    return seen, parts


@examples(25)
@given(sliced())
@with_few_resamples
def test_values_are_means_and_differences_of_the_slices_own(drawn):
    seen, parts = drawn
    rows = {name: measure(seen.select(mask)) for name, mask in parts.items()}
    with np.errstate(all="raise", under="ignore"):
        macro, n, groups, fewest = macro_average(seen, parts)
        found = {(one, other): rest for one, other, *rest in gaps(seen, parts)}
    union = seen.select(np.logical_or.reduce(list(parts.values())))
    assert (n, groups) == (round(union.weight.sum()), np.unique(union.group).size)
    assert fewest == min(row["groups"] for row in rows.values())
    assert list(found) == list(combinations(parts, 2))
    for name in COUNT_STATISTICS:
        values = {part: row[name] for part, row in rows.items()}
        _same(macro, name, None if None in values.values() else sum(values.values()) / len(values))
        for (one, other), (gap, *_) in found.items():
            pair = values[one], values[other]
            nothing = None in pair or not (rows[one]["coverage"] and rows[other]["coverage"])
            _same(gap, name, None if nothing else pair[0] - pair[1])
    for (one, other), (_, size, count, fewest) in found.items():
        both = seen.select(parts[one] | parts[other])
        assert (size, count) == (round(both.weight.sum()), np.unique(both.group).size), "of the two slices alone"
        assert fewest == min(rows[one]["groups"], rows[other]["groups"])


def _same(row, name, expected):
    if expected is None:
        assert row.values[name] is None
        assert row.values[f"{name}_low"] is row.values[f"{name}_high"] is None
        assert name in row.reasons()
    else:
        assert row.values[name] == pytest.approx(expected, abs=1e-12)


def loop(seen, masks, seed):
    """The accuracies of the slices in each resample of the groups that they have together."""
    union = np.logical_or.reduce(masks)
    codes, group = np.unique(seen.group[union], return_inverse=True)
    right = (seen.label == seen.verdict)[union]
    masks = [mask[union] for mask in masks]
    values = []
    for block in multiplicities(codes.size, 10_000, seed):
        for times in block.T:
            weight = times[group]
            values.append([(weight * right)[mask].sum() / weight[mask].sum() for mask in masks])
    return np.array(values)


def test_intervals_are_percentiles_of_a_loop_over_shared_resamples():
    seen = simulate(30, 2)
    chance = np.random.default_rng(3)
    # Groups lie across the slices, so that the slices' accuracies move together.
    parts = {name: chance.random(len(seen)) < 0.6 for name in "xyz"}
    macro = macro_average(seen, parts, seed=5)[0]
    expected = np.quantile(loop(seen, list(parts.values()), 5).mean(axis=1), [0.025, 0.975])
    assert (macro.values["accuracy_low"], macro.values["accuracy_high"]) == pytest.approx(tuple(expected), abs=1e-9)
    for one, other, gap, *_ in gaps(seen, parts, seed=5):
        drawn = loop(seen, [parts[one], parts[other]], 5)
        expected = np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975])
        assert (gap.values["accuracy_low"], gap.values["accuracy_high"]) == pytest.approx(tuple(expected), abs=1e-9)
        # Paired: the gap is known better than two independent slices would let it be.
        assert np.var(drawn[:, 0] - drawn[:, 1]) < 0.8 * (np.var(drawn[:, 0]) + np.var(drawn[:, 1]))
    two = dict(list(parts.items())[:2])
    assert next(gaps(seen, two, seed=5))[2].values == next(gaps(seen, parts, seed=5))[2].values


def test_the_order_of_rows_changes_no_digit():
    seen = simulate(25, 4)
    parts = {"x": np.arange(len(seen)) % 2 == 0, "y": np.arange(len(seen)) % 3 == 0}
    order = np.random.default_rng(1).permutation(len(seen))
    shuffled = {name: mask[order] for name, mask in parts.items()}
    assert macro_average(seen.select(order), shuffled)[0].values == macro_average(seen, parts)[0].values
    (one,), (other,) = gaps(seen, parts), gaps(seen.select(order), shuffled)
    assert one[2].values == other[2].values
    mirrored = next(gaps(seen, dict(reversed(parts.items()))))[2]
    assert mirrored.values["accuracy"] == -one[2].values["accuracy"]
    assert mirrored.values["accuracy_low"] == pytest.approx(-one[2].values["accuracy_high"], abs=1e-12)


def test_reasons():
    seen = make([0, 2, 1, 2], [0, 2, 1, 0], group=[0, 0, 1, 1])
    decided = {"x": np.array([True, False, True, False]), "y": np.array([False, True, False, True])}
    macro = macro_average(seen, decided)[0]
    assert macro.values["decided_accuracy"] is None
    assert "decided_accuracy" in macro.reasons()
    assert "undefined in one of the slices" in macro.reasons()
    assert macro.values["accuracy"] == 0.75
    one_group = macro_average(seen, {"x": np.array([True, False, False, False]), "y": seen.group == 0})[0]
    assert one_group.values["accuracy"] == 1.0
    assert one_group.values["accuracy_low"] is None
    assert "interval of accuracy" in one_group.reasons()


def test_a_slice_in_which_nothing_was_judged_has_no_gap():
    """A failed judgment is wrong, but a difference from a metric that said nothing is no bias."""
    seen = make([0, 1, 0, 1, 2], [0, 1, 3, 3, 0])
    parts = {"x": np.arange(5) < 2, "y": (np.arange(5) > 1) & (np.arange(5) < 4), "z": np.arange(5) == 4}
    found = {one + other: gap for one, other, gap, *_ in gaps(seen, parts)}
    assert found["xz"].values["accuracy"] == 1.0
    for names in ("xy", "yz"):
        assert {found[names].values[name] for name in COUNT_STATISTICS} == {None}
        assert found[names].reasons().endswith(": no comparison of one of the slices was judged")
    macro, _, _, fewest = macro_average(seen, parts)
    assert (macro.values["accuracy"], macro.values["coverage"]) == pytest.approx((1 / 3, 2 / 3))
    assert fewest == 1
