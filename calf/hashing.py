"""Hashes, from which every choice about the data comes, so that it can be made again.

Positions, folds, limits and random verdicts come from a hash of (seed, id), never from a global random state.
"""

from __future__ import annotations

import hashlib
import json

__all__ = ["digest", "uniform"]


def digest(*parts: object, length: int = 64) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of `parts`, written as one JSON list."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def uniform(*parts: object) -> float:
    """A number in [0, 1), the same for the same `parts` on every machine."""
    return int(digest(*parts, length=13), 16) / 16**13
