"""Hashes, from which every choice about the data comes, so that it can be made again.

Positions, folds, limits and random verdicts come from a hash of (seed, id), never from a global random state.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["digest", "folds", "uniform"]


def digest(*parts: object, length: int = 64) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of `parts`, written as one JSON list."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def uniform(*parts: object) -> float:
    """A number in [0, 1), the same for the same `parts` on every machine."""
    return int(digest(*parts, length=13), 16) / 16**13


def folds(groups: Iterable[str], seed: int = 0, count: int = 10) -> dict[str, int]:
    """The fold of each group, in range(count): folds hold equally many groups, or one more.

    Groups are dealt out in the order of a hash of (seed, name). With fewer groups than folds each group is a fold.
    """
    ordered = sorted(set(groups), key=lambda name: (digest("fold", seed, name), name))
    return {name: index % count for index, name in enumerate(ordered)}
