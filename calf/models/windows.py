"""Overlapping windows over a text that is longer than a model takes at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Windows", "windows_over"]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows over a text's tokens.

    Attributes:
        starts: the first token of each window, ascending.
        size: the number of tokens in each.
        owners: for each token the window, by its place in `starts`, whose vector it gets.
    """

    starts: tuple[int, ...]
    size: int
    owners: NDArray[np.int64]


def windows_over(tokens: int, capacity: int) -> Windows:
    """As few windows as cover all tokens with a stride of at most half a window, evenly spread.

    Each token belongs to the window that gives it most context: in which the nearer of the two edges is farthest away
    (the text's own ends are no edges). Of equal ones it is the first.

    Args:
        tokens: how many the text has, special ones not counted; 1 or more.
        capacity: how many of them a window takes; 1 or more.
    """
    if tokens <= capacity:
        return Windows((0,), tokens, np.zeros(tokens, np.int64))
    beyond = tokens - capacity
    count = -(-beyond // max(1, capacity // 2)) + 1
    starts = np.array([place * beyond // (count - 1) for place in range(count)])
    at = np.arange(tokens)
    left = at - starts[:, None]
    right = starts[:, None] + capacity - 1 - at
    inside = (left >= 0) & (right >= 0)
    left[starts == 0] = tokens
    right[starts == beyond] = tokens
    context = np.where(inside, np.minimum(left, right), -1)
    return Windows(tuple(starts.tolist()), capacity, context.argmax(axis=0))
