"""Cleaning: what gives a side away is gone, other texts stay as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.datasets import load_dataset
from calf.datasets.audit.giveaways import find_giveaways
from calf.hashing import uniform
from calf.training.clean import Cleaner, Marker
from calf.types import Comparison

if TYPE_CHECKING:
    from pathlib import Path

NOUNS = "river valley glacier harbour meadow forest canyon island desert lagoon plateau delta summit quarry".split()
VERBS = "shapes crosses feeds shelters divides borders drains warms cools covers".split()


def sentence(*key: object) -> str:
    def pick(words: list[str], *more: object) -> str:
        return words[int(uniform("clean", *more, *key) * len(words))]

    return f"The {pick(NOUNS, 1)} {pick(VERBS, 2)} the {pick(NOUNS, 3)} and {pick(VERBS, 4)} the {pick(NOUNS, 5)}."


def comparisons(count: int = 80) -> list[Comparison]:
    return [
        Comparison(
            id=str(number), question=f"Question {number}?", context="", reference=sentence("r", number),
            response_a=sentence("a", number), response_b=sentence("b", number), setting="model_vs_model",
            label="response_a", language="en", group=str(number),
        )
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Plain text, as it is.", "Plain text, as it is."),
        ("  \n\ufeffText.\n\n\u200b ", "Text."),
        ("Text.\\n\\n", "Text."),
        ("水往低处流。\n\n。", "水往低处流。"),
        ("水往低处流。\n。\n\n。\n", "水往低处流。"),
        ("First.\n\n\n \nSecond.", "First.\nSecond."),
        ("回答：水往低处流。", "水往低处流。"),
        ("回答开始：水往低处流。回答结束。", "水往低处流。"),
        ("【答案】水往低处流。（回答完毕）", "水往低处流。"),
        ("答：水往低处流。", "水往低处流。"),
        ("答案是水。", "答案是水。"),
        ("回答这个问题要看材料。", "回答这个问题要看材料。"),
        ("Answer: it flows.", "it flows."),
        ("**Answer:** it flows. [END]", "it flows."),
        ("Answers differ: some say no.", "Answers differ: some say no."),
        ("It flows.<|im_end|>", "It flows."),
        ("It flows. End of answer.", "It flows."),
        ("This is the end", "This is the end"),
        ("1. One\n2. Two", "1. One\n2. Two"),
        ("", ""),
        ("回答：", ""),
    ],
)
def test_what_every_cleaner_takes_out(text: str, clean: str) -> None:
    assert Cleaner().text(text) == clean


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([*"。\n 答：:水a.!", "回答结束", "Answer:", "<|im_end|>", "zz"]), max_size=14).map("".join)
)
def test_a_clean_text_is_not_changed_again(text: str) -> None:
    cleaner = Cleaner([Marker("zz", False, False), Marker("a.", True, False), Marker("水", False, True)])
    clean = cleaner.text(text)
    assert cleaner.text(clean) == clean
    assert "zz" not in clean


@pytest.mark.parametrize("marker", [" Indeed so it is.", "\n\n~~", " [checked]"])
def test_a_planted_marker_is_found_and_taken_out(marker: str) -> None:
    plain = comparisons()
    planted = [replace(c, response_b=c.response_b + marker) for c in plain]
    assert any(marker.strip() in found.text for found in find_giveaways(planted))
    cleaner = Cleaner.fit(planted)
    cleaned = [cleaner.comparison(c) for c in planted]
    assert not any(marker.strip() in c.response_b for c in cleaned)
    assert not any(found.side == "response_b" for found in find_giveaways(cleaned))


def test_labels_are_not_looked_at() -> None:
    planted = [replace(c, response_b="Well then. " + c.response_b) for c in comparisons()]
    other = [replace(c, label="response_b" if int(c.id) % 3 else "same") for c in planted]
    assert Cleaner.fit(planted).as_dict() == Cleaner.fit(other).as_dict()
    assert Cleaner.fit(planted).markers


def test_comparisons_without_markers_are_left_as_they_are() -> None:
    plain = comparisons()
    cleaner = Cleaner.fit(plain)
    assert cleaner.markers == ()
    assert all(cleaner.comparison(c) is c for c in plain)


def test_a_cleaner_is_stored_as_json() -> None:
    cleaner = Cleaner([Marker("。\n好", False, True), Marker("so", True, False)])
    again = Cleaner.from_dict(json.loads(json.dumps(cleaner.as_dict())))
    assert again.markers == cleaner.markers
    assert again.text("so it is。\n好") == cleaner.text("so it is。\n好") == "it is"


@pytest.mark.shared_data
def test_the_markers_of_a_real_file_are_gone(shared_data: Path) -> None:
    rows = load_dataset(str(shared_data / "lfqa-e" / "unified_benchmark_zh.json")).comparisons[700:1000]
    cleaner = Cleaner.fit(rows)
    for text in (text for c in rows for text in (cleaner.text(c.response_a), cleaner.text(c.response_b))):
        assert text == text.strip()
        assert "\n\n" not in text
        assert not text.startswith(("回答：", "回答:", "回答开始"))
        assert not text.endswith(("回答结束", "回答结束。", "\n。"))
