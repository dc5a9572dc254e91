from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calf.datasets import Dataset, load_dataset
from calf.datasets.problems import Problem
from calf.datasets.records import FIELDS, build_comparisons
from calf.datasets.writing import WRITERS, to_hf, write
from calf.errors import UserError
from calf.types import LABELS, SETTINGS

text = st.text(max_size=12)
shown_text = text.filter(lambda value: bool(value.strip()))
names = st.one_of(st.sampled_from(["extra", "weight", "tags", "a b", "é", ""]), text)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just("{}"), text
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2))


@st.composite
def extras(draw: st.DrawFn, taken: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """A strategy for the other columns of one dataset: some of one type everywhere, others anything."""
    plain = [name for name in draw(st.lists(names, max_size=3, unique=True)) if name not in taken]
    kinds: Any = st.sampled_from([st.booleans(), st.integers(-(2**70), 2**70), st.floats(0, 1), text, text | st.none()])
    fixed = st.fixed_dictionaries({name: draw(kinds) for name in plain})
    wild = st.dictionaries(names.filter(lambda name: name not in taken), values, max_size=2)
    return st.tuples(fixed, wild).map(lambda both: {**both[1], **both[0]})


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    extra, inner = draw(extras(FIELDS)), draw(extras(("annotator", "label")))
    label = st.sampled_from(LABELS)
    annotation = st.tuples(inner, shown_text, label).map(lambda t: {**t[0], "annotator": t[1], "label": t[2]})
    record = st.fixed_dictionaries(
        {
            "question": shown_text,
            "context": text,
            "reference": st.none() | text,
            "response_a": text,
            "response_b": text,
            "setting": st.sampled_from(SETTINGS),
            "label": label,
            "source_a": st.sampled_from([None, "human", "m"]),
            "source_b": st.none() | text,
            "subject": st.none() | text,
            "language": st.sampled_from(["en", "zh", None]),
            "annotations": st.lists(annotation, max_size=2, unique_by=lambda one: one["annotator"].strip()),
            "group": shown_text,
            "more": extra,
        }
    )
    ids = draw(st.lists(shown_text.filter(str.isprintable), min_size=1, max_size=4, unique=True))
    rows = []
    for line, name in enumerate(ids, 1):
        drawn = draw(record)
        rows.append((line, {**drawn.pop("more"), **drawn, "id": name}))
    problems: list[Problem] = []
    made = build_comparisons(rows, problems)
    assert problems == []
    return Dataset("made", tuple(made))


@given(datasets())
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_again(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for suffix in WRITERS:
            path = Path(folder) / f"made{suffix}"
            write(dataset, path)
            again = load_dataset(path)
            assert again.comparisons == dataset.comparisons, suffix
            assert again.fingerprint == dataset.fingerprint, suffix
        assert sorted(path.name for path in Path(folder).iterdir()) == sorted(f"made{suffix}" for suffix in WRITERS)


@given(datasets())
@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
def test_a_hugging_face_dataset_is_read_again(dataset: Dataset) -> None:
    made = to_hf(dataset)
    with tempfile.TemporaryDirectory() as folder:
        made.save_to_disk(f"{folder}/saved")
        made.to_parquet(f"{folder}/made.parquet")
        for place in ("saved", "made.parquet"):
            assert load_dataset(f"{folder}/{place}").fingerprint == dataset.fingerprint, place


def example(*extra: dict[str, Any]) -> Dataset:
    problems: list[Problem] = []
    rows = [
        (
            n,
            {
                "id": f"r{n}",
                "question": "Why?",
                "response_a": "",
                "response_b": "Because.\r\nSo.",
                "setting": "model_vs_model",
                "label": "response_b",
                "annotations": [{"annotator": "p", "label": "same", "seconds": n}],
                **more,
            },
        )
        for n, more in enumerate(extra)
    ]
    made = Dataset("made", tuple(build_comparisons(rows, problems)))
    assert problems == []
    return made


def test_the_features_of_a_hugging_face_dataset() -> None:
    import datasets

    made = to_hf(example({"weight": 1.5, "tags": ["x"], "n": 1}, {"weight": None, "tags": [], "n": 2}))
    assert isinstance(made, datasets.Dataset)
    assert made.features["label"].names == list(LABELS)
    assert made.features["setting"].names == list(SETTINGS)
    assert made.features["annotations"].feature["label"].names == list(LABELS)
    assert made.features["weight"].dtype == "float64"
    assert made.features["n"].dtype == "int64"
    assert made[0]["label"] == LABELS.index("response_b")
    assert json.loads(made[0]["extra"]) == {"tags": ["x"]}
    assert made["weight"][:] == [1.5, None]
    assert made[1]["annotations"] == [{"annotator": "p", "label": LABELS.index("same"), "seconds": 1}]
    assert made[0]["reference"] is None


def test_parquet_has_columns_that_other_tools_can_use(tmp_path: Path) -> None:
    import pandas as pd

    write(example({"weight": 1.5}, {"weight": 2.0}), tmp_path / "d.parquet")
    frame = pd.read_parquet(tmp_path / "d.parquet")
    assert list(frame["label"]) == ["response_b", "response_b"]
    assert math.isclose(frame["weight"].sum(), 3.5)
    assert "extra" not in frame.columns


def test_an_existing_file_is_replaced_whole_or_kept(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("old")
    broken = example({})
    object.__setattr__(broken.comparisons[0], "extra", {"x": {1, 2}})
    with pytest.raises(TypeError):
        write(broken, path)
    assert path.read_text() == "old"
    write(example({}), path)
    assert len(load_dataset(path)) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["d.jsonl"]


@pytest.mark.parametrize("name", ["d.xlsx", "d", "missing/d.jsonl", "file/d.csv"])
def test_what_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot"):
        write(example({}), tmp_path / name)
