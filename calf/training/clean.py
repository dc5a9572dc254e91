"""Takes out of responses what tells who wrote them or where they stand, before anything is learned from them."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from calf.datasets.audit.finding import stands_in
from calf.datasets.audit.giveaways import find_giveaways

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calf.types import Comparison

__all__ = ["Cleaner", "Marker"]

_ROUNDS = 3
"""An audit names at most five strings of a kind; without those it is made again, so many times in all."""

# White space, also zero-width and as its own escape sequence, at a text's ends.
_BLANK = r"(?:[\s\u200b\u200c\u200d\ufeff]|\\n)"
_EDGES = re.compile(rf"^{_BLANK}+|{_BLANK}+$")
_BLANK_LINES = re.compile(r"[^\S\n]*\n\s*")
# Punctuation alone on a line, or after white space at the text's end.
_LONE = re.compile(r"\n[^\S\n]*[。．.,，;；:：、!！?？]+[^\S\n]*(?=\n|$)|^[。．,，;；:：、!！?？]+[^\S\n]*\n?")
_FIRST = re.compile(
    r"^(?:(?:[【\[]\s*)?(?:参考答案|回答开始|回答|答案|解答|答)(?:\s*[】\]]\s*[:：]?|\s*[:：])|回答开始|"
    r"[*#_ ]*(?:final answer|answer|response|reply|assistant)[*_ ]*[:：][*_ ]*|"
    r"<\|?(?:assistant|answer|im_start|begin)[^<>\n]{0,20}>)",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"(?:[（(【\[]?\s*(?:回答结束|回答完毕|答案结束|完毕)\s*[)）】\]]?[。．.!！\"”]?|"
    r"[(\[<]?\s*end of (?:answer|response|reply|text)\s*[)\]>]?[.!]?|"
    r"<\|?/?(?:end|im_end|endoftext|eot_id|eos|s|answer|end of [a-z]+)[^<>\n]{0,12}>|\[(?:end|eos|done)\])$",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Marker:
    """A string that is taken out of responses.

    Attributes:
        begins, ends: whether only at the response's beginning, at its end; both: if it is the whole response.
    """

    text: str
    begins: bool
    ends: bool

    def out_of(self, text: str) -> str:
        """The text without it; where it held a line's end, there is one still."""
        instead = "\n" if "\n" in self.text else ""
        if not self.begins and not self.ends:
            return text.replace(self.text, instead)
        if not stands_in(self.text, self.begins, self.ends, text):
            return text
        return text[len(self.text) :] if self.begins else text[: len(text) - len(self.text)]


class Cleaner:
    """Cleans responses: the same text always becomes the same, whichever side it stands on.

    Blank lines and what is blank at the ends go, punctuation that stands alone on a line, words that announce or end
    an answer (`回答：`, `Answer:`, `回答结束`, `<|im_end|>`), and the markers. A cleaned text is not changed again.

    Args:
        markers: taken out in this order.
    """

    def __init__(self, markers: Sequence[Marker] = ()) -> None:
        self.markers = tuple(markers)

    @classmethod
    def fit(cls, comparisons: Sequence[Comparison]) -> Cleaner:
        """Learns, without labels, the markers of a dataset: what its audit warns of (`find_giveaways`).

        Those are strings that stand (almost) only in response_a or in response_b; and strings that stand in most of
        people's or of models' responses, and not in the other's.
        """
        cleaner = cls()
        for _ in range(_ROUNDS):
            found = find_giveaways([cleaner.comparison(c) for c in comparisons])
            new = [Marker(g.text, g.begins, g.ends) for g in found if g.as_finding().severity == "warning"]
            new = [marker for marker in dict.fromkeys(new) if marker not in cleaner.markers]
            if not new:
                break
            cleaner = cls([*cleaner.markers, *new])
        return cleaner

    def text(self, text: str) -> str:
        """A response without what gives it away."""
        while True:
            shorter = self._once(text)
            if shorter == text:
                return text
            text = shorter

    def comparison(self, comparison: Comparison) -> Comparison:
        """A comparison with clean responses; all else as it was."""
        a, b = self.text(comparison.response_a), self.text(comparison.response_b)
        if (a, b) == (comparison.response_a, comparison.response_b):
            return comparison
        return dataclasses.replace(comparison, response_a=a, response_b=b)

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Markers are short strings of the dataset's responses."""
        return {"markers": [dataclasses.asdict(marker) for marker in self.markers]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Cleaner:
        """What `as_dict` wrote."""
        return cls([Marker(**marker) for marker in state["markers"]])

    def _once(self, text: str) -> str:
        text = _BLANK_LINES.sub("\n", _EDGES.sub("", text))
        text = _LAST.sub("", _FIRST.sub("", _LONE.sub("", text)))
        for marker in self.markers:
            text = marker.out_of(text)
        return text
