"""Datasets that stay in their files: the same bytes as in memory, part by part."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from few_resamples import take_few, take_one_floor

from calf import compare, evaluate, load_dataset
from calf.datasets import dataset as dataset_module
from calf.datasets import streamed, survey
from calf.datasets.dataset import Dataset
from calf.datasets.streamed import StreamedDataset
from calf.datasets.writing import write
from calf.errors import CalfError, DataError, StoppedError
from calf.runs import facts as facts_module
from calf.runs import streaming
from calf.runs.rows import FLOORS
from calf.runs.run import open_run
from calf.runs.scores import read_scores
from calf.types import LABELS, SETTINGS, Annotation, Comparison

FILES = ("scores.csv", "result.json", "manifest.json")

METRICS = '''
import pathlib


class Counted:
    """The number of letters; writes down what it is asked for, and stops or fails when a file says so."""

    needs_reference = False
    batch_size = 3

    def score(self, items):
        for item in items:
            with open("log", "a") as file:
                file.write(f"{item.question}|{item.response}\\n")
            if pathlib.Path("stop").exists() and item.question == "question 90?":
                raise KeyboardInterrupt
            if pathlib.Path("away").exists() and len(item.response) > 100:
                raise ConnectionError("away")
            yield len(item.response)


class Looks:
    """Must see everything first."""

    needs_reference = False

    def prepare(self, preparation):
        self.count = len(preparation.comparisons)

    def score(self, items):
        return [self.count + len(item.response) for item in items]
'''


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What has more than 100 rows is streamed, 40 rows at a time; the working folder is empty but for metrics."""
    monkeypatch.setattr(streamed, "STREAMED_FROM", 100)
    monkeypatch.setattr(streamed, "CHUNK", 40)
    monkeypatch.setattr(survey, "CHUNK", 40)
    take_few(monkeypatch)  # intervals are the same in both ways, however rough
    take_one_floor(monkeypatch)
    for module in ("analysis.measures", "analysis.across", "analysis.annotators", "comparing"):
        monkeypatch.setattr(f"calf.{module}.COUNT_RESAMPLES", 100)
    monkeypatch.setattr("calf.analysis.paired.FLIPS", 500)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(METRICS)


def comparisons(size: int = 230, seed: int = 0, **more: Any) -> list[Comparison]:
    rng = random.Random(seed)
    words = "the cold rain falls on high hills where sheep eat grass and wool is sold".split()

    def text() -> str:
        return " ".join(rng.choices(words, k=rng.randint(1, 40)))

    found = []
    for n in range(size):
        told = rng.sample(range(4), rng.randint(0, 3))
        found.append(
            Comparison(
                id=f"c{n}", question=f"question {n // 2 * 2}?", context="shared" if n in (3, 9, 150) else "",
                reference=text() if n % 5 else None, response_a=text(), response_b=text(),
                setting=rng.choice(SETTINGS), label=rng.choice(LABELS), language=rng.choice(["en", "en", "de"]),
                subject=rng.choice(["law", "art", None]), source_a="human", source_b=rng.choice(["human", "m"]),
                annotations=tuple(Annotation(f"p{who}", rng.choice(LABELS)) for who in told),
                extra={"level": rng.choice(["easy", "hard"])},
            )
        )  # fmt: skip
    return [dataclasses.replace(c, **more) for c in found]


PLAIN: dict[str, Any] = {"language": "en", "setting": "model_vs_model", "subject": None, "annotations": ()}
"""For tests of what is judged and kept: with as few slices as there can be, and no people, whose rows take longest."""


def both(path: Path, rows: list[Comparison]) -> tuple[Dataset, StreamedDataset]:
    """The same file read whole and streamed."""
    write(Dataset("x", tuple(rows)), path)
    found = load_dataset(path)
    assert isinstance(found, StreamedDataset)
    limit, streamed.STREAMED_FROM = streamed.STREAMED_FROM, 10**9
    try:
        whole = load_dataset(path)
    finally:
        streamed.STREAMED_FROM = limit
    assert not isinstance(whole, StreamedDataset)
    return whole, found


@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_read_in_chunks_is_what_is_read_at_once(tmp_path: Path, grouped: bool) -> None:
    rows = comparisons()
    if grouped:
        rows = [dataclasses.replace(c, group=f"g{n % 17}") for n, c in enumerate(rows)]
    whole, found = both(tmp_path / "data.parquet", rows)
    assert list(found) == list(whole)
    assert (found.fingerprint, found.group_count, found.languages) == (
        whole.fingerprint, whole.group_count, whole.languages
    )  # fmt: skip
    for column in ("id", "group", "label", "subject", "source_b", "level", "question"):
        assert found.values(column) == whole.values(column), column
    assert list(found.extra_names) == list(whole.extra_names) == ["level"]
    assert (found.comparisons[57], found.comparisons[-1]) == (whole.comparisons[57], whole.comparisons[-1])
    assert list(found.comparisons[38:42]) == list(whole.comparisons[38:42])
    for words in ({"settings": ["human_vs_model"], "limit": 30}, {"subjects": ["law"]}, {"limit": 50, "seed": 3}):
        chosen, expected = found.select(**words), whole.select(**words)  # type: ignore[arg-type]
        assert list(chosen) == list(expected)
        assert chosen.fingerprint == expected.fingerprint


def same_files(one: Any, other: Any) -> None:
    for name in FILES:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name


def test_streamed_runs_end_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calf.runs.rows.FLOORS", FLOORS)
    whole, found = both(tmp_path / "data.parquet", comparisons(130, language="en"))
    # A run that grows.
    selections: list[dict[str, Any]] = [
        {"setting": "human_vs_model", "subject": "law", "limit": 40, "by": "level"},
        {},
    ]
    for choices in selections:
        for metric in ("rouge-l", "always-model")[: 1 if choices else 2]:
            one = evaluate(metric, whole, runs=tmp_path / "whole", **choices)
            other = evaluate(metric, found, runs=tmp_path / "streamed", **choices)
            same_files(one, other)
            assert (other.rows, other.beside, other.failures) == (one.rows, one.beside, one.failures)
            assert list(other.judgments) == list(one.judgments)
            assert (other.path / "parts").is_dir()
            assert not (other.path / "judgments.jsonl").exists()
    assert open_run(other.path).rows == open_run(one.path).rows
    pair = [tmp_path / place for place in ("whole", "streamed")]
    first, second = (compare((), data, folder=place) for data, place in zip((whole, found), pair, strict=True))
    assert first == second


@pytest.mark.parametrize("rule", ["first-order", None])
def test_both_orders(tmp_path: Path, rule: Any) -> None:
    whole, found = both(tmp_path / "data.parquet", comparisons(130))
    runs = [
        evaluate("always-a", data, order="both", rule=rule, runs=tmp_path / str(place))
        for place, data in enumerate((whole, found))
    ]
    same_files(*runs)
    assert runs[0].rows == runs[1].rows


def test_worker_processes_end_with_the_same_bytes(tmp_path: Path) -> None:
    _, found = both(tmp_path / "data.parquet", comparisons(**PLAIN))
    same_files(
        evaluate("rouge-1", found, runs=tmp_path / "one"),
        evaluate("rouge-1", found, runs=tmp_path / "two", jobs=2),
    )


def asked() -> list[str]:
    return Path("log").read_text().splitlines()


def test_it_continues_with_the_parts_that_are_not_there(tmp_path: Path) -> None:
    _, found = both(tmp_path / "data.parquet", comparisons(**PLAIN))
    Path("stop").touch()
    with pytest.raises(KeyboardInterrupt):
        evaluate("mine.py:Counted", found, runs=tmp_path / "runs")
    (parts,) = (tmp_path / "runs").glob("*/parts")
    kept = sorted(path.name for path in parts.iterdir())
    assert kept == ["000000000.csv", "000000040.csv", "000000080.csv"], "and no rest of a broken one"
    assert len(read_scores(parts / kept[-1])) >= 9, "what is judged is kept, also of a part"
    before = len(asked())
    Path("stop").unlink()
    run = evaluate("mine.py:Counted", found, runs=tmp_path / "runs")
    first = {f"question {n // 2 * 2}?" for n in range(88)}
    assert not [line for line in asked()[before:] if line.partition("|")[0] in first], "what is kept is not asked again"
    straight = evaluate("mine.py:Counted", found, runs=tmp_path / "straight")
    same_files(run, straight)
    count = len(asked())
    evaluate("mine.py:Counted", found, runs=tmp_path / "runs")
    assert len(asked()) == count, "a finished run asks nothing"
    evaluate("mine.py:Counted", found, runs=tmp_path / "runs", fresh=True)
    assert len(asked()) > count
    assert (run.path / "parts.1").is_dir()


def test_a_killed_run_loses_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_KEEP_SECONDS", -1.0)
    rows = comparisons(**PLAIN, context="")
    whole, found = both(tmp_path / "data.parquet", rows)
    sizes: list[int] = []
    written = streaming.write_scores

    def watched(path: Path, judgments: list[Any]) -> None:
        sizes.append(len(judgments))
        written(path, judgments)

    monkeypatch.setattr(streaming, "write_scores", watched)
    run = evaluate("mine.py:Counted", found, runs=tmp_path / "runs")
    assert sizes[:3] == [1, 2, 3], "each comparison as soon as both of its responses are judged"
    assert json.loads((run.path / "timing.json").read_text())["judged"] == len(asked())
    same_files(evaluate("mine.py:Counted", whole, runs=tmp_path / "whole"), run)


def test_failures_that_may_pass_are_tried_again(tmp_path: Path) -> None:
    _, found = both(tmp_path / "data.parquet", comparisons(**PLAIN))
    Path("away").touch()
    failed = evaluate("mine.py:Counted", found, runs=tmp_path / "runs")
    assert set(failed.failures) == {"error"}
    assert "away" in failed.messages["error"]
    count = failed.failures["error"]
    assert len(failed.judgments) == 230 > count > 0
    Path("away").unlink()
    before = len(asked())
    mended = evaluate("mine.py:Counted", found, runs=tmp_path / "runs")
    assert not mended.failures
    assert count < len(asked()) - before <= 2 * count
    same_files(mended, evaluate("mine.py:Counted", found, runs=tmp_path / "straight"))


def test_what_must_see_everything_is_given_everything(tmp_path: Path) -> None:
    whole, found = both(tmp_path / "data.parquet", comparisons(**PLAIN))
    for metric, choices in (("mine.py:Looks", {}), ("random", {}), ("mine.py:Counted", {"repeat": 2})):
        one, other = (
            evaluate(metric, data, runs=tmp_path / name, **choices)  # type: ignore[arg-type]
            for name, data in (("a", whole), ("b", found))
        )
        same_files(one, other)
    assert (other.path / "judgments.jsonl").exists()
    again = evaluate("mine.py:Counted", found, runs=tmp_path / "b")
    assert not (again.path / "parts").exists(), "one run keeps its judgments in one way"


def test_a_folder_of_files_is_one_dataset(tmp_path: Path) -> None:
    rows = comparisons(**PLAIN)
    folder = tmp_path / "folder"
    folder.mkdir()
    for place, at in enumerate((0, 100, 180)):
        part = rows[at : (at + 100, 180, 230)[place] if place else 100]
        write(Dataset("x", tuple(part)), folder / f"train-0000{place}-of-00003.parquet")
    found = load_dataset(folder)
    assert isinstance(found, StreamedDataset)
    assert [c.id for c in found] == [c.id for c in rows]
    assert {part.stop - part.start for part in found.parts} == {40, 20, 10}
    run = evaluate("longer", found, runs=tmp_path / "runs")
    assert run.rows[0]["n"] == 230


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "data.parquet"
    write(Dataset("x", tuple(comparisons())), path)
    table = pq.read_table(path).to_pylist()

    def told(**changes: Any) -> str:
        import pyarrow as pa

        rows = [dict(row) for row in table]
        for name, (place, value) in changes.items():
            rows[place][name] = value
        pq.write_table(pa.Table.from_pylist(rows), path)
        with pytest.raises(DataError) as error:
            load_dataset(path)
        streamed_says = str(error.value)
        limit, streamed.STREAMED_FROM = streamed.STREAMED_FROM, 10**9
        with pytest.raises(DataError) as error:
            load_dataset(path)
        streamed.STREAMED_FROM = limit
        assert str(error.value) == streamed_says, "as when it is read at once"
        return streamed_says

    assert told(label=(123, "neither")).startswith(f"{path}:124: label must be one of")
    assert "and 1 more" in told(label=(123, "neither"), question=(7, " "))
    assert f"{path}:201: the id 'c5' is already on line 6" in told(id=(200, "c5"))
    assert "no group here" in told(group=(60, "alone"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="not a Parquet file"):
        load_dataset(path)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    _, found = both(path, comparisons(**PLAIN))
    write(Dataset("x", tuple(comparisons(**PLAIN)[::-1])), path)
    with pytest.raises(DataError, match="not what it was"):
        evaluate("longer", found, runs=tmp_path / "runs")


def test_large_row_groups_and_small_ones_are_read_alike(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "data.parquet"
    write(Dataset("x", tuple(comparisons(**PLAIN))), path)
    table = pq.read_table(path)
    for size in (1, 7, 40, 41, 500):
        pq.write_table(table, path, row_group_size=size)
        found = load_dataset(path)
        assert [c.id for c in found] == [f"c{n}" for n in range(230)]
        assert isinstance(found, StreamedDataset)
        wanted = [part.start for part, _ in found.read(lambda part: part.start in (40, 200))]
        assert wanted == [40, 200]


def test_intervals_of_many_comparisons_pool_groups_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, found = both(tmp_path / "data.parquet", comparisons(language="en", context=""))
    usual = evaluate("rouge-l", whole, runs=tmp_path / "usual")
    facts_module._kept.clear()
    for module in (dataset_module, facts_module, __import__("calf.runs.conclude", fromlist=["MANY"])):
        monkeypatch.setattr(module, "MANY", 100)
    monkeypatch.setattr(facts_module, "POOLS", 60)
    monkeypatch.setattr("calf.analysis.measures._PROJECTED_FROM", 50)
    monkeypatch.setattr("calf.runs.rows._floors", {})
    pooled = [evaluate("rouge-l", data, runs=tmp_path / name) for name, data in (("a", whole), ("b", found))]
    same_files(*pooled)
    facts = facts_module.facts_of(found)
    assert facts.many
    assert len(set(facts.group.tolist())) <= 60 < len(set(facts.named.tolist())) == 115
    assert json.loads((pooled[0].path / "result.json").read_text())["intervals"] == facts_module.POOLED
    assert facts_module.POOLED in pooled[0].manifest["dataset_notes"]
    # Folds, and with them what is chosen by folds, are others; everything else is the same but for its intervals.
    chosen = (
        "few_groups",
        "acc_eq_cv",
        "acc_eq_gap",
        "acc_eq_chance",
        "acc_eq_cv_chance",
        "length_log_loss_gain",
        "undefined",
    )
    for one, other in zip(usual.rows, pooled[0].rows, strict=True):
        for key, value in one.items():
            if not key.endswith(("_low", "_high")) and key not in chosen:
                assert other[key] == value, (one["slice"], key)
    widths = [run.rows[0]["accuracy_high"] - run.rows[0]["accuracy_low"] for run in (usual, pooled[0])]
    assert widths[1] == pytest.approx(widths[0], rel=0.3)


def test_a_disk_that_is_full_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = both(tmp_path / "data.parquet", comparisons(**PLAIN))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("calf.runs.streaming.write_scores", full)
    with pytest.raises(CalfError) as error:
        evaluate("longer", found, runs=tmp_path / "runs")
    assert isinstance(error.value, StoppedError)
    assert "No space left" in str(error.value)


def test_parts_that_a_metric_can_be_asked_nothing_about_are_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        dataclasses.replace(c, language="en", reference=None if n < 200 else "wool")
        for n, c in enumerate(comparisons())
    ]
    whole, found = both(tmp_path / "data.parquet", rows)
    kept: list[int] = []
    read = StreamedDataset.read

    def watched(self: StreamedDataset, wanted: Any) -> Any:
        for part, there in read(self, wanted):
            kept.append(len(list((tmp_path / "b").glob("*/parts/*.csv"))))
            yield part, there

    monkeypatch.setattr(StreamedDataset, "read", watched)
    other = evaluate("rouge-l", found, runs=tmp_path / "b")
    assert kept[: len(found.parts)] == [0, 1, 2, 3, 4, 5], "each is written before the next is read"
    assert set(other.messages) == {"no_reference"}
    same_files(evaluate("rouge-l", whole, runs=tmp_path / "a"), other)
