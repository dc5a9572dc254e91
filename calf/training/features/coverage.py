"""Key points: how well each sentence of the reference is covered by the response, and the other way round."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from calf.metrics.matching import f1
from calf.training.features.family import Family, Measured
from calf.training.features.views import share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.training.features.views import Task, View

__all__ = ["Coverage"]

_COVERED = 0.5


class Coverage(Family):
    """For each reference sentence: how much of its tokens and of its pairs the response has; the sentence most like it.

    `order`: longest common subsequences. `supported`: how much of each response sentence the reference has. `place`:
    where in the response, from 0 to 1, the sentences most like the reference's stand on average; `first_third`: how
    much of the reference the first third has.
    """

    name = "coverage"
    names = (
        "words_mean", "words_root", "words_min", "words_covered", "pairs_mean", "pairs_root", "pairs_min",
        "clauses_root", "best_mean", "best_min", "best_covered", "order_mean", "supported_mean", "supported_min",
        "supported_share", "supported_pairs", "place", "first_third", "used_sentences",
    )  # fmt: skip
    part_names = ("words", "pairs", "best")

    def measure(self, task: Task, response: View) -> Measured:
        """0 where there is no reference, and for a response without tokens."""
        theirs, ours = task.reference.sentences, response.sentences
        if not theirs:
            return Measured([0.0] * len(self.names), ((), (), ()))
        if not ours:
            nothing = (0.0,) * len(theirs)
            return Measured([0.0] * len(self.names), (nothing, nothing, nothing))
        tokens = response.words
        words = [task.part(sentence.words, tokens) for sentence in theirs]
        pairs = [task.part(sentence.pairs, response.pairs) for sentence in theirs]
        clauses = [task.part(clause.pairs, response.pairs) for clause in task.reference.clauses]
        order = [share(sentence.sequence.hits(response.sequence), sentence.sequence.size) for sentence in theirs]
        best, places = [], []
        for sentence in theirs:
            bag = sentence.bags[0]
            found = [f1(bag.hits(other.bags[0]), bag.size, other.bags[0].size) for other in ours]
            best.append(max(found))
            places.append(found.index(max(found)))
        reference = task.reference.words
        supported = [task.part(sentence.words, reference) for sentence in ours]
        first = frozenset(response.tokens[: -(-len(response.tokens) // 3)])
        return Measured((
            _mean(words), _root(words), min(words), _covered(words), _mean(pairs), _root(pairs), min(pairs),
            _root(clauses), _mean(best), min(best), _covered(best), _mean(order), _mean(supported), min(supported),
            _covered(supported), task.part(response.pairs, task.reference.pairs), _mean(places) / len(ours),
            task.part(reference, first), len(set(places)) / len(ours),
        ), (words, pairs, best))  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _root(values: Sequence[float]) -> float:
    """The mean of the square roots: a point that is touched counts more than one that is told at length."""
    return sum(map(math.sqrt, values)) / max(1, len(values))


def _covered(values: Sequence[float]) -> float:
    return sum(value >= _COVERED for value in values) / len(values)
