"""How English says which of two responses is better; over texts with names as `names.named` writes them."""

from __future__ import annotations

import re

from calf.judges.names import EITHER as _N
from calf.judges.names import GAP as _GAP
from calf.judges.names import NOUN

__all__ = ["CLAIMS_EN", "NARROW_AFTER_EN", "NARROW_EN", "TIES_EN"]

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
    r"|at answering|in answering|at addressing|quality|instead\b))"
)
_ASPECT = (
    r"(?:style|form|format\w*|clarity|length|tone|wording|structure|readability|fluency|presentation|language|grammar"
    r"|layout|brevity|accuracy|coverage|completeness|correctness|depth|detail)"
)
# A phrase that narrows a claim to an aspect, a condition or a first impression, where a clause begins with it.
NARROW_EN = (
    r"(?:in(?! (?:general|conclusion|summary|sum|short|total|all|the end|my|our|this|that|terms of overall"
    r"|comparison|light"
    r"|view|brief|contrast|addition|fact|other words|essence|closing|either case|every|both)\b)"
    r"|on(?! (?:the whole|balance|reflection|overall|these|this|that|the basis|the other hand|account|all|both"
    r"|every)\b)"
    r"|for(?! (?:this|that|these|those|the (?:following|above|same|stated|reasons?)|me\b|all|example|instance"
    r"|its?\b|several|two|three|many|multiple|various"
    r"|both|\w+ing)\b)"
    r"|from(?! (?:my|this|these|the above|the comparison|what)\b)|regarding|concerning|with (?:regards?|respect) to"
    r"|when it comes to|as (?:far as|for|regards|to)|by (?:that|this) (?:measure|criterion)|without|ignoring"
    r"|disregarding"
    r"|excluding|barring|apart from|aside from|except|save for|setting|leaving|putting|assuming|supposing"
    r"|given only|had"
    r"|were|should|before|until|initially|superficially|seemingly|at (?:least|first|best)|if|only|merely|purely"
    r"|solely|strictly|but for"
    r"|\w+-?wise"
    r"|(?!(?:finally|generally|actually|really|personally|essentially|basically|additionally|especially|practically"
    r"|naturally|ideally|crucially|critically|fundamentally|substantially|marginally|equally|eventually"
    r"|principally)\b)\w+ally"
    r"|(?:based|judging|judged|going|considering|looking|focus\w*)\b[^,]*\b(?:alone|only|solely|purely)"
    rf"|(?:{_ASPECT}|[^,]{{1,40}}) aside|{_ASPECT} alone)\b"
)
# What follows a claim and narrows it or takes it back.
NARROW_AFTER_EN = re.compile(
    rf"\s*[,;:()—–-]*\s*(?:{NARROW_EN}|{_ASPECT}{_GAP}*\Z|or so\b|(?:no|not|nope)\b(?!\s*(?:{_N}|only|just"
    rf"|because|least))|wait\b"
    r"|and you )|[^.;]*\b(?:(?:does|do|did|should)(?: not|n't) (?:count|matter)|irrelevant)\b",
    re.I,
)
# Who chooses: "I (would) choose", or "choose" where a clause begins; not "some prefer", "I almost chose".
_I = (
    r"(?:\b(?:I|we|my advice is to|my decision is to|let me|let us|let's)(?:'d|'ll|'m|'ve)?(?:[\s,]+(?:would|will"
    r"|must|shall|do|am|have"
    r"|had|to|can|clearly|slightly|strongly|ultimately|therefore|thus|also|still|rather|tend|decided?|conclude"
    r"|inclined"
    r"|marginally|definitely|overall|personally|finally|going|however|hence|so|narrowly|be|in the end))*[\s,]+"
    r"|(?:\A|[,;:—–])\s*"
    r"(?:(?:so|and so|thus|therefore|hence|overall|finally|then|ultimately|we|to conclude|in (?:conclusion|sum"
    r"|summary|short))"
    r"[\s,:]+)*)"
)
CLAIMS_EN: list[tuple[re.Pattern[str], int]] = [  # 1: the named one is better, -1: worse
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
            (
                rf"({_N})\s+(?:is|was|seems|appears|looks){_ADVERB}\s+{_BAD}(?:\s+(?:than|to"
                rf"|as){_ADVERB}\s+{_N})?{_TAIL}"
            ),
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
                rf"|has the edge|wins over {_N}"
                rf"|deserves the win|takes it){_TAIL}"
            ),
            1,
        ),
        (rf"({_N}){_ADVERB}\s+(?:loses|lost)(?:\s+to\s+{_N})?{_TAIL}", -1),
        (rf"({_N})\s+(?:falls short of|is not as good as|isn't as good as|does not match)\s+{_N}{_TAIL}", -1),
        (
            (
                rf"{_I}(?:prefer|choose|chose|pick|select|go(?:ing)? with|favou?r|vote for|say|opt for|recommend"
                rf"|lean(?:ing)?(?:\s+(?:slightly|more))? (?:towards?|to)|give (?:it|this)(?: one)? to"
                rf"|(?:decide|rule|vote|come down|conclude|find) in favou?r of)"
                rf"\s*:?\s+(?:that\s+)?(?:the\s+)?({_N})"
                rf"(?:\s+over\s+{_N})?{_TAIL}"
            ),
            1,
        ),
        (
            (
                rf"\b(?:(?:the|this|overall) (?:win|victory|edge|preference)|my vote|the vote|decision|verdict)"
                rf" (?:goes to|is for|is in favou?r of) (?:the )?({_N})(?:\s+over\s+{_N})?{_TAIL}"
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
                rf"{_I}(?:find|consider|deem|judge|believe|rate|think|declare)\s+({_N})(?:\s+(?:to be|as"
                rf"|is))?{_ADVERB}\s+{_GOOD}"
                rf"(?:\s+(?:than|to|over){_ADVERB}\s+{_N})?{_TAIL}"
            ),
            1,
        ),
        (
            (
                rf"{_I}(?:rate|rank|score|place|put)\s+({_N}){_ADVERB}\s+(?:higher(?: than)?|above|over"
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
TIES_EN = [
    re.compile(pattern, re.I)
    for pattern in (
        rf"{_BOTH}\s+(?:are|were|is|seem|appear|look|perform|come out)(?: to be)?{_ADVERB}\s+{_EVEN}{_TAIL}",
        rf"{_BOTH}\s+(?:tie|draw)\b{_TAIL}",
        r"\bit(?:'s| is| was) (?:clearly |essentially |basically |really )?an? (?:tie|draw|dead heat)\b" + _TAIL,
        (
            rf"(?:{_I}(?:call|declare|judge|consider|rate|rule)|\bverdict is)(?: (?:it|this|them"
            rf"|for))?(?: as)? (?:an? )?(?:tie"
            rf"|draw|equal)\b{_TAIL}"
        ),
        (
            rf"\bneither(?: {NOUN}| of them| one| of the two(?: {NOUN}s)?| {_N} nor {_N})? (?:is"
            rf"|was|are) (?:clearly |really |significantly |much |the )*(?:better|superior|winner"
            rf"|preferable|stronger){_TAIL}"
        ),
        (
            rf"\bneither (?:{NOUN} |of them |one |of the two (?:{NOUN}s )?)?(?:wins|stands out|outperforms the other"
            rf"|beats the other|is better than the other){_TAIL}"
        ),
        (
            r"\bthere is no (?:clear |real |meaningful |significant |obvious )*"
            r"(?:winner|difference in (?:overall )?quality"
            r"|difference between (?:them|the two))" + _TAIL
        ),
        (
            rf"{_N} is{_ADVERB}\s+(?:as good as|equal to|equivalent to|on (?:a )?par with|tied with"
            rf"|comparable to)\s+{_N}{_TAIL}"
        ),
        rf"{_N}\s*(?:=+|≈|~=?)\s*{_N}",
        rf"\b(?:i have )?no preference(?: between (?:them|the two|{_N} and {_N}))?{_TAIL}",
    )
]
