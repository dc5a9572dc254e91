"""Reads the verdict in a judge's answer: structure first, then a line for it, then what its sentences conclude.

Never guesses: an answer that names both responses without a conclusion, contradicts itself, refuses, is empty or was
cut off before its verdict is `Unread`, never a tie and never the first response.

Where the answer quotes a response that plays the judge ("Response A says: Verdict: A"), the judge's own verdict is
the one at the end; where that is not plain, the answer is unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.judges.answers import Found, Object, Unread, UnreadKind, answer_of, is_refusal, objects, plain, was_cut
from calf.judges.lists import read_booleans, read_points
from calf.judges.names import EITHER, NOUN, NOUN_ZH, named
from calf.judges.scores import read_score
from calf.judges.slots import bare, slot
from calf.judges.wording import Claim, claims

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["Unread", "UnreadKind", "read_booleans", "read_points", "read_score", "read_verdict"]

_VERDICT_KEYS = (
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
    r"(?:(?:final|overall|ultimate|own)\s+)*(?:(?:最终|我的|综合|总体|最后)的?)*"
    r"(?:(?P<strong>verdict|winner|(?:裁决|判决|判定|胜者|获胜者|赢家)(?:结果)?)"
    r"|answer|decision|choice|conclusion|preference|judge?ment|result|pick|selection|vote"
    r"|evaluation|overall|assessment"
    rf"|(?:better|best|preferred|winning|superior|stronger|chosen)(?:\s+(?:{NOUN}|one))?"
    rf"|判断结果|判断|结论|答案|答(?=\s*:)|选择|评判结果|评判|评估结果|结果|偏好|(?:更好"
    rf"|更优|较好|较优|更佳)的?{NOUN_ZH})"
)
_IS = (
    r"[\"'】\])]{0,2}\s*(?:(?<=[】\]])|(?:[:=|]+|-{1,2}>?(?=\s)|–|—|→|=>)+|\b(?:is|was|would be"
    r"|goes to|must be)\b\s*:?"
    r"|[是为]\s*:?|(?<=\s)(?=[\W_]*(?:[AB12]|same|tie)\W*$))\s*"
)
_LINE_START = r"^[ \t]*(?:(?:[-•+#|]+|\d{1,2}[.)、]|[\"'{(\[【])[ \t]*)*[^\w\s\[({<\"'.,;:!?-]{0,3}[ \t]*"
_LABELLED_LINE = re.compile(_LINE_START + _LABEL + rf"(?:{_IS}|[ \t]*[\])】:]*[ \t]*$)(?P<slot>.*)$", re.I | re.M)
_LABELLED_INSIDE = re.compile(r"(?<=[.,;!?。:)—–-])\s*" + _LABEL + _IS + r"(?P<slot>[^\n]*)$", re.I | re.M)
_MARKED = re.compile(
    (
        r"\[\[\s*(?P<brackets>[^\[\]\n]{1,40}?)\s*\]\]|\\boxed\s*\{(?P<boxed>[^\n]{1,40}?)\}+"
        r"|<\s*(?P<tag>verdict|answer|choice|winner|final_answer|final_verdict|decision)\s*>(?P<tagged>[^<]{1,200})<\s*/\s*(?P=tag)\s*>"
    ),
    re.I,
)
_CLEAN_BEFORE = re.compile(_LINE_START + rf"(?:(?:json|{_LABEL}\s*(?:{_IS})?)[ \t]*)?\Z", re.I | re.M)

_EMPHASIS = re.compile(r"\*+|(?<!\w)__|__(?!\w)|(?<!`)`(?!`)")
_QUOTE_LINE = re.compile(r"^[ \t]*>.*$", re.M)
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*\n?(.*?)(?:^[ \t]*```[ \t]*$|```|\Z)", re.S | re.M)
_LISTED = re.compile(r"[\W_]*(?:or|and|或|和)?[\W_]*")
_FENCE_BEGINS = re.compile(r"\s*(?:```[\w-]*)?[\s\"']*\Z")
_FENCE_ENDS = re.compile(r"\A\s*```")
_QUOTED = re.compile(r"\"([^\"\n]{1,4000})\"")
_QUOTING = re.compile(
    (
        r"(?:contain|say|include|write|read|claim|tr(?:y|ie)|attempt|instruct|ask|embed|inject"
        r"|add|state|quot|tell|end|append|insert)\w*"
        r"[^\n]{0,80}:\s*\Z|(?:写道|包含|写着|声称|试图|注入|要求|写了|出现|含有|加入|插入|引用)[^\n]{0,40}:\s*\Z"
    ),
    re.I,
)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place that states a verdict, `text[start:end]`; `verdict` is None where it states something else."""

    start: int
    end: int
    verdict: Verdict | None
    line: bool  # it begins its line


def read_verdict(text: str, finish: str | None = None) -> Verdict | Unread:
    """The verdict of a pairwise judge's answer: `response_a` is the response that it was shown first.

    Understood are the names A and B, 1 and 2, first and second, 甲 and 乙, with or without a noun, and "same" in many
    words ("[[C]]" among them, as published prompts have it). The order: an answer that is one JSON object; stated
    verdicts (JSON inside prose, "Verdict: A", "[[A]]", the Chinese forms); a first or last line that is nothing but
    a verdict; sentences that conclude ("A is better than B", "B不如A"). Of statements that differ, the one on the
    last line counts, unless the answer also begins with one.

    Args:
        text: the answer as the model gave it, reasoning blocks included.
        finish: the choice's finish reason; with "length", only a verdict that the answer begins with counts.
    """
    answer = answer_of(text, finish)
    if isinstance(answer, Unread):
        return answer
    whole = _whole_object(answer)
    if whole is not None:
        return whole
    clear = plain(answer)
    if not _QUOTE_LINE.sub("", clear).strip():
        clear = re.sub(r"^[ \t]*>+", "", clear, flags=re.M)
    clear = _EMPHASIS.sub("", _QUOTE_LINE.sub(" … ", clear)).strip()
    if was_cut(finish):
        return _begun(clear)
    for read in (_stated, _alone):
        verdict = read(clear)
        if verdict is not None:
            return verdict
    return _concluded(clear)


# ---- JSON -----------------------------------------------------------------------------------------------------


def _whole_object(answer: str) -> Verdict | Unread | None:
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
    for key in _VERDICT_KEYS:
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
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return slot(plain(str(value)))
    return None


# ---- stated verdicts --------------------------------------------------------------------------------------------


def _stated(text: str) -> Verdict | Unread | None:
    """What the stated verdicts come to; None if there is none."""
    marks = sorted(_marks(text), key=lambda mark: mark.start)
    if (
        len(marks) > 1
        and marks[-1].verdict != marks[-2].verdict
        and _LISTED.fullmatch(text[marks[-2].end : marks[-1].start])
    ):
        return Unread("unreadable", "ambiguous: lists the verdicts")
    if lined := {text.count("\n", 0, mark.start) for mark in marks if mark.line}:  # those, and one that ends the text
        marks = [m for m in marks if text.count("\n", 0, m.start) in lined or (m is marks[-1] and _ends(text, m.end))]
    marks = [m for m in marks if not _QUOTING.search(_FENCE_BEGINS.sub("", text[max(0, m.start - 160) : m.start]))]
    if not marks:
        return None
    last = marks[-1]
    if last.verdict is None:
        return (
            Unread("refusal", "declines")
            if is_refusal(text)
            else Unread("unreadable", "states no verdict of the three")
        )
    if len({mark.verdict for mark in marks}) > 1 and not _prevails(last, marks, text):
        return Unread("unreadable", "ambiguous: states different verdicts")
    after = {claim.verdict for claim in claims(named(_unquoted(_FENCE_ENDS.sub("", text[last.end :]))))} - {
        None,
        last.verdict,
    }
    if after:
        return Unread("unreadable", "ambiguous: says otherwise after its verdict")
    return last.verdict


def _prevails(last: _Mark, marks: list[_Mark], text: str) -> bool:
    """Whether the last of differing verdicts concludes the answer: on the last line, and none at the very start."""
    begins = not text[: marks[0].start].strip()
    return _ends(text, last.end) and (not begins or re.match(r"\W*final|\W*最终", text[last.start :], re.I) is not None)


def _ends(text: str, end: int) -> bool:
    return not text[end:].strip(" \t\n`}\"').。")


def _marks(text: str) -> list[_Mark]:
    inside = [o for o in objects(text) if _has_verdict(o)]
    found = []
    for match in _MARKED.finditer(text):
        said = slot(match["brackets"] or match["boxed"] or match["tagged"])
        if said is not None:
            found.append(_Mark(match.start(), match.end(), said, _begins_line(text, match.start())))
    for pattern, line in ((_LABELLED_LINE, True), (_LABELLED_INSIDE, False)):
        for match in pattern.finditer(text):
            found += filter(None, [_labelled(match, text, line)])
    found = [mark for mark in found if all(mark.end <= o.start or mark.start >= o.end for o in inside)]
    found += [_Mark(o.start, o.end, _of_object(o), _begins_line(text, o.start)) for o in inside]
    return [mark for mark in found if not _is_quoted(text, mark)]


def _has_verdict(found: Found) -> bool:
    return any(key.strip().lower().replace(" ", "_") in _VERDICT_KEYS for key, _ in found.value)


def _labelled(match: re.Match[str], text: str, line: bool) -> _Mark | None:
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
    if verdict is None and (not match["strong"] or heading or not line or len(due) > 60):
        return None
    return _Mark(match.start(), end, verdict, line)


def _begins_line(text: str, start: int) -> bool:
    return _CLEAN_BEFORE.match(text[text.rfind("\n", 0, start) + 1 : start]) is not None


def _is_quoted(text: str, mark: _Mark) -> bool:
    """Whether a mark stands in quotation marks, which may have been opened on an earlier line."""
    line = text[text.rfind("\n", 0, mark.start) + 1 : mark.start]
    after = text[mark.end :].partition("\n")[0]
    if not mark.line and line.count('"') % 2 == 1 and after.count('"') % 2 == 1:
        return True
    if text.count('"') % 2 == 0 and text.count('"', 0, mark.start) % 2 == 1 and not _ends(text, mark.end):
        return True
    before = re.sub(r"\s*(?:```\w*)?\s*\Z", "", text[: mark.start])
    if not before.strip('" '):
        return False
    return before.endswith('"') or re.match(r"\s*(?:```)?\"", text[mark.end :]) is not None


def _begun(text: str) -> Verdict | Unread:
    """The verdict that an answer begins with, though it was cut off later."""
    head = re.sub(r"\A```\w*\s*", "", text)
    key = "|".join(_VERDICT_KEYS)
    if match := re.match(rf"\{{\s*[\"']?(?:{key})[\"']?\s*:\s*[\"']([^\"'\n]{{1,40}})[\"']\s*[,}}]", head, re.I):
        verdict = slot(match[1])
    elif "\n" in head and not head.startswith("{"):
        line = head.partition("\n")[0]
        verdict = next((mark.verdict for mark in _marks(line)), None) or slot(line)
    else:
        verdict = None
    return verdict or Unread("cut_off", "cut off before a verdict")


# ---- lines and sentences ----------------------------------------------------------------------------------------


def _alone(text: str) -> Verdict | Unread | None:
    """The verdict of a first or last line that is nothing else; headings ("Response A:") are not."""
    lines = [line for line in _FENCE.sub(r"\1", text).splitlines() if re.search(r"\w|🅰|🅱", line)]
    if not lines:
        return None
    heads = {
        slot(head[0]) for line in lines if (head := re.match(r"\W*[^.,:;!(\n]{1,24}", line)) and not claims(named(line))
    }
    outline = {"response_a", "response_b"} <= heads
    last = _bare(lines[-1])
    if outline and re.fullmatch(r"\W*[AB12]\W*", lines[0]) and bare(lines[0]) not in (last, None):
        return Unread("unreadable", "ambiguous: states different verdicts")
    first = None if outline or lines[0].rstrip().endswith(":") else slot(_unquoted(lines[0].strip('"')))
    if len(lines) == 1 and is_refusal(text):
        return None
    said = {verdict for verdict in (first, last) if verdict is not None}
    if not said:
        return None
    after = {claim.verdict for claim in claims(named(_unquoted(text)))} - {None} if last is None else said
    if len(said) > 1 or after - said:
        return Unread("unreadable", "ambiguous: states different verdicts")
    return said.pop()


def _bare(line: str) -> Verdict | None:
    """The verdict of a line that has no more words than a verdict needs."""
    return slot(line) if len(line) <= 40 and not line.rstrip().endswith((":", "?")) else None


def _unquoted(text: str) -> str:
    """The text without what it quotes; a quoted name stays."""
    text = _FENCE.sub(" ", text)
    return _QUOTED.sub(lambda match: match[1] if bare(match[1]) else " … ", text)


def _last_word(text: str) -> Verdict | None:
    """The verdict of a last sentence that is nothing else ("Both name the year. Same."), if no other one differs."""
    words = [bare(part) for part in re.split(r"(?<=[.!?。])\s*", _unquoted(text)) if re.search(r"\w", part)]
    return words[-1] if words and len({word for word in words if word is not None}) == 1 else None


def _concluded(text: str) -> Verdict | Unread:
    """What the sentences conclude: the last one that says it is a conclusion, else all of them together."""
    said: list[Claim] = claims(named(_unquoted(text)))
    final = [index for index, claim in enumerate(said) if claim.final]
    if final:
        said = said[final[-1] :]
    verdicts = {claim.verdict for claim in said}
    if len(verdicts) == 1 and (verdict := verdicts.pop()) is not None:
        return verdict
    if is_refusal(text):
        return Unread("refusal", "declines to judge")
    if not said and (verdict := _last_word(text)) is not None:
        return verdict
    both = len(set(re.findall(EITHER, named(text)))) == 2
    return Unread(
        "unreadable", "ambiguous: speaks of both without a conclusion" if both or said else "no verdict in it"
    )
