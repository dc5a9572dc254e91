"""What sentences in English or Chinese conclude of two responses: which one they call better, if any.

The patterns are over texts in which every name of a response is one character (`calf.judges.names`). Whatever a
sentence may also mean (a single aspect, a question, a condition, somebody else's claim) says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calf.judges.names import EITHER as _N
from calf.judges.names import FIRST, NOUN, NOUN_ZH

if TYPE_CHECKING:
    from calf.types import Verdict

__all__ = ["Claim", "claims"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sentence says; None: it speaks on both sides. `final`: it presents itself as the conclusion."""

    verdict: Verdict | None
    final: bool


_ADVERB = (
    r"(?:\s*,?\s+(?:clearly|slightly|much|significantly|marginally|somewhat|far|by far|the"
    r"|a|an|bit|little|overall|generally|also"
    r"|still|therefore|thus|just|definitely|considerably|substantially|notably|moderately"
    r"|ultimately|indeed|actually|easily"
    r"|narrowly|comfortably|to be|as|being|both|all|simply|of|in my (?:view|opinion),?|strictly"
    r"|even|only slightly"
    r"|more or less|about|roughly|essentially|basically|virtually|nearly|almost|pretty much"
    r"|broadly|quite|very|largely))*"
)
_THING = rf"(?:{NOUN}s?|one|ones)"
_GOOD = (
    rf"(?:(?:better|best|superior|stronger|strongest|preferable|preferred|favou?red|winning"
    rf"|more preferable)"
    rf"(?:\s+(?:overall|{_THING}|of the two(?:\s+{_THING})?|quality))*|winner|victor|my (?:choice"
    rf"|pick|preference))"
)
_BAD = (
    rf"(?:(?:worse|worst|weaker|weakest|inferior|poorer|not as good|less preferable|the loser"
    rf"|less good)(?:\s+{_THING})?)"
)
# A claim goes on like this, or it is of one aspect only ("better organised", "better in style").
_TAIL = (
    r"(?=\s*(?:\Z|[.,;:!)\"'\n—–]|-\s|(?:because|since|as|due|given|and|but|by|while|whereas"
    r"|overall|here|owing|thanks)\b"
    r"|with (?!respect|regard)|for (?:this|the|these|those|several|two|three|that|both|its"
    r"|the following)\b(?! (?:most|sake))"
    r"|in (?:general|total|my|this|overall|terms of overall|every|all|that it)\b|on (?:balance"
    r"|the whole|both|all)\b"
    r"|at answering|in answering|at addressing|quality))"
)
_ENGLISH: list[tuple[re.Pattern[str], int]] = [  # 1: the named one is better, -1: worse
    (re.compile(pattern, re.I), sign)
    for pattern, sign in (
        (
            (
                rf"({_N})(?:,[^,.;]{{1,80}},)?\s+(?:is|was|are|seems|appears|looks|remains|comes out"
                rf"|came out|emerges|stands out"
                rf"|would be){_ADVERB}\s+{_GOOD}(?:\s+(?:than|to|over){_ADVERB}\s+{_N})?{_TAIL}"
            ),
            1,
        ),
        (
            rf"({_N})\s+(?:is|was|seems|appears|looks){_ADVERB}\s+{_BAD}(?:\s+(?:than|to|as){_ADVERB}\s+{_N})?{_TAIL}",
            -1,
        ),
        (rf"({_N})\s+(?:is|was){_ADVERB}\s+(?:outperformed|beaten|surpassed|bested)\s+by\s+{_N}", -1),
        (
            (
                rf"({_N}){_ADVERB}\s+(?:beats|outperforms|outshines|surpasses|edges out|bests|exceeds"
                rf"|trumps)\s+{_N}{_TAIL}"
            ),
            1,
        ),
        (
            (
                rf"({_N}){_ADVERB}\s+(?:wins|won|prevails|takes the win|comes out on top|comes out ahead"
                rf"|has the edge"
                rf"|deserves the win|takes it){_TAIL}"
            ),
            1,
        ),
        (rf"({_N}){_ADVERB}\s+(?:loses|lost)(?:\s+to\s+{_N})?{_TAIL}", -1),
        (rf"({_N})\s+(?:falls short of|is not as good as|isn't as good as|does not match)\s+{_N}{_TAIL}", -1),
        (
            (
                rf"\b(?:prefer|choose|chose|pick|select|go(?:ing)? with|favou?r|vote for|vote (?:goes"
                rf"|is) (?:to|for)|lean(?:ing)?"
                rf"(?:\s+(?:slightly|more))? (?:towards?|to)|in favou?r of|opt for|recommend|give (?:it"
                rf"|this)(?: one)? to"
                rf"|(?:win|victory|edge|point|preference) goes to|i'd say|i would say|i say)"
                rf"\s*:?\s+(?:that\s+)?(?:the\s+)?({_N})"
                rf"(?:\s+over\s+{_N})?{_TAIL}"
            ),
            1,
        ),
        (
            (
                rf"\b(?:better|best|winning|superior|stronger|preferred|preferable|more helpful)\s+(?:{_THING}\s+)?"
                r"(?:of the two\s+)?"
                rf"(?:here\s+)?(?:overall\s+)?(?:is|would be|remains|=|:)\s*(?:clearly\s+|definitely\s+"
                rf"|therefore\s+|still\s+)?({_N}){_TAIL}"
            ),
            1,
        ),
        (
            (
                rf"\b(?:winner|verdict|choice|decision|final answer|pick|preference|vote|conclusion)\s+(?:is"
                rf"|goes to|would be|must be)"
                rf"(?:\s+(?:clearly|that|for))?\s*:?\s*({_N}){_TAIL}"
            ),
            1,
        ),
        (
            (
                rf"\b(?:find|consider|deem|judge|believe|rate|think|declare)\s+({_N})(?:\s+(?:to be|as"
                rf"|is))?{_ADVERB}\s+{_GOOD}"
                rf"(?:\s+(?:than|to|over){_ADVERB}\s+{_N})?{_TAIL}"
            ),
            1,
        ),
        (
            (
                rf"\b(?:rate|rank|score|place|put)\s+({_N}){_ADVERB}\s+(?:higher(?: than)?|above|over"
                rf"|ahead of)(?:\s+{_N})?{_TAIL}"
            ),
            1,
        ),
        (rf"\bpreference\s+(?:is\s+)?for\s+({_N}){_TAIL}", 1),
        (rf"({_N})\s*(?:>>?|≻)\s*{_N}", 1),
        (rf"({_N})\s*<<?\s*{_N}", -1),
    )
]
_EVEN = (
    r"(?:tied|a tie|a draw|indistinguishable|equivalent(?: in (?:overall )?quality)?|on (?:a )?par"
    r"|evenly matched"
    r"|equally (?:good|strong|well|bad|poor|weak|valid|matched|satisfactory|preferable)(?: overall)?"
    r"|equals?|the same|identical"
    r"|(?:the )?(?:same|equal|similar|comparable|equivalent) (?:overall )?quality"
    r"|comparable(?: in (?:overall )?quality)?"
    r"|(?:similar|equal|alike|the same|identical) in (?:overall )?quality|just as good(?: as each other)?)"
)
_BOTH = (
    rf"(?:{_N}\s+(?:and|&)\s+{_N}|both(?: of)?(?: the| these)?(?: two)?(?: {NOUN}s| of them)?"
    rf"|they|(?:the|these) two(?: {NOUN}s)?"
    rf"|(?:the|these|two) {NOUN}s)"
)
_TIES_EN = [
    re.compile(pattern, re.I)
    for pattern in (
        rf"{_BOTH}\s+(?:are|were|is|seem|appear|look|perform|come out)(?: to be)?{_ADVERB}\s+{_EVEN}{_TAIL}",
        rf"{_BOTH}\s+(?:tie|draw)\b{_TAIL}",
        r"\bit(?:'s| is| was) (?:clearly |essentially |basically |really )?an? (?:tie|draw|dead heat)\b",
        (
            r"\b(?:call|declare|judge|consider|rate|rule|verdict is)(?: (?:it|this|them|for))?(?: as)? (?:an? )?(?:tie"
            r"|draw|equal)\b"
        ),
        (
            rf"\bneither(?: {NOUN}| of them| one| of the two(?: {NOUN}s)?| {_N} nor {_N})? (?:is"
            rf"|was|are) (?:clearly |really |significantly |much |the )*(?:better|superior|winner"
            rf"|preferable|stronger){_TAIL}"
        ),
        (
            rf"\bneither (?:{NOUN} |of them |one |of the two (?:{NOUN}s )?)?(?:wins|stands out|outperforms the other"
            rf"|beats the other|is better than the other)"
        ),
        (
            r"\bthere is no (?:clear |real |meaningful |significant |obvious )*"
            r"(?:winner|difference in (?:overall )?quality"
            r"|difference between (?:them|the two))"
        ),
        (
            rf"{_N} is{_ADVERB}\s+(?:as good as|equal to|equivalent to|on (?:a )?par with|tied with"
            rf"|comparable to)\s+{_N}{_TAIL}"
        ),
        rf"{_N}\s*(?:=+|≈|~=?)\s*{_N}",
        rf"\b(?:i have )?no preference(?: between (?:them|the two|{_N} and {_N}))?{_TAIL}",
    )
]

_ADVERB_ZH = (
    r"(?:整体上?|总体上?|综合(?:来看|而言)?|在(?:整体|总体|综合)上|明显|显然|略微?|稍微?"
    r"|稍稍?|要|则|也|都|还是?|确实|相对|显著|应该?|质量|更|大幅|远|是|会|无疑|\s)*"
)
_OF_ZH = r"(?:的?(?:整体|总体|综合)?(?:质量|水平|表现|内容))?"
_END_ZH = (
    r"(?=(?:一些|一点|些|得多|很多|不少|一筹|了|的(?:回答|答案|那个|一个|一方)?|者|吧|哦"
    r"|于|,|;|:|!|\.|。|、|\)|\"|\s|\Z|因为|由于))"
)
_CHINESE: list[tuple[re.Pattern[str], int]] = [
    (re.compile(pattern), sign)
    for pattern, sign in (
        (
            (
                rf"(?<!比)(?<!比 )({_N}){_OF_ZH}{_ADVERB_ZH}(?:更好|更优秀?|更佳|更胜一筹|更高一筹|略?胜一筹"
                rf"|胜出|获胜|胜利|胜|赢|更强|最好|最佳|最优|较好|较优|较佳|为优|为佳|占优|更优秀|更出色"
                rf"|(?:好|强)(?=一些|一点|些|得多)){_END_ZH}"
            ),
            1,
        ),
        (rf"(?<!比)(?<!比 )({_N}){_OF_ZH}{_ADVERB_ZH}(?:更差|较差|更弱|较弱|更糟|最差){_END_ZH}", -1),
        (rf"({_N}){_OF_ZH}{_ADVERB_ZH}(?:优于|好于|强于|胜过|胜于|好过|超过|战胜)\s*{_N}{_OF_ZH}{_END_ZH}", 1),
        (rf"({_N}){_OF_ZH}\s*比\s*{_N}{_OF_ZH}{_ADVERB_ZH}(?:好|优秀?|佳|强|优秀|出色){_END_ZH}", 1),
        (rf"({_N}){_OF_ZH}\s*比\s*{_N}{_OF_ZH}{_ADVERB_ZH}(?:差|弱|逊色|糟糕?){_END_ZH}", -1),
        (
            (
                rf"({_N}){_OF_ZH}{_ADVERB_ZH}(?:不如|逊于|劣于|差于|次于|比不上|输给|不及|没有\s*(?={_N}\s*(?:好"
                rf"|优秀?|出色)))\s*{_N}{_OF_ZH}(?:那么)?(?:好|优秀?|出色)?{_END_ZH}"
            ),
            -1,
        ),
        (
            (
                rf"(?<![不没别未])(?:选择|选|倾向于?(?:选择)?|偏向于?|支持|推荐|判定?为?|投给|胜者[是为]"
                rf"|获胜者[是为]|更喜欢|更偏好|裁决[是为]|结论[是为]|答案[是为]|选项?[是为])\s*({_N})(?!\s*(?:还是"
                rf"|或|和|与|、|[A-Za-z]))"
            ),
            1,
        ),
        (
            (
                rf"(?:更好|更优|较好|较优|更佳|最好|最佳|获胜|胜出|更胜一筹|占优|更强)的?(?:{NOUN_ZH}"
                rf"|一个|那个|一方|一篇|一份)?\s*(?:应该|应当|应|显然)?[是为:]\s*({_N})(?!\s*(?:还是"
                rf"|或|和|与|、|[A-Za-z]))"
            ),
            1,
        ),
    )
]
_BOTH_ZH = (
    rf"(?:(?:这|以上)?(?:两者|二者|两个{NOUN_ZH}|两份{NOUN_ZH}|两篇{NOUN_ZH}|两种{NOUN_ZH}"
    rf"|两段{NOUN_ZH}|双方|它们|它俩)|{_N}\s*[和与、跟及]\s*{_N})"
)
_TIES_ZH = [
    re.compile(pattern)
    for pattern in (
        (
            rf"{_BOTH_ZH}(?:的?(?:整体|总体|综合)?(?:质量|水平|表现|优劣)(?:上|方面)?|都|基本上?"
            rf"|大致|几乎|非常|十分|可以说|是|在|(?:整体|总体|综合)上?|各有千秋|,|\s)*(?:相当|不相上下"
            rf"|差不多|一样(?:好|差|优秀)?|同样(?:好|差|优秀|出色)|相同|相等|平局|平手|持平|难分(?:伯仲"
            rf"|高下|上下|优劣|胜负)|旗鼓相当|没有(?:明显|本质|显著|太大)?的?(?:差别|差异|区别|优劣)(?:之分)?"
            rf"|打平|并列|同等|不分(?:伯仲|上下|胜负)){_END_ZH}"
        ),
        r"(?<!不是)(?<!不算)(?<!并非)(?<!非)(?:平局|平手|打成平手|难分(?:伯仲|高下|胜负)|不分(?:伯仲|上下|胜负))",
    )
]

_SENTENCE = re.compile(r"(?:[^.!?。;\n]|\.(?=\w))+[.!?。;]*")
_SAID_BY_OTHERS = re.compile(
    r"\?|\b(?:whether|if|unless|could|might|may|would have|hard to|difficult to|cannot|can't"
    r"|unable|not clear|unclear|claim(?:s|ed|ing)?"
    r"|says|said|states|stated|asserts|insists|tells?|told|instruct\w*|pretends|asks|asked"
    r"|asking|argue|suggesting|according to"
    r"|supposed|some (?:would|people)|which (?:one|response|answer|of|is)|don't (?:think"
    r"|believe|see|find)|not (?:think|believe|say|mean|clear)"
    r"|no (?:reason|evidence)|doubt(?:s|ful)? (?:that|whether)|only (?:in|for|at|on)|in terms of (?!overall"
    r"|quality)|on the one hand|at first)\b"
    r"|如果|是否|假如|即使|假设|声称|写道|要求|试图|告诉|哪个|哪一个|难以|无法|不能|不知道"
    r"|可能|仅在|只在|不(?:能)?(?:认为|觉得|意味着)"
)
_HAD_TO_CHOOSE = re.compile(
    (
        r"\bif (?:i|one|we) (?:had to|have to|must|were to|was to) [a-z ]{1,30}?,|如果(?:必须"
        r"|一定|非)要?[^,。]{0,12}?选[^,。]{0,6},"
    ),
    re.I,
)
_NO_DOUBT = re.compile(r"\b(?:without (?:a )?|no |beyond )doubt,?", re.I)
_CONCESSION = re.compile(
    (
        r"\b(?:although|though|while|whilst|even though|despite|whereas|notwithstanding)\b[^,;.]*(?:,"
        r"|(?=[.;])|\Z)"
        r"|(?:虽然|尽管|固然|虽)[^。;]*?(?:,?(?=但|然而|可是|不过)|,|(?=。)|\Z)"
    ),
    re.I,
)
_BUT = re.compile(r"\b(?:but|however|yet|nevertheless|nonetheless)\b|但是?|不过|然而|可是", re.I)
_NOT_BEFORE = re.compile(
    r"\b(?:not|never|nor|hardly|neither|doubt|deny|disagree)\b|n't\b|并非|不是|不认为|没有|不", re.I
)
_CLAUSE = re.compile(r"[,:—–]")
_ASPECT_ZH = re.compile(r"(?:在|从)(?!整体|总体|综合|质量)[^,。]{1,16}?(?:上|方面|来看|来说|而言|角度)|方面")
_ASPECT_LABEL = re.compile(
    (
        r"\b(?:accuracy|factual\w*|correctness|complete\w*|coverage|clarity|style|structure"
        r"|readability|relevance|depth|detail\w*"
        r"|concise\w*|length|tone|format\w*|fluency|helpfulness|organi[sz]ation)\b[^.\n]{0,20}:"
        r"|(?:性|度|结构|语言|风格|篇幅|文笔)\s*:"
    ),
    re.I,
)
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
    for match in _SENTENCE.finditer(text):
        sentence = _NO_DOUBT.sub("", _HAD_TO_CHOOSE.sub("", match[0]))
        if _SAID_BY_OTHERS.search(sentence) is None:
            said = _said(sentence)
            if said:
                found.append(Claim(said.pop() if len(said) == 1 else None, _FINAL.search(sentence) is not None))
    return found


def _said(sentence: str) -> set[Verdict | None]:
    """The verdicts that a sentence speaks for; {None} if it takes them back."""
    *before, last = _BUT.split(_CONCESSION.sub(" ", sentence))
    said = _spoken(last)
    if said or not before:
        return said
    earlier: set[Verdict | None] = set().union(*(_spoken(part) for part in before))
    # "A is better, but B ...": what B then gets is not understood, so nothing is.
    return {None} if earlier and re.search(_N, last) else earlier


def _spoken(part: str) -> set[Verdict | None]:
    said: set[Verdict | None] = set()
    for pattern, sign in (*_ENGLISH, *_CHINESE):
        for match in pattern.finditer(part):
            if not _taken_back(part, match.start()):
                said.add("response_a" if (match[1] == FIRST) == (sign > 0) else "response_b")
    for pattern in (*_TIES_EN, *_TIES_ZH):
        for match in pattern.finditer(part):
            if not _taken_back(part, match.start()):
                said.add("same")
    return said


def _taken_back(part: str, start: int) -> bool:
    """Whether the clause before a claim negates it or narrows it to an aspect."""
    clause = _CLAUSE.split(part[:start])[-1]
    return _NOT_BEFORE.search(clause) is not None or any(
        aspect.search(part[:start]) for aspect in (_ASPECT_ZH, _ASPECT_LABEL)
    )
