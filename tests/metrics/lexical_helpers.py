"""What the tests of the lexical metrics share: items, datasets and generated texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from calf.metrics.base import Preparation, Response
from calf.types import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Few letters, so that there are many ways to match; with white space, punctuation, case and letters outside a-z.
ENGLISH = st.text(alphabet=["a", "b", "B", "1", " ", " ", "\n", ".", "é", "-"], max_size=40)
WORDY = st.lists(
    st.sampled_from(["The", "plants", "planting", "an", "ran,", "x²", "don't", "\n", "A"]), max_size=25
).map(" ".join)
CHINESE = st.text(alphabet=["山", "水", "火", "。", "，", "\n", " ", "\u3000", "A", "a", "7"], max_size=40)


def item(response: str, reference: str | None, language: str = "en") -> Response:
    return Response("Why?", "", reference, response, language)


def one(metric: Any, response: str, reference: str | None, language: str = "en") -> Any:
    (outcome,) = metric.score([item(response, reference, language)])
    return outcome


def comparison(
    number: int, response_a: str, response_b: str, reference: str | None, language: str = "en", **other: Any
) -> Comparison:
    fields = {"setting": "model_vs_model", "label": "same", **other}
    return Comparison(f"c{number}", "Why?", "", reference, response_a, response_b, language=language, **fields)


def prepared(comparisons: Iterable[Comparison], seed: int = 0) -> Preparation:
    return Preparation(tuple(comparisons), seed)


def real_chinese(shared_data: Path) -> list[Comparison]:
    rows = json.loads((shared_data / "lfqa-e" / "unified_benchmark_zh.json").read_text(encoding="utf-8"))
    return [
        comparison(
            number, row["response_a"], row["response_b"], row["reference"], "zh",
            setting=row["compare_type"], label=row["label"],
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip


def real_english(shared_data: Path) -> list[Comparison]:
    lines = (shared_data / "preferences" / "exam_en.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        comparison(number, row["response_a"], row["response_b"], row["reference"], "en")
        for number, row in enumerate(map(json.loads, lines))
    ]


def items_of(comparisons: Iterable[Comparison]) -> list[Response]:
    return [
        Response(c.question, c.context, c.reference, response, c.language)
        for c in comparisons
        for response in (c.response_a, c.response_b)
    ]
