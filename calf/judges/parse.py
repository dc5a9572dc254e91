"""Reads the verdict in a judge's answer: structure first, then a line for it, then what its sentences conclude.

Never guesses: an answer that names both responses without a conclusion, contradicts itself, refuses, is empty or was
cut off before its verdict is `Unread`, never a tie and never the first response.

Where the answer quotes a response that plays the judge ("Response A says: Verdict: A"), the judge's own verdict is
the one at the end; where that is not plain, the answer is unreadable.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from calf.judges.answers import Unread, UnreadKind, answer_of, is_refusal, plain, shortened, was_cut
from calf.judges.corrections import takes_back
from calf.judges.lists import read_booleans, read_points
from calf.judges.marks import VERDICT_KEYS, Mark, ends, marks, whole_object
from calf.judges.names import EITHER, named
from calf.judges.options import without_options
from calf.judges.scores import read_score
from calf.judges.slots import bare, slot
from calf.judges.wording import Claim, claims

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["Unread", "UnreadKind", "read_booleans", "read_points", "read_score", "read_verdict"]

_MANY = 50  # lines or sentences; bounds the time on hostile answers
_EMPHASIS = re.compile(r"\*+|(?<!\w)__|__(?!\w)|(?<!`)`(?!`)")
_QUOTE_LINE = re.compile(r"^[ \t]*>.*$", re.M)
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*\n?(.*?)(?:^[ \t]*```[ \t]*$|```|\Z)", re.S | re.M)
_FENCE_ENDS = re.compile(r"\A\s*```")
_QUOTED = re.compile(r"\"([^\"\n]{1,4000})\"")
_LISTED = re.compile(r"[\W_]*(?:or|and|或|和)?[\W_]*")
_CONCLUDES = re.compile(r"\W*(?:final|revised|updated|correct(?:ed|ion)|最终|更正|修正)", re.I)
# A line before a verdict that asks for one, and one that asks for something else.
_ASKS = re.compile(
    r"verdict|better|best|winn|prefer|cho[oi][sc]e|answer|conclu|final|decision|judg|pick|select|go with|overall"
    r"|result"
    r"|裁决|更好|更优|胜|选|结论|判|最终|答案|结果",
    re.I,
)
_ASKS_ELSE = re.compile(
    r"worse|worst|weak|wrong|err|less|los[et]|reject|inferior|fail|flaw|bad|poor|\bnot?\b|miss|lack|style|clarity"
    r"|length|format"
    r"|correct (?:answer|option|choice)|reference|差|错|弱|败|输|缺|不|误|参考|正确",
    re.I,
)


def read_verdict(text: str, finish: str | None = None) -> Verdict | Unread:
    """The verdict of a pairwise judge's answer: `response_a` is the response that it was shown first.

    Understood are the names A and B, 1 and 2, first and second, 甲 and 乙, with or without a noun, and "same" in many
    words ("[[C]]" among them, as published prompts have it). Letters of an examination's options ("the correct option
    is A") are no names. The order: an answer that is one JSON object; stated
    verdicts (JSON inside prose, "Verdict: A", "[[A]]", the Chinese forms); a first or last line that is nothing but
    a verdict; sentences that conclude ("A is better than B", "B不如A"). Of statements that differ, the one on the
    last line counts, unless the answer also begins with one and the last is not called final or corrected; a verdict
    that is taken back ("Wait, B") is unreadable, and so is one that what follows it speaks against ("A, wrong").

    Args:
        text: the answer as the model gave it, reasoning blocks included.
        finish: the choice's finish reason; with "length", only a verdict that the answer begins with counts.
    """
    answer = answer_of(text, finish)
    if isinstance(answer, Unread):
        return answer
    whole = whole_object(answer)
    if whole is not None:
        return whole
    clear = without_options(plain(shortened(answer)))
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


def _stated(text: str) -> Verdict | Unread | None:
    """What the stated verdicts come to; None if there is none."""
    found = marks(text)
    if (
        len(found) > 1
        and found[-1].verdict != found[-2].verdict
        and _LISTED.fullmatch(text[found[-2].end : found[-1].start])
        and not _CONCLUDES.match(text, found[-1].start)
    ):
        return Unread("unreadable", "ambiguous: lists the verdicts")
    if lined := {text.count("\n", 0, mark.start) for mark in found if mark.line}:  # those, and one that ends the text
        found = [m for m in found if text.count("\n", 0, m.start) in lined or (m is found[-1] and ends(text, m.end))]
    found = [mark for mark in found if not mark.cited]
    if not found:
        return None
    last = found[-1]
    if last.verdict is None:
        return (
            Unread("refusal", "declines")
            if is_refusal(text)
            else Unread("unreadable", "states no verdict of the three")
        )
    if len({mark.verdict for mark in found}) > 1 and not _prevails(last, found, text):
        return Unread("unreadable", "ambiguous: states different verdicts")
    if _says_otherwise(_FENCE_ENDS.sub("", text[last.end :]), last.verdict):
        return Unread("unreadable", "ambiguous: says otherwise after its verdict")
    return last.verdict


def _prevails(last: Mark, found: list[Mark], text: str) -> bool:
    """Whether the last of differing verdicts concludes the answer: on the last line, and none at the very start."""
    begins = not text[: found[0].start].strip()
    return ends(text, last.end) and (not begins or _CONCLUDES.match(text, last.start) is not None)


def _says_otherwise(after: str, verdict: Verdict) -> bool:
    """Whether the text after a verdict claims another one, takes it back, or ends with another one alone."""
    rest = named(_unquoted(after))
    if any(claim.verdict not in (None, verdict) for claim in claims(rest)) or takes_back(rest, verdict):
        return True
    lines = [line for line in after.splitlines() if re.search(r"\w", line)]
    return bool(lines) and _bare(lines[-1]) not in (None, verdict)


def _begun(text: str) -> Verdict | Unread:
    """The verdict that an answer begins with, though it was cut off later."""
    head = re.sub(r"\A```\w*\s*", "", text)
    key = "|".join(VERDICT_KEYS)
    if match := re.match(rf"\{{\s*[\"']?(?:{key})[\"']?\s*:\s*[\"']([^\"'\n]{{1,40}})[\"']\s*[,}}]", head, re.I):
        verdict = slot(match[1])
    elif "\n" in head and not head.startswith("{"):
        line = head.partition("\n")[0]
        verdict = next((mark.verdict for mark in marks(line)), None) or slot(line)
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
        slot(head[0])
        for line in lines[:_MANY] + lines[-_MANY:]
        if (head := re.match(r"\W*[^.,:;!(\n]{1,24}", line)) and not claims(named(line))
    }
    outline = {"response_a", "response_b"} <= heads
    last = _bare(lines[-1]) if len(lines) == 1 or _may_precede(lines[-2]) else None
    if outline and re.fullmatch(r"\W*[AB12]\W*", lines[0]) and bare(lines[0]) not in (last, None):
        return Unread("unreadable", "ambiguous: states different verdicts")
    goes_on = lines[1] if len(lines) > 1 and re.match(r"\s*[a-z]", lines[1]) else ""  # "A\nis wrong"
    heading = outline or lines[0].rstrip().endswith(":")
    first = None if heading else slot(_unquoted(f"{lines[0]} {goes_on}".strip('" ')))
    if len(lines) == 1 and is_refusal(text):
        return None
    said = {verdict for verdict in (first, last) if verdict is not None}
    if not said:
        return None
    after = {claim.verdict for claim in claims(named(_unquoted(text)))} - {None} if last is None else said
    back = first is not None and takes_back(named(_unquoted("\n".join(lines[1:]))), first)
    if len(said) > 1 or after - said or (back and last is None):
        return Unread("unreadable", "ambiguous: states different verdicts")
    return said.pop()


def _may_precede(line: str) -> bool:
    """Whether a line may stand before a verdict: prose, or a heading that asks for a verdict and nothing else."""
    if not line.rstrip(" \"'").endswith((":", "?")):
        return True
    return _ASKS.search(line) is not None and _ASKS_ELSE.search(line) is None


def _bare(line: str) -> Verdict | None:
    """The verdict of a line that has no more words than a verdict needs."""
    return slot(line) if len(line) <= 40 and not line.rstrip().endswith((":", "?")) else None


def _unquoted(text: str) -> str:
    """The text without what it quotes; a quoted name stays."""
    text = _FENCE.sub(" ", text)
    return _QUOTED.sub(lambda match: match[1] if bare(match[1]) else " … ", text)


def _last_word(text: str) -> Verdict | None:
    """The verdict of a last sentence that is nothing else ("Both name the year. Same."), if no other one differs."""
    parts = [part for part in re.split(r"(?<=[.!?。])\s*", _unquoted(text)) if re.search(r"\w", part)]
    if len(parts) > 1 and not _may_precede(parts[-2]):
        return None
    words = [bare(part) for part in parts[-_MANY:]]
    return words[-1] if words and len({word for word in words if word is not None}) == 1 else None


def _concluded(text: str) -> Verdict | Unread:
    """What the sentences conclude: the last one that says it is a conclusion, else all of them together."""
    clear = named(_unquoted(text))
    said: list[Claim] = claims(clear)
    final = [index for index, claim in enumerate(said) if claim.final]
    if final:
        said = said[final[-1] :]
    verdicts = {claim.verdict for claim in said}
    if len(verdicts) == 1 and (verdict := verdicts.pop()) is not None:
        if takes_back(clear[said[-1].end :], verdict):
            return Unread("unreadable", "ambiguous: takes back its conclusion")
        return verdict
    if is_refusal(text):
        return Unread("refusal", "declines to judge")
    if not said and (verdict := _last_word(text)) is not None:
        return verdict
    both = len(set(re.findall(EITHER, named(text)))) == 2
    return Unread(
        "unreadable", "ambiguous: speaks of both without a conclusion" if both or said else "no verdict in it"
    )
