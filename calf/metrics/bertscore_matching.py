"""bert-score's precision, recall and F1 of a response's and a reference's vectors, and the weights of tokens."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from calf.models.vectors import Head, TextVectors

__all__ = ["Triple", "Weights", "idf_weights", "match", "rescaled"]

Triple = tuple[float, float, float]
"""Precision, recall and F1."""


class Weights:
    """The weights of a text's tokens in the means.

    Args:
        table: by token; None gives every token 1, and 0 those that are put around a text.
        unseen: the weight of tokens that the table does not have.
    """

    def __init__(self, table: Mapping[int, float] | None = None, unseen: float = 0.0) -> None:
        self._table = table
        self._unseen = unseen

    def of(self, head: Head) -> NDArray[np.float32]:
        """One for each of the text's tokens that have a vector."""
        if self._table is None:
            return head.plain.astype(np.float32)
        return np.array([self._table.get(token, self._unseen) for token in head.ids.tolist()], np.float32)


def idf_weights(references: Iterable[Head]) -> Weights:
    """Inverse document frequencies (Zhang et al. 2020, section 3): log((references + 1) / (those with the token + 1)).

    Args:
        references: each counts as often as it stands there.
    """
    counts: Counter[int] = Counter()
    number = 0
    for head in references:
        counts.update(set(head.ids.tolist()))
        number += 1
    return Weights({token: math.log((number + 1) / (n + 1)) for token, n in counts.items()}, math.log(number + 1))


def match(reference: TextVectors, response: TextVectors, weights: Weights, device: str = "cpu") -> Triple:
    """Precision, recall and F1 (Zhang et al. 2020, section 3) in float32, as bert-score computes them for one pair.

    Where bert-score puts several pairs in a batch, its padding counts as a token of similarity 0, which raises the best
    similarity of a token unlike all others; its own values for different batch sizes differ by up to 1e-4.

    0 for a response or reference without tokens; NaN where the weights of all tokens of one are 0.
    """
    import torch

    if not reference.head.total or not response.head.total:
        return 0.0, 0.0, 0.0
    # Clones: torch aligns its memory, numpy does not always, and the last digits of a product may depend on that.
    theirs, ours = (torch.from_numpy(side.vectors).clone().to(device) for side in (reference, response))
    their_weights, our_weights = (torch.from_numpy(weights.of(side.head)) for side in (reference, response))
    similar = ours @ theirs.T
    best, covered = similar.amax(dim=1).cpu(), similar.amax(dim=0).cpu()
    precision = (best * (our_weights / our_weights.sum())).sum()
    recall = (covered * (their_weights / their_weights.sum())).sum()
    f1 = 2 * precision * recall / (precision + recall)
    if precision + recall == 0:
        f1 = torch.zeros(())
    return float(precision), float(recall), float(f1)


def rescaled(values: Triple, baseline: Triple | None) -> Triple:
    """Each value with the baseline at 0 and 1 at 1, in float32; unchanged without one."""
    if baseline is None:
        return values
    low = np.array(baseline, np.float32)
    precision, recall, f1 = ((np.array(values, np.float32) - low) / (1 - low)).tolist()
    return precision, recall, f1
