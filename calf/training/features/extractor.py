"""Puts the families' features of responses together into those of pairs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from calf.errors import UnknownNameError
from calf.training.features.coverage import Coverage
from calf.training.features.embedding import Embedding
from calf.training.features.facts import Facts
from calf.training.features.form import Form
from calf.training.features.lexical import Lexical
from calf.training.features.question import Question
from calf.training.features.rarity import Rarity
from calf.training.features.redundancy import Redundancy
from calf.training.features.tables import Pairs, Table
from calf.training.features.topics import Topics
from calf.training.features.views import Task, View, tokenizer_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from calf.metrics.base import Pair
    from calf.training.features.family import Family, Measured

__all__ = ["FAMILIES", "VERSION", "Extractor"]

VERSION = 1
"""Raised when the same texts get other features."""

_PLAIN: tuple[type[Family], ...] = (Form, Lexical, Coverage, Question, Facts, Redundancy)

FAMILIES: tuple[str, ...] = (*(family.name for family in _PLAIN), Embedding.name)
"""The families of features: all but `embedding` work in a core install, in seconds."""


class Extractor:
    """Makes features of pairs.

    Args:
        families: some of `FAMILIES`; an empty sequence gives tables without columns.
        jobs: how many threads encode texts (family `embedding`; the others take seconds).
        keep: whether vectors are kept on disk (`calf.models.kept`).

    Raises:
        UnknownNameError: there is no such family.
        MissingDependencyError: the family `embedding` needs packages that are not installed.
    """

    def __init__(self, families: Sequence[str], *, jobs: int = 1, keep: bool = True) -> None:
        for name in families:
            if name not in FAMILIES:
                raise UnknownNameError("family of features", name, FAMILIES)
        self.families = tuple(name for name in FAMILIES if name in families)
        self._families: list[Family] = [family() for family in _PLAIN if family.name in self.families]
        self._embedding = Embedding(keep=keep) if Embedding.name in self.families else None
        if self._embedding is not None:
            self._families.append(self._embedding)
        self._jobs = jobs
        self._rarity: dict[str, Rarity] = {}
        self._topics: dict[str, Topics] = {}

    def fit(self, items: Iterable[Pair]) -> Extractor:
        """Learns, without labels, what the features need to know: how rare a word is, how questions differ.

        Returns:
            itself.
        """
        known = list(items)
        self._rarity = Rarity.by_language(known)
        if Question.name in self.families:
            self._topics = Topics.by_language(known, self._rarity)
        return self

    def as_dict(self) -> dict[str, Any]:
        """All that makes the same features again, for JSON; no text can be read from it."""
        rarity = {language: found.as_dict() for language, found in self._rarity.items()}
        topics = {language: found.as_dict() for language, found in self._topics.items()}
        return {"families": list(self.families), "rarity": rarity, "topics": topics}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], *, jobs: int = 1, keep: bool = True) -> Extractor:
        """What `as_dict` wrote."""
        made = cls(state["families"], jobs=jobs, keep=keep)
        made._rarity = {language: Rarity.from_dict(found) for language, found in state["rarity"].items()}
        made._topics = {
            language: Topics.from_dict(found, made._rarity[language]) for language, found in state["topics"].items()
        }
        return made

    def describe(self, languages: Iterable[str]) -> dict[str, str]:
        """What the features of each language depend on, for signatures: their version, tokenizers, models.

        Raises:
            UserError: a model that the features need cannot be had.
        """
        asked = sorted(set(languages))
        tokens = ",".join(f"{language}={tokenizer_for(language)}" for language in asked)
        found = {"features": str(VERSION), "families": ",".join(self.families), "tokens": tokens}
        return found | (self._embedding.describe(asked) if self._embedding is not None else {})

    def pairs(self, items: Sequence[Pair]) -> Pairs:
        """The features of each pair, in order.

        Looks at question, context, reference, responses and language only. A response's features are made once for
        all pairs of this call that it stands in.

        Raises:
            UserError: a model that the features need cannot be had.
        """
        odd_names = [(f.name, f"{f.name}.{n}") for f in self._families for n in f.odd_names]
        even_names = [(f.name, f"{f.name}.{n}") for f in self._families for n in f.all_even_names]
        odd, even = np.zeros((len(items), len(odd_names))), np.zeros((len(items), len(even_names)))
        tasks: dict[tuple[str, str, str | None, str], list[int]] = {}
        for row, item in enumerate(items):
            tasks.setdefault((item.question, item.context, item.reference, item.language), []).append(row)

        def fill(rows: Sequence[int]) -> None:
            for row, (odds, evens) in zip(rows, self._of_task([items[row] for row in rows]), strict=True):
                odd[row], even[row] = odds, evens

        if self._embedding is None:
            for rows in tasks.values():
                fill(rows)
        else:
            with ThreadPoolExecutor(self._jobs, initializer=_use_one_thread) as pool:
                for done in [pool.submit(fill, rows) for rows in tasks.values()]:
                    done.result()
        return Pairs(_table(odd_names, odd), _table(even_names, even))

    def _of_task(self, items: Sequence[Pair]) -> Iterator[tuple[list[float], list[float]]]:
        """Odd and even features of pairs that have one task."""
        first, language = items[0], items[0].language
        question, context, reference = (
            View(text, language) for text in (first.question, first.context, first.reference or "")
        )
        rarity = self._rarity.get(language) or Rarity()
        topics = self._topics.get(language) or Topics(rarity)
        about = topics.of(first.question, first.reference, language)
        task = Task(question, context, reference, rarity, about)
        views = {text: View(text, language) for item in items for text in (item.response_a, item.response_b)}
        measured = {text: [f.measure(task, view) for f in self._families] for text, view in views.items()}
        evens_of_task = [f.about(task) for f in self._families]
        for item in items:
            # In one order, whichever stands first.
            one, other = (views[text] for text in sorted((item.response_a, item.response_b)))
            odds: list[float] = []
            evens: list[float] = []
            for place, family in enumerate(self._families):
                a, b = measured[item.response_a][place], measured[item.response_b][place]
                wins, opposed = _part_by_part(a, b)
                odds += [*(x - y for x, y in zip(a.values, b.values, strict=True)), *wins]
                evens += [*evens_of_task[place], *family.both(one, other), *opposed]
            yield odds, evens


def _part_by_part(a: Measured, b: Measured) -> tuple[list[float], list[float]]:
    """For each list of parts, as shares: wins minus losses, and the fewer of the two."""
    wins, opposed = [], []
    for ours, theirs in zip(a.parts, b.parts, strict=True):
        won = sum(x > y for x, y in zip(ours, theirs, strict=True))
        lost = sum(x < y for x, y in zip(ours, theirs, strict=True))
        parts = max(1, len(ours))
        wins.append((won - lost) / parts)
        opposed.append(min(won, lost) / parts)
    return wins, opposed


def _table(names: Sequence[tuple[str, str]], values: NDArray[np.float64]) -> Table:
    return Table(tuple(name for _, name in names), tuple(family for family, _ in names), values)


def _use_one_thread() -> None:
    """A text's vectors are the same to the last bit, however many threads there are."""
    import torch

    torch.set_num_threads(1)
