"""How much a response repeats itself."""

from __future__ import annotations

import zlib

from calf.metrics.matching import f1
from calf.training.features.family import Family, Measured
from calf.training.features.views import Task, View, share

__all__ = ["Redundancy"]

_SENTENCES = 60
"""Only so many sentences are compared with each other."""

_ALIKE = 0.6


class Redundancy(Family):
    """Distinct tokens, pairs and runs of three; sentences like an earlier one; how well the text can be compressed."""

    name = "redundancy"
    names = (
        "repeated_tokens",
        "repeated_pairs",
        "repeated_threes",
        "most_alike",
        "alike",
        "same_beginnings",
        "compressed",
    )

    def measure(self, task: Task, response: View) -> Measured:  # noqa: ARG002  # the response alone
        """0 for a response without tokens."""
        tokens = response.tokens
        if not tokens:
            return Measured([0.0] * len(self.names))
        bags = [sentence.bags[0] for sentence in response.sentences[:_SENTENCES]]
        alike = [
            max(f1(bag.hits(other), bag.size, other.size) for other in bags[:place])
            for place, bag in enumerate(bags)
            if place
        ]
        beginnings = [tuple(sentence.tokens[:2]) for sentence in response.sentences]
        data = response.text.encode("utf-8", "replace")
        return Measured((
            _repeated(len(response.words), len(tokens)), _repeated(len(response.pairs), len(tokens) - 1),
            _repeated(len(response.grams), len(tokens) - 2),
            max(alike, default=0.0), share(sum(value >= _ALIKE for value in alike), len(alike)),
            _repeated(len(set(beginnings)), len(beginnings)),
            len(zlib.compress(data, 9)) / len(data),
        ))  # fmt: skip


def _repeated(distinct: int, count: int) -> float:
    return 1 - distinct / count if count > 0 else 0.0
