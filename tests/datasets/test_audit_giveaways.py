"""Strings that give a side away: planted ones are found, natural text raises no alarm."""

from __future__ import annotations

import dataclasses
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.datasets.audit import audit
from calf.datasets.audit.giveaways import Giveaway, find_giveaways
from calf.datasets.audit.ngrams import BEGIN, END, Occurrence, levels
from calf.datasets.dataset import Dataset
from calf.types import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = [
    f"{head}{tail}"
    for head in ("wa", "lo", "mi", "ter", "so", "ke", "ran")
    for tail in ("n", "st", "ring", "per", "d", "a")
]
CHARACTERS = [chr(0x4E00 + 37 * i) for i in range(120)]


def english(rng: random.Random, sentences: int = 6) -> str:
    made = (" ".join(rng.choices(WORDS, k=rng.randint(6, 14))).capitalize() + "." for _ in range(sentences))
    return " ".join(made)


def chinese(rng: random.Random, sentences: int = 6) -> str:
    return "".join("".join(rng.choices(CHARACTERS, k=rng.randint(8, 20))) + "。" for _ in range(sentences))


def build(n: int, write: Callable[[random.Random], str] = english, **fields: Any) -> list[Comparison]:
    rng = random.Random(7)
    plain: dict[str, Any] = {
        "context": "",
        "reference": None,
        "setting": "model_vs_model",
        "label": "same",
        "language": "zh" if write is chinese else "en",
        "subject": "law",
        "source_a": "model",
        "source_b": "model",
    }
    return [
        Comparison(
            id=f"c{i}",
            question=f"Question {i}?",
            group=f"g{i}",
            response_a=write(rng),
            response_b=write(rng),
            **{**plain, **fields},
        )
        for i in range(n)
    ]


def plant(
    rows: list[Comparison], which: range, change: Callable[[str], str], side: str = "response_b"
) -> list[Comparison]:
    return [dataclasses.replace(c, **{side: change(getattr(c, side))}) if i in which else c for i, c in enumerate(rows)]


def inside(text: str, marker: str) -> str:
    middle = text.index("。" if "。" in text else ". ") + 1
    return text[:middle] + marker + text[middle:]


@pytest.mark.parametrize("write", [english, chinese])
@pytest.mark.parametrize("seed", range(4))
def test_natural_text_raises_no_alarm(write: Callable[[random.Random], str], seed: int) -> None:
    rows = build(150, write)
    rng = random.Random(seed)
    rng.shuffle(rows)
    rows = [
        dataclasses.replace(
            c, subject=rng.choice(["law", "history", "medicine"]), setting="human_vs_model", source_a="human"
        )
        if i % 2
        else c
        for i, c in enumerate(rows)
    ]
    assert find_giveaways(rows) == []


@pytest.mark.parametrize(
    ("write", "marker"), [(english, "<|end of answer|>"), (chinese, "答卷到此为止"), (english, " END-OF-TEXT ")]
)
@pytest.mark.parametrize("place", ["begin", "end", "inside"])
@pytest.mark.parametrize("side", ["response_a", "response_b"])
def test_planted_marker_is_found_whole(write: Any, marker: str, place: str, side: str) -> None:
    change = {"begin": lambda t: marker + t, "end": lambda t: t + marker, "inside": lambda t: inside(t, marker)}[place]
    (found,) = find_giveaways(plant(build(120, write), range(30, 70), change, side))
    assert marker.strip() in found.text
    assert (found.side, found.hits, found.other_hits) == (side, 40, 0)
    assert (found.begins, found.ends) == (place == "begin", place == "end")
    assert found.ids == tuple(f"c{i}" for i in range(30, 70))


@pytest.mark.parametrize("marker", ["Answer complete now.", "答卷到此为止"])
def test_a_marker_of_few_texts_is_found(marker: str) -> None:
    write = english if marker.isascii() else chinese
    (found,) = find_giveaways(plant(build(60, write), range(20), lambda t: f"{t}\n{marker}"))
    assert marker in found.text
    assert found.hits == 20


def test_a_marker_in_nine_questions_is_left_alone() -> None:
    assert find_giveaways(plant(build(60), range(9), lambda t: t + " Over and out!")) == []


def test_the_same_response_again_and_again_is_no_marker() -> None:
    rows = [dataclasses.replace(c, question="One question?", response_b="Always this text.") for c in build(60)]
    assert find_giveaways(rows) == []


def test_a_string_on_both_sides_is_no_marker() -> None:
    rows = plant(build(60), range(40), lambda t: t + " Over and out!")
    assert find_giveaways(plant(rows, range(20, 60), lambda t: t + " Over and out!", "response_a")) == []


def test_a_marker_of_one_subject_is_reported_there() -> None:
    rows = plant(build(300), range(40), lambda t: t + " [done]")
    rows = [dataclasses.replace(c, subject="geography") if i < 40 else c for i, c in enumerate(rows)]
    # Elsewhere the string stands on the other side, so that only the slice shows it.
    rows = plant(rows, range(40, 100), lambda t: t + " [done]", "response_a")
    found = find_giveaways(rows)
    assert {(m.side, m.where, m.hits, m.of) for m in found if "[done]" in m.text} == {
        ("response_b", "subject=geography", 40, 40),
        ("response_a", "subject=law", 60, 260),
    }


def test_two_markers_of_one_side() -> None:
    rows = plant(build(120), range(60), lambda t: t + " (The end.)")
    found = find_giveaways(plant(rows, range(60, 120), lambda t: "Here is my reply: " + t))
    assert sorted(m.hits for m in found) == [60, 60]
    assert {m.begins for m in found} == {True, False}


@pytest.mark.parametrize("human_first", [True, False, None])
def test_human_and_model(human_first: bool | None) -> None:
    """Where the human always stands first, positions are not looked at: they say the same."""
    rows = plant(
        build(120, setting="human_vs_model", source_a="human"), range(90), lambda t: "As a language model: " + t
    )
    if human_first is not True:
        rows = [
            dataclasses.replace(
                c, response_a=c.response_b, response_b=c.response_a, source_a=c.source_b, source_b=c.source_a
            )
            if human_first is False or i % 2
            else c
            for i, c in enumerate(rows)
        ]
    (found,) = find_giveaways(rows)
    assert (found.side, found.hits, found.of, found.other_of) == ("model", 90, 120, 120)
    assert found.text.startswith("As a language model:")
    assert found.as_finding().severity == "warning"


def test_a_way_of_writing_is_a_note() -> None:
    rows = plant(build(120, setting="human_vs_model", source_a="human"), range(40), lambda t: "In short: " + t)
    (found,) = find_giveaways(rows)
    assert found.as_finding().severity == "note"


def test_stripped_markers_are_reported_from_the_raw_texts() -> None:
    clean = build(120)
    raw = plant(clean, range(60), lambda t: t + "\n\n<eot>")
    report = audit(Dataset("planted", tuple(clean)), raw=Dataset("planted", tuple(raw)))
    (found,) = [f for f in report.findings if f.kind == "gives_side_away"]
    assert found.severity == "note"
    assert "in 60 of 120 response_b, in 0 of 120 response_a; stripped on loading" in found.message
    (stripped,) = [f for f in report.findings if f.kind == "stripped_markers"]
    assert "60 comparisons" in stripped.message


def test_markers_that_loading_leaves_are_not_called_stripped() -> None:
    left = plant(build(120), range(60), lambda t: t + "\n\n<eot>")
    raw = plant(left, range(1), lambda t: "x" + t)
    report = audit(Dataset("planted", tuple(left)), raw=Dataset("planted", tuple(raw)))
    (found,) = [f for f in report.findings if f.kind == "gives_side_away"]
    assert found.severity == "warning"
    assert "stripped" not in found.message


def test_long_markers_are_shortened_in_the_message() -> None:
    marker = Giveaway("x" * 200, False, True, "response_b", "overall", 60, 120, 0, 120, ("c1",))
    message = marker.as_finding().message
    assert "…" in message
    assert len(message) < 160


def test_large_datasets_are_sampled_but_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = plant(build(400), range(300), lambda t: t + " <eot>")
    monkeypatch.setattr(
        "calf.datasets.audit.giveaways.BUDGET", sum(len(c.response_a + c.response_b) for c in rows) // 4
    )
    (found,) = find_giveaways(rows)
    assert found.hits == 300


def test_speed() -> None:
    """A dataset half as large as the Chinese one (1,200 responses of 370 characters) takes seconds, not minutes."""
    rows = build(600, lambda rng: chinese(rng, 26), language="zh")
    before = time.perf_counter()
    find_giveaways(rows)
    assert time.perf_counter() - before < 10


PIECES = st.text(alphabet="ab .\n一二", max_size=12)


@given(st.lists(st.tuples(PIECES, st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12), st.integers(1, 3))
@settings(deadline=None, max_examples=150)
def test_levels_against_brute_force(places: list[tuple[str, int, int]], least: int) -> None:
    """Every piece with its number of units a column, found by looking at every substring of tokens."""
    import re

    expected: Counter[tuple[str, int]] = Counter()
    holders: dict[tuple[str, int], set[int]] = {}
    length_of: dict[str, int] = {}
    for text, column, unit in places:
        tokens = [BEGIN, *re.findall(r"[一二]|[ab]+|\s+|[^\w\s]", text), END]
        for i in range(len(tokens)):
            for j in range(i + 1, len(tokens) + 1):
                piece = "".join(tokens[i:j])
                length_of[piece] = j - i
                holders.setdefault((piece, column), set()).add(unit)
    for key, units in holders.items():
        expected[key] = len(units)
    totals: Counter[str] = Counter()
    for (piece, _), number in expected.items():
        totals[piece] += number
    frequent = {piece: tuple(expected[piece, c] for c in range(3)) for piece, n in totals.items() if n >= least}

    found: dict[str, tuple[int, ...]] = {}
    for level in levels([Occurrence(*place) for place in places], 3, least):
        for piece, counts in zip(level.pieces, level.counts, strict=True):
            assert length_of[piece] == level.length
            found[piece] = tuple(int(n) for n in counts)
    assert found == frequent
