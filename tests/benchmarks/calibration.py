"""Do intervals cover the truth, and do tests keep their level, where the comparisons of a group depend on each other?

    python tests/benchmarks/calibration.py [--simulations 1000] [--processes 2]

Simulated data of known truth, with 1 to 5 comparisons a group. Two tables, in percent, for each number of groups:

1. How often the 95 % group-bootstrap intervals contain the truth, and what the same intervals do that take every
   comparison for a group of its own ("naive").
2. How often tests at 5 % reject although all ten metrics have the same accuracy. They are not exchangeable: each is
   best on groups of another kind, so the differences of two metrics are skewed.

Simulations are seeded, so a run with the same number of them prints the same tables.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from statistics import NormalDist

import numpy as np

from calf.analysis.bootstrap import COUNT_RESAMPLES, RANK_RESAMPLES, percentile_interval, resample_sums
from calf.analysis.counts import accuracy, confusion, kappa, macro_f1
from calf.analysis.paired import paired_tests
from calf.analysis.rank import Cells, resample_correlations

SIZES = (15, 30, 50, 100, 200, 500)
MOST_A_GROUP = 5
STATISTICS = ("accuracy", "macro-F1", "kappa", "tau-b", "difference")
COUNTED = {"accuracy": accuracy, "macro-F1": macro_f1, "kappa": kappa}
AT_ONCE = 20
# Tests that ignore groups take longest and are far from their level: a fifth of the simulations shows by how much.
NAIVE_EVERY = 5

# A group is of one of four kinds: questions whose answers are easy or hard to judge, and systems of which people mostly
# prefer the one that comes first or the other.
KINDS = np.array([0.3, 0.2, 0.3, 0.2])
LABELS = np.array([[0.65, 0.20, 0.15], [0.25, 0.60, 0.15], [0.65, 0.20, 0.15], [0.25, 0.60, 0.15]])
# How far a better answer raises the score difference of either metric; in each group, and in each comparison, normal
# noise is added. A metric says same where the difference is small, and sometimes fails.
KNOWS = np.array([[1.6, 1.6, 0.1, 0.1], [1.0, 1.0, 0.6, 0.6]])
GROUP_NOISE, NOISE = 1.0, 0.8
SAME_BELOW, FAILS = 0.4, 0.02
CODE = np.array([1.0, -1.0, 0.0])
FAILED = 3

# Ten metrics of one accuracy: a metric's is higher by 0.7 of its slant in 30 % of the groups and lower by 0.3 of it in
# the others. In half of the groups it is right in all comparisons or in none.
METRICS, ACCURACY, SPECIAL, WHOLE = 10, 0.6, 0.3, 0.5
SLANTS = np.linspace(-0.5, 0.5, METRICS)


def truth() -> dict[str, float]:
    """What the statistics are in a dataset without end, from the normal distribution's integrals."""
    total = NormalDist(0.0, math.hypot(NOISE, GROUP_NOISE))
    counts = np.zeros((2, 3, 4))
    for metric, kind, label in product(range(2), range(4), range(3)):
        mean = KNOWS[metric, kind] * CODE[label]
        below, above = total.cdf(-SAME_BELOW - mean), 1.0 - total.cdf(SAME_BELOW - mean)
        judged = np.array([above, below, 1.0 - above - below]) * (1.0 - FAILS)
        counts[metric, label] += KINDS[kind] * LABELS[kind, label] * np.array([*judged, FAILS])
    values = {name: float(statistic(counts[0])) for name, statistic in COUNTED.items()}
    values["difference"] = float(accuracy(counts[0]) - accuracy(counts[1]))
    # tau-b of (difference, label) of two comparisons from different groups; differences are never equal.
    score, untied = 0.0, 0.0
    for (kind, label), (other_kind, other_label) in product(product(range(4), range(3)), repeat=2):
        share = KINDS[kind] * LABELS[kind, label] * KINDS[other_kind] * LABELS[other_kind, other_label]
        apart = KNOWS[0, kind] * CODE[label] - KNOWS[0, other_kind] * CODE[other_label]
        higher = NormalDist().cdf(apart / (total.stdev * math.sqrt(2.0)))
        score += share * (2.0 * higher - 1.0) * np.sign(CODE[label] - CODE[other_label])
        untied += share * (label != other_label)
    values["tau-b"] = score / math.sqrt(untied)
    return values


def generator(seed: int, groups: int, run: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(groups, run)))


def two_metrics(groups: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels (n,), differences and verdicts of two metrics (n, 2), and groups (n,)."""
    group = np.repeat(np.arange(groups), chance.integers(1, MOST_A_GROUP + 1, groups))
    kind = chance.choice(4, groups, p=KINDS)[group]
    label = (chance.random(group.size)[:, np.newaxis] > np.cumsum(LABELS[kind], axis=1)[:, :2]).sum(axis=1)
    difference = KNOWS[:, kind].T * CODE[label][:, np.newaxis] + chance.normal(0.0, NOISE, (group.size, 2))
    difference += chance.normal(0.0, GROUP_NOISE, (groups, 2))[group]
    verdict = np.where(difference > SAME_BELOW, 0, np.where(difference < -SAME_BELOW, 1, 2))
    verdict[chance.random(verdict.shape) < FAILS] = FAILED
    return label.astype(np.int8), difference, verdict.astype(np.int8), group


def equal_metrics(groups: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which comparisons ten metrics of the same accuracy have right (n, 10), and groups (n,)."""
    group = np.repeat(np.arange(groups), chance.integers(1, MOST_A_GROUP + 1, groups))
    special = chance.random(groups) < SPECIAL
    share = ACCURACY + np.where(special[:, np.newaxis], 1.0 - SPECIAL, -SPECIAL) * SLANTS
    whole = (chance.random((groups, METRICS)) < WHOLE)[group]
    of_group = (chance.random((groups, METRICS)) < share)[group]
    return np.where(whole, of_group, chance.random((group.size, METRICS)) < share[group]).astype(float), group


def covered(groups: int, runs: range, seed: int = 0) -> Counter[tuple[str, str]]:
    """In how many simulations the interval of each statistic contains the truth, by group and naively."""
    true = truth()
    times: Counter[tuple[str, str]] = Counter()
    for run in runs:
        chance = generator(seed, groups, run)
        label, difference, verdict, group = two_metrics(groups, chance)
        n = label.size
        judged = verdict[:, 0] != FAILED
        right = (verdict == label[:, np.newaxis]).astype(float)
        tests = paired_tests(right, np.ones((n, 2), dtype=bool), group)
        intervals = {("difference", "grouped"): (tests.low[0], tests.high[0])}
        table = confusion(label, verdict[:, 0], np.ones(n), group, groups)
        # With every row a group of its own, counts of a resample are multinomial: this is that bootstrap, drawn faster.
        counts = {
            "grouped": resample_sums(table, COUNT_RESAMPLES),
            "naive": chance.multinomial(n, table.sum(axis=0).ravel() / n, COUNT_RESAMPLES).reshape(-1, 3, 4),
        }
        for way, resampled in counts.items():
            for name, statistic in COUNTED.items():
                intervals[name, way] = percentile_interval(statistic(resampled.astype(float)))
        apart = right[:, 0] - right[:, 1]
        kinds = np.array([np.count_nonzero(apart == value) for value in (1.0, -1.0, 0.0)]) / n
        resampled = chance.multinomial(n, kinds, COUNT_RESAMPLES) @ CODE / n
        intervals["difference", "naive"] = percentile_interval(resampled)
        for way, codes, number in (("grouped", group, groups), ("naive", np.arange(n), n)):
            cells = Cells.of(difference[judged, 0], label[judged], np.ones(judged.sum()), codes[judged], number)
            tau = resample_correlations(cells, number, RANK_RESAMPLES).kendall_tau
            intervals["tau-b", way] = percentile_interval(tau)
        for (name, way), interval in intervals.items():
            # An undefined interval says nothing, so it does not contain the truth.
            times[name, way] += interval is not None and interval[0] <= true[name] <= interval[1]
        times["comparisons", ""] += n
    return times


def rejected(groups: int, runs: range, seed: int = 0) -> Counter[str]:
    """In how many simulations each test rejects what is true; of single tests, the sum over the 45 pairs."""
    times: Counter[str] = Counter()
    for run in runs:
        right, group = equal_metrics(groups, generator(seed, groups, run))
        judged = np.ones(right.shape, dtype=bool)
        ways = {"grouped": group} | ({} if run % NAIVE_EVERY else {"naive": np.arange(group.size)})
        for way, codes in ways.items():
            tests = paired_tests(right, judged, codes)
            times[way] += 1
            single = tests.p_permutation <= 0.05
            times[f"{way} single"] += np.count_nonzero(single)
            times[f"{way} extreme"] += single[METRICS - 2]  # first and last metric: the slants furthest apart
            times[f"{way} uncorrected"] += single.any()
            times[f"{way} family"] += (tests.p_adjusted <= 0.05).any()
        times["mcnemar single"] += np.count_nonzero(tests.p_mcnemar <= 0.05)
        times["mcnemar uncorrected"] += (tests.p_mcnemar <= 0.05).any()
    return times


def skewed(groups: int, runs: range, seed: int = 0) -> Counter[str]:
    """Two metrics of equal accuracy that are not exchangeable: the hardest case that we know for the sign flips.

    Of nine comparisons a group, one metric alone is right in all, in one group of ten; else the other is in one.
    """
    times: Counter[str] = Counter()
    group = np.repeat(np.arange(groups), 9)
    for run in runs:
        whole = np.repeat(generator(seed, groups, run).random(groups) < 0.1, 9)
        single = ~whole & (np.arange(group.size) % 9 == 0)
        right = np.stack((whole, single), axis=1).astype(np.float64)
        tests = paired_tests(right, np.ones(right.shape, dtype=bool), group)
        times["rejected"] += bool(tests.p_permutation[0] <= 0.05)
        times["covered"] += bool(tests.low[0] <= 0.0 <= tests.high[0])
    return times


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n")
    print(f"| {' | '.join(columns)} |")
    print("|" + " ---: |" * len(columns))
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="of each table, for each number of groups")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    runs = chosen.simulations
    start = time.perf_counter()
    with ProcessPoolExecutor(chosen.processes) as pool:
        # The largest first, so that no process works alone at the end.
        parts = [
            (what, groups, pool.submit(what, groups, range(first, min(first + AT_ONCE, runs))))
            for groups in reversed(SIZES)
            for what in (covered, rejected, skewed)
            for first in range(0, runs, AT_ONCE)
        ]
        sums: dict[tuple[object, int], Counter] = {(what, groups): Counter() for what, groups, _ in parts}
        for what, groups, part in parts:
            sums[what, groups].update(part.result())
    seconds = time.perf_counter() - start
    pairs = METRICS * (METRICS - 1) // 2

    def percent(times: int, of: int = runs) -> str:
        return f"{100.0 * times / of:.1f}"

    true = ", ".join(f"{name} {value:.3f}" for name, value in truth().items())
    print(f"{runs} simulations a row, {seconds:.0f} s on {chosen.processes} processes. Truth: {true}.")
    print(f"Standard error of a figure near 95 or 5: {100 * math.sqrt(0.95 * 0.05 / runs):.1f} points.")
    lines = []
    for groups in SIZES:
        times = sums[covered, groups]
        shares = [percent(times[name, way]) for name in STATISTICS for way in ("grouped", "naive")]
        lines.append([str(groups), f"{times['comparisons', ''] / runs:.0f}", *shares])
    columns = ["groups", "comparisons", *(part for name in STATISTICS for part in (name, "naive"))]
    table("95 % intervals that contain the truth, %", columns, lines)
    lines = []
    for groups in SIZES:
        times = sums[rejected, groups]
        lines.append(
            [
                str(groups),
                percent(times["grouped single"], runs * pairs),
                percent(times["grouped extreme"]),
                percent(times["grouped family"]),
                percent(times["grouped uncorrected"]),
                percent(times["naive single"], times["naive"] * pairs),
                percent(times["naive family"], times["naive"]),
                percent(times["mcnemar single"], runs * pairs),
                percent(times["mcnemar uncorrected"]),
            ]
        )
    columns = ["groups", "sign flips", "most slanted pair", "any of 45, max-T", "any of 45, uncorrected"]
    columns += ["naive sign flips", "any of 45, naive max-T", "McNemar", "any of 45, McNemar"]
    table("True nulls rejected at 5 %, %", columns, lines)
    lines = []
    for groups in SIZES:
        times = sums[skewed, groups]
        lines.append([str(groups), percent(times["rejected"]), percent(times["covered"])])
    columns = ["groups", "sign flips reject", "interval contains 0"]
    table("Equal accuracy, not exchangeable (one wins rarely, by whole groups), %", columns, lines)
    large = [groups for groups in SIZES if groups >= 100]
    shares = [100.0 * sums[covered, groups][name, "grouped"] / runs for groups in large for name in STATISTICS]
    single = max(sums[rejected, groups]["grouped single"] / pairs for groups in SIZES)
    family = max(sums[rejected, groups]["grouped family"] for groups in SIZES)
    print(f"\nFrom 100 groups up, intervals cover {min(shares):.1f} to {max(shares):.1f} %.")
    print(f"Of nearly exchangeable metrics, sign flips reject at most {percent(single)} %, max-T {percent(family)} %.")


if __name__ == "__main__":
    main()
