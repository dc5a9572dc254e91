"""How a response is built: its length, sentences, lines, lists, marks, and words of doubt and of structure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from calf.training.features.family import Family, Measured
from calf.training.features.views import share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.training.features.views import Task, View

__all__ = ["Form"]

_LIST_LINE = re.compile(
    r"^\s*(?:[-*+•·●]\s|[（(]?(?:\d{1,2}|[a-zA-Z]|[一二三四五六七八九十]{1,3})[)）.．、]|[①-⑳])", re.MULTILINE
)
_INLINE_ITEM = re.compile(
    r"[①-⑳]|[（(]\d{1,2}[)）]|第[一二三四五六七八九十]\B|\b(?:first|second|third)ly\b", re.IGNORECASE
)
_HEADING = re.compile(r"^\s*(?:#{1,6}\s|\*\*[^*\n]{1,60}\*\*\s*[:：]?\s*$|[^\n。.!！?？]{1,30}[:：]\s*$)", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*")
_ENDED = re.compile(r"[。.!！?？…”\"'）)\]】》]\s*$")
# Words that hedge, sum up and contrast, in the two languages of the known datasets; in others they are not found.
_HEDGES = re.compile(
    r"可能|也许|大概|或许|似乎|一定程度|某种程度|通常|一般来说|\b(?:may|might|perhaps|possibly|likely|probably|seems?|appears?|"
    r"could|generally|typically|usually|often)\b",
    re.IGNORECASE,
)
_SUMMARIES = re.compile(
    r"总之|综上|总的来说|总体而言|总结|因此可见|\b(?:in (?:conclusion|summary)|overall|to sum up|in short)\b",
    re.IGNORECASE,
)
_LINKS = re.compile(
    r"因为|由于|因此|所以|从而|导致|首先|其次|再次|最后|此外|另外|同时|然而|但是|不过|一方面|另一方面|"
    r"\b(?:because|since|therefore|thus|hence|however|although|but|moreover|furthermore|additionally|first|second|finally)\b",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"作为(?:一个|一名)?(?:人工智能|AI|语言模型)|抱歉|无法回答|\b(?:as an ai|i(?:'m| am) sorry|i cannot|i can't)\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"希望(?:以上|这些|对你)|如果你|如需|建议(?:你|您)|\b(?:hope this helps|let me know|feel free)\b", re.IGNORECASE
)


class Form(Family):
    """Form; needs no reference but for the lengths' ratios to it."""

    name = "form"
    names = (
        "tokens", "log_tokens", "log_ratio", "ratio_beyond", "ratio_short", "sentences", "sentence_tokens",
        "longest_sentence", "lines", "paragraphs", "list_lines", "inline_items", "headings", "bold", "commas",
        "other_marks", "brackets", "quotes", "digits", "latin", "ended", "hedges", "summaries", "links", "speaker",
        "advice", "empty",
    )  # fmt: skip
    even_names = ("no_reference", "reference_log_tokens", "reference_sentences", "reference_items")

    def measure(self, task: Task, response: View) -> Measured:
        """Counts, and shares of the response's length."""
        text = response.text
        size, characters = len(response.tokens), len(text)
        lengths = [len(sentence.tokens) for sentence in response.sentences]
        reference = len(task.reference.tokens)
        ratio = math.log((size + 5) / (reference + 5)) if reference else 0.0  # 5: a few words more are no matter
        lines = [line for line in text.split("\n") if line.strip()]
        per = size / 100 + 1

        def count(pattern: re.Pattern[str]) -> int:
            return sum(1 for _ in pattern.finditer(text))

        return Measured((
            size / 100, math.log1p(size), ratio, max(ratio, 0.0), max(-ratio, 0.0), math.log1p(len(lengths)),
            share(sum(lengths), len(lengths)) / 20, math.log1p(max(lengths, default=0)), math.log1p(len(lines)),
            math.log1p(text.count("\n\n")), math.log1p(count(_LIST_LINE)), math.log1p(count(_INLINE_ITEM)),
            math.log1p(count(_HEADING)), math.log1p(count(_BOLD)), _of(text, "，,、", characters),
            _of(text, "；;：:", characters), _of(text, "（(【[", characters), _of(text, "“\"「《‘", characters),
            share(sum(map(str.isdigit, text)), characters),
            share(sum("a" <= letter <= "z" for letter in text.lower()), characters),
            float(_ENDED.search(text) is not None), count(_HEDGES) / per, float(count(_SUMMARIES) > 0),
            count(_LINKS) / per, float(count(_SPEAKER) > 0), float(count(_ADVICE) > 0), float(not size),
        ))  # fmt: skip

    def about(self, task: Task) -> Sequence[float]:
        """The reference's length and parts."""
        reference = task.reference
        return (
            float(not reference.tokens),
            math.log1p(len(reference.tokens)),
            math.log1p(len(reference.sentences)),
            math.log1p(sum(1 for _ in _INLINE_ITEM.finditer(reference.text))),
        )


def _of(text: str, signs: str, characters: int) -> float:
    return share(sum(map(text.count, signs)), characters)
