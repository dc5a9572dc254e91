"""What two token sequences have in common: n-grams, a longest common subsequence, a union of those."""

from __future__ import annotations

from array import array
from collections import Counter
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    import numpy.typing as npt

__all__ = ["Bag", "Matchable", "Sentences", "Subsequence", "Vocabulary", "f1"]


class Matchable(Protocol):
    """A text made ready to be compared with others of its kind; `size` is the largest number of hits it can have."""

    size: int

    def hits(self, other: Any) -> int:
        """How much of this reference is found in a response of the same kind."""
        ...


def f1(hits: int, reference: int, response: int) -> float:
    """The harmonic mean of hits/reference and hits/response, by one division: equal shares are equal."""
    return 2 * hits / (reference + response) if hits else 0.0


class Vocabulary:
    """Numbers tokens, so that equal tokens have equal numbers; a `str` of characters has its code points."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lock = Lock()

    def encode(self, tokens: Sequence[str]) -> npt.NDArray[np.uint32]:
        """The tokens' numbers, in order."""
        if isinstance(tokens, str):
            return np.frombuffer(tokens.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        numbers = self._numbers
        with self._lock:  # two threads must not give one number twice
            return np.array([numbers.setdefault(token, len(numbers)) for token in tokens], dtype=np.uint32)


class Bag:
    """A bag of tokens or of pairs of adjacent tokens.

    Args:
        numbers: the tokens, by `Vocabulary.encode`.
        pairs: count pairs of adjacent tokens instead of tokens.
    """

    __slots__ = ("size", "units")

    def __init__(self, numbers: npt.NDArray[np.uint32], pairs: bool = False) -> None:
        units = numbers.astype(np.uint64)
        if pairs:
            units = units[:-1] << np.uint64(32) | units[1:]
        units.sort()
        self.units = array("Q", units.tobytes())
        self.size = len(self.units)

    def hits(self, other: Bag) -> int:
        """The size of the two bags' intersection: sorted, it is their longest common subsequence."""
        return _common_length(self.units, other.units)


class Subsequence:
    """A sequence of tokens."""

    __slots__ = ("size", "tokens")

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tokens
        self.size = len(tokens)

    def hits(self, other: Subsequence) -> int:
        """The length of a longest common subsequence."""
        return _common_length(self.tokens, other.tokens)


class Sentences:
    """Sequences of tokens, one a sentence, for ROUGE-Lsum."""

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self.sentences = [sentence for sentence in sentences if sentence]
        self.counts = Counter(token for sentence in self.sentences for token in sentence)
        self.size = self.counts.total()

    @cached_property
    def _places(self) -> list[tuple[dict[str, int], int]]:
        """For each sentence: the places of each token as the bits of a number (bit 0: the first), and its length."""
        found = []
        for sentence in self.sentences:
            places: dict[str, int] = {}
            for place, token in enumerate(sentence):
                places[token] = places.get(token, 0) | 1 << place
            found.append((places, len(sentence)))
        return found

    def hits(self, other: Sentences) -> int:
        """The size of the union of longest common subsequences (Lin 2004, section 3.2).

        A reference token counts if it lies on a longest common subsequence of its sentence with any sentence of the
        response, but none counts more often than it occurs in the response. Of several longest common subsequences
        that one is taken which rouge-score takes.
        """
        left = other.counts.copy()
        hits = 0
        for sentence in self.sentences:
            union: set[int] = set()
            for places, length in other._places:
                union.update(_common_places(sentence, places, length))
            for place in union:
                token = sentence[place]
                if left[token] > 0:
                    left[token] -= 1
                    hits += 1
        return hits


def _common_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    from rapidfuzz.distance import LCSseq

    return LCSseq.similarity(first, second)


def _common_places(reference: Sequence[str], places: dict[str, int], length: int) -> list[int]:
    """The places in the reference sentence of a longest common subsequence with a response sentence.

    The table t[i][j], the length for the first i and j tokens, is made row by row as in Hyyro 2004 ("Bit-parallel
    LCS-length computation revisited"): bit j - 1 of row i is 0 where t[i][j] = t[i][j-1] + 1, so that t[i][j] is the
    number of zeros among the lowest j bits. Then it is walked back from the end as rouge-score does: at a match
    both step back; else the response does if t[i][j-1] > t[i-1][j], else the reference. Without a match t[i][j] is
    the larger of those two, so t[i][j-1] > t[i-1][j] just where t[i][j] > t[i-1][j]; and either step keeps t.
    """
    masks = [places.get(token, 0) for token in reference]
    full = (1 << length) - 1
    row = full
    rows = [row]
    for mask in masks:
        matches = row & mask
        if matches:
            row = ((row + matches) | (row - matches)) & full
        rows.append(row)
    i, j = len(reference), length
    value = length - row.bit_count()
    found = []
    while value:
        if masks[i - 1] >> (j - 1) & 1:
            i, j, value = i - 1, j - 1, value - 1
            found.append(i)
        elif value > j - (rows[i - 1] & ((1 << j) - 1)).bit_count():
            j -= 1
        else:
            i -= 1
    return found
