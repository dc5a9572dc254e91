"""Comparisons as what is learned from: cleaned texts, features, labels, groups."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calf.errors import OptionError
from calf.hashing import uniform
from calf.metrics.base import Pair
from calf.training.clean import Cleaner
from calf.training.features import FAMILIES, Extractor, Pairs, Table
from calf.types import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calf.analysis.observations import Codes
    from calf.types import Comparison

__all__ = ["SCORES", "Examples", "Preparer", "choose_families", "item_of", "make_examples", "split"]

SCORES = "scores"
"""The family of features that are other metrics' stored scores."""


@dataclass(frozen=True, slots=True, eq=False)
class Preparer:
    """What makes features of items: learned from texts alone, without labels.

    Attributes:
        cleaner: takes out what gives a side away.
        extractor: makes the features.
    """

    cleaner: Cleaner
    extractor: Extractor

    @classmethod
    def fit(
        cls, comparisons: Sequence[Comparison], families: Sequence[str], *, jobs: int = 1, keep: bool = True
    ) -> Preparer:
        """Learns from all texts of a dataset; labels are not looked at."""
        cleaner = Cleaner.fit(comparisons)
        extractor = Extractor(families, jobs=jobs, keep=keep)
        extractor.fit([clean(cleaner, item_of(comparison)) for comparison in comparisons])
        return cls(cleaner, extractor)

    def pairs(self, items: Sequence[Pair]) -> Pairs:
        """The features of items as a metric gets them."""
        return self.extractor.pairs([clean(self.cleaner, item) for item in items])


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Comparisons beside their features; all of length n, in one order.

    Attributes:
        comparisons: as they are in the dataset.
        pairs: features.
        label: int8 (n,), places in `calf.types.LABELS`.
        groups: the groups' names.
    """

    comparisons: tuple[Comparison, ...]
    pairs: Pairs
    label: Codes
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.comparisons)

    def rows(self, which: NDArray[np.bool_]) -> Examples:
        """Those that a mask names."""
        places = np.flatnonzero(which)
        return Examples(
            tuple(self.comparisons[place] for place in places),
            self.pairs.rows(places),
            self.label[places],
            tuple(self.groups[place] for place in places),
        )

    def of(self, families: Sequence[str]) -> Examples:
        """The same with the features of some families."""
        return dataclasses.replace(self, pairs=self.pairs.of(tuple(families)))

    def with_scores(self, scores: Table) -> Examples:
        """The same with further features that turn their sign when the responses are swapped."""
        odd, even = self.pairs.odd, self.pairs.even
        joined = Table(
            (*odd.names, *scores.names), (*odd.families, *scores.families), np.hstack([odd.values, scores.values])
        )
        return dataclasses.replace(self, pairs=Pairs(joined, even))

    @property
    def families(self) -> tuple[str, ...]:
        """The families that have features, in order."""
        there = {*self.pairs.odd.families, *self.pairs.even.families}
        return tuple(family for family in (*FAMILIES, SCORES) if family in there)


def choose_families(text: str) -> tuple[str, ...]:
    """Families from a list with commas, each once, in the usual order; auto: all that work in a core install.

    Raises:
        OptionError: there is no such family, or none is named.
    """
    if text == "auto":
        return tuple(family for family in FAMILIES if family != "embedding")
    named = [part.strip() for part in text.split(",") if part.strip()]
    if not named or not set(named) <= set(FAMILIES):
        raise OptionError(f"features {text!r}: give auto, or some of {', '.join(FAMILIES)}, with commas between")
    return tuple(family for family in FAMILIES if family in named)


def item_of(c: Comparison) -> Pair:
    """A comparison as a metric sees it in the order given, without what no feature may look at."""
    return Pair(
        id="", question=c.question, context=c.context, reference=c.reference, response_a=c.response_a,
        response_b=c.response_b, language=c.language, setting="model_vs_model", subject=None, source_a=None,
        source_b=None, order="given", repeat=0,
    )  # fmt: skip


def clean(cleaner: Cleaner, item: Pair) -> Pair:
    """An item without what gives a side away."""
    return dataclasses.replace(item, response_a=cleaner.text(item.response_a), response_b=cleaner.text(item.response_b))


def make_examples(comparisons: Sequence[Comparison], preparer: Preparer) -> Examples:
    """The features of comparisons, beside what was said of them."""
    return Examples(
        tuple(comparisons),
        preparer.pairs([item_of(comparison) for comparison in comparisons]),
        np.array([LABELS.index(c.label) for c in comparisons], dtype=np.int8),
        tuple(c.group for c in comparisons),
    )


def split(groups: Sequence[str], hold_out: float) -> NDArray[np.bool_]:
    """Which comparisons are held out, (n,): those of a share of the groups, chosen by a hash of their names alone."""
    return np.array([uniform("hold-out", group) < hold_out for group in groups], dtype=np.bool_)
