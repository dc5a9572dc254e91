"""What a question is about, as a few numbers: the main directions in which a dataset's questions differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from calf.hashing import digest
from calf.training.features.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from calf.metrics.base import Pair
    from calf.training.features.rarity import Rarity

__all__ = ["COUNT", "Topics"]

COUNT = 8
"""How many numbers."""

_BUCKETS = 2048
_SIGN_BIT = 20
_MOST = 2000
"""Of more questions, so many by a hash show the directions."""

_FEWEST = 50
_DIGITS = 5


class Topics:
    """Latent semantic analysis (Deerwester et al. 1990) of one language's questions with their references.

    Each text's tokens and pairs of adjacent ones, weighted by rarity, are hashed to 2,048 signed sums (Weinberger et
    al. 2009, "Feature hashing"), so that no word needs to be stored; the vectors of length 1 are put on the first
    eight principal axes. They tell subjects apart, on which ties and what people look for depend.

    Args:
        rarity: of the language's tokens.
        mean: (buckets,); without it every text gets zeros.
        axes: (8, buckets).
    """

    def __init__(
        self, rarity: Rarity, mean: NDArray[np.float64] | None = None, axes: NDArray[np.float64] | None = None
    ) -> None:
        self._rarity = rarity
        self._mean = mean
        self._axes = axes
        self._places: dict[str, tuple[int, float]] = {}

    @classmethod
    def by_language(cls, items: Iterable[Pair], rarity: Mapping[str, Rarity]) -> dict[str, Topics]:
        """Of all languages whose tokens' rarity is known; with few questions there are no topics."""
        texts: dict[str, dict[str, None]] = {}
        for item in items:
            texts.setdefault(item.language, {})[_joined(item.question, item.reference)] = None
        return {
            language: cls(rarity[language])._fitted(sorted(found), language)
            for language, found in sorted(texts.items()) if language in rarity
        }  # fmt: skip

    def of(self, question: str, reference: str | None, language: str) -> Sequence[float]:
        """The place of a question on the axes: 8 numbers; 0 where no topics are known."""
        if self._mean is None or self._axes is None:
            return (0.0,) * COUNT
        vector = self._hashed(_joined(question, reference), language)
        return [round(value, _DIGITS) for value in (self._axes @ (vector - self._mean)).tolist()]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; no word can be read from it."""
        if self._mean is None or self._axes is None:
            return {}
        return {"mean": self._mean.tolist(), "axes": self._axes.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], rarity: Rarity) -> Topics:
        """What `as_dict` wrote."""
        if not state:
            return cls(rarity)
        return cls(rarity, np.array(state["mean"]), np.array(state["axes"]))

    def _fitted(self, texts: Sequence[str], language: str) -> Topics:
        """With the axes of some texts, each in the direction in which its largest part is positive."""
        if len(texts) < _FEWEST:
            return self
        chosen = sorted(texts, key=lambda text: digest("topics", text))[:_MOST]
        vectors = np.array([self._hashed(text, language) for text in chosen])
        mean = vectors.mean(axis=0)
        axes = np.linalg.svd(vectors - mean, full_matrices=False)[2][:COUNT]
        axes *= np.sign(axes[np.arange(COUNT), np.abs(axes).argmax(axis=1)])[:, None]
        return Topics(self._rarity, mean.round(_DIGITS), axes.round(_DIGITS))

    def _hashed(self, text: str, language: str) -> NDArray[np.float64]:
        view = View(text, language)
        vector = np.zeros(_BUCKETS)
        # In one order, as the order of a sum changes its last digits.
        for token in (*sorted(view.words), *sorted(view.pairs)):
            place, weight = self._place(token)
            vector[place] += weight
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector

    def _place(self, token: str) -> tuple[int, float]:
        if token not in self._places:
            number = int(digest(token, length=8), 16)
            weight = self._rarity.weigh((token,))
            self._places[token] = number % _BUCKETS, weight if number >> _SIGN_BIT & 1 else -weight
        return self._places[token]


def _joined(question: str, reference: str | None) -> str:
    return f"{question}\n{reference or ''}"
