"""What a trained evaluator sees of two responses: numbers that do not know which of the two stands first.

    >>> extractor = Extractor(("form", "lexical")).fit(items)
    >>> extractor.pairs(items).odd.values.shape

A pair's features are differences of single responses' features and comparisons of the two (`Pairs.odd`), and what the
question, the reference and both responses together are like (`Pairs.even`). Who wrote a response, its place, the
comparison's id, setting and subject are never looked at.
"""

from __future__ import annotations

from calf.training.features.extractor import FAMILIES, Extractor
from calf.training.features.tables import Pairs, Table

__all__ = ["FAMILIES", "Extractor", "Pairs", "Table"]
