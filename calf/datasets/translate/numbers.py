"""The numbers of a text and of its translation, compared as multisets.

A number that is *stated* in one text must be *offered* by the other, each as often as it is stated. Stated are numbers
in digits (1,200; 3.5; 1860s) and Chinese numerals that can only be numbers (二十四, 一百五十, 一九四九). Offered are
these, and all that can be read as a number: single numerals (一, 两, 半), words (three, twice, March, half), list
markers (①, "2."), digits inside a name (CO2). So 两倍 may become "twice" or "2 times", 3.5万 "35,000" or "35 thousand",
7月 "July", 19世纪60年代 "the 1860s"; but no 3 a 4, and no 万 a thousand.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING

from calf.datasets.translate.numerals import DIGITS, numeral_value, readings, word_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["changed_numbers"]

Readings = frozenset[Decimal]
"""What one number may mean."""

_CIRCLED = re.compile("[①-⑳⑴-⒇⒈-⒛]")
_NUMERAL = re.compile("[零〇一二两三四五六七八九十百千万亿]+")
_POINT = re.compile("([零〇一二三四五六七八九十百]+)点([零〇一二三四五六七八九]+)(?!十)")
_MEASURED = re.compile("个?[倍万亿%度米元吨克公千毫百]")  # after a decimal; 三点一线 and 两点，一是 are none
_TEN = r"(?:\d0|[一二三四五六七八九]十)"
_DECADES = re.compile(rf"(\d\d?|[一二三四五六七八九十]+)世纪({_TEN}(?:年?代?[至到和、与及~—–-]+{_TEN})*)年代")
_ENGLISH_DECADES = re.compile(r"(\d0)'?s of the (\d\d?)th century", re.I)
_NUMBER = re.compile(r"(?<![\d.])(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)")
_MARKER = re.compile(r"^[ \t]*[(\[]?(?=(\d{1,2})(?:[、)\]]|\.(?!\d)))|[(](?=\d{1,2}[)])", re.M)
_SCALE = re.compile(
    r"(\s*(?:[~至到—–-]+|to|and)\s*\d[\d.,]*)?[多余几]?\s*"
    r"([十百千]?[万亿]亿?|[百千](?![分米克瓦卡伏赫帕焦])|(?:hundred|thousand|million|billion|trillion)\b)",
    re.I,
)
_SCALES = {"十": 1, "百": 2, "千": 3, "万": 4, "亿": 8}
_SCALES |= {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_CENTURY = re.compile(r"(?:st|nd|rd|th)?\s*(?:世纪|centur)", re.I)
_DECADE = re.compile(r"\s*(?:年代|'?s\b)")
_CENTURIES = (1500, 1600, 1700, 1800, 1900)


def changed_numbers(source: str, result: str) -> tuple[list[str], list[str]]:
    """The numbers that a translation lost, and those that it made up, as they are written.

    Args:
        source: a text.
        result: its translation. In languages other than English and Chinese only digits are seen.
    """
    before, after = _in_digits(source), _in_digits(result)
    return (
        _lacking(_stated(before), _offered(after, result)),
        _lacking(_stated(after), _offered(before, source)),
    )


def _lacking(stated: Iterable[tuple[str, Readings]], offered: Iterable[Readings]) -> list[str]:
    """What is stated and not offered. An offer is taken once; the number with the fewest readings chooses first."""
    left = list(offered)
    lacking = []
    for written, meant in sorted(stated, key=lambda item: len(item[1])):
        fitting = [offer for offer in left if not meant.isdisjoint(offer)]
        if fitting:
            left.remove(min(fitting, key=len))
        else:
            lacking.append(written)
    return lacking


def _stated(text: str) -> list[tuple[str, Readings]]:
    """The numbers in digits; not list markers, and not digits inside a name (CO2, PM2.5)."""
    markers = {match.end() for match in _MARKER.finditer(text)}
    return [
        (match[0], meant)
        for match, meant in _numbers(text)
        if match.start() not in markers and not re.match(r"[A-Za-z]", text[match.start() - 1 : match.start()])
    ]


def _offered(text: str, original: str) -> list[Readings]:
    """All that may be read as a number in a text; `text` is `original` as `_in_digits` writes it."""
    plain = unicodedata.normalize("NFKC", original)
    decimals = (_decimal(match) for match in _POINT.finditer(plain))
    loose = (reading for match in _NUMERAL.finditer(plain) for reading in readings(match[0]))
    return [
        *(meant for _, meant in _numbers(text)),
        *(frozenset({reading}) for reading in loose),
        *(frozenset({Decimal(decimal)}) for decimal in decimals if decimal[0].isdecimal() and decimal.isascii()),
        *[frozenset({Decimal("0.5"), Decimal(2)})] * plain.count("半"),
        *word_values(plain),
    ]


def _in_digits(text: str) -> str:
    """The text with ASCII digits; Chinese numerals that can only be numbers, and decades of a century, in digits."""
    text = _CIRCLED.sub(lambda match: f"({unicodedata.normalize('NFKC', match[0]).strip('().')})", text)
    text = unicodedata.normalize("NFKC", text)
    text = _POINT.sub(lambda match: _decimal(match) if _MEASURED.match(text, match.end()) else match[0], text)
    text = _DECADES.sub(_decades, text)
    text = _ENGLISH_DECADES.sub(lambda match: f"C{match[2]} {(int(match[2]) - 1) * 100 + int(match[1])}s", text)
    return _NUMERAL.sub(lambda match: _certain(match[0], text[match.end() : match.end() + 2]), text)


def _decimal(match: re.Match[str]) -> str:
    whole = numeral_value(match[1])
    return match[0] if whole is None else f"{whole}.{''.join(str(DIGITS[char]) for char in match[2])}"


def _decades(match: re.Match[str]) -> str:
    """19世纪60至90年代 as 1860, 1890; the century is still offered (C19: inside a name), but need not be kept."""
    century = int(match[1]) if match[1].isdecimal() else numeral_value(match[1])
    if century is None:
        return match[0]
    tens = (int(ten) if ten.isdecimal() else numeral_value(ten) or 0 for ten in re.findall(_TEN, match[2]))
    return f"C{century} " + ", ".join(f"{(century - 1) * 100 + ten}年代" for ten in tens)


def _certain(numeral: str, after: str) -> str:
    """A numeral in digits, if it is no word of another kind (千万, 一一, 三三两两): a year, or long and well-formed."""
    if len(numeral) == 4 and numeral[0] in "一二" and all(char in DIGITS for char in numeral):
        year = int("".join(str(DIGITS[char]) for char in numeral))
        return str(year) if 1000 <= year < 2100 else numeral
    value = numeral_value(numeral)
    if value is not None and (after in ("世纪", "年代") or (len(numeral) >= 3 and value > 20)):
        return str(value)
    return numeral


def _numbers(text: str) -> Iterator[tuple[re.Match[str], Readings]]:
    """The numbers in digits, and what each may mean."""
    for match in _NUMBER.finditer(text):
        value = Decimal(match[0].replace(",", ""))
        meant = {value}
        rest = text[match.end() : match.end() + 40]
        if scale := _SCALE.match(rest):
            word = scale[2].lower()
            power = _SCALES.get(word) or sum(_SCALES[char] for char in word)
            # In "12 to 15 million" the first number may be its own.
            meant = {value.scaleb(power)} | ({value} if scale[1] else set())
        elif _CENTURY.match(rest):
            meant.add((value - 1) * 100)
        elif _DECADE.match(rest) and value % 10 == 0:
            meant |= {value % 100} if value >= 1000 else {value + century for century in _CENTURIES}
        yield match, frozenset(meant)
