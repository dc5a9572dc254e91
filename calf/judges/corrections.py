"""Finds where an answer takes back what it has said: "Wait, no, B", "Correction: B", "不对，应该是B"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from calf.judges.names import GAP as _GAP
from calf.judges.names import mentions

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["is_corrected", "takes_back"]

_STARTS = (
    rf"(?:\A|[.!?;:,\n。()—–-]){_GAP}{{0,6}}(?:hm+|wait\b(?! for)|nope|no(?=\s*(?:[,.!;:—–-]|wait|\Z))|actually"
    rf"|corrections?|corrected"
    r"|edit(?:ed)?\s*:|revised|updated|sorry|apolog\w+|oops|hold on|scratch that|strike that|rather,|or rather"
    r"|thinking again"
    rf"|just kidding|(?:not|hardly|wrong){_GAP}*\Z|or (?:does|is|did|was|do|are) (?:it|they)\b|in \w+, that is)"
)
_INSIDE = (
    r"\b(?:I meant|I mean,|second thoughts?|on (?:closer )?reflection|(?:verdict|answer|that|it"
    r"|this) should (?:be|say|read)"
    r"|chang\w* (?:my|the verdict)|changed to|revise (?:my|the)|reconsider\w*|re-?check|my mistake|my error"
    r"|I was wrong"
    r"|I misread|mixed up|I made a mistake|I (?:must|have to|need to|should) (?:correct|say)|take (?:it|that) back)\b"
    r"|更正|修正|改判|改为|改选|不对[,。!;\n]|应该?[是为选](?=\s*[\ue000\ue001ABab])|(?:\A"
    r"|[,。;\n])\s*应该?[是为选]|等等,|重新考虑"
    r"|更改|说错|写错|写反|说反|应当为|应为|弄错|看错|抱歉|纠正"
)
_CORRECTION = re.compile(f"{_STARTS}|{_INSIDE}", re.I)
_SHORT = 40  # what follows a correction without naming anything: "Wait, no."


def is_corrected(text: str) -> bool:
    """Whether a word of correction stands in a text."""
    return _CORRECTION.search(text) is not None


def takes_back(after: str, verdict: Verdict) -> bool:
    """Whether the text after a verdict corrects it: a word of correction, then another verdict or hardly anything.

    Args:
        after: what follows, with names as `names.named` writes them.
        verdict: what was said.
    """
    match = _CORRECTION.search(after)
    if match is None:
        return False
    rest = after[match.end() :]
    return len(rest.strip()) <= _SHORT or mentions(rest, verdict)
