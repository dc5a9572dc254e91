"""Floors: what a metric must beat to say anything.

They look at positions, labels, lengths or sources, never at what a response says.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from calf.hashing import uniform
from calf.metrics.tokenize import length_of
from calf.types import LABELS, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from calf.metrics.base import Pair, Preparation, Response
    from calf.types import Verdict

__all__ = ["Always", "AlwaysModel", "Length", "Random"]


class Always:
    """Always prefers the response at one place.

    The place is the one where a response is shown: in the order "swapped" the dataset's other response stands there,
    so that this is what a judge with nothing but a bias to a position does.

    Args:
        side: "response_a" is the response shown first.
    """

    family = "floor"
    needs_reference = False
    batch_size = 256

    def __init__(self, side: Literal["response_a", "response_b"]) -> None:
        self.side: Verdict = side

    def judge(self, items: Sequence[Pair]) -> list[Verdict]:
        """The same verdict for every pair."""
        return [self.side] * len(items)


class AlwaysModel:
    """Always prefers the model's response; defined where a human's stands against it."""

    family = "floor"
    needs_reference = False
    batch_size = 256

    def judge(self, items: Sequence[Pair]) -> list[Verdict | Failure]:
        """The side that is not "human"; a failure of kind `not_applicable` if there is none, or if it is unknown."""
        return [_model_side(item) for item in items]


class Random:
    """Draws each verdict with the shares that the labels have in the whole dataset.

    The draw depends on the run's seed, the comparison's id, the order and the repeat alone. The labels' shares hold
    for the dataset's own sides in both orders: the verdict is drawn first and then turned to the order shown.
    """

    family = "floor"
    needs_reference = False
    batch_size = 256

    def __init__(self) -> None:
        self._seed = 0
        self._shares: list[float] = []

    def prepare(self, preparation: Preparation) -> None:
        """Counts the dataset's labels."""
        counts = Counter(comparison.label for comparison in preparation.comparisons)
        self._seed = preparation.seed
        self._shares = [counts[label] / counts.total() for label in LABELS if counts]

    def judge(self, items: Sequence[Pair]) -> Iterator[Verdict]:
        """One draw per pair."""
        if not self._shares:
            raise RuntimeError("prepare() comes first: it counts the labels")
        return map(self._draw, items)

    def _draw(self, item: Pair) -> Verdict:
        draw = uniform(self._seed, item.id, item.order, item.repeat)
        if draw >= self._shares[0] + self._shares[1]:
            return "same"
        first = draw < self._shares[0]
        return "response_a" if first == (item.order == "given") else "response_b"


class Length:
    """Prefers the longer or the shorter response.

    The score is the length, or its negative: in words divided by white space, or, for languages that do not divide
    them (Chinese, Japanese, Thai, Lao, Khmer, Burmese), in characters that are not white space.

    Args:
        prefer: "longer" or "shorter".
    """

    family = "floor"
    needs_reference = False
    batch_size = 256

    def __init__(self, prefer: Literal["longer", "shorter"]) -> None:
        self.sign = 1 if prefer == "longer" else -1

    def score(self, items: Sequence[Response]) -> list[float]:
        """One length per response."""
        return [float(self.sign * length_of(item.response, item.language)) for item in items]


def _model_side(item: Pair) -> Verdict | Failure:
    if item.setting != "human_vs_model":
        return Failure("not_applicable", f"the setting is {item.setting}, not human_vs_model")
    humans = [source == "human" for source in (item.source_a, item.source_b)]
    if sum(humans) != 1:
        return Failure("not_applicable", "the sources do not say which response is the model's")
    return "response_b" if humans[0] else "response_a"
