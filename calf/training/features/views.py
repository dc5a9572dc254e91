"""Texts made ready to be compared: tokens, counts and sentences, each made once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from calf.metrics.matching import Bag, Subsequence, Vocabulary
from calf.metrics.tokenize import find_tokenizer, is_blank, lacks_spaces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from calf.training.features.rarity import Rarity

__all__ = ["Task", "View", "share", "tokenizer_for"]

_VOCABULARY = Vocabulary()

# A full stop ends a sentence where white space follows, so that numbers stay whole.
_SENTENCE_END = re.compile(r"(?<=[。！？!?；;…])|(?<=\.)\s|\n")
_CLAUSE_END = re.compile(r"(?<=[。！？!?；;…，、：])|(?<=[.,:])\s|\n")
_BETWEEN = "\x1f"
_LEAST = 2
"""A piece of fewer tokens is no sentence of its own: it belongs to the one before it."""


def tokenizer_for(language: str) -> str:
    """`words` (Chinese and Japanese characters are words of their own), or `characters` where words are not divided."""
    return "characters" if lacks_spaces(language) and language not in ("zh", "ja") else "words"


def share(part: float, whole: float) -> float:
    """`part / whole`, 0 of nothing."""
    return part / whole if whole else 0.0


class View:
    """A text in a language; everything is made when it is first asked for."""

    def __init__(self, text: str, language: str) -> None:
        self.text = text.strip()
        self.language = language

    @cached_property
    def tokens(self) -> Sequence[str]:
        """Words, lower-cased, without punctuation; each Chinese or Japanese character is one."""
        return find_tokenizer(tokenizer_for(self.language))(self.text)

    @cached_property
    def bags(self) -> tuple[Bag, Bag]:
        """Tokens, and pairs of adjacent tokens."""
        numbers = _VOCABULARY.encode(list(self.tokens))
        return Bag(numbers), Bag(numbers, pairs=True)

    @cached_property
    def sequence(self) -> Subsequence:
        """The tokens in order."""
        return Subsequence(self.tokens)

    @cached_property
    def words(self) -> frozenset[str]:
        """Distinct tokens."""
        return frozenset(self.tokens)

    @cached_property
    def pairs(self) -> frozenset[str]:
        """Distinct pairs of adjacent tokens, each as one string."""
        return frozenset(map(_BETWEEN.join, pairwise(self.tokens)))

    @cached_property
    def grams(self) -> frozenset[tuple[str, ...]]:
        """Distinct runs of three tokens."""
        tokens = self.tokens
        return frozenset(zip(tokens, tokens[1:], tokens[2:], strict=False))

    @cached_property
    def sentences(self) -> tuple[View, ...]:
        """Its sentences with at least one token; a semicolon or a line's end divides, too."""
        return self._divided(_SENTENCE_END)

    @cached_property
    def clauses(self) -> tuple[View, ...]:
        """Its clauses, divided by commas and colons, too."""
        return self._divided(_CLAUSE_END)

    def _divided(self, ends: re.Pattern[str]) -> tuple[View, ...]:
        found: list[str] = []
        for piece in ends.split(self.text):
            if is_blank(piece):
                continue
            if found and len(View(piece, self.language).tokens) < _LEAST:
                found[-1] += piece
            else:
                found.append(piece)
        views = (View(piece, self.language) for piece in found)
        return tuple(view for view in views if view.tokens)


@dataclass(frozen=True)
class Task:
    """What is answered; `reference` is empty where there is none.

    Attributes:
        rarity: how much the language's tokens say.
        topics: what the question is about, on `calf.training.features.topics`' axes.
    """

    question: View
    context: View
    reference: View
    rarity: Rarity
    topics: Sequence[float]

    def weigh(self, tokens: AbstractSet[str]) -> float:
        """How much distinct tokens, or pairs of them, say."""
        return self.rarity.weigh(tokens)

    def part(self, wanted: AbstractSet[str], found: AbstractSet[str]) -> float:
        """How much of what the wanted ones say is found: from 0 to 1, 0 if they say nothing."""
        whole = self.rarity.weigh(wanted)
        return self.rarity.weigh(wanted & found) / whole if whole else 0.0
