from __future__ import annotations

import json
from dataclasses import replace

from made_comparisons import made_comparisons

from calf.training.seen import KINDS, marks_of, seen_groups, seen_marks
from calf.training.transfer import drop_shared

FIRST, SECOND = made_comparisons(3), made_comparisons(3, seed=7)


def test_what_shares_nothing_is_new() -> None:
    assert seen_groups(SECOND, seen_marks(FIRST)) == {}
    kept, dropped = drop_shared(FIRST, SECOND)
    assert len(kept) == len(FIRST)
    assert (dropped.comparisons, dropped.groups, dropped.kinds) == (0, 0, {})


def test_each_kind_is_known_again_and_takes_its_whole_group_along() -> None:
    other = SECOND[0]
    for field, kind in (
        ("id", "id"), ("question", "question"), ("reference", "reference"), ("response_a", "response"),
        ("response_b", "response"),
    ):  # fmt: skip
        mixed = [replace(FIRST[0], **{field: getattr(other, field)}), *FIRST[1:]]
        kept, dropped = drop_shared(mixed, SECOND)
        assert dropped.kinds == {kind: 1}, field
        assert (dropped.comparisons, dropped.groups) == (3, 1)
        assert {c.group for c in kept} == {c.group for c in FIRST[3:]}


def test_a_response_is_known_again_where_it_is_the_reference() -> None:
    mixed = [replace(FIRST[0], reference=SECOND[0].response_b), *FIRST[1:]]
    assert seen_groups(mixed, seen_marks(SECOND)) == {FIRST[0].group: {"reference"}}


def test_white_space_and_forms_of_characters_do_not_hide_a_text() -> None:
    text = SECOND[0].question
    for disguised in (f"\n {text}  ", text.replace(" ", "\u3000"), text.replace("?", "？"), text.replace(" ", "  ")):
        assert seen_groups([replace(FIRST[0], question=disguised)], seen_marks(SECOND))


def test_what_may_stand_anywhere_is_no_mark() -> None:
    short = replace(
        FIRST[0], id="12", question="Why?", context="", reference="Because.", response_a="", response_b="No."
    )
    assert not any(marks_of(short).values())
    assert not marks_of(replace(short, id="1234567890"))["id"]


def test_no_text_can_be_read_from_the_marks() -> None:
    stored = json.dumps(seen_marks(FIRST))
    assert set(seen_marks(FIRST)) == set(KINDS)
    for word in ("river", "valley", "series", "made"):
        assert word not in stored
