from __future__ import annotations

import collections
import re
import string
from typing import TYPE_CHECKING, Any

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from lexical_helpers import (
    CHINESE,
    ENGLISH,
    WORDY,
    comparison,
    items_of,
    one,
    prepared,
    real_chinese,
    real_english,
)

from calf.errors import OptionError
from calf.metrics.overlap import Bleu, Chrf, TokenF1
from calf.metrics.rouge import Rouge
from calf.types import Failure

if TYPE_CHECKING:
    from pathlib import Path

    from calf.metrics.base import Response


def bleu(item: Response) -> float:
    tokenize = {"en": "13a", "zh": "zh"}[item.language]
    return sacrebleu.sentence_bleu(item.response, [item.reference], tokenize=tokenize).score


def chrf(item: Response, word_order: int = 0) -> float:
    return sacrebleu.sentence_chrf(item.response, [item.reference], word_order=word_order).score


def squad_f1(response: str, reference: str) -> float:
    """The rules of the SQuAD 1.1 evaluation, written out once more."""

    def words(text: str) -> collections.Counter[str]:
        plain = "".join(c for c in text.lower() if c not in string.punctuation)
        return collections.Counter(re.sub(r"\b(a|an|the)\b", " ", plain).split())

    mine, theirs = words(response), words(reference)
    same = (mine & theirs).total()
    return 2 * same / (mine.total() + theirs.total()) if same else 0.0


@settings(deadline=None)
@given(st.one_of(ENGLISH, WORDY), st.one_of(ENGLISH, WORDY), CHINESE, CHINESE)
def test_sacrebleu_is_the_oracle(response: str, reference: str, response_zh: str, reference_zh: str) -> None:
    for text, key, language in ((response, reference, "en"), (response_zh, reference_zh, "zh")):
        for metric, oracle in ((Bleu(), bleu), (Chrf(), chrf)):
            ours = one(metric, text, key, language)
            if isinstance(ours, Failure):
                assert not key.strip()
                assert ours.kind == "no_reference"
            else:
                item: Any = type("Item", (), {"response": text, "reference": key, "language": language})
                assert ours == pytest.approx(oracle(item), abs=1e-9)


@pytest.mark.shared_data
def test_real_texts(shared_data: Path) -> None:
    english, chinese = items_of(real_english(shared_data)[::15]), items_of(real_chinese(shared_data)[::60])
    assert min(len(english), len(chinese)) > 25
    for items in (english, chinese):
        assert list(Bleu().score(items)) == pytest.approx([bleu(i) for i in items], abs=1e-9)
        assert list(Chrf().score(items)) == pytest.approx([chrf(i) for i in items], abs=1e-9)
        assert max(Bleu().score(items)) > 5
    assert list(Chrf(word_order=2).score(english)) == pytest.approx([chrf(i, 2) for i in english], abs=1e-9)
    theirs = [squad_f1(i.response, i.reference or "") for i in english]
    assert list(TokenF1().score(english)) == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None)
@given(st.one_of(ENGLISH, WORDY), st.one_of(ENGLISH, WORDY))
def test_token_f1_is_squads(response: str, reference: str) -> None:
    ours = one(TokenF1(), response, reference)
    assert (0.0 if isinstance(ours, Failure) else ours) == pytest.approx(squad_f1(response, reference), abs=1e-9)


@settings(deadline=None)
@given(CHINESE, CHINESE)
def test_token_f1_under_rouges_tokenizer_is_rouge_1(response: str, reference: str) -> None:
    assert one(TokenF1(), response, reference, "zh") == one(Rouge("1"), response, reference, "zh")
    ours = one(TokenF1(tokenizer="rouge"), response, reference, "en")
    assert ours == one(Rouge("1"), response, reference, "en")


def test_values_by_hand() -> None:
    assert one(TokenF1(), "A cat's hat", "the hat of cats") == pytest.approx(0.8)
    assert one(Bleu(), "the cat sat on the mat", "the cat sat on the mat") == pytest.approx(100)
    assert one(Bleu(), "the cat", "the cat") == pytest.approx(100)  # effective order
    assert one(Bleu(), "山水相连", "山水相连", "zh") == pytest.approx(100)
    assert one(Chrf(), "山水相连", "山 水 相 连", "zh") == pytest.approx(100)
    # n = 1: 3 of 4 characters, n = 2: 2 of 3, n = 3: 1 of 2, n = 4: 0 of 1; orders 5 and 6 do not exist
    assert one(Chrf(), "山水相依", "山水相连", "zh") == pytest.approx(100 * (3 / 4 + 2 / 3 + 1 / 2) / 4)


@pytest.mark.parametrize("metric", [TokenF1(), Bleu(), Chrf()])
def test_empty_texts(metric: Any) -> None:
    for language, reference in (("en", "the key answer"), ("zh", "山水")):
        assert one(metric, "", reference, language) == 0.0
        assert one(metric, " \n\u3000", reference, language) == 0.0
        assert one(metric, "山", None, language).kind == "no_reference"
        assert one(metric, "山", "\n", language).kind == "no_reference"


def test_a_reference_without_tokens_is_a_failure() -> None:
    assert one(TokenF1(), "the", "key") == 0.0
    assert one(TokenF1(), "key", "the ... an").kind == "no_tokens"


def test_other_languages_must_choose() -> None:
    german = prepared([comparison(1, "wegen des Klimas", "nein", "das Klima", "de")])
    with pytest.raises(OptionError, match=r"language 'de'; give -o tokenizer=13a\|zh\|char"):
        Bleu().prepare(german)
    with pytest.raises(OptionError, match=r"language 'de'; give -o tokenizer=words\|characters\|squad"):
        TokenF1().prepare(german)
    Bleu(tokenizer="13a").prepare(german)
    Chrf(word_order=2).prepare(german)


@pytest.mark.shared_data
def test_tokenizers_that_do_not_divide_chinese_are_refused(shared_data: Path) -> None:
    data = prepared(real_chinese(shared_data)[::10])
    with pytest.raises(OptionError, match=r"'13a' does not fit language 'zh'.*use -o tokenizer=zh"):
        Bleu(tokenizer="13a").prepare(data)
    with pytest.raises(OptionError, match=r"'white space' does not fit language 'zh'.*use -o word_order=0"):
        Chrf(word_order=2).prepare(data)
    with pytest.raises(OptionError, match=r"'squad' does not fit language 'zh'.*use -o tokenizer=characters"):
        TokenF1(tokenizer="squad").prepare(data)
    for metric in (Bleu(), Bleu(tokenizer="char"), Chrf(), TokenF1()):
        metric.prepare(data)


def test_word_order_is_checked() -> None:
    with pytest.raises(OptionError, match="word_order=-1"):
        Chrf(word_order=-1)
