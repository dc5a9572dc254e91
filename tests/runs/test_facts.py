"""What is known of comparisons whatever the metric, and the slices, against their definitions by brute force."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.datasets.dataset import Dataset
from calf.errors import UserError
from calf.runs.facts import facts_of, slices_of
from calf.types import LABELS, SETTINGS, Annotation, Comparison

WORDS = ["storm", "rain", "the", "north", "wind", "sea", "Sea", "a1"]
SIGNS = ["风", "雨", "海", "山"]


def comparison(name: str, **more: Any) -> Comparison:
    values: dict[str, Any] = {"question": "q", "context": "", "reference": None, "response_a": "x", "response_b": "y"}
    values |= {"setting": "model_vs_model", "label": "same", "language": "en", "group": name}
    return Comparison(**{"id": name, **values, **more})


def said(*labels: str) -> tuple[Annotation, ...]:
    return tuple(Annotation(f"p{place}", LABELS["abs".index(label)]) for place, label in enumerate(labels))


def dataset(*comparisons: Comparison) -> Dataset:
    return Dataset("here", tuple(comparisons))


def slices(data: Dataset, by: tuple[str, ...] = ()) -> dict[str, list[int]]:
    """The places of the comparisons in each slice; no name comes twice."""
    found = list(slices_of(data, by))
    assert len(dict(found)) == len(found)
    assert all(mask.dtype == np.bool_ and mask.shape == (len(data),) and mask.any() for _, mask in found)
    return {name: np.flatnonzero(mask).tolist() for name, mask in found}


@st.composite
def comparisons(draw: Any) -> list[Comparison]:
    found = []
    for n in range(draw(st.integers(1, 14))):
        language = draw(st.sampled_from(["en", "en", "zh"]))
        text = st.lists(st.sampled_from(WORDS if language == "en" else SIGNS), max_size=7).map(
            (" " if language == "en" else "").join
        )
        people = draw(st.lists(st.sampled_from("abs"), max_size=4))
        found.append(
            comparison(
                f"c{n}",
                group=draw(st.sampled_from("uvwxyz")),
                language=language,
                reference=draw(st.none() | text),
                response_a=draw(text),
                response_b=draw(text),
                label=draw(st.sampled_from(LABELS)),
                setting=draw(st.sampled_from(SETTINGS)),
                subject=draw(st.sampled_from(["law", "art", None])),
                source_a=draw(st.sampled_from(["human", "gpt", None])),
                source_b=draw(st.sampled_from(["human", "gpt", None])),
                annotations=said(*people),
            )
        )
    return found


def length(text: str, language: str) -> int:
    return len(text.split()) if language == "en" else len(text.replace(" ", ""))


def third(value: float, values: list[float]) -> int:
    """By the definition: at most the first tertile, at most the second, or above."""
    return int(value > np.quantile(values, 1 / 3)) + int(value > np.quantile(values, 2 / 3))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(comparisons())
def test_every_slice_is_what_its_name_says(drawn: list[Comparison]) -> None:
    data = dataset(*drawn)
    found = slices(data)
    expected: dict[str, list[int]] = {"overall": list(range(len(drawn)))}

    def add(name: str, place: int) -> None:
        expected.setdefault(name, []).append(place)

    lengths = [tuple(length(text, c.language) for text in (c.response_a, c.response_b)) for c in drawn]
    gap = [abs(math.log((1 + a) / (1 + b))) for a, b in lengths]
    for place, c in enumerate(drawn):
        add(f"setting={c.setting}", place)
        add(f"language={c.language}", place)
        if c.subject is not None:
            add(f"subject={c.subject}", place)
        add(f"reference={'no' if c.reference is None else 'yes'}", place)
        mine = [max(pair) for pair, other in zip(lengths, drawn, strict=True) if other.language == c.language]
        add("length=" + ["short", "medium", "long"][third(max(lengths[place]), mine)], place)
        counts = Counter(a.label for a in c.annotations)
        total, most = len(c.annotations), max(counts.values(), default=0)
        if total > 1 and most > total / 2:
            add("majority", place)
        if total > 1 and most == total:
            add("unanimous", place)
    names = [name for name in found if not name.startswith("gap=")]
    assert set(names) == set(expected)
    assert all(found[name] == expected[name] for name in names)
    # Equal ratios may differ in the last digit by how they are computed: within a hair of a tertile either is right.
    bounds = np.quantile(gap, [1 / 3, 2 / 3])
    for code, name in enumerate(("small", "medium", "large")):
        for place in range(len(drawn)):
            if all(abs(gap[place] - bound) > 1e-9 for bound in bounds):
                assert (place in found.get(f"gap={name}", [])) == (third(gap[place], gap) == code)
    thirds = [place for name in ("small", "medium", "large") for place in found.get(f"gap={name}", [])]
    assert sorted(thirds) == list(range(len(drawn)))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(comparisons())
def test_facts_are_what_they_say(drawn: list[Comparison]) -> None:
    facts = facts_of(dataset(*drawn))
    assert facts.label.tolist() == [LABELS.index(c.label) for c in drawn]
    groups = sorted({c.group for c in drawn})
    assert facts.group.tolist() == [groups.index(c.group) for c in drawn]
    assert facts.length_a.tolist() == [length(c.response_a, c.language) for c in drawn]
    assert facts.length_b.tolist() == [length(c.response_b, c.language) for c in drawn]
    assert facts.annotated.tolist() == [len(c.annotations) for c in drawn]
    ranks = _ranks(drawn)
    for place, c in enumerate(drawn):
        human = -1
        if c.setting == "human_vs_model" and (c.source_a == "human") != (c.source_b == "human"):
            human = 0 if c.source_a == "human" else 1
        assert facts.human[place] == human
        assert facts.overlap[place] == pytest.approx(ranks[place], abs=1e-12, nan_ok=True)
    if facts.annotations is None:
        assert not any(c.annotations for c in drawn)
    else:
        told = [(place, a.annotator, a.label) for place, c in enumerate(drawn) for a in c.annotations]
        people = sorted({name for _, name, _ in told})
        assert [
            (place, people[annotator], LABELS[label])
            for place, annotator, label in zip(
                facts.annotations.comparison, facts.annotations.annotator, facts.annotations.label, strict=True
            )
        ] == told
        assert facts.annotations.group.tolist() == [facts.group[place] for place, _, _ in told]


def _ranks(drawn: list[Comparison]) -> list[float]:
    """How many overlaps of the language are lower, of all that are another one; NaN where there is none."""
    overlaps = [_overlap(c) for c in drawn]
    ranks = []
    for c, own in zip(drawn, overlaps, strict=True):
        mine = {x for x, other in zip(overlaps, drawn, strict=True) if other.language == c.language and x is not None}
        ranks.append(math.nan if own is None else sum(x < own for x in mine) / max(len(mine) - 1, 1))
    return ranks


def _overlap(c: Comparison) -> Fraction | None:
    preferred = {"response_a": c.response_a, "response_b": c.response_b}.get(c.label)
    if c.reference is None or preferred is None:
        return None
    words = [_words(text, c.language) for text in (c.reference, preferred)]
    shared = (words[0] & words[1]).total()
    return Fraction(2 * shared, words[0].total() + words[1].total()) if shared else Fraction(0)


def _words(text: str, language: str) -> Counter[str]:
    return Counter(text.lower().split() if language == "en" else text)


def test_overlaps_of_plain_texts_rank_as_rouge_1_does() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    rng = random.Random(3)
    texts = [" ".join(rng.choices([*WORDS, "Wind,", "(rain)", "north-west"], k=rng.randint(0, 12))) for _ in range(60)]
    data = [
        comparison(f"c{n}", response_a=texts[3 * n], response_b=texts[3 * n + 1], reference=texts[3 * n + 2],
                   label=["response_a", "response_b"][n % 2])
        for n in range(20)
    ]  # fmt: skip
    scorer = RougeScorer(["rouge1"])
    expected = [
        scorer.score(c.reference, c.response_a if c.label == "response_a" else c.response_b)["rouge1"].fmeasure
        for c in data
    ]
    distinct = sorted({round(value, 12) for value in expected})
    ranks = [distinct.index(round(value, 12)) / (len(distinct) - 1) for value in expected]
    assert facts_of(dataset(*data)).overlap.tolist() == pytest.approx(ranks, abs=1e-12)
    assert len(distinct) > 5


def test_overlaps_are_compared_within_a_language_only() -> None:
    """Whatever overlaps are usual in a language, its lowest is 0 and its highest 1; the other languages change none."""

    def one(language: str, shared: int, more: str = "") -> Comparison:
        words = [f"w{n}" for n in range(10)]
        return comparison(
            f"{language}{shared}{more}", language=language, label="response_a", reference=" ".join(words),
            response_a=" ".join([*words[:shared], *["x"] * (10 - shared)]),
        )  # fmt: skip

    low, high = [one("en", n) for n in (1, 0, 2)], [one("de", n) for n in (9, 7, 8, 10)] + [one("de", 7, "again")]
    facts = facts_of(dataset(*low, *high, one("fr", 5)))
    assert facts.overlap.tolist() == pytest.approx([0.5, 0.0, 1.0, 2 / 3, 0.0, 1 / 3, 1.0, 0.0, 0.0], abs=1e-12)
    assert facts_of(dataset(*low)).overlap.tolist() == facts.overlap[:3].tolist()
    # So a half of all is no longer one language.
    assert {c.language for c, value in zip((*low, *high), facts.overlap, strict=False) if value >= 0.5} == {"en", "de"}


@pytest.mark.parametrize("groups", [1, 2, 9, 10, 11, 37])
def test_folds_are_balanced_and_hold_whole_groups(groups: int) -> None:
    data = dataset(*(comparison(f"c{n}", group=f"g{n % groups}") for n in range(3 * groups)))
    facts = facts_of(data)
    fold_of = dict(zip(facts.group.tolist(), facts.fold.tolist(), strict=True))
    assert all(fold_of[group] == fold for group, fold in zip(facts.group, facts.fold, strict=True))
    sizes = Counter(fold_of.values())
    assert len(sizes) == min(groups, 10)
    assert max(sizes.values()) - min(sizes.values()) <= 1
    again = facts_of(dataset(*reversed(data.comparisons)))
    assert again.fold.tolist() == facts.fold.tolist()[::-1], "the order of the comparisons changes no fold"


def test_thirds_are_thirds_within_each_language() -> None:
    english = [comparison(f"e{n}", response_a="word " * n, response_b="") for n in range(1, 31)]
    chinese = [comparison(f"z{n}", response_b="字" * n, response_a="", language="zh") for n in range(100, 700, 20)]
    found = slices(dataset(*english, *chinese))
    assert [len(found[f"length={name}"]) for name in ("short", "medium", "long")] == [20, 20, 20]
    assert found["length=short"] == [*range(10), *range(30, 40)]
    assert found["length=long"] == [*range(20, 30), *range(50, 60)]
    # Gaps are ratios and compared over all languages.
    assert found["gap=large"] == [*range(40, 60)]


def test_equal_values_are_in_one_third() -> None:
    found = slices(dataset(*(comparison(f"c{n}", response_a="one two", response_b="one two") for n in range(5))))
    assert found["length=short"] == found["gap=small"] == found["overall"]
    assert not {"length=medium", "length=long", "gap=medium", "gap=large"} & set(found)


def test_order_and_names_of_slices() -> None:
    data = dataset(
        comparison("1", setting="model_vs_model", language="zh", subject="law"),
        comparison("2", setting="human_vs_human", language="en", subject=None),
        comparison("3", setting="human_vs_model", language="en", subject="art"),
    )
    names = list(slices(data))
    assert names[:8] == [
        *("overall", *(f"setting={setting}" for setting in SETTINGS), "language=en", "language=zh"),
        *("subject=art", "subject=law"),
    ]
    assert slices(data)["subject=art"] == [2], "a comparison without a subject is in no slice of subjects"


def test_majorities() -> None:
    data = dataset(
        *(
            comparison(str(n), annotations=said(*labels))
            for n, labels in enumerate(["", "a", "aa", "ab", "aab", "abs", "aabb", "aaab", "sss"])
        )
    )
    facts = facts_of(data)
    found = slices(data)
    assert found["majority"] == [2, 4, 7, 8]
    assert found["unanimous"] == [2, 8]
    assert np.flatnonzero((facts.annotated > 1) & ~facts.majority).tolist() == [3, 5, 6]
    nobody = dataset(comparison("1"), comparison("2", annotations=said("a")))
    assert not {"majority", "unanimous"} & set(slices(nobody))
    assert facts_of(dataset(comparison("1"))).annotations is None


def test_any_column_makes_slices() -> None:
    data = dataset(
        comparison("1", extra={"level": 2, "true": True}, source_a="human"),
        comparison("2", extra={"level": "2"}, source_a="gpt"),
        comparison("3", extra={"level": 10.5, "odd": [1]}),
    )
    found = slices(data, ("level", "source_a", "true", "setting", "level"))
    assert (found["level=2"], found["level=10.5"]) == ([0, 1], [2])
    assert (found["source_a=human"], found["source_a=gpt"]) == ([0], [1])
    assert found["true=True"] == [0]
    with pytest.raises(UserError, match=r"no column 'colour' for --by; it has: .*label, language, level, odd"):
        slices(data, ("colour",))
    with pytest.raises(UserError, match="--by odd: a value is a list, not text or a number"):
        slices(data, ("odd",))
    for column in ("overall", "majority", "unanimous", "length", "gap", "reference"):
        named = dataset(comparison("1", extra={column: "x"}))
        with pytest.raises(UserError, match=f"--by {column}: CALF has slices of such a name"):
            slices(named, (column,))
    for column in ("annotations", "extra"):
        with pytest.raises(UserError, match=f"no column '{column}'"):
            slices(data, (column,))


def test_a_column_with_too_many_values_is_refused_only_where_it_was_asked_for() -> None:
    many = [comparison(f"c{n}", extra={"page": n, "half": n // 2}, subject=f"s{n}") for n in range(51)]
    with pytest.raises(UserError, match="--by page: 51 different values; at most 50"):
        slices(dataset(*many), ("page",))
    assert len([name for name in slices(dataset(*many), ("half",)) if name.startswith("half=")]) == 26
    assert len([name for name in slices(dataset(*many)) if name.startswith("subject=")]) == 51
    assert len([name for name in slices(dataset(*many[:50]), ("page",)) if name.startswith("page=")]) == 50


def test_nothing_is_known_of_nothing() -> None:
    facts = facts_of(dataset())
    assert facts.label.shape == facts.group.shape == facts.fold.shape == facts.overlap.shape == (0,)
    assert facts.annotations is None
    assert [name for name, mask in slices_of(dataset()) if mask.any()] == []


def test_facts_of_one_dataset_are_made_once_and_never_those_of_another() -> None:
    several = [dataset(*(comparison(f"c{n}", response_a="w " * (n + k)) for n in range(3))) for k in range(8)]
    for _ in range(2):
        for k, data in enumerate(several):
            assert facts_of(data).length_a.tolist() == [k, k + 1, k + 2]
            assert facts_of(data) is facts_of(data)
            selected = data.replace(data.comparisons[1:])
            assert facts_of(selected).length_a.tolist() == [k + 1, k + 2]
