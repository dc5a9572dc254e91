from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from lexical_helpers import CHINESE, WORDY, items_of, one, real_chinese, real_english

from calf.metrics import meteor
from calf.metrics.meteor import Meteor
from calf.metrics.tokenize import find_tokenizer
from calf.types import Failure

if TYPE_CHECKING:
    from pathlib import Path


class NoWordNet:
    def synsets(self, word: str) -> list:
        return []


class TinyWordNet:
    """`car` and `auto` are synonyms."""

    def synsets(self, word: str) -> list:
        lemmas = [SimpleNamespace(name=lambda name=name: name) for name in ("car", "auto", "motor_car")]
        return [SimpleNamespace(lemmas=lambda: lemmas)] if word in ("car", "auto") else []


@pytest.fixture(autouse=True)
def _no_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever nltk data the machine has."""
    monkeypatch.setattr(meteor, "_find_wordnet", lambda: meteor._NO_SYNONYMS)


def nltk_meteor(response: str, reference: str, tokenizer: str) -> float:
    from nltk.translate.meteor_score import single_meteor_score

    tokenize = find_tokenizer(tokenizer)
    return single_meteor_score(list(tokenize(reference)), list(tokenize(response)), wordnet=NoWordNet())


@settings(deadline=None)
@given(WORDY, WORDY, CHINESE, CHINESE)
def test_nltk_is_the_oracle(response: str, reference: str, response_zh: str, reference_zh: str) -> None:
    metric = Meteor(wordnet="no")
    ours = one(metric, response, reference)
    assert (0.0 if isinstance(ours, Failure) else ours) == pytest.approx(
        nltk_meteor(response, reference, "rouge"), abs=1e-9
    )
    ours = one(metric, response_zh, reference_zh, "zh")
    theirs = nltk_meteor(response_zh, reference_zh, "characters")
    assert (0.0 if isinstance(ours, Failure) else ours) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.shared_data
def test_real_texts(shared_data: Path) -> None:
    for items, tokenizer in (
        (items_of(real_english(shared_data)[::20]), "rouge"),
        (items_of(real_chinese(shared_data)[::60]), "characters"),
    ):
        theirs = [nltk_meteor(i.response, i.reference or "", tokenizer) for i in items]
        assert list(Meteor().score(items)) == pytest.approx(theirs, abs=1e-9)
        assert max(theirs) > 0.2


def test_values_by_hand() -> None:
    # one chunk of three matches: penalty 0.5 / 27
    assert one(Meteor(), "The cat sat.", "the cat sat") == pytest.approx(1 - 0.5 / 27)
    assert one(Meteor(), "山水相连", "山水相连", "zh") == pytest.approx(1 - 0.5 / 64)
    # a stem counts as a match
    assert one(Meteor(), "planting trees", "plant tree") == pytest.approx(1 - 0.5 / 8)
    assert one(Meteor(tokenizer="words"), "planting trees", "plant tree", "fr") == 0.0
    # precision 1, recall 1/2: 0.5 / (0.9 + 0.1 * 0.5); two matches in two chunks: penalty 0.5
    assert one(Meteor(), "one three", "one two three four") == pytest.approx(0.5 * 0.5 / 0.95)
    assert one(Meteor(), "nothing", "shared here") == 0.0
    assert one(Meteor(), "", "the key") == 0.0
    assert one(Meteor(), "key", " ").kind == "no_reference"
    assert one(Meteor(), "key", "……").kind == "no_tokens"


def test_wordnet_is_used_for_english_alone_and_said_in_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = one(Meteor(), "a red car", "a red auto")
    assert Meteor().describe(["en", "zh"]) == {"tokens": "en=rouge,zh=characters", "wordnet": "no"}
    monkeypatch.setattr(meteor, "_find_wordnet", TinyWordNet)
    assert one(Meteor(), "a red car", "a red auto") == pytest.approx(1 - 0.5 / 27)
    assert Meteor().describe(["en"])["wordnet"] == "yes"
    assert Meteor().describe(["zh"])["wordnet"] == "no"
    assert one(Meteor(wordnet="no"), "a red car", "a red auto") == absent < 0.9
    assert Meteor(wordnet="no").describe(["en"])["wordnet"] == "no"


def test_absent_wordnet_data_is_not_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import nltk.data

    monkeypatch.undo()
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    meteor._find_wordnet.cache_clear()
    assert meteor._find_wordnet() is meteor._NO_SYNONYMS
    meteor._find_wordnet.cache_clear()
