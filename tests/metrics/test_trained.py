"""`trained:FOLDER` and `cross-fitted`, as metrics of runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from few_resamples import take_few, with_few_resamples
from made_comparisons import made_dataset

import calf
from calf.datasets.dataset import Dataset
from calf.errors import MissingDependencyError, UserError
from calf.metrics.base import Preparation
from calf.metrics.registry import load_metric
from calf.training.train import train
from calf.types import Comparison, Failure, Opinion

HOME, AWAY = made_dataset(40), made_dataset(20, seed=5, name="away")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trained") / "evaluator"
    with pytest.MonkeyPatch.context() as patch:
        take_few(patch)
        train(HOME, out=place, features="form,lexical", model="logistic", studies=False)
    return place


def overall(run: calf.Run) -> dict[str, object]:
    return dict(next(row for row in run.rows if row["slice"] == "overall"))


@with_few_resamples
def test_it_judges_what_it_has_not_seen(folder: Path, tmp_path: Path) -> None:
    run = calf.evaluate(f"trained:{folder}", AWAY, order="both", runs=tmp_path)
    row = overall(run)
    assert row["coverage"] == 1.0
    assert row["flip_rate"] == 0.0
    assert float(str(row["accuracy"])) > 0.7
    assert run.manifest["family"] == "trained"
    by_place = {(j.id, j.order): j for j in run.judgments}
    for c in AWAY:
        given, swapped = by_place[c.id, "given"], by_place[c.id, "swapped"]
        assert (given.score_a, given.score_b, given.verdict) == (swapped.score_a, swapped.score_b, swapped.verdict)


@with_few_resamples
def test_neither_the_name_nor_the_signature_tells_where_the_folder_is(folder: Path, tmp_path: Path) -> None:
    run = calf.evaluate(f"trained:{folder}", AWAY, limit=3, runs=tmp_path)
    assert run.manifest["metric"] == "trained:./evaluator"
    assert str(folder.parent) not in (run.path / "manifest.json").read_text()
    moved = folder.rename(folder.parent / "moved")
    try:
        again = load_metric(f"trained:{moved}").signature(["en"])
    finally:
        moved.rename(folder)
    assert again.partition("|")[2] == run.manifest["signature"].partition("|")[2]
    assert load_metric(f"trained:{folder}", allow_seen="true").signature(["en"]) != run.manifest["signature"]


@with_few_resamples
def test_what_it_was_trained_on_is_refused_unless_that_is_allowed(folder: Path, tmp_path: Path) -> None:
    refused = calf.evaluate(f"trained:{folder}", HOME, runs=tmp_path)
    assert refused.failures == {"trained_on": len(HOME)}
    assert "allow_seen=true" in refused.messages["trained_on"]
    allowed = calf.evaluate(f"trained:{folder}", HOME, options={"allow_seen": "true"}, runs=tmp_path)
    assert allowed.failures == {}
    calf.evaluate(f"trained:{folder}", HOME, runs=tmp_path, progress=_NothingToDo())


class _NothingToDo:
    def start(self, metric: str, total: int, done: int) -> None:
        raise AssertionError("a refusal is not tried again")

    def advance(self, count: int) -> None: ...
    def finish(self) -> None: ...
    def say(self, message: str) -> None: ...


def test_a_shared_text_takes_its_group_along_and_no_other(folder: Path) -> None:
    rows = list(AWAY)
    rows[0] = replace(rows[0], response_b=HOME.comparisons[4].response_a)
    metric = load_metric(f"trained:{folder}").instance
    metric.prepare(Preparation(rows, 0))  # type: ignore[union-attr]  # it has one
    said = dict(zip([c.id for c in rows], metric.judge([pair(c) for c in rows]), strict=True))  # type: ignore[union-attr]  # as above
    assert {name for name, one in said.items() if isinstance(one, Failure)} == {c.id for c in rows[:3]}
    assert "response" in str(said[rows[1].id])


def pair(c: Comparison, order: str = "given") -> calf.Pair:
    sides = (c.response_a, c.response_b) if order == "given" else (c.response_b, c.response_a)
    return calf.Pair(
        c.id, c.question, c.context, c.reference, *sides, c.language, c.setting, c.subject, None, None, order, 0  # type: ignore[arg-type]  # an order
    )  # fmt: skip


def test_a_folder_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trained evaluator"):
        _ = load_metric(f"trained:{tmp_path}/nothing").instance


def test_the_extra_is_named_where_its_packages_are_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.metrics.loaded.is_here", lambda package: package != "skops")
    with pytest.raises(MissingDependencyError, match=r"calf-eval\[train\]"):
        _ = load_metric(f"trained:{folder}").instance


OPTIONS = {"features": "form,lexical", "model": "logistic", "folds": "4"}


@with_few_resamples
def test_cross_fitted_is_what_train_reports_and_flips_with_the_order(tmp_path: Path) -> None:
    run = calf.evaluate("cross-fitted", HOME, options=OPTIONS, order="both", runs=tmp_path)
    report = train(HOME, features="form,lexical", model="logistic", folds=4, studies=False)
    theirs = next(row for row in report.rows if row["slice"] == "overall")
    ours = overall(run)
    assert ours["flip_rate"] == 0.0
    for name in ("accuracy", "decided_accuracy", "macro_f1", "kappa"):
        assert ours[name] == theirs[name]
    assert float(str(ours["accuracy"])) > 0.7
    assert len({j.score_a for j in run.judgments}) > 20


@with_few_resamples
def test_a_part_is_judged_by_what_the_whole_teaches_and_jobs_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = calf.evaluate("cross-fitted", HOME, options=OPTIONS, runs=tmp_path / "whole")
    learned: list[int] = []
    from calf.metrics import cross_fitted

    original = cross_fitted.cross_fit
    monkeypatch.setattr(cross_fitted, "cross_fit", lambda *a, **k: learned.append(1) or original(*a, **k))
    part = calf.evaluate("cross-fitted", HOME, options=OPTIONS, limit=30, jobs=3, runs=tmp_path / "part")
    assert learned == [1]
    scores = {j.id: j.score_a for j in whole.judgments}
    assert {j.id: j.score_a for j in part.judgments} == {j.id: scores[j.id] for j in part.judgments}


def test_another_seed_deals_other_folds() -> None:
    found = []
    for seed in (0, 1):
        metric = load_metric("cross-fitted", **OPTIONS).instance
        metric.prepare(Preparation(HOME.comparisons, seed))  # type: ignore[union-attr]  # it has one
        opinions = metric.judge([pair(c) for c in HOME])  # type: ignore[union-attr]  # as above
        found.append([one.probabilities for one in opinions if isinstance(one, Opinion)])
    assert not np.array_equal(found[0], found[1])


def test_too_few_groups_are_said_before_anything_is_written(tmp_path: Path) -> None:
    small = Dataset("small", HOME.comparisons[:9])
    with pytest.raises(UserError, match=r"3 groups .* 4 folds"):
        calf.evaluate("cross-fitted", small, options=OPTIONS, runs=tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"features": "form,magic"}, "magic"), ({"folds": "1"}, "2 or more"), ({"jobs": "0"}, "1 or more")],
)
def test_options_that_cannot_be_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _ = load_metric("cross-fitted", **options).instance
