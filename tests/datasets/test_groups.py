from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.datasets.groups import group_by, linked_groups
from calf.errors import DataError
from calf.types import Comparison


def comparison(number: int, question: str, context: str = "", **more: object) -> Comparison:
    made = Comparison(f"c{number}", question, context, None, "x", "y", "model_vs_model", "same", "en")
    return dataclasses.replace(made, **more)  # type: ignore[arg-type] -- any field


def test_questions_and_contexts_link_transitively() -> None:
    rows = [
        comparison(0, "Q1"),
        comparison(1, "Q2", "C1"),
        comparison(2, "Q3", "C2"),
        comparison(3, " Q2\n", " C2 "),
        comparison(4, "Q1", " "),
        comparison(5, "Q4", "\n"),
        comparison(6, "C1", ""),  # a question is no context
    ]
    assert linked_groups(rows) == ["c0", "c1", "c1", "c1", "c0", "c5", "c6"]


texts = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30)


@given(texts)
@settings(deadline=None)
def test_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    rows = [comparison(n, f"q{q}", f"k{k}" if k else "") for n, (q, k) in enumerate(pairs)]
    names = linked_groups(rows)
    members = [{n} for n in range(len(rows))]
    for _ in rows:  # merge until nothing changes, the slow and obvious way
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                if one.question == other.question or (one.context and one.context == other.context):
                    merged = members[i] | members[j]
                    for n in merged:
                        members[n] = merged
    assert names == [f"c{min(group)}" for group in members]


def test_group_by_columns() -> None:
    rows = [
        comparison(0, "Q1", subject="law", extra={"story": 1}),
        comparison(1, "Q2", subject="law", extra={"story": 2}),
        comparison(2, "Q3", subject="law", extra={"story": 1}),
        comparison(3, "Q4", subject=None, extra={"story": 1}),
    ]
    assert group_by(rows, ["story"]) == ["c0", "c1", "c0", "c0"]
    assert group_by(rows, ["story", "subject"]) == ["c0", "c1", "c0", "c3"]
    with pytest.raises(DataError, match="comparison 'c3' has nothing in subject, the group's key"):
        group_by(rows, ["subject"])
