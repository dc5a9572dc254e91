"""Whether a translation can be one: its language, its numbers, its length, and that something was translated at all.

These checks find what a program can find. They do not say that a translation is good.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from calf.datasets.language import infer_language
from calf.datasets.translate.numbers import changed_numbers
from calf.datasets.translate.symbols import changed_symbols

__all__ = ["CHECKS", "LENGTHS", "Complaint", "Target", "check", "needs_translation"]

Target = Literal["en", "zh"]
"""The languages that a translation is checked for, and so can be made into."""

CHECKS: dict[str, str] = {
    "missing": "the answer has a translation of every text that was sent",
    "empty": "no translation is blank",
    "untranslated": "no translation is the source text again",
    "language": "the letters are those of the target language; no clause is left in the source language",
    "numbers": "every number of the source stands in the translation as often as there, and no other",
    "symbols": "no sign of a number, option letter, formula or item of a list is lost or changed",
    "length": "the length is within bounds of the source's",
    "markup": "none of the tags that set texts apart is left in it",
}
"""What is checked, by the kind of failure."""

LENGTHS: dict[tuple[str, str], tuple[float, float]] = {("zh", "en"): (0.55, 1.9), ("en", "zh"): (0.52, 1.8)}
"""Bounds of length(translation) / length(source), by source and target language.

The length is in letters and digits, of which a CJK ideograph counts as `PER_IDEOGRAPH` (so that an English term in a
Chinese text does not matter): translations between Chinese and English come out near 1 (CALF's own prompts, which
stand in both languages: 0.95 to 1.02; their paragraphs: 0.74 to 1.3).
"""

_OTHER_LENGTHS = (0.4, 2.5)
_SHORT = 25  # this much more or less is never wrong: a short text's ratio says nothing
PER_IDEOGRAPH = 2.9

_IDEOGRAPH = re.compile(r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0003347f]")
_LETTER = re.compile(r"[^\W\d_]")
_COUNTED = re.compile(r"[^\W_]")
_LEFT_CLAUSE = re.compile(r"[㐀-䶿一-鿿豈-﫿]{10,}")
_LATIN_WORD = re.compile(r"[A-Za-z][a-z]{2,}")
_LEFT_SENTENCE = re.compile(r"(?:[A-Za-z'’-]+[ ,;]+){9,}[A-Za-z'’-]+")
_MOST_IDEOGRAPHS = 0.1  # of the letters of an English text: terms may stand in brackets
_ENOUGH_LETTERS = 20
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a translation: a key of `CHECKS`, and a sentence that its translator can act on."""

    kind: str
    message: str


def needs_translation(text: str, source_language: str, target: Target) -> bool:
    """Whether there is anything to translate: not in a blank text, a formula, or what is in the target language."""
    if source_language == "zh" and target == "en":
        return _IDEOGRAPH.search(text) is not None
    if target == "zh":
        words = len(_LATIN_WORD.findall(text)) if source_language == "en" else len(_LETTER.findall(text))
        return words > 0 and infer_language(text) != "zh"
    return _LETTER.search(text) is not None


def check(source: str, result: str, source_language: str, target: Target) -> Complaint | None:
    """The first thing that is wrong with a translation; None if nothing is found.

    Args:
        source: the text.
        result: its translation.
        source_language: ISO 639-1 code.
        target: the language of the translation.
    """
    if not result.strip():
        return Complaint("empty", "the translation is empty; translate the whole text")
    if _squeezed(result) == _squeezed(source) and len(_LETTER.findall(source)) >= _needed(source_language):
        return Complaint("untranslated", f"this is the source text again; translate it into {_NAMES[target]}")
    if wrong := _language(result, target):
        return Complaint("language", wrong)
    lost, invented = changed_numbers(source, result)
    if lost or invented:
        parts = [f"these numbers of the source are lost or changed: {_listed(lost)}"] if lost else []
        parts += [f"these numbers are not in the source: {_listed(invented)}"] if invented else []
        return Complaint("numbers", "; ".join(parts))
    if changed := changed_symbols(source, result):
        return Complaint("symbols", changed)
    return _length(source, result, source_language, target)


_NAMES = {"en": "English", "zh": "Chinese"}


def _needed(source_language: str) -> int:
    """From how many letters on a text that stays the same was not translated: a name may stay as it is."""
    return 2 if source_language == "zh" else _ENOUGH_LETTERS


def _language(result: str, target: Target) -> str | None:
    letters = len(_LETTER.findall(result))
    ideographs = len(_IDEOGRAPH.findall(result))
    if target == "zh":
        if letters >= _ENOUGH_LETTERS and infer_language(result) != "zh":
            return "the translation is not in Chinese; translate the whole text into Chinese"
        left = _LEFT_SENTENCE.search(result)
        return None if left is None else f"this part is still in the source language: {left[0][:60]}"
    if infer_language(result) != "en" or ideographs > max(2, _MOST_IDEOGRAPHS * letters):
        return "the translation is not in English, or not all of it; translate the whole text into English"
    left = _LEFT_CLAUSE.search(result)
    return None if left is None else f"this part is still in Chinese: {left[0][:30]}"


def _length(source: str, result: str, source_language: str, target: Target) -> Complaint | None:
    low, high = LENGTHS.get((source_language, target), _OTHER_LENGTHS)
    before, after = _weight(source), _weight(result)
    if after < low * before - _SHORT:
        return Complaint("length", "the translation is much too short; translate the whole text and leave nothing out")
    if after > high * before + _SHORT:
        return Complaint("length", "the translation is much too long; translate what stands there and add nothing")
    return None


def _weight(text: str) -> float:
    """Letters and digits, an ideograph for `PER_IDEOGRAPH` of them."""
    return len(_COUNTED.findall(text)) + (PER_IDEOGRAPH - 1) * len(_IDEOGRAPH.findall(text))


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()


def _listed(numbers: list[str]) -> str:
    more = len(numbers) - _MOST_NAMED
    return ", ".join(numbers[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
