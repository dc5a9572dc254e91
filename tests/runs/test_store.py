"""The files of a run: torn lines, broken lines, locks, scores."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.decide import Judgment
from calf.errors import DataError
from calf.runs.store import _KEYS, _TYPES, SCHEMA, Journal, RunFolder, read_scores, write_atomically
from calf.types import Failure, Opinion, Score

texts = st.text(max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)
outcomes = st.one_of(
    st.builds(Score, numbers, st.none() | texts, st.none() | st.just({"tokens": 3.0}), st.none() | st.just(0.5)),
    st.builds(
        Opinion,
        st.sampled_from(["response_a", "response_b", "same"]),
        st.none() | st.just((0.5, 0.25, 0.25)),
        st.none() | texts,
    ),
    st.builds(Failure, texts.filter(bool), texts, st.none() | texts),
)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(texts, outcomes, max_size=6))
def test_what_is_appended_is_read_again(tmp_path_factory: pytest.TempPathFactory, kept: dict) -> None:
    path = tmp_path_factory.mktemp("journal") / "judgments.jsonl"
    journal = Journal(path)
    journal.append(kept)
    journal.close()
    assert Journal(path).outcomes == kept


def test_a_torn_last_line_is_dropped_at_every_cut(tmp_path: Path) -> None:
    path = tmp_path / "judgments.jsonl"
    journal = Journal(path)
    journal.append({"first": Score(1.0), "second": Score(2.0, "说明")})
    journal.close()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        again = Journal(path)
        assert set(again.outcomes) == {"first"}
        again.append({"third": Score(3.0)})
        again.close()
        assert set(Journal(path).outcomes) == {"first", "third"}


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "judgments.jsonl"
    path.write_text('{"key": "a", "score": 1}\nnonsense\n{"key": "b", "score": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"judgments\.jsonl:2: not a judgment"):
        Journal(path)


def test_the_last_line_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "judgments.jsonl"
    journal = Journal(path)
    journal.append({"a": Failure("error", "first")})
    journal.append({"a": Score(2.0)})
    journal.close()
    assert Journal(path).outcomes == {"a": Score(2.0)}
    assert len(path.read_text().splitlines()) == 2


@given(
    st.lists(
        st.builds(
            Judgment,
            texts.filter(str.isprintable),  # as ids are
            st.just("given"),
            st.just(0),
            st.none() | numbers,
            st.none() | numbers,
            st.sampled_from(["response_a", "response_b", "same"]),
        ),
        max_size=5,
        unique_by=lambda j: j.id,
    )
)
@settings(deadline=None)
def test_scores_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, judgments: list[Judgment]) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write_scores(judgments)
    assert read_scores(folder.path / "scores.csv") == judgments
    assert (folder.path / "scores.csv").read_text().startswith("id,order,score_a,score_b,verdict,failure\n")


@pytest.mark.parametrize("line", ["x,given,1", "x,sideways,,,same,", "x,given,one,2,same,", "x,given,1,2,better,"])
def test_a_broken_line_of_scores_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"id,order,score_a,score_b,verdict,failure\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"scores\.csv:2"):
        read_scores(path)


def test_a_foreign_or_broken_json_file_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read("manifest") is None
    for text in ("{", "[]", json.dumps({"schema": 99})):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=r"manifest\.json"):
            folder.read("manifest")


def sound(keys: Iterable[str]) -> dict[str, Any]:
    """A table with these keys and an empty value of the right kind for each."""
    kinds = {key: kind[0] if isinstance(kind, tuple) else kind for key, kind in _TYPES.items()}
    return {key: kinds.get(key, str)() for key in keys}


@pytest.mark.parametrize(
    ("key", "value"),
    [("metric", 3), ("dataset_notes", None), ("scales", []), ("seed", "0"), ("dataset_source", None), ("floors", [])],
)
def test_a_value_that_cannot_be_is_named(tmp_path: Path, key: str, value: Any) -> None:
    folder = RunFolder(tmp_path)
    folder.write("manifest", sound(_KEYS["manifest"]) | {key: value})
    with pytest.raises(DataError, match=f"manifest.json: '{key}' is .*which CALF never writes"):
        folder.read("manifest")


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "timing.json").write_text('{"schema": 2, "seconds": NaN, "sessions": []}')
    with pytest.raises(DataError, match="NaN is no number"):
        RunFolder(tmp_path).read("timing")


def test_rows_of_fewer_statistics_are_made_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("result", sound(_KEYS["result"]) | {"rows": [{"metric": "m", "accuracy": 1.0}]})
    assert folder.read("result") is None
    folder.write("result", sound(_KEYS["result"]) | {"rows": ["m"]})
    with pytest.raises(DataError, match="a row is no object"):
        folder.read("result")


@pytest.mark.parametrize(
    "line",
    ["a,given,nan,0.5,response_a,", "a,given,0.5,inf,response_b,", "a,given,0.5,0.5,,", "a,given,,,same,error"],
)
def test_scores_that_are_never_written_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"id,order,score_a,score_b,verdict,failure\n{line}\n")
    with pytest.raises(DataError, match=r"scores.csv:2: not a line of scores"):
        read_scores(path)


def test_of_schema_1_what_was_run_is_kept_and_what_it_says_is_made_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("timing", {"seconds": 1.0, "sessions": []})
    assert json.loads((tmp_path / "timing.json").read_text())["schema"] == SCHEMA == 2
    for name, keys in _KEYS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"schema": 1, **sound(keys)}))
    assert folder.read("manifest") is not None
    assert folder.read("timing") is not None
    assert folder.read("result") is None
    (tmp_path / "some-floors.json").write_text(json.dumps({"schema": 1, "rows": []}))
    assert folder.read("some-floors") is None


@pytest.mark.parametrize("name", ["manifest", "result", "timing"])
def test_a_missing_key_is_named(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path)
    table = sound(_KEYS[name])
    folder.write(name, table)
    assert folder.read(name) == {"schema": SCHEMA, **table}
    for key in _KEYS[name]:
        folder.write(name, {other: value for other, value in table.items() if other != key})
        with pytest.raises(DataError, match=f"{name}.json: '{key}' is missing"):
            folder.read(name)


def test_writing_atomically_leaves_the_old_file_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def _hold(path: str, seconds: float, ready: object) -> None:
    with RunFolder(Path(path)).lock():
        ready.set()  # type: ignore[attr-defined]
        time.sleep(seconds)


def test_a_second_process_waits_and_is_told(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(str(tmp_path), 0.5, ready))
    holder.start()
    assert ready.wait(20)
    told = []
    with RunFolder(tmp_path).lock(lambda: told.append(True)):
        assert told == [True]
    holder.join()
    with RunFolder(tmp_path).lock(lambda: told.append(True)):
        assert told == [True]


def test_setting_aside_keeps_every_older_journal(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for number in (1, 2):
        folder.journal.write_text(f"{number}\n")
        (tmp_path / "scores.csv").write_text("x")
        folder.set_aside()
        assert not (tmp_path / "scores.csv").exists()
    assert [(tmp_path / f"judgments.{n}.jsonl").read_text() for n in (1, 2)] == ["1\n", "2\n"]
    assert not folder.journal.exists()
