"""What sentences in English or Chinese conclude of two responses: which one they call better, if any.

The patterns are over texts in which every name of a response is one character (`calf.judges.names`). Whatever a
sentence may also mean (a single aspect, a question, a condition, somebody else's claim) says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.judges.names import EITHER as _N
from calf.judges.names import FIRST, letters_named
from calf.judges.names import GAP as _GAP
from calf.judges.wording_en import CLAIMS_EN, NARROW_AFTER_EN, NARROW_EN, TIES_EN
from calf.judges.wording_zh import CLAIMS_ZH, TIES_ZH

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["CONCESSION", "Claim", "claims"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sentence says; None: it speaks on both sides.

    Attributes:
        verdict: what it says.
        final: whether it presents itself as the conclusion.
        end: where it ends in the text.
    """

    verdict: Verdict | None
    final: bool
    end: int


_SENTENCE = re.compile(r"(?:[^.!?。;\n]|\.(?=\w))+[.!?。;]*")
_LONGEST = 1000  # characters; bounds the time on hostile ones
_ELLIPSIS = re.compile(r"\.{2,}|…+")
_SAID_BY_OTHERS = re.compile(
    r"\?|\b(?:whether|if|unless|could|might|may|would have|hard to|difficult to|cannot|can't"
    r"|unable|not clear|unclear|claim(?:s|ed|ing)?"
    r"|says|said|states|stated|asserts|insists|tells?|told|instruct\w*|pretends|asks|asked"
    r"|asking|argue|suggesting|according to"
    r"|supposed|(?:some|many|most|few|others|people|students|readers?|users?|laypeople|beginners|novices|nobody"
    r"|no one"
    r"|someone|somebody|anyone|everyone) (?:may|might|would|will|could|can|think|say|prefer|choose|find|consider"
    r"|believe|like)\w*"
    r"|(?:an?|the) (?:\w+ )?(?:reader|user|student|teacher|layperson|layman|child|novice|beginner"
    r"|examiner)s? (?:would|will|may|might)"
    r"|which (?:one|response|answer|of|is)|don't (?:think"
    r"|believe|see|find)|not (?:think|believe|say|mean|clear)"
    r"|no (?:reason|evidence)|doubt(?:s|ful)? (?:that|whether)|only (?:in|for|at|on)|in terms of (?!overall"
    r"|quality)|on the one hand|otherwise|at first|first (?:impression|verdict|thought|instinct|glance)|initial|naive"
    r"|preliminary|tentative"
    r"|provisional|on the surface|gut feeling|instinct|going to say|seemingly)\b"
    r"|如果|如若|是否|假如|倘|若[^干]|要是|除非|即使|假设|声称|写道|要求|试图|告诉|哪个|哪一个|难以|很难|难说"
    r"|难言|无法|不能|不知道"
    r"|可能|仅在|只在|仅限|谁|否则|看上去|看起来|看似|貌似|乍一?看|表面上?|只从|仅从"
    r"|就(?!是)[^,。]{1,12}(?:而言|来说|来看)|不(?:能)?(?:认为|觉得|意味着)",
    re.I,
)
_REASON = re.compile(r"\b(?:because|since|as (?:it|its|they)|due to|given that|in that it)\b|因为|由于", re.I)
_HAD_TO_CHOOSE = re.compile(
    (
        r"\bif (?:i|one|we) (?:had to|have to|must|were to|was to) [a-z ]{1,30}?,|如果(?:必须"
        r"|一定|非)要?[^,。]{0,12}?选[^,。]{0,6},"
    ),
    re.I,
)
_NO_DOUBT = re.compile(r"\b(?:without (?:a |any )?|no |beyond )doubt,?|无疑", re.I)
CONCESSION = re.compile(
    (
        r"\b(?:although|though|while|whilst|even though|despite|whereas|notwithstanding)\b[^,;.]*(?:,"
        r"|(?=[.;])|\Z)"
        r"|(?:虽然|尽管|固然|虽)[^。;]*?(?:,?(?=但|然而|可是|不过)|,|(?=。)|\Z)"
    ),
    re.I,
)
_BUT = re.compile(r"\b(?:but|however|yet|nevertheless|nonetheless)\b|但是?|不过|然而|可是", re.I)
_NOT_BEFORE = re.compile(
    r"\b(?:not|never|nor|hardly|neither|doubt|deny|disagree|refuse|hesitate|tempted|almost|nearly|avoid"
    r"|instead of|far from"
    r"|(?:false|untrue|wrong|mistake|mistaken|unfair|incorrect|misleading|absurd) (?:that|to))\b|n't\b"
    r"|并非|没|不(?!如选|错|过|妨)|勿|莫|拒|放弃|避免|与其|无法|无从|几乎|差点|未|难",
    re.I,
)
_CLAUSE = re.compile(r"[,:—–]")
_CONCLUDES = re.compile(
    r"\b(?:so|therefore|thus|hence|overall|because|since|consequently|but|however)\b|因此|所以|综上|总之", re.I
)
_NARROW_BEFORE = re.compile(
    rf"{_GAP}*(?:(?:and|but|then|also|again|first(?:ly)?|second(?:ly)?|third(?:ly)?){_GAP}+)*{NARROW_EN}", re.I
)
_ASPECT_ZH = re.compile(
    r"(?:在|从)(?!整体|总体|综合|质量)[^,。]{1,16}?(?:上|方面|来?看|来说|而言|角度)|方面|只看|单看|仅看|只论"
)
_ASPECT_LABEL = re.compile(
    (
        r"\b(?:accuracy|factual\w*|correctness|complete\w*|coverage|clarity|style|structure"
        r"|readability|relevance|depth|detail\w*"
        r"|concise\w*|length|tone|format\w*|fluency|helpfulness|organi[sz]ation)\b[^.\n]{0,20}:"
        r"|(?:性|度|结构|语言|风格|篇幅|文笔)\s*:"
    ),
    re.I,
)
_SPOILT = re.compile(r"\b(?:fatal|serious\w*|wrong|incorrect|inaccurate|false|fails?|error)\b|错|误(?!解)", re.I)
_FINAL = re.compile(
    (
        r"\b(?:overall|therefore|thus|hence|in conclusion|to conclude|in summary|in sum|to sum up"
        r"|in short|ultimately|on balance"
        r"|on the whole|all things considered|all in all|finally|final|conclude|considering everything"
        r"|taken together|verdict|so"
        r"|as a result|consequently|winner|in the end|conclusion)\b|综上|总之|总的来说|总体"
        r"|整体|因此|所以|综合|最终|由此|结论|总而言之|故"
    ),
    re.I,
)


def claims(text: str) -> list[Claim]:
    """What the sentences of a text (as `named` gives it) conclude, in order; most say nothing."""
    found = []
    text = _ELLIPSIS.sub(lambda match: ",".ljust(len(match[0])), text)
    for match in _SENTENCE.finditer(text):
        sentence = _NO_DOUBT.sub("", _HAD_TO_CHOOSE.sub("", match[0]))
        if len(sentence) <= _LONGEST and _SAID_BY_OTHERS.search(_without_reason(sentence)) is None:
            said = _said(sentence)
            if said:
                final = _FINAL.search(sentence) is not None
                found.append(Claim(said.pop() if len(said) == 1 else None, final, match.end()))
    return found


def _without_reason(sentence: str) -> str:
    """What a sentence says before its reason, in which others may be quoted: "A is better because B claims ..."."""
    head = _REASON.split(sentence)[0]
    return head if re.search(_N, head) else sentence


def _said(sentence: str) -> set[Verdict | None]:
    """The verdicts that a sentence speaks for; {None} if it takes them back."""
    *before, last = _BUT.split(CONCESSION.sub(" ", sentence))
    said = _spoken(last)
    if said or not before:
        return said
    earlier: set[Verdict | None] = set().union(*(_spoken(part) for part in before))
    # "A is better, but B ...": what B then gets is not understood, so nothing is; nor "A seems better, but is wrong".
    return {None} if earlier and (re.search(_N, letters_named(last)) or _SPOILT.search(last)) else earlier


def _spoken(part: str) -> set[Verdict | None]:
    said: set[Verdict | None] = set()
    for pattern, sign in (*CLAIMS_EN, *CLAIMS_ZH) if re.search(_N, part) else ():
        for match in pattern.finditer(part):
            if not _taken_back(part, match):
                said.add("response_a" if (match[1] == FIRST) == (sign > 0) else "response_b")
    for pattern in (*TIES_EN, *TIES_ZH):
        for match in pattern.finditer(part):
            if not _taken_back(part, match):
                said.add("same")
    return said


def _taken_back(part: str, match: re.Match[str]) -> bool:
    """Whether the words around a claim negate it, or narrow it to an aspect."""
    before = part[: match.start()]
    clause = _CLAUSE.split(before)[-1]
    since = _CONCLUDES.split(before)[-1]
    if _NOT_BEFORE.search(clause) or _ASPECT_ZH.search(since) or _ASPECT_LABEL.search(before):
        return True
    if NARROW_AFTER_EN.match(part, match.end()):
        return True
    since += match[0]  # a choice begins before its verb: ", I would choose A"
    return any(_NARROW_BEFORE.match(lead) for lead in re.split(r"[,:—–]", since))
