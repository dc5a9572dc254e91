"""The real files, where they are."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from calf.datasets import load_dataset
from calf.errors import DataError
from calf.workspace import find_workspace

pytestmark = pytest.mark.shared_data

ZH = "lfqa-e/unified_benchmark_zh.json"


def test_the_chinese_file(shared_data: Path) -> None:
    dataset = load_dataset(shared_data / ZH)
    assert Counter(c.setting for c in dataset) == {"human_vs_model": 594, "model_vs_model": 599}
    assert len({c.question for c in dataset}) == 592
    assert len({c.group for c in dataset}) == 501
    assert {c.language for c in dataset} == {"zh"}
    assert {c.source_a for c in dataset if c.setting == "human_vs_model"} == {"human"}
    assert {c.source_b for c in dataset} == {"model"}


def test_the_chinese_file_by_name(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = find_workspace().data / "lfqa-e-zh"
    folder.mkdir(parents=True)
    copy = Path(shutil.copy(shared_data / ZH, folder))
    dataset = load_dataset("lfqa-e-zh")
    blocks = {"politics": 298, "history": 294, "geography": 300, "psychology": 96, "medicine": 103, "law": 102}
    assert Counter(c.subject for c in dataset) == blocks
    assert list(dict.fromkeys(c.subject for c in dataset)) == list(blocks)
    assert len({c.group for c in dataset}) == 501
    marked = load_dataset("lfqa-e-zh", strip=False)
    assert sum("回答结束" in c.response_b for c in marked) == 96
    assert {c.subject for c in marked if "回答结束" in c.response_b} == {"psychology"}
    for c in dataset:
        for response in (c.response_a, c.response_b):
            assert "回答结束" not in response
            assert not response.startswith(("回答：", "回答:", "回答开始"))
    changed = sum(one.response_b != other.response_b for one, other in zip(dataset, marked, strict=True))
    assert 96 <= changed <= 125

    copy.chmod(0o644)
    records = json.loads(copy.read_text(encoding="utf-8"))
    copy.write_text(json.dumps(records[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match="its sha256 is"):
        load_dataset("lfqa-e-zh")


@pytest.mark.parametrize(("name", "count"), [("zh_test", 10), ("en_test", 12)])
def test_the_older_samples(shared_data: Path, name: str, count: int) -> None:
    path = shared_data / "lfqa-e" / f"{name}.json"
    dataset = load_dataset(path)
    assert len(dataset) == count
    assert len({c.id for c in dataset}) == count
    assert {c.setting for c in dataset} == {"human_vs_human", "human_vs_model", "model_vs_model"}
    assert {c.language for c in dataset} == {name[:2]}
    for comparison, record in zip(dataset, json.loads(path.read_text(encoding="utf-8")), strict=True):
        (pair,) = (key for key in record if "_vs_" in key)
        first, second = pair.split("_vs_")
        assert (comparison.response_a, comparison.response_b) == (record[first], record[second])
        assert comparison.source_b == ("human" if second.startswith("student") else "model")
        assert {"response_a": first, "response_b": second, "same": "same"}[comparison.label] == record[pair]


@pytest.mark.parametrize(
    ("name", "count", "groups"),
    [("exam_en", 192, 99), ("xu2023_expert", 140, 140), ("qafeedback", 1200, 200), ("squality", 100, 76)],
)
def test_the_preference_files(shared_data: Path, name: str, count: int, groups: int) -> None:
    dataset = load_dataset(shared_data / "preferences" / f"{name}.jsonl")
    assert len(dataset) == count
    assert len({c.group for c in dataset}) == groups
    assert {c.language for c in dataset} == {"en"}


def test_one_row_a_person_becomes_the_same_labels(shared_data: Path, tmp_path: Path) -> None:
    """The experts' file, taken apart into the published form's rows and put together again."""
    whole = load_dataset(shared_data / "preferences" / "xu2023_expert.jsonl")
    preference = {"response_a": -1, "same": 0, "response_b": 1}
    rows = [
        {
            "question": c.question,
            "answer_a": c.response_a if not n % 2 else c.response_b,
            "answer_b": c.response_b if not n % 2 else c.response_a,
            "answer_a_type": c.source_a if not n % 2 else c.source_b,
            "answer_b_type": c.source_b if not n % 2 else c.source_a,
            "overall_preference": preference[a.label] * (1 if not n % 2 else -1),
        }
        for c in whole
        for n, a in enumerate(c.annotations)
    ]
    assert len(rows) == 260
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    again = load_dataset(path)
    assert [(c.label, c.setting, c.response_a) for c in again] == [(c.label, c.setting, c.response_a) for c in whole]
    assert [[a.label for a in c.annotations] for c in again] == [[a.label for a in c.annotations] for c in whole]


def test_reading_the_chinese_file_is_quick(shared_data: Path) -> None:
    best = min(_seconds(shared_data / ZH) for _ in range(3))
    assert best < 0.3


def _seconds(path: Path) -> float:
    start = time.perf_counter()
    load_dataset(path)
    return time.perf_counter() - start
