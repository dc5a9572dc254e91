"""Groups: what is resampled and split together, since it is not independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calf.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.types import Comparison

__all__ = ["group_by", "linked_groups"]


def linked_groups(comparisons: Sequence[Comparison]) -> list[str]:
    """One group name a comparison: those with the same question or the same non-empty context go together.

    Transitively: two that share a question, one of which shares its context with a third, make one group of three.
    Texts are compared exactly, after white space at both ends is removed. A group has the id of its first member.
    """
    parents = list(range(len(comparisons)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    first: dict[tuple[str, str], int] = {}
    for place, comparison in enumerate(comparisons):
        for kind, text in (("question", comparison.question.strip()), ("context", comparison.context.strip())):
            if text:
                one, other = root(first.setdefault((kind, text), place)), root(place)
                parents[max(one, other)] = min(one, other)  # so that a root is always its group's first member
    return [comparisons[root(place)].id for place in range(len(comparisons))]


def group_by(comparisons: Sequence[Comparison], columns: Sequence[str]) -> list[str]:
    """One group name a comparison: those with the same values in all `columns` go together.

    Args:
        comparisons: of one dataset.
        columns: fields of a comparison, or other columns of the file.

    Raises:
        DataError: a comparison has no such column, or nothing in any of them.
    """
    first: dict[tuple[str, ...], str] = {}
    names = []
    for comparison in comparisons:
        values = tuple(_value(comparison, column) for column in columns)
        if not any(values):
            raise DataError(f"comparison {comparison.id!r} has nothing in {', '.join(columns)}, the group's key")
        names.append(first.setdefault(values, comparison.id))
    return names


def _value(comparison: Comparison, column: str) -> str:
    fields = comparison.__dataclass_fields__
    value = getattr(comparison, column) if column in fields else comparison.extra.get(column)
    return "" if value is None else str(value).strip()
