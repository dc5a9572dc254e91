"""Features: exactly odd and even, finite, deterministic, the same as the metrics that they restate."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.errors import UserError
from calf.metrics.base import Pair, Response
from calf.metrics.overlap import Bleu, Chrf
from calf.metrics.rouge import Rouge
from calf.training.features import FAMILIES, Extractor, Pairs, Table
from calf.training.features.rarity import Rarity
from calf.training.features.views import View

PLAIN = tuple(name for name in FAMILIES if name != "embedding")


def pair(a: str, b: str, reference: str | None, language: str = "zh", **others: str) -> Pair:
    return Pair(
        id="1", question=others.get("question", "为什么河流会改道？"), context=others.get("context", ""),
        reference=reference, response_a=a, response_b=b, language=language, setting="model_vs_model", subject=None,
        source_a=None, source_b=None, order="given", repeat=0,
    )  # fmt: skip


ITEMS = [
    pair("泥沙堆积使河床升高。河水漫过堤岸，另寻低处。", "因为天气不好。", "泥沙堆积，河床高于平地；洪水冲开堤岸。"),
    pair(
        "1855年黄河改道。",
        "1854年，没有人知道原因。",
        "黄河在1855年改道，不是因为地震。",
        context="黄河在历史上多次改道。",
    ),
    pair("The river 'Po' moves 3 km.", "", "The Po moved 2 km, not more.", "en", question="How far did it move?"),
    pair("No one knows.\n\n- first\n- second", "No one knows.", None, "en", question="Who knows?"),
    pair("川は低い方へ流れる。", "川は流れる。川は流れる。", "土砂がたまり、川は低い方へ流れを変える。", "ja"),
    pair("แม่น้ำเปลี่ยนทาง", "ฝนตก", "แม่น้ำเปลี่ยนทางเพราะตะกอน", "th"),
]


def swap(item: Pair) -> Pair:
    return dataclasses.replace(item, response_a=item.response_b, response_b=item.response_a, order="swapped")


def columns(pairs: Pairs, *, even: bool = False) -> dict[str, np.ndarray]:
    table = pairs.even if even else pairs.odd
    return dict(zip(table.names, table.values.T, strict=True))


def same(first: Pairs, second: Pairs) -> bool:
    return np.array_equal(first.odd.values, second.odd.values) and np.array_equal(first.even.values, second.even.values)


@pytest.mark.parametrize("family", PLAIN)
def test_each_family_alone_gives_its_columns_of_all(family: str) -> None:
    every = Extractor(PLAIN).fit(ITEMS).pairs(ITEMS)
    alone = Extractor([family]).fit(ITEMS).pairs(ITEMS)
    assert same(every.of((family,)), alone)
    assert set(alone.odd.families) == {family}
    assert len(alone.odd.names) >= 7
    assert np.abs(alone.odd.values).max() > 0


def test_swapping_turns_odd_features_and_leaves_even_ones() -> None:
    extractor = Extractor(PLAIN).fit(ITEMS)
    pairs = extractor.pairs(ITEMS)
    assert same(extractor.pairs([swap(item) for item in ITEMS]), pairs.swapped())
    assert same(pairs.swapped().swapped(), pairs)


TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            "河流 改道 不是 1855年 泥沙 。 ， \n ； 《水经》 3 km not the river . a - 1. （2） **".split(" ")
        ),
        max_size=25,
    ).map("".join),
)


@settings(deadline=None, max_examples=30)
@given(
    a=TEXTS, b=TEXTS, reference=st.none() | TEXTS, question=TEXTS, context=TEXTS,
    language=st.sampled_from(["zh", "en", "th", "xx"]), fitted=st.booleans(),
)  # fmt: skip
def test_any_texts_give_finite_antisymmetric_features(
    a: str, b: str, reference: str | None, question: str, context: str, language: str, fitted: bool
) -> None:
    item = pair(a, b, reference, language, question=question, context=context)
    extractor = Extractor(PLAIN).fit([item, *ITEMS]) if fitted else Extractor(PLAIN)
    pairs = extractor.pairs([item])  # a table refuses what is not finite
    assert same(extractor.pairs([swap(item)]), pairs.swapped())
    equal = extractor.pairs([dataclasses.replace(item, response_b=a)])
    assert not equal.odd.values.any()


def test_only_the_texts_are_looked_at() -> None:
    extractor = Extractor(PLAIN).fit(ITEMS)
    others = [
        dataclasses.replace(
            item, id=f"other {place}", setting="human_vs_model", subject="law", source_a="human", source_b="model",
            order="swapped", repeat=3,
        )
        for place, item in enumerate(ITEMS)
    ]  # fmt: skip
    assert same(extractor.pairs(others), extractor.pairs(ITEMS))


def test_a_pair_has_the_same_features_whatever_is_beside_it() -> None:
    extractor = Extractor(PLAIN).fit(ITEMS)
    together = extractor.pairs([*ITEMS, *map(swap, ITEMS)])
    for place, item in enumerate(ITEMS):
        assert same(extractor.pairs([item]), together.rows(np.array([place])))


def test_features_do_not_depend_on_the_order_of_sets() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/training'); import test_features as t; from hashlib import sha256;"
        "p = t.Extractor(t.PLAIN).fit(t.ITEMS).pairs(t.ITEMS);"
        "print(sha256(p.odd.values.tobytes() + p.even.values.tobytes()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True,
            check=True, cwd=root,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_overlaps_are_those_of_the_metrics() -> None:
    item = ITEMS[0]
    found = columns(Extractor(["lexical"]).pairs([item]))

    def differ(metric: Rouge | Bleu | Chrf) -> float:
        a, b = metric.score(
            [Response(item.question, "", item.reference, text, "zh") for text in (item.response_a, item.response_b)]
        )
        assert isinstance(a, float)
        assert isinstance(b, float)
        return a - b

    for variant, name in (("1", "rouge1"), ("2", "rouge2"), ("l", "rougel")):
        for measure in ("f1", "precision", "recall"):
            expected = differ(Rouge(variant, measure, tokenizer="words"))  # type: ignore[arg-type]  # of literals
            assert math.isclose(found[f"lexical.{name}_{measure}"][0], expected, abs_tol=1e-12)
    assert math.isclose(found["lexical.bleu"][0], differ(Bleu()) / 100, abs_tol=1e-12)
    assert math.isclose(found["lexical.chrf"][0], differ(Chrf()) / 100, abs_tol=1e-12)


def test_rare_words_weigh_more_than_common_ones() -> None:
    references = ["alpha common", "beta common", "gamma common", "delta other"]
    items = [pair("alpha", "common", text, "en") for text in references]
    extractor = Extractor(["lexical"]).fit(items)
    weighted = columns(extractor.pairs(items[:1]))["lexical.weighted_recall"][0]
    alpha, common = math.log(5 / 2), math.log(5 / 4)
    assert math.isclose(weighted, (alpha - common) / (alpha + common))
    assert columns(Extractor(["lexical"]).pairs(items[:1]))["lexical.weighted_recall"][0] == 0.0


def test_facts_tell_present_absent_and_contradicted_numbers() -> None:
    found = columns(Extractor(["facts"]).pairs(ITEMS[1:3]))
    right, wrong = found["facts.numbers_present"], found["facts.numbers_contradicted"]
    assert right[0] == 1.0
    assert wrong[0] == -math.log1p(1)
    assert found["facts.numbers_new"][0] == -math.log1p(1)
    assert wrong[1] == math.log1p(1)  # 3 km, where the reference has 2
    kept = columns(Extractor(["facts"]).pairs([pair("这不是因为地震。", "这是因为地震。", "不是因为地震。")]))
    assert kept["facts.negations_kept"][0] > 0
    assert kept["facts.negations_contradicted"][0] < 0


def test_coverage_counts_sentences_won() -> None:
    reference = "泥沙堆积抬高河床。洪水冲开堤岸。人工开渠引水。"
    item = pair("泥沙堆积抬高河床。洪水冲开堤岸。", "人工开渠引水。", reference)
    odd, even = (columns(Extractor(["coverage"]).pairs([item]), even=part) for part in (False, True))
    assert math.isclose(odd["coverage.words_wins"][0], 1 / 3)
    assert math.isclose(even["coverage.words_opposed"][0], 1 / 3)
    assert math.isclose(odd["coverage.words_covered"][0], 1 / 3)


def test_a_missing_reference_is_said_and_neutral() -> None:
    pairs = Extractor(PLAIN).fit(ITEMS).pairs(ITEMS)
    assert columns(pairs, even=True)["form.no_reference"].tolist() == [0, 0, 0, 1, 0, 0]
    missing = pairs.rows(np.array([3]))
    for family in ("lexical", "coverage"):
        assert not missing.odd.of((family,)).values.any()
    assert columns(missing)["form.log_ratio"][0] == 0.0
    assert missing.odd.of(("form",)).values.any()


def test_what_is_stored_makes_the_same_features_and_holds_no_text() -> None:
    items = [*ITEMS, pair("a", "b", "泥沙堆积，河床抬高。")]
    extractor = Extractor(PLAIN).fit(items)
    state = json.dumps(extractor.as_dict(), ensure_ascii=False)
    assert not any(character in state for character in "泥沙堆积河床")
    assert same(Extractor.from_dict(json.loads(state)).pairs(items), extractor.pairs(items))
    assert Extractor.from_dict(json.loads(state)).families == PLAIN


def test_rarity_counts_each_distinct_reference_once() -> None:
    repeated = [*ITEMS[:2], *ITEMS[:2], ITEMS[3]]
    once, often = Rarity.by_language(ITEMS[:2]), Rarity.by_language(repeated)
    assert {k: v.as_dict() for k, v in once.items()} == {k: v.as_dict() for k, v in often.items()}
    assert once["zh"].references == 2


def test_topics_tell_subjects_apart() -> None:
    subjects = {"land": "river valley glacier desert".split(), "law": "court contract judge statute".split()}
    items = [
        pair("a", "b", f"{words[n % 4]} {words[(n + 1) % 4]}", "en", question=f"{words[(n + 2) % 4]} number {n}?")
        for words in subjects.values()
        for n in range(40)
    ]
    extractor = Extractor(["question"]).fit(items)
    found = columns(extractor.pairs(items), even=True)
    topics = np.array([found[f"question.topic_{number}"] for number in range(1, 9)]).T
    land, law = topics[:40, 0], topics[40:, 0]
    assert max(land.min(), law.min()) > min(land.max(), law.max())  # one axis is enough
    state = json.dumps(extractor.as_dict())
    assert "river" not in state
    assert same(Extractor.from_dict(json.loads(state)).pairs(items), extractor.pairs(items))
    other = columns(extractor.pairs([pair("a", "b", "c", "fr")]), even=True)  # a language that was not there
    assert other["question.topic_1"][0] == 0


def test_sentences_keep_decimals_and_short_pieces() -> None:
    view = View("It rose by 3.5 m. Then it fell! Ok.\nNext line; and more", "en")
    assert [s.text for s in view.sentences] == ["It rose by 3.5 m.", "Then it fell! Ok.", "Next line;", "and more"]


def test_families_are_checked_and_described() -> None:
    with pytest.raises(UserError, match="lexicall"):
        Extractor(["lexicall"])
    described = Extractor(["form", "lexical"]).describe(["zh", "th"])
    assert described == {"features": "1", "families": "form,lexical", "tokens": "th=characters,zh=words"}
    empty = Extractor([]).pairs(ITEMS)
    assert empty.odd.values.shape == empty.even.values.shape == (len(ITEMS), 0)
    assert len(Extractor(PLAIN).pairs([])) == 0


def test_tables_refuse_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="second"):
        Table(("first", "second"), ("form", "form"), np.array([[1.0, math.nan]]))
    with pytest.raises(ValueError, match="2 names"):
        Table(("first", "second"), ("form", "form"), np.zeros((1, 3)))
