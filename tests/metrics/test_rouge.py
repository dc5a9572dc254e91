from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lexical_helpers import CHINESE, ENGLISH, WORDY, item, items_of, one, real_chinese, real_english

from calf.metrics.rouge import Rouge
from calf.metrics.tokenize import characters, find_tokenizer
from calf.types import Failure

if TYPE_CHECKING:
    from pathlib import Path

VARIANTS = {"1": "rouge1", "2": "rouge2", "l": "rougeL", "lsum": "rougeLsum"}
MEASURES = {"f1": "fmeasure", "precision": "precision", "recall": "recall"}


class Oracle:
    """One of our tokenizers, as rouge-score takes it."""

    def __init__(self, name: str) -> None:
        self._tokenize = find_tokenizer(name)

    def tokenize(self, text: str) -> list[str]:
        return list(self._tokenize(text))


def agrees(response: str, reference: str, language: str, oracles: dict[str, Any], **options: object) -> None:
    for variant, scorer in oracles.items():
        theirs = scorer.score(reference, response)[VARIANTS[variant]]
        for measure, field in MEASURES.items():
            ours = one(Rouge(variant, measure, **options), response, reference, language)
            if isinstance(ours, Failure):
                tokens = Rouge("1", **options).tokens(reference, language)
                assert not tokens
                assert ours.kind == ("no_tokens" if reference.strip() else "no_reference")
                ours = 0.0  # what rouge-score says of a reference without tokens
            assert ours == pytest.approx(getattr(theirs, field), abs=1e-9)


@functools.cache
def scorers(tokenizer: str | None = None, **options: Any) -> dict[str, Any]:
    """Of rouge-score, which imports much."""
    from rouge_score.rouge_scorer import RougeScorer

    found = Oracle(tokenizer) if tokenizer else None
    return {variant: RougeScorer([name], tokenizer=found, **options) for variant, name in VARIANTS.items()}


@settings(deadline=None)
@given(st.one_of(ENGLISH, WORDY), st.one_of(ENGLISH, WORDY))
def test_english_is_rouge_scores(response: str, reference: str) -> None:
    agrees(response, reference, "en", scorers())
    agrees(response, reference, "en", scorers(use_stemmer=True), stemmer=True)


@settings(deadline=None)
@given(CHINESE, CHINESE)
def test_chinese_characters_are_rouge_scores(response: str, reference: str) -> None:
    agrees(response, reference, "zh", scorers("characters"))


@settings(deadline=None, max_examples=50)
@given(st.one_of(ENGLISH, CHINESE), st.one_of(ENGLISH, CHINESE))
def test_words_of_any_language_are_rouge_scores(response: str, reference: str) -> None:
    agrees(response, reference, "fr", scorers("words"), tokenizer="words")


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.text(alphabet="abc", max_size=25), max_size=4).map("\n".join),
    st.lists(st.text(alphabet="abc", max_size=25), max_size=4).map("\n".join),
)
def test_lsum_takes_the_same_of_many_longest_subsequences(response: str, reference: str) -> None:
    scorer = scorers("characters")["lsum"]
    if characters(reference):
        ours = one(Rouge("lsum", tokenizer="characters"), response, reference)
        assert ours == pytest.approx(scorer.score(reference, response)["rougeLsum"].fmeasure, abs=1e-9)


def test_lsum_depends_on_which_subsequence_is_taken() -> None:
    # "aaa" matches the first three places or the last three, "ab" the first or the last one: rouge-score takes those
    # that lie apart, so that the union covers all four.
    assert one(Rouge("lsum", "recall", tokenizer="characters"), "aaa\nab", "aaaa") == 1.0


@pytest.mark.shared_data
def test_real_chinese_texts(shared_data: Path) -> None:
    items = items_of(real_chinese(shared_data)[::80])
    assert len(items) == 30
    for variant, name in VARIANTS.items():
        scorer = scorers("characters")[variant]
        theirs = [scorer.score(i.reference, i.response)[name].fmeasure for i in items]
        assert list(Rouge(variant).score(items)) == pytest.approx(theirs, abs=1e-9)
        assert max(theirs) > 0.1


@pytest.mark.shared_data
def test_real_english_texts(shared_data: Path) -> None:
    items = items_of(real_english(shared_data)[::25])
    assert len(items) > 15
    for variant, name in VARIANTS.items():
        for stemmer, oracle in ((False, scorers()), (True, scorers(use_stemmer=True))):
            theirs = [oracle[variant].score(i.reference, i.response)[name].fmeasure for i in items]
            assert list(Rouge(variant, stemmer=stemmer).score(items)) == pytest.approx(theirs, abs=1e-9)


def test_values_by_hand() -> None:
    reference, response = "the cat sat on the mat", "the cat lay on a mat"
    assert one(Rouge("1"), response, reference) == pytest.approx(4 / 6)
    assert one(Rouge("2"), response, reference) == pytest.approx(1 / 5)
    assert one(Rouge("l"), response, reference) == pytest.approx(4 / 6)
    assert one(Rouge("l", "recall"), "the cat", reference) == pytest.approx(2 / 6)
    assert one(Rouge("l", "precision"), "the cat", reference) == 1.0
    assert one(Rouge("l"), "山水", "山和水", "zh") == pytest.approx(2 * 1 * (2 / 3) / (5 / 3))
    assert one(Rouge("l"), "Running dogs", "run dog") == 0.0
    assert one(Rouge("l", stemmer=True), "running dogs", "running dogs runs") == pytest.approx(0.8)
    assert one(Rouge("l", tokenizer="words", stemmer=True), "running", "runs", "en") == 1.0
    assert one(Rouge("l", tokenizer="words", stemmer=True), "running", "runs", "fr") == 0.0


def test_case_is_dropped_by_words_and_kept_by_characters() -> None:
    assert one(Rouge("1"), "DNA", "dna") == 1.0
    assert one(Rouge("1"), "DNA", "dna", "zh") == 0.0


@pytest.mark.parametrize("variant", VARIANTS)
def test_empty_texts(variant: str) -> None:
    metric = Rouge(variant)
    assert one(metric, "", "the answer") == 0.0
    assert one(metric, " \n\u3000", "the answer") == 0.0
    assert one(metric, "……", "the answer") == 0.0
    assert one(metric, "answer", None).kind == "no_reference"
    assert one(metric, "answer", " \n").kind == "no_reference"
    assert one(metric, "answer", "……").kind == "no_tokens"
    assert one(metric, "", "……").kind == "no_tokens"


def test_a_text_shorter_than_the_pair_scores_0() -> None:
    assert one(Rouge("2"), "one", "one") == 0.0


def test_languages_are_told_apart_in_one_call() -> None:
    metric = Rouge("1")
    scores = list(metric.score([item("a b", "a b", "en"), item("a b", "ab", "zh"), item("a b", "ab", "en")]))
    assert scores == [1.0, 1.0, 0.0]
    assert metric.describe(["en", "zh"]) == {"tokens": "en=rouge,zh=characters"}
    assert set(Rouge("1", tokenizer="jieba", stemmer=True).describe(["en"])) == {"tokens", "jieba", "nltk"}


def test_many_texts_do_not_change_a_score() -> None:
    metric = Rouge("2")
    before = one(metric, "one two three", "two three four")
    for i in range(3000):
        one(metric, f"word {i} {i + 1}", f"a {i} b")
    assert one(metric, "one two three", "two three four") == before == pytest.approx(0.5)
