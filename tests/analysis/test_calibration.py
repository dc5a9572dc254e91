"""A small version of `tests/benchmarks/calibration.py`: the same simulations, fewer of them."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from calf.analysis.counts import accuracy, confusion, kappa, macro_f1
from calf.analysis.rank import Cells, correlations

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "calibration.py"
RUNS = 40


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noise(share, runs=RUNS):
    """Three standard errors of a share of so many simulations."""
    return 3.0 * math.sqrt(share * (1.0 - share) / runs)


def test_truth_is_what_a_large_dataset_shows(calibration):
    groups = 40_000
    label, difference, verdict, group = calibration.two_metrics(groups, np.random.default_rng(1))
    n = label.size
    counts = [confusion(label, verdict[:, m], np.ones(n), np.zeros(n, int), 1)[0] for m in range(2)]
    judged = verdict[:, 0] != 3
    cells = Cells.of(difference[judged, 0], label[judged], np.ones(judged.sum()), group[judged], groups)
    found = {
        "accuracy": float(accuracy(counts[0])),
        "macro-F1": float(macro_f1(counts[0])),
        "kappa": float(kappa(counts[0])),
        "difference": float(accuracy(counts[0]) - accuracy(counts[1])),
        "tau-b": float(correlations(cells, cells.total).kendall_tau[0]),
    }
    # Four standard errors, if there were as many comparisons as groups: a bound for all of these statistics.
    assert calibration.truth() == pytest.approx(found, abs=4 / math.sqrt(groups))
    assert set(found) == set(calibration.STATISTICS)


def test_equal_metrics_are_equal_and_not_exchangeable(calibration):
    right, group = calibration.equal_metrics(40_000, np.random.default_rng(2))
    np.testing.assert_allclose(right.mean(axis=0), calibration.ACCURACY, atol=0.01)
    sums = np.stack([np.bincount(group, weights=right[:, m]) for m in (0, calibration.METRICS - 1)])
    apart = sums[0] - sums[1]
    # The standard error of the skewness is 0.012.
    assert abs(np.mean(apart**3) / np.mean(apart**2) ** 1.5) > 0.08


def test_intervals_cover_the_truth_from_a_hundred_groups(calibration):
    times = calibration.covered(100, range(RUNS))
    for name in calibration.STATISTICS:
        share = times[name, "grouped"] / RUNS
        assert 0.93 - noise(0.93) <= share <= min(1.0, 0.97 + noise(0.97)), (name, share)
    naive = {name: times[name, "naive"] / RUNS for name in calibration.STATISTICS}
    assert naive["accuracy"] < 0.9, naive
    assert all(times[name, "grouped"] > times[name, "naive"] for name in calibration.STATISTICS), times


def test_tests_keep_their_level_and_naive_ones_do_not(calibration):
    groups = 100
    times = calibration.rejected(groups, range(RUNS))
    pairs = calibration.METRICS * (calibration.METRICS - 1) / 2
    assert times["grouped family"] / RUNS <= 0.06 + noise(0.06)
    assert 0.02 < times["grouped single"] / RUNS / pairs <= 0.06 + noise(0.06)
    assert times["grouped uncorrected"] / RUNS > 0.3
    assert times["naive single"] / times["naive"] / pairs > 0.1
    assert times["naive family"] / times["naive"] > 0.3
    assert times["mcnemar single"] / RUNS / pairs > 0.1


def test_few_groups_are_exact(calibration):
    """With 8 groups all 256 flips are made; the level is kept, and max-T keeps that of the family."""
    times = calibration.rejected(8, range(RUNS))
    assert times["grouped family"] / RUNS <= 0.06 + noise(0.06)


def test_simulations_are_seeded_one_by_one(calibration):
    parts = calibration.covered(15, range(2))
    parts.update(calibration.covered(15, range(2, 4)))
    assert parts == calibration.covered(15, range(4))
    assert calibration.covered(15, range(4), seed=1)["comparisons", ""] != parts["comparisons", ""]
