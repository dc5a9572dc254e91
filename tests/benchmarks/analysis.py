"""The analysis on data of the size of the full LFQA-E, against plain loops over scipy, scikit-learn and numpy.

    python tests/benchmarks/analysis.py [--metrics 20]

Synthetic: 7,323 comparisons in 1,618 groups, two languages, three settings, fifteen subjects, and metrics whose
continuous scores know more or less of the labels. Prints a markdown table. Plain alternatives that would take long are
timed on a part and multiplied; the table says on what part. Where both make the same figures, they are compared. The
last part writes the runs as `calf runs import` does, and runs `calf compare` as a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import functools
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from calf.analysis.bootstrap import COUNT_RESAMPLES, multiplicities, percentile_interval, resample_sums
from calf.analysis.counts import accuracy, confusion, kappa, macro_f1
from calf.analysis.paired import FLIPS, _flips, paired_tests
from calf.analysis.ties import best_threshold, cross_fitted, verdicts_at
from calf.datasets.load import load_dataset
from calf.decide import Judgment, verdict_of_scores
from calf.runs.facts import facts_of, slices_of
from calf.runs.importing import import_run
from calf.runs.rows import floor_rows, rows_of
from calf.types import LABELS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from calf.datasets.dataset import Dataset

LANGUAGES = {"zh": (1193, 592), "en": (6130, 1026)}  # comparisons, groups
SUBJECTS = 15
FAILING = 5  # every fifth stored run ...
MISSING = 100  # ... leaves out every hundredth comparison
CHAPTERS = {
    "facts and slices of the dataset": ("calf.runs.rows:facts_of", "calf.runs.rows:slices_of"),
    "decisions": ("calf.runs.rows:decide",),
    "correlations": ("calf.analysis.measures:_put_correlations",),
    "thresholds": ("calf.analysis.measures:tie_shares",),
    "chance level of thresholds": ("calf.analysis.measures:chance_levels",),
    "gain over length": ("calf.analysis.measures:length_gain",),
    "orders, repeats, other biases": tuple(
        f"calf.analysis.measures:{name}"
        for name in ("order_shares", "retest", "length_shares", "origin_shares", "overlap_shares")
    ),
    "sums of the resamples": ("calf.analysis.measures:resample_sums", "calf.analysis.across:resample_sums"),
    "percentiles": ("calf.analysis.row:percentile_interval",),
    "macro-averages and gaps": ("calf.runs.rows:macro_average", "calf.runs.rows:gaps"),
}
REST = "statistics of the resamples, and the rest"


def records() -> Iterator[dict[str, Any]]:
    """The comparisons, with short texts; labels 47 % A, 38 % B, 15 % same."""
    chance = np.random.default_rng(20241001)
    words = {"en": [f"word{i}" for i in range(500)], "zh": [chr(0x4E00 + i) for i in range(500)]}
    for language, (comparisons, groups) in LANGUAGES.items():
        group = np.sort(np.concatenate((np.arange(groups), chance.integers(0, groups, comparisons - groups))))
        subject = chance.integers(0, SUBJECTS, groups)
        gap = " " if language == "en" else ""

        def text(size: int, gap: str = gap, known: list[str] = words[language]) -> str:
            return gap.join(chance.choice(known, size))

        references = [text(40) for _ in range(groups)]
        for place, code in enumerate(group.tolist()):
            yield {
                "id": f"{language}-{place}",
                "group": f"{language}-{code}",
                "question": f"question {language} {code}",
                "reference": references[code],
                "response_a": text(int(chance.integers(5, 60))),
                "response_b": text(int(chance.integers(5, 60))),
                "setting": SETTINGS[int(chance.integers(len(SETTINGS)))],
                "label": LABELS[int(chance.choice(3, p=[0.47, 0.38, 0.15]))],
                "language": language,
                "subject": f"subject {subject[code] + 1}",
            }


def scores_of(dataset: Dataset, metrics: int) -> NDArray[np.float64]:
    """Scores of both responses, (metrics, n, 2): metrics know more and more of the label, and err alike in a group."""
    chance = np.random.default_rng(20241002)
    facts = facts_of(dataset)
    towards = np.array([1.0, -1.0, 0.0])[facts.label]
    shared = chance.normal(size=len(dataset)) + chance.normal(size=facts.group.max() + 1)[facts.group]
    scores = chance.normal(size=(metrics, len(dataset), 2))
    for metric, known in enumerate(np.linspace(0.1, 0.6, metrics)):
        scores[metric, :, 0] += known * towards + 0.5 * shared
    return scores


class Stopwatch:
    """Seconds by chapter: each moment counts for the innermost chapter that runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running = [REST]
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def chapter(self, name: str) -> Iterator[None]:
        self._tick()
        self._running.append(name)
        try:
            yield
        finally:
            self._tick()
            self._running.pop()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.chapter(name):
                found = function(*arguments, **options)
                return iter(list(found)) if hasattr(found, "__next__") else found

        return timed

    @classmethod
    def of(cls, work: Callable[[], Any]) -> Stopwatch:
        """What a call takes, its functions being watched for its time."""
        with contextlib.ExitStack() as stack:
            watch = cls()
            for chapter, places in CHAPTERS.items():
                for place in places:
                    module_name, _, name = place.partition(":")
                    module = importlib.import_module(module_name)
                    function = getattr(module, name)
                    stack.callback(setattr, module, name, function)
                    setattr(module, name, watch.watch(chapter, function))
            watch._since = time.perf_counter()
            work()
            watch._tick()
        return watch


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def row(what: str, ours: float, plain: float, alternative: str) -> None:
    line(what, f"{ours:.2f} s", f"{plain:,.1f} s", f"{plain / ours:,.0f}", alternative)


def whole_run(dataset: Dataset, scores: NDArray[np.float64]) -> None:
    judgments = [
        [
            Judgment(c.id, "given", 0, a, b, verdict_of_scores(a, b))
            for c, (a, b) in zip(dataset, values.tolist(), strict=True)
        ]
        for values in scores[:2]
    ]
    dataset = dataclasses.replace(dataset, comparisons=(*dataset.comparisons,))  # nothing is known of it yet
    first = Stopwatch.of(lambda: rows_of("first", dataset, judgments[0], kind="response"))
    before = time.process_time()
    second, rows = timed(lambda: rows_of("second", dataset, judgments[1], kind="response"))
    processor = time.process_time() - before
    floors, _ = timed(lambda: floor_rows(dataset, dataset, 0))
    total = sum(first.seconds.values())
    slices = len(list(slices_of(dataset)))
    print("## The whole analysis of one run\n")
    print(
        f"{slices} slices, {len(rows)} rows of {len(rows[0])} keys. The first run of a process: {total:.2f} s; "
        f"the second: {second:.2f} s ({processor:.2f} s of processor time); all floors, once for all runs on a "
        f"dataset: {floors:.2f} s.\n"
    )
    line("chapter", "seconds, first run", "share")
    line("-", "-:", "-:")
    for chapter, seconds in sorted(first.seconds.items(), key=lambda item: -item[1]):
        line(chapter, f"{seconds:.3f}", f"{seconds / total:.0%}")
    print()


def pairs(right: NDArray[np.float64], group: NDArray[np.int64]) -> None:
    judged = np.ones(right.shape, dtype=np.bool_)
    ours, found = timed(lambda: paired_tests(right, judged, group))
    sums = np.stack([np.bincount(group, weights=column) for column in right.T], axis=1)
    part = list(range(0, found.a.size, max(1, found.a.size // 3)))[:3]

    def by_scipy(pair: int) -> float:
        samples = sums[:, found.a[pair]], sums[:, found.b[pair]]
        result = stats.permutation_test(
            samples, lambda x, y, axis: (x - y).sum(axis=axis), permutation_type="samples", vectorized=True,
            n_resamples=FLIPS, batch=500, rng=np.random.default_rng(pair),
        )  # fmt: skip
        return float(result.pvalue)

    theirs, values = timed(lambda: [by_scipy(pair) for pair in part])
    noise = 5 * np.sqrt(found.p_permutation[part] * (1 - found.p_permutation[part]) / FLIPS) * np.sqrt(2) + 1e-3
    assert np.all(np.abs(values - found.p_permutation[part]) < noise), "p values are not those of scipy"
    row(
        f"{found.a.size} paired tests: intervals, p, max-T, McNemar", ours, theirs / len(part) * found.a.size,
        f"scipy.stats.permutation_test, p alone, {len(part)} pairs scaled up; equal within the noise of its own flips",
    )  # fmt: skip

    def by_numpy() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sign = 1.0 - 2.0 * np.concatenate(list(_flips(sums.shape[0], 0)), axis=1)
        statistic = np.empty((found.a.size, FLIPS))
        observed, scale = np.empty(found.a.size), np.empty(found.a.size)
        for pair, (a, b) in enumerate(zip(found.a, found.b, strict=True)):
            of_groups = sums[:, a] - sums[:, b]
            observed[pair], scale[pair] = abs(of_groups.sum()), np.sqrt((of_groups**2).sum())
            statistic[pair] = np.abs(of_groups @ sign)
        p = (1 + (statistic >= observed[:, np.newaxis]).sum(axis=1)) / (1 + FLIPS)
        order = np.argsort(-observed / scale, kind="stable")
        adjusted, last = np.empty_like(p), 0.0
        for place, pair in enumerate(order):
            largest = (statistic[order[place:]] / scale[order[place:], np.newaxis]).max(axis=0)
            count = 1 + (largest >= observed[pair] / scale[pair] * (1 - 1e-12)).sum()
            adjusted[pair] = last = max(last, count / (1 + FLIPS))
        return p, adjusted

    theirs, (p, adjusted) = timed(by_numpy)
    np.testing.assert_array_equal(found.p_permutation, p)
    np.testing.assert_array_equal(found.p_adjusted, adjusted)
    row(
        "the same",
        ours,
        theirs,
        "numpy, a loop over pairs: p and max-T of the same flips, no intervals; p values equal",
    )


def thresholds(difference: NDArray[np.float64], label: NDArray[np.int8], fold: NDArray[np.int64]) -> None:
    metrics, n = difference.shape
    weight = np.ones(n)
    ours, best = timed(lambda: [best_threshold(values, label, weight) for values in difference])
    fitted, of_rows = timed(lambda: [cross_fitted(values, label, weight, fold) for values in difference])
    candidates = np.unique(np.append(np.abs(difference[0]), 0.0))
    some = candidates[:: candidates.size // 40]
    theirs, _ = timed(lambda: [accuracy_score(label, verdicts_at(difference[0], one)) for one in some])
    one_metric = theirs / some.size * candidates.size
    row(
        f"{metrics} best thresholds of {candidates.size:,} candidates", ours, one_metric * metrics,
        f"scikit-learn's accuracy_score at each candidate, {some.size} scaled up",
    )  # fmt: skip
    folds = np.unique(fold)
    row(
        f"{metrics} cross-fitted thresholds, {folds.size} folds", fitted,
        one_metric * metrics * (folds.size - 1), "the same on the rows of the other folds, scaled from the above",
    )  # fmt: skip

    def plainly(values: NDArray[np.float64], rows: NDArray[np.bool_]) -> float:
        seen, truth = values[rows], label[rows]
        tried = np.unique(np.append(np.abs(seen), 0.0))
        return float(tried[np.argmax([np.count_nonzero(verdicts_at(seen, one) == truth) for one in tried])])

    everything = np.ones(n, dtype=np.bool_)
    theirs, values = timed(lambda: plainly(difference[-1], everything))
    assert values == best[-1], "the thresholds differ"
    row(f"{metrics} best thresholds", ours, theirs * metrics, "numpy at each candidate, 1 metric scaled up; equal")
    theirs, values = timed(lambda: plainly(difference[-1], fold != folds[0]))
    assert np.all(of_rows[-1][fold == folds[0]] == values), "the cross-fitted thresholds differ"
    row(
        f"{metrics} cross-fitted thresholds", fitted, theirs * metrics * folds.size,
        "numpy at each candidate, 1 metric and fold scaled up; equal",
    )  # fmt: skip


def intervals(verdict: NDArray[np.int8], label: NDArray[np.int8], group: NDArray[np.int64]) -> None:
    groups = int(group.max()) + 1
    weight = np.ones(label.size)

    def of_metric(said: NDArray[np.int8]) -> NDArray[np.float64]:
        drawn = resample_sums(confusion(label, said, weight, group, groups), COUNT_RESAMPLES)
        values = np.stack([accuracy(drawn), macro_f1(drawn), kappa(drawn)], axis=1)
        for column in values.T:
            percentile_interval(column)
        return values

    ours, (found, *_) = timed(lambda: [of_metric(said) for said in verdict])
    loop = 20
    times = next(multiplicities(groups, loop))
    taken = [np.repeat(np.arange(label.size), times[group, column]) for column in range(loop)]

    def plainly() -> list[tuple[float, float, float]]:
        return [
            (
                accuracy_score(label[rows], verdict[0][rows]),
                f1_score(label[rows], verdict[0][rows], average="macro", zero_division=0),
                cohen_kappa_score(label[rows], verdict[0][rows]),
            )
            for rows in taken
        ]

    theirs, expected = timed(plainly)
    np.testing.assert_allclose(found[:loop], expected, rtol=0, atol=1e-9)
    row(
        f"{3 * len(verdict)} intervals of accuracy, macro-F1, kappa", ours,
        theirs / loop * COUNT_RESAMPLES * len(verdict),
        f"scikit-learn on each resample, {loop} of one metric scaled up; equal to 1e-9",
    )  # fmt: skip


def compared(dataset: Dataset, file: Path, scores: NDArray[np.float64], folder: Path) -> None:
    started = time.perf_counter()
    for metric, values in enumerate(scores):
        path = folder / f"metric-{metric}.csv"
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(("id", "score_a", "score_b"))
            for place, (c, (a, b)) in enumerate(zip(dataset, values.tolist(), strict=True)):
                if metric % FAILING or place % MISSING:
                    writer.writerow((c.id, a, b))
        import_run(path, f"metric-{metric}", dataset, folder / "runs")
    imported = time.perf_counter() - started
    command = [sys.executable, "-m", "calf", "compare", "--dataset", str(file), "--runs", str(folder / "runs")]
    print(f"\n## `calf compare` of {len(scores)} runs, as a process\n")
    print(f"(Writing and analysing the {len(scores)} runs before took {imported:.1f} s.)\n")
    line("output", "seconds", "processor seconds", "peak memory")
    line("-", "-:", "-:", "-:")
    for form in ("table", "json"):
        seconds, processor, memory, output = process([*command, "--format", form])
        line(form, f"{seconds:.2f}", f"{processor:.2f}", f"{memory / 2**20:.0f} MiB")
    found = json.loads(output)
    slices = {pair["slice"] for pair in found["pairs"]}
    expected = len(scores) * (len(scores) - 1) // 2 * len(slices)
    assert len(found["pairs"]) == expected, "pairs are missing"
    print(f"\n{len(found['pairs']):,} paired tests in {len(slices)} slices.")


# A process of its own, since the peak of a child begins with the memory of the one that it was forked from.
MEASURED = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
output = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
size = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([seconds, used.ru_utime + used.ru_stime, size, output]))
"""


def process(command: list[str]) -> tuple[float, float, int, str]:
    """Seconds, seconds of processor time, peak memory in bytes, and output of a command that must succeed."""
    words = [sys.executable, "-c", MEASURED, *command]
    seconds, processor, size, output = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return seconds, processor, size, output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", type=int, default=20)
    metrics = parser.parse_args().metrics
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "synthetic.jsonl"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records())
        dataset = load_dataset(file)
        groups = len({c.group for c in dataset})
        print(
            f"{len(dataset):,} comparisons, {groups:,} groups, {metrics} metrics. {os.cpu_count()} cores, load "
            f"{os.getloadavg()[0]:.1f}; Python {platform.python_version()}, numpy {np.__version__}, "
            f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}\n"
        )
        scores = scores_of(dataset, metrics)
        whole_run(dataset, scores)

        facts = facts_of(dataset)
        difference = scores[:, :, 0] - scores[:, :, 1]
        verdict = np.stack([verdicts_at(values, 0.0) for values in difference])
        print("## All metrics on the whole dataset, one slice\n")
        line("what", "calf", "plain", "ratio", "plain alternative")
        line("-", "-:", "-:", "-:", "-")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pairs((verdict == facts.label).T.astype(np.float64), facts.group)
            thresholds(difference, facts.label, facts.fold)
            intervals(verdict, facts.label, facts.group)
        compared(dataset, file, scores, Path(name))
        print(f"\nLoad at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
