from __future__ import annotations

import numpy as np
import pytest
from simulated import make

from calf.analysis import Observations
from calf.analysis.observations import integer_weights


def test_select_takes_the_same_rows_of_every_array():
    seen = make([0, 1, 2], [0, 3, 2], [1.5, 0.0, -2.0], [5, 6, 7], [1, 0.5, 1], [0, 0, 1])
    part = seen.select(np.array([True, False, True]))
    assert len(part) == 2
    assert part.difference.tolist() == [1.5, -2.0]
    assert part.group.tolist() == [5, 7]
    assert part.scale.tolist() == [0, 1]
    assert seen.judged.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [0, 3]}, "label must be"),
        ({"verdict": [0, 4]}, "verdict must be"),
        ({"label": [-1, 0]}, "label must be"),
        ({"difference": [0.0, float("nan")]}, "difference must be finite"),
        ({"difference": [0.0, float("inf")]}, "difference must be finite"),
        ({"group": [1, 2, 3]}, r"group must have the shape \(2,\)"),
    ],
)
def test_values_outside_of_the_contract_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make(**({"label": [0, 1], "verdict": [0, 1]} | change))


def test_a_failed_row_may_have_any_difference():
    assert len(make([0], [3], [float("nan")])) == 1


def test_arrays_need_one_axis():
    square = np.zeros((2, 2))
    with pytest.raises(ValueError, match="shape"):
        Observations.of(square.astype(np.int8), *(np.zeros(2, dtype=t) for t in ("i1", "f8", "i8")))


def test_weights_become_whole_numbers_of_one_unit():
    weight, unit = integer_weights(np.array([1.0, 1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3, 1 / 7]))
    assert unit == 42
    assert weight.tolist() == [42, 21, 21, 14, 14, 14, 6]


def test_weights_of_many_different_repeats_are_rounded():
    times = np.arange(1, 60)
    weight, unit = integer_weights(1.0 / times)
    assert unit == 2**32
    np.testing.assert_allclose(weight / unit, 1.0 / times, rtol=1e-8)
    np.testing.assert_array_equal(weight, np.rint(weight))


@pytest.mark.parametrize("weight", [0.0, 1e-300, -1.0, 0.4, 2.0, float("nan"), float("inf")])
def test_other_weights_are_refused(weight):
    with pytest.raises(ValueError, match="weight must be 1 or 1/K"):
        integer_weights(np.array([1.0, weight]))
