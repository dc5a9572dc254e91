"""Reads the score in a pointwise judge's answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from calf.judges.answers import Object, Unread, answer_of, is_refusal, objects, plain, shortened, was_cut
from calf.judges.corrections import is_corrected

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["read_score"]

_WORDS = {
    word: str(number)
    for number, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 1)
}
_WORDS |= {word: str(number) for number, word in enumerate("一二三四五六七八九十", 1)}
_NUMBER = r"[-−]?\d+(?:\.\d+)?"
_ASPECTS = (
    "factuality",
    "completeness",
    "clarity",
    "accuracy",
    "事实性",
    "准确性",
    "正确性",
    "完整性",
    "清晰度",
    "清晰性",
)
_KEYS = (
    "score",
    "final_score",
    "overall_score",
    "rating",
    "overall",
    "value",
    "grade",
    "分数",
    "评分",
    "得分",
    "打分",
    "总分",
    *_ASPECTS,
)
_STRONG = (
    r"(?:score|rating|grade|overall|correction|corrected|revised|updated|factuality|completeness|clarity"
    r"|分数|评分|得分|打分|总分|给分|更正|修正|事实性|准确性|完整性|清晰度|清晰性)"
)
_LABEL = rf"(?:{_STRONG}|mark|points|evaluation|verdict|final answer|answer|评价|答案)"
_OF = r"(?P<of>\s*(?:/|out of|of|分?满分|\(满分)\s*:?为?\s*(?P<top>\d+(?:\.\d+)?))?"
# What may follow a score; after "3 errors" or "2 points lost" the number counts something else.
_ENDS = (
    r"(?=\s*(?:points?\b|stars?\b|分|星)?(?P<rest>\s*(?:\Z|[.,;:!)\]}\"'】|。、/]|because|since|as\b|for\b|due"
    r"|based|given"
    r"|with|overall|but\b|and\b|which|in\b|on\b|out of|of\b|to\b|or\b|[-–—~(（→]|或|到|至|满分)[^\n]*))"
)
_IS = r"(?:\([^()\n]{0,40}\))?[\"']?\s*(?:[:=|]|-+\s|is\b|of\b|would be\b|[是为]|\s)*[\"'\[(【]*"
_LABELLED = re.compile(rf"{_STRONG}\s*{_IS}(?P<n>{_NUMBER}){_OF}{_ENDS}", re.I)
_WEAKLY = re.compile(rf"{_LABEL}\s*(?:[:=|]|\bis\b|[是为])\s*[\"'\[(【]*(?P<n>{_NUMBER}){_OF}{_ENDS}", re.I)
_GIVEN = re.compile(
    (
        r"\b(?:give|rate|score|assign|award|deserves|earns|receives)\b"
        r"(?:\s+(?:it|this|that|the|its|response|answer|text|a|an|of|score|rating|grade|at|as|with|full|just"
        r"|overall|to|on"
        rf"|for|be|one|aspect|factuality|completeness|clarity"
        rf"|accuracy)\b[,:]?){{0,10}}\s*(?P<n>{_NUMBER}){_OF}{_ENDS}"
        rf"|(?:给|打|得|评为|评)(?:出|予|到|它|了|该回答|这个?回答|此回答)*\s*(?P<n2>{_NUMBER})\s*分(?P<rest2>[^\n]*)"
    ),
    re.I,
)
_MARKED = re.compile(
    (
        rf"\[\[\s*(?P<n>{_NUMBER})\s*\]\]|\\boxed\s*\{{(?P<n2>{_NUMBER})\}}|<(?:score|answer"
        rf"|rating)>\s*(?P<n3>{_NUMBER})\s*</"
    ),
    re.I,
)
_WHOLE = re.compile(
    (
        rf"(?:[-•]\s+)?[^\w<>~≈≥≤+-]*(?:{_LABEL}(?:[^\w<>~≈≥≤+-]|-+\s)*)?(?P<n>{_NUMBER})\s*(?:分|points?|stars?"
        rf"|星)?{_OF}\s*(?:分|points?|stars?|星)?[^\w+?]*"
    ),
    re.I,
)
_LEADING = re.compile(rf"\W*(?P<n>{_NUMBER}){_OF}(?:[,:;]\s|\s*\(|\s+[-–—]+\s)(?!\s*\d)(?P<rest>[^\n]*)", re.I)
_SCALE = re.compile(
    rf"(?:from|of|between|从|在)?\s*{_NUMBER}\s*(?:-|–|—|~|to|and|到|至)\s*{_NUMBER}\s*(?:的?(?:scale|分制|之间"
    rf"|分))?",
    re.I,
)
_RANGE_AFTER = re.compile(r"\s*(?:-|–|—|~|to|or|到|至|或)\s*\d", re.I)
# Another number is weighed after the score: "3, maybe 4", "4/5 → after penalty 3/5".
_WEIGHED_AFTER = re.compile(
    r"\b(?:maybe|perhaps|possibly|or|wait|actually|sorry|no|now|penalt\w*|minus|deduct\w*)\b[^\n]*\d|→[^\n]*\d"
    r"|->[^\n]*\d"
    r"|(?:可能|也许|或|扣|减|不对|应该)[^\n]*\d",
    re.I,
)
_NOT_BEFORE = re.compile(
    r"(?:\b(?:not|never|cannot|hardly)|n't|不|没)[^.,;:。\n]{0,40}\Z|(?:at (?:least|most)|(?:less"
    r"|more) than)\s*\Z",
    re.I,
)


def read_score(text: str, low: float, high: float, finish: str | None = None) -> float | Unread:
    """The score of a pointwise judge's answer, integer or decimal.

    A score on another scale ("8/10" where `high` is 5), outside of the scale, a range ("3-4") or another amount ("3
    errors") is unreadable: it is neither rescaled nor clipped. In JSON only a number under a name for scores counts. Of
    several scores that differ, only one that the last line states counts; JSON objects must agree.

    Args:
        text: the answer as the model gave it.
        low, high: the ends of the scale, inclusive.
        finish: the choice's finish reason; with "length", only a score that the answer begins with counts.
    """
    answer = answer_of(text, finish)
    if isinstance(answer, Unread):
        return answer
    answer = shortened(answer)
    stated: list[float | None] = []
    after = 0
    for found in objects(answer) or objects(plain(answer)):
        if not (was_cut(finish) and answer[: found.start].strip("`json \n")):
            stated += _of_object(found.value, high)
            after = found.end
    if stated:
        rest = plain(answer[after:])
        if is_corrected(rest) and re.search(r"\d", rest):
            return Unread("unreadable", "ambiguous: takes back its score")
        return _settled(stated, low, high)
    clear = re.sub(r"\*+|`+|(?<!\w)__|__(?!\w)|^\s*>+", "", plain(answer), flags=re.M).strip()
    words = "|".join(_WORDS)
    clear = re.sub(
        rf"\b({words})\b(?=\s*(?:[.!]|/|out of|points?|stars?|\Z))|([一二三四五六七八九十])(?=\s*分)",
        lambda m: _WORDS[(m[1] or m[2]).lower()],
        clear,
        flags=re.I,
    )
    lines = [line for line in clear.splitlines() if line.strip()]
    if was_cut(finish):
        first = _of_lines(lines[:1], high) if len(lines) > 1 else []
        return _settled(first, low, high) if first else Unread("cut_off", "cut off before a score")
    if last := _of_lines(lines[-1:], high):
        return _settled(last, low, high)
    if (inside := _of_lines(lines, high)) or (inside := _leading(lines, high)):
        if is_corrected(clear) and len(re.findall(r"\d", clear)) > 1:
            return Unread("unreadable", "ambiguous: takes back its score")
        return _settled(inside, low, high)
    return Unread("refusal", "declines to score") if is_refusal(clear) else Unread("unreadable", "no score in it")


def _of_object(value: Object, high: float) -> Iterable[float | None]:
    """The number of an object's score, under a name for scores."""
    named = {key.strip().lower().replace(" ", "_"): part for key, part in value}
    for key in _KEYS:
        if key in named:
            yield _number(named[key], high)
            return


def _number(value: Any, high: float) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, Object):
        return next(iter(_of_object(value, high)), None)
    if not isinstance(value, str):
        return None
    match = _WHOLE.fullmatch(_WORDS.get(value.strip().lower(), plain(value)))
    return None if match is None else _scaled(match, match["n"], "", high)


def _of_lines(lines: list[str], high: float) -> list[float | None]:
    """The scores that lines state; None for one that is a range, on another scale's terms, or not settled on."""
    scores: list[float | None] = []
    for line in lines:
        if whole := _WHOLE.fullmatch(line):
            scores.append(_scaled(whole, whole["n"], "", high))
            continue
        told = _SCALE.sub(" ", line) if re.search(r"scale|分制|从|from|between", line) else line
        for pattern in (_MARKED, _LABELLED, _WEAKLY, _GIVEN):
            found = [match for match in pattern.finditer(told) if not _NOT_BEFORE.search(told, 0, match.start())]
            for match in found:
                groups = match.groupdict()
                number = next(groups[key] for key in ("n", "n2", "n3") if groups.get(key))
                scores.append(_scaled(match, number, groups.get("rest") or groups.get("rest2") or "", high))
            if found:
                break
    return scores


def _leading(lines: list[str], high: float) -> list[float | None]:
    """The number that an answer begins with ("4 - clear"), unless it begins a list."""
    starts = [match for line in lines if (match := _LEADING.match(line))]
    alone = len(starts) == 1 and lines[0].startswith(starts[0][0]) and not starts[0][0].lstrip().startswith("-")
    return [_scaled(starts[0], starts[0]["n"], starts[0]["rest"], high)] if alone else []


def _scaled(match: re.Match[str], number: str, rest: str, high: float) -> float | None:
    top = match["top"] if "top" in match.re.groupindex else None
    other = top is not None and float(top) != high
    unsettled = _RANGE_AFTER.match(rest) or _WEIGHED_AFTER.search(rest) or re.match(r"\s*(?:lost|off|deducted)\b", rest)
    return None if other or unsettled else float(number.replace("−", "-"))


def _settled(scores: list[float | None], low: float, high: float) -> float | Unread:
    distinct = set(scores)
    if len(distinct) > 1:
        return Unread("unreadable", "ambiguous: states different scores")
    score = distinct.pop()
    if score is None:
        return Unread("unreadable", "no single score in it")
    if not low <= score <= high:
        return Unread("unreadable", f"score {score:g} outside of {low:g} to {high:g}")
    return score
