"""`calf train`, as a function: learn an evaluator, say what it is worth, store it."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.datasets.dataset import Dataset
from calf.datasets.load import load_dataset
from calf.datasets.streamed import StreamedDataset
from calf.errors import UserError
from calf.runs.rows import floor_rows, rows_of_decisions
from calf.training.card import write_card
from calf.training.consistency import consistency_of
from calf.training.examples import Examples, Preparer, choose_families, make_examples, split
from calf.training.fit import CrossFitted, decisions_of, fit_on
from calf.training.model import ACCURACY, MEAN, check_model, check_objective
from calf.training.report import Report
from calf.training.scores import scores_table
from calf.training.seen import seen_marks
from calf.training.store import check_new, need_packages, save
from calf.training.studies import Study, ablations, importances, learning_curve
from calf.training.transfer import Transfer, drop_shared, transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from calf.training.model import Evaluator

__all__ = ["train"]

CROSS_FITTED, HELD_OUT, TRANSFERRED = "cross-fitted", "held out", "transferred"

Line = dict[str, Any]


def train(
    on: str | Path | Dataset,
    *,
    test: str | Path | Dataset | None = None,
    out: str | Path | None = None,
    features: str = "auto",
    model: str = MEAN,
    objective: str = ACCURACY,
    scores: Sequence[str] = (),
    folds: int = 5,
    hold_out: float = 0.0,
    open_held_out: bool = False,
    seed: int = 0,
    jobs: int = 1,
    runs: str | Path | None = None,
    studies: bool = True,
    mapping: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Learns an evaluator from human comparisons and says what it is worth on comparisons that it has not seen.

    Args:
        on: the dataset: a known name, a file, a folder, a hub id, or a `Dataset`.
        test: another dataset, to judge with what was learned; what both share is not learned from.
        out: a new folder for the evaluator, which `trained:FOLDER` then names as a metric.
        features: families with commas between (`calf.training.examples.choose_families`).
        model: one of `calf.training.model.MODELS`.
        objective: one of `calf.training.model.OBJECTIVES`: what the rule for `same` is to make best.
        scores: runs on the dataset whose stored scores are learned from, too (a learned ensemble): ids, their
            beginnings, or metrics' names.
        folds: of the groups, for cross-fitting.
        hold_out: the share of the groups that is put aside, by hash, before anything is looked at.
        open_held_out: judge these, too. To be done once, when all is chosen.
        seed: for all draws.
        jobs: how many threads.
        runs: the folder of runs, for `scores`; default: the workspace's, or `./runs`.
        studies: learning curve, ablations and importances, too (they take most of the time).
        mapping: how the columns of `on` are read.
        say: is told what is done.

    Raises:
        UserError: an option, a file or a dataset is not as it must be, or there are too few comparisons.
    """
    check_model(model)
    check_objective(objective)
    families = choose_families(features)
    _check(hold_out, open_held_out=open_held_out, scores=scores, test=test, out=out)
    need_packages("calf train")
    place = None if out is None else Path(out)
    if place is not None:
        check_new(place)
    clock = _Clock(say)
    data = _read(on, mapping)
    other = None if test is None else _read(test, None)
    held = split([c.group for c in data], hold_out)
    rest = tuple(c for c, aside in zip(data, held, strict=True) if not aside)
    aside = tuple(c for c, out_ in zip(data, held, strict=True) if out_)
    dropped = None
    if other is not None:
        rest, dropped = drop_shared(rest, other.comparisons)
    if not rest:
        shared = (
            f": every group shares something with {other.name!r}, which is to be judged" if other is not None else ""
        )
        raise UserError(f"dataset {data.name!r} has no comparisons to learn from{shared}")
    mine = data.replace(rest)
    table, ids = scores_table(scores, data, rest, runs)
    clock.begin("features")
    preparer = Preparer.fit(rest, families, jobs=jobs)
    examples = make_examples(rest, preparer)
    if table is not None:
        examples = examples.with_scores(table)
    report = Report(
        data.name, data.fingerprint, data.notes, len(rest), len(set(examples.groups)), examples.families, model,
        objective, folds, seed, scores=ids, hold_out=hold_out, held_out_groups=len({c.group for c in aside}),
        held_out_comparisons=len(aside), dropped=None if dropped is None else dataclasses.asdict(dropped),
    )  # fmt: skip
    clock.begin("cross-fitting")
    study = Study(model, objective, folds, seed, jobs)
    whole = study.run(examples)
    chosen = dict(Counter(evaluator.kind for evaluator in whole.evaluators).most_common())
    clock.begin("fitting")
    evaluator = fit_on(examples, model=model, objective=objective, seed=seed, jobs=jobs)
    clock.begin("figures")
    report = dataclasses.replace(
        report,
        chosen=chosen,
        losses=dict(evaluator.losses),
        rows=rows_of_decisions(CROSS_FITTED, mine, whole.decisions, order="both"),
        floors=floor_rows(mine, mine, seed),
        consistency=dataclasses.asdict(consistency_of(rest)),
    )
    if aside and open_held_out:
        clock.begin("held out")
        report = dataclasses.replace(report, held_out=_judge(evaluator, preparer, data.replace(aside), HELD_OUT))
    if other is not None and dropped is not None:
        clock.begin("transfer")
        report = _with_transfer(report, study, (examples, whole), evaluator, preparer, other)
    elif studies:
        # What auto takes most often stands for it: trying all of them again for each line would say little more.
        report = _with_studies(report, dataclasses.replace(study, model=next(iter(chosen))), examples, whole, clock)
    report = dataclasses.replace(report, seconds=clock.end(), peak_memory_bytes=_peak_memory())
    if place is not None:
        save(
            place, evaluator, preparer, about=_about(report, mine), seen=seen_marks(rest), card=write_card(report, mine)
        )
        report = dataclasses.replace(report, stored=str(out))
    return report


def _check(
    hold_out: float, *, open_held_out: bool, scores: Sequence[str], test: object | None, out: object | None
) -> None:
    if not 0.0 <= hold_out <= 0.5:
        raise UserError(f"hold_out must be a share from 0 to 0.5, not {hold_out!r}")
    if open_held_out and not hold_out:
        raise UserError("nothing is held out; say which share with --hold-out")
    if scores and (out is not None or test is not None):
        what = "stored" if out is not None else "tried on another dataset"
        raise UserError(f"an evaluator that learns from runs' scores judges their dataset alone, and cannot be {what}")


def _read(dataset: str | Path | Dataset, mapping: Mapping[str, str] | None) -> Dataset:
    found = (
        dataset if isinstance(dataset, Dataset) else load_dataset(dataset, mapping=dict(mapping) if mapping else None)
    )
    if isinstance(found, StreamedDataset):
        found = found.in_memory()
    if not all(c.group for c in found):
        raise UserError("a comparison has no group; calf.datasets.groups.linked_groups makes groups for all")
    return found


def _judge(evaluator: Evaluator, preparer: Preparer, data: Dataset, name: str) -> list[Line]:
    """The rows of comparisons that it has not seen."""
    probabilities = evaluator.probabilities(make_examples(data.comparisons, preparer).pairs)
    verdict = evaluator.calibration.verdicts(probabilities)
    return rows_of_decisions(name, data, decisions_of(probabilities, verdict), order="both")


def _with_studies(report: Report, study: Study, examples: Examples, whole: CrossFitted, clock: _Clock) -> Report:
    clock.begin("learning curve")
    base = whole if set(report.chosen) == {study.model} else study.run(examples)
    curve = list(learning_curve(study, examples, base))
    clock.begin("ablations")
    ablated = list(ablations(study, examples, base))
    clock.begin("importances")
    return dataclasses.replace(
        report, curve=curve, ablations=ablated, importances=list(importances(examples, base, study.seed))
    )


def _with_transfer(
    report: Report,
    study: Study,
    home: tuple[Examples, CrossFitted],
    evaluator: Evaluator,
    preparer: Preparer,
    other: Dataset,
) -> Report:
    there = make_examples(other.comparisons, preparer)
    own = make_examples(
        other.comparisons, Preparer.fit(other.comparisons, preparer.extractor.families, jobs=study.jobs)
    )
    found: Transfer = transfer(study, home, evaluator, there, own)
    rows = rows_of_decisions(TRANSFERRED, other, decisions_of(found.probabilities, found.verdict), order="both")
    about = {"dataset": other.name, "fingerprint": other.fingerprint, **found.as_dict()}
    return dataclasses.replace(report, transfer=about, transferred=rows, floors=floor_rows(other, other, study.seed))


def _about(report: Report, data: Dataset) -> Line:
    """What is stored beside an evaluator: no texts, no ids."""
    row = next(row for row in report.rows if row["slice"] == "overall")
    names = ("accuracy", "decided_accuracy", "macro_f1", "macro_f1_symmetric", "kappa")
    return {
        "trained_on": {
            "dataset": report.dataset,
            "fingerprint": report.fingerprint,
            "comparisons": report.comparisons,
            "groups": report.groups,
            "languages": list(data.languages),
            "held_out_groups": report.held_out_groups,
        },
        "options": {
            "features": list(report.families),
            "model": report.model,
            "objective": report.objective,
            "folds": report.folds,
            "hold_out": report.hold_out,
            "seed": report.seed,
        },
        "cross_fitted": {f"{name}{end}": row[f"{name}{end}"] for name in names for end in ("", "_low", "_high")},
        "seconds": dict(report.seconds),
        "peak_memory_bytes": report.peak_memory_bytes,
    }


class _Clock:
    """Tells what is begun, and keeps how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._taken: dict[str, float] = {}
        self._start = self._since = time.perf_counter()
        self._name = "reading"

    def begin(self, name: str) -> None:
        self._close()
        self._say(name)
        self._name = name

    def end(self) -> dict[str, float]:
        self._close()
        return {**self._taken, "all": time.perf_counter() - self._start}

    def _close(self) -> None:
        now = time.perf_counter()
        self._taken[self._name] = self._taken.get(self._name, 0.0) + now - self._since
        self._since = now


def _peak_memory() -> int:
    """Of this process, in bytes, since it began."""
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
