"""Finds the places of an answer that state a verdict in a form for it: JSON, "Verdict: A", "[[A]]", "裁决：A"."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from calf.judges.answers import Found, Object, Unread, objects, plain
from calf.judges.names import NOUN, NOUN_ZH
from calf.judges.slots import slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calf.types import Verdict

__all__ = ["VERDICT_KEYS", "Mark", "ends", "marks", "whole_object"]

VERDICT_KEYS = (
    "verdict",
    "final_verdict",
    "winner",
    "preference",
    "preferred",
    "choice",
    "decision",
    "judgment",
    "judgement",
    "better",
    "better_response",
    "better_answer",
    "preferred_response",
    "final_answer",
    "answer",
    "result",
    "selection",
    "裁决",
    "最终裁决",
    "判决",
    "判定",
    "判断",
    "最终判断",
    "结论",
    "胜者",
    "选择",
    "评判结果",
    "更好的回答",
    "结果",
    "答案",
)

_LABEL = (
    r"(?:(?:so|thus|therefore|hence|overall|in conclusion|finally|and)\s*,?\s+)?(?:(?:my"
    r"|the|our|its)\s+)?"
    r"(?:(?:final|overall|ultimate|own|revised|updated|corrected)\s+)*"
    r"(?:(?:最终|我的|综合|总体|最后|(?:更正|修正|修改|改正)后?)的?)*"
    r"(?:(?P<strong>verdict|winner|(?:裁决|判决|判定|胜者|获胜者|赢家)(?:结果)?)"
    r"|answer|decision|choice|conclusion|preference|judge?ment|result|pick|selection|vote"
    r"|evaluation|overall|assessment|correction|corrected|revised|updated"
    rf"|(?:better|best|preferred|winning|superior|stronger|chosen)(?:\s+(?:{NOUN}|one))?"
    rf"|判断结果|判断|结论|答案|更正|修正|选择|评判结果|评判|评估结果|结果|偏好|(?:更好"
    rf"|更优|较好|较优|更佳)的?{NOUN_ZH})"
    r"(?:\s*\((?:final|corrected|revised|updated)\))?"
)
_IS = (
    r"[\"'】\])]{0,2}\s*(?:(?<=[】\]])|(?:[:=|]+|-{1,2}>?(?=\s)|–|—|→|=>)+|\b(?:is|was|would be"
    r"|goes to|must be|should be|changed to|changes to|becomes)\b\s*:?"
    r"|[是为]\s*:?|(?<=\s)(?=[\W_]*(?:[AB12]|same|tie)\W*$))\s*"
)
_LINE_START = r"^[ \t]*(?:(?:[-•+#|]+|\d{1,2}[.)、]|[\"'{(\[【])[ \t]*)*[^\w\s\[({<\"'.,;:!?-]{0,3}[ \t]*"
_LABELLED_LINE = re.compile(_LINE_START + _LABEL + rf"(?:{_IS}|[ \t]*[\])】:]*[ \t]*$)(?P<slot>.*)$", re.I | re.M)
_LABELLED_INSIDE = re.compile(r"(?<=[.,;!?。:)—–-])\s*" + _LABEL + _IS + r"(?P<slot>[^\n]*)$", re.I | re.M)
_MARKED = re.compile(
    (
        r"\[\[\s*(?P<brackets>[^\[\]\n]{1,40}?)\s*\]\]|\\boxed\s*\{(?P<boxed>[^\n]{1,40}?)\}+"
        r"|<\s*(?P<tag>verdict|answer|choice|winner|final_answer|final_verdict"
        r"|decision)\s*>(?P<tagged>[^<]{1,200})<\s*/\s*(?P=tag)\s*>"
    ),
    re.I,
)
_CLEAN_BEFORE = re.compile(_LINE_START + rf"(?:(?:json|{_LABEL}\s*(?:{_IS})?)[ \t]*)?\Z", re.I | re.M)

_ALIKE = re.compile(
    r"\b(?:answer|conclusion|result|evaluation|assessment)\W+(?:is|was)\W+(?:the )?(?:same|equal)", re.I
)  # in both
_MANY = 50
_FENCE_BEGINS = re.compile(r"\s*(?:```[\w-]*)?[\s\"']*\Z")
_QUOTING = re.compile(
    (
        r"(?:contain|say|include|write|read|claim|tr(?:y|ie)|attempt|instruct|ask|embed|inject"
        r"|add|state|quot|tell|end|append|insert)\w*"
        r"[^\n]{0,80}:\s*\Z|(?:写道|包含|写着|声称|试图|注入|要求|写了|出现|含有|加入|插入|引用)[^\n]{0,40}:\s*\Z"
    ),
    re.I,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place that states a verdict, `text[start:end]`; `verdict` is None where it states something else."""

    start: int
    end: int
    verdict: Verdict | None
    line: bool  # it begins its line
    cited: bool = False  # it is somebody else's, spoken of


# ---- places ----------------------------------------------------------------------------------------------------


def ends(text: str, end: int) -> bool:
    """Whether a text has nothing more to say after `end`."""
    return not text[end:].strip(" \t\n`}\"').。")


def marks(text: str) -> list[Mark]:
    """The places of a text (as `answers.plain` gives it) that state a verdict, in order, unless quoted."""
    inside = [o for o in objects(text) if _has_verdict(o)]
    found = []
    for match in _some(_MARKED.finditer(text)):
        due = match["brackets"] or match["boxed"] or match["tagged"]
        said = "same" if match["brackets"] == "C" else slot(due)  # [[C]] is a tie in published prompts
        if said is not None:
            found.append(Mark(match.start(), match.end(), said, _begins_line(text, match.start())))
    for pattern, line in ((_LABELLED_LINE, True), (_LABELLED_INSIDE, False)):
        for match in _some(pattern.finditer(text)):
            found += filter(None, [_labelled(match, text, line)])
    found = [mark for mark in found if all(mark.end <= o.start or mark.start >= o.end for o in inside)]
    found += [Mark(o.start, o.end, _of_object(o), _begins_line(text, o.start)) for o in inside]
    kept = [replace(mark, cited=_is_cited(text, mark)) for mark in found if not _is_quoted(text, mark)]
    return sorted(kept, key=lambda mark: mark.start)


def _some(matches: Iterator[re.Match[str]]) -> list[re.Match[str]]:
    """All matches, or the first and last ones of hundreds: bounds the time on hostile answers."""
    found = list(matches)
    return found if len(found) <= 2 * _MANY else found[:_MANY] + found[-_MANY:]


def _has_verdict(found: Found) -> bool:
    return any(key.strip().lower().replace(" ", "_") in VERDICT_KEYS for key, _ in found.value)


def _labelled(match: re.Match[str], text: str, line: bool) -> Mark | None:
    """The verdict after a label, on its line or, after a heading, on the next one."""
    due, end = match["slot"].strip(), match.end("slot")
    heading = not re.search(r"\w", due)
    if heading:
        following = re.compile(r"\s*(?:```\w*\s*)?([^\n]+)").match(text, end)
        if following is None:
            return None
        due, end = following[1].strip(), following.end()
    whole = text[text.rfind("\n", 0, match.end("slot")) + 1 : end]
    if whole.count('"') % 2 == 1 and not heading:  # the end of what an earlier line began to quote
        return None
    verdict = slot(due)
    if verdict == "same" and _ALIKE.search(text, match.start(), end):
        return None
    if verdict is None and (not match["strong"] or heading or not line or len(due) > 60):
        return None
    return Mark(match.start(), end, verdict, line)


def _begins_line(text: str, start: int) -> bool:
    return _CLEAN_BEFORE.match(text[text.rfind("\n", 0, start) + 1 : start]) is not None


def _is_quoted(text: str, mark: Mark) -> bool:
    """Whether a mark stands in quotation marks, which may have been opened on an earlier line."""
    line = text[text.rfind("\n", 0, mark.start) + 1 : mark.start]
    after = text[mark.end :].partition("\n")[0]
    if not mark.line and line.count('"') % 2 == 1 and after.count('"') % 2 == 1:
        return True
    if text.count('"') % 2 == 0 and text.count('"', 0, mark.start) % 2 == 1 and not ends(text, mark.end):
        return True
    before = re.sub(r"\s*(?:```\w*)?\s*\Z", "", text[: mark.start])
    if not before.strip('" '):
        return False
    return before.endswith('"') or re.match(r"\s*(?:```)?\"", text[mark.end :]) is not None


# Words of a sentence that cites a verdict of somebody else, and the end of a line that announces one.
_CITES = re.compile(
    r"\b(?:include|contain|embed|inject|ignor|disregard|tell|told|instruct|say|said|such as|write|wrote|written"
    r"|claim|ask"
    r"|attempt|tries|try|manipulat|quot|insert|append|reject|order|command|demand|want|would like|hidden|trick)\w*"
    r"|\b(?:last|final) (?:line|sentence|words?)\b"
    r"|写道|写着|写了|写有|说[:,]|要求|忽略|无视|注入|嵌入|声称|试图|含有|包含|指示|命令|引用|让我|叫我|请我",
    re.I,
)
# After these words of a sentence the judge speaks for itself.
_OWN = re.compile(
    r"\b(?:so|therefore|thus|hence|my (?:final )?verdict|I (?:choose|pick|judge|conclude))\b|因此|所以|综上|我的", re.I
)
_ANNOUNCES = re.compile(
    r"verdict|better|best|winner|choose|pick|prefer|conclu|\bso\b|therefore|thus|hence|final|answer|decision"
    r"|judg|overall|but\b"
    r"|above|comparison|result|\bI (?:give|rule|vote)|裁决|因此|所以|更好|更优|选|结论|判|最终|综上|但",
    re.I,
)
_CITING_LINE = re.compile(
    r"(?:\b(?:writes?|wrote|written|says?|said|contains?|includes?|(?:ends?|begins?|starts?|closes) with"
    r"|states?|claims?"
    r"|adds?|embeds?|injects?|inserts?|inserted|appends?|appended|quotes?|reads|has the (?:line"
    r"|text))(?:\s+(?:the|a|an|this"
    r"|its own|fake|hidden|following|line|text|words?|string|sentence|phrase|verdict|instruction|json|block)s?)*"
    r"|\b(?:last|final|following|hidden) (?:line|sentence|text|words?)(?: is)?"
    r"|(?:写道|写着|写了|写有|包含|含有|要求|声称)[这一以下如行句段话文字内容了]*)\s*[,:]?\s*(?:```\w*)?\s*\Z",
    re.I,
)
_GOES_ON = re.compile(r"[ \t`\"'*}\]]*\n?[ \t]*(?:which|that|is|was|but)\b")


def _is_cited(text: str, mark: Mark) -> bool:
    """Whether somebody else's verdict is spoken of: in the sentence around it, or the line before."""
    before, after = text[max(0, mark.start - 400) : mark.start], text[mark.end :]
    if _QUOTING.search(_FENCE_BEGINS.sub("", before[-160:])):
        return True
    if mark.line:
        return _CITING_LINE.search(before) is not None or _GOES_ON.match(after) is not None
    if re.match(r"[^\w\n]*(?:\n|\Z)", after) is None:  # the sentence goes on after it
        return True
    sentence = re.split(r"[.!?。;\n]", before)[-1]
    if text[mark.start] in "[{\\<" and re.search(r"\w", sentence) and _ANNOUNCES.search(sentence) is None:
        return True
    return _CITES.search(_OWN.split(sentence)[-1]) is not None


# ---- JSON -----------------------------------------------------------------------------------------------------


def whole_object(answer: str) -> Verdict | Unread | None:
    """The verdict of an answer that is one valid JSON object (perhaps in a fence); None if it is not that."""
    bare = re.sub(r"\A```[\w-]*\s*|\s*```\Z", "", answer).strip()
    if not (bare.startswith("{") and bare.endswith("}")):
        return None
    found = objects(bare)
    if len(found) != 1 or not found[0].exact or found[0].end != len(bare):
        return None
    verdict = _of_object(found[0])
    return verdict or Unread("unreadable", "JSON without a verdict")


def _of_object(found: Found) -> Verdict | None:
    pairs = [(key.strip().lower().replace(" ", "_"), value) for key, value in found.value]
    for key in VERDICT_KEYS:
        values = [value for name, value in pairs if name == key]
        said = {_of_value(value) for value in values}
        if len(said) > 1 and not found.exact:  # an explanation with unescaped quotes inside: the outermost ones count
            ends = {index for index in (0, len(pairs) - 1) if pairs[index][0] == key}
            said = {_of_value(pairs[index][1]) for index in ends} or said
        if values:
            return said.pop() if len(said) == 1 else None
    return None


def _of_value(value: object) -> Verdict | None:
    if isinstance(value, Object):
        return _of_object(Found(0, 0, value, True))
    if isinstance(value, list) and len(value) == 1:
        return _of_value(value[0])
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return slot(plain(str(value)))
    return None
