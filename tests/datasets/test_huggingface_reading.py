from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pytest

from calf.datasets import load_dataset, validate_file
from calf.errors import DataError, UserError


def rows(name: str = "r") -> list[dict[str, Any]]:
    return [
        {
            "id": f"{name}{n}",
            "question": f"Question {n}?",
            "reference": None,
            "response_a": "One.",
            "response_b": "Two.",
            "setting": "model_vs_model",
            "label": "same",
        }
        for n in range(2)
    ]


def test_a_saved_dataset_keeps_its_selection(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list(rows()).select([1]).save_to_disk(str(tmp_path / "saved"))
    dataset = load_dataset(tmp_path / "saved")
    assert [c.id for c in dataset] == ["r1"]
    assert dataset.name == "saved"


def test_splits(tmp_path: Path) -> None:
    import datasets

    both = {"train": datasets.Dataset.from_list(rows()), "test": datasets.Dataset.from_list(rows("t"))}
    datasets.DatasetDict(both).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match=r"several splits \(train, test\); name one, as in .*saved#train"):
        load_dataset(tmp_path / "saved")
    dataset = load_dataset(f"{tmp_path}/saved#test")
    assert [c.id for c in dataset] == ["t0", "t1"]
    assert dataset.source == f"{tmp_path}/saved#test"
    with pytest.raises(DataError, match="no split 'dev'; it has train, test"):
        load_dataset(f"{tmp_path}/saved#dev")
    assert validate_file(f"{tmp_path}/saved#train")[1] == []


def test_a_file_has_no_splits(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps(rows()[0]))
    with pytest.raises(DataError, match="no split 'test': a file has no splits"):
        load_dataset(f"{tmp_path}/d.jsonl#test")


def test_a_folder_with_data_files(tmp_path: Path) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows())
    (tmp_path / "set" / "data" / "part.jsonl").write_text(text)
    (tmp_path / "set" / "unused.jsonl").write_text("not even JSON")
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/part.jsonl\n---\n"
    )
    assert [c.id for c in load_dataset(tmp_path / "set")] == ["r0", "r1"]


@pytest.mark.parametrize("name", ["state.json", "data.jsonl"])
def test_a_damaged_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_text("{not json")
    if name == "state.json":
        (tmp_path / "set" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="not a dataset that `datasets` can read: ") as caught:
        load_dataset(tmp_path / "set")
    assert "\n" not in str(caught.value)


def test_class_labels_become_names(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            **{name: datasets.Value("string") for name in rows()[0]},
            "label": datasets.ClassLabel(names=["same", "response_b", "response_a"]),
        }
    )
    records = [{**row, "label": label} for row, label in zip(rows(), ("response_a", "response_b"), strict=True)]
    made = datasets.Dataset.from_list(records, features=features)
    made.to_parquet(str(tmp_path / "d.parquet"))
    made.save_to_disk(str(tmp_path / "saved"))
    for place in ("d.parquet", "saved"):
        assert [c.label for c in load_dataset(tmp_path / place)] == ["response_a", "response_b"]


def test_parquet_rows_are_counted_and_other_types_are_told(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = [
        {**row, "day": datetime.date(2024, 5, 1), "price": decimal.Decimal("1.50"), "vector": [1.0, None]}
        for row in rows()
    ]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "d.parquet")
    first = load_dataset(tmp_path / "d.parquet").comparisons[0]
    assert first.extra == {"day": "2024-05-01", "price": "1.50", "vector": [1.0, None]}

    records[1].update(label="B", raw=b"x")
    pq.write_table(pa.Table.from_pylist([{"raw": None, **record} for record in records]), tmp_path / "e.parquet")
    _, problems = validate_file(tmp_path / "e.parquet")
    assert [problem.line for problem in problems] == [2, 2]
    assert problems[1].text == "the column 'raw' holds bytes values, which JSON has no form for"


def test_a_dataset_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fake(name: str, config: str | None, *, revision: str | None) -> Any:
        assert (name, config, revision) == ("owner/name", "small", "v1.0")
        return datasets.DatasetDict(
            {"a": datasets.Dataset.from_list(rows()), "b": datasets.Dataset.from_list(rows("b"))}
        )

    monkeypatch.setattr(datasets, "load_dataset", fake)
    dataset = load_dataset("owner/name:small@v1.0#b")
    assert [c.id for c in dataset] == ["b0", "b1"]
    assert (dataset.name, dataset.source) == ("owner/name:small@v1.0#b", "owner/name:small@v1.0#b")


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fake(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no network\nmany more lines")

    monkeypatch.setattr(datasets, "load_dataset", fake)
    with pytest.raises(UserError) as caught:
        load_dataset("owner/name")
    assert str(caught.value) == "owner/name: not had from the Hugging Face hub: ConnectionError: no network"
