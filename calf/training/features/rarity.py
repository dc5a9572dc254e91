"""How much a token says: inverse document frequencies over a dataset's references, kept without the tokens."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from calf.hashing import digest
from calf.training.features.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from calf.metrics.base import Pair

__all__ = ["Rarity"]

_DIGITS = 10  # hexadecimal: two of a hundred thousand tokens share a digest with a probability of half a percent
_LEAST = 2
"""A token of fewer references is as rare as one of none."""


class Rarity:
    """The weights of one language's tokens, and of pairs of adjacent ones: log((references + 1) / (those with it + 1)).

    Args:
        references: how many distinct references there were; with 0 every token weighs 1.
        counts: how many of them hold a token, by its digest, where at least two do.
    """

    def __init__(self, references: int = 0, counts: Mapping[str, int] | None = None) -> None:
        self.references = references
        self.counts = dict(counts or {})
        self._known: dict[str, float] = {}

    @classmethod
    def by_language(cls, items: Iterable[Pair]) -> dict[str, Rarity]:
        """Of all languages in which there are references; each distinct reference counts once."""
        counts: dict[str, Counter[str]] = {}
        references: Counter[str] = Counter()
        for language, text in dict.fromkeys((item.language, item.reference) for item in items if item.reference):
            view = View(text or "", language)
            if view.tokens:
                references[language] += 1
                counts.setdefault(language, Counter()).update({*view.tokens, *view.pairs})
        return {
            language: cls(references[language], {_key(token): n for token, n in sorted(found.items()) if n >= _LEAST})
            for language, found in sorted(counts.items())
        }

    def weigh(self, tokens: Iterable[str]) -> float:
        """The weights' sum, the same in whatever order the tokens come."""
        return math.fsum(map(self._weight, tokens))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; no token can be read from it."""
        return {"references": self.references, "counts": self.counts}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Rarity:
        """What `as_dict` wrote."""
        return cls(state["references"], state["counts"])

    def _weight(self, token: str) -> float:
        if not self.references:
            return 1.0
        weight = self._known.get(token)
        if weight is None:
            holding = self.counts.get(_key(token), 1)
            weight = self._known[token] = math.log((self.references + 1) / (holding + 1))
        return weight


def _key(token: str) -> str:
    return digest(token, length=_DIGITS)
