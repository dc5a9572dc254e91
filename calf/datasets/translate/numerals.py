"""Chinese numerals and English number words, as values."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DIGITS", "numeral_value", "readings", "word_values"]

DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
"""The value of each Chinese digit."""

_UNITS = {"十": 10, "百": 100, "千": 1000}
_SECTION = re.compile(
    "(?:[一二两三四五六七八九]千)?(?:零?[一二两三四五六七八九]百)?(?:零?[一二三四五六七八九]?十)?零?[一二三四五六七八九]?"
)
_WORD = re.compile(r"[a-z]+", re.I)
_AND_A_HALF = re.compile(r"\b([a-z]+) and a half\b", re.I)


def _listed(words: str, start: int = 0, step: int = 1) -> dict[str, int]:
    """Each word's place; words between slashes share one."""
    places = enumerate(words.split(" "))
    return {word: start + step * place for place, together in places for word in together.split("/")}


_SMALL = _listed(
    "zero one/first two/second three/third four/fourth five/fifth six/sixth seven/seventh eight/eighth nine/ninth"
    " ten/tenth eleven/eleventh twelve/twelfth thirteen/thirteenth fourteen/fourteenth fifteen/fifteenth"
    " sixteen/sixteenth seventeen/seventeenth eighteen/eighteenth nineteen/nineteenth"
) | _listed(
    "twenty/twenties/twentieth thirty/thirties/thirtieth forty/forties/fortieth fifty/fifties/fiftieth"
    " sixty/sixties/sixtieth seventy/seventies/seventieth eighty/eighties/eightieth ninety/nineties/ninetieth",
    20,
    10,
)
_BIG = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_OTHERS = (
    _listed(
        "january/jan february/feb march/mar april/apr may june/jun july/jul august/aug september/sep october/oct"
        " november/nov december/dec",
        1,
    )
    | _listed("i ii iii iv v vi vii viii ix x xi xii", 1)
    | _listed(
        "a/an/single/once/sole/primary"
        " both/twice/double/doubled/doubles/doubling/pair/couple/halves/halved/twofold/secondary"
        " triple/tripled/tripling/threefold/thrice quarter/quadruple/fourfold",
        1,
    )
    | {"tenfold": 10, "decade": 10, "dozen": 12, "hundred": 100, "century": 100, "percent": 100, **_BIG}
)


def numeral_value(numeral: str) -> int | None:
    """The value of a Chinese numeral (二十四, 一百零五, 三万); None if it is not well-formed (一一, 千万)."""
    total = 0
    for unit, size in (("亿", 10**8), ("万", 10**4)):
        before, found, after = numeral.partition(unit)
        if found:
            part = _section(before)
            if not part:
                return None
            total, numeral = total + part * size, after
    if total and not numeral:
        return total
    rest = _section(numeral)
    return None if rest is None else total + rest


def _section(numeral: str) -> int | None:
    """The value of a numeral below 10,000."""
    if not numeral or not _SECTION.fullmatch(numeral):
        return None
    total = digit = 0
    for char in numeral:
        if char in DIGITS:
            digit = DIGITS[char]
        else:
            total += (digit or 1) * _UNITS[char]
            digit = 0
    return total + digit


def readings(numeral: str) -> Iterator[Decimal]:
    """All that a numeral may stand for: its value, and each of its characters."""
    value = numeral_value(numeral)
    if value is not None and len(numeral) > 1:
        yield Decimal(value)
    units = _UNITS | {"万": 10**4, "亿": 10**8}
    yield from (Decimal(DIGITS.get(char, units.get(char, 0))) for char in numeral)


def word_values(text: str) -> Iterator[frozenset[Decimal]]:
    """What the English words of a text may stand for: each by itself, and compounds ("one hundred and fifty")."""
    words = [match[0].lower() for match in _WORD.finditer(text)]
    for word, count in Counter(words).items():
        known = (_SMALL.get(form, _OTHERS.get(form)) for form in (word, word.removesuffix("s")))
        value = next((value for value in known if value is not None), None)
        if word in ("half", "halves"):
            yield from [frozenset(map(Decimal, ("0.5", "1", "2", "50")))] * count
        elif value is not None:
            yield from [frozenset({Decimal(value)})] * count
    for match in _AND_A_HALF.finditer(text):
        if match[1].lower() in _SMALL:
            yield frozenset({_SMALL[match[1].lower()] + Decimal("0.5")})
    total = part = length = 0
    for word in [*words, ""]:
        if word in _SMALL and (not part or (part % 100 == 0) or (part % 10 == 0 and _SMALL[word] < 10)):
            part, length = part + _SMALL[word], length + 1
        elif word == "hundred" and part < 100:
            part, length = (part or 1) * 100, length + 1
        elif word in _BIG:
            total, part, length = total + (part or 1) * _BIG[word], 0, length + 1
        elif word != "and" or not length:
            if length > 1:
                yield frozenset({Decimal(total + part)})
            total, part, length = 0, _SMALL.get(word, 0), int(word in _SMALL)
