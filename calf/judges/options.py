"""Hides letters that are options of the examination, not names of responses: "the correct option is A"."""

from __future__ import annotations

import re

from calf.judges.names import NOUN_ZH

__all__ = ["without_options"]

_ONE = r"[\"'(\[【]*(?P<letter>[A-H])(?![A-Za-z0-9])"
_KEY = r"(?:correct|right|reference|true|expected|gold|official|proper|standard|model|expert(?:'s)?|reference's)"
_SAYS = (
    r"(?:chose|chooses|select(?:s|ed)|pick(?:s|ed)|sa(?:ys|id)|answers|answered|gives|gave|conclude[sd]"
    r"|state[sd]|identif(?:ies|ied)|opts for|opted for|goes (?:with|for)|went (?:with|for)|settle[sd] on"
    r"|reach(?:es|ed)|has)"
)
_PATTERNS = [
    re.compile(pattern, re.I | re.M)
    for pattern in (
        (
            rf"\b{_KEY}\s+(?:answer|option|choice|solution|letter|key)(?:\s+(?:to|for|of|in)\s[^.\n]{{0,60}}?)?"
            rf"\s*(?:\bis|\bwas|:|=|\bshould be|\bwould be|\bmust be)+\s*(?:option|choice|answer)?\s*(?-i:{_ONE})"
        ),
        (
            rf"\banswer\s+(?:to|of|for)\s+(?:the|this)\s+(?:question|problem|exercise|item|task)\s*(?:is|was|:"
            rf"|=)\s*(?-i:{_ONE})"
        ),
        (
            rf"\b(?:according to|by|per|in) (?:the )?reference[^.\n]{{0,40}}?\b(?:answer|option|choice)\s+(?:is|was"
            rf"|:)\s*(?-i:{_ONE})"
        ),
        rf"\b(?:answer|option|choice)\s+(?:is|was)\s+(?-i:{_ONE})[\"')\]]*\s+(?:in|by|according to) the reference",
        (
            rf"\b(?:response|assistant|candidate|model"
            rf"|answer)\s+(?-i:[AB12])['s]*\s+(?:\w+\s+)?{_SAYS}\s+(?:that\s+)?(?:for\s+)?"
            rf"(?:the\s+)?(?:(?:correct|right|wrong|final)\s+)?(?:(?:answer|option|choice)\s+)?(?:(?:is|as"
            rf"|was)\s+)?(?-i:{_ONE})"
        ),
        rf"^\W*question\b[^\n]*\n+\W*answer\W*[:=]\s*(?-i:{_ONE})",
        (
            rf"(?:正确|参考|标准|官方|给定|原题|题目|试题|该题|本题|此题|这道题|这题)的?(?:参考|正确|标准)?(?:答案"
            rf"|选项|选择|结论|答复|解答)"
            rf"[^,。;\n{{}}]{{0,6}}?\s*{_ONE}"
        ),
        (
            rf"(?:本|该|此|这道|这|原)?(?<![问话主专议标])题目?(?:的?答案)?(?:应该?|正确)?(?:选择?|为"
            rf"|是)[^,。;\n]{{0,4}}?\s*{_ONE}"
        ),
        rf"故(?:正确)?(?:答案应?[选为是]*|应?选)\s*:?\s*{_ONE}(?!\s*(?:更|优|胜|比|好))",
        rf"\[?【?答案\]?】?\s*[:是为]?\s*{_ONE}(?=[^\n]*\s+[\[【]?解析)",
        rf"答案[是为]\s*{_ONE}(?=\s*[,;]?\s*(?:而|但)?{NOUN_ZH}\s*[AB12甲乙一二])",
        (
            rf"{NOUN_ZH}\s*[AB12甲乙一二](?![A-Za-z0-9])[^,。;:\n]{{0,6}}?(?:选择?|(?<!回)答|判断?|给出|得出|认为"
            rf"|填)[了的是为案]*\s*(?-i:{_ONE})"
        ),
    )
]
# An answer that is an option of the examination, written out: "B. The mitochondria".
_OPTION = re.compile(
    r"\A[^\w]{0,8}(?P<letter>[A-H])(?![A-Za-z0-9])\s*[.、]\s*(?P<says>(?![A-H]\b)[^\n.,;:。(]{2,60})[.。]?\s*\Z"
)
_JUDGES = re.compile(
    r"\b(?:it|its|this|that|both|response|answer|more|better|best|most|clear|complete|accura|correct|exact|other"
    r"|reference|which"
    r"|because|has|cover|name|is|was|win|explain)|更|它|两|回答|答案|因|完|准|正确|全|参考|好|清|优|胜|赢",
    re.I,
)
_HIDDEN = "◇"


def without_options(text: str) -> str:
    """`text` (as `answers.plain` gives it) with "◇" for each letter that can only be an option of the examination."""
    for pattern in _PATTERNS:
        text = pattern.sub(_hide, text)
    option = _OPTION.match(text)
    return text if option is None or _JUDGES.search(option["says"]) else _hide(option)


def _hide(match: re.Match[str]) -> str:
    start = match.start("letter") - match.start()
    return match[0][:start] + _HIDDEN + match[0][start + 1 :]
