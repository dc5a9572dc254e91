"""Rewrites a text so that every name of a response in it is one private character."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["EITHER", "FIRST", "GAP", "KEYS", "NOUN", "NOUN_ZH", "SECOND", "letters_named", "mentions", "named"]

FIRST: Final = "\ue000"
SECOND: Final = "\ue001"
EITHER: Final = f"[{FIRST}{SECOND}]"
GAP: Final = rf"[^\w{FIRST}{SECOND}]"
"""A character between words: neither of a word nor a name."""
KEYS = dict.fromkeys("Aa1一甲", FIRST) | dict.fromkeys("Bb2二乙", SECOND)
KEYS |= {"one": FIRST, "two": SECOND, "first": FIRST, "second": SECOND, "1st": FIRST, "2nd": SECOND}


NOUN = (
    r"(?:response|answer|assistant|model|option|candidate|output|reply|text|choice|system|version|completion|chatbot)"
)
NOUN_ZH = r"(?:回答|答案|回复|回应|答复|响应|助手|选项|模型|候选(?:回答|答案)?|方案|文本|输出|版本)"

# What may follow a letter that is a name: else "A" is the article, or a letter of the subject.
_FOLLOW = (
    r"(?![A-Za-z0-9_]|['’\-+]\w)(?=\s*\Z|\s*[^\sA-Za-z0-9]|\s+(?:is|was|are|wins?|won|has"
    r"|had|provides?|gives?|gave|offers?|over|and|or"
    r"|nor|beats?|outperforms?|outshines|surpasses|exceeds|edges|prevails|loses|lost|because"
    r"|due|but|with|since|as|for|than"
    r"|does|do|did|seems|appears|looks|comes|covers|contains|includes|makes|fails|lacks"
    r"|misses|clearly|slightly|overall"
    r"|still|vs|versus|to|by|at|also|just|only|which|while|whereas|though|although|both"
    r"|remains|emerges|stands|scores"
    r"|gets?|got|names|states|says|cites|mentions|explains|answers|addresses|needs|shows|tells|identifies|contradicts"
    r"|omits|ignores|leaves|correctly|wrongly|incorrectly|actually|too|if|when|where|must|may|might|could|can|cannot"
    r"|narrowly|easily|marginally|comfortably|simply|on|in|deserves|takes|would|should|here"
    r"|better)\b)"
)
_BEFORE = re.compile(
    (
        r"(?:\A|[^\w\s]\s*|\n\s*|[选择是为于比和与跟但而则此以说认如及给向持荐在对即且投判定倾偏爱欢]\s*"
        r"|\b(?:that|so|thus|therefore|hence|overall|think|believe|say|conclude|find|prefer"
        r"|choose|chose|pick|select|with|favou?r"
        r"|of|is|and|or|nor|than|to|over|by|both|while|whereas|although|though|but|because|since"
        r"|as|judge|consider|vs|versus"
        r"|neither|recommend|between|however|verdict|winner|conclusion|beats?|outperforms?|surpasses"
        r"|edges|out|finally|towards?"
        r"|against|like|compared|not|then|chosen|preferred|goes|go|rate|rank|it's|be|would|say"
        r"|for|without|doubt|slightly|clearly"
        r"|strongly|definitely|certainly|obviously|probably|likely|declare|deem|ultimately|summary"
        r"|short|case|where|when|in|from|about|meant|mean|if|only|because of|choosing|picking)\s+)\Z"
    ),
    re.I,
)
_NAMES = [
    re.compile(
        rf"(?<![A-Za-z0-9])(?:the\s+)?{NOUN}(?:'s)?(?:\s*#\s*|-|\s*)(?:number\s+)?(A|B|1|2)(?!\w|\.\d|-\w"
        rf"|'(?!s\b)\w)",
        re.I,
    ),
    re.compile(rf"(?<![A-Za-z0-9])(?:the\s+)?{NOUN}\s+(one|two|a|b){_FOLLOW}", re.I),
    re.compile(rf"(?<![A-Za-z0-9])(?:the\s+)?(first|second|1st|2nd)\s+(?:{NOUN}|one)(?![A-Za-z0-9])", re.I),
    re.compile(rf"(?<![A-Za-z0-9])(?i:the)\s+[\"'(]?([AB])[\"')]?\s+{NOUN}(?![A-Za-z0-9])"),
    re.compile(r"(?<![A-Za-z0-9])the\s+(first|second)(?=\s+(?:is|was|over|wins)\b|\s*[.!]?\s*\Z)", re.I),
    re.compile(rf"第\s*([一二12])\s*(?:(?:个|种|份|条|位|段|篇|则)(?:{NOUN_ZH})?|{NOUN_ZH})"),
    re.compile(rf"{NOUN_ZH}\s*[\"'\[(【]?\s*([ABab12甲乙])\s*[\"'\])】]?(?![A-Za-z0-9])(?:的(?:回答|答案|回复))?"),
    re.compile(rf"{NOUN_ZH}\s*([一二])(?=[更比优胜和与较略不明的在强好]|是|\s*[^\w]|\s*\Z)(?:的(?:回答|答案|回复))?"),
    re.compile(rf"(?<![A-Za-z0-9])([AB甲乙])\s*的?\s*{NOUN_ZH}"),
]  # the more telling ones first
_LETTER = re.compile(rf"(?<![A-Za-z0-9{FIRST}{SECOND}])([AB])(?:'s\s+(?:overall\s+)?{NOUN}(?![A-Za-z])|{_FOLLOW})")
_LETTERS = re.compile(r"(?<![A-Za-z0-9])([AB])( and | & |和|与)([AB])(?![A-Za-z0-9])")
_ORDINAL_ZH = re.compile(
    r"(?<![一-鿿])([甲乙])(?=[更比优胜和与较略不明的强好,.。;!、\s]|\Z)"
    r"|(?<=[选择是为比和与于])([甲乙])(?=[更比优胜较略不明强好]"
    r"|[^一-鿿]|\Z)"
)
_POSSESSIVE = re.compile(
    rf"({EITHER})\s*(?:'s|')\s+(?:overall\s+)?{NOUN}(?![A-Za-z])|({EITHER})\s*的\s*{NOUN_ZH}", re.I
)
_WRAPPED = re.compile(rf"[\"'\[(【《]{{1,3}}\s?({EITHER})\s?[\"'\])】》]{{1,3}}|<\s?({EITHER})\s?>")
_TO_UNWRAP = re.compile(
    rf"[\"'\[(【《]{{1,3}}\s?((?:{NOUN}|{NOUN_ZH})?\s?[AB])\s?[\"'\])】》]{{1,3}}"
    rf"|<\s?((?:{NOUN}|{NOUN_ZH})?\s?[AB])\s?>",
    re.I,
)
_LONE = re.compile(r"(?<![A-Za-z0-9])([AB])(?![A-Za-z0-9'’-])")
_ASIDE = re.compile(r"\((slightly|clearly|much|marginally|somewhat|only slightly)\)", re.I)
_DECORATION = re.compile(r"[*`~^\\$]+|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")


def named(text: str) -> str:
    """`text` (as `answers.plain` gives it) with every name of a response as `FIRST` or `SECOND`."""
    text = _ASIDE.sub(r"\1", _DECORATION.sub("", text).replace("_", " "))
    text = _TO_UNWRAP.sub(lambda match: f" {match[1] or match[2]} ", text)
    for pattern in _NAMES:
        text = pattern.sub(lambda match: KEYS[match[1].lower() if len(match[1]) > 1 else match[1]], text)
    text = _LETTERS.sub(lambda match: f"{KEYS[match[1]]}{match[2]}{KEYS[match[3]]}", text)
    text = _ORDINAL_ZH.sub(lambda match: KEYS[match[1] or match[2]], text)
    text = _LETTER.sub(lambda m: KEYS[m[1]] if _BEFORE.search(text[max(0, m.start() - 24) : m.start()]) else m[0], text)
    text = _POSSESSIVE.sub(lambda match: match[1] or match[2], text)
    return _WRAPPED.sub(lambda match: match[1] or match[2], text)


def letters_named(text: str) -> str:
    """`text` with every single capital A or B as a name too, also where it may be the article."""
    return _LONE.sub(lambda match: KEYS[match[1]], text)


def mentions(text: str, verdict: Verdict) -> bool:
    """Whether a text (as `named` gives it) names a verdict other than this one: the other response, a tie."""
    others = {"response_a": SECOND, "response_b": FIRST, "same": FIRST + SECOND}[verdict]
    if re.search(f"[{others}]", letters_named(text)):
        return True
    return verdict != "same" and re.search(r"\b(?:the other|same|tie)\b|另一|平局|相同|相当", text, re.I) is not None
