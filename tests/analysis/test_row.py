"""What a row collects, and the percentiles of its intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import examples

from calf.analysis.bootstrap import percentile_interval
from calf.analysis.row import Row

numbers = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 0.5, 1.0, -1.0])


@examples(100)
@given(st.lists(numbers, min_size=1, max_size=60), st.integers(0, 4))
def test_the_percentiles_are_numpys(values, undefined):
    resampled = np.array([*values, *[np.nan] * undefined])
    np.random.default_rng(len(values)).shuffle(resampled)
    found = percentile_interval(resampled)
    if undefined > 0.05 * resampled.size:
        assert found is None
    else:
        expected = np.quantile(values, [0.025, 0.975])
        assert found == pytest.approx(tuple(expected), rel=1e-12, abs=1e-12)
        assert all(type(value) is float for value in found)


def test_the_percentiles_of_ten_thousand_are_numpys():
    values = np.random.default_rng(0).integers(0, 500, 10_000) / 499
    assert percentile_interval(values) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), rel=1e-12)
    before = values.copy()
    percentile_interval(values)
    assert np.array_equal(values, before), "the values stay where they are"


@pytest.mark.parametrize(("undefined", "defined"), [(5, True), (6, False), (100, False)])
def test_one_resample_in_twenty_may_be_undefined(undefined, defined):
    values = np.r_[np.full(undefined, np.nan), np.ones(100 - undefined)]
    assert percentile_interval(values) == ((1.0, 1.0) if defined else None)


def test_every_name_has_its_keys_and_its_reason():
    row = Row()
    row.put("accuracy", 0.5, np.array([0.0, 1.0]))
    row.put("kappa", 0.25, None)
    row.put("f1", 1.0, np.array([1.0, np.nan]))
    row.undefined("spearman", "every label is equal")
    row.undefined("tie_threshold", "every label is equal", interval=False)
    row.plain("n", 3)
    assert row.values == {
        "accuracy": 0.5, "accuracy_low": pytest.approx(0.025), "accuracy_high": pytest.approx(0.975),
        "kappa": 0.25, "kappa_low": None, "kappa_high": None,
        "f1": 1.0, "f1_low": None, "f1_high": None,
        "spearman": None, "spearman_low": None, "spearman_high": None, "tie_threshold": None, "n": 3,
    }  # fmt: skip
    assert row.reasons().split("; ") == [
        "interval of kappa: fewer than 2 groups",
        "interval of f1: undefined in more than 5 % of the resamples",
        "spearman, tie_threshold: every label is equal",
    ]


def test_a_row_takes_over_another_with_its_reasons():
    row, other = Row(), Row()
    row.undefined("one", "why")
    other.undefined("two", "why")
    other.put("three", 1.0, None)
    row.take(other)
    assert row.reasons() == "one, two: why; interval of three: fewer than 2 groups"
    assert row.values["three"] == 1.0
    assert other.reasons() == "two: why; interval of three: fewer than 2 groups"
    row.undefined("four", "why")
    assert "four" not in other.reasons()


def test_a_row_without_gaps_says_nothing():
    row = Row()
    row.put("accuracy", 0.5, np.array([0.0, 1.0]))
    assert row.reasons() == ""
