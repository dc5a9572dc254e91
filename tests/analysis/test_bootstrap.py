from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from scipy import stats
from simulated import both_orders, examples, make, observations, simulate, whole
from sklearn.metrics import cohen_kappa_score, f1_score

from calf.analysis.bootstrap import (
    COUNT_RESAMPLES,
    multiplicities,
    percentile_interval,
    resample_sums,
    weighted_sums,
)
from calf.analysis.counts import COUNT_STATISTICS, accuracy, confusion, kappa, macro_f1
from calf.analysis.observations import integer_weights
from calf.analysis.rank import Cells, correlations, resample_correlations

CODE = np.array([1.0, -1.0, 0.0])
ORACLES = (stats.kendalltau, partial(stats.kendalltau, variant="c"), stats.spearmanr, stats.pearsonr)


def grouped(seen):
    codes, group = np.unique(seen.group, return_inverse=True)
    return codes.size, group


def drawn(groups, resamples, seed=0):
    return np.concatenate(list(multiplicities(groups, resamples, seed)), axis=1)


@pytest.mark.parametrize("groups", [1, 2, 30, 501, 30_000])
def test_a_resample_draws_as_many_groups_as_there_are(groups):
    times = drawn(groups, 150)
    assert times.shape == (groups, 150)
    assert (times.sum(axis=0, dtype=int) == groups).all()


def test_resamples_follow_from_seed_and_number_of_groups():
    np.testing.assert_array_equal(drawn(40, 300, 5), drawn(40, 300, 5))
    np.testing.assert_array_equal(drawn(3000, 50), drawn(3000, 900)[:, :50])
    assert (drawn(40, 300, 5) != drawn(40, 300, 6)).any()
    assert (drawn(3000, 400)[:, :349] != drawn(3000, 800)[:, 349:698]).any()  # blocks differ from each other


def test_multiplicities_are_those_of_drawing_with_replacement():
    times = drawn(100, COUNT_RESAMPLES).astype(float)
    # Binomial(100, 1/100): mean 1, variance 0.99, and 36.6 % of zeros.
    assert times.var() == pytest.approx(0.99, abs=0.01)
    assert (times == 0).mean() == pytest.approx(0.99**100, abs=0.002)
    assert np.abs(times.mean(axis=1) - 1).max() < 5 * math.sqrt(0.99 / COUNT_RESAMPLES)
    assert np.corrcoef(times[0], times[1])[0, 1] == pytest.approx(-1 / 99, abs=0.05)


def test_blocks_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        next(multiplicities(9, 10))[0, 0] = 1


@pytest.mark.parametrize(("rows", "groups", "resamples"), [(1, 1, 1), (12, 255, 70), (3, 257, 9), (64, 1000, 100)])
def test_tiles_give_the_matrix_product(rows, groups, resamples):
    chance = np.random.default_rng(1)
    table = chance.integers(0, 50, (rows, groups)).astype(float)
    times = chance.integers(0, 9, (groups, resamples)).astype(np.uint8)
    np.testing.assert_array_equal(weighted_sums(table, times), table.astype(int) @ times.astype(int))


@pytest.mark.parametrize("scale", [1.0, 2.0**-32, 2.0**20])
def test_sums_are_exact_for_fractions_and_large_numbers_too(scale):
    times = drawn(40, 7)
    table = np.random.default_rng(3).integers(1, 2**20, size=(5, 40)).astype(float)
    np.testing.assert_array_equal(weighted_sums(table * scale, times), (table.astype(int) @ times.astype(int)) * scale)


@examples(25)
@given(observations(least=1))
def test_counts_of_resamples_are_those_of_repeated_rows(seen):
    groups, group = grouped(seen)
    weight, unit = integer_weights(seen.weight)
    sums = resample_sums(confusion(seen.label, seen.verdict, weight, group, groups), 20, 3) / unit
    assert sums.shape == (20, 3, 4)
    for column, times in enumerate(drawn(groups, 20, 3).T):
        rows = np.repeat(np.arange(len(seen)), times[group])
        again = seen.select(rows)
        brute = np.zeros((3, 4))
        np.add.at(brute, (again.label, again.verdict), again.weight)
        np.testing.assert_allclose(sums[column], brute, atol=1e-9)


def test_counted_statistics_equal_a_loop_over_scikit_learn():
    seen = simulate(60, 2)
    groups, group = grouped(seen)
    resampled = resample_sums(confusion(seen.label, seen.verdict, seen.weight, group, groups), 40)
    for column, times in enumerate(drawn(groups, 40).T):
        rows = np.repeat(np.arange(len(seen)), times[group])
        label, verdict = seen.label[rows], seen.verdict[rows]
        assert accuracy(resampled)[column] == pytest.approx(np.mean(label == verdict), abs=1e-9)
        assert macro_f1(resampled)[column] == pytest.approx(f1_score(label, verdict, average="macro"), abs=1e-9)
        assert kappa(resampled)[column] == pytest.approx(cohen_kappa_score(label, verdict), abs=1e-9)


@examples(40)
@given(observations(least=2))
def test_correlations_of_resamples_equal_a_loop(seen):
    groups, group = grouped(seen)
    kept = seen.judged
    if not kept.any():
        return
    judged, group = seen.select(kept), group[kept]
    weight, _ = integer_weights(judged.weight)
    for form in (lambda *arrays: arrays, both_orders):
        x, label, weights, codes = form(judged.difference, judged.label, weight, group)
        cells = Cells.of(x, label, weights, codes, groups)
        with np.errstate(all="raise", under="ignore"):
            found = resample_correlations(cells, groups, 15, 4)
        rows_each = form(judged.difference, judged.label, whole(judged), group)[2]
        for column, times in enumerate(drawn(groups, 15, 4).T):
            rows = np.repeat(np.arange(x.size), times[codes] * rows_each.astype(int))
            defined = len({*x[rows]}) > 1 and len({*label[rows]}) > 1
            for values, function in zip(found, ORACLES, strict=True):
                expected = function(x[rows], CODE[label[rows]]).statistic if defined else math.nan
                np.testing.assert_allclose(values[column], expected, atol=1e-9)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_correlations_of_resamples_equal_a_loop_for_few_and_many_differences(decimals):
    """0 decimals: a table of cells; 1: rows summed up into cells; 9: no ties."""
    seen = simulate(80, 5)
    groups, group = grouped(seen)
    x = np.round(seen.difference, decimals)
    weight = np.random.default_rng(0).integers(1, 4, len(seen))
    cells = Cells.of(x, seen.label, weight.astype(float), group, groups)
    assert (cells.table is not None) == (decimals == 0)
    found = resample_correlations(cells, groups, 130)
    for column, times in enumerate(drawn(groups, 130).T):
        rows = np.repeat(np.arange(x.size), times[group] * weight)
        for values, function in zip(found, ORACLES, strict=True):
            expected = function(x[rows], CODE[seen.label[rows]]).statistic
            np.testing.assert_allclose(values[column], expected, atol=1e-9)


def test_interval_is_the_percentiles_of_what_is_defined():
    values = np.random.default_rng(0).normal(size=2000)
    assert percentile_interval(values) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    values[:100] = math.nan  # 5 %
    assert percentile_interval(values) == pytest.approx(tuple(np.percentile(values[100:], [2.5, 97.5])))
    values[100] = math.nan
    assert percentile_interval(values) is None


def test_intervals_cover_the_truth():
    """95 % intervals cover 93 to 97 % with 120 groups, and an interval that ignores groups does not.

    Of so few simulations the share may be off by three of its standard errors, and two thirds of it is what is seen of
    an interval that ignores groups.
    """
    large = simulate(60_000, 99)
    total = confusion(large.label, large.verdict, large.weight, large.group, 60_000).sum(axis=0)
    every = Cells.of(large.difference, large.label, large.weight, large.group, 60_000)
    truth = {name: float(COUNT_STATISTICS[name](total)) for name in ("macro_f1", "kappa_symmetric")}
    truth |= {"accuracy": 0.6, "kendall_tau": float(correlations(every, every.total).kendall_tau[0])}
    covered = dict.fromkeys(truth, 0)
    naive = 0
    runs = 200
    for run in range(runs):
        seen = simulate(120, run)
        by_group = resample_sums(confusion(seen.label, seen.verdict, seen.weight, seen.group, 120), 1000)
        cells = Cells.of(seen.difference, seen.label, seen.weight, seen.group, 120)
        resampled = {name: COUNT_STATISTICS[name](by_group) for name in truth if name in COUNT_STATISTICS}
        resampled |= {"kendall_tau": resample_correlations(cells, 120, 500).kendall_tau}
        for name, values in resampled.items():
            low, high = percentile_interval(values)
            covered[name] += low <= truth[name] <= high
        found = np.mean(seen.label == seen.verdict)
        naive += abs(found - 0.6) <= 1.96 * math.sqrt(found * (1 - found) / len(seen))
    few = 3 * math.sqrt(0.95 * 0.05 / runs)  # 0.046
    assert naive / runs < 0.85
    assert all(0.95 - few <= count / runs <= 0.95 + few for count in covered.values()), covered


def test_one_group_resamples_itself():
    seen = make([0, 1, 2], [0, 0, 2], group=[4, 4, 4])
    resampled = resample_sums(confusion(seen.label, seen.verdict, seen.weight, np.zeros(3, int), 1), 10)
    assert (accuracy(resampled) == 2 / 3).all()
