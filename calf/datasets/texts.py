"""What analyses need of a comparison's texts, beside their lengths."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from calf.metrics.matching import f1
from calf.metrics.tokenize import find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calf.types import Comparison

__all__ = ["overlaps_of"]


def overlaps_of(comparisons: Sequence[Comparison]) -> NDArray[np.float64]:
    """How much of its words the preferred response shares with the reference, shape (n,): the F1 of both.

    NaN where there is no reference or no preferred response.
    """
    words = find_tokenizer("words")
    bags: dict[str, tuple[Counter[str], int]] = {}

    def bag(text: str) -> tuple[Counter[str], int]:
        if text not in bags:
            tokens = words(text)
            bags[text] = Counter(tokens), len(tokens)
        return bags[text]

    values = np.full(len(comparisons), np.nan)
    for index, c in enumerate(comparisons):
        if c.reference is not None and c.label != "same":
            reference, size = bag(c.reference)
            preferred, other = bag(c.response_a if c.label == "response_a" else c.response_b)
            hits = sum(min(count, preferred[word]) for word, count in reference.items() if word in preferred)
            values[index] = f1(hits, size, other)
    return values
