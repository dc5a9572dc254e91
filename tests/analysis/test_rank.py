from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from simulated import both_orders, examples, make, observations, whole

from calf.analysis.observations import integer_weights
from calf.analysis.rank import Cells, correlations

CODE = np.array([1.0, -1.0, 0.0])
NAMES = ("kendall_tau", "tau_c", "spearman", "pearson")


def ours(difference, label, weight) -> dict[str, float]:
    group = np.zeros(len(label), dtype=np.int64)
    cells = Cells.of(np.asarray(difference, float), np.asarray(label, np.int8), np.asarray(weight, float), group, 1)
    return {name: float(values[0]) for name, values in correlations(cells, cells.total)._asdict().items()}


def oracle(x, y) -> dict[str, float]:
    """From scipy; a correlation with a constant is undefined."""
    if len({*x}) < 2 or len({*y}) < 2:
        return dict.fromkeys(NAMES, math.nan)
    return {
        "kendall_tau": stats.kendalltau(x, y).statistic,
        "tau_c": stats.kendalltau(x, y, variant="c").statistic,
        "spearman": stats.spearmanr(x, y).statistic,
        "pearson": stats.pearsonr(x, y).statistic,
    }


def exact_pearson(x, y) -> float:
    """From rational numbers; it rounds once."""
    x = [Fraction(v) for v in x]
    mean_x, mean_y = sum(x) / len(x), Fraction(sum(y), len(y))
    xx = sum((v - mean_x) ** 2 for v in x)
    yy = sum((v - mean_y) ** 2 for v in y)
    xy = sum((v - mean_x) * (u - mean_y) for v, u in zip(x, y, strict=True))
    return math.copysign(math.sqrt(xy * xy / (xx * yy)), 1 if xy > 0 else -1)


@examples(60)
@given(observations(least=1))
def test_correlations_equal_scipy_on_repeated_rows(seen):
    judged = seen.select(seen.judged)
    if not len(judged):
        return
    weight, _ = integer_weights(judged.weight)
    times = whole(judged)
    x, label = np.repeat(judged.difference, times), np.repeat(judged.label, times)
    assert ours(judged.difference, judged.label, weight) == pytest.approx(oracle(x, CODE[label]), abs=1e-9, nan_ok=True)
    both = both_orders(judged.difference, judged.label, weight, judged.group)
    doubled = oracle(np.concatenate((x, -x)), np.concatenate((CODE[label], -CODE[label])))
    assert ours(*both[:3]) == pytest.approx(doubled, abs=1e-9, nan_ok=True)


@examples(25)
@given(st.integers(2, 400), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_correlations_equal_scipy_on_many_rows(n, levels, seed):
    chance = np.random.default_rng(seed)
    x = np.round(chance.normal(size=n) * levels) / 7
    label = chance.choice(3, n, p=[0.5, 0.3, 0.2])
    assert ours(x, label, np.ones(n)) == pytest.approx(oracle(x, CODE[label]), abs=1e-9, nan_ok=True)


@examples(40)
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0, 1, 2])), min_size=2, max_size=9
    )
)
@example([(-1.7e308, 0), (1.7e308, 1), (1.6e308, 2)])
@example([(5e-324, 0), (1e-323, 1), (0.0, 0)])
@example([(1.0, 0), (1.0 + 2**-52, 1), (1.0, 2)])
def test_any_finite_differences(rows):
    """Values may be near 1e308, subnormal, or equal but for the last bit: exact rational arithmetic is the oracle."""
    x, label = [row[0] for row in rows], [row[1] for row in rows]
    with np.errstate(all="raise", under="ignore"):
        found = ours(x, label, np.ones(len(x)))
    y = [int(CODE[v]) for v in label]
    if len({*x}) < 2 or len({*y}) < 2:
        assert all(math.isnan(v) for v in found.values())
        return
    assert found["pearson"] == pytest.approx(exact_pearson(x, y), abs=1e-9)
    assert found["kendall_tau"] == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-9)
    assert found["tau_c"] == pytest.approx(stats.kendalltau(x, y, variant="c").statistic, abs=1e-9)


def test_many_weightings_are_those_one_by_one():
    chance = np.random.default_rng(3)
    x, label = chance.integers(-4, 5, 60) / 4, chance.integers(0, 3, 60).astype(np.int8)
    cells = Cells.of(x, label, np.ones(60), np.zeros(60, dtype=np.int64), 1)
    weight = chance.integers(0, 3, (cells.value.size, 50)).astype(float)
    weight[:, 0] = 0.0
    weight[1:, 1] = 0.0
    with np.errstate(all="raise"):
        together = correlations(cells, weight)
    for column in range(50):
        alone = correlations(cells, weight[:, [column]])
        for name in together._fields:
            np.testing.assert_allclose(getattr(together, name)[column], getattr(alone, name)[0], atol=1e-12)
    assert all(np.isnan(values[:2]).all() for values in together)


def test_tau_c_counts_what_is_in_the_resample():
    """Many differences, of which the resamples hold only some, the lowest or the highest among them."""
    chance = np.random.default_rng(6)
    x, label = np.arange(100.0).repeat(3), np.tile([0, 1, 2], 100).astype(np.int8)
    cells = Cells.of(x, label, np.ones(300), np.zeros(300, dtype=np.int64), 1)
    difference = np.concatenate([np.sort(x[label == code]) for code in range(3)])
    side = np.repeat([0, 1, 2], 100)
    columns = []
    for levels in ([99], [0, 99], [3, 70, 71], [97, 98, 99], [0, 1, 2], range(50), range(100)):
        for sides in ([0], [0, 1], [0, 1, 2]):
            here = np.isin(difference, [*levels]) & np.isin(side, sides)
            columns.append(np.where(here, chance.integers(1, 3, 300), 0))
    weight = np.stack(columns, axis=1).astype(float)
    found = correlations(cells, weight)
    for column, times in enumerate(columns):
        expected = oracle(np.repeat(difference, times), CODE[np.repeat(side, times)])
        for name in NAMES:
            assert getattr(found, name)[column] == pytest.approx(expected[name], abs=1e-9, nan_ok=True)
    # Without those of three levels and more, every column is settled by all the levels.
    few = correlations(cells, weight[:, :6])
    np.testing.assert_array_equal(few.tau_c, found.tau_c[:6])


def test_tau_c_reaches_one_where_differences_tie_less_than_labels():
    found = ours([5.0, 4.0, 3.0, -3.0, -4.0, -5.0], [0, 0, 0, 1, 1, 1], [1] * 6)
    assert found["tau_c"] == 1.0
    assert found["kendall_tau"] < 0.8


def test_a_resample_of_equal_differences_is_undefined_whatever_rounding_leaves():
    chance = np.random.default_rng(4)
    x = np.sort(chance.random(40))
    cells = Cells.of(x.repeat(2), np.tile([0, 1], 40).astype(np.int8), np.ones(80), np.zeros(80, dtype=np.int64), 1)
    for place in range(40):  # one difference, under both labels, with many different weights
        weight = np.zeros((80, 300))
        weight[[place, place + 40]] = chance.integers(1, 2**33, (2, 300))
        assert all(np.isnan(values).all() for values in correlations(cells, weight))


def test_a_resample_of_close_differences_keeps_nine_digits():
    """They differ by a few last digits only, and rounding their mean must not count."""
    x = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.7 + 1e-15, 0.7 + 3e-15, 0.7 + 5e-15])
    label = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], dtype=np.int8)
    cells = Cells.of(x, label, np.ones(10), np.zeros(10, dtype=np.int64), 1)
    weight = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 7.0, 2.0, 1.0])
    # Scaling rounds the values themselves: take what they have become.
    rows = np.repeat(np.arange(10), weight.astype(int))
    expected = exact_pearson(cells.value[rows].tolist(), CODE[label[rows]].astype(int).tolist())
    assert float(correlations(cells, weight[:, np.newaxis]).pearson[0]) == pytest.approx(expected, abs=1e-9)


def test_weights_count_as_rows_when_they_are_large():
    """Sums of third powers beyond 2^53 keep nine digits."""
    x, label = np.array([0.3, -0.2, 0.0, 0.9, -0.2]), np.array([0, 1, 2, 1, 1])
    weight = np.array([2.0, 1.0, 3.0, 1.0, 2.0])
    assert ours(x, label, weight * 3e7) == pytest.approx(ours(x, label, weight), abs=1e-12)


def test_a_perfect_order_gives_one():
    assert ours([3.0, -1.0, 0.0], [0, 1, 2], [1, 1, 1])["kendall_tau"] == 1.0
    assert ours([-3.0, 1.0, 0.0], [0, 1, 2], [1, 1, 1])["spearman"] == -1.0


def test_where_the_first_is_longer_and_better_the_stored_order_misleads():
    """A metric with one difference throughout has no tau as stored; in both orders it has."""
    seen = make([0, 0, 0, 1], [0, 0, 0, 0], [2.0, 2.0, 2.0, 2.0])
    assert math.isnan(ours(seen.difference, seen.label, seen.weight)["kendall_tau"])
    both = both_orders(seen.difference, seen.label, seen.weight, seen.group)
    assert ours(*both[:3]) == pytest.approx({"kendall_tau": 0.5, "tau_c": 0.5, "spearman": 0.5, "pearson": 0.5})
