"""Reads a place where nothing but a verdict is due: a JSON value, a line, what follows "Verdict:"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from calf.judges.names import EITHER as _N
from calf.judges.names import FIRST, KEYS, NOUN, named
from calf.judges.wording import claims

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["bare", "slot"]

_SAME = re.compile(
    (
        r"(?:an? |the |it's |it is |is |are |they are |they're |both (?:responses |answers )?(?:are )?"
        r"|(?:responses |answers )?are )*"
        r"(?:about |roughly |essentially )?(?:same|tie|tied|draw|equal(?:ly good)?|equally (?:good"
        r"|bad|strong|weak)|both|neither|even"
        r"|equivalent|no (?:preference|difference|winner|clear winner)|neither is better|both equally(?: good)?"
        r"|all the same|toss-?up"
        r"|both (?:good|bad|equal|same)|(?:equal|same|comparable|similar) quality)(?: quality)?(?: \(tie\))?"
        r"|C|A ?(?:=+|≈) ?B"
        r"|(?:两者|二者|双方|两个回答|两个答案)?(?:质量)?(?:相当|一样(?:好|差)?|相同|同样好"
        r"|同样差|差不多|都好|都一样|平局|平手|打平|持平|不相上下|难分(?:伯仲|高下|上下)|旗鼓相当"
        r"|不分伯仲|同等|同样|等同)"
        rf"|{_N} ?(?:=+|≈|~) ?{_N}"
    ),
    re.I,
)
_KEY = re.compile(
    (
        rf"(?:(?:definitely|clearly|obviously|certainly|probably|likely|it's|it is)(?:,)? )*(?:the )?({_N})"
        rf"(?: (?:{NOUN}))?(?: (?:is )?(?:the )?(?:clearly |slightly |much |significantly )?"
        r"(?:better|best|wins|superior|winner|preferred)|更?(?:好"
        rf"|优|佳)|胜)?|(?<!\w)([ABab12一二甲乙])"
    ),
    re.I,
)
_LIST = re.compile(
    (
        rf"\A({_N}|[AB])\s*[\"']?\s*(?:[,/|、&+]|or|and|vs\.?|versus|或者?|和|与|还是)\s*[\"']?\s*(?:{_N}"
        rf"|[AB])(?![A-Za-z])"
    ),
    re.I,
)
_THEN = re.compile(
    (
        rf"\A({_N}|(?-i:[AB])(?![A-Za-z0-9'’-]))\s*(?:\.(?=\s|\Z)|[,;!)(—–。、]|-+\s|\b(?:because|since"
        rf"|as|due|for|based|given|with|and is|rather than|instead of|not)\b|over {_N}|因为|由于)"
    ),
    re.I,
)
_OUTLINE = re.compile(rf"(?:[.;。]\s*|\n\s*)(?:{_N}|[AB])\s*[.:)]")
_EVEN_FIRST = re.compile(
    (
        r"(?:an? |it's an? )?(?:same|tie|tied|draw|equal|平局|平手|相当|相同|一样好|同样好|不相上下)\s*"
        r"(?:[.,;:!(。]|[-–—]+\s|(?:because|since|as)\b|因为|由于)"
    ),
    re.I,
)
_EDGE = " \t\n\"'`*_#>[](){}<>【】《》〈〉.。!,;:、|~=-—–$\\/✓✔✅🏆👉🥇⭐★"
_LATEX = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf)\s*\{")


def slot(text: str) -> Verdict | None:
    """The verdict in a place where nothing but a verdict is due (a JSON value, what follows "Verdict:").

    Args:
        text: as `answers.plain` gives it.
    """
    if (said := bare(text)) is not None:
        return said
    short = _shortened(text)
    found = {claim.verdict for claim in claims(short)}
    if _LIST.match(short) is None:
        if (first := _THEN.match(short)) and not _OUTLINE.search(short, first.end()):
            found.add(_verdict(first[1]))
        elif not found and _EVEN_FIRST.match(short):
            found.add("same")
    return found.pop() if len(found) == 1 else None


def bare(text: str) -> Verdict | None:
    """The verdict of a text (as `answers.plain` gives it) that is nothing else: a name, or a word for "same"."""
    if len(text) > 200:
        return None
    short = _shortened(text)
    if _SAME.fullmatch(short):
        return "same"
    key = _KEY.fullmatch(short)
    return _verdict(key[1] or key[2]) if key else None


def _shortened(text: str) -> str:
    text = _LATEX.sub(" ", text)
    letter = text.strip(_EDGE)
    return letter if re.fullmatch(r"[ABab12一二甲乙]", letter) else named(text).strip(_EDGE)


def _verdict(key: str) -> Verdict:
    return "response_a" if KEYS.get(key, key) == FIRST else "response_b"
