from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lexical_helpers import ENGLISH, WORDY, comparison, prepared, real_chinese, real_english

from calf.errors import MissingDependencyError, OptionError
from calf.metrics.overlap import Bleu
from calf.metrics.rouge import Rouge
from calf.metrics.tokenize import choose_tokenizer, find_tokenizer, stem

if TYPE_CHECKING:
    from pathlib import Path


@settings(deadline=None)
@given(st.one_of(st.text(), ENGLISH, WORDY))
def test_rouge_tokens_are_rouge_scores(text: str) -> None:
    from rouge_score.tokenizers import DefaultTokenizer

    tokens = find_tokenizer("rouge")(text)
    assert tokens == DefaultTokenizer(use_stemmer=False).tokenize(text)
    assert stem(tokens) == DefaultTokenizer(use_stemmer=True).tokenize(text)


@settings(deadline=None)
@given(st.text())
def test_characters_are_all_that_are_not_white_space(text: str) -> None:
    assert list(find_tokenizer("characters")(text)) == [c for c in text if not c.isspace()]


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("rouge", "The GDP rose 3.5% in São Paulo", ["the", "gdp", "rose", "3", "5", "in", "s", "o", "paulo"]),
        ("characters", "水循环：GDP \u3000上 升。\n", list("水循环：GDP上升。")),
        ("words", "Größe_1 GDP, 水循环。カナ是x²", ["größe_1", "gdp", "水", "循", "环", "カ", "ナ", "是", "x²"]),
        ("words", "Она_сказала: «да»", ["она_сказала", "да"]),
        ("squad", "The cat's a hat, an apple & theory!", ["cats", "hat", "apple", "theory"]),
        ("jieba", "我们 学习地理。\nGDP", ["我们", "学习", "地理", "。", "GDP"]),
    ],
)
def test_tokens(name: str, text: str, tokens: list[str]) -> None:
    assert list(find_tokenizer(name)(text)) == tokens


def test_auto_knows_english_and_chinese_and_asks_for_the_rest() -> None:
    assert choose_tokenizer("auto", "en") == "rouge"
    assert choose_tokenizer("auto", "zh") == "characters"
    assert choose_tokenizer("words", "de") == "words"
    data = prepared([comparison(1, "a b", "c", "d"), comparison(2, "wegen des Klimas", "nein", "das Klima", "de")])
    with pytest.raises(OptionError, match=r"language 'de'; give -o tokenizer=words\|characters\|rouge\|jieba"):
        Rouge("l").prepare(data)
    Rouge("l", tokenizer="words").prepare(data)


def test_jieba_is_silent_and_leaves_the_shared_temporary_folder_alone(tmp_path: Path) -> None:
    temporary = tmp_path / "shared"
    temporary.mkdir()
    (temporary / "jieba.cache").write_bytes(b"not a cache")
    code = "from calf.metrics.tokenize import find_tokenizer; print('/'.join(find_tokenizer('jieba')('我们学习地理')))"
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert done.stdout.decode() == "我们/学习/地理\n"
    assert done.stderr == b""
    assert [(p.name, p.read_bytes()) for p in temporary.iterdir()] == [("jieba.cache", b"not a cache")]


def test_without_jieba_the_extra_is_named_before_anything_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    from calf.metrics import tokenize

    tokenize._jieba.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'calf-eval\[jieba\]'"):
        Rouge("l", tokenizer="jieba").prepare(prepared([comparison(1, "山", "水", "山水", "zh")]))


def test_metrics_import_no_heavy_library() -> None:
    code = (
        "import sys, calf.metrics.floors, calf.metrics.meteor, calf.metrics.overlap, calf.metrics.rouge;"
        "print(sorted({'absl', 'jieba', 'nltk', 'rapidfuzz', 'rouge_score', 'sacrebleu', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


# ---- a tokenizer that does not fit


@pytest.mark.shared_data
def test_the_english_tokenizer_is_refused_for_the_real_chinese_file(shared_data: Path) -> None:
    data = prepared(real_chinese(shared_data)[::12])
    message = r"tokenizer 'rouge' does not fit language 'zh': in 100 % .*; use -o tokenizer=characters$"
    with pytest.raises(OptionError, match=message):
        Rouge("1", tokenizer="rouge").prepare(data)
    for name in ("auto", "characters", "words", "jieba"):
        Rouge("1", tokenizer=name).prepare(data)


@pytest.mark.shared_data
def test_every_tokenizer_fits_the_real_english_file(shared_data: Path) -> None:
    data = prepared(real_english(shared_data))
    for name in ("auto", "rouge", "characters", "words"):
        Rouge("1", tokenizer=name).prepare(data)


def test_each_language_is_judged_by_its_own_tokenizer_and_texts() -> None:
    mixed = [comparison(i, f"the answer {i}", "no", "the answer") for i in range(30)]
    mixed.append(comparison(99, "山高水长", "水", "山水相连", "zh"))
    Rouge("l").prepare(prepared(mixed))
    Rouge("l", tokenizer="words").prepare(prepared(mixed))
    with pytest.raises(OptionError, match="'rouge' does not fit language 'zh'"):
        Rouge("l", tokenizer="rouge").prepare(prepared(mixed))


def test_clauses_that_no_white_space_divides_are_refused() -> None:
    clause = "这条河流的水量随季节而变化，"
    data = prepared([comparison(1, clause * 2, clause * 3, clause, "zh")])
    with pytest.raises(OptionError, match=r"'13a' does not fit language 'zh': .*use -o tokenizer=zh$"):
        Bleu(tokenizer="13a").prepare(data)
    Bleu(tokenizer="zh").prepare(data)


def test_one_text_in_twenty_may_be_lost() -> None:
    def data(lost: int) -> list:
        # 20 distinct texts: one reference, 19 responses
        responses = [f"answer {i}" for i in range(20 - 1 - lost)] + ["山" * (i + 1) for i in range(lost)]
        return [comparison(i, text, "", "the answer") for i, text in enumerate(responses)]

    Rouge("1").prepare(prepared(data(1)))
    with pytest.raises(OptionError, match="in 10 % of its texts"):
        Rouge("1").prepare(prepared(data(2)))


def test_texts_without_letters_say_nothing_of_the_tokenizer() -> None:
    data = [comparison(i, "?!" + "." * i, "", "the answer") for i in range(30)]
    Rouge("1").prepare(prepared(data))
    Rouge("1").prepare(prepared([comparison(1, "", " ", None)]))
