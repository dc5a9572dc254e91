"""How long the group bootstrap takes, against plain loops over scikit-learn and scipy, in one process.

    python tests/benchmarks/bootstrap.py [--loop 50]

Synthetic data of the shape of LFQA-E's Chinese part: 1,193 comparisons in 501 groups. A plain loop takes the rows of
each resample (which rows is worked out before, and not timed) and calls the library; it is timed on the first resamples
and scaled up. Both see the same resamples, and the values are compared.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from calf.analysis import STATISTICS, Observations, confusion, measure
from calf.analysis.bootstrap import COUNT_RESAMPLES, RANK_RESAMPLES, _kept_draw, multiplicities, resample_sums
from calf.analysis.counts import accuracy, kappa, macro_f1
from calf.analysis.rank import Cells, resample_correlations

if TYPE_CHECKING:
    from collections.abc import Callable

COMPARISONS, GROUPS = 1193, 501
CODE = np.array([1.0, -1.0, 0.0])


def synthetic() -> Observations:
    """Labels 50 % A, 37 % B, 13 % same; a score difference that knows a little of them; almost no verdict same."""
    chance = np.random.default_rng(20241001)
    group = np.concatenate((np.arange(GROUPS), chance.integers(0, GROUPS, COMPARISONS - GROUPS)))
    label = chance.choice(3, COMPARISONS, p=[0.5, 0.37, 0.13]).astype(np.int8)
    difference = np.round(0.2 * CODE[label] + chance.normal(size=COMPARISONS), 4)
    verdict = np.where(difference > 0, 0, np.where(difference < 0, 1, 2)).astype(np.int8)
    return Observations.of(label, verdict, difference, group)


def timed(work: Callable[[], np.ndarray], times: int = 5) -> tuple[float, np.ndarray]:
    """The least seconds of several tries, and the value."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), value


def first(work: Callable[[], np.ndarray]) -> float:
    """Seconds with no resamples kept from before."""
    _kept_draw.cache_clear()
    return timed(work, 1)[0]


def report(what: str, resamples: int, loop: int, ours: tuple[float, float], theirs: float, name: str) -> None:
    whole = theirs / loop * resamples
    cold, warm = ours
    print(f"{what}, {resamples:,} resamples")
    print(f"  loop over {name:<14}{whole:9.2f} s   ({loop} resamples in {theirs:.3f} s, scaled up)")
    print(f"  calf, first metric      {cold:9.4f} s   {whole / cold:6.0f} times  (draws the resamples)")
    print(f"  calf, further metrics   {warm:9.4f} s   {whole / warm:6.0f} times  (the same resamples)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", type=int, default=50, help="resamples that the plain loops are timed on")
    loop = parser.parse_args().loop
    seen = synthetic()
    versions = f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"
    print(f"{COMPARISONS:,} comparisons, {GROUPS} groups; Python {platform.python_version()}, {versions}\n")
    times = np.concatenate(list(multiplicities(GROUPS, max(loop, 1))), axis=1)
    taken = [np.repeat(np.arange(COMPARISONS), times[seen.group, column]) for column in range(loop)]

    def counted() -> np.ndarray:
        table = confusion(seen.label, seen.verdict, seen.weight, seen.group, GROUPS)
        resampled = resample_sums(table, COUNT_RESAMPLES)
        return np.stack([accuracy(resampled), macro_f1(resampled), kappa(resampled)], axis=1)

    def counted_plainly() -> np.ndarray:
        values = []
        for rows in taken:
            label, verdict = seen.label[rows], seen.verdict[rows]
            macro = f1_score(label, verdict, average="macro", zero_division=0)
            values.append((accuracy_score(label, verdict), macro, cohen_kappa_score(label, verdict)))
        return np.array(values)

    def ranked() -> np.ndarray:
        cells = Cells.of(seen.difference, seen.label, seen.weight, seen.group, GROUPS)
        found = resample_correlations(cells, GROUPS, RANK_RESAMPLES)
        return np.stack(found, axis=1)

    def ranked_plainly() -> np.ndarray:
        values = []
        for rows in taken:
            x, y = seen.difference[rows], CODE[seen.label[rows]]
            tau_c = stats.kendalltau(x, y, variant="c")
            found = (stats.kendalltau(x, y), tau_c, stats.spearmanr(x, y), stats.pearsonr(x, y))
            values.append([one.statistic for one in found])
        return np.array(values)

    for what, resamples, ours, plain, name in (
        ("accuracy, macro-F1, kappa", COUNT_RESAMPLES, counted, counted_plainly, "scikit-learn"),
        ("tau-b, tau-c, Spearman, Pearson", RANK_RESAMPLES, ranked, ranked_plainly, "scipy"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain_seconds, expected = timed(plain, 3)
        cold = first(ours)
        warm, found = timed(ours)
        np.testing.assert_allclose(found[:loop], expected, rtol=0, atol=1e-9)
        report(what, resamples, loop, (cold, warm), plain_seconds, name)
        print(f"  equal on the {loop} common resamples: largest gap {np.abs(found[:loop] - expected).max():.1e}\n")

    cold = first(lambda: np.array(len(measure(seen))))
    warm, _ = timed(lambda: np.array(len(measure(seen))))
    print(
        f"measure(): all {len(STATISTICS)} statistics with intervals: {cold:.3f} s the first time, {warm:.3f} s after"
    )


if __name__ == "__main__":
    main()
