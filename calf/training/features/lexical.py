"""What response and reference share, token by token: the overlap metrics, and weighted by how rare a token is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from calf.metrics.matching import f1
from calf.metrics.overlap import Bleu, Chrf
from calf.metrics.tokenize import lacks_spaces
from calf.training.features.family import Family, Measured
from calf.training.features.views import share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from calf.metrics.matching import Matchable
    from calf.training.features.views import Task, View

__all__ = ["Lexical"]


class Lexical(Family):
    """ROUGE-1, -2 and -L (precision, recall, F1), shared runs of three tokens, BLEU, chrF, METEOR's mean and order.

    `weighted`: distinct tokens and distinct pairs of adjacent tokens in common, by inverse document frequency.
    """

    name = "lexical"
    names = (
        "rouge1_precision", "rouge1_recall", "rouge1_f1", "rouge2_precision", "rouge2_recall", "rouge2_f1",
        "rougel_precision", "rougel_recall", "rougel_f1", "three_precision", "three_recall", "bleu", "chrf",
        "meteor_mean",
        "weighted_precision", "weighted_recall", "weighted_log", "weighted_pairs_precision", "weighted_pairs_recall",
        "weighted_pairs_log",
    )  # fmt: skip
    both_names = ("both_rouge1", "both_rougel", "both_three")

    def __init__(self) -> None:
        self._bleu = {name: Bleu(name) for name in ("13a", "zh", "char")}
        self._chrf = Chrf()

    def measure(self, task: Task, response: View) -> Measured:
        """0 where there is no reference, and for a response without tokens."""
        reference = task.reference
        if not (reference.tokens and response.tokens):
            return Measured([0.0] * len(self.names))
        ones, twos = (_prf(theirs, ours) for theirs, ours in zip(reference.bags, response.bags, strict=True))
        common = len(reference.grams & response.grams)
        language = response.language
        bleu = self._bleu["zh" if language == "zh" else "char" if lacks_spaces(language) else "13a"]
        theirs, ours = (bleu.extract(view.text, language) for view in (reference, response))
        return Measured((
            *ones, *twos, *_prf(reference.sequence, response.sequence),
            share(common, len(response.grams)), share(common, len(reference.grams)),
            bleu.compare(theirs, ours) / 100 if theirs and ours else 0.0,
            self._chrf.compare(reference.text, response.text) / 100,
            share(10 * ones[0] * ones[1], ones[1] + 9 * ones[0]),
            *_weighted(task, reference.words, response.words),
            *_weighted(task, reference.pairs, response.pairs),
        ))  # fmt: skip

    def both(self, first: View, second: View) -> Sequence[float]:
        """How alike the two responses are."""
        common = len(first.grams & second.grams)
        return (
            _prf(first.bags[0], second.bags[0])[2],
            _prf(first.sequence, second.sequence)[2],
            share(common, len(first.grams) + len(second.grams) - common),
        )


def _prf(reference: Matchable, response: Matchable) -> tuple[float, float, float]:
    hits = reference.hits(response)
    return share(hits, response.size), share(hits, reference.size), f1(hits, reference.size, response.size)


def _weighted(task: Task, reference: AbstractSet[str], response: AbstractSet[str]) -> tuple[float, float, float]:
    """Shares of the response and of the reference; the logarithm, as the first points in common matter most."""
    common = task.weigh(reference & response)
    return share(common, task.weigh(response)), share(common, task.weigh(reference)), math.log1p(common)
