"""Resamples to first order against the full bootstrap, and against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from calf.analysis.mirrored import Mirrored
from calf.analysis.projected import resample_projected
from calf.analysis.rank import Cells, Correlations, correlations, resample_correlations


def simulated(rng: np.random.Generator, n: int, groups: int, digits: int | None = None) -> tuple[np.ndarray, ...]:
    group = np.sort(rng.integers(groups, size=n))
    group = np.unique(group, return_inverse=True)[1]
    shared = rng.normal(size=groups)[group] * 0.7
    label = rng.choice(3, size=n, p=[0.4, 0.35, 0.25]).astype(np.int8)
    difference = np.array([0.5, -0.5, 0.1])[label] + rng.normal(size=n) + shared
    difference = difference if digits is None else np.round(difference, digits)
    return difference, label, np.ones(n), group


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("both_orders", [False, True])
def test_they_spread_as_the_full_bootstrap_does(digits: int | None, both_orders: bool) -> None:
    data = simulated(np.random.default_rng(5), 4000, 900, digits)
    weight = data[2].copy()
    weight[::7] = 3.0
    data = (*data[:2], weight, data[3])
    groups = int(data[3].max()) + 1
    if both_orders:
        full, value = Mirrored.of(*data, groups).resample(groups, 1000), Mirrored.of(*data, groups).correlations()
    else:
        cells = Cells.of(*data, groups)
        full, value = resample_correlations(cells, groups, 1000), correlations(cells, cells.total)
    found = resample_projected(*data, groups, 1000, both_orders=both_orders)
    for name in Correlations._fields:
        one, other = getattr(full, name), getattr(found, name)
        assert other.mean() == pytest.approx(float(getattr(value, name)[0]), abs=0.1 * one.std())
        assert other.std() == pytest.approx(one.std(), rel=0.04), name
        # The same resamples: not only as wide, but the same numbers, nearly.
        assert np.corrcoef(one, other)[0, 1] > 0.99


def test_intervals_cover() -> None:
    rng = np.random.default_rng(8)
    large = simulated(rng, 400_000, 100_000)
    cells = Cells.of(*large, int(large[3].max()) + 1)
    truth = correlations(cells, cells.total)
    rounds, inside = 150, dict.fromkeys(Correlations._fields, 0)
    for _ in range(rounds):
        data = simulated(rng, 1500, 375)
        drawn = resample_projected(*data, int(data[3].max()) + 1, 400)
        for name in inside:
            low, high = np.quantile(getattr(drawn, name), [0.025, 0.975])
            inside[name] += low <= float(getattr(truth, name)[0]) <= high
    # 95 % of 150 is 142 or 143; below 133 is less than one in a thousand.
    assert all(count >= 133 for count in inside.values()), inside


def test_sizes_of_the_differences_change_nothing() -> None:
    data = simulated(np.random.default_rng(1), 500, 100)
    groups = int(data[3].max()) + 1
    base = resample_projected(*data, groups, 50)
    for factor in (1e-300, 1e90):
        other = resample_projected(data[0] * factor, *data[1:], groups, 50)
        for name in Correlations._fields:
            assert getattr(other, name) == pytest.approx(getattr(base, name), abs=1e-9)
