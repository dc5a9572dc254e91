"""Reads a place where nothing but a verdict is due: a JSON value, a line, what follows "Verdict:"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from calf.judges.corrections import takes_back
from calf.judges.names import EITHER as _N
from calf.judges.names import FIRST, KEYS, NOUN, SECOND, letters_named, named
from calf.judges.names import GAP as _GAP
from calf.judges.wording import CONCESSION, claims

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["bare", "slot"]

_SAME = re.compile(
    (
        r"(?:an? |the |it's |it is |is |are |they are |they're |both (?:responses |answers )?(?:are )?"
        r"|(?:responses |answers )?are ){0,3}"
        r"(?:about |roughly |essentially )?(?:same|tie|tied|draw|equal(?:ly good)?|equally (?:good"
        r"|bad|strong|weak)|both|neither|even"
        r"|equivalent|no (?:preference|difference|winner|clear winner)|neither is better|both equally(?: good)?"
        r"|all the same|toss-?up"
        r"|both (?:good|bad|equal|same)|(?:equal|same|comparable|similar) quality)(?: quality)?(?: \(tie\))?"
        r"|A ?(?:=+|≈) ?B"
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
        rf"\A({_N}|[AB])\s*[\"']?\s*(?:[,/|、&+]|or|and|vs\.?|versus|或者?|和|与|还是)\s*[\"']?\s*(?!\1)(?:{_N}"
        rf"|[AB])(?![A-Za-z])"
    ),
    re.I,
)
_THEN = re.compile(
    (
        rf"\A({_N}|(?-i:[AB])(?![A-Za-z0-9'’-]))\s*(?=\.(?:\s|\Z)|[,;!)(—–。、]|-+\s|\b(?:because|since"
        rf"|as|due|for|based|given|with|and is|rather than|instead of|not)\b|over {_N}|因为|由于)"
    ),
    re.I,
)
_EVEN_FIRST = re.compile(
    (
        r"(?:an? |it's an? )?(?:same|tie|tied|draw|equal|平局|平手|相当|相同|一样好|同样好|不相上下)\s*"
        r"(?:[.,;:!(。]|[-–—]+\s|(?:because|since|as)\b|因为|由于)"
    ),
    re.I,
)
_EDGE = " \t\n\"'`*_#>[](){}<>【】《》〈〉.。!,;:、|~=-—–$\\/✓✔✅🏆👉🥇⭐★"
_LONGEST = 4000  # characters; bounds the time on hostile answers
_LATEX = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf)\s*\{")

# ---- what may follow a verdict

_UNSURE = re.compile(
    r"\?|\b(?:or(?! (?:more|less)\b)|maybe|perhaps|unless|if|otherwise|actually|wait|sorry|kidding|correction"
    r"|second thought|no,|depend\w*)\b"
    r"|或|也许|可能|除非|如果|更正|不对|等等|应该?是",
    re.I,
)
_CLAUSES = re.compile(
    r"[,.;:!()\[\]|/。、—–\n]|\s-+\s|\b(?:but|while|whereas|and|yet|however)\b|而(?!不是|非)|但是?|不过|然而"
    r"|并且?|且",
    re.I,
)
_SUBJECT = re.compile(
    rf"{_GAP}*(?:(?:because|since|as|for|given|due to|that|the|so|only|both|even|in|因为|由于|因|在于|即使|是"
    rf"|只有){_GAP}*)*({_N})",
    re.I,
)
_NO_FAULT = re.compile(
    r"(?:\b(?:no|not|never|without|free of|fewer|less|minor|nothing|hardly|any|avoids?|small)"
    r"|n't)\W+(?:\w+\W+){0,2}?(?:errors?"
    r"|mistakes?|flaws?|wrong|incorrect|contradict\w*|fail\w*|weak\w*|inaccura\w*|bad|severe|serious)\b"
    r"|(?:没有?|无|未|不|更少|较少|避免)[^,。]{0,4}?(?:错误?|误|差)",
    re.I,
)
_WORSE = (
    r"\b(?:worse|worst|wrong|wrongly|incorrect\w*|inaccura\w*|los(?:es?|ing)|lost|fail\w*|reject\w*|disqualif\w*"
    r"|eliminat\w*|errors?"
    rf"|mistakes?|mistaken|flaw\w*|fatal\w*|weak\w*|inferior|poor\w*|bad\w*|contradict\w*|less|nope|no(?={_GAP}*\Z)"
    r"|not (?:so |as |very |really |quite )?(?:good|the|correct|right|better|best))\b"
    r"|差|错|败|输|误|逊|弱|不好|不对|不正确|不准确|不如|淘汰|劣"
)
_FAULT = re.compile(_WORSE, re.I)
_LACK = re.compile(
    _WORSE + r"|\b(?:only|merely|lack\w*|miss\w*|omit\w*|without|vague\w*|incomplete|short\w*|does not|doesn't|is not"
    r"|isn't|did not"
    r"|didn't|cannot|can't|neglects?|ignores?|overlooks?|leaves?|left|repeats?|irrelevant|generic|superficial\w*"
    r"|unclear|limited"
    r"|partial\w*|not|unsupported|invents?|invented|hallucinat\w*|false|confus\w*|mixes|off-topic)\b"
    r"|缺|漏|没有?|未|不|仅|只|空泛|笼统|含糊|片面|偏题|跑题",
    re.I,
)
_EVEN_LAST = re.compile(rf"\b(?:same|tied?|equal|draw){_GAP}*\Z", re.I)
_OVER = (
    r"(?:over|than|not|rather than|unlike|instead of|compared (?:to|with)|in contrast to|beats|outperforms"
    r"|against)"
)
_OVER_ZH = r"(?:而不是|而非|不是|比|优于|胜过|好于|强于|不选|相比|相较于?|较)"


def slot(text: str) -> Verdict | None:
    """The verdict in a place where nothing but a verdict is due (a JSON value, what follows "Verdict:").

    What follows a verdict there must not speak against it: "A, wrong" and "A (style), B (accuracy)" say nothing.

    Args:
        text: as `answers.plain` gives it.
    """
    if (verdict := bare(text)) is not None:
        return verdict
    if len(text) > _LONGEST:
        return None
    short = _shortened(text)
    said = claims(short)
    found = {claim.verdict for claim in said}
    if len(found) == 1 and (only := said[-1].verdict) and takes_back(short[said[-1].end :], only):
        return None
    if _LIST.match(short):
        return found.pop() if len(found) == 1 else None
    if first := _THEN.match(short):
        verdict = _verdict(first[1])
        if not _supports(letters_named(short[first.end() :]), verdict):
            return None
        found.add(verdict)
    elif even := _EVEN_FIRST.match(short):
        if not _leaves_even(letters_named(short[even.end() :])):
            return None
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


def _supports(rest: str, verdict: Verdict) -> bool:
    """Whether what follows a verdict does not speak against it, clause by clause: who is spoken of, and how."""
    own, other = (FIRST, SECOND) if verdict == "response_a" else (SECOND, FIRST)
    rest = re.sub(r"\bthe other(?: one| response| answer)?\b|另一(?:个|份|篇)(?:回答|答案)?", other, rest, flags=re.I)
    if _UNSURE.search(rest):
        return False
    confirmed = {claim.verdict for claim in claims(rest)} == {verdict}
    subject = own
    for clause in _CLAUSES.split(CONCESSION.sub(" ", rest)):
        begins = _SUBJECT.match(clause)
        if begins:
            subject = begins[1]
        plain = _NO_FAULT.sub(" ", re.sub(rf"(?:\b{_OVER}|{_OVER_ZH})\s*{other}", " ", clause, flags=re.I))
        if subject == own and (_FAULT.search(plain) or (other in plain and not confirmed)):
            return False
        if subject == other and not (_LACK.search(plain) or confirmed):
            return False
        if bare(clause) not in (None, verdict) or _EVEN_LAST.search(clause):
            return False
    return True


def _leaves_even(rest: str) -> bool:
    """Whether what follows "same" leaves it so: it does not name one response alone, nor an edge of one."""
    named_ones = set(re.findall(_N, re.sub(rf"{_N}\s*(?:and|&|[和与、跟及,])\s*{_N}", " ", rest)))
    edge = re.search(
        r"\b(?:edge|slight\w*|prefer\w*|forced|but|however|no,|not|broken|lean\w*|wins?|better)\b|更|略|稍|但"
        r"|不(?!相|分)",
        rest,
        re.I,
    )
    return not named_ones or (len(named_ones) == 2 and edge is None)
