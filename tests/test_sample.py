"""The bundled sample: made from its items, and what they claim of themselves."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import calf

FOLDER = Path(__file__).resolve().parents[1] / "data" / "sample"
ITEMS = json.loads((FOLDER / "items.json").read_text(encoding="utf-8"))


def _builder() -> object:
    spec = importlib.util.spec_from_file_location("build_sample", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_what_the_items_make() -> None:
    assert (FOLDER / "sample.jsonl").read_text(encoding="utf-8") == _builder().build()  # type: ignore[attr-defined]


def test_it_has_the_promised_shape() -> None:
    data = calf.load_dataset("sample")
    assert Counter(c.language for c in data) == {"en": 150, "zh": 42}
    assert set(Counter(c.setting for c in data)) == {"human_vs_human", "human_vs_model", "model_vs_model"}
    assert {c.subject for c in data} == {"geography", "history", "politics", "law", "medicine", "psychology"}
    assert len({c.group for c in data}) == len(ITEMS) == 32
    assert any("no evidence" in note for note in data.notes)


def test_labels_follow_from_the_points_and_errors() -> None:
    for c in calf.load_dataset("sample"):
        quality = {s: len(c.extra[f"covers_{s}"]) - len(c.extra[f"errors_{s}"]) for s in "ab"}
        expected = "same" if quality["a"] == quality["b"] else f"response_{max(quality, key=quality.__getitem__)}"
        assert c.label == expected, c.id


def test_items_are_well_formed() -> None:
    texts = [r["text"] for item in ITEMS for r in item["responses"]]
    assert len(set(texts)) == len(texts) == 4 * len(ITEMS)
    for item in ITEMS:
        assert 5 <= len(item["key_points"]) <= 7, item["id"]
        assert [r["name"] for r in item["responses"]] == ["student-1", "student-2", "model-1", "model-2"]
        for response in item["responses"]:
            assert set(response["covers"]) <= set(range(len(item["key_points"]))), item["id"]
            assert sorted(set(response["covers"])) == response["covers"]


def test_neither_length_nor_side_nor_origin_gives_the_label_away() -> None:
    data = [c for c in calf.load_dataset("sample") if c.label != "same"]
    first = sum(c.label == "response_a" for c in data) / len(data)
    longer = sum((len(c.response_a) > len(c.response_b)) == (c.label == "response_a") for c in data) / len(data)
    mixed = [c for c in data if c.setting == "human_vs_model"]
    human = sum((c.source_a == "human") == (c.label == "response_a") for c in mixed) / len(mixed)
    for share in (first, longer, human):
        assert 0.4 < share < 0.65
