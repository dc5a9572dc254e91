"""What two datasets share, and what an evaluator has seen: by digests, which give no text back."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from calf.hashing import digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from calf.metrics.base import Pair
    from calf.types import Comparison

__all__ = ["KINDS", "marks_of", "seen_groups", "seen_marks"]

KINDS = ("id", "question", "context", "reference", "response")
"""By what comparisons may be known again."""

_LENGTH = 16
_SHORTEST = 20
_SHORTEST_ID = 8


def marks_of(item: Comparison | Pair) -> dict[str, set[str]]:
    """The digests by which a comparison may be known again, by kind.

    Texts are compared without white space, in one form of their characters. Texts of fewer than 20 characters
    (questions: 8) and ids that may stand in any dataset (numbers, or fewer than 8 characters) have none.
    """
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    if len(item.id) >= _SHORTEST_ID and not item.id.isdecimal():
        found["id"].add(_mark("id", item.id))
    for kind, text in (
        ("question", item.question),
        ("context", item.context),
        ("reference", item.reference or ""),
        ("response", item.response_a),
        ("response", item.response_b),
    ):
        plain = "".join(unicodedata.normalize("NFKC", text).split())
        if len(plain) >= (_SHORTEST_ID if kind == "question" else _SHORTEST):
            # A reference may be another dataset's response.
            found[kind].add(_mark("answer" if kind in ("reference", "response") else kind, plain))
    return found


def seen_marks(comparisons: Iterable[Comparison]) -> dict[str, list[str]]:
    """All digests of a dataset, by kind, sorted."""
    every: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for comparison in comparisons:
        for kind, marks in marks_of(comparison).items():
            every[kind] |= marks
    return {kind: sorted(marks) for kind, marks in every.items()}


def seen_groups(comparisons: Sequence[Comparison], seen: Mapping[str, Iterable[str]]) -> dict[str, Collection[str]]:
    """The groups of which anything was seen, and by what kinds: "question", ...

    Args:
        comparisons: of a dataset.
        seen: of the other, as `seen_marks` gives it.
    """
    every = {kind: frozenset(marks) for kind, marks in seen.items()}
    answers = every["reference"] | every["response"]
    found: dict[str, set[str]] = {}
    for comparison in comparisons:
        for kind, marks in marks_of(comparison).items():
            known = answers if kind in ("reference", "response") else every[kind]
            if marks & known:
                found.setdefault(comparison.group, set()).add(kind)
    return dict(found)


def _mark(kind: str, text: str) -> str:
    return digest("seen", kind, text, length=_LENGTH)
