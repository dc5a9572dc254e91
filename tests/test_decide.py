"""The tie rule and the reconciliation of orders."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calf.decide import Judgment, decide, verdict_of_scores
from calf.types import FAILED, LABELS

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite)
def test_the_tie_rule_is_antisymmetric_and_exact(a: float, b: float) -> None:
    mirror = {"response_a": "response_b", "response_b": "response_a", "same": "same"}
    assert verdict_of_scores(b, a) == mirror[verdict_of_scores(a, b)]
    assert (verdict_of_scores(a, b) == "same") == (a == b)


@pytest.mark.parametrize(("first", "second"), list(itertools.product((*LABELS, None), repeat=2)))
def test_both_orders_agree_or_it_is_same_or_failed(first: str | None, second: str | None) -> None:
    judgments = [
        Judgment("x", "given", 0, verdict=first, failure=None if first else "error"),  # type: ignore[arg-type]
        Judgment("x", "swapped", 0, verdict=second, failure=None if second else "error"),  # type: ignore[arg-type]
    ]
    code = decide(["x"], judgments, "both").verdict[0]
    if first is None or second is None:
        assert code == FAILED
    elif first == second:
        assert LABELS[code] == first
    else:
        assert LABELS[code] == "same"


def test_differences_are_averaged_over_orders_and_repeats_share_the_weight() -> None:
    judgments = [
        Judgment("x", "given", 0, 0.75, 0.25, "response_a"),
        Judgment("x", "swapped", 0, 0.5, 0.25, "response_a"),
        Judgment("x", "given", 1, verdict="response_b"),
        Judgment("x", "swapped", 1, verdict="response_b"),
    ]
    decisions = decide(["x"], judgments, "both")
    assert decisions.difference.tolist() == [0.375, -1.0]
    assert decisions.weight.tolist() == [0.5, 0.5]
    assert decisions.comparison.tolist() == [0, 0]
    assert decide(["x"], judgments, "swapped").difference.tolist() == [0.25, -1.0]


def test_a_missing_order_is_an_error_and_others_are_ignored() -> None:
    judgments = [Judgment("x", "given", 0, verdict="same"), Judgment("y", "given", 0, verdict="same")]
    assert decide(["x"], judgments, "given").verdict.tolist() == [LABELS.index("same")]
    with pytest.raises(ValueError, match="order swapped is not judged"):
        decide(["x"], judgments, "both")
    with pytest.raises(ValueError, match="'z'"):
        decide(["z"], judgments, "given")
