"""The Pareto front of cost and accuracy, against a plain search; and what turns change, by hand."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from few_resamples import take_few
from hypothesis import given, settings
from hypothesis import strategies as st

from calf.analysis.pareto import pareto_front
from calf.analysis.turns import Talk, turn_row


@pytest.fixture(autouse=True, scope="module")
def _few():  # type: ignore[no-untyped-def]  # a fixture
    with pytest.MonkeyPatch.context() as patch:
        take_few(patch)
        patch.setattr("calf.analysis.pareto.COUNT_RESAMPLES", 500)
        patch.setattr("calf.analysis.turns.COUNT_RESAMPLES", 500)
        yield


def dominated(one: tuple[float, Fraction], other: tuple[float, Fraction]) -> bool:
    return other[0] <= one[0] and other[1] >= one[1] and other != one


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_front_is_what_nothing_dominates(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 12))
    metrics = data.draw(st.integers(1, 5))
    row = st.lists(st.integers(1, 3), min_size=metrics, max_size=metrics)
    repeats = np.array(data.draw(st.lists(row, min_size=rows, max_size=rows)))
    correct = np.array([[data.draw(st.integers(0, int(n))) for n in row] for row in repeats])
    cost = np.array([float(data.draw(st.integers(0, 3))) for _ in range(metrics)])
    group = np.array([data.draw(st.integers(0, 3)) for _ in range(rows)])
    front = pareto_front(correct, repeats, cost, group)
    shares = [
        [Fraction(int(c), int(r)) for c, r in zip(*pair, strict=True)]
        for pair in zip(correct.T, repeats.T, strict=True)
    ]
    accuracy = [sum(column) / rows for column in shares]
    assert front.accuracy == pytest.approx([float(value) for value in accuracy], abs=1e-12)
    points = list(zip(cost, accuracy, strict=True))
    assert front.on.tolist() == [not any(dominated(one, other) for other in points) for one in points]
    if np.unique(group).size < 2:
        assert np.isnan(front.share).all()
    else:
        assert ((front.share >= 0) & (front.share <= 1)).all()
        # In every resample something is on the front.
        assert front.share.sum() >= 1 - 1e-9
        assert (front.low <= front.high).all()


def test_a_metric_that_is_always_better_and_cheaper_is_alone_on_the_front() -> None:
    right = np.column_stack([np.ones(40), np.arange(40) % 2, np.arange(40) % 2]).astype(np.int64)
    front = pareto_front(right, np.ones_like(right), np.array([1.0, 1.0, 2.0]), np.arange(40))
    assert front.on.tolist() == [True, False, False]
    assert front.share[0] == 1
    assert front.share[1:].max() == 0
    assert (front.low[0], front.high[0]) == (1, 1)


def test_dearer_and_hardly_better_is_on_the_front_in_some_resamples() -> None:
    draw = np.random.default_rng(1)
    base = draw.random(200) < 0.6
    better = base.copy()
    better[np.flatnonzero(~base)[:6]] = True
    better[np.flatnonzero(base)[:3]] = False
    right = np.column_stack([base, better]).astype(np.int64)
    front = pareto_front(right, np.ones_like(right), np.array([0.0, 9.0]), np.arange(200))
    assert front.on.tolist() == [True, True]
    assert front.share[0] == 1
    assert 0.5 < front.share[1] < 0.99


def test_turns_by_hand() -> None:
    """Eight sequences: two go to the label, one away, one from wrong to wrong, four stay."""
    a, b, same = "response_a", "response_b", "same"
    talks = [
        Talk(a, "g1", {"x": [b, a], "y": [a, a]}),
        Talk(a, "g2", {"x": [a, b], "y": [b, same]}),
        Talk(b, "g3", {"x": [a, b, b], "y": [b, b]}),
        Talk(same, "g4", {"x": [a, a], "y": [a, a]}),
        Talk(a, "g5", {"x": [a]}),
    ]
    row = turn_row(talks)
    assert (row["judgments"], row["sequences"], row["groups"], row["few_groups"]) == (5, 8, 5, True)
    assert row["agree_first"] == pytest.approx(1 / 4)
    assert row["agree_last"] == pytest.approx(3 / 4)
    wanted = {"changed": 4 / 8, "to_label": 2 / 8, "from_label": 1 / 8, "elsewhere": 1 / 8, "net": 1 / 8}
    assert {name: row[name] for name in wanted} == pytest.approx(wanted)
    assert row["net_low"] <= row["net"] <= row["net_high"]  # type: ignore[operator]  # they are defined
    assert row["undefined"] == ""


def test_what_turns_cannot_say() -> None:
    row = turn_row([Talk("same", "g", {"x": ["same"], "y": ["same"]})])
    assert (row["agree_first"], row["agree_first_low"], row["changed"]) == (1, None, None)
    assert "no agent states a verdict twice" in str(row["undefined"])
    assert "interval of agree_first" in str(row["undefined"])


@pytest.mark.parametrize("labels", [*itertools.product(["response_a", "same"], repeat=2)])
def test_changes_sum_up(labels: tuple[str, str]) -> None:
    talks = [Talk(label, f"g{n}", {"x": ["response_a", "response_b"]}) for n, label in enumerate(labels)]  # type: ignore[arg-type]  # labels
    row = turn_row(talks)
    assert row["changed"] == pytest.approx(row["to_label"] + row["from_label"] + row["elsewhere"])  # type: ignore[operator]  # defined
