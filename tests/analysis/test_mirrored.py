"""The correlations of both orders: equal to those of all rows written twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from simulated import both_orders, examples, observations, simulate

from calf.analysis.mirrored import Mirrored
from calf.analysis.observations import integer_weights
from calf.analysis.rank import Cells, correlations, resample_correlations


def assert_equal_to_both_orders(difference, label, weight, group):
    codes, group = np.unique(group, return_inverse=True)
    twice = Cells.of(*both_orders(difference, label, weight, group), codes.size)
    once = Mirrored.of(difference, label, weight, group, codes.size)
    with np.errstate(all="raise", under="ignore"):
        found, resampled = once.correlations(), once.resample(codes.size, 70, 3)
    for name in found._fields:
        expected = getattr(correlations(twice, twice.total), name)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-12)
        expected = getattr(resample_correlations(twice, codes.size, 70, 3), name)
        np.testing.assert_allclose(getattr(resampled, name), expected, rtol=0, atol=1e-12)


@examples(50)
@given(observations(least=1))
def test_equal_to_rows_written_twice(seen):
    if seen.judged.any():
        seen = seen.select(seen.judged)
        assert_equal_to_both_orders(seen.difference, seen.label, integer_weights(seen.weight)[0], seen.group)


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200])
def test_equal_for_few_and_many_differences_of_any_size(decimals, size):
    seen = simulate(120, 5).select(np.arange(300))
    seen = seen.select(seen.judged)
    difference = np.round(seen.difference, decimals) * size
    weight = np.random.default_rng(0).integers(1, 4, len(seen)).astype(float)
    assert_equal_to_both_orders(difference, seen.label, weight, seen.group)


@pytest.mark.parametrize("labels", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("values", [(0.0,), (1.0,), (-1.0, 1.0), (0.0, 2.0), (-3.0, 0.0, 3.0)])
def test_equal_where_a_label_or_a_sign_is_absent(labels, values):
    chance = np.random.default_rng(1)
    label = chance.choice(labels, 20).astype(np.int8)
    assert_equal_to_both_orders(chance.choice(values, 20), label, np.ones(20), chance.integers(0, 4, 20))
