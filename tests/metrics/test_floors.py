from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from lexical_helpers import comparison, item, items_of, prepared, real_chinese

from calf.metrics.base import Pair, traits_of
from calf.metrics.floors import Always, AlwaysModel, Length, Random
from calf.metrics.registry import load_metric
from calf.types import Failure

if TYPE_CHECKING:
    from pathlib import Path

FLOORS = ["always-a", "always-b", "random", "longer", "shorter", "always-model"]
LEXICAL = ["rouge-1", "rouge-2", "rouge-l", "rouge-lsum", "bleu", "chrf", "meteor", "token-f1"]


def pair(number: int = 0, order: str = "given", repeat: int = 0, **other: Any) -> Pair:
    fields = {"setting": "model_vs_model", "source_a": None, "source_b": None, **other}
    return Pair(
        id=f"c{number}", question="Why?", context="", reference=None, response_a="x", response_b="y", language="en",
        subject=None, order=order, repeat=repeat, **fields,
    )  # fmt: skip


@pytest.mark.parametrize("name", FLOORS + LEXICAL)
def test_definitions_load(name: str) -> None:
    metric = load_metric(name)
    assert metric.origin == "built-in"
    assert metric.summary
    assert metric.traits.family == ("floor" if name in FLOORS else "lexical")
    assert metric.traits.needs_reference is (name in LEXICAL)
    assert metric.signature(["en", "zh"]).startswith(f"{name}|")


def test_always_prefers_a_place() -> None:
    pairs = [pair(1), pair(1, "swapped"), pair(2)]
    assert list(Always("response_a").judge(pairs)) == ["response_a"] * 3
    assert list(load_metric("always-b").instance.judge(pairs)) == ["response_b"] * 3


def test_random_draws_with_the_labels_shares_in_both_orders() -> None:
    labels = ["response_a"] * 6 + ["response_b"] * 3 + ["same"]
    metric = Random()
    metric.prepare(prepared([comparison(i, "x", "y", None, label=label) for i, label in enumerate(labels)], seed=3))
    n = 4000
    given = Counter(metric.judge([pair(i) for i in range(n)]))
    swapped = Counter(metric.judge([pair(i, "swapped") for i in range(n)]))
    for label, share in (("response_a", 0.6), ("response_b", 0.3), ("same", 0.1)):
        assert given[label] / n == pytest.approx(share, abs=0.03)
    # in the swapped order the dataset's response_a is shown second
    assert swapped["response_b"] / n == pytest.approx(0.6, abs=0.03)
    assert swapped["response_a"] / n == pytest.approx(0.3, abs=0.03)


def test_random_depends_on_seed_id_order_and_repeat_alone() -> None:
    def draws(seed: int, repeat: int = 0, order: str = "given", ids: range = range(200)) -> list:
        metric = Random()
        metric.prepare(prepared([comparison(0, "", "", None, label="response_a"), comparison(1, "", "", None)], seed))
        return list(metric.judge([pair(i, order, repeat) for i in ids]))

    assert draws(0) == draws(0)
    assert draws(0)[50:60] == draws(0, ids=range(50, 60))
    assert len({tuple(draws(*key)) for key in ((0, 0), (1, 0), (0, 1), (0, 0, "swapped"))}) == 4


def test_random_never_gives_a_label_that_does_not_occur() -> None:
    metric = Random()
    metric.prepare(prepared([comparison(0, "", "", None, label="response_b")]))
    assert set(metric.judge([pair(i) for i in range(300)])) == {"response_b"}
    with pytest.raises(RuntimeError, match="prepare"):
        Random().judge([pair()])


def test_length_counts_words_or_characters() -> None:
    items = [
        item("two  words\n", None),
        item("山 水\u3000。\n", None, "zh"),
        item("", None),
        item("ein Wort mehr", None, "de"),
    ]
    assert Length("longer").score(items) == [2.0, 3.0, 0.0, 3.0]
    shorter = load_metric("shorter").instance.score(items)
    assert shorter == [-2.0, -3.0, 0.0, -3.0]
    assert str(shorter[2]) == "0.0"


@pytest.mark.parametrize(
    ("sources", "setting", "expected"),
    [
        (("human", "m1"), "human_vs_model", "response_b"),
        (("m1", "human"), "human_vs_model", "response_a"),
        (("human", None), "human_vs_model", "response_b"),
        (("human", "human"), "human_vs_model", None),
        ((None, None), "human_vs_model", None),
        (("m1", "m2"), "human_vs_model", None),
        (("human", "m1"), "model_vs_model", None),
        (("human", "human"), "human_vs_human", None),
    ],
)
def test_always_model(sources: tuple, setting: str, expected: str | None) -> None:
    (verdict,) = AlwaysModel().judge([pair(source_a=sources[0], source_b=sources[1], setting=setting)])
    if expected is None:
        assert isinstance(verdict, Failure)
        assert verdict.kind == "not_applicable"
        assert verdict.message
    else:
        assert verdict == expected


def test_floors_see_neither_reference_nor_text() -> None:
    assert all(not traits_of(cls).needs_reference for cls in (Always, AlwaysModel, Length, Random))


@pytest.mark.shared_data
def test_published_floors_of_the_real_chinese_file(shared_data: Path) -> None:
    comparisons = real_chinese(shared_data)
    lengths = Length("longer").score(items_of(comparisons))
    right = [
        (c.label == "response_a") if a > b else (c.label == "response_b") if b > a else (c.label == "same")
        for c, a, b in zip(comparisons, lengths[::2], lengths[1::2], strict=True)
    ]
    assert 0.511 <= sum(right) / len(right) <= 0.5122
    assert sum(c.label == "response_a" for c in comparisons) / len(comparisons) == pytest.approx(0.502, abs=5e-4)
