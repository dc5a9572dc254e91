"""Frequent pieces of text and on which side they stand, counted with arrays.

Texts are cut into tokens that keep every character: words, single Chinese or Japanese characters, runs of white
space, other signs; a token of its own marks the beginning and the end. Pieces of n + 1 tokens are grown from the
frequent pieces of n tokens, so that rare text is looked at only once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import numpy.typing as npt

    Ints: TypeAlias = npt.NDArray[np.int64]

__all__ = ["BEGIN", "END", "Level", "Occurrence", "levels"]

BEGIN, END = "\x02", "\x03"
"""Tokens before the first and after the last character of a text."""

LONGEST = 64
"""Pieces are grown up to so many tokens."""

_CHARACTER = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = re.compile(rf"[{_CHARACTER}]|[^\W{_CHARACTER}]+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """That a text stands somewhere.

    Attributes:
        text: the text.
        column: where it stands: 0, 1, ... (a slice of the data and a side).
        unit: what is counted once a column, however many texts of it hold a piece (a question).
    """

    text: str
    column: int
    unit: Hashable


@dataclass(frozen=True, slots=True)
class Level:
    """The frequent pieces of one length.

    Attributes:
        pieces: the pieces, with `BEGIN` and `END` where they touch a text's ends.
        counts: (pieces, columns): in how many units of each column a piece occurs.
        length: in tokens.
    """

    pieces: list[str]
    counts: Ints
    length: int


def levels(occurrences: Sequence[Occurrence], columns: int, least: int) -> Iterator[Level]:
    """The pieces that occur in at least `least` units of some column group, by growing length.

    Args:
        occurrences: where the texts stand.
        columns: how many columns there are.
        least: pieces with fewer than so many units over all columns together are dropped, and never grown.
    """
    numbers: dict[str, int] = {}
    units: dict[Hashable, int] = {}
    placed = np.array(
        sorted(
            {
                (numbers.setdefault(o.text, len(numbers)), o.column, units.setdefault(o.unit, len(units)))
                for o in occurrences
            }
        ),
        dtype=np.int64,
    ).reshape(-1, 3)
    vocabulary = {BEGIN: 0, END: 1}
    coded = [[0, *(vocabulary.setdefault(t, len(vocabulary)) for t in _TOKEN.findall(x)), 1] for x in numbers]
    words = list(vocabulary)
    tokens = np.fromiter(chain.from_iterable(coded), dtype=np.int64)
    text_of = np.repeat(np.arange(len(coded)), [len(x) for x in coded])
    # The rows of `placed` that belong to text t are starts[t]:starts[t + 1].
    starts = np.searchsorted(placed[:, 0], np.arange(len(coded) + 1))

    at = np.arange(len(tokens))  # where pieces begin
    piece = tokens.copy()  # which piece begins there
    for length in range(1, LONGEST + 1):
        if length > 1:
            inside = at + length - 1 < len(tokens)
            at, piece = at[inside], piece[inside]
            inside = text_of[at + length - 1] == text_of[at]
            at, piece = at[inside], piece[inside]
            piece = piece * len(words) + tokens[at + length - 1]
        at, piece, pairs = _frequent(at, piece, text_of, starts, least)
        if not len(at):
            return
        counts = _count(pairs, int(piece.max()) + 1, placed, starts, columns, len(units))
        kept = counts.sum(axis=1) >= least
        first = np.zeros(len(counts), dtype=np.int64)
        first[piece] = at
        texts = ["".join(words[t] for t in tokens[i : i + length]) for i in first[kept]]
        if texts:
            yield Level(texts, counts[kept], length)
        chosen = kept[piece]
        at, piece = at[chosen], (np.cumsum(kept) - 1)[piece[chosen]]


def _frequent(at: Ints, piece: Ints, text_of: Ints, starts: Ints, least: int) -> tuple[Ints, Ints, Ints]:
    """Positions whose piece occurs in texts with at least `least` places; pieces numbered anew; (piece, text) pairs."""
    _, piece = np.unique(piece, return_inverse=True)
    pairs = _distinct(piece * len(starts) + text_of[at])
    owner, text = np.divmod(pairs, len(starts))
    places = np.bincount(owner, weights=starts[text + 1] - starts[text])
    kept = places >= least
    number = np.cumsum(kept) - 1
    chosen = kept[piece]
    frequent = kept[owner]
    return at[chosen], number[piece[chosen]], np.stack([number[owner[frequent]], text[frequent]])


def _count(pairs: Ints, pieces: int, placed: Ints, starts: Ints, columns: int, units: int) -> Ints:
    """How many distinct units of each column hold each piece."""
    owner, text = pairs
    places = starts[text + 1] - starts[text]
    # All rows of `placed` of each pair's text, one after the other.
    offset = np.repeat(starts[text] - np.concatenate(([0], np.cumsum(places)[:-1])), places)
    row = offset + np.arange(places.sum())
    key = (np.repeat(owner, places) * columns + placed[row, 1]) * units + placed[row, 2]
    cells = _distinct(key) // units
    counts: Ints = np.bincount(cells, minlength=pieces * columns).reshape(pieces, columns)
    return counts


def _distinct(keys: Ints) -> Ints:
    """The distinct numbers, sorted; sorting is several times faster here than `numpy.unique`'s hash table."""
    keys.sort()
    distinct: Ints = keys[np.concatenate((np.ones(min(1, len(keys)), dtype=bool), keys[1:] != keys[:-1]))]
    return distinct
