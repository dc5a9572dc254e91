from __future__ import annotations

from dataclasses import replace

import pytest
from made_comparisons import made_comparisons, turned

from calf.training.consistency import consistency_of
from calf.types import Comparison, Label

BASE = made_comparisons(1)[0]


def said(first: str, second: str, label: Label, question: str = "Which way does the river run?") -> Comparison:
    return replace(
        BASE, id=f"{first}{second}{label}", question=question, response_a=first, response_b=second, label=label
    )


def test_an_order_without_contradictions_can_be_reached() -> None:
    found = consistency_of([said("x", "y", "response_a"), said("y", "z", "response_a"), said("z", "x", "response_b")])
    assert (found.triples, found.cycles, found.broken_ties, found.contradictions) == (1, 0, 0, 0)
    assert found.ceiling == found.ceiling_scores == 1.0


def test_a_circle_bounds_scores_only() -> None:
    rows = [said("x", "y", "response_a"), said("y", "z", "response_a"), said("z", "x", "response_a")]
    found = consistency_of(rows)
    assert (found.triples, found.cycles) == (1, 1)
    assert found.ceiling == 1.0
    assert found.ceiling_scores == pytest.approx(2 / 3)
    assert consistency_of([turned(c) for c in rows]) == found


@pytest.mark.parametrize(("third", "broken"), [("same", 0), ("response_a", 1), ("response_b", 1)])
def test_two_ties_make_a_third(third: Label, broken: int) -> None:
    found = consistency_of([said("x", "y", "same"), said("y", "z", "same"), said("x", "z", third)])
    assert (found.triples, found.cycles, found.broken_ties) == (1, 0, broken)


def test_of_two_alike_neither_is_between() -> None:
    fits = [said("x", "y", "same"), said("y", "z", "response_a"), said("x", "z", "response_a")]
    breaks = [said("x", "y", "same"), said("y", "z", "response_a"), said("x", "z", "response_b")]
    assert consistency_of(fits).broken_ties == 0
    assert consistency_of(breaks).broken_ties == 1
    assert consistency_of(breaks).ceiling_scores == pytest.approx(2 / 3)


def test_the_same_texts_with_several_labels_bound_everything() -> None:
    rows = [said("x", "y", "response_a"), said("y", "x", "response_b"), said(" x", "y\n", "same")]
    found = consistency_of(rows)
    assert (found.repeated, found.contradictions) == (3, 1)
    assert found.ceiling == found.ceiling_scores == pytest.approx(2 / 3)


def test_to_another_question_they_are_other_responses() -> None:
    found = consistency_of([said("x", "y", "response_a"), said("x", "y", "response_b", "And the sea?")])
    assert (found.repeated, found.contradictions, found.ceiling) == (0, 0, 1.0)


def test_identical_responses_are_the_same() -> None:
    found = consistency_of([said("x", "x ", "response_a"), said("y", "y", "same")])
    assert (found.identical, found.ceiling) == (1, 0.5)


def test_nothing_has_no_ceiling() -> None:
    found = consistency_of([])
    assert (found.comparisons, found.ceiling, found.ceiling_scores) == (0, None, None)


def test_the_best_order_is_found_among_all() -> None:
    """Four responses, all compared; the labels of a ranking with two of the six turned."""
    names = "pqrs"
    rows = []
    for at, first in enumerate(names):
        rows += [said(first, second, "response_a") for second in names[at + 1 :]]
    rows[2] = replace(rows[2], label="response_b")  # p against s: two circles
    found = consistency_of(rows)
    assert (found.triples, found.cycles) == (4, 2)
    assert found.ceiling_scores == pytest.approx(5 / 6)
