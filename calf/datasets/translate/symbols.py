"""What a translation keeps besides words and numbers: signs of numbers, option letters, formulas, items of a list.

Each check speaks only where the other text cannot be meant to say the same: a sign is lost only if nothing in the
translation speaks of less or of below, an option letter only if it stands nowhere in the translation.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["changed_symbols"]

_DIGITS = r"(?P<number>\d+(?:[.,]\d+)*)"
# A hyphen is a sign at the start of a number with a unit, or after what cannot be a name's or a range's beginning.
_SIGNED = [
    re.compile(rf"(?<![\w)%℃°−])\s*[−]\s?{_DIGITS}"),
    re.compile(rf"(?<![\w)%℃°–-])[–-]{_DIGITS}\s?(?:%|℃|°)"),
    re.compile(rf"(?<=[=<>≤≥(（:：,，为是约至到达于])[–-]{_DIGITS}"),
    re.compile(rf"(?<=[为是约达于])[–-]{_DIGITS}"),
    re.compile(rf"(?:(?<![正方背])负|零下)(?:约|大约)?\s*{_DIGITS}"),
    re.compile(rf"\b(?:minus|negative)\s+{_DIGITS}", re.I),
    re.compile(rf"{_DIGITS}\s*(?:%|℃|°\s?C?|degrees?(?: Celsius)?)?\s*below (?:zero|freezing)", re.I),
]
_LESS = re.compile(
    r"negative|minus|below|under|less|low|drop|f[ae]ll|decreas|declin|reduc|cut|los[est]|lost|deficit|shr[aiu]nk|down|debt"
    r"|负|零下|低|降|减|跌|亏|损|少|下|缩|欠",
    re.I,
)

_CHOSEN = [
    re.compile(r"(?:选择?|选项|答案[是为选]?|[应故]选)\s*[:：]?\s*[(（\"“「]?([A-H])(?![A-Za-z0-9级型类股站超位区])"),
    re.compile(r"(?<![A-Za-z0-9])([A-H])\s*[选]?项(?!目)"),
    re.compile(
        r"\b(?:choose|chose|select|pick|option|answer(?:\s+is)?)\s*:?\s*[(\"“]?((?-i:[A-H]))(?=[)\"”.,;:!?]|\s+(?:is|and|or|because)\b|\s*\Z)",
        re.I,
    ),
]
_LETTER = re.compile(r"(?<![A-Za-z])([A-Ha-h])(?![A-Za-z])")

_FORMULA = re.compile(r"(?<![A-Za-z0-9.])[A-Z][A-Za-z]*\d(?:[A-Za-z0-9]|\.(?=\d))*")

_LISTED = re.compile(r"(?:第|其)([一二三四五])(?=是|[,，、:：])")
_NEXT = re.compile(
    r"\b(?:second|third|two|three|ii|another|other|next|then|also|too|besides|further|moreover|addition|finally|last"
    r"|latter|while|meanwhile)|\d|\bb[).]|[②-⑤二]|^\s*[-*•]",
    re.I | re.M,
)


def changed_symbols(source: str, result: str) -> str | None:
    """What a translation changed of signs, option letters, formulas or items; None if nothing is found.

    Args:
        source: a text.
        result: its translation.
    """
    before, after = (unicodedata.normalize("NFKC", text.replace("℃", "°C")) for text in (source, result))
    for one, other, problem in (
        (before, after, "the sign of {} is lost"),
        (after, before, "{} has no minus sign in the source"),
    ):
        if _LESS.search(other) is None:
            for number in _signed(one):
                signs = re.findall(
                    rf"(-|−|–|负|minus|negative)?\s*(?<![\d.,]){re.escape(number)}(?![\d,]|\.\d)", other, re.I
                )
                if signs and not any(signs):
                    return problem.format(number)
    for one, other, problem in (
        (before, after, "the option {} of the source is lost or changed"),
        (after, before, "the option {} is not in the source"),
    ):
        there = {letter.upper() for letter in _LETTER.findall(other)}
        for letter in (match[1].upper() for pattern in _CHOSEN for match in pattern.finditer(one)):
            if letter not in there:
                return problem.format(letter)
    lost = {
        _letters(formula): formula for formula in sorted(set(_FORMULA.findall(before)) - set(_FORMULA.findall(after)))
    }
    for formula in sorted(set(_FORMULA.findall(after)) - set(_FORMULA.findall(before))):
        if meant := lost.get(_letters(formula)):
            return f"{formula} is not in the source, which has {meant}"
    both = {"一", "二"} <= set(_LISTED.findall(before))
    if both and re.search(r"\bfirst(?:ly)?\b", after, re.I) and _NEXT.search(after) is None:
        return "only the first of the source's items is there; translate all of them"
    return None


def _signed(text: str) -> Iterator[str]:
    """The numbers of a text that are negative, without their sign."""
    for pattern in _SIGNED:
        for match in pattern.finditer(text):
            if not re.search(r"\d[%°C)\s]*\Z", text[: match.start()]):  # no range: 5%-10%
                yield match["number"]


def _letters(formula: str) -> str:
    return re.sub(r"[\d.]", "", formula)
