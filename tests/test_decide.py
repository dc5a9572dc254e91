"""The tie rule and the reconciliation of orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calf.decide import RULES, Decisions, Judgment, decide, verdict_of_scores
from calf.errors import UserError
from calf.types import FAILED, LABELS

MIRROR = {"response_a": "response_b", "response_b": "response_a", "same": "same", None: None}
CODES = {"response_a": 0, "response_b": 1, "same": 2, None: FAILED}

finite = st.floats(allow_nan=False, allow_infinity=False)
outcomes = st.sampled_from([*LABELS, None])
kinds = st.sampled_from(["response", "comparison", "imported"])


def judged(order, verdict, a=None, b=None, name="x", repeat=0) -> Judgment:
    return Judgment(name, order, repeat, a, b, verdict, None if verdict else "error")


@st.composite
def probabilities(draw) -> tuple[float, float, str]:
    """p(a), p(b) and the verdict of the highest; often level with each other, or nearly."""
    coarse = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1 / 3, 0.4, 0.5, 0.6, 0.7])
    a = draw(coarse | st.floats(0, 1))
    b = draw(st.just(a) | coarse | st.floats(0, 1).map(lambda share: share * (1 - a)))
    if a + b > 1:
        b = 1 - a
    return a, b, LABELS[int(np.argmax([a, b, 1 - a - b]))]


@st.composite
def judgments_of_one(draw) -> list[Judgment]:
    """One comparison in both orders: each a bare verdict, probabilities, or a failure."""
    found = []
    for order in ("given", "swapped"):
        if draw(st.booleans()):
            a, b, verdict = draw(probabilities())
            found.append(judged(order, verdict, a, b))
        else:
            found.append(judged(order, draw(outcomes)))
    return found


def same(one: Decisions, other: Decisions) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Decisions.__slots__)


@given(finite, finite)
def test_the_tie_rule_is_antisymmetric_and_exact(a: float, b: float) -> None:
    assert verdict_of_scores(b, a) == MIRROR[verdict_of_scores(a, b)]
    assert (verdict_of_scores(a, b) == "same") == (a == b)


@pytest.mark.parametrize("rule", [None, "agree-or-same"])
@pytest.mark.parametrize(("first", "second"), list(itertools.product((*LABELS, None), repeat=2)))
def test_both_orders_agree_or_it_is_same_or_failed(first, second, rule) -> None:
    code = decide(["x"], [judged("given", first), judged("swapped", second)], "both", rule).verdict[0]
    if first is None or second is None:
        assert code == FAILED
    elif first == second:
        assert LABELS[code] == first
    else:
        assert LABELS[code] == "same"


@pytest.mark.parametrize("kind", ["response", "comparison", "imported"])
@pytest.mark.parametrize(("first", "second"), list(itertools.product((*LABELS, None), repeat=2)))
def test_the_mean_of_bare_verdicts_is_agree_or_same(first, second, kind) -> None:
    judgments = [judged("given", first), judged("swapped", second)]
    decided = [decide(["x"], judgments, "both", rule, kind) for rule in ("agree-or-same", "mean-probabilities")]
    assert same(*decided)


@pytest.mark.parametrize(("first", "second"), list(itertools.product((*LABELS, None), repeat=2)))
def test_the_first_order_alone_is_the_order_given_alone(first, second) -> None:
    judgments = [judged("given", first), judged("swapped", second)]
    alone, both = decide(["x"], judgments, "given"), decide(["x"], judgments, "both", "first-order")
    assert (alone.verdict, alone.difference) == (both.verdict, both.difference)
    assert (both.given[0], both.swapped[0]) == (CODES[first], CODES[second])
    assert (alone.given[0], alone.swapped[0]) == (CODES[first], -1)


@pytest.mark.parametrize(
    ("first", "second", "verdict", "difference"),
    [
        ((0.8, 0.1), (0.3, 0.5), "response_a", 0.25),  # 0.55, 0.3, 0.15
        ((0.4, 0.3), (0.3, 0.4), "same", 0.0),  # 0.35, 0.35, 0.3
        ((0.3, 0.2), (0.2, 0.2), "same", 0.05),  # 0.25, 0.2, 0.55
        ((0.5, 0.5), (0.5, 0.5), "same", 0.0),
        ((0.4, 0.2), (0.4, 0.2), "same", 0.2),  # level with same
        ((0.1, 0.2), (0.6, 0.7), "response_b", -0.1),  # 0.35, 0.45, 0.2 but for rounding
        ((0.1, 0.7), (0.7, 0.1), "same", 0.0),
        ((0.1, 0.8), (0.7, 0.0), "same", 0.0),  # 0.4, 0.4, 0.2: level, but not what floats add up to
    ],
)
def test_the_mean_of_probabilities(first, second, verdict, difference) -> None:
    judgments = [judged("given", "same", *first), judged("swapped", "same", *second)]
    decisions = decide(["x"], judgments, "both", "mean-probabilities")
    assert LABELS[decisions.verdict[0]] == verdict
    assert decisions.difference[0] == pytest.approx(difference, abs=1e-12)


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 10), min_size=2, max_size=2).filter(lambda s: sum(s) <= 10), min_size=2, max_size=2
    )
)
def test_the_mean_of_tenths_equals_exact_arithmetic(tenths) -> None:
    judgments = [
        judged(order, "same", a / 10, b / 10) for order, (a, b) in zip(("given", "swapped"), tenths, strict=True)
    ]
    decisions = decide(["x"], judgments, "both", "mean-probabilities")
    sums = [sum(side) for side in zip(*((a, b, 10 - a - b) for a, b in tenths), strict=True)]
    assert decisions.verdict[0] == (sums.index(max(sums)) if sums.count(max(sums)) == 1 else 2)
    assert decisions.difference[0] == pytest.approx((sums[0] - sums[1]) / 20, abs=1e-12)


def test_a_bare_verdict_has_probability_one() -> None:
    judgments = [judged("given", "response_a", 0.6, 0.3), judged("swapped", "response_b")]
    decisions = decide(["x"], judgments, "both", "mean-probabilities")
    assert LABELS[decisions.verdict[0]] == "response_b"
    assert decisions.difference[0] == pytest.approx((0.6 + 0 - 0.3 - 1) / 2)


@pytest.mark.parametrize("kind", ["response", "imported"])
def test_scores_are_averaged_as_they_are(kind) -> None:
    def decided(first, second) -> tuple[str, float]:
        judgments = [judged("given", "response_a", *first), judged("swapped", "response_a", *second)]
        decisions = decide(["x"], judgments, "both", "mean-probabilities", kind)
        return LABELS[decisions.verdict[0]], float(decisions.difference[0])

    assert decided((90.0, 10.0), (10.0, 80.0)) == ("response_a", 5.0)
    assert decided((0.0, 1.0), (0.0, 1e-300)) == ("response_b", -0.5)
    assert decided((-3.0, -1.0), (-1.0, -3.0)) == ("same", 0.0)
    # No tolerance: other than probabilities, scores may be of any size.
    assert decided((1e-15, 0.0), (1e-15, 0.0)) == ("response_a", 1e-15)


def test_imported_scores_of_one_order_count_as_their_verdict() -> None:
    judgments = [judged("given", "response_a", 90.0, 10.0), judged("swapped", "response_b")]
    decisions = decide(["x"], judgments, "both", "mean-probabilities", "imported")
    assert (LABELS[decisions.verdict[0]], decisions.difference[0]) == ("same", 0.0)


@settings(deadline=None)
@given(judgments_of_one(), kinds, st.sampled_from(RULES["both"]))
@example([judged("given", "same", 0.1, 0.8), judged("swapped", "same", 0.7, 0.0)], "comparison", "mean-probabilities")
def test_mirrored_sides_mirror_the_decision(judgments, kind, rule) -> None:
    other = [judged(j.order, MIRROR[j.verdict], j.score_b, j.score_a) for j in judgments]
    before, after = decide(["x"], judgments, "both", rule, kind), decide(["x"], other, "both", rule, kind)
    mirror = [1, 0, 2, FAILED]
    for name in ("verdict", "given", "swapped"):
        assert getattr(after, name)[0] == mirror[getattr(before, name)[0]]
    assert after.difference[0] == -before.difference[0]


@settings(deadline=None)
@given(judgments_of_one(), kinds, st.sampled_from(["agree-or-same", "mean-probabilities"]))
def test_which_order_came_first_changes_nothing(judgments, kind, rule) -> None:
    turned = {"given": "swapped", "swapped": "given"}
    other = [judged(turned[j.order], j.verdict, j.score_a, j.score_b) for j in judgments]
    before, after = decide(["x"], judgments, "both", rule, kind), decide(["x"], other, "both", rule, kind)
    assert (after.verdict[0], after.difference[0]) == (before.verdict[0], before.difference[0])
    # Only a response metric says the same in both orders; there the test's own scores differ.
    assert (after.given[0], after.swapped[0]) == (before.swapped[0], before.given[0])


@settings(deadline=None)
@given(judgments_of_one(), kinds, st.sampled_from(RULES["both"]))
def test_a_failure_that_the_rule_sees_fails(judgments, kind, rule) -> None:
    seen = judgments[:1] if rule == "first-order" else judgments
    decisions = decide(["x"], judgments, "both", rule, kind)
    failed = any(j.verdict is None for j in seen)
    assert (decisions.verdict[0] == FAILED) == failed
    assert not (failed and decisions.difference[0])


def test_differences_are_averaged_over_orders_and_repeats_share_the_weight() -> None:
    judgments = [
        judged("given", "response_a", 0.75, 0.25),
        judged("swapped", "response_a", 0.5, 0.25),
        judged("given", "response_b", repeat=1),
        judged("swapped", "same", repeat=1),
        judged("given", None, name="y"),
        judged("swapped", "same", name="y"),
    ]
    decisions = decide(["y", "x"], judgments, "both")
    assert decisions.difference.tolist() == [0.0, 0.375, -0.5]
    assert decisions.weight.tolist() == [1.0, 0.5, 0.5]
    assert decisions.comparison.tolist() == [0, 1, 1]
    assert decisions.repeat.tolist() == [0, 0, 1]
    assert decisions.given.tolist() == [FAILED, 0, 1]
    assert decisions.swapped.tolist() == [2, 0, 2]
    assert decide(["x"], judgments, "swapped").difference.tolist() == [0.25, 0.0]


def test_types_of_the_decisions() -> None:
    for ids in ([], ["x"]):
        decisions = decide(ids, [judged("given", "same")], "given")
        types = {"comparison": "i8", "repeat": "i8", "difference": "f8", "weight": "f8"}
        for name in Decisions.__slots__:
            array = getattr(decisions, name)
            assert array.shape == (len(ids),)
            assert array.dtype == np.dtype(types.get(name, "i1"))


@pytest.mark.parametrize("order", ["given", "swapped"])
def test_a_response_metric_says_the_same_in_the_order_that_was_not_judged(order) -> None:
    judgments = [judged(order, "response_b", 0.0, 1.0), judged(order, None, name="y")]
    decisions = decide(["x", "y"], judgments, order, kind="response")
    assert decisions.given.tolist() == decisions.swapped.tolist() == [1, FAILED]
    for kind in ("comparison", "imported"):
        decisions = decide(["x", "y"], judgments, order, kind=kind)
        assert getattr(decisions, order).tolist() == [1, FAILED]
        assert getattr(decisions, "swapped" if order == "given" else "given").tolist() == [-1, -1]


def test_mixed_orders_are_decided_as_judged() -> None:
    judgments = [judged("given", "response_a"), judged("swapped", "response_b", name="y")]
    decisions = decide(["x", "y"], judgments, "mixed", kind="imported")
    assert decisions.verdict.tolist() == [0, 1]
    assert decisions.given.tolist() == [0, -1]
    assert decisions.swapped.tolist() == [-1, 1]


@pytest.mark.parametrize("order", list(RULES))
def test_the_first_rule_is_the_default_and_those_of_other_orders_are_refused(order) -> None:
    judgments = [judged("given", "response_a"), judged("swapped", "same")]
    assert same(decide(["x"], judgments, order), decide(["x"], judgments, order, RULES[order][0]))
    others = {rule for rules in RULES.values() for rule in rules} - set(RULES[order])
    for rule in (*others, "best"):
        with pytest.raises(UserError, match=f"{rule!r} does not fit the order {order!r}; possible: {RULES[order][0]}"):
            decide(["x"], judgments, order, rule)


def test_a_missing_order_is_an_error_and_others_are_ignored() -> None:
    judgments = [judged("given", "same"), judged("given", "same", name="y")]
    assert decide(["x"], judgments, "given").verdict.tolist() == [LABELS.index("same")]
    for rule in RULES["both"]:
        with pytest.raises(ValueError, match="order swapped is not judged"):
            decide(["x"], judgments, "both", rule)
    with pytest.raises(ValueError, match="'z'"):
        decide(["z"], judgments, "given")
